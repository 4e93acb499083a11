"""Anisotropy: energy, conservation with a cubic term, balance with an applied field."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, body, reals, uniform
from torchmag.cases.table import Case, Row, relative


@torch.no_grad()
def density() -> list[Row]:
    """-Ku cos^2 - Ku2 cos^4 at 17 degrees from the axis, 0 across it."""
    angle, axis, across = math.radians(17), (0.6, 0.0, 0.8), (0.8, 0.0, -0.6)
    direction = [math.cos(angle) * a + math.sin(angle) * b for a, b in zip(axis, across)]
    rows, expected = [], -5e5 * 0.9145187862775208 - 3e5 * 0.8363446104545097
    for name, n, dx in (("1D", (4,), (NM,) * 3), ("3D", (3, 2, 2), (NM, 2 * NM, 3 * NM))):
        magnet = body(n, dx, 8e5)
        term, volume = tm.UniaxialAnisotropy(magnet, 5e5, reals(axis), Ku2=3e5), math.prod(magnet.mesh.size)
        w = [float(term.energy(uniform(magnet, m))) / volume for m in (direction, across)]
        rows.append(relative(f"w at 17 degrees, {name}", w[0], expected, 1e-12, "J/m^3"))
        rows.append(Row(f"w at 90 degrees, {name}", w[1], 0.0, 1e-12 * 8e5, "J/m^3"))
    return rows


@torch.no_grad()
def conservation() -> list[Row]:
    """A uniaxial and a cubic term, alpha 1e-6, 100 ps from (0.3, 0.7, 0.1)."""
    magnet = body((2, 2, 2), (NM,) * 3, 1e6)
    cubic = tm.CubicAnisotropy(magnet, 1e3, (1, 0, 0), (0, 1, 0))
    energy = tm.UniaxialAnisotropy(magnet, 1e5, (1, 1, 0)) + cubic
    m = tm.solve(tm.LLG(energy, alpha=1e-6), uniform(magnet, (0.3, 0.7, 0.1)), [i * 1e-11 for i in range(11)], step=1e-12)
    E = energy.energy(m)
    moved = float((m[-1] - m[0]).abs().max())
    return [
        Row("largest |dE / E|", float((E / E[0] - 1).abs().max()), 0.0, 1e-5),
        Row("largest change of m, for comparison", moved, 0.0, None),
    ]


# Ku, axis, fields in T, the component, its values at them.
FILMS = (
    (0.5e6, (1, 0, 0), [(0, B, 0) for B in (0, 0.01, 0.03, 0.1, 0.3)], "y", (0, 0.011, 0.033, 0.110, 0.331)),
    (-0.5e6, (1, 0, 0), [(B, 0, 0) for B in (0, 0.01, 0.1)], "x", (0, 0.011, 0.110)),
    (-1e6, (0, 0, 1), [(0, 0, 0)], "z", (0,)),
)


@torch.no_grad()
def against_field() -> list[Row]:
    """A film of 256 x 256 x 2 nm with its demagnetising field turns from the easy axis into a field across it."""
    rows = []
    for Ku, axis, B, component, expected in FILMS:
        magnet = body((64, 64, 1), (4 * NM, 4 * NM, 2 * NM), 1.1e6)
        energy = tm.Exchange(magnet, 13e-12) + tm.UniaxialAnisotropy(magnet, Ku, axis) + tm.Demag(magnet)
        mean = tm.average(tm.hysteresis(energy, uniform(magnet, (1, 1, 0)), reals(B) / tm.mu_0), magnet)
        kind = f"Ku {Ku:g} along {'xyz'[axis.index(1)]}"
        if Ku == -0.5e6:
            rows.append(Row(f"|<m_y>|, {kind}, 0 T", float(mean[0, 1].abs()), 1.0, 1e-3))
        for field, got, value in zip(B, mean[:, "xyz".index(component)].tolist(), expected):
            rows.append(Row(f"<m_{component}>, {kind}, {max(field):g} T", got, value, 1e-3))
    return rows


CASES = (
    Case("ANI-01", "uniaxial anisotropy of first and second order", "exact; mumax3 test/uniaxial_full.mx3", density),
    Case("ANI-03", "uniaxial anisotropy against field", "OOMMF via mumax3 test/uniaxialanisotropy.mx3", against_field, seconds=2),
    Case("ANI-05", "energy kept by free precession", "exact; mumax3 test/anisenergyconservation.mx3", conservation, seconds=2),
)
