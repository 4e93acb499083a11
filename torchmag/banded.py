"""Operators along one axis by the bands of their matrices, in compiled code: one loop over the neighbours, whatever the ends of the axis.

A result takes the values around its own place; what each counts stands in a table, zeros where there are none.  The ends of an axis, where
rows of the matrix differ, are no code of their own, and no memory: compiled code reads zeros beyond the axis.
"""

import functools
import re
from collections.abc import Callable

import torch
from torch import Tensor

# Nodes of the axis whose matrix is made: rows of longer ones repeat.
SAMPLE = 64


def apply(operator: Callable[..., Tensor], options: tuple, x: Tensor, where: int) -> Tensor:
    """A linear operator, (..., n) -> (..., k) along the last axis at operator(x, *options), along the axis `where` of x."""
    first, around, name = _kept(operator, options, x.shape[where], x.dtype, x.device)
    weights = getattr(_tables, name)
    size, count = x.shape[where], weights.shape[1]
    found = None
    for place, row in enumerate(weights.unbind(0), first):
        if around:
            values = x.roll(-place, where)
        else:
            # Zeros beyond the axis, put around each part: what has many readers is x itself.
            start, stop = max(0, -place), min(count, size - place)
            if start >= stop:
                continue
            values = x.narrow(where, start + place, stop - start)
            values = torch.nn.functional.pad(values, (0, 0) * (-where - 1) + (start, count - stop))
        part = row.reshape(-1, *(1,) * (-where - 1)) * values
        found = part if found is None else found + part
    return found


class _Tables:
    """Tables of weights as attributes: to a graph these are inputs, and have guards.  Other tensors that functions give while it is traced
    are of one name, and taken for one."""


_tables = _Tables()


def _kept(operator, options, n, dtype, device) -> tuple[int, bool, str]:
    """Of the result 0 the first place that it takes, whether places go around the axis, and the name of the table (width, k)."""
    first, around, weights = _banded(operator, options, n)
    name = _name(operator, options, n, dtype, device)
    if not hasattr(_tables, name):
        weights = weights.to(device, dtype)
        # A CUDA graph reads it where it is.
        torch._dynamo.mark_static_address(weights)
        setattr(_tables, name, weights)
    return first, around, name


# What torch.compiler.assume_constant_result does, which imports the whole compiler.
_kept._dynamo_marked_constant = True


def _name(operator, options, n, dtype, device):
    words = (operator.__module__, operator.__qualname__, *options, n, dtype, device)
    return "_".join(re.sub(r"\W", "_", str(word)) for word in words)


@functools.lru_cache(maxsize=256)
def _banded(operator, options, n):
    sampled = min(n, SAMPLE)
    with torch.no_grad(), torch.device("cpu"):
        matrix = operator(torch.eye(sampled, dtype=torch.float64), *options)
        first, around, weights = bands_of(matrix)
        if n > sampled:
            # Rows in the middle repeat.
            middle = weights[:, SAMPLE // 2, None].expand(-1, n - sampled)
            weights = torch.cat([weights[:, : SAMPLE // 2], middle, weights[:, SAMPLE // 2 :]], 1)
        return first, around, weights


def bands_of(matrix: Tensor) -> tuple[int, bool, Tensor]:
    """A matrix (n, k), from n values to k, as bands: the first, whether they go around, and (width, k); the form that is narrower."""
    size, count = matrix.shape
    rows, columns = (matrix.abs() > 1e-15).nonzero(as_tuple=True)
    if not len(rows):
        return 0, False, matrix.new_zeros(max(1, 1 + size - count), count)
    half = size // 2
    forms = {False: rows - columns, True: (rows - columns + half) % size - half}
    spans = {around: (int(places.min()), int(places.max())) for around, places in forms.items()}
    around = size == count and spans[True][1] - spans[True][0] < spans[False][1] - spans[False][0]
    first, last = spans[around]
    weights = matrix.new_zeros(last - first + 1, count)
    weights[forms[around] - first, columns] = matrix[rows, columns]
    return first, around, weights
