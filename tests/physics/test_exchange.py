"""Exchange: node formula, energy of a spiral, order of convergence, damped dynamics of a box."""

import csv
import math
from pathlib import Path

import pytest
import torch

import torchmag as tm

DATA = Path(__file__).parents[1] / "data"


def test_field_of_a_line_equals_fem():
    """EXC-01: 20 nm in cells of 2 nm, m_x from -1 to 1; nmag's lumped field at the 11 nodes (finmag, tests/nmag/exchange_1d)."""
    with open(DATA / "exchange_1d_nmag.csv") as file:
        rows = torch.tensor([[float(v) for v in row.values()] for row in csv.DictReader(file)])
    m, expected = rows.T[:3].contiguous(), rows.T[3:]
    exchange = tm.Exchange(tm.Magnet(tm.Mesh((10,), (2e-9,) * 3), 0.86e6), 1.3e-11)
    H = exchange.field(m)
    torch.testing.assert_close(H, expected, rtol=0, atol=1e-8 * float(expected.abs().max()))
    # The same as the lumped second difference; 4 A / (mu_0 Ms h^2) at a free end.
    scale = 2 * 1.3e-11 / (tm.mu_0 * 0.86e6 * 4e-18)
    inner = scale * (m[:, 2:] - 2 * m[:, 1:-1] + m[:, :-2])
    ends = 2 * scale * torch.stack([m[:, 1] - m[:, 0], m[:, -2] - m[:, -1]], 1)
    torch.testing.assert_close(H, torch.cat([ends[:, :1], inner, ends[:, 1:]], 1), rtol=1e-12, atol=1e-12 * scale)


def test_damped_dynamics_of_a_box():
    """EXC-03: averages from nmag, finite elements (finmag, tests/nmag/exchange_3d), with finmag's tolerance."""
    expected = {
        1e-11: (0.0749879, -0.6896806, 0.4988908),
        1e-10: (0.7243484, -0.0059493, -0.6623841),
        5e-10: (0.9998369, -0.0013164, -0.0180063),
    }
    mesh = tm.Mesh((12, 4, 4), (2.5e-9,) * 3)
    magnet = tm.Magnet(mesh, 0.86e6)
    x, y, z = tm.positions(mesh)
    m0 = torch.stack([2 * x / 30e-9 - 1, 2 * y / 10e-9 - 1, torch.ones_like(z)])
    m0 = torch.nn.functional.normalize(m0, dim=0)
    llg = tm.LLG(tm.Exchange(magnet, 13e-12) + tm.Zeeman(magnet, (0.43e6, 0, 0)), alpha=0.1, gamma=2.211e5)
    with torch.no_grad():
        m = tm.solve(llg, m0, [0.0, *expected], method="bosh3")
    for mean, values in zip(tm.average(m, magnet)[1:].tolist(), expected.values()):
        assert mean == pytest.approx(values, abs=8e-3)


@pytest.mark.parametrize("degrees", [1, 10, 20])
@pytest.mark.parametrize("pbc", [1, math.inf, 0])
def test_energy_of_a_spiral(degrees, pbc):
    """EXC-04: w = 2 A (1 - cos d) / h^2 for a turn d per cell of h (mumax+, test_exchange.py; MuMax3 paper, Fig. 5)."""
    A, h, turn = 5e-12, 1e-9, math.radians(degrees)
    mesh = tm.Mesh((360 // degrees,), (h,) * 3, pbc=(pbc, 0, 0))
    angle = turn * torch.arange(mesh.nodes[0])
    m = torch.stack([angle.cos(), angle.sin(), 0 * angle])
    w = tm.Exchange(tm.Magnet(mesh, 8e5), A).density_map(m)
    torch.testing.assert_close(w, torch.full_like(w, 2 * A * (1 - math.cos(turn)) / h**2), rtol=1e-11, atol=0)
    below = 1 - float(w.mean()) / (A * (turn / h) ** 2)
    assert below == pytest.approx({1: 2.5e-5, 10: 2.5e-3, 20: 1.0e-2}[degrees], rel=0.03)


def standing_wave(n, dim, periodic):
    """EXC-05: theta = a prod cos(k x_i), m in the plane, dm/dn = 0 at the ends: mesh, m, exact H in units of 2 A / mu_0 Ms."""
    size, a = 40e-9, 0.8
    k = (2 if periodic else 1) * math.pi / size
    h = (size / n,) * dim + (5e-9,) * (3 - dim)
    mesh = tm.Mesh((n,) * dim, h, pbc=(1,) * dim + (0,) * (3 - dim) if periodic else (0, 0, 0))
    x = tm.positions(mesh)[:dim]
    theta = a * (k * x).cos().prod(0)
    slope = [-a * k * (k * x[i]).sin() * (k * x).cos()[[j for j in range(dim) if j != i]].prod(0) for i in range(dim)]
    m = torch.stack([theta.cos(), theta.sin(), 0 * theta])
    normal = torch.stack([-theta.sin(), theta.cos(), 0 * theta])
    H = -dim * k**2 * theta * normal - sum(s * s for s in slope) * m
    # Mean of (grad theta)^2: dim a^2 k^2 / 2^dim.
    return mesh, m, H, dim * (a * k) ** 2 / 2**dim


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_order_of_convergence(dim, periodic):
    A, Ms = 1.3e-11, 8e5
    errors = []
    for n in (4, 8, 16, 32, 64)[: 4 if dim == 3 else 5]:
        mesh, m, H, density = standing_wave(n, dim, periodic)
        exchange = tm.Exchange(tm.Magnet(mesh, Ms), A)
        difference = exchange.field(m) - 2 * A / (tm.mu_0 * Ms) * H
        E = A * density * math.prod(mesh.size)
        errors.append((float(difference.abs().max()), abs(float(exchange.energy(m)) - E)))
    orders = [math.log2(coarse / fine) for coarse, fine in zip(errors[-2], errors[-1])]
    assert orders == pytest.approx([2.0, 2.0], abs=0.1)


def test_field_of_a_periodic_wave():
    """EXC-05: 50 cells of 2 nm, one period of sines in each component: |dH| < 2e-4 Ms (MicroMagnetic.jl, test_exch.jl)."""
    Ms, A, k = 8.6e5, 1.3e-11, 2 * math.pi / 100e-9
    mesh = tm.Mesh((50,), (2e-9,) * 3, pbc=(1, 0, 0))
    m = torch.stack([(k * tm.positions(mesh)[0] + phase).sin() for phase in (0, 1.2, 2.3)])
    H = tm.Exchange(tm.Magnet(mesh, Ms), A).field(m)
    assert float((H + 2 * A * k**2 / (tm.mu_0 * Ms) * m).abs().max()) < 2e-4 * Ms
