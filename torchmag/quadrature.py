"""Integrals over a body of a map of its cells times a function of the nodes, to third order where the map jumps.

The trapezoidal rule takes for a cell the mean of its corners.  Of a smooth function its errors cancel from cell to cell, but not where the
map K jumps, at a node i say, and the derivative of K f with it: there it lacks (Euler and Maclaurin, along each axis)

    h^2 / 12 (K_i - K_(i-1)) f'_i = h / 24 (K_i - K_(i-1)) (f_(i+1) - f_(i-1)),

K_i being the cell behind the node.  This is added with the product of the magnetic fractions of both cells, so not at an edge.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import layout


def at_nodes(K: Tensor, fraction: Tensor, periodic: Sequence[bool]) -> Tensor:
    """The weights of the nodes in an integral, in cell volumes.

    Shape: K, fraction (*batch, *cells) -> (*batch, *nodes).
    """
    axes = range(len(periodic))
    found = _lumped(K * fraction, axes, periodic)
    for axis in axes:
        jumps = _jumps(K, axis, periodic) * _inside(fraction, axis, periodic)
        others = [other for other in axes if other != axis]
        found = found + _lumped(_around(jumps, axis, periodic), others, periodic) / 24
    return found


def at_cells(f: Tensor, K: Tensor, fraction: Tensor, periodic: Sequence[bool]) -> Tensor:
    """The integral over each cell, over its volume; their sum is that of f times `at_nodes`.

    Shape: f (*batch, *nodes), K, fraction (*batch, *cells) -> (*batch, *cells).
    """
    axes = range(len(periodic))
    found = fraction * _averaged(f, axes, periodic)
    for axis in axes:
        others = [other for other in axes if other != axis]
        slopes = -_around(_averaged(f, others, periodic), axis, periodic) * _inside(fraction, axis, periodic)
        low, high = layout.neighbours(slopes, axis - len(periodic), periodic[axis])
        found = found + (low - high) / 24
    return K * found


def _jumps(K, axis, periodic):
    """From the cell before a node to the one behind it, 0 at an open end."""
    before, behind = _sides(K, axis, periodic)
    return behind - before


def _inside(fraction, axis, periodic):
    """The product of the fractions around a node, 0 at an open end."""
    before, behind = _sides(fraction, axis, periodic)
    return before * behind


def _sides(x, axis, periodic):
    """The cells before and behind each node, the same at an open end, as zeros."""
    where = axis - len(periodic)
    if periodic[axis]:
        return x.roll(1, where), x
    inner = x.shape[where] - 1
    return tuple(_padded(x.narrow(where, first, inner), where) for first in (0, 1))


def _around(x, axis, periodic):
    """What is before a node less what is behind it, 0 beyond an open end."""
    where = axis - len(periodic)
    if periodic[axis]:
        return x.roll(1, where) - x.roll(-1, where)
    wide = _padded(x, where)
    return wide.narrow(where, 0, x.shape[where]) - wide.narrow(where, 2, x.shape[where])


def _padded(x, where):
    """A zero more at both ends."""
    return torch.nn.functional.pad(x, (0, 0) * (-where - 1) + (1, 1))


def _lumped(x, axes, periodic):
    for axis in axes:
        x = layout.lumped(x, axis - len(periodic), periodic[axis])
    return x


def _averaged(x, axes, periodic):
    """The mean of the two nodes of a cell, along axes."""
    for axis in axes:
        low, high = layout.neighbours(x, axis - len(periodic), periodic[axis])
        x = 0.5 * (low + high)
    return x
