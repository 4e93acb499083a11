"""Demagnetising field: analytic factors, published energies and fields, the kernel in multiple precision."""

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.energies.cuboids import PAIRS, demag_tensor

from .newell_mpmath import cell_field_brute_force, demag_tensor_exact


def mean_cell_field(n, dx, direction, Ms):
    """Mean over the body of the field of a uniformly magnetised box, A/m: (3,)."""
    magnet = tm.Magnet(tm.Mesh(n, dx), Ms)
    cells = torch.tensor(direction).reshape(3, 1, 1, 1).expand(3, *n)
    return tm.Demag(magnet).cell_field(cells).mean((1, 2, 3))


def uniform_energy(n, dx, direction, Ms):
    """Energy of a uniformly magnetised box, J."""
    mesh = tm.Mesh(n, dx)
    return float(tm.Demag(tm.Magnet(mesh, Ms)).energy(tm.uniform(mesh, direction)))


@pytest.mark.parametrize("n", [2, 5])
def test_cube_has_factor_one_third(n):
    # DEM-01: N = 1/3 by symmetry; Ms = 1 / mu_0 makes mu_0 H = -N.
    for axis, e in enumerate(torch.eye(3).tolist()):
        B = tm.mu_0 * mean_cell_field((n, n, n), (1e-9,) * 3, e, 1 / tm.mu_0)
        expected = torch.zeros(3)
        expected[axis] = -1 / 3
        assert abs(float(B[axis]) + 1 / 3) < 1e-9
        torch.testing.assert_close(B[expected == 0], torch.zeros(2), rtol=0, atol=1e-12)


@pytest.mark.parametrize("direction", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.6, 0.0, 0.8)])
def test_cube_energy(direction):
    # DEM-01: E = mu_0 V / 6 for Ms = 1 A/m.
    E = uniform_energy((5, 5, 5), (1e-9,) * 3, direction, 1.0)
    assert E == pytest.approx(2.6179938779914947e-32, rel=1e-9)


def test_flat_prism_on_cells_of_unequal_edges():
    # DEM-02: Aharoni, J. Appl. Phys. 83, 3432 (1998), for a box of 3 x 8 x 0.5 nm.
    expected = (0.15775381400468, 0.056778035266839, 0.78546815072848)
    for axis, e in enumerate(torch.eye(3).tolist()):
        N = -mean_cell_field((3, 4, 1), (1e-9, 2e-9, 0.5e-9), e, 8e5) / 8e5
        assert float(N[axis]) == pytest.approx(expected[axis], abs=1e-9)


# DEM-04: edges, cells, and Aharoni's factors evaluated in multiple precision.
CUBOIDS = [
    ((2, 1, 1), (6, 3, 3), (0.19831615278884, 0.40084192360558, 0.40084192360558)),
    ((10, 10, 1), (10, 5, 2), (0.09746118317956, 0.09746118317956, 0.80507763364088)),
    ((60, 60, 20), (5, 6, 4), (0.20529195172444, 0.20529195172444, 0.58941609655113)),
    ((120, 60, 6), (24, 12, 1), (0.052259392097677, 0.10760001776786, 0.84014059013446)),
    ((64, 57.6, 1), (16, 9, 2), (0.02400912548231, 0.026773406857408, 0.94921746766028)),
]


@pytest.mark.parametrize(("edges", "n", "factors"), CUBOIDS)
def test_cuboid_factors(edges, n, factors):
    dx = tuple(edge * 1e-9 / cells for edge, cells in zip(edges, n))
    volume = math.prod(edges) * 1e-27
    for axis, e in enumerate(torch.eye(3).tolist()):
        field = mean_cell_field(n, dx, e, 8e5)
        assert float(-field[axis] / 8e5) == pytest.approx(factors[axis], abs=1e-8)
        N = uniform_energy(n, dx, e, 8e5) / (0.5 * tm.mu_0 * 8e5**2 * volume)
        assert N == pytest.approx(factors[axis], abs=1e-8)


# DEM-06: exact tensor between cubes (1024-bit arithmetic, mumax+; re-derived): offset, Nxx, Nxy.
CUBES = [
    ((1, 0, 0), -0.13501718054449527, 0.0),
    ((0, 1, 0), 0.06750859027224763, 0.0),
    ((1, 1, 0), -0.013785762048348117, -0.04556482263891464),
    ((1, 2, 3), 0.0011942199310796997, -0.0006497752984295435),
    ((5, 3, 1), -0.0004393211545929725, -0.0004941084396338007),
    ((20, 10, 3), -9.407495751111386e-6, -8.168580231735792e-6),
]


@pytest.mark.parametrize(("offset", "Nxx", "Nxy"), CUBES)
def test_tensor_between_cubes(offset, Nxx, Nxy):
    tolerance = {"rel": 1e-6, "abs": 0} if offset == (20, 10, 3) else {"rel": 0, "abs": 1e-12}
    N = demag_tensor([o + 1 for o in offset], (1e-9,) * 3)[(slice(None), *offset)]
    assert float(N[PAIRS.index((0, 0))]) == pytest.approx(Nxx, **tolerance)
    assert float(N[PAIRS.index((0, 1))]) == pytest.approx(Nxy, **tolerance)
    # The same numbers hold the multiple-precision reference below to its word.
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


@pytest.mark.parametrize("n", [2, 6])
def test_oommf_cube_energy(n):
    # DEM-08: OOMMF, oxs/examples/cube.mif, 10 nm cube, Ms = 8e5, m = x.
    E = uniform_energy((n, n, n), (10e-9 / n,) * 3, (1, 0, 0), 8e5)
    assert E == pytest.approx(1.3404128655316452e-19, rel=1e-10)


def test_cell_field_of_two_cells():
    # DEM-10: MicroMagnetic.jl, test_demag.jl.
    magnet = tm.Magnet(tm.Mesh((2, 1, 1), (2e-9,) * 3), 8.6e5)
    H = tm.Demag(magnet).cell_field(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1, 1).expand(3, 2, 1, 1))
    assert H[0].flatten().tolist() == pytest.approx([-170551.8913984] * 2, rel=1e-8)
    assert float(H[1:].abs().max()) < 1e-8 * 170551.8913984


def test_cell_field_of_six_cells():
    # DEM-10: MicroMagnetic.jl, test_demag.jl, m along (0.1, 0.2, 1).
    magnet = tm.Magnet(tm.Mesh((3, 2, 1), (1e-9,) * 3), 8.6e5)
    m = torch.nn.functional.normalize(torch.tensor([0.1, 0.2, 1.0]), dim=0)
    H = tm.Demag(magnet).cell_field(m.reshape(3, 1, 1, 1).expand(3, 3, 2, 1))
    expected = [
        (-9615.99019074, -39898.78767025, -430282.70478141),
        (-8664.33293854, -51323.59117349, -496012.77748287),
        (-27749.99302205, -48965.78908591, -430282.70478141),
    ]
    for cell, row in enumerate(expected):
        assert H[:, cell, 0, 0].tolist() == pytest.approx(row, rel=1e-8)


def test_rasterised_sphere_is_isotropic():
    # DEM-14: mumax3, isotropicEnergy.mx3: sphere of 64 nm in 32^3 cells.  The mask has cubic symmetry, so N = 1/3 exactly.
    mesh = tm.Mesh((32, 32, 32), (2e-9,) * 3, origin=(-32e-9,) * 3)
    inside = tm.positions(mesh, "cells").square().sum(0) < 32e-9**2
    demag = tm.Demag(tm.Magnet(mesh, 1e6 * inside))
    directions = torch.randn(20, 3, generator=torch.Generator().manual_seed(1))
    E = torch.stack([demag.energy(tm.uniform(mesh, v)) for v in directions])
    assert float((E.max() - E.min()) / E.mean()) < 1e-6
    volume = int(inside.sum()) * mesh.cell_volume
    assert float(E.mean()) == pytest.approx(tm.mu_0 * 1e6**2 * volume / 6, rel=1e-6)


@pytest.fixture(scope="module")
def scattered():
    """DEM-15: random m on 6 x 5 x 4 cells of 1 x 1.5 x 2 nm, random Ms with empty cells, the field by direct sum."""
    n, dx = (6, 5, 4), (1e-9, 1.5e-9, 2e-9)
    rng = np.random.default_rng(15)
    Ms = rng.uniform(2e5, 1.2e6, n) * (rng.random(n) > 0.3)
    m = rng.normal(size=(3, *(k + 1 for k in n)))
    m /= np.linalg.norm(m, axis=0)
    mean = sum(m[:, i : i + n[0], j : j + n[1], k : k + n[2]] for i, j, k in itertools.product((0, 1), repeat=3)) / 8
    H = cell_field_brute_force(Ms * mean, tuple(1e9 * h for h in dx))
    E = -0.5 * tm.mu_0 * math.prod(dx) * float((Ms * mean * H).sum())
    return n, dx, Ms, m, mean, H, E


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_convolution_equals_direct_sum(scattered, dtype, rtol, device):
    n, dx, Ms, m, mean, H, E = scattered
    demag = tm.Demag(tm.Magnet(tm.Mesh(n, dx), torch.tensor(Ms, dtype=dtype, device=device)))
    found = demag.cell_field(torch.tensor(mean, dtype=dtype, device=device)).double().cpu().numpy()
    assert np.abs(found - H).max() <= rtol * np.abs(H).max()
    assert float(demag.energy(torch.tensor(m, dtype=dtype, device=device))) == pytest.approx(E, rel=rtol)


@pytest.mark.parametrize(("direction", "axis", "expected"), [((0, 0, 1), 2, 2.0), ((1, 0, 0), 0, -1.0)])
def test_far_field_is_that_of_a_dipole(direction, axis, expected):
    # DEM-16: 4 pi r^3 H / (Ms V) is 2 along the moment and -1 across it.
    mesh = tm.Mesh((1, 1, 100), (1e-9,) * 3)
    Ms = torch.zeros(mesh.cells)
    Ms[0, 0, 0] = 8e5
    m = torch.tensor(direction, dtype=torch.float64).reshape(3, 1, 1, 1).expand(3, *mesh.cells)
    H = tm.Demag(tm.Magnet(mesh, Ms)).cell_field(m)[axis, 0, 0]
    r = torch.arange(20, 100) * 1e-9
    scaled = H[20:] * 4 * math.pi * r**3 / (8e5 * mesh.cell_volume)
    torch.testing.assert_close(scaled, torch.full_like(scaled, expected), rtol=1e-2, atol=0)
