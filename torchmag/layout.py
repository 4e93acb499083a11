"""Where things lie in a tensor: the only file that knows the axis order.

The last `mesh.dim` axes of a tensor are the grid axes x[, y[, z]]; a vector field has its three components on the
axis before them; everything in front is batch.  Node fields and cell fields are joined by the modes of the element:
along each axis the linear interpolant between two nodes is mean + xi * difference with xi in [-1/2, 1/2], so a cell of a
`dim`-dimensional mesh holds 2^dim modes, each named by a tuple of 0 (mean) and 1 (difference) per axis.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from torchmag.device import runs_apart
from torchmag.mesh import Mesh

Mode = tuple[int, ...]


def component_dim(mesh: Mesh) -> int:
    """The axis, counted from the end, that holds the components of a vector field."""
    return -mesh.dim - 1


def components(x: Tensor, dim: int) -> tuple[Tensor, ...]:
    """Split (..., 3, *grid) with `dim` grid axes into its three component planes (..., *grid)."""
    return x.unbind(-dim - 1)


def stack(planes: Sequence[Tensor], dim: int) -> Tensor:
    """Component planes (..., *grid), broadcast against each other, to (..., len(planes), *grid)."""
    return torch.stack(torch.broadcast_tensors(*planes), -dim - 1)


def dot(a: Tensor, b: Tensor, mesh: Mesh) -> Tensor:
    """Pointwise scalar product of two vector fields: (..., 3, *grid) -> (..., *grid)."""
    return (a * b).sum(component_dim(mesh))


def cross(a: Tensor, b: Tensor, mesh: Mesh) -> Tensor:
    """Pointwise vector product of two vector fields (..., 3, *grid)."""
    return stack(cross_components(components(a, mesh.dim), components(b, mesh.dim)), mesh.dim)


def cross_components(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Vector product of two fields given as component planes: to compiled code a plane is no memory yet, a stack of them is."""
    (ax, ay, az), (bx, by, bz) = a, b
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


def normalize(m: Tensor, dim: int) -> Tensor:
    """m scaled to unit length along the component axis; zero vectors (vacuum) stay zero."""
    square = (m * m).sum(dim, keepdim=True)
    return m * torch.rsqrt(square + (square == 0).to(m.dtype))


def total(x: Tensor, mesh: Mesh) -> Tensor:
    """Sum over the grid: (*batch, *grid) -> (*batch)."""
    return x.sum(tuple(range(-mesh.dim, 0)))


def periodic_axes(mesh: Mesh) -> tuple[bool, ...]:
    """For each grid axis, whether it wraps around."""
    return tuple(mesh.periodic(axis) for axis in range(mesh.dim))


def modes(dim: int) -> tuple[Mode, ...]:
    """All modes of a cell with `dim` axes, the mean first."""
    return tuple(itertools.product((0, 1), repeat=dim))


class Modes:
    """Modes of a node field in each cell, each made when it is asked for: {mode: (..., *cells)}.

    Args:
        x: (..., *nodes).
        periodic: for each axis, whether it wraps around.
    """

    def __init__(self, x: Tensor, periodic: Sequence[bool]):
        self.periodic, self.sums, self.found, self.sides = tuple(periodic), {(): x}, {}, {}

    def __getitem__(self, mode: Mode) -> Tensor:
        if mode not in self.found:
            self.found[mode] = _halved(self.sum(mode), mode)
        return self.found[mode]

    def sum(self, mode: Mode) -> Tensor:
        """A mode with the sum of two nodes in place of their mean."""
        if mode not in self.sums:
            *start, last = mode
            low, high = self._sides(tuple(start))
            self.sums[mode] = high - low if last else low + high
        return self.sums[mode]

    def _sides(self, start):
        if start not in self.sides:
            axis = len(start)
            self.sides[start] = neighbours(self.sum(start), axis - len(self.periodic), self.periodic[axis])
        return self.sides[start]


def to_modes(x: Tensor, periodic: Sequence[bool], wanted: Iterable[Mode]) -> dict[Mode, Tensor]:
    """Modes of a node field in each cell: (..., *nodes) -> {mode: (..., *cells)}."""
    modes = Modes(x, periodic)
    return {mode: modes[mode] for mode in wanted}


def from_corners(x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Add the values at the corners of each cell up at the nodes: (..., 2 for each axis, 3, *cells) -> (..., 3, *nodes)."""
    for axis in reversed(range(len(periodic))):
        low, high = x.unbind(-len(periodic) - 2)
        x = scatter(low, high, axis - len(periodic), periodic[axis])
    return x


def from_modes(parts: Mapping[Mode, Tensor], periodic: Sequence[bool]) -> Tensor:
    """The transpose of `to_modes`: {mode: (..., *cells)} -> (..., *nodes)."""
    parts = {mode: _halved(part, mode) for mode, part in parts.items()}
    for axis in reversed(range(len(periodic))):
        where = axis - len(periodic)
        joined = {}
        for prefix in dict.fromkeys(mode[:axis] for mode in parts):
            mean, difference = parts.get((*prefix, 0)), parts.get((*prefix, 1))
            if mean is None:
                low, high = -difference, difference
            elif difference is None:
                low = high = mean
            else:
                low, high = mean - difference, mean + difference
            joined[prefix] = scatter(low, high, where, periodic[axis])
        parts = joined
    return parts[()]


def differences(x: Tensor, periodic: Sequence[bool], coefficients: Mapping[Mode, Tensor | float]) -> Tensor:
    """Second differences of a node field, each times a coefficient, summed: (..., *nodes) -> same.

    A key of `coefficients` tells the axes along which differences are taken; beyond an open end the field goes on as its mirror
    image.  This is what `from_modes` makes of modes times a uniform coefficient, over the `shares` of the nodes.
    """
    for axis, wraps in enumerate(periodic):
        x = _widened(x, axis - len(periodic), wraps)
    parts, suffixes = {(): x}, coefficients.keys()
    for axis in reversed(range(1, len(periodic))):
        suffixes = {key[axis:] for key in coefficients}
        parts = {
            (k, *suffix): _differences(part, axis - len(periodic), k)
            for suffix, part in parts.items()
            for k in (0, 1)
            if (k, *suffix) in suffixes
        }
    sums = [None, None]
    for (k, *suffix), coefficient in coefficients.items():
        sums[k] = _plus(sums[k], coefficient, parts[*suffix])
    # Outside of a graph these are memory.
    del x, parts
    found = None
    for k in (1, 0):
        part = sums.pop()
        if part is not None:
            part = _differences(part, -len(periodic), k)
            found = part if found is None else found + part
    return found


def shares(nodes: Sequence[int], periodic: Sequence[bool], like: Tensor) -> Tensor:
    """The cells that belong to each node, half of those at an open end: (*nodes)."""
    found = like.new_ones(())
    for count, wraps in zip(nodes, periodic):
        row = like.new_ones(count)
        if not wraps:
            row[0] = row[-1] = 0.5
        found = found.unsqueeze(-1) * row
    return found


def to_cells(x: Tensor, mesh: Mesh) -> Tensor:
    """Mean over the corners of each cell: (..., *nodes) -> (..., *cells)."""
    return mean_of_corners(x, periodic_axes(mesh))


def mean_of_corners(x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """`to_cells` with these axes."""
    mean = (0,) * len(periodic)
    return to_modes(x, periodic, (mean,))[mean]


def to_nodes(x: Tensor, mesh: Mesh) -> Tensor:
    """The transpose of `to_cells`, which lumps: each cell (..., *cells) gives an equal share to its corners (..., *nodes)."""
    return from_modes({(0,) * mesh.dim: x}, periodic_axes(mesh))


def extended(x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """A cell field and what adjoins it, zeros at open ends, the other end's cells before the first ones of periodic axes.

    (..., *cells) -> (..., *nodes + 1), so that `to_nodes` of the field is the mean over neighbours of this.
    """
    for axis, wraps in enumerate(periodic):
        where = axis - len(periodic)
        first, last = x.narrow(where, 0, 1), x.narrow(where, x.shape[where] - 1, 1)
        if wraps:
            x = torch.cat((last, x), where)
        elif _fuses_padding(x, where):
            x = _padded(x, where, 1, 1)
        else:
            x = torch.cat((torch.zeros_like(first), x, torch.zeros_like(last)), where)
    return x


def restricted(x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """The transpose of `extended`: (..., *nodes + 1) -> (..., *cells)."""
    for axis, wraps in enumerate(periodic):
        where = axis - len(periodic)
        if wraps:
            n = x.shape[where] - 1
            end = x.narrow(where, n, 1) + x.narrow(where, 0, 1)
            x = torch.cat((x.narrow(where, 1, n - 1), end), where)
        else:
            x = x.narrow(where, 1, x.shape[where] - 2)
    return x


def extended_to_nodes(x: Tensor, dim: int) -> Tensor:
    """`to_nodes` of the cell field that has been `extended` to x, with `dim` grid axes: (..., *nodes + 1) -> (..., *nodes)."""
    return mean_of_corners(x, (False,) * dim)


def expand_to_cells(x: Tensor, mesh: Mesh) -> Tensor:
    """A scalar parameter, 0-d or (*batch, *cells) with axes of 1, to its full (*batch, *cells)."""
    return x.expand(*x.shape[: max(x.ndim - mesh.dim, 0)], *mesh.cells)


def is_uniform(x: Tensor, dim: int) -> bool:
    """Whether the shape of a parameter tells that it is the same on the whole grid of `dim` axes."""
    return math.prod(x.shape[max(0, x.ndim - dim) :]) == 1


def to_grid(x: Tensor, components: tuple[int, ...], grid: tuple[int, ...], title: str, where: str) -> Tensor:
    """Check the shape of a parameter, and give a uniform one its grid axes (of size 1).

    Accepts the component axes alone (uniform) or (*batch, *components, *grid), any grid axis being 1; a uniform scalar
    stays 0-d.

    Raises:
        ValueError: any other shape, named by `title` and `where` ("cells" or "nodes").
    """
    shape, dim = tuple(x.shape), len(grid)
    if shape == components:
        return x.reshape(*components, *(1,) * dim) if components else x
    tail = shape[len(shape) - dim :] if len(shape) >= dim + len(components) else None
    fits = tail is not None and all(a in (1, n) for a, n in zip(tail, grid))
    if not fits or shape[len(shape) - dim - len(components) : len(shape) - dim] != components:
        expected = ", ".join(map(str, ("*batch", *components, *grid)))
        uniform = f"shape {components}" if components else "a number"
        samples = f"; one for each sample: {(*shape, *(1,) * dim)}" if len(shape) and shape[1:] == components else ""
        raise ValueError(
            f"{title} has shape {shape}, {where} are {grid}: expected {uniform} (uniform) or ({expected}), where a grid axis may be 1"
            f"{samples}"
        )
    return x


def positions(mesh: Mesh, at: str = "nodes", *, dtype: torch.dtype | None = None, device=None) -> Tensor:
    """Coordinates of the nodes or of the cell centres, m: (3, *nodes) or (3, *cells).

    Along an axis that the mesh does not have, the middle of its one layer is given.
    """
    if at not in ("nodes", "cells"):
        raise ValueError(f"positions: at = {at!r}, expected 'nodes' or 'cells'")
    grid, shift = (mesh.nodes, 0.0) if at == "nodes" else (mesh.cells, 0.5)
    axes = [
        origin + (torch.arange(count, dtype=torch.float64) + shift) * h for count, origin, h in zip(grid, mesh.origin, mesh.dx)
    ]
    planes = list(torch.meshgrid(*axes, indexing="ij"))
    planes += [torch.full_like(planes[0], mesh.origin[a] + 0.5 * mesh.dx[a]) for a in range(mesh.dim, 3)]
    return torch.stack(planes).to(dtype=dtype or torch.get_default_dtype(), device=device)


def neighbours(x: Tensor, axis: int, wraps: bool) -> tuple[Tensor, Tensor]:
    """The node before and the node after each cell."""
    if wraps:
        return x, x.roll(-1, axis)
    cells = x.shape[axis] - 1
    return x.narrow(axis, 0, cells), x.narrow(axis, 1, cells)


def _widened(x: Tensor, axis: int, wraps: bool) -> Tensor:
    """One more node at both ends: the other end's if it wraps around, else the mirror image."""
    n = x.shape[axis]
    before, after = (-1, 0) if wraps else (1, -2)
    first, last = x.narrow(axis, before % n, 1), x.narrow(axis, after % n, 1)
    if _fuses_padding(x, axis):
        return _padded(x, axis, 1, 1) + _padded(first, axis, 0, n + 1) + _padded(last, axis, n + 1, 0)
    return torch.cat((first, x, last), axis)


def _differences(x: Tensor, axis: int, order: int) -> Tensor:
    """The field without its ends, or its second difference, whose rounding is that of the differences."""
    inside = x.shape[axis] - 2
    if not order:
        return x.narrow(axis, 1, inside)
    slope = x.narrow(axis, 1, inside + 1) - x.narrow(axis, 0, inside + 1)
    return slope.narrow(axis, 1, inside) - slope.narrow(axis, 0, inside)


def _plus(total: Tensor | None, coefficient: Tensor | float, x: Tensor) -> Tensor:
    """total + coefficient * x."""
    if total is None:
        return coefficient * x
    # A graph fuses them; torch 2.13: torch.addcmul in a compiled jvp ends the process.
    if torch.compiler.is_compiling() or not isinstance(coefficient, Tensor):
        return total + coefficient * x
    return torch.addcmul(total, coefficient, x)


def _halved(x: Tensor, mode: Mode) -> Tensor:
    """Half of x for each axis along which this mode is a mean."""
    means = mode.count(0)
    return 0.5**means * x if means else x


def lumped(x: Tensor, axis: int, wraps: bool) -> Tensor:
    """Half of each cell to the node before it and half to the node after it, along one axis."""
    half = 0.5 * x
    return scatter(half, half, axis, wraps)


def widened(x: Tensor, axis: int, wraps: bool, before: int, after: int) -> Tensor:
    """A node field with more nodes at both ends of an axis: the other end's if it wraps around, else the mirror images at the end nodes."""
    n = x.shape[axis]
    last = n - 1
    index = (lambda i: i % n) if wraps else (lambda i: last - abs(last - i % (2 * last)))
    return _continued(x, axis, [index(i) for i in range(-before, 0)], [index(n + i) for i in range(after)])


def widened_cells(x: Tensor, axis: int, wraps: bool, before: int, after: int, odd: bool) -> Tensor:
    """A cell field with more cells at both ends of an axis: the other end's, or the mirror images at the faces, negative ones if odd."""
    n = x.shape[axis]
    mirrored = lambda i: i % (2 * n) >= n
    index = (lambda i: i % n) if wraps else (lambda i: 2 * n - 1 - i % (2 * n) if mirrored(i) else i % (2 * n))
    sign = lambda i: -1 if odd and not wraps and mirrored(i) else 1
    ends = [range(-before, 0), range(n, n + after)]
    return _continued(x, axis, *([index(i) for i in end] for end in ends), *([sign(i) for i in end] for end in ends))


def _continued(x, axis, before, after, signs_before=None, signs_after=None):
    """x with planes of itself, by index, put before and after it."""
    take = lambda indices, signs: [
        x.narrow(axis, i, 1) if sign > 0 else -x.narrow(axis, i, 1) for i, sign in zip(indices, signs or [1] * len(indices))
    ]
    head, tail = take(before, signs_before), take(after, signs_after)
    if not _fuses_padding(x, axis):
        return torch.cat((*head, x, *tail), axis) if head or tail else x
    n, first, last = x.shape[axis], len(head), len(tail)
    found = _padded(x, axis, first, last)
    for i, plane in enumerate(head):
        found = found + _padded(plane, axis, i, first + n + last - 1 - i)
    for i, plane in enumerate(tail):
        found = found + _padded(plane, axis, first + n + i, last - 1 - i)
    return found


def scatter(low: Tensor, high: Tensor, axis: int, wraps: bool) -> Tensor:
    """The transpose of `neighbours`: add each cell's shares to the node before and the node after it."""
    if wraps:
        return low + high.roll(1, axis)
    if _fuses_padding(low, axis):
        return _padded(low, axis, 0, 1) + _padded(high, axis, 1, 0)
    cells = low.shape[axis]
    inside = low.narrow(axis, 1, cells - 1) + high.narrow(axis, 0, cells - 1)
    return torch.cat((low.narrow(axis, 0, 1), inside, high.narrow(axis, cells - 1, 1)), axis)


def _fuses_padding(x: Tensor, axis: int) -> bool:
    """Whether padding becomes part of the loop that reads it, where a cat is written to memory: in a graph, on a CPU but for the last axis."""
    return torch.compiler.is_compiling() and (axis != -1 or runs_apart(x))


def _padded(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """Zeros at both ends of an axis, which counts from the end."""
    return torch.nn.functional.pad(x, (0, 0) * (-axis - 1) + (before, after))
