"""Small oscillations: exchange spin waves, ferromagnetic resonance."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import at_nodes, batch, body, fields, uniform, wire
from torchmag.cases.table import Case, Row

GAMMA = 2.211e5  # m/(A s), of the published numbers
MS = 8e5


def phase_rate(t: Tensor, z: Tensor) -> Tensor:
    """|d phase / dt| of complex amplitudes z (T, B): the straight line through the unwrapped phase."""
    step = torch.angle(z[1:] / z[:-1])
    phase = torch.cat([torch.zeros_like(step[:1]), step.cumsum(0)])
    t = (t - t.mean())[:, None]
    return ((t * phase).sum(0) / (t * t).sum()).abs()


@torch.no_grad()
def dispersion() -> list[Row]:
    """omega = gamma (H + 2A / (mu_0 Ms) (2 - 2 cos kh) / h^2) to order 2: waves of 628 nm over a whole number, on cells of 4 nm."""
    A, B, cells, h = 13e-12, 0.2, 157, 4e-9
    magnet = wire(cells, h, MS, periodic=True, order=2)
    llg = tm.LLG(tm.Exchange(magnet, A) + tm.Zeeman(magnet, (B / tm.mu_0, 0, 0)), alpha=0.0, gamma=GAMMA)
    x = at_nodes(magnet)[0]
    turns = (0, 5, 10, 20, 40)  # k = 0, and close to 5e7, 1e8, 2e8, 4e8 rad/m
    k = 2 * math.pi * batch(turns) / (cells * h)
    tilt = 0.01
    m0 = torch.stack([torch.full_like(k * x, math.sqrt(1 - tilt**2)), tilt * torch.cos(k * x), tilt * torch.sin(k * x)], -2)
    t = torch.linspace(0, 5e-11, 51, dtype=torch.float64)
    m = tm.solve(llg, m0, t, rtol=1e-8, atol=1e-8)  # (T, B, 3, nodes)
    wave = torch.complex(m[:, :, 1], m[:, :, 2]) * torch.exp(-1j * k * x)
    f = phase_rate(t, wave.mean(-1)) / (2 * math.pi)
    rows = []
    for turn, got in zip(turns, f.tolist()):
        q = 2 * math.pi * turn / (cells * h)
        stiffness = 2 * A / (tm.mu_0 * MS)
        discrete = GAMMA * (B / tm.mu_0 + stiffness * (2 - 2 * math.cos(q * h)) / h**2) / (2 * math.pi)
        continuum = GAMMA * (B / tm.mu_0 + stiffness * q**2) / (2 * math.pi)
        rows.append(Row(f"f at k = {q:.3g} rad/m", got, discrete, 2e-3 * discrete, "Hz"))
        if turn:
            rows.append(Row(f"f at k = {q:.3g} rad/m, continuum", got, continuum, None, "Hz"))
    return rows


def kittel_frequency(size, B: list[float], pbc=(0, 0, 0)) -> list[float]:
    """Frequencies of one cell after a small tilt, B along x, Hz."""
    magnet = body((1, 1), size, MS, pbc=pbc)
    energy = tm.Demag(magnet) + tm.Zeeman(magnet, fields([b / tm.mu_0 for b in B], (1, 0, 0), dim=2))
    t = torch.linspace(0, 5e-10, 501, dtype=torch.float64)
    m = tm.solve(tm.LLG(energy, alpha=0.0, gamma=GAMMA), uniform(magnet, (1, 1e-3, 0)), t, rtol=1e-9, atol=1e-9)
    return [crossing_frequency(t, my) for my in tm.average(m, magnet)[..., 1].T]


def crossing_frequency(t: Tensor, y: Tensor) -> float:
    """From the first to the last zero, found by straight lines between samples."""
    i = (y[1:] * y[:-1] < 0).nonzero()[:, 0]
    zeros = t[i] + (t[i + 1] - t[i]) * y[i] / (y[i] - y[i + 1])
    return (len(zeros) - 1) / 2 / float(zeros[-1] - zeros[0])


@torch.no_grad()
def kittel() -> list[Row]:
    """f = gamma / 2 pi sqrt((H + (Ny - Nx) Ms) (H + (Nz - Nx) Ms)), N by Aharoni."""
    film = (math.inf, math.inf, 0)
    bodies = (
        ("500x125x3 nm", (500e-9, 125e-9, 3e-9), (0, 0, 0), {0.05: 7.872161e9, 0.1: 10.304472e9, 0.5: 24.515679e9}),
        ("infinite film", (1e-8, 1e-8, 3e-9), film, {0.05: 6.432414e9, 0.1: 9.309814e9, 0.5: 24.293883e9}),
        ("100x100x10 nm", (100e-9, 100e-9, 10e-9), (0, 0, 0), {0.2: 11.955349e9}),
    )
    rows = []
    for name, size, pbc, expected in bodies:
        for B, f in zip(expected, kittel_frequency(size, list(expected), pbc)):
            rows.append(Row(f"f, {name}, {B:g} T", f, expected[B], 1e-3 * expected[B], "Hz"))
    return rows


def line(t: Tensor, y: Tensor, low: float, high: float) -> tuple[float, float]:
    """Frequency, Hz, and power of the highest peak of y (T,) between two frequencies; zeros make the spectrum eight times as dense."""
    power = torch.fft.rfft(y - y.mean(), n=8 * len(y)).abs() ** 2
    f = torch.fft.rfftfreq(8 * len(y), float(t[1] - t[0]), dtype=torch.float64)
    inside = (f > low) & (f < high)
    peak = int(power[inside].argmax())
    return float(f[inside][peak]), float(power[inside][peak])


@torch.no_grad()
def ring_down() -> list[Row]:
    """120 x 120 x 10 nm in 80 kA/m, turned from (1, 0.715, 0) to (1, 0.7, 0): 20 ns every 5 ps, cells of 5 nm.

    The second line lies 1 % low on these cells, beyond the 0.1 GHz of the first: shown.
    """
    magnet = body((24, 24, 2), (5e-9,) * 3, MS)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    before, after = (energy + tm.Zeeman(magnet, fields([8e4 / math.hypot(1, y)], (1, y, 0), dim=3)[0]) for y in (0.715, 0.7))
    llg = tm.LLG(after, alpha=0.008, gamma=2.210173e5)
    t = torch.arange(0, 4001, dtype=torch.float64) * 5e-12
    m = tm.minimize(before, uniform(magnet, (1, 0.715, 0)))
    my = tm.average(tm.solve(llg, m, t, method="bosh3"), magnet)[1:, 1]
    main, high = line(t, my, 1e9, 20e9)
    second, low = line(t, my, 10.5e9, 11.7e9)
    return [
        Row("main line of <m_y>", main, 8.25e9, 0.1e9, "Hz"),
        Row("second line of <m_y>", second, 11.25e9, None, "Hz"),
        Row("power of the second line over the main one", low / high, 0.04, None),
    ]


CASES = (
    Case(
        "SWD-01",
        "dispersion of exchange spin waves",
        "exact on cells of 4 nm; mumax+ examples/spinwave_dispersion.py",
        dispersion,
    ),
    Case(
        "FMR-03",
        "Kittel frequency of a cuboid and a film",
        "Kittel, Phys. Rev. 73, 155; Aharoni, JAP 83, 3432",
        kittel,
        seconds=2,
    ),
    Case(
        "FMR-01",
        "ferromagnetic resonance of a film (ring-down)",
        "OOMMF, Baker et al., J. Magn. Magn. Mater. 421, 428",
        ring_down,
        seconds=80,
    ),
)
