"""Exchange energy against closed forms."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import angles, at_nodes, wire
from torchmag.cases.table import Case, Row

A, H = 5e-12, 1e-9


@torch.no_grad()
def spiral() -> list[Row]:
    """A spiral of wave number k on cells of size h has w = 2 A (1 - cos kh) / h^2, below A k^2 by (kh)^2 / 12."""
    rows = []
    # The deviations as mumax+ states them, to two digits.
    for degrees, published in ((1, 2.5e-5), (10, 2.5e-3), (20, 1.0e-2)):
        cells = 360 // degrees
        magnet = wire(cells, H, 8e5, periodic=True)
        k = math.radians(degrees) / H
        m = angles(k * at_nodes(magnet)[0], axis="x", to="y")
        w = float(tm.Exchange(magnet, A).energy(m)) / (cells * magnet.mesh.cell_volume)
        discrete = 2 * A * (1 - math.cos(k * H)) / H**2
        rows.append(Row(f"w, {degrees} degrees per cell", w, discrete, 1e-10 * discrete, "J/m^3"))
        last_digit = 10 ** math.floor(math.log10(published)) / 10
        rows.append(Row(f"1 - w / A k^2, {degrees} degrees per cell", 1 - w / (A * k**2), published, 0.5 * last_digit))
    return rows


CASES = (
    Case("EXC-04", "exchange energy of a spiral", "exact; mumax+ test/test_exchange.py; AIP Adv. 4, 107133, Fig. 5", spiral),
)
