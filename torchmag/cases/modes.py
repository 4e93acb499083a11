"""Eigenmodes: frequencies beside formulas, published lines, and ringing."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import body, fields, uniform, wire
from torchmag.cases.table import Case, Row, relative

GAMMA = 2.211e5  # m/(A s), of the published numbers
MS = 8e5
# Edges in nm, and demagnetising factors by Aharoni, J. Appl. Phys. 83, 3432.
SHAPES = (
    ((20, 10, 10), (0.19831615278884, 0.40084192360558, 0.40084192360558)),
    ((20, 20, 2), (0.09746118317956, 0.09746118317956, 0.80507763364088)),
    ((60, 60, 20), (0.20529195172444, 0.20529195172444, 0.58941609655113)),
)


@torch.no_grad()
def kittel() -> list[Row]:
    """f = gamma / 2 pi sqrt((H + (N_b - N_a) Ms) (H + (N_c - N_a) Ms)) of one cell, H along a."""
    H, rows = 1e6, []
    for edges, N in SHAPES:
        magnet = body((1, 1, 1), [edge * 1e-9 for edge in edges], MS)
        for a, axis in enumerate("xyz"):
            along = [float(b == a) for b in range(3)]
            energy = tm.Exchange(magnet, 1e-9) + tm.Demag(magnet) + tm.Zeeman(magnet, fields([H], along, dim=3)[0])
            f = tm.eigenmodes(tm.LLG(energy, 0.0, gamma=GAMMA), uniform(magnet, along), 1).frequencies.real
            b, c = (N[other] - N[a] for other in range(3) if other != a)
            expected = GAMMA / (2 * math.pi) * math.sqrt((H + b * MS) * (H + c * MS))
            rows.append(relative(f"f, {'x'.join(map(str, edges))} nm, H along {axis}", f, expected, 1e-8, "Hz"))
    return rows


def exchange_modes(cells: int, order: int, count: int, periodic: bool = False) -> list[float]:
    """Of a film of 100 nm magnetised across, 100 kA/m, unpinned; or of a ring: Hz."""
    magnet = wire(cells, 100e-9 / cells, MS, order=order, periodic=periodic)
    llg = tm.LLG(tm.Exchange(magnet, 13e-12) + tm.Zeeman(magnet, (1e5, 0, 0)), 0.0, gamma=GAMMA)
    return tm.eigenmodes(llg, uniform(magnet, (1, 0, 0)), count).frequencies.real.tolist()


@torch.no_grad()
def film() -> list[Row]:
    """f = gamma / 2 pi (H + 2 A / (mu_0 Ms) k^2): k = n pi / L in a film, 2 n pi / L in a ring.  On nodes k^2 is (2 s / h)^2 with
    s = sin(k h / 2) to order 2; to order 6, away from edges, the series of asin s to s^5 stands for s."""
    L, cells, stiffness, rows = 100e-9, 20, 2 * 13e-12 / (tm.mu_0 * MS), []
    law = lambda k2: GAMMA / (2 * math.pi) * (1e5 + stiffness * k2)
    for name, order, periodic in (("film, order 2", 2, False), ("ring, order 2", 2, True), ("ring, order 6", 6, True)):
        found = exchange_modes(cells, order, 11, periodic)
        for n in (0, 1, 2, 5):
            s = math.sin((1 + periodic) * n * math.pi / (2 * cells))
            slope = s if order == 2 else s + s**3 / 6 + 3 * s**5 / 40
            got = found[2 * n if periodic else n]
            rows.append(relative(f"f_{n}, {name}, law of the nodes", got, law((2 * slope * cells / L) ** 2), 1e-9, "Hz"))
    exact = law((3 * math.pi / L) ** 2)
    for order, expected in ((2, 2), (6, 3)):
        coarse, fine = (exchange_modes(cells * part, order, 4)[3] for part in (1, 2))
        rows.append(relative(f"f_3, film, order {order}, h = 2.5 nm", fine, exact, {2: 5e-3, 6: 3e-4}[order], "Hz"))
        got = math.log2(abs((coarse - exact) / (fine - exact)))
        rows.append(Row(f"power of h in the error of f_3, film, order {order}", got, expected, 0.1))
    return rows


def ringing(llg: tm.LLG, m: Tensor, v: Tensor, f: complex) -> complex:
    """Frequency of a free motion that begins along a mode, Hz: the slope of the logarithm of its symplectic product with the mode."""
    mass = (llg.energy.magnet.complete(llg.energy.magnet.prepare())["mass"]).unsqueeze(0)
    t = torch.linspace(0, 2 / f.real, 41, dtype=torch.float64)
    start = m + 1e-4 * v.real / v.abs().max()
    moved = tm.solve(llg, torch.nn.functional.normalize(start, dim=0), t, rtol=1e-9, atol=1e-9) - m
    part = (mass * 1j * torch.linalg.cross(m.expand_as(v).to(v), v.conj(), dim=0) * moved).sum((1, 2, 3, 4))
    logarithm = torch.complex(part.abs().log(), torch.cat([t[:1], torch.angle(part[1:] / part[:-1]).cumsum(0)]))
    time = t - t.mean()
    return complex(-1j * (time * logarithm).sum() / (time * time).sum()) / (2 * math.pi)


@torch.no_grad()
def resonance() -> list[Row]:
    """The film of FMR-01: 120 x 120 x 10 nm, cells of 5 nm, 80 kA/m along (1, 0.7, 0), alpha 0.008; no ring-down of 20 ns is needed."""
    magnet = body((24, 24, 2), (5e-9,) * 3, MS)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    energy = energy + tm.Zeeman(magnet, fields([8e4 / math.hypot(1, 0.7)], (1, 0.7, 0), dim=3)[0])
    llg = tm.LLG(energy, 0.008, gamma=2.210173e5)
    m = tm.minimize(energy, uniform(magnet, (1, 0.7, 0)), tolerance=1e-8)
    modes = tm.eigenmodes(llg, m, 12)
    f = modes.frequencies
    seen = tm.average(modes.vectors.real, magnet)[:, 1].square() + tm.average(modes.vectors.imag, magnet)[:, 1].square()
    rows = []
    for name, published, low, high in (("main", 8.25e9, 7.5e9, 9e9), ("second", 11.25e9, 10.5e9, 12e9)):
        k = int(torch.where((f.real > low) & (f.real < high), seen, -1).argmax())
        got = complex(f[k])
        rows.append(relative(f"{name} line, published", got.real, published, 1e-2, "Hz"))
        rung = ringing(llg, m, modes.vectors[k], got)
        rows.append(relative(f"{name} line, beside its ringing", got.real, rung.real, 1e-3, "Hz"))
        rows.append(relative(f"half width of the {name} line, beside its ringing", got.imag, rung.imag, 1e-2, "Hz"))
        window = got.real + torch.linspace(-0.4, 0.4, 9, dtype=torch.float64) * got.imag
        power = tm.response(llg, m, (0.0, 1.0, 0.0), window).power
        rows.append(relative(f"{name} line, peak of the response", peak(window, power), got.real, 1e-3, "Hz"))
    return rows


def peak(x: Tensor, y: Tensor) -> float:
    """Of the parabola through all points."""
    u = (x - x.mean()) / (x[-1] - x[0])
    a, b, _ = (
        torch.linalg.lstsq(torch.stack([u * u, u, torch.ones_like(u)], -1), (y / y.max()).unsqueeze(-1)).solution[:, 0].tolist()
    )
    return float(x.mean() - b / (2 * a) * (x[-1] - x[0]))


CASES = (
    Case(
        "MOD-01", "Kittel frequencies of single cells by eigenmodes", "Kittel, Phys. Rev. 73, 155; Aharoni, JAP 83, 3432", kittel
    ),
    Case("MOD-02", "exchange modes through a film", "exact on the nodes; (n pi / L)^2", film),
    Case(
        "MOD-03",
        "ferromagnetic resonance of a film (modes, response)",
        "OOMMF, Baker et al., J. Magn. Magn. Mater. 421, 428; own ringing",
        resonance,
        seconds=30,
    ),
)
