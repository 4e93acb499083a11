"""Integrals of a map that jumps, to order 4 and 6."""

import math

import pytest
import torch

import torchmag as tm
from torchmag import quadrature

torch.manual_seed(5)


def energy(n, order):
    """Of a smooth texture in a film with a hard part, over its largest density and the area."""
    mesh = tm.Mesh((n, n), (6e-9 / n,) * 2 + (1e-9,), pbc=(math.inf, math.inf, 0))
    magnet = tm.Magnet(mesh, 8e5, order=order)
    x, y = (p / 6e-9 for p in tm.positions(mesh)[:2])
    cx, cy = (p / 6e-9 for p in tm.positions(mesh, "cells")[:2])
    hard = (cx < 2 / 3) & (cy < 1 / 3)
    K = torch.where(hard, 1e6, 2e5)
    angle = 2 * math.pi * x + torch.sin(2 * math.pi * y)
    m = torch.stack([torch.cos(angle), torch.sin(angle), 0 * angle])
    return float(tm.UniaxialAnisotropy(magnet, K, (0, 1, 0)).energy(m)) / 36e-21


@pytest.mark.parametrize("order", [4, 6])
def test_a_jump_is_integrated_to_third_order(order):
    found = [energy(n, order) for n in (12, 24, 48, 96)]
    coarse, middle, fine = (abs(a - b) for a, b in zip(found, found[1:]))
    assert coarse > 4 * middle > 16 * fine
    assert math.log2(middle / fine) > 2.9


@pytest.mark.parametrize("periodic", [(False, False), (True, False), (True, True)])
def test_cells_and_nodes_add_up_to_the_same(periodic):
    cells = (5, 4)
    nodes = [n + (not wraps) for n, wraps in zip(cells, periodic)]
    K, fraction, f = torch.rand(2, *cells), torch.rand(cells), torch.rand(2, *nodes)
    by_node = (quadrature.at_nodes(K, fraction, periodic) * f).sum((1, 2))
    torch.testing.assert_close(quadrature.at_cells(f, K, fraction, periodic).sum((1, 2)), by_node)


@pytest.mark.parametrize("order", [4, 6])
def test_a_uniform_state_has_the_energy_of_the_map(order):
    mesh = tm.Mesh((6, 5, 4), (1e-9, 2e-9, 3e-9))
    x, y, z = tm.positions(mesh, "cells")
    Ms = torch.where((x - 3e-9) ** 2 + (y - 5e-9) ** 2 < 16e-18, 8e5, torch.zeros(()))
    magnet, K = tm.Magnet(mesh, Ms, order=order), 1e6 * torch.rand(mesh.cells)
    e = tm.UniaxialAnisotropy(magnet, K, (0, 0, 1))
    expected = -(K * (Ms > 0)).sum() * 6e-27
    assert float(e.energy(tm.uniform(mesh, (0, 0, 1)))) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("order", [4, 6])
def test_the_field_is_the_derivative_of_the_energy(order):
    mesh = tm.Mesh((4, 5), (2e-9,) * 3)
    magnet = tm.Magnet(mesh, torch.where(torch.rand(mesh.cells) > 0.2, 8e5, 0.0), order=order)
    e = tm.UniaxialAnisotropy(magnet, 1e6 * torch.rand(mesh.cells), (0, 0.6, 0.8))
    m = torch.nn.functional.normalize(torch.randn(3, *mesh.nodes), dim=0)
    torch.testing.assert_close(e.gradient(m), torch.func.grad(e.energy)(m), rtol=1e-10, atol=1e-40)
