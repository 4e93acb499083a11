"""The demagnetising energy on the smallest meshes, by direct sum of a tensor in multiple precision."""

import itertools
import math

import numpy as np
import pytest

import torchmag as tm
from torchmag.cases.nodal import MS, SMALLEST, problem

from .newell_mpmath import cell_field_brute_force


@pytest.mark.parametrize("mesh", SMALLEST)
def test_demag_energy_is_the_variational_one(mesh):
    """E = -1/2 mu_0 sum_c Ms V m_c.H_c, m_c the mean of the cell's nodes and H_c the cell field, by direct sum."""
    energy, m = problem(mesh)
    dim, nodes = energy.mesh.dim, m.numpy()
    counts = (*energy.mesh.cells, 1, 1)[:3]
    mean = np.zeros((3, *energy.mesh.cells))
    for corner in itertools.product((0, 1), repeat=dim):
        mean += nodes[(slice(None), *(slice(c, c + 2) for c in corner))] / 2**dim
    M = MS * mean.reshape(3, *counts)
    H = cell_field_brute_force(M, (1.0, 1.0, 1.0))
    E = -0.5 * tm.mu_0 * math.prod(energy.mesh.dx) * float((M * H).sum())
    assert float(energy.demag.energy(m)) == pytest.approx(E, rel=1e-10)
