"""Zeeman term: energy and time-dependent fields, dynamics of a disk in a rotating field."""

import math

import pytest
import torch

import torchmag as tm


@pytest.mark.parametrize("mesh", [tm.Mesh((5,), (1e-9, 4e-9, 3e-9)), tm.Mesh((3, 2, 4), (1e-9, 2e-9, 3e-9))])
def test_energy_of_a_box(mesh):
    """ZEE-01: E = -B.m Ms V (mumax3, zeemanenergy.mx3)."""
    B, direction = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.36, 0.48, 0.8])
    zeeman = tm.Zeeman(tm.Magnet(mesh, 7e5), B / tm.mu_0)
    expected = -float(B @ direction) * 7e5 * math.prod(mesh.size)
    assert float(zeeman.energy(tm.uniform(mesh, direction))) == pytest.approx(expected, rel=1e-12)


def test_field_with_an_amplitude_in_time():
    """ZEE-01: H(t) = cos(1e9 t) H(x), to the last digit (MicroMagnetic.jl, test_zeeman.jl)."""
    mesh = tm.Mesh((3, 2, 2), (1e-9, 2e-9, 3e-9))
    magnet = tm.Magnet(mesh, 7e5)
    H0 = 1e5 * tm.random(mesh, seed=3)
    m = tm.random(mesh, seed=4)
    zeeman = tm.Zeeman(magnet, lambda t: torch.cos(1e9 * t) * H0)
    for t in (0.0, 0.3e-9, 2.7e-9):
        factor = torch.cos(1e9 * torch.tensor(t, dtype=torch.float64))
        assert torch.equal(zeeman.field(m, t), factor * H0)
        still = tm.Zeeman(magnet, H0).energy(m)
        assert float(zeeman.energy(m, t)) == pytest.approx(float(factor * still), rel=1e-12)


def test_disk_in_a_rotating_field():
    """ZEE-02: disk of 128 nm, 10 mT at 1 GHz, 0.2 ns (mumax3, timedep3.mx3)."""
    mesh = tm.Mesh((32, 32), (4e-9,) * 3, origin=(-64e-9, -64e-9, 0))
    inside = tm.positions(mesh, "cells")[:2].square().sum(0) < 64e-9**2
    magnet = tm.Magnet(mesh, 860e3 * inside)

    def field(t):
        phase = 2 * math.pi * 1e9 * t
        return 0.01 / tm.mu_0 * torch.stack([phase.sin(), phase.cos(), 0 * phase])

    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet) + tm.Zeeman(magnet, field)
    # mumax3's gamma, 1.7595e11 rad/(T s).
    llg = tm.LLG(energy, alpha=0.2, gamma=1.7595e11 * tm.mu_0)
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (1, 1, 0)), [0.0, 0.2e-9], method="bosh3")[-1]
    assert tm.average(m, magnet).tolist() == pytest.approx((0.677357, 0.720192, 0.021216), abs=5e-3)
