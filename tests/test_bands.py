"""The tables of banded matrices hold what `midpoints` does along an axis longer than the sample that they are made of."""

import itertools

import pytest
import torch

from torchmag import bands
from torchmag.midpoints import MOMENT, SLOPE, VALUE, Midpoints

N = bands.SAMPLE + 7
unit = torch.eye(N, dtype=torch.float64)


def dense(numbers, reals):
    """The matrix of a table, and how many of its rows are given number by number."""
    pairs, base, form, _, columns, rows, first, last, *counts = numbers
    weights, reals = reals[:pairs], iter(reals[pairs:])
    matrix = torch.zeros(rows, columns, dtype=torch.float64)
    for i, (k, weight) in itertools.product(range(first, last), bands._offsets(weights, base, form).items()):
        matrix[i, (i + k) % columns] += weight
    counts = iter(counts)
    for start, end in ((0, first), (last, rows)):
        used = [next(counts) for _ in range(next(counts))]
        for i, k in itertools.product(range(start, end), used):
            matrix[i, k] = next(reals)
    assert next(counts, None) is next(reals, None) is None
    return matrix, first + rows - last


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize(("kind", "order"), list(itertools.product((VALUE, SLOPE, MOMENT), (4, 6))))
def test_midpoints(kind, order, wraps):
    expected = Midpoints(order, (wraps,)).there(unit, (kind,)).mT
    for back in (False, True):
        found, ends = dense(*bands.midpoint_band(kind, order, N, wraps, back))
        torch.testing.assert_close(found, expected.mT if back else expected, rtol=0, atol=1e-14)
        assert ends <= 2 * order


@pytest.mark.parametrize("wraps", [False, True])
@pytest.mark.parametrize(("outer", "inner"), [(SLOPE, SLOPE), (VALUE, SLOPE), (SLOPE, VALUE)])
def test_products(outer, inner, wraps):
    operators = Midpoints(6, (wraps,))
    found, ends = dense(*bands.product_band(6, N, wraps, outer, inner))
    expected = operators.back(operators.there(unit, (inner,)), (outer,)).mT
    # Over the share of cells that each node has.
    expected[[0, -1]] *= 1 if wraps else 2
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13)
    assert ends < bands.SAMPLE


@pytest.mark.parametrize("wraps", [False, True])
def test_smoothing(wraps):
    for back in (False, True):
        found, ends = dense(*bands.smoothing_band(N, wraps, back))
        expected = (Midpoints(4, (wraps,)).smooth(unit, (0,), transposed=back) - unit).mT
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)
        assert ends <= 4 * bands.POWER
