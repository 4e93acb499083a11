"""The conditions at a jump of the exchange and of the DMI constant, which the weak form holds by itself."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import angles, at_nodes, wire
from torchmag.cases.table import Case, Row

LENGTH, MS = 40e-9, 8e5
CELLS = (8, 16, 32, 64)
SOURCE = "exact, from the jump condition of the weak form (Abert et al. 2024, Eq. 6)"


def twisted(A: tuple[float, float], D: tuple[float, float], ends: float) -> tuple[float, float]:
    """The slopes of the angle in the two halves of a wire whose ends are held 0 and `ends` apart.

    w = A theta'^2 - D theta' makes 2 A theta' - D the same on both sides, theta' constant in each.
    """
    half = LENGTH / 2
    flux = (ends / half - D[0] / (2 * A[0]) - D[1] / (2 * A[1])) / (1 / (2 * A[0]) + 1 / (2 * A[1]))
    return tuple((flux + d) / (2 * a) for a, d in zip(A, D))


def largest_error(cells: int, A, D, ends: float, dmi: str | None) -> float:
    """The largest error of the angle at the nodes, rad."""
    magnet = wire(cells, LENGTH / cells, MS, order=2)
    left = torch.arange(cells) < cells // 2
    energy = tm.Exchange(magnet, _halves(left, A))
    axis, to = ("z", "x") if dmi == "interface" else ("y", "z")
    if dmi == "interface":
        energy = energy + tm.InterfaceDMI(magnet, _halves(left, D), (0, 0, 1))
    if dmi == "bulk":
        energy = energy + tm.BulkDMI(magnet, _halves(left, D))
    x = at_nodes(magnet)[0]
    slopes, middle = twisted(A, D, ends), LENGTH / 2
    exact = torch.where(x < middle, slopes[0] * x, slopes[0] * middle + slopes[1] * (x - middle))
    frozen = torch.zeros(cells + 1, dtype=torch.bool)
    frozen[0] = frozen[-1] = True
    start = angles(ends * x / LENGTH, axis=axis, to=to)
    m = tm.minimize(energy, start, frozen=frozen, tolerance=1e-9)
    return float((angles(exact, axis=axis, to=to) - m).norm(dim=0).max())


def _halves(left: Tensor, values: tuple[float, float]) -> Tensor:
    return torch.where(left, *(torch.tensor(v, dtype=torch.float64) for v in values))


@torch.no_grad()
def orders() -> list[Row]:
    """Twice the cells, a quarter of the error: second order to order 2, whatever jumps; to order 4 and 6, m at the kink is of first order."""
    rows = []
    for name, A, D, ends, dmi in (
        ("A 4:1", (1e-11, 0.25e-11), (0.0, 0.0), math.pi / 2, None),
        ("bulk D 0:2", (1e-11, 1e-11), (0.0, 2e-3), 0.0, "bulk"),
        ("interface D 0:2", (1e-11, 1e-11), (0.0, 2e-3), 0.0, "interface"),
        ("A 4:1, interface D 1:-0.5", (1e-11, 0.25e-11), (1e-3, -0.5e-3), 1.0, "interface"),
    ):
        errors = [largest_error(cells, A, D, ends, dmi) for cells in CELLS]
        for cells, coarse, fine in zip(CELLS[1:], errors, errors[1:]):
            tolerance = 0.1 if cells > 2 * CELLS[0] else None
            rows.append(Row(f"order in h, {name}, {cells // 2} to {cells} cells", math.log2(coarse / fine), 2.0, tolerance))
        rows.append(Row(f"largest error of m, {name}, {CELLS[-1]} cells", errors[-1], 0.0, None))
    return rows


CASES = (Case("JMP-01", "order of convergence at a jump of A and D", SOURCE, orders),)
