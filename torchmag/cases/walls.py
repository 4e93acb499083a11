"""Domain walls at rest."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import angles, at_nodes, wire
from torchmag.cases.table import Case, Row


def relaxed_wall(cells: int, h: float, Ms: float, A: float, K: float) -> tuple[Tensor, Tensor]:
    """Positions and m of a wall between +z and -z, from a rough one in the middle."""
    magnet = wire(cells, h, Ms)
    energy = tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, K, (0, 0, 1))
    x = at_nodes(magnet)[0]
    rough = math.pi * torch.clamp(0.5 + (x - cells * h / 2) / (10 * h), 0, 1)
    return x, tm.minimize(energy, angles(rough, axis="z", to="y"), tolerance=1e-9)


def fit(x: Tensor, mz: Tensor) -> tuple[float, float]:
    """x0 and Delta of m_z = -tanh((x - x0) / Delta): the straight line through atanh(-m_z), inside the wall."""
    inside = mz.abs() < 0.9
    x, y = x[inside], torch.atanh(-mz[inside])
    dx, dy = x - x.mean(), y - y.mean()
    width = float((dx * dx).sum() / (dx * dy).sum())
    return float(x.mean()) - width * float(y.mean()), width


@torch.no_grad()
def profile() -> list[Row]:
    """m_z = -tanh((x - x0) / Delta) with Delta = sqrt(A / K)."""
    A, K = 30e-12, 520e3
    x, m = relaxed_wall(500, 504e-9 / 500, 1.4e6, A, K)
    x0, width = fit(x, m[2])
    error = float((m[2] + torch.tanh((x - x0) / math.sqrt(A / K))).abs().max())
    rows = [
        Row("cobalt, cells of 1.008 nm: largest error of m_z", error, 0.0, 9e-4),
        Row("cobalt: A from the fitted width", K * width**2, A, 0.004 * A, "J/m"),
    ]
    A, K = 13e-12, 0.4e6
    x, m = relaxed_wall(100, 1e-9, 8e5, A, K)
    x0, _ = fit(x, m[2])
    core = (x - x0).abs() <= math.sqrt(A / K)
    error = float((m[2] + torch.tanh((x - x0) / math.sqrt(A / K))).abs()[core].mean())
    return [*rows, Row("Delta 5.7 nm, cells of 1 nm: mean error of m_z within the wall", error, 0.0, 2e-3)]


CASES = (
    Case(
        "ANI-07",
        "Bloch wall profile",
        "exact; tolerances of finmag domain_wall_cobalt.py, fidimag test_hubert_minimiser.py",
        profile,
    ),
)
