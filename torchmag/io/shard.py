"""A part of a data set in an HDF5 file: parameters and results of some points, whole or not there at all."""

import json
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.io.atomic import whole

KIND = "torchmag dataset shard 1"
# Bytes of a chunk, each with a checksum: what reading one row costs at most, unless a row is larger.
CHUNK = 2**17


def write_shard(path, columns: Mapping[str, Tensor], about: Mapping) -> None:
    """Write columns (rows, ...), and what they are about as JSON.

    Raises:
        FileExistsError: the shard is there.
    """
    with whole(path) as partial, h5py.File(partial, "w") as file:
        rows = len(next(iter(columns.values())))
        file.attrs.update({"kind": KIND, "rows": rows, "about": json.dumps(about)})
        for name, values in columns.items():
            values = values.numpy()
            chunk = max(1, min(rows, CHUNK // max(1, values[:1].nbytes)))
            file.create_dataset(name, data=values, chunks=(chunk, *values.shape[1:]), fletcher32=True)


class Shard:
    """An open shard.

    Attributes:
        about: what was given to `write_shard`.
        shapes: name -> (shape of a row, dtype).
    Raises:
        FileFormatError: cut off, damaged or of another kind; the message names the file, and what to do.
    """

    def __init__(self, path):
        self.path = Path(path)
        with self._reading():
            self._file = h5py.File(self.path, "r")
        with self._reading():
            if self._file.attrs.get("kind") != KIND:
                raise ValueError(f"not a {KIND}")
            self.rows, self.about = int(self._file.attrs["rows"]), json.loads(self._file.attrs["about"])
            self.shapes = {name: (item.shape[1:], item.dtype) for name, item in self._file.items()}
            if any(item.external or item.is_virtual or item.shape[:1] != (self.rows,) for item in self._file.values()):
                raise ValueError("columns of unequal length, or in other files")

    def read(self, rows, names=None) -> dict[str, np.ndarray]:
        """Some rows, increasing numbers or a slice, of all columns or those of these names."""
        with self._reading():
            return {name: self._file[name][rows] for name in (names or self.shapes)}

    def close(self):
        self._file.close()

    def _reading(self):
        return _Reading(self.path)


class _Reading:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, Exception) and not isinstance(error, FileNotFoundError | PermissionError):
            raise FileFormatError(
                f"{self.path}: cut off or changed since it was written ({type(error).__name__}: {error}); delete it and run "
                f"tm.dataset again: it computes these points once more, and no others"
            ) from error
