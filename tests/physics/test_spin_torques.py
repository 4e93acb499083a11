"""Spin torques: formulas at a point, walls and vortices driven by a current, switching, oscillators."""

import csv
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

import torchmag as tm
from torchmag.constants import e

GAMMA = 2.211e5


def u_over_j(Ms):
    """u / j of Zhang-Li for P = 1 and xi = 0, m^3/C."""
    return tm.mu_B / (e * Ms)


def still(magnet):
    """An energy whose field vanishes."""
    return tm.Zeeman(magnet, (0, 0, 0))


def at_one_point(m, torque):
    """Field of torque(magnet) on a magnet of 2 x 2 x 2 cells of 1 nm, the same at all nodes."""
    mesh = tm.Mesh((2, 2, 2), (1e-9,) * 3)
    field = torque(tm.Magnet(mesh, 8e5)).field(torch.tensor(m).reshape(3, 1, 1, 1).expand(3, *mesh.nodes))
    torch.testing.assert_close(field, field[:, :1, :1, :1].expand(field.shape), rtol=1e-12, atol=0)
    return field[:, 0, 0, 0].tolist()


def test_spin_orbit_field_at_a_point():
    """STT-10: (a m x p + b p) / gamma with a = 1e9/s, b = 5e8/s, gamma = 2.21e5 (MicroMagnetic.jl, test_sot.jl)."""
    m, p = (-0.3, 0.4, 0.8), (0.1, 0.2, 0.3)
    length = math.sqrt(0.14)  # p is normalised by the torque
    j = -1e9 / 2.21e5 * length * 2 * e * tm.mu_0 * 8e5 * 2e-9 / tm.hbar
    got = at_one_point(m, lambda magnet: tm.SpinOrbit(magnet, j, p, eta_damp=1, eta_field=0.5))
    assert got == pytest.approx((45.248869, 1221.719457, 226.244344), rel=1e-6)


@pytest.mark.parametrize("Lambda", [1, 2])
def test_slonczewski_field_at_a_point(Lambda):
    """STT-10: beta (eps m x p + eps' p), eps = P L^2 / ((L^2 + 1) + (L^2 - 1) m.p) (MicroMagnetic.jl, test_slonczewski.jl)."""
    m, p = torch.tensor((-0.6, 0.0, 0.8)), torch.tensor((0.0, 0.6, 0.8))
    J, P, eps_prime, d = 3e11, 0.4, 0.1, 5e-9
    got = at_one_point(m.tolist(), lambda magnet: tm.Slonczewski(magnet, J, p, P, Lambda, eps_prime, d))
    beta = tm.hbar * J / (tm.mu_0 * e * 8e5 * d)
    eps = P * Lambda**2 / ((Lambda**2 + 1) + (Lambda**2 - 1) * 0.64)
    expected = beta * (eps * torch.linalg.cross(m, p) + eps_prime * p)
    assert got == pytest.approx(expected.tolist(), rel=1e-12)


def test_torques_are_perpendicular_and_scale_with_gamma():
    """STT-10: ratio 2 for gamma times 2 (mumax+, test_gamma.py); Zhang-Li has its own time scale, the drift u."""
    mesh = tm.Mesh((4, 3, 2), (2e-9,) * 3)
    magnet, m = tm.Magnet(mesh, 8e5), tm.random(mesh, seed=0)
    p = (0.6, 0, 0.8)
    cases = (
        (tm.Slonczewski(magnet, 1e11, p, 0.5, 2, 0.1), 2),
        (tm.SpinOrbit(magnet, 1e11, p, 0.2, 0.1), 2),
        (tm.ZhangLi(magnet, (1e12, 1e11, -1e11), 0.5, 0.1), 1),
    )
    for torque, ratio in cases:
        slow, fast = (tm.LLG(still(magnet), 0.1, gamma=f * GAMMA, torques=[torque])(0.0, m) for f in (1, 2))
        torch.testing.assert_close(fast, ratio * slow, rtol=1e-12, atol=1e-12 * float(slow.abs().max()))
        assert float((slow * m).sum(0).abs().max()) < 1e-12 * float(slow.abs().max())


def test_zhang_li_torque_on_a_plane_wave():
    """The published torque, -1/(1+a^2) [(1+a xi) m x (m x g) + (xi-a) m x g] with g = (u.grad) m, on m = (cos kx, sin kx, 0).

    The lumped weak gradient of a wave along a periodic axis is that of the central difference, sin(kh)/h.
    """
    alpha, xi, P, j, Ms, h = 0.3, 0.2, 0.6, 1e12, 8e5, 2e-9
    mesh = tm.Mesh((24, 3), (h, 3e-9, 4e-9), pbc=(1, 0, 0))
    magnet = tm.Magnet(mesh, Ms)
    k = 2 * math.pi / mesh.size[0]
    x = tm.positions(mesh)[0]
    m = torch.stack((torch.cos(k * x), torch.sin(k * x), 0 * x))
    g = u_over_j(Ms) * P * j / (1 + xi**2) * math.sin(k * h) / h * torch.stack((-torch.sin(k * x), torch.cos(k * x), 0 * x))
    mxg = torch.linalg.cross(m, g, dim=0)
    expected = -((1 + alpha * xi) * torch.linalg.cross(m, mxg, dim=0) + (xi - alpha) * mxg) / (1 + alpha**2)
    llg = tm.LLG(still(magnet), alpha, gamma=GAMMA, torques=[tm.ZhangLi(magnet, (j, 0, 0), P, xi)])
    torch.testing.assert_close(llg(0.0, m), expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


def test_drift_velocity():
    """STT-01: u = 72.35477 m/s for P = 1, j = 1e12 A/m^2, Ms = 8e5 A/m, without the factor 1 / (1 + xi^2)."""
    assert u_over_j(8e5) * 1e12 == pytest.approx(72.35477, abs=1e-5)


def test_velocity_of_a_domain_wall():
    """STT-01: v = (1 + alpha xi) / (1 + alpha^2) u along -j below the Walker limit (MicroMagnetic.jl, test_stt.jl).

    The central difference of a wall of width 11.4 nm on cells of 2 nm is 0.5 % small, h^2 / (6 w^2).
    """
    alpha, Ms, A, K = 0.1, 8.6e5, 1.3e-11, 1e5
    xi, u = torch.tensor((0.0, 0.1, 0.2)), torch.tensor((10.0, 3.2, 4.7))
    mesh = tm.Mesh((500,), (2e-9,) * 3)
    magnet = tm.Magnet(mesh, Ms)
    energy = tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, K, (1, 0, 0))
    x = (tm.positions(mesh)[0] - 5e-7) / math.sqrt(A / K)
    m0 = normalize(torch.stack((-torch.tanh(x), 1 / torch.cosh(x), 0 * x)), dim=0)
    j = torch.stack((-u * (1 + xi**2) / u_over_j(Ms), 0 * u, 0 * u), 1)[..., None]  # shape: (batch, 3, 1)
    with torch.no_grad():
        m0 = tm.relax(tm.LLG(energy, alpha), m0, tolerance=1e-4)
        llg = tm.LLG(energy, alpha, gamma=2.21e5, torques=[tm.ZhangLi(magnet, j, xi=xi[:, None])])
        m = tm.solve(llg, m0, [0.0, 1e-10])
    moved = (tm.average(m[1], magnet) - tm.average(m[0], magnet))[:, 0] * mesh.size[0] / 2
    assert (moved / 1e-10).tolist() == pytest.approx((9.90099, 3.2, 4.746535), rel=6e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "dz", "ns"), [((20, 20, 2), 5e-9, 2), ((20, 20), 10e-9, 8)])
def test_standard_problem_5(n, dz, ns):
    """STT-03: a vortex in a 100 nm square of 10 nm, u = 72.35 m/s, xi = 0.05, cells of 5 nm, against OOMMF.

    Node averages make the core of a vortex smaller than in a cell-centred code, hence 0.004 in the relaxed m_z and 2 % in energy.
    """
    mesh = tm.Mesh(n, (5e-9, 5e-9, dz), origin=(-50e-9, -50e-9, 0))
    magnet = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    x, y, _ = tm.positions(mesh)
    with open(Path(__file__).parents[1] / "data" / "sp5_xi0.05_oommf.csv") as file:
        rows = [[float(v) for v in row.values()] for row in csv.DictReader(file)]
    reference = torch.tensor([row for row in rows if row[0] < ns * 1.001e-9])
    times = [0.0, *reference[:, 0].tolist()]
    torque = tm.ZhangLi(magnet, (1e12, 0, 0), P=1, xi=0.05)
    with torch.no_grad():
        m = tm.relax(tm.LLG(energy, 1.0), normalize(torch.stack((-y, x, torch.full_like(x, 10e-9))), dim=0))
        assert tm.average(m, magnet).tolist() == pytest.approx((0, 0, 0.024510), abs=4e-3)
        assert float(energy.energy(m)) == pytest.approx(3.686646e-18, rel=2e-2)
        found = tm.average(tm.solve(tm.LLG(energy, 0.1, gamma=GAMMA, torques=[torque]), m, times), magnet)[1:]
    error = found - reference[:, 1:]
    assert float(error.square().mean(0).max().sqrt()) < 0.02
    for t in (0.1, 0.5, 1, 2, 8):
        at = round(t / 0.05) - 1
        assert t > ns or float(error[at].abs().max()) < 0.02
    assert -0.35 < float(found[:, 0].min()) < -0.30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("J", "m0", "expected"),
    [
        (-4.6875e11, (1, 0.1, 0), {1e-9: (-0.953323545, -0.279948071, 0.005280933)}),
        (-4e11, (1, 0, 0), {1e-10: (-0.84785, 0.34064, 0.24850), 5e-10: (-0.953203, -0.275311, 0.006303)}),
    ],
)
def test_switching_with_a_field_like_torque(J, m0, expected):
    """STT-05: film of 160 x 80 x 5 nm, p at 20 degrees, Lambda = 2, eps' = 1 (OOMMF and mumax3, std5b.mx3; magnum.np)."""
    mesh = tm.Mesh((64, 32), (2.5e-9, 2.5e-9, 5e-9))
    magnet = tm.Magnet(mesh, 8e5)
    p = (math.cos(math.radians(20)), math.sin(math.radians(20)), 0)
    torque = tm.Slonczewski(magnet, J, p, P=0.5669, Lambda=2, eps_prime=1)
    llg = tm.LLG(tm.Exchange(magnet, 13e-12) + tm.Demag(magnet), 0.01, gamma=GAMMA, torques=[torque])
    with torch.no_grad():
        m = tm.average(tm.solve(llg, tm.uniform(mesh, m0), [0.0, *expected])[1:], magnet)
    for got, wanted in zip(m.tolist(), expected.values()):
        assert got == pytest.approx(wanted, abs=5e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_easy_plane_oscillator(sign):
    """STT-08: m_z = a_J / (alpha H_k) = 0.52, towards p for J > 0 (fidimag, test_stt_slonczewski.py)."""
    mesh = tm.Mesh((1,), (5e-9, 5e-9, 2e-9), pbc=(1, 0, 0))
    Ms, alpha, J, P = 8e5, 0.1, 6.32015e10, 0.4
    magnet = tm.Magnet(mesh, Ms)
    easy_plane = tm.UniaxialAnisotropy(magnet, -4e4, (0, 0, 1))
    a = tm.hbar * J * P / (2 * tm.mu_0 * e * Ms * 2e-9)
    expected = sign * a / (alpha * 2 * 4e4 / (tm.mu_0 * Ms))
    assert abs(expected) == pytest.approx(0.52, rel=1e-4)
    llg = tm.LLG(easy_plane, alpha, gamma=GAMMA, torques=[tm.Slonczewski(magnet, sign * J, (0, 0, 1), P)])
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (1, 0, -0.1 * sign)), [0.0, 8e-9], rtol=1e-6, atol=1e-6)[-1]
    assert float(m[2, 0]) == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize(("sign", "side"), [(1, 1), (-1, 1), (-1, -1), (1, -1)])
def test_slonczewski_switches_towards_the_fixed_layer(sign, side):
    """J > 0 turns a free moment to p; a fixed layer on the other side turns the sign."""
    mesh = tm.Mesh((1,), (5e-9, 5e-9, 2e-9), pbc=(1, 0, 0))
    magnet = tm.Magnet(mesh, 8e5)
    p = torch.tensor((0.48, -0.6, 0.64))
    torque = tm.Slonczewski(magnet, sign * 1e12, p, 0.5, side=side)
    with torch.no_grad():
        m = tm.solve(tm.LLG(still(magnet), 0.02, torques=[torque]), tm.uniform(mesh, (1, 0, 0)), [0.0, 2e-9])[-1]
    assert float(m[:, 0] @ p) == pytest.approx(sign * side, abs=1e-3)


def test_spin_orbit_switches_away_from_its_polarisation():
    """The damping-like torque of j eta_damp > 0 turns a free moment to -p."""
    mesh = tm.Mesh((1,), (5e-9, 5e-9, 2e-9), pbc=(1, 0, 0))
    magnet = tm.Magnet(mesh, 8e5)
    torque = tm.SpinOrbit(magnet, 1e12, (0, 1, 0), eta_damp=0.5, eta_field=0)
    with torch.no_grad():
        m = tm.solve(tm.LLG(still(magnet), 0.02, torques=[torque]), tm.uniform(mesh, (1, 0, 0)), [0.0, 2e-9])[-1]
    assert float(m[1, 0]) == pytest.approx(-1, abs=1e-3)


@pytest.mark.slow
def test_walls_on_a_ring():
    """STT-11: head-to-head and tail-to-tail wall in a strip of 1280 x 160 x 5 nm with one image along x (mumax3, zhangliPBC.mx3).

    The second wall lies at the seam: cells 0 to 7, hence nodes 0 to 8, whose centre is the same.
    """
    mesh = tm.Mesh((256, 32), (5e-9,) * 3, pbc=(1, 0, 0))
    magnet = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    node = (tm.positions(mesh)[0] / 5e-9).round()
    wall = torch.exp(-(((node - 128) / 2) ** 2))
    m = torch.stack(((1 - wall) * torch.sign(128 - node), wall, 0 * node))
    m = normalize(torch.where(node <= 8, torch.tensor((0.0, -1.0, 0.0)).reshape(3, 1, 1), m), dim=0)
    gamma = 1.7595e11 * tm.mu_0  # mumax3's
    driven = tm.LLG(energy, 0.01, gamma=gamma, torques=[tm.ZhangLi(magnet, (1e12, 0, 0), P=1, xi=0.1)])
    with torch.no_grad():
        for llg in (tm.LLG(energy, 3.0, gamma=gamma), driven):
            m = tm.solve(llg, m, [0.0, 1e-9])[-1]
    assert tm.average(m, magnet).tolist() == pytest.approx((-0.081425920, -0.003434650, -0.015030215), abs=2e-2)


@pytest.mark.parametrize("more", [{}, {"Lambda": 2, "eps_prime": 0.1}])
def test_empty_cells_do_not_count_as_thickness(more):
    """STT-12: two cells of 1 nm, and the same with two empty cells above (mumax+, test_free_layer_thickness.py)."""

    def field(layers, d=None):
        mesh = tm.Mesh((1, 1, layers), (1e-9,) * 3)
        Ms = torch.zeros(mesh.cells)
        Ms[..., :2] = 4.3
        torque = tm.Slonczewski(tm.Magnet(mesh, Ms), 5.4, (1, 0, 1), 0.6, d=d, **more)
        return torque.field(tm.uniform(mesh, (0.48, -0.6, 0.64)))

    full, padded = field(2), field(4)
    assert float(full.abs().min()) > 0
    for same in (padded[..., :3], field(2, 2e-9), field(4, 2e-9)[..., :3]):
        torch.testing.assert_close(same, full, rtol=1e-12, atol=0)
    assert float(padded[..., 3:].abs().max()) == 0
    torch.testing.assert_close(field(4, 4e-9)[..., :3], full / 2, rtol=1e-12, atol=0)
