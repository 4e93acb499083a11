"""The demagnetising tensor in multiple precision."""

import itertools

import mpmath as mp
import numpy as np
import pytest
import torch

from torchmag.cases.kernels import CUBES
from torchmag.energies.cuboids import PAIRS, demag_tensor

from .newell_mpmath import demag_tensor_exact


@pytest.mark.parametrize(("offset", "Nxx", "Nxy"), CUBES)
def test_multiple_precision_agrees_with_the_published_tensor(offset, Nxx, Nxy):
    exact = demag_tensor_exact(offset, (1.0,) * 3)
    assert float(exact[0, 0]) == pytest.approx(Nxx, rel=1e-15)
    assert float(exact[0, 1]) == pytest.approx(Nxy, rel=1e-15, abs=1e-40)


# Flat, needle-shaped and ordinary cells; blocks of offsets that reach from touching cells to a thousand cells away.
CELLS = {
    "flat": (1.0, 1.0, 0.01),
    "flat, three edges": (1.0, 0.7, 0.01),
    "needle": (0.01, 1.0, 0.01),
    "needle, three edges": (1.0, 0.01, 0.013),
    "film": (5.0, 5.0, 3.0),
}
BLOCKS = [(7, 7, 7), (450, 3, 2), (3, 450, 2), (2, 3, 450), (50, 50, 2), (60, 1, 400), (1, 1000, 1), (1000, 1, 1)]


def frobenius(N):
    """Norm of the symmetric tensor with components xx yy zz xy xz yz: (6, ...) -> (...)."""
    return (N[:3].square().sum(0) + 2 * N[3:].square().sum(0)).sqrt()


@pytest.mark.parametrize("cell", CELLS)
def test_tensor_against_multiple_precision(cell):
    """Each component to 1e-12 of the tensor's norm: at the corners of each block, where the trace is worst, and at random."""
    spacing = CELLS[cell]
    rng = np.random.default_rng(0)
    for counts in BLOCKS:
        found = demag_tensor(counts, spacing)
        offsets = set(itertools.product(*({0, n - 1} for n in counts)))
        offsets |= {tuple(int(rng.integers(n)) for n in counts) for _ in range(3)}
        worst = (found[:3].sum(0).abs() / frobenius(found)).flatten()[1:].argmax() + 1
        offsets.add(tuple(int(i) for i in torch.unravel_index(worst, counts)))
        for offset in offsets:
            exact = demag_tensor_exact(offset, spacing)
            norm = mp.sqrt(sum((1 if a == b else 2) * v * v for (a, b), v in exact.items()))
            for row, pair in enumerate(PAIRS):
                error = abs(mp.mpf(float(found[(row, *offset)])) - exact[pair])
                assert error <= 1e-12 * norm, (counts, offset, pair, float(error / norm))


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("counts", [(7, 7, 7), (450, 3, 2), (2, 3, 450), (60, 60, 2)])
def test_trace(cell, counts):
    """Nxx + Nyy + Nzz is 1 for the cell on itself and 0 elsewhere."""
    N = demag_tensor(counts, CELLS[cell])
    trace = N[:3].sum(0)
    assert float(trace[0, 0, 0]) == pytest.approx(1, abs=1e-12)
    trace[0, 0, 0] = 0
    # Three components, each within 1e-12 of the norm.
    assert float((trace.abs() / frobenius(N)).max()) <= 3e-12
