"""hopf_index: integers, symmetries, and textures that have none."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.cases.hopfions import hopfion

RING, TUBE = 30 / 128, 20 / 128


@pytest.mark.parametrize("turns", [1, -1, 2])
def test_converges_to_an_integer(turns):
    errors = [abs(float(tm.hopf_index(m, magnet)) - turns) for magnet, m in (hopfion(n, RING, TUBE, turns) for n in (24, 48))]
    # Second order in h.
    assert errors[1] < 0.02 and errors[0] / errors[1] > 3


def test_symmetries():
    magnet, m = hopfion(32, RING, TUBE)
    index = tm.hopf_index(m, magnet)
    torch.testing.assert_close(tm.hopf_index(m.roll((5, 3, -4), (1, 2, 3)), magnet), index, rtol=1e-12, atol=0)
    for moved in (m.permute(0, 2, 3, 1), m.roll(1, 0), -m, m[[1, 0, 2]].roll(1, 0)):  # turned in space; in spin space
        torch.testing.assert_close(tm.hopf_index(moved, magnet), index, rtol=1e-9, atol=0)
    torch.testing.assert_close(tm.hopf_index(m.flip(3), magnet), -index, rtol=1e-9, atol=0)
    both = tm.hopf_index(torch.stack([m, m.flip(1)]), magnet)
    torch.testing.assert_close(both, torch.stack([index, -index]), rtol=1e-9, atol=0)


def test_stretched_and_periodic():
    """Spacing does not enter: a mesh of flat cells with the same nodes has the same index."""
    magnet, m = hopfion(32, RING, TUBE)
    flat = tm.Magnet(tm.Mesh((32,) * 3, (1e-9, 2e-9, 0.5e-9)), 8e5)
    torch.testing.assert_close(tm.hopf_index(m, flat), tm.hopf_index(m, magnet), rtol=1e-12, atol=0)
    ring = tm.Magnet(tm.Mesh((33, 33, 32), (1e-9,) * 3, pbc=(2, math.inf, 0)), 8e5)
    torch.testing.assert_close(tm.hopf_index(m, ring), tm.hopf_index(m, magnet), rtol=1e-12, atol=0)


def test_textures_without_a_hopf_index():
    mesh = tm.Mesh((16, 16, 8), (1e-9,) * 3, pbc=(0, 0, math.inf))
    magnet = tm.Magnet(mesh, 8e5)
    x, y, _ = tm.positions(mesh) / 1e-9 - 8
    theta = math.pi * (1 - torch.hypot(x, y) / 6).clamp(0, 1)
    phi = torch.atan2(y, x)
    tube = torch.stack([phi.cos() * theta.sin(), phi.sin() * theta.sin(), theta.cos()])
    assert abs(float(tm.topological_charge(tube, magnet))) == pytest.approx(1, abs=1e-9)
    for m in (tube, tm.uniform(mesh, (1, 2, 3))):
        assert abs(float(tm.hopf_index(m, magnet))) < 1e-10


def test_differentiable_and_checked():
    magnet, m = hopfion(12, RING, TUBE)
    m = m.requires_grad_()
    (slope,) = torch.autograd.grad(tm.hopf_index(m, magnet), m)
    assert bool(slope.isfinite().all()) and bool(slope.any())
    flat = tm.Magnet(tm.Mesh((3, 3), (1e-9,) * 3), 8e5)
    with pytest.raises(ValueError, match="hopf_index: the mesh is 2D, expected 3D"):
        tm.hopf_index(tm.uniform(flat.mesh, (0, 0, 1)), flat)
