"""Results of a function, kept in files: a sweep that was stopped goes on with the points that are left."""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from torchmag.checkpoint import file
from torchmag.checkpoint.tree import encode, to_bytes
from torchmag.errors import CheckpointError


class Remembered:
    """A function whose results are kept, one file for each set of arguments: `tm.sweep(tm.Remembered(f, "results"), grid)`.

    A result that is there, whole, is read; any other is computed and written.  It does not know what the function does: choose
    another folder when it changes.  Works across processes, if the function pickles.

    Args:
        function: called with keywords; its arguments and results are tensors, numbers, strings and lists or dicts of these.
        folder: for the files; it is made.
    """

    def __init__(self, function: Callable, folder):
        if not callable(function):
            raise TypeError(f"Remembered: function is a {type(function).__name__}, expected a callable")
        self.function, self.folder = function, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, **arguments):
        path = self.folder / f"{_name(arguments)}.checkpoint"
        with contextlib.suppress(FileNotFoundError, CheckpointError):
            return file.load(path)["result"]
        result = self.function(**arguments)
        file.save(path, {"arguments": arguments, "result": _detached(result)}, keep=False)
        return result


def _name(arguments):
    """The same for equal arguments, in every process."""
    tree, tensors = encode(dict(sorted(arguments.items())))
    digest = hashlib.sha256(repr(tree).encode())
    for tensor in tensors:
        digest.update(repr((tensor.dtype, tensor.shape)).encode() + bytes(to_bytes(tensor.contiguous())))
    return digest.hexdigest()[:32]


def _detached(result):
    if isinstance(result, Tensor) and result.requires_grad and torch.is_grad_enabled():
        raise TypeError("Remembered: the result carries a graph, which a file does not keep; return result.detach()")
    return result
