"""Operators along one axis on devices that work apart: matrices where calls count, bands of matrices in compiled code.

On a GPU a sum over neighbours costs a launch for each operator of torch; a product with a matrix one in all.  It does more work, by the number
of nodes along the axis over that of neighbours: LONGEST is where by arithmetic both take as long (not measured).  Compiled code takes of
the matrix what is not zero, `banded`: one loop, with the ends of the axis in its table of weights.
"""

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchmag import banded
from torchmag.device import counts_calls, runs_apart

LONGEST = 1024


def suits(x: Tensor, where: int) -> bool:
    """Whether an operator along this axis (counted from the end) is to be taken as a matrix: not where products are rounded to less than
    the numbers have, as autocast and TF32 do."""
    if torch.compiler.is_compiling():
        return runs_apart(x)
    if not counts_calls(x) or x.shape[where] > LONGEST or torch.is_autocast_enabled(x.device.type):
        return False
    return x.dtype != torch.float32 or torch.get_float32_matmul_precision() == "highest"


def apply(operator: Callable[..., Tensor], options: tuple, x: Tensor, where: int) -> Tensor:
    """A linear operator, (..., n) -> (..., k) along the last axis at operator(x, *options), along the axis `where` of x."""
    if torch.compiler.is_compiling():
        return banded.apply(operator, options, x, where)
    matrix = _matrix(operator, options, x.shape[where], x.dtype, x.device)
    if where == -1:
        return x @ matrix
    rows = x.flatten(where + 1) if where < -2 else x
    return (matrix.mT @ rows).reshape(*x.shape[:where], matrix.shape[1], *x.shape[where + 1 :])


def constant(make: Callable[..., Tensor], options: tuple, like: Tensor) -> Tensor:
    """What make(*options) gives, where `like` lives, made once: a copy to the device waits for it."""
    return _constant(make, options, like.dtype, like.device)


def numbers(values: Sequence[float | Tensor], like: Tensor) -> Tensor:
    """Numbers, of the host or in tensors of one element, in one tensor: those of the host as they were copied once."""
    given = list({id(value): value for value in values if isinstance(value, Tensor)}.values())
    known = constant(_row, (tuple(0.0 if isinstance(value, Tensor) else float(value) for value in values),), like)
    if not given:
        return known
    names = [id(value) for value in given]
    places = tuple(names.index(id(value)) if isinstance(value, Tensor) else None for value in values)
    table = torch.stack([value.reshape(()) for value in given]).to(like.dtype)
    return torch.addmv(known, constant(_picking, (places, len(given)), like), table)


def _row(values):
    return torch.tensor(values, dtype=torch.float64)


def _picking(places, count):
    """For each place which number stands there: (places, count)."""
    found = torch.zeros(len(places), count, dtype=torch.float64)
    for row, place in enumerate(places):
        if place is not None:
            found[row, place] = 1
    return found


@functools.lru_cache(maxsize=256)
def _constant(make, options, dtype, device):
    with torch.no_grad(), torch.device("cpu"):
        return make(*options).to(device, dtype)


@functools.lru_cache(maxsize=64)
def _matrix(operator, options, n, dtype, device):
    """Made in float64 on the host, and kept."""
    with torch.no_grad(), torch.device("cpu"):
        return operator(torch.eye(n, dtype=torch.float64), *options).to(device, dtype)
