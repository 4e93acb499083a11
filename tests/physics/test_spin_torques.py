"""Spin torques: Zhang-Li on a plane wave, the signs of Slonczewski and spin-orbit torques."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.constants import e

GAMMA = 2.211e5


def u_over_j(Ms):
    """u / j of Zhang-Li for P = 1 and xi = 0, m^3/C."""
    return tm.mu_B / (e * Ms)


def still(magnet):
    """An energy whose field vanishes."""
    return tm.Zeeman(magnet, (0, 0, 0))


def test_zhang_li_torque_on_a_plane_wave():
    """The published torque, -1/(1+a^2) [(1+a xi) m x (m x g) + (xi-a) m x g] with g = (u.grad) m, on m = (cos kx, sin kx, 0).

    The lumped weak gradient of a wave along a periodic axis is, to order 2, that of the central difference, sin(kh)/h.
    """
    alpha, xi, P, j, Ms, h = 0.3, 0.2, 0.6, 1e12, 8e5, 2e-9
    mesh = tm.Mesh((24, 3), (h, 3e-9, 4e-9), pbc=(1, 0, 0))
    magnet = tm.Magnet(mesh, Ms, order=2)
    k = 2 * math.pi / mesh.size[0]
    x = tm.positions(mesh)[0]
    m = torch.stack((torch.cos(k * x), torch.sin(k * x), 0 * x))
    g = u_over_j(Ms) * P * j / (1 + xi**2) * math.sin(k * h) / h * torch.stack((-torch.sin(k * x), torch.cos(k * x), 0 * x))
    mxg = torch.linalg.cross(m, g, dim=0)
    expected = -((1 + alpha * xi) * torch.linalg.cross(m, mxg, dim=0) + (xi - alpha) * mxg) / (1 + alpha**2)
    llg = tm.LLG(still(magnet), alpha, gamma=GAMMA, torques=[tm.ZhangLi(magnet, (j, 0, 0), P, xi)])
    torch.testing.assert_close(llg(0.0, m), expected, rtol=0, atol=1e-11 * float(expected.abs().max()))


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
