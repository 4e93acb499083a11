"""The nodal scheme itself, of order 2: every term on the smallest meshes, fields as derivatives of energies."""

import csv
import itertools
import math
from importlib import resources

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, body
from torchmag.cases.table import Case, Row, relative

MS = 8e5
SMALLEST = {"1d": (2,), "2d": (2, 2), "3d": (2, 2, 2)}
# NeuralMag divides by the measured mu_0 of CODATA 2022, 1.3e-10 below 4 pi 1e-7.
MU_0_NEURALMAG = 1.25663706127e-6


def neuralmag() -> dict[tuple[str, str], dict[str, float]]:
    """Its numbers by mesh and term."""
    with (resources.files("torchmag") / "data" / "nodal_terms.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    return {(row.pop("mesh"), row.pop("term")): {name: float(value) for name, value in row.items()} for row in rows}


def problem(name: str) -> tuple[tm.Sum, Tensor]:
    """All terms, and m by a formula of the index: t = 0.7 sum_d i_d 2^d, m ~ (cos t, sin t, 0.3 sin 2t)."""
    magnet = body(SMALLEST[name], (NM,) * 3, MS, order=2)
    energy = (
        tm.Exchange(magnet, 1.2e-11)
        + tm.BulkDMI(magnet, 1e-3)
        + tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1))
        + tm.UniaxialAnisotropy(magnet, 1e6, torch.tensor((0, 0.6, 0.8), dtype=torch.float64))
        + tm.Demag(magnet)
    )
    index = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in magnet.mesh.nodes), indexing="ij")
    t = 0.7 * sum(i * 2**d for d, i in enumerate(index))
    m = torch.stack([t.cos(), t.sin(), 0.3 * (2 * t).sin()])
    return energy, m / torch.linalg.vector_norm(m, dim=0)


def interpolated(m: Tensor, h: Tensor) -> float:
    """int m.h over the mesh in cells, both interpolated linearly between the nodes."""
    dim, total = m.ndim - 1, 0.0
    for a, b in itertools.product(itertools.product((0, 1), repeat=dim), repeat=2):
        # Mean over the cell of two linear shape functions: 1/3 per axis where they are the same one, else 1/6.
        weight = math.prod(1 / 3 if i == j else 1 / 6 for i, j in zip(a, b))
        at = [x[(slice(None), *(slice(c, c + 2) for c in corner))] for x, corner in ((m, a), (h, b))]
        total += weight * float((at[0] * at[1]).sum())
    return total


def field_error(H: Tensor, expected: dict[str, float], unit: float) -> float:
    """Largest deviation of first and last node, sum over the nodes and largest component, over the largest component."""
    flat, largest = H.flatten(1), expected["largest"]
    error = abs(float(H.abs().max()) - unit * largest)
    for quantity, got, parts in (("first", flat[:, 0], 1), ("last", flat[:, -1], 1), ("sum", flat.sum(1), flat.shape[1])):
        for axis, value in zip("xyz", got.tolist()):
            error = max(error, abs(value - unit * expected[f"{quantity}_{axis}"]) / parts)
    return error / largest


@torch.no_grad()
def terms() -> list[Row]:
    """Energies and fields.  NeuralMag's demagnetising energy is -1/2 mu_0 int Ms m.h dx with the nodal field h: that of our field.

    It is not the energy whose derivative h is, -1/2 mu_0 sum_c V Ms m_c.H_c, and agrees with it for uniform m only.
    """
    rows, reference = [], neuralmag()
    for mesh in SMALLEST:
        energy, m = problem(mesh)
        fields, energies = energy.fields(m), energy.energies(m)
        for term, H in fields.items():
            expected, demag = reference[mesh, term], term == "demag"
            # NeuralMag's demagnetising kernel is good to some 1e-8.
            part = 1e-6 if demag else 1e-10
            E = -0.5 * tm.mu_0 * MS * NM**3 * interpolated(m, H) if demag else float(energies[term])
            rows.append(relative(f"E {term}, {mesh}", E, expected["E_J"], part, "J"))
            error = field_error(H, expected, 1.0 if demag else MU_0_NEURALMAG / tm.mu_0)
            rows.append(Row(f"largest deviation of H {term} over the largest H, {mesh}", error, 0.0, part))
    return rows


CASES = (
    Case(
        "NOD-01",
        "every term of the nodal scheme on the smallest meshes",
        "NeuralMag 1.0.0 (3 Gauss points), run for torchmag",
        terms,
    ),
)
