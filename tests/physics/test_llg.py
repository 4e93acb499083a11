"""The LLG equation: damped and free precession, dissipation and conservation of energy."""

import math

import pytest
import torch

import torchmag as tm

from .lumped import lumped_moment


def test_damped_precession():
    """LLG-01: m(t) from m_x in a field along z (Mallinson, IEEE Trans. Magn. 23, 2003 (1987); fidimag, test_llg.py)."""
    mesh = tm.Mesh((1, 1, 1), (1e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5)
    alpha, gamma, H, t = 0.1, 2.21e5, 1e5, 1e-9
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, H)), alpha=alpha, gamma=gamma)
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (1, 0, 0)), [0.0, t], rtol=1e-10, atol=1e-10)[-1]
    beta = gamma * H * t / (1 + alpha**2)
    expected = (math.cos(beta) / math.cosh(alpha * beta), math.sin(beta) / math.cosh(alpha * beta), math.tanh(alpha * beta))
    assert expected == pytest.approx((-0.22013293, 0.02430395, 0.97516707), abs=1e-8)
    for node in m.flatten(1).T.tolist():
        assert node == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("gamma", "GHz"), [(2.211e5, 2.800264), (1.76085963e11 * 4e-7 * math.pi, 2.802495)])
def test_larmor_frequency(gamma, GHz):
    """LLG-03: f = gamma B / (2 pi mu_0) in 0.1 T, damping 1e-5."""
    mesh = tm.Mesh((2,), (1e-9,) * 3)
    llg = tm.LLG(tm.Zeeman(tm.Magnet(mesh, 8e5), (0, 0, 0.1 / tm.mu_0)), alpha=1e-5, gamma=gamma)
    t = torch.linspace(0, 1e-9, 21)
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (1, 0, 1)), t, rtol=1e-9, atol=1e-9)[..., 0]
    turns = torch.atan2(m[1:, 1], m[1:, 0]) - torch.atan2(m[:-1, 1], m[:-1, 0])
    phase = float((turns.remainder(2 * math.pi)).sum())
    assert phase / (2 * math.pi * 1e-9) == pytest.approx(GHz * 1e9, rel=1e-4)


def test_precession_with_gamma_doubled_half_way():
    """LLG-03: 80 nm square, 1 T along z, 0.1 ns, then gamma times 2 for another 0.1 ns (mumax3, gammaLL.mx3)."""
    mesh = tm.Mesh((16, 16), (5e-9,) * 3)
    magnet = tm.Magnet(mesh, 1 / tm.mu_0)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, (0, 0, 1 / tm.mu_0))
    m, gamma = tm.uniform(mesh, (1, 1, 1)), 1.7595e11 * tm.mu_0
    with torch.no_grad():
        for factor in (1, 2):
            m = tm.solve(tm.LLG(energy, alpha=0.001, gamma=factor * gamma), m, [0.0, 1e-10])[-1]
    assert tm.average(m, magnet).tolist() == pytest.approx((-0.286423, -0.746625, 0.597055), abs=2e-2)


def everything(mesh, Ms):
    magnet = tm.Magnet(mesh, Ms)
    return (
        tm.Exchange(magnet, 1.3e-11)
        + tm.Demag(magnet)
        + tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1))
        + tm.BulkDMI(magnet, 1e-3)
        + tm.UniaxialAnisotropy(magnet, 3e5, (0, 0.6, 0.8))
        + tm.Zeeman(magnet, (2e4, -1e4, 3e4))
    )


@pytest.mark.parametrize("n", [(5, 4), (4, 3, 2)])
@pytest.mark.parametrize("alpha", [0.02, 0.5])
def test_dissipation(n, alpha):
    """LLG-04: dE/dt = -alpha gamma mu_0 / (1 + alpha^2) sum_n moment |m x H|^2, by a central difference along the motion."""
    mesh, gamma = tm.Mesh(n, (5e-9,) * 3), 2.211e5
    Ms = 8e5 * (0.5 + torch.rand(n, generator=torch.Generator().manual_seed(0)))
    energy = everything(mesh, Ms)
    dt = 1e-15
    with torch.no_grad():
        llg = tm.LLG(energy, alpha=alpha, gamma=gamma)
        m = tm.solve(llg, tm.random(mesh, seed=5), [0.0, dt, 2 * dt], step=dt)
        found = float(energy.energy(m[2]) - energy.energy(m[0])) / (2 * dt)
        torque = torch.linalg.cross(m[1], energy.field(m[1]), dim=0)
    expected = -alpha * gamma * tm.mu_0 / (1 + alpha**2) * float((lumped_moment(Ms, mesh) * torque.square().sum(0)).sum())
    assert found == pytest.approx(expected, rel=1e-4)


def test_energy_is_conserved_without_damping():
    """LLG-04: |dE| < 1e-6 E over 1 ns from a random state, alpha = 0."""
    mesh = tm.Mesh((4, 3), (1e-8, 1e-8, 5e-9))
    energy = everything(mesh, 8e5)
    m0 = tm.random(mesh, seed=6)
    with torch.no_grad():
        m = tm.solve(tm.LLG(energy, alpha=0.0, gamma=2.211e5), m0, [0.0, 0.5e-9, 1e-9], rtol=1e-7, atol=1e-7)
    E = energy.energy(m)
    assert float((m[-1] - m0).abs().max()) > 0.1
    assert float((E / E[0] - 1).abs().max()) < 1e-6
