"""Demagnetising field of periodic bodies: infinite prisms, films and stripes, finite images, wires and dots in arrays."""

import math

import pytest
import torch

import torchmag as tm

INF = math.inf


def factors(n, dx, pbc):
    """N_xx, N_yy, N_zz of the uniformly magnetised grid."""
    mesh = tm.Mesh(n, dx, pbc=pbc)
    demag = tm.Demag(tm.Magnet(mesh, 8e5))
    basis = torch.eye(3).reshape(3, 3, *(1,) * mesh.dim).expand(3, 3, *mesh.cells)
    return (-demag.cell_field(basis) / 8e5).flatten(2).mean(2).diagonal().tolist()


# DEM-12: edges across the prism, cells and N along them (two-dimensional magnetostatics of a rectangle).
PRISMS = [
    ((10, 50), (2, 5), (0.8018365016523258, 0.1981634983476741)),
    ((50, 10), (25, 4), (0.1981634983476741, 0.8018365016523258)),
    ((5, 10), (1, 1), (0.6477865634, 0.3522134366)),
    ((5, 10), (5, 4), (0.6477865634, 0.3522134366)),
    ((30, 30), (6, 10), (0.5, 0.5)),
]


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize(("edges", "cells", "N"), PRISMS)
def test_infinite_prism(edges, cells, N, length):
    dx = [edge * 1e-9 / n for edge, n in zip(edges, cells)]
    # 1e-9 holds the rounding of the published digits.
    assert factors((length, *cells), (3e-9, *dx), (INF, 0, 0)) == pytest.approx((0, *N), abs=1e-9)
    assert factors((*cells, length), (*dx, 3e-9), (0, 0, INF)) == pytest.approx((*N, 0), abs=1e-9)


def test_infinite_prism_in_one_and_two_dimensions():
    short, long = PRISMS[0][2]
    assert factors((3,), (1e-9, 10e-9, 50e-9), (INF, 0, 0)) == pytest.approx((0, short, long), abs=1e-9)
    assert factors((3, 7), (1e-9, 10e-9 / 7, 50e-9), (INF, 0, 0)) == pytest.approx((0, short, long), abs=1e-9)


@pytest.mark.parametrize("n", [(1, 1, 1), (8, 4, 3), (8, 4), (16, 15, 1)])
@pytest.mark.parametrize("dx", [(1e-9, 5e-9, 10e-9), (10e-9, 10e-9, 0.1e-9)])
def test_infinite_film(n, dx):
    # DEM-12: fidimag asks for 1e-10.
    assert factors(n, dx, (INF, INF, 0)) == pytest.approx((0, 0, 1), abs=1e-12)


def test_no_shape_effect_in_three_periods():
    assert factors((8, 4, 3), (1e-9, 5e-9, 10e-9), (INF, INF, INF)) == pytest.approx((0, 0, 0), abs=1e-13)


@pytest.mark.parametrize("n", [(1,), (1, 1), (1, 1, 1)])
def test_chain_of_a_thousand_cubes(n):
    # DEM-12: MicroMagnetic.jl, test_demag.jl: (0, -1/2, -1/2) within 1e-6.
    assert factors(n, (2e-9, 2e-9, 2e-9), (500, 0, 0)) == pytest.approx((0, 0.5, 0.5), abs=1e-6)


def test_rod_and_film_of_finitely_many_images():
    # DEM-12: mumax3, demagrodpbc.mx3 (-0.496 +- 1e-2) and the film (-1 +- 0.02).
    assert factors((2, 2, 2), (1e-9, 1e-9, 2e-9), (0, 0, 16))[:2] == pytest.approx((0.496, 0.496), abs=1e-2)
    assert factors((16, 16, 1), (1e-9, 1e-9, 0.5e-9), (8, 8, 0)) == pytest.approx((0, 0, 1), abs=0.02)


@pytest.mark.parametrize(
    ("width", "layers", "dx"), [(6, 4, (1e-9, 2e-9, 1.5e-9)), (1, 3, (4e-9, 4e-9, 1e-9)), (20, 1, (1e-9,) * 3)]
)
def test_stripes(width, layers, dx):
    # Stripes up and down in a film of thickness t (C. Kooy, U. Enz, Philips Res. Rep. 15, 7 (1960)):
    # N = sum over odd k of 8 / (pi k)^2 (1 - exp(-k q)) / (k q), q = pi t / width.
    mesh = tm.Mesh((2 * width, 2, layers), dx, pbc=(INF, INF, 0))
    m = torch.zeros(3, *mesh.cells)
    m[2, :width], m[2, width:] = 1, -1
    demag = tm.Demag(tm.Magnet(mesh, 8e5))
    N = float(-(m * demag.cell_field(m)).sum()) / (8e5 * math.prod(mesh.cells))
    q = math.pi * layers * dx[2] / (width * dx[0])
    K = 200_001
    expected = math.fsum(8 / (math.pi * k) ** 2 * -math.expm1(-k * q) / (k * q) for k in range(1, K, 2))
    # The terms left out sum to at most 2 / (pi^2 q K^2).
    assert N == pytest.approx(expected, abs=2 / (math.pi**2 * q * K**2) + 1e-12)


def test_helix_along_a_periodic_axis():
    # A helix with M in the plane normal to k has no charge: no field; a cycloid has M_k as its charge: H_k = -M_k.
    n = 16
    mesh = tm.Mesh((n, 2, 2), (2e-9, 3e-9, 4e-9), pbc=(INF, INF, INF))
    demag = tm.Demag(tm.Magnet(mesh, 8e5))
    angle = (2 * math.pi / n * torch.arange(n)).reshape(n, 1, 1).expand(mesh.cells)
    zero = torch.zeros(mesh.cells)
    helix = torch.stack((zero, angle.cos(), angle.sin()))
    assert float(demag.cell_field(helix).abs().max()) < 1e-12 * 8e5
    cycloid = torch.stack((angle.cos(), angle.sin(), zero))
    expected = -8e5 * torch.stack((angle.cos(), zero, zero))
    torch.testing.assert_close(demag.cell_field(cycloid), expected, rtol=0, atol=1e-12 * 8e5)


@pytest.mark.slow
def test_array_of_rectangles_does_not_depend_on_its_origin():
    # LLG-10: mumax3, pbc1.mx3: a rectangle of 64 x 32 cells in a period of 128 x 64, two images; alpha = 1, 1 ns.
    mesh = tm.Mesh((128, 64), (5e-9,) * 3, pbc=(2, 2, 0))
    Ms = torch.zeros(mesh.cells)
    Ms[32:96, 16:48] = 1e6
    found = []
    for shifts in ((0, 0), (64, 32)):
        film = tm.Magnet(mesh, Ms.roll(shifts, (0, 1)))
        llg = tm.LLG(tm.Exchange(film, 1e-11) + tm.Demag(film), alpha=1.0)
        m = tm.solve(llg, tm.uniform(mesh, (1, 0.1, 0.01)), torch.tensor([0.0, 1e-9]))[-1]
        found.append(tm.average(m, film))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-6)
    # 1e-2: nodes on the rim of the rectangle instead of cells.
    torch.testing.assert_close(found[0], torch.tensor([0.899480, 0.233522, -0.000103]), rtol=0, atol=1e-2)


# MIN-04: OOMMF, infinite wire of 50 x 10 nm, Ms = 8e5, A = 1.3e-11: B_y in mT -> m_y on cells of 2.5 and of 5 nm.
WIRE = {20: (0.104428806, 0.1041987158), 60: (0.3122979526, 0.3116739249), 100: (0.5165823951, 0.5157792259), 200: (0.9623195765, 0.9625264178)}  # fmt: skip


@pytest.mark.slow
def test_infinite_wire_in_a_transverse_field():
    h = 2.5e-9
    mesh = tm.Mesh((1, 20, 4), (h, h, h), pbc=(INF, 0, 0))
    film = tm.Magnet(mesh, 8e5)
    local = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
    m = tm.uniform(mesh, (1, 0.1, 0))
    for B, published in WIRE.items():
        zeeman = tm.Zeeman(film, (0, B * 1e-3 / tm.mu_0, 0))
        m = tm.relax(tm.LLG(local + zeeman, alpha=1.0), m, tolerance=1e-5)
        m_y = float(tm.average(m, film)[1])
        for value in published:
            assert m_y == pytest.approx(value, abs=2e-3)
