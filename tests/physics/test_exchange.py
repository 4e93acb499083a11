"""Exchange to second order: energy of a spiral on every kind of boundary."""

import math

import pytest
import torch

import torchmag as tm


@pytest.mark.parametrize("degrees", [1, 10, 20])
@pytest.mark.parametrize("pbc", [1, math.inf, 0])
def test_energy_of_a_spiral(degrees, pbc):
    """EXC-04: w = 2 A (1 - cos d) / h^2 for a turn d per cell of h (mumax+, test_exchange.py; MuMax3 paper, Fig. 5)."""
    A, h, turn = 5e-12, 1e-9, math.radians(degrees)
    mesh = tm.Mesh((360 // degrees,), (h,) * 3, pbc=(pbc, 0, 0))
    angle = turn * torch.arange(mesh.nodes[0])
    m = torch.stack([angle.cos(), angle.sin(), 0 * angle])
    w = tm.Exchange(tm.Magnet(mesh, 8e5, order=2), A).density_map(m)
    torch.testing.assert_close(w, torch.full_like(w, 2 * A * (1 - math.cos(turn)) / h**2), rtol=1e-11, atol=0)
    below = 1 - float(w.mean()) / (A * (turn / h) ** 2)
    assert below == pytest.approx({1: 2.5e-5, 10: 2.5e-3, 20: 1.0e-2}[degrees], rel=0.03)
