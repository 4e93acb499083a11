"""Applied fields: energy, a field in time, a disk in a rotating field."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, at_cells, body, reals, uniform
from torchmag.cases.table import Case, Row, components, relative


@torch.no_grad()
def energy() -> list[Row]:
    """E = -B.m Ms V; H(x, t) = cos(1e9 t) H(x) to the last digit."""
    rows = []
    B, direction = reals((0.1, -0.2, 0.3)), reals((0.36, 0.48, 0.8))
    for name, n, dx in (("1D", (5,), (NM, 4 * NM, 3 * NM)), ("3D", (3, 2, 4), (NM, 2 * NM, 3 * NM))):
        magnet = body(n, dx, 7e5)
        expected = -float(B @ direction) * 7e5 * math.prod(magnet.mesh.size)
        got = tm.Zeeman(magnet, B / tm.mu_0).energy(uniform(magnet, direction))
        rows.append(relative(f"energy of a box, {name}", got, expected, 1e-12, "J"))
    H0, m = (tm.random(magnet.mesh, seed=seed, dtype=torch.float64) for seed in (3, 4))
    driven, still = tm.Zeeman(magnet, lambda t: torch.cos(1e9 * t) * 1e5 * H0), tm.Zeeman(magnet, 1e5 * H0)
    for t in (0.3e-9, 2.7e-9):
        factor = torch.cos(1e9 * reals(t))
        different = int((driven.field(m, t) != factor * 1e5 * H0).sum())
        rows.append(Row(f"numbers of the field that differ, {t * 1e9:g} ns", different, 0.0, 0.5))
        rows.append(relative(f"energy, {t * 1e9:g} ns", driven.energy(m, t), float(factor * still.energy(m)), 1e-12, "J"))
    return rows


@torch.no_grad()
def rotating() -> list[Row]:
    """A disk of 128 nm in 10 mT at 1 GHz, 0.2 ns from (1, 1, 0)."""
    n, dx, origin = (32, 32), (4 * NM,) * 3, (-64 * NM, -64 * NM, 0.0)
    inside = at_cells(body(n, dx, 860e3, origin=origin))[:2].square().sum(0) < (64 * NM) ** 2
    magnet = body(n, dx, 860e3 * inside.double(), origin=origin)

    def field(t):
        phase = 2 * math.pi * 1e9 * t
        return 0.01 / tm.mu_0 * torch.stack([phase.sin(), phase.cos(), 0 * phase])

    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet) + tm.Zeeman(magnet, field)
    # mumax3's 1.7595e11 rad/(T s).
    llg = tm.LLG(energy, alpha=0.2, gamma=1.7595e11 * tm.mu_0)
    m = tm.solve(llg, uniform(magnet, (1, 1, 0)), [0.0, 0.2e-9], method="bosh3")[-1]
    return components("<m_{}> at 0.2 ns", tm.average(m, magnet), (0.677357, 0.720192, 0.021216), 5e-3)


CASES = (
    Case(
        "ZEE-01",
        "energy in a field, a field in time",
        "exact; mumax3 test/zeemanenergy.mx3; MicroMagnetic.jl test_zeeman.jl",
        energy,
    ),
    Case("ZEE-02", "disk in a rotating field", "mumax3 test/timedep3.mx3", rotating),
)
