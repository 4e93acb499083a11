"""All terms of the nodal scheme on the smallest meshes, against NeuralMag 1.0.0 (NOD-01; tests/data/README.md)."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

import torchmag as tm

from .newell_mpmath import cell_field_brute_force

REFERENCE = json.loads((Path(__file__).parents[1] / "data" / "nodal_terms_neuralmag.json").read_text())
MESHES = {"1d": (2,), "2d": (2, 2), "3d": (2, 2, 2)}
LOCAL = ("exchange", "bulk_dmi", "interface_dmi", "uniaxial_anisotropy")
DX = (1e-9, 1e-9, 1e-9)
MS = 8e5
# NeuralMag divides by the measured mu_0 of CODATA 2022, 1.3e-10 below 4 pi 1e-7.
MU_0_NEURALMAG = 1.25663706127e-6


def make(name):
    """The sum of all terms and the magnetisation of NOD-01."""
    mesh = tm.Mesh(MESHES[name], DX)
    magnet = tm.Magnet(mesh, MS)
    energy = (
        tm.Exchange(magnet, 1.2e-11)
        + tm.BulkDMI(magnet, 1e-3)
        + tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1))
        + tm.UniaxialAnisotropy(magnet, 1e6, (0, 0.6, 0.8))
        + tm.Demag(magnet)
    )
    index = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in mesh.nodes), indexing="ij")
    t = 0.7 * sum(i * 2**d for d, i in enumerate(index))
    m = torch.stack([t.cos(), t.sin(), 0.3 * (2 * t).sin()])
    return energy, m / torch.linalg.vector_norm(m, dim=0)


def summary(H):
    """What the reference holds of a field: first and last node, sum over the nodes, largest component."""
    flat = H.flatten(1)
    return {"h_first": flat[:, 0], "h_last": flat[:, -1], "h_sum": flat.sum(1), "h_absmax": flat.abs().max()}


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("term", LOCAL)
def test_local_energy(mesh, term):
    energy, m = make(mesh)
    assert float(getattr(energy, term).energy(m)) == pytest.approx(REFERENCE[mesh][term]["E"], rel=1e-10)


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize(("term", "rtol"), [*((term, 1e-10) for term in LOCAL), ("demag", 1e-6)])
def test_field(mesh, term, rtol):
    """Fields agree for every term; NeuralMag's demagnetising kernel is good to some 1e-8."""
    energy, m = make(mesh)
    expected = REFERENCE[mesh][term]
    unit = 1.0 if term == "demag" else MU_0_NEURALMAG / tm.mu_0
    for name, value in summary(energy.fields(m)[term]).items():
        wanted = torch.tensor(expected[name]) * unit
        # A component of a sum may cancel: compare on the scale of the field.
        scale = expected["h_absmax"] * (math.prod(energy.mesh.nodes) if name == "h_sum" else 1)
        torch.testing.assert_close(value, wanted, rtol=0, atol=rtol * scale)


@pytest.mark.parametrize("mesh", MESHES)
def test_demag_energy_is_the_variational_one(mesh):
    """E = -1/2 mu_0 sum_c Ms V m_c.H_c, m_c the mean of the cell's nodes and H_c the cell field, by direct sum.

    Not NeuralMag's energy, -1/2 mu_0 int Ms m.h dx with the nodal field h interpolated between the nodes: that is no energy
    whose derivative is the field, and agrees with this one for uniform m only.  Taken of our field, that integral gives
    NeuralMag's number.
    """
    energy, m = make(mesh)
    dim, nodes = energy.mesh.dim, m.numpy()
    counts = (*energy.mesh.cells, 1, 1)[:3]
    mean = np.zeros((3, *energy.mesh.cells))
    for corner in itertools.product((0, 1), repeat=dim):
        mean += nodes[(slice(None), *(slice(c, c + 2) for c in corner))] / 2**dim
    M = MS * mean.reshape(3, *counts)
    H = cell_field_brute_force(M, (1.0, 1.0, 1.0))
    E = -0.5 * tm.mu_0 * math.prod(DX) * float((M * H).sum())
    assert float(energy.demag.energy(m)) == pytest.approx(E, rel=1e-10)

    h = energy.demag.field(m).numpy()
    integral = 0.0
    for a, b in itertools.product(itertools.product((0, 1), repeat=dim), repeat=2):
        # Mean over the cell of two linear shape functions: 1/3 per axis where they are the same one, else 1/6.
        weight = math.prod(1 / 3 if i == j else 1 / 6 for i, j in zip(a, b))
        at = [nodes_of[(slice(None), *(slice(c, c + 2) for c in corner))] for nodes_of, corner in ((nodes, a), (h, b))]
        integral += weight * float((at[0] * at[1]).sum())
    neuralmag = -0.5 * tm.mu_0 * MS * math.prod(DX) * integral
    assert neuralmag == pytest.approx(REFERENCE[mesh]["demag"]["E"], rel=1e-6)
