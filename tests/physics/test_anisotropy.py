"""Uniaxial anisotropy: energy, conservation with a cubic term, domain wall profiles."""

import math

import pytest
import torch

import torchmag as tm


@pytest.mark.parametrize("mesh", [tm.Mesh((4,), (1e-9,) * 3), tm.Mesh((3, 2, 2), (1e-9, 2e-9, 3e-9))])
def test_energy_density_at_17_degrees(mesh):
    """ANI-01: -Ku cos^2 - Ku2 cos^4 (mumax3, uniaxial_full.mx3); zero across the axis."""
    angle, axis, across = math.radians(17), (0.6, 0.0, 0.8), (0.8, 0.0, -0.6)
    direction = [math.cos(angle) * a + math.sin(angle) * b for a, b in zip(axis, across)]
    term = tm.UniaxialAnisotropy(tm.Magnet(mesh, 8e5), 5e5, axis, Ku2=3e5)
    volume = math.prod(mesh.size)
    expected = -5e5 * 0.9145187862775208 - 3e5 * 0.8363446104545097
    assert float(term.energy(tm.uniform(mesh, direction))) / volume == pytest.approx(expected, rel=1e-12)
    assert float(term.energy(tm.uniform(mesh, across))) / volume == pytest.approx(0, abs=1e-12 * 8e5)


class Cubic(tm.LocalEnergy):
    """Cubic anisotropy along the coordinate axes."""

    @staticmethod
    def density(m, Kc1: tm.forms.Scalar):
        return Kc1 * (m[0] ** 2 * m[1] ** 2 + m[1] ** 2 * m[2] ** 2 + m[2] ** 2 * m[0] ** 2)


def test_energy_is_conserved_by_undamped_precession():
    """ANI-05: uniaxial and cubic terms together, |dE| < 1e-5 E over 100 ps (mumax3, anisenergyconservation.mx3)."""
    mesh = tm.Mesh((2, 2, 2), (1e-9,) * 3)
    magnet = tm.Magnet(mesh, 1e6)
    energy = tm.UniaxialAnisotropy(magnet, 1e5, (1, 1, 0)) + Cubic(magnet, 1e3)
    m0 = tm.uniform(mesh, (0.3, 0.7, 0.1))
    t = torch.linspace(0, 1e-10, 11)
    with torch.no_grad():
        m = tm.solve(tm.LLG(energy, alpha=1e-6), m0, t, step=1e-12)
    E = energy.energy(m)
    assert float((m[-1] - m0).abs().max()) > 0.1
    assert float((E / E[0] - 1).abs().max()) < 1e-5


def relaxed_wall(n, h, A, Ku, Ms):
    """A wall between +z and -z in the middle of a wire, relaxed from a linear ramp: x from the wall and m_z, (n + 1)."""
    mesh = tm.Mesh((n,), (h, 1e-9, 1e-9))
    magnet = tm.Magnet(mesh, Ms)
    x = tm.positions(mesh)[0] - n * h / 2
    mz = (-x / (8 * h)).clamp(-1, 1)
    m0 = torch.stack([0 * mz, (1 - mz**2).sqrt(), mz])
    llg = tm.LLG(tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1)), alpha=1.0)
    with torch.no_grad():
        return x, tm.relax(llg, m0, tolerance=1e-6)[2]


def fitted_width(x, mz):
    """Width of -tanh((x - x0) / width) by least squares of artanh over the middle of the wall."""
    inside = mz.abs() < 0.95
    line = torch.stack([x[inside], torch.ones_like(x[inside])], 1)
    slope = torch.linalg.lstsq(line / 1e-9, torch.atanh(-mz[inside])[:, None]).solution[0]
    return 1e-9 / float(slope)


def test_wall_of_cobalt():
    """ANI-07: width sqrt(A / Ku) (finmag, domain_wall_cobalt.py): 504 nm in 500 cells, no demagnetising field."""
    A, Ku = 30e-12, 520e3
    x, mz = relaxed_wall(500, 504e-9 / 500, A, Ku, 1.4e6)
    width = math.sqrt(A / Ku)
    assert width == pytest.approx(7.5955453e-9, rel=1e-7)
    assert float((mz + torch.tanh(x / width)).abs().max()) < 9e-4
    assert fitted_width(x, mz) ** 2 * Ku == pytest.approx(A, rel=4e-3)


def test_wall_of_a_short_wire():
    """ANI-07: 100 cells of 1 nm (fidimag, test_hubert_minimiser.py): mean |dm_z| within a width of the centre."""
    A, Ku = 13e-12, 0.4e6
    x, mz = relaxed_wall(100, 1e-9, A, Ku, 0.86e6)
    width = math.sqrt(A / Ku)
    assert width == pytest.approx(5.70088e-9, rel=1e-6)
    near = x.abs() <= width
    assert float((mz + torch.tanh(x / width)).abs()[near].mean()) < 2e-3
