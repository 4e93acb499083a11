"""The Hopf index of a closed twisted ring."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, at_nodes, body
from torchmag.cases.table import Case, Row


def hopfion(cells: int, ring: float, tube: float, turns: int = 1) -> tuple[tm.Magnet, Tensor]:
    """A ring of radius `ring` in the middle of a cube of edge 1, m = z outside its tube: mumax3's HopfionCompactSupport.

    In the tube the polar angle is pi exp(1 - 1 / (1 - (rho / tube)^2)); its azimuth turns once around the tube and `turns`
    times along the ring.
    """
    magnet = body((cells,) * 3, (NM / cells,) * 3, 1e6)
    x, y, z = at_nodes(magnet) / NM - 0.5
    psi, across = torch.atan2(y, x), torch.hypot(x, y) - ring
    square = (across**2 + z**2) / tube**2
    inside = square < 1
    polar = torch.where(inside, math.pi * torch.exp(1 - 1 / (1 - torch.where(inside, square, 0.0))), 0.0)
    azimuth = turns * psi - torch.atan2(z, across)
    return magnet, torch.stack([azimuth.cos() * polar.sin(), azimuth.sin() * polar.sin(), polar.cos()])


@torch.no_grad()
def index() -> list[Row]:
    """1, to second order in h; mumax3's four methods are held to 0.01 and 0.05 on 128^3 cells."""
    rows = []
    for cells, tolerance in ((32, 0.05), (64, 0.01), (128, 0.01)):
        magnet, m = hopfion(cells, 30 / 128, 20 / 128)
        rows.append(Row(f"Hopf index, {cells}^3 cells", float(tm.hopf_index(m, magnet)), 1.0, tolerance))
    magnet, m = hopfion(64, 30 / 128, 20 / 128, turns=-2)
    rows.append(Row("Hopf index, two turns to the left, 64^3 cells", float(tm.hopf_index(m, magnet)), -2.0, 0.02))
    return rows


CASES = (Case("TOP-05", "Hopf index of a hopfion", "exact; mumax3 test/hopfindex-hopfion.mx3", index, seconds=10),)
