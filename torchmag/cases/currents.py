"""The Oersted field of a current."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, body
from torchmag.cases.table import Case, Row


def beside_wire(n: int, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
    """H_y and H_x along x over j dx^2 beside a wire of one cell in the middle of n x n x length cells; r and the length, m."""
    magnet = body((n, n, length), (NM, NM, 5 * NM), 8e5)
    j = torch.zeros(3, *magnet.mesh.cells, dtype=torch.float64)
    j[2, n // 2, n // 2] = 1e12
    H = tm.Oersted(magnet, (0, 0, 0)).cell_field(j)
    x, y = H[:2, n // 2 + 1 :, n // 2, length // 2] / (1e12 * NM**2)
    return y, x, torch.arange(1, n - n // 2, dtype=torch.float64) * NM, length * 5 * NM


def compare(n: int, length: int, reach: float) -> list[Row]:
    """H_phi beside I / (2 pi r) L / sqrt(L^2 + 4 r^2), from 5 cells to `reach`."""
    tangential, radial, r, L = beside_wire(n, length)
    exact = L / (2 * math.pi * r * torch.sqrt(L**2 + 4 * r**2))
    error = (tangential / exact - 1).abs()[(r > 5 * NM) & (r < reach)]
    rows = [
        Row("largest relative error of H_phi", float(error.max()), 0.0, 1e-3),
        Row("largest H_r over the largest H_phi", float(radial.abs().max() / tangential.max()), 0.0, 1e-12),
    ]
    for cells in (6, 10, 30):
        if cells * NM < reach:
            got, value = float(tangential[cells - 1]), float(exact[cells - 1])
            rows.append(Row(f"H_phi / I, {cells} nm away", got, value, 1e-3 * value, "1/m"))
    return rows


@torch.no_grad()
def short_wire() -> list[Row]:
    """31 x 31 x 21 cells of 1 x 1 x 5 nm."""
    return compare(31, 21, 15 * NM)


@torch.no_grad()
def long_wire() -> list[Row]:
    """101 x 101 x 101 cells of 1 x 1 x 5 nm."""
    return compare(101, 101, 40 * NM)


SOURCE = "exact, Biot and Savart; magnum.np oersted_test.py"
CASES = (
    Case("OER-01s", "field of a current in a short wire", SOURCE, short_wire),
    Case("OER-01", "field of a current in a long wire", SOURCE, long_wire, seconds=9),
)
