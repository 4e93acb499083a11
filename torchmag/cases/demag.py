"""Demagnetising field of uniformly magnetised bodies: factors, energies, fields of a few cells."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, at_cells, body, reals, uniform
from torchmag.cases.table import Case, Row, components, relative

MS = 8e5


def uniform_cells(magnet: tm.Magnet, direction) -> Tensor:
    """A direction, normalised, in every cell: (3, *cells)."""
    v = reals(direction)
    return (v / v.norm()).reshape(3, *(1,) * magnet.mesh.dim).expand(3, *magnet.mesh.cells)


def mean_fields(n, dx, Ms: float) -> Tensor:
    """Means of the cell field, A/m, of a box magnetised along x, y and z: a row for each, (3, 3)."""
    magnet = body(n, dx, Ms)
    demag = tm.Demag(magnet)
    return torch.stack([demag.cell_field(uniform_cells(magnet, e)).flatten(1).mean(1) for e in torch.eye(3).tolist()])


def uniform_energy(n, dx, direction, Ms: float) -> float:
    """Energy of a uniformly magnetised box, J."""
    magnet = body(n, dx, Ms)
    return float(tm.Demag(magnet).energy(uniform(magnet, direction)))


@torch.no_grad()
def cube() -> list[Row]:
    """N = 1/3 by symmetry; with Ms = 1 / mu_0 the field is mu_0 H = -N.  E = mu_0 Ms^2 V / 6."""
    rows = []
    for n in (2, 5):
        B = tm.mu_0 * mean_fields((n, n, n), (NM,) * 3, 1 / tm.mu_0)
        for i, axis in enumerate("xyz"):
            rows.append(Row(f"mu_0 H_{axis}, m along {axis}, {n}^3 cells", float(B[i, i]), -1 / 3, 1e-9, "T"))
        across = float((B - B.diagonal().diag()).abs().max())
        rows.append(Row(f"largest mu_0 H across m, {n}^3 cells", across, 0.0, 1e-12, "T"))
    for name, m in (("x", (1, 0, 0)), ("y", (0, 1, 0)), ("(0.6, 0, 0.8)", (0.6, 0, 0.8))):
        E = uniform_energy((5, 5, 5), (NM,) * 3, m, 1.0)
        rows.append(relative(f"energy, m along {name}, Ms 1 A/m", E, 2.6179938779914947e-32, 1e-9, "J"))
    return rows


@torch.no_grad()
def prism() -> list[Row]:
    """A box of 3 x 8 x 0.5 nm on cells of unequal edges."""
    N = -mean_fields((3, 4, 1), (NM, 2 * NM, 0.5 * NM), MS).diagonal() / MS
    return components("N_{}", N, (0.15775381400468, 0.056778035266839, 0.78546815072848), 1e-9)


# Edges, cells, and Aharoni's factors evaluated in multiple precision.
CUBOIDS = (
    ((2, 1, 1), (6, 3, 3), (0.19831615278884, 0.40084192360558, 0.40084192360558)),
    ((10, 10, 1), (10, 5, 2), (0.09746118317956, 0.09746118317956, 0.80507763364088)),
    ((60, 60, 20), (5, 6, 4), (0.20529195172444, 0.20529195172444, 0.58941609655113)),
    ((120, 60, 6), (24, 12, 1), (0.052259392097677, 0.10760001776786, 0.84014059013446)),
    ((64, 57.6, 1), (16, 9, 2), (0.02400912548231, 0.026773406857408, 0.94921746766028)),
)


@torch.no_grad()
def cuboids() -> list[Row]:
    """Factors of boxes of other shapes, from the mean field and from the energy."""
    rows = []
    for edges, n, factors in CUBOIDS:
        name = ":".join(f"{edge:g}" for edge in edges)
        dx = [edge * NM / cells for edge, cells in zip(edges, n)]
        rows += components(f"N_{{}}, {name}, from the field", -mean_fields(n, dx, MS).diagonal() / MS, factors, 1e-8)
        density = 0.5 * tm.mu_0 * MS**2 * math.prod(edges) * NM**3
        energies = [uniform_energy(n, dx, e, MS) / density for e in torch.eye(3).tolist()]
        rows += components(f"N_{{}}, {name}, from the energy", energies, factors, 1e-8)
    return rows


@torch.no_grad()
def oommf_cube() -> list[Row]:
    """A cube of 10 nm along x: the same energy whatever the cells."""
    E = 1.3404128655316452e-19
    found = [(n, uniform_energy((n, n, n), (10 * NM / n,) * 3, (1, 0, 0), MS)) for n in (2, 6)]
    return [relative(f"energy, {n}^3 cells", got, E, 1e-10, "J") for n, got in found]


# H in A/m of the cells (0, 0), (1, 0), (2, 0) of 3 x 2 x 1.
SIX = (
    (-9615.99019074, -39898.78767025, -430282.70478141),
    (-8664.33293854, -51323.59117349, -496012.77748287),
    (-27749.99302205, -48965.78908591, -430282.70478141),
)


@torch.no_grad()
def few_cells() -> list[Row]:
    """Two cells of 2 nm along x; six of 1 nm along (0.1, 0.2, 1).  The tolerance is 1e-8 of the field of a cell."""
    pair = body((2, 1, 1), (2 * NM,) * 3, 8.6e5)
    H = tm.Demag(pair).cell_field(uniform_cells(pair, (1, 0, 0)))[..., 0, 0]
    expected, rows = -170551.8913984, []
    for i in range(2):
        rows.append(relative(f"H_x, two cells, cell {i}", H[0, i], expected, 1e-8, "A/m"))
    rows.append(Row("largest H across, two cells", float(H[1:].abs().max()), 0.0, 1e-8 * abs(expected), "A/m"))
    six = body((3, 2, 1), (NM,) * 3, 8.6e5)
    H = tm.Demag(six).cell_field(uniform_cells(six, (0.1, 0.2, 1)))[..., 0, 0]
    for i, values in enumerate(SIX):
        for axis, got, value in zip("xyz", H[:, i].tolist(), values):
            rows.append(relative(f"H_{axis}, six cells, cell ({i}, 0)", got, value, 1e-8, "A/m"))
    return rows


@torch.no_grad()
def sphere() -> list[Row]:
    """A sphere of 64 nm in cells of 2 nm, 20 directions: its mask has cubic symmetry, so that N = 1/3 exactly."""
    cells, h, Ms = (32, 32, 32), 2 * NM, 1e6
    origin = (-32 * NM,) * 3
    inside = at_cells(body(cells, (h,) * 3, Ms, origin=origin)).square().sum(0) < (32 * NM) ** 2
    magnet = body(cells, (h,) * 3, Ms * inside.double(), origin=origin)
    demag = tm.Demag(magnet)
    directions = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    E = torch.stack([demag.energy(uniform(magnet, v)) for v in directions])
    expected = tm.mu_0 * Ms**2 * int(inside.sum()) * magnet.mesh.cell_volume / 6
    return [
        Row("spread of the energy over its mean", float((E.max() - E.min()) / E.mean()), 0.0, 1e-6),
        relative("mean energy", E.mean(), expected, 1e-6, "J"),
    ]


AHARONI = "Aharoni, J. Appl. Phys. 83, 3432 (1998), in multiple precision"
CASES = (
    Case("DEM-01", "uniform cube", "exact; mumax3 test/demagcube.mx3, NeuralMag tests/unit/demag_field_test.py", cube),
    Case("DEM-02", "flat prism on cells of unequal edges", AHARONI, prism),
    Case("DEM-04", "demagnetising factors of boxes", AHARONI, cuboids),
    Case("DEM-08", "energy of a cube", "OOMMF oxs/examples/cube.mif", oommf_cube),
    Case("DEM-10", "field in two and in six cells", "MicroMagnetic.jl test/test_demag.jl", few_cells),
    Case("DEM-14", "isotropy of a rasterised sphere", "exact, symmetry; mumax3 test/isotropicEnergy.mx3", sphere),
)
