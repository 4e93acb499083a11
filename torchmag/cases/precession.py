"""The LLG equation: damped and free precession, dissipation and conservation of energy."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, body, reals, uniform
from torchmag.cases.consistency import moments
from torchmag.cases.table import Case, Row, components, relative

GAMMA = 2.211e5


@torch.no_grad()
def damped() -> list[Row]:
    """m = (cos b / cosh ab, sin b / cosh ab, tanh ab), b = gamma H t / (1 + a^2), from m = x in a field along z."""
    magnet = body((1, 1, 1), (NM,) * 3, 8e5)
    alpha, gamma, H, t = 0.1, 2.21e5, 1e5, 1e-9
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, H)), alpha=alpha, gamma=gamma)
    m = tm.solve(llg, uniform(magnet, (1, 0, 0)), [0.0, t], rtol=1e-10, atol=1e-10)[-1].flatten(1)
    beta = gamma * H * t / (1 + alpha**2)
    exact = (math.cos(beta) / math.cosh(alpha * beta), math.sin(beta) / math.cosh(alpha * beta), math.tanh(alpha * beta))
    rows = components("m_{} at 1 ns", m[:, 0], (-0.22013293, 0.02430395, 0.97516707), 1e-6)
    error = float((m - reals(exact)[:, None]).abs().max())
    return [*rows, Row("largest error at the nodes", error, 0.0, 1e-6)]


@torch.no_grad()
def frequency() -> list[Row]:
    """f = gamma B / (2 pi mu_0) at alpha 1e-5; then a square of 80 nm in 1 T whose gamma is doubled half way."""
    rows = []
    for gamma, published in ((GAMMA, 2.800264e9), (1.76085963e11 * tm.mu_0, 2.802495e9)):
        magnet = body((2,), (NM,) * 3, 8e5)
        llg = tm.LLG(tm.Zeeman(magnet, (0, 0, 0.1 / tm.mu_0)), alpha=1e-5, gamma=gamma)
        t = torch.linspace(0, 1e-9, 21, dtype=torch.float64)
        m = tm.solve(llg, uniform(magnet, (1, 0, 1)), t, rtol=1e-9, atol=1e-9)[..., 0]
        turns = (torch.atan2(m[1:, 1], m[1:, 0]) - torch.atan2(m[:-1, 1], m[:-1, 0])).remainder(2 * math.pi)
        rows.append(relative(f"f in 0.1 T, gamma {gamma:.7g} m/(A s)", turns.sum() / (2 * math.pi * 1e-9), published, 1e-4, "Hz"))
    magnet = body((16, 16), (5 * NM,) * 3, 1 / tm.mu_0)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, (0, 0, 1 / tm.mu_0))
    m, gamma = uniform(magnet, (1, 1, 1)), 1.7595e11 * tm.mu_0
    for factor in (1, 2):
        m = tm.solve(tm.LLG(energy, alpha=0.001, gamma=factor * gamma), m, [0.0, 1e-10])[-1]
    mean = tm.average(m, magnet)
    return [*rows, *components("<m_{}>, gamma doubled half way", mean, (-0.286423, -0.746625, 0.597055), 2e-2)]


def everything(n, dx, Ms) -> tm.Sum:
    """Exchange, demagnetising field, both DMI, anisotropy and an applied field."""
    magnet = body(n, dx, Ms)
    return (
        tm.Exchange(magnet, 1.3e-11)
        + tm.Demag(magnet)
        + tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1))
        + tm.BulkDMI(magnet, 1e-3)
        + tm.UniaxialAnisotropy(magnet, 3e5, reals((0, 0.6, 0.8)))
        + tm.Zeeman(magnet, (2e4, -1e4, 3e4))
    )


@torch.no_grad()
def dissipation() -> list[Row]:
    """dE/dt = -alpha gamma mu_0 / (1 + alpha^2) sum_n moment |m x H|^2, by a central difference from a random state."""
    rows, dt = [], 1e-15
    for n in ((5, 4), (4, 3, 2)):
        Ms = 8e5 * (0.5 + torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
        energy = everything(n, (5 * NM,) * 3, Ms)
        for alpha in (0.02, 0.5):
            llg = tm.LLG(energy, alpha=alpha, gamma=GAMMA)
            m = tm.solve(llg, tm.random(energy.mesh, seed=5, dtype=torch.float64), [0.0, dt, 2 * dt], step=dt)
            rate = float(energy.energy(m[2]) - energy.energy(m[0])) / (2 * dt)
            torque = torch.linalg.cross(m[1], energy.field(m[1]), dim=0).square().sum(0)
            expected = -alpha * GAMMA * tm.mu_0 / (1 + alpha**2) * float((moments(energy.magnet) * torque).sum())
            rows.append(relative(f"dE/dt, {len(n)}D, alpha {alpha:g}", rate, expected, 1e-4, "W"))
    return rows


@torch.no_grad()
def conservation() -> list[Row]:
    """The energy over 1 ns from a random state without damping, every term on."""
    energy = everything((4, 3), (10 * NM, 10 * NM, 5 * NM), 8e5)
    m = tm.random(energy.mesh, seed=6, dtype=torch.float64)
    m = tm.solve(tm.LLG(energy, alpha=0.0, gamma=GAMMA), m, [0.0, 0.5e-9, 1e-9], rtol=1e-7, atol=1e-7)
    E = energy.energy(m)
    return [
        Row("largest |dE / E|", float((E / E[0] - 1).abs().max()), 0.0, 1e-6),
        Row("largest change of m, for comparison", float((m[-1] - m[0]).abs().max()), 0.0, None),
    ]


CASES = (
    Case("LLG-01", "damped precession", "Mallinson, IEEE Trans. Magn. 23, 2003, exact; fidimag tests/test_llg.py", damped),
    Case("LLG-03", "Larmor frequency, gamma doubled half way", "exact; mumax3 test/gammaLL.mx3", frequency, seconds=2),
    Case("LLG-04", "dissipation by damping", "exact, from the LLG equation", dissipation),
    Case("LLG-04c", "energy kept without damping", "exact, from the LLG equation", conservation, seconds=12),
)
