"""Magnetisation in motion: a bar that relaxes, a wall that runs."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import at_nodes, batch, body, compiled, fields, uniform, wire
from torchmag.cases.table import Case, Row

# The bar at 50 and 300 ps by nmag (finite elements) and OOMMF (cells of 2.5 nm): <m>, E / V of exchange and demag in J/m^3.
BAR = {
    50: (((-0.017763, 0.204654, 0.933844), 8166.0, 57018.0), ((-0.015525, 0.203667, 0.934189), 8069.5, 57986.9)),
    300: (((0.012356, -0.010602, 0.993582), 2566.6, 51802.0), ((0.012514, -0.011555, 0.993993), 2436.0, 52959.0)),
}


@torch.no_grad()
def bar() -> list[Row]:
    """A bar from (1, 0, 1): within 3e-3 of the interval that nmag and OOMMF span, demag energy 2 %, exchange energy 8 %."""
    magnet = body((12, 12, 40), (2.5e-9,) * 3, 0.86e6)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    llg = tm.LLG(energy, alpha=0.5, gamma=2.210173e5)
    t = torch.tensor([0.0, 50e-12, 150e-12, 300e-12], dtype=torch.float64)
    m = tm.solve(llg, uniform(magnet, (1, 0, 1)), t, method="bosh3")
    mean, parts = tm.average(m, magnet), energy.energies(m)
    volume = math.prod(magnet.mesh.size)
    rows = []
    for ps, index in ((50, 1), (300, 3)):
        (nmag, *nmag_energies), (oommf, *oommf_energies) = BAR[ps]
        for i, axis in enumerate("xyz"):
            rows.append(_between(f"<m_{axis}> at {ps} ps", float(mean[index, i]), [nmag[i], oommf[i]], 3e-3))
        for name, share, *known in zip(("exchange", "demag"), (0.08, 0.02), nmag_energies, oommf_energies):
            got = float(parts[name][index]) / volume
            rows.append(_between(f"E {name} / V at {ps} ps", got, known, share * max(known), "J/m^3"))
    for i, (axis, value) in enumerate(zip("xyz", (-0.065089, 0.020350, 0.987666))):
        rows.append(Row(f"<m_{axis}> at 150 ps, nmag", float(mean[2, i]), value, None))
    return rows


def _between(name, got, values, tolerance, unit="1"):
    middle, half = (max(values) + min(values)) / 2, (max(values) - min(values)) / 2
    return Row(name, got, middle, half + tolerance, unit)


WALL = {"A": 13e-12, "K": 5e5, "K_hard": 1e5, "Ms": 8e5, "alpha": 0.02, "gamma": 2.211e5}


def walker(part: float) -> tuple[float, float]:
    """Angle to the easy plane, rad, and velocity, m/s, of a wall at `part` of the Walker field alpha K_hard / (mu_0 Ms)."""
    p = WALL
    angle = math.asin(part) / 2
    width = math.sqrt(p["A"] / (p["K"] + p["K_hard"] * math.sin(angle) ** 2))
    return angle, p["gamma"] * width * part * p["K_hard"] / (tm.mu_0 * p["Ms"])


def start(magnet: tm.Magnet, angle: Tensor, position: float) -> Tensor:
    """Walls between +z and -z whose middle lies at these angles (B, 1) from y towards -x, where a field along +z turns it."""
    u = (at_nodes(magnet)[0] - position) / math.sqrt(WALL["A"] / WALL["K"])
    across = (1 / torch.cosh(u)).expand(len(angle), -1)
    return torch.stack([-across * torch.sin(angle), across * torch.cos(angle), -torch.tanh(u).expand_as(across)], -2)


@torch.no_grad()
def wall_motion() -> list[Row]:
    """sin(2 phi) = H / H_W, v = gamma Delta(phi) H / alpha: three fields as one batch, over the last of 4 ns.

    Started at the steady angles.  What would drift does so within 2 ns: 1 / (2 alpha gamma K_hard cos(2 phi) / (mu_0 Ms)).
    """
    p, parts, length = WALL, (0.25, 0.5, 0.75), 600e-9
    magnet = wire(round(length / 1e-9), 1e-9, p["Ms"])
    H_walker = p["alpha"] * p["K_hard"] / (tm.mu_0 * p["Ms"])
    energy = tm.Sum(
        exchange=tm.Exchange(magnet, p["A"]),
        easy=tm.UniaxialAnisotropy(magnet, p["K"], (0, 0, 1)),
        hard=tm.UniaxialAnisotropy(magnet, -p["K_hard"], (1, 0, 0)),
        zeeman=tm.Zeeman(magnet, fields([part * H_walker for part in parts], (0, 0, 1))),
    )
    llg = compiled(tm.LLG(energy, alpha=p["alpha"], gamma=p["gamma"]))
    m = start(magnet, batch([walker(part)[0] for part in parts]), 100e-9)
    t = torch.cat([torch.zeros(1), torch.linspace(3e-9, 4e-9, 21)]).double()
    mean = tm.average(tm.solve(llg, m, t, method="bosh3"), magnet)[1:]  # (T, B, 3)
    since = t[1:, None] - t[1:].mean()
    velocity = length / 2 * (since * mean[..., 2]).sum(0) / (since * since).sum()
    angle = torch.atan2(-mean[..., 0], mean[..., 1]).mean(0)
    rows = []
    for part, phi, v in zip(parts, angle.tolist(), velocity.tolist()):
        exact_phi, exact_v = walker(part)
        rows.append(Row(f"angle at {part:g} H_W", math.degrees(phi), math.degrees(exact_phi), 0.3, "degrees"))
        rows.append(Row(f"velocity at {part:g} H_W", v, exact_v, 0.01 * exact_v, "m/s"))
    return rows


CASES = (
    Case(
        "LLG-09", "bar 30x30x100 nm relaxes", "nmag and OOMMF (finmag examples/exchange_demag; cells of 2.5 nm)", bar, seconds=6
    ),
    Case("DWM-01", "wall below the Walker field", "Schryer and Walker, J. Appl. Phys. 45, 5406, exact", wall_motion, seconds=60),
)
