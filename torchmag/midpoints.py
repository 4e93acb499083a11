"""Node fields at the midpoints between nodes, to fourth or sixth order, and the way back.

Along one axis let d be the difference of two neighbouring nodes, u their mean, and L the second difference of a node field:

    value   u (1 - L/8 + 3/128 L^2)     interpolates at the midpoint,
    slope   d (1 - L/24 + 3/640 L^2)    is the derivative there times the spacing,
    moment  u (1 - L/6 + 1/30 L^2)      is what a cuboid must hold to have the stray field of the smooth texture.

The terms with L^2 belong to order 6.  At the edge of the body, be it an end of the grid or where cells are empty,

for a value and a slope L is 0 there: nothing is assumed of m beyond, which may meet the edge with a slope, and the slopes between two
    ends add up to the difference of m, so that a constant flux acts on the ends alone;
for a moment L is the natural one, L = -F^-1 d^T f d, f being the mean of the cells around the link between two nodes and F that of the
    cells around a node: at an open end that of the mirror image.  So L 1 = 0, and F L is symmetric, as a stray field needs.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch
from torch import Tensor

from torchmag import dense, layout

ORDERS = (2, 4, 6)
VALUE, SLOPE, MOMENT = "value", "slope", "moment"
_SERIES = {VALUE: (1 / 8, 3 / 128), SLOPE: (1 / 24, 3 / 640), MOMENT: (1 / 6, 1 / 30)}

# Waves of two cells have 1.5 times the exchange of second differences along one axis, and along several at once these add up, so that steps
# limited by stability would be shorter.  So a slope along one axis is smoothed along each of the others, by 1 - SMOOTHING L^POWER,
# with the factor 1 - 1/2 sin^8(k h / 2), 1/2 at the least.  Waves along an axis are not touched.  L is that of the mirror image at
# an edge: symmetric in the lumped mass, so that what is uniform along an axis stays so.
SMOOTHING = 1 / 512
POWER = 4

# For each axis what to take there, None for the nodes themselves.
Pattern = tuple[str | None, ...]


@dataclass(frozen=True)
class Links:
    """A body with empty cells, as `L` sees it.

    Attributes:
        weights: of the links along each axis, f: (*batch, *grid) with the cells of that axis and the nodes of the others.
        inverse: 1/F at the nodes, 0 where all is empty: (*batch, *nodes).

    Values and slopes ask only which links are there, f > 0.
    """

    weights: tuple[Tensor, ...]
    inverse: Tensor


def nodal(pattern: Pattern) -> tuple[int, ...]:
    """The axes along which a pattern keeps to the nodes."""
    return tuple(axis for axis, kind in enumerate(pattern) if not kind)


def as_order(order, title: str) -> int:
    """An order of accuracy in space, checked."""
    if isinstance(order, bool) or not isinstance(order, Integral) or order not in ORDERS:
        raise ValueError(f"{title}: order = {order!r}, expected 2, 4 or 6")
    return int(order)


def series(kind: str, order: int) -> tuple[float, ...]:
    """Coefficients (c1, c2, ...) of 1 - c1 L + c2 L^2 for this order."""
    return _SERIES[kind][: order // 2 - 1]


def taps(kind: str, order: int) -> tuple[float, ...]:
    """Weights of the pairs of nodes at the distances 1/2, 3/2 ... from a midpoint: of their sums, for a slope of their differences."""
    row = {0: 1.0}
    power = {0: 1.0}
    for number, c in enumerate(series(kind, order), 1):
        power = {i: power.get(i - 1, 0.0) - 2 * power.get(i, 0.0) + power.get(i + 1, 0.0) for i in range(-number, number + 1)}
        row = {i: row.get(i, 0.0) + (-1) ** number * c * power[i] for i in power}
    sign = -1 if kind == SLOPE else 0.5
    # The node at i + 1/2 is the upper one of a pair for its own offset, the lower one for the next.
    upper = (
        (lambda i: row.get(i, 0.0) + sign * row.get(i + 1, 0.0))
        if kind == SLOPE
        else (lambda i: sign * (row.get(i, 0.0) + row.get(i + 1, 0.0)))
    )
    return tuple(upper(i) for i in range(order // 2))


def links(fraction: Tensor, nodes: Sequence[int], periodic: Sequence[bool]) -> Links:
    """Of the magnetic fraction, or another non-negative map, (*batch, *cells)."""
    dim = len(periodic)
    cells = [n if wraps else n - 1 for n, wraps in zip(nodes, periodic)]
    full = fraction.expand(*fraction.shape[: max(fraction.ndim - dim, 0)], *cells)
    weights = []
    for axis in range(dim):
        found = full
        for other in range(dim):
            if other != axis:
                found = layout.lumped(found, other - dim, periodic[other])
        weights.append(found)
    share = layout.lumped(weights[0], -dim, periodic[0])
    empty = (share <= 0).to(share.dtype)
    return Links(tuple(weights), (1 - empty) / (share + empty))


def moment_lines(order: int, wraps: bool) -> tuple[tuple, tuple]:
    """What takes nodes to the moments of cells along one axis, and the transpose, for `dense.apply`; to order 2 the mean of the corners."""
    if order == 2:
        return (_mean, (wraps,)), (_shared, (wraps,))
    return (_there, (order, wraps, MOMENT)), (_back, (order, wraps, MOMENT))


def _mean(x, wraps):
    return layout.mean_of_corners(x, (wraps,))


def _shared(x, wraps):
    return layout.lumped(x, -1, wraps)


def _there(x, order, wraps, kind):
    return Midpoints(order, (wraps,)).there(x, (kind,))


def _back(x, order, wraps, kind):
    return Midpoints(order, (wraps,)).back(x, (kind,))


def _smooth(x, order, wraps, transposed):
    return Midpoints(order, (wraps,)).smooth(x, (0,), None, transposed)


class Midpoints:
    """The operators of one grid.

    Args:
        order: 4 or 6.
        periodic: for each axis, whether it wraps around.
    """

    def __init__(self, order: int, periodic: Sequence[bool]):
        self.order, self.periodic = order, tuple(periodic)
        self.dim = len(self.periodic)
        self.taps = {kind: taps(kind, order) for kind in _SERIES}

    def there(self, x: Tensor, pattern: Pattern, body: Links | None = None) -> Tensor:
        """A node field (..., *nodes) on the grid of the pattern: cells along the axes that it names, nodes along the others.

        With `body` a field has one component axis, (*batch, components, *nodes); where there is no link the result means nothing.
        """
        kinds = [(axis, kind) for axis, kind in enumerate(pattern) if kind]
        if body is None:
            for axis, kind in kinds:
                if dense.suits(x, axis - self.dim):
                    x = dense.apply(_there, (self.order, self.periodic[axis], kind), x, axis - self.dim)
                else:
                    x = self._filtered(x, axis, kind)
            return x
        x = self._sharpened(x, kinds, body)
        for axis, kind in kinds:
            low, high = layout.neighbours(x, axis - self.dim, self.periodic[axis])
            x = high - low if kind == SLOPE else 0.5 * (low + high)
        return x

    def back(self, x: Tensor, pattern: Pattern, body: Links | None = None) -> Tensor:
        """The transpose of `there`."""
        kinds = [(axis, kind) for axis, kind in enumerate(pattern) if kind]
        if body is None:
            matrices = all(dense.suits(x, axis - self.dim) for axis, _ in kinds)
            for axis, kind in kinds:
                if matrices:
                    x = dense.apply(_back, (self.order, self.periodic[axis], kind), x, axis - self.dim)
                else:
                    x = self._gathered(x, axis, kind)
            once = [wraps or not kind or matrices for wraps, kind in zip(self.periodic, pattern)]
            return x if all(once) else x * layout.shares(x.shape[x.ndim - self.dim :], once, x)
        for axis, kind in kinds:
            low, high = (-x, x) if kind == SLOPE else (0.5 * x, 0.5 * x)
            x = layout.scatter(low, high, axis - self.dim, self.periodic[axis])
        if all(kind != MOMENT for _, kind in kinds):
            return self._sharpened(x, kinds, body, transposed=True)
        # F S F^-1 is the transpose of S.
        share = self._against(1 / (body.inverse + (body.inverse == 0)))
        return share * self._sharpened(self._against(body.inverse) * x, kinds, body)

    def smooth(self, x: Tensor, axes: Sequence[int], body: Links | None = None, transposed: bool = False) -> Tensor:
        """What slopes along other axes are taken of: the product of 1 - SMOOTHING L_a^POWER, or the transpose.

        Shape: x (*batch, components, *nodes) -> same.
        """
        if body is None or len(axes) < 2:
            return self._smoothed(x, axes, body, transposed)
        # The factors do not commute where cells are empty: both ways through the axes.
        ways = [self._smoothed(x, way, body, transposed) for way in (axes, axes[::-1])]
        return 0.5 * (ways[0] + ways[1])

    def _smoothed(self, x, axes, body, transposed):
        for axis in axes:
            if body is None and dense.suits(x, axis - self.dim):
                x = dense.apply(_smooth, (self.order, self.periodic[axis], transposed), x, axis - self.dim)
                continue
            curved = x
            for _ in range(POWER):
                curved = self._mirrored(curved, axis, body, transposed)
            x = x - SMOOTHING * curved
        return x

    def _mirrored(self, x, axis, body, transposed):
        """L with the mirror image at an edge, or its transpose."""
        where, wraps = axis - self.dim, self.periodic[axis]
        if x.shape[where] == 1:
            return torch.zeros_like(x)
        if body is None:
            there = 1.0
            ends = 1.0 if wraps else 1 / layout.shares(x.shape[where:], (False, *(True,) * (-where - 1)), x)
        else:
            there = (self._against(body.weights[axis]) > 0).to(x.dtype)
            # Of a node with a link on one side only the image is on the other.
            count = layout.lumped(there, where, wraps)
            ends = 1 / count.where(count > 0, 1.0)
        low, high = layout.neighbours(ends * x if transposed else x, where, wraps)
        slope = there * (high - low)
        x = layout.scatter(slope, -slope, where, wraps)
        return x if transposed else ends * x

    def _filtered(self, x, axis, kind):
        weights, where = self.taps[kind], axis - self.dim
        reach = len(weights) - 1
        cells = x.shape[where] - (not self.periodic[axis])
        if kind != MOMENT and not self.periodic[axis]:
            wide = _beyond(x, where, reach, cells)
        else:
            wide = layout.widened(x, where, self.periodic[axis], reach, reach + self.periodic[axis])
        pairs = [(wide.narrow(where, reach - j, cells), wide.narrow(where, reach + 1 + j, cells)) for j in range(reach + 1)]
        return _combined(pairs, weights, kind)

    def _gathered(self, x, axis, kind):
        """The transpose of `_filtered`, over the share of cells that each node has."""
        weights, where = self.taps[kind], axis - self.dim
        reach = len(weights)
        wraps = self.periodic[axis]
        if kind != MOMENT and not wraps:
            return self._folded(x, where, weights, kind)
        nodes = x.shape[where] + (not wraps)
        wide = layout.widened_cells(x, where, wraps, reach, reach - wraps, odd=kind == SLOPE)
        pairs = [(wide.narrow(where, reach - 1 - j, nodes), wide.narrow(where, reach + j, nodes)) for j in range(reach)]
        if kind == SLOPE:
            pairs = [(high, low) for low, high in pairs]
        return _combined(pairs, weights, kind)

    def _folded(self, x, where, weights, kind):
        """`_gathered` at an open end, for values and slopes: what falls beyond it goes back to the nodes that it was made of."""
        reach, cells = len(weights), x.shape[where]
        wide = torch.nn.functional.pad(x, (0, 0) * (-where - 1) + (2 * reach - 1,) * 2)
        length = cells + 2 * reach - 1
        pairs = [(wide.narrow(where, reach - 1 - j, length), wide.narrow(where, reach + j, length)) for j in range(reach)]
        if kind == SLOPE:
            pairs = [(high, low) for low, high in pairs]
        wide = _combined(pairs, weights, kind)
        beyond, nodes = reach - 1, cells + 1
        found = wide.narrow(where, beyond, nodes)
        # Over the share of the cells, which is half of one at an end.
        low, high = {0: found.narrow(where, 0, 1)}, {cells: found.narrow(where, cells, 1)}
        for distance, row in enumerate(_extension(beyond, cells), 1):
            below, above = (wide.narrow(where, i, 1) for i in (beyond - distance, beyond + cells + distance))
            for node, weight in row.items():
                weight = weight * (2 if node in (0, cells) else 1)
                low[node] = low[node] + weight * below if node in low else weight * below
                node = cells - node
                high[node] = high[node] + weight * above if node in high else weight * above
        return _added(found, where, low, high)

    def _sharpened(self, x, kinds, body, transposed=False):
        """The product over the axes of S = 1 - c1 L + c2 L^2; where the L do not commute, its mean over all orders."""
        found = {(): x}
        for count in range(1, len(kinds) + 1):
            for axes in itertools.combinations(kinds, count):
                # The mean over the axis that is taken last.
                parts = []
                for axis, kind in axes:
                    y = found[tuple(other for other in axes if other[0] != axis)]
                    parts.append(y + self._sharpening(y, axis, kind, body, transposed))
                found[axes] = sum(parts[1:], start=parts[0]) / count
        return found[tuple(kinds)]

    def _sharpening(self, x, axis, kind, body, transposed):
        """(-c1 L + c2 L^2) x, by Horner's rule."""
        found = 0.0
        for number, c in reversed(list(enumerate(series(kind, self.order), 1))):
            term = found + (-1) ** number * c * x
            if kind == MOMENT:
                found = self._laplacian(term, axis, body)
            else:
                found = self._curvature(term, axis, body, transposed)
        return found

    def _curvature(self, x, axis, body, transposed):
        """L of values and slopes, or its transpose."""
        where, wraps = axis - self.dim, self.periodic[axis]
        there = (self._against(body.weights[axis]) > 0).to(x.dtype)
        none = torch.zeros_like(there)
        inside = layout.scatter(none, there, where, wraps) * layout.scatter(there, none, where, wraps)
        low, high = layout.neighbours(inside * x if transposed else x, where, wraps)
        slope = high - low
        x = layout.scatter(slope, -slope, where, wraps)
        return x if transposed else inside * x

    def _laplacian(self, x, axis, body):
        where, wraps = axis - self.dim, self.periodic[axis]
        low, high = layout.neighbours(x, where, wraps)
        flow = self._against(body.weights[axis]) * (high - low)
        return self._against(body.inverse) * layout.scatter(flow, -flow, where, wraps)

    def _against(self, weight):
        """(*batch, *grid) against a field with one component axis before its grid."""
        return weight.unsqueeze(-self.dim - 1) if weight.ndim > self.dim else weight


def _combined(pairs, weights, kind):
    found = None
    for (low, high), weight in zip(pairs, weights):
        part = high - low if kind == SLOPE else low + high
        found = weight * part if found is None else torch.add(found, part, alpha=weight)
    return found


def _extension(beyond: int, cells: int) -> tuple[dict[int, float], ...]:
    """Nodes beyond an open end, at the distances 1 and 2, as {node from the end: weight}: L and L^2 at the end are 0, as of the point image."""
    rows = {0: 2, 1: -1}, ({0: 3, 1: -2} if cells == 1 else {0: 2, 2: -1})
    return rows[:beyond]


def _beyond(x, where, beyond, cells):
    """A node field with nodes beyond both open ends of an axis."""
    head, tail = [], []
    for row in _extension(beyond, cells):
        head.insert(0, sum(weight * x.narrow(where, node, 1) for node, weight in row.items()))
        tail.append(sum(weight * x.narrow(where, cells - node, 1) for node, weight in row.items()))
    return torch.cat((*head, x, *tail), where)


def _added(x, where, low, high):
    """x with planes added at nodes near its two ends."""
    length, count = x.shape[where], 1 + max(low)
    if length < 2 * count:
        return x + sum(_placed(plane, where, node, length) for planes in (low, high) for node, plane in planes.items())
    ends = []
    for planes, first in ((low, 0), (high, length - count)):
        own = [x.narrow(where, node, 1) for node in range(first, first + count)]
        ends.append([plane + planes[node] if node in planes else plane for node, plane in enumerate(own, first)])
    return torch.cat((*ends[0], x.narrow(where, count, length - 2 * count), *ends[1]), where)


def _placed(plane, where, index, length):
    """A plane among zeros."""
    return torch.nn.functional.pad(plane, (0, 0) * (-where - 1) + (index, length - 1 - index))
