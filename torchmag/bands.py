"""The operators of `midpoints` as tables that `stencils.cpp` reads: along each axis banded matrices.

A table is two lists, whole numbers and numbers, in the order of the constructors in the C++.
"""

import functools
import math
from collections.abc import Sequence

import torch

from torchmag.midpoints import MOMENT, POWER, SLOPE, SMOOTHING, VALUE, Midpoints, Pattern, series, taps

# Along the axes that a pattern names, all of this kind: `Midpoints.smooth`.
SMOOTHED = "smoothed"
# Each by its number in what torch and the compiled code are told.
KINDS = (None, VALUE, SLOPE, MOMENT, SMOOTHED)
# What is taken of m, target <- origin: (target, origin, axis, outer, inner, index of the coefficient).
Term = tuple[int, int, int, str, str, int]

# What a row takes of its neighbours, as in the C++.
SUM, DIFFERENCE, EVEN, ODD = range(4)
# Nodes of an axis whose matrix is made to read off the rows at its ends.
SAMPLE = 40


def midpoints(
    order: int, back: bool, linked: bool, nodes: Sequence[int], periodic: Sequence[bool], pattern: Pattern
) -> tuple[list, list]:
    """Of `Midpoints.there` or, with `back`, `Midpoints.back`; `linked`: of a body with empty cells."""
    axes = [axis for axis, kind in enumerate(pattern) if kind]
    numbers, reals = [back, linked, len(nodes), *nodes, *periodic, MOMENT in pattern, len(axes)], []
    for axis in axes:
        kind, n, wraps = pattern[axis], nodes[axis], periodic[axis]
        coefficients = [(-1) ** j * c for j, c in enumerate(series(kind, order), 1)]
        # The links of a moment sharpen the nodes first; what is left is of order 2.  Then that of a body without empty cells, and the transpose.
        wanted = ((2, back), (order, back), (2, not back)) if linked and kind == MOMENT else ((order, back),)
        found = [midpoint_band(kind, of_order, n, wraps, transposed) for of_order, transposed in wanted]
        numbers += [axis, len(coefficients), *(number for band, _ in found for number in band)]
        reals += [*coefficients, *(weight for _, weights in found for weight in weights)]
    rows = midpoint_rows(pattern[axes[0]], order) if linked and MOMENT not in pattern else ()
    return [*numbers, order // 2 - 1, order, len(rows)], [*reals, *rows]


def smoothing(
    back: bool, linked: bool, nodes: Sequence[int], periodic: Sequence[bool], axes: Sequence[int], times: int = 1
) -> tuple[list, list]:
    """Of `Midpoints.smooth`, once or, of a body without empty cells, twice."""
    numbers, reals = [back, linked, len(nodes), *nodes, *periodic, len(axes)], []
    for axis in axes:
        band, weights = smoothing_band(nodes[axis], periodic[axis], back, times)
        numbers, reals = [*numbers, axis, *band], [*reals, *weights]
    rows = smoothing_rows() if linked else ()
    return [*numbers, POWER, 2 * POWER + 1, len(rows)], [*reals, *rows]


def local(order: int, nodes: Sequence[int], periodic: Sequence[bool], terms: Sequence[Term]) -> tuple[list, list]:
    """Of `local.apply`."""
    others = [[other for other in range(len(nodes)) if other != axis] for axis in range(len(nodes))]
    pairs = [smoothing(False, False, nodes, periodic, axes, times) for axes in others for times in (1, 2)]
    places = {}
    for _, _, axis, outer, inner, _ in terms:
        places.setdefault((nodes[axis], periodic[axis], outer, inner), len(places))
    products = [product_band(order, *key) for key in places]
    found = []
    for target, origin, axis, outer, inner, coefficient in terms:
        place = places[nodes[axis], periodic[axis], outer, inner]
        found += [target, origin, axis, place, coefficient, (inner == SLOPE) + (outer == SLOPE)]
    whole = lambda tables, which: [number for table in tables for number in table[which]]
    numbers = [len(nodes), *nodes, *periodic, *whole(pairs, 0), len(products), *whole(products, 0), len(terms), *found]
    return numbers, [*whole(pairs, 1), *whole(products, 1)]


def fluxes(
    order: int, linked: bool, nodes: Sequence[int], periodic: Sequence[bool], terms: Sequence[Term], places: Sequence[int]
) -> tuple[list, list]:
    """Of `fluxes.apply`."""
    axes = sorted({term[2] for term in terms})
    numbers, reals = [len(nodes), *nodes, *periodic, 1 + max(places), len(axes)], []
    for axis in axes:
        others = [other for other in range(len(nodes)) if other != axis]
        pattern = lambda kind: tuple(kind if a == axis else None for a in range(len(nodes)))  # noqa: B023
        tables = [smoothing(back, linked, nodes, periodic, others) for back in (False, True)]
        tables += [
            midpoints(order, back, linked, nodes, periodic, pattern(kind)) for back in (False, True) for kind in (VALUE, SLOPE)
        ]
        own = [(t, o, outer == SLOPE, inner == SLOPE, c, places[c]) for t, o, where, outer, inner, c in terms if where == axis]
        numbers += [axis, *(n for table in tables for n in table[0]), len(own), *(n for term in own for n in term)]
        reals += [n for table in tables for n in table[1]]
    return numbers, reals


def encode_terms(order: int, nodes: Sequence[int], periodic: Sequence[bool], terms: Sequence[Term]) -> list[int]:
    """The attributes of `local` as whole numbers, for an operator of torch."""
    numbers = [order, len(nodes), *nodes, *(int(wraps) for wraps in periodic)]
    for target, origin, axis, outer, inner, coefficient in terms:
        numbers += [target, origin, axis, KINDS.index(outer), KINDS.index(inner), coefficient]
    return numbers


@functools.cache
def decode_terms(numbers: tuple[int, ...]) -> tuple[int, tuple[int, ...], tuple[bool, ...], tuple[Term, ...]]:
    """From `encode_terms`."""
    order, dim, *rest = numbers
    terms = tuple(
        (target, origin, axis, KINDS[outer], KINDS[inner], coefficient)
        for target, origin, axis, outer, inner, coefficient in zip(*[iter(rest[2 * dim :])] * 6)
    )
    return order, tuple(rest[:dim]), tuple(map(bool, rest[dim : 2 * dim])), terms


def transposed_terms(numbers: Sequence[int]) -> Sequence[int]:
    """What `encode_terms` makes of the transpose; of the same type, list or tuple."""
    start, found = 2 + 2 * numbers[1], list(numbers)
    for i in range(start, len(numbers), 6):
        target, origin, axis, outer, inner, _ = numbers[i : i + 6]
        found[i : i + 5] = origin, target, axis, inner, outer
    return type(numbers)(found)


def midpoint_band(kind: str, order: int, n: int, wraps: bool, back: bool) -> tuple[list, list]:
    """Of one kind from n nodes to midpoints or, with `back`, of its transpose."""
    matrix = _midpoint_matrix(kind, order, min(n, SAMPLE), wraps)
    # A pair of the transpose of a slope is that of the cell before and the cell behind.
    weights = [-weight if back and kind == SLOPE else weight for weight in taps(kind, order)]
    form = DIFFERENCE if kind == SLOPE else SUM
    return _band(matrix.mT if back else matrix, n, weights, -1 if back else 0, form, kind == SLOPE and not back)


def product_band(order: int, n: int, wraps: bool, outer: str, inner: str) -> tuple[list, list]:
    """Of the transpose of `outer` times `inner`, over the share of cells that each node has."""
    matrix = lambda kind, n, wraps: _midpoint_matrix(kind, order, n, wraps)
    whole = lambda n, wraps: matrix(outer, n, wraps).mT @ matrix(inner, n, wraps)
    sampled = whole(min(n, SAMPLE), wraps)
    if not wraps:
        sampled[[0, -1]] *= 2
    middle = whole(SAMPLE, True)[SAMPLE // 2]
    form = EVEN if outer == inner else ODD
    weights = [float(middle[SAMPLE // 2 + j]) for j in range(1, order)]
    return _band(sampled, n, weights, 0, form, inner == SLOPE)


def smoothing_band(n: int, wraps: bool, back: bool, times: int = 1) -> tuple[list, list]:
    """Of what smoothing, as often as that, adds along an axis of n nodes or, with `back`, of its transpose."""
    power = [(-1) ** j * math.comb(2 * POWER, POWER + j) for j in range(-POWER, POWER + 1)]  # L^POWER
    once = -SMOOTHING * torch.tensor(power, dtype=torch.float64)
    found, middle = once, POWER
    if times == 2:
        # (1 + B)^2 = 1 + 2 B + B^2
        found, middle = torch.nn.functional.conv1d(once[None, None], once.flip(0)[None, None], padding=2 * POWER)[0, 0], 2 * POWER
        found[POWER : 3 * POWER + 1] += 2 * once
    matrix = torch.linalg.matrix_power(torch.eye(min(n, SAMPLE)).double() + _smoothing_matrix(min(n, SAMPLE), wraps, back), times)
    matrix = matrix - torch.eye(len(matrix)).double()
    return _band(matrix, n, found[middle + 1 :].tolist(), 0, EVEN, not back)


@functools.cache
def midpoint_rows(kind: str, order: int) -> tuple[float, ...]:
    """`_rows` of a link: what it takes of the two nodes at its ends and those around."""
    return _rows(lambda n: _midpoint_matrix(kind, order, n, False), order // 2 - 1, 2)


@functools.cache
def smoothing_rows() -> tuple[float, ...]:
    """`_rows` of a node."""
    return _rows(lambda n: _smoothing_matrix(n, False, False), POWER, 1)


def _rows(matrix, reach, nodes):
    """For 0, 1 ... reach links of a body before a place and 0, 1 ... reach behind it: what it takes of its own nodes and `reach` on either side."""
    found, long = [], lambda links: links if links < reach else 3 * reach
    for before in range(reach + 1):
        for behind in range(reach + 1):
            row, first = matrix(long(before) + long(behind) + nodes)[long(before)], long(before) - reach
            found += [float(row[node]) if 0 <= node < len(row) else 0.0 for node in range(first, first + 2 * reach + nodes)]
    return tuple(found)


def _midpoint_matrix(kind, order, n, wraps):
    """From nodes to midpoints along one axis."""
    return Midpoints(order, (wraps,)).there(torch.eye(n, dtype=torch.float64), (kind,)).mT


def _smoothing_matrix(n, wraps, transposed):
    """Of what `Midpoints.smooth` adds along one axis."""
    unit = torch.eye(n, dtype=torch.float64)
    return (Midpoints(4, (wraps,)).smooth(unit, (0,), transposed=transposed) - unit).mT


def _band(matrix, n, weights, base, form, difference):
    """A matrix along an axis of n nodes, given of min(n, SAMPLE), as `Band` in the C++ reads it: whole numbers, and numbers."""
    rows, columns = matrix.shape
    inside = [_is_row(matrix[i], i, _offsets(weights, base, form)) for i in range(rows)]
    first = inside.index(True) if True in inside else rows
    last = rows - inside[::-1].index(True) if True in inside else rows
    missing = n - min(n, SAMPLE)  # rows and columns between the two ends
    shift = lambda i, count: i + missing if 2 * i >= count else i
    numbers, values = [len(weights), base, form, difference, columns + missing, rows + missing, first, last + missing], [*weights]
    for end in (matrix[:first], matrix[last:]):
        used = (end.abs() > 1e-15).any(0).nonzero().flatten().tolist()
        numbers += [len(used), *(shift(k, columns) for k in used)]
        values += end[:, used].flatten().tolist()
    return numbers, values


def _offsets(weights, base, form):
    """The numbers of a row by their distance from the diagonal."""
    row = {}
    for j, weight in enumerate(weights):
        high, low = (base + 1 + j, base - j) if form in (SUM, DIFFERENCE) else (1 + j, -1 - j)
        row[high], row[low] = weight, -weight if form in (DIFFERENCE, ODD) else weight
    if form == EVEN:
        row[0] = -2 * sum(weights)
    return row


def _is_row(found, i, row):
    expected = torch.zeros_like(found)
    for k, weight in row.items():
        if not 0 <= i + k < len(found):
            return False
        expected[i + k] += weight
    return bool(torch.allclose(found, expected, rtol=0, atol=1e-14))
