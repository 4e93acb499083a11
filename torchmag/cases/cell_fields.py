"""The demagnetising field of magnetisation given per cell, in a body with empty cells, beside another code's."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import body, published
from torchmag.cases.table import Case, Row, relative

CELLS, DX = (20, 5, 3), (2.5e-9, 2.5e-9, 3e-9)


@torch.no_grad()
def fidimag() -> list[Row]:
    """Every cell's field and the energy, -1/2 mu_0 sum Ms V m.H."""
    columns = published("cell_field.csv").T.reshape(7, *CELLS)
    Ms, m, expected = columns[0], columns[1:4], columns[4:]
    magnet = body(CELLS, DX, Ms)
    H = tm.Demag(magnet).cell_field(m)
    energy = -0.5 * tm.mu_0 * float((Ms * m * H).sum()) * math.prod(DX)
    largest = float(expected.abs().max())
    return [
        Row("largest deviation of a component", float((H - expected).abs().max()), 0.0, 1e-10 * largest, "A/m"),
        Row("the same in empty cells", float((H - expected)[:, Ms == 0].abs().max()), 0.0, 1e-10 * largest, "A/m"),
        relative("energy", energy, 4.290358268601654e-19, 1e-10, "J"),
    ]


SOURCE = "fidimag, in MicroMagnetic.jl test/test_fields.txt"
CASES = (Case("DEM-18", "random magnetisation per cell", SOURCE, fidimag),)
