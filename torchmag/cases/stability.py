"""Known minima and saddles."""

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

import torchmag as tm
from torchmag.cases.bodies import NM, angles, at_cells, at_nodes, body, uniform, wire
from torchmag.cases.table import Case, Row, relative

MS, A, KU = 8e5, 13e-12, 1e5
HK = 2 * KU / (tm.mu_0 * MS)


def spin(H, m, *terms) -> tuple[tm.Energy, Tensor]:
    """A cube of 5 nm in a field."""
    magnet = body((1, 1, 1), (5 * NM,) * 3, MS)
    energy = tm.Exchange(magnet, A) + tm.Zeeman(magnet, H)
    for make, *parameters in terms:
        energy = energy + make(magnet, *parameters)
    return energy, uniform(magnet, m)


def cuboid(m) -> tuple[tm.Energy, Tensor]:
    """One cell of 60 x 20 x 5 nm with its stray field."""
    magnet = body((1, 1, 1), (60 * NM, 20 * NM, 5 * NM), MS)
    return tm.Exchange(magnet, 100 * A) + tm.Demag(magnet), uniform(magnet, m)


def film(m) -> tuple[tm.Energy, Tensor]:
    """100 x 50 x 5 nm, relaxed from a uniform state, whose symmetry stays."""
    magnet = body((20, 10), (5 * NM,) * 3, MS)
    energy = tm.Exchange(magnet, A) + tm.Demag(magnet)
    return energy, tm.minimize(energy, uniform(magnet, m))


def wall(bump: float, to: str = "y", plane: float = 0.0) -> tuple[tm.Energy, Tensor]:
    """A wall of easy axis z at the middle of 200 nm, where Ku is higher by a part; `plane`: energy of m along x."""
    magnet = wire(100, 2 * NM, MS)
    x = at_cells(magnet)[0] - 100 * NM
    Ku = KU * (1 + bump * torch.exp(-((x / (10 * NM)) ** 2)))
    energy = tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1))
    energy = energy + tm.UniaxialAnisotropy(magnet, -plane, (1, 0, 0))
    theta = 2 * torch.atan(torch.exp((at_nodes(magnet)[0] - 100 * NM) / math.sqrt(A / KU)))
    return energy, tm.minimize(energy, angles(theta, axis="z", to=to))


def chiral(D: float, Ku: float, helix: bool = False) -> tuple[tm.Energy, Tensor]:
    """A ring of 120 nm along x with bulk DMI: uniform along its easy axis x, or a helix of the same length."""
    magnet = wire(60, 2 * NM, MS, periodic=True)
    energy = tm.Exchange(magnet, A) + tm.BulkDMI(magnet, D) + tm.UniaxialAnisotropy(magnet, Ku, (1, 0, 0))
    turn = 2 * math.pi * at_nodes(magnet)[0] / (120 * NM)
    return energy, tm.minimize(energy, angles(turn, axis="y", to="z")) if helix else uniform(magnet, (1, 0, 0))


def disk(bump: float) -> tuple[tm.Energy, Tensor]:
    """A vortex in a disk of 100 x 10 nm; `bump`: J/m^3 of an easy plane where its core is."""
    mesh = tm.Mesh((20, 20), (5 * NM, 5 * NM, 10 * NM), origin=(-50 * NM, -50 * NM, 0.0))
    x, y, _ = tm.positions(mesh, "cells", dtype=torch.float64)
    magnet = tm.Magnet(mesh, MS, x**2 + y**2 < (50 * NM) ** 2, dtype=torch.float64)
    Ku = -bump * torch.exp(-(x**2 + y**2) / (8 * NM) ** 2)
    energy = tm.Exchange(magnet, A) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1))
    x, y, _ = at_nodes(magnet)
    return energy, tm.minimize(energy, normalize(torch.stack([-y, x, torch.full_like(x, 10 * NM)]), dim=0))


AXIAL, CUBIC = (tm.UniaxialAnisotropy, KU, (0, 0, 1)), (tm.CubicAnisotropy, KU, (1, 0, 0), (0, 1, 0))
NONE = (0.0, 0.0, 0.0)
MINIMA = {
    "spin along a field": lambda: spin((0, 0, 8e4), (0, 0, 1)),
    "easy axis": lambda: spin(NONE, (0, 0, 1), AXIAL),
    "easy axis, reversed field of 0.9 H_K": lambda: spin((0, 0, -0.9 * HK), (0, 0, 1), AXIAL),
    "hard axis, field of 1.1 H_K": lambda: spin((1.1 * HK, 0, 0), (1, 0, 0), AXIAL),
    "cubic, Kc1 > 0, along 100": lambda: spin(NONE, (1, 0, 0), CUBIC),
    "cubic, Kc1 < 0, along 111": lambda: spin(NONE, (1, 1, 1), (tm.CubicAnisotropy, -KU, (1, 0, 0), (0, 1, 0))),
    "cuboid along its long edge": lambda: cuboid((1, 0, 0)),
    "film along its long edge": lambda: film((1, 0, 0)),
    "wall where Ku is low": lambda: wall(-0.3, plane=2e4),
    "uniform ring with weak DMI": lambda: chiral(1e-3, KU),
    "helix of a chiral magnet": lambda: chiral(4 * math.pi * A / (120 * NM), 0.0, helix=True),
    "vortex in a disk": lambda: disk(0.0),
}
SADDLES = {
    "spin against a field": lambda: spin((0, 0, -8e4), (0, 0, 1)),
    "spin tilted by 1e-6 from there": lambda: spin((0, 0, -8e4), (1e-6, 0, 1)),
    "easy axis, reversed field of 1.1 H_K": lambda: spin((0, 0, -1.1 * HK), (0, 0, 1), AXIAL),
    "hard axis, field of 0.9 H_K": lambda: spin((0.9 * HK, 0, 0), (1, 0, 0), AXIAL),
    "cubic, Kc1 > 0, along 110": lambda: spin(NONE, (1, 1, 0), CUBIC),
    "cubic, Kc1 > 0, along 111": lambda: spin(NONE, (1, 1, 1), CUBIC),
    "cuboid along its short edge": lambda: cuboid((0, 0, 1)),
    "film along its short edge": lambda: film((0, 1, 0)),
    "wall where Ku is high": lambda: wall(0.3, plane=2e4),
    "wall that turns through the hard axis": lambda: wall(-0.3, to="x", plane=2e4),
    "uniform ring with strong DMI": lambda: chiral(3e-3, 2e4),
    "vortex with its core on a bump": lambda: disk(1e6),
}


@torch.no_grad()
def known() -> list[Row]:
    """1 for stable, 0 for not."""
    rows = []
    for name, make, expected in [(n, f, 1) for n, f in MINIMA.items()] + [(n, f, 0) for n, f in SADDLES.items()]:
        energy, m = make()
        rows.append(Row(name, int(tm.stability(energy, m).stable), expected, 0.5))
    return rows


@torch.no_grad()
def curvatures() -> list[Row]:
    """Along easy and hard axis, and of a uniform chiral ring: 2 (Ku + A k^2 - D k) / (mu_0 Ms) at the best whole number of waves."""
    rows, unit = [], tm.mu_0 * MS
    for name, (energy, m), expected in (
        ("easy axis", spin(NONE, (0, 0, 1), AXIAL), 2 * KU / unit),
        ("hard axis", spin(NONE, (1, 0, 0), AXIAL), -2 * KU / unit),
        ("against a field", spin((0, 0, -8e4), (0, 0, 1)), -8e4),
        (
            "uniform chiral ring",
            chiral(1e-3, KU),
            2 * min(KU + A * k * k - 1e-3 * k for k in (2 * math.pi * n / (120 * NM) for n in range(5))) / unit,
        ),
    ):
        got = float(tm.stability(energy, m).curvatures[0])
        rows.append(relative(f"lowest curvature, {name}", got, expected, 1e-6, "A/m"))
    return rows


CASES = (
    Case("STA-01", "twelve minima and twelve saddles told apart", "symmetry, Stoner-Wohlfarth, Brown", known, seconds=15),
    Case("STA-02", "lowest curvatures", "exact", curvatures),
)
