"""OER-01: the Oersted field of a straight wire of finite length."""

import math

import pytest
import torch

import torchmag as tm


def wire_field(n, length):
    """H_y(x) and H_x(x) beside a wire of one cell along z in the middle of n x n x length cells, over j dx^2; x in cells."""
    mesh = tm.Mesh((n, n, length), (1e-9, 1e-9, 5e-9))
    j = torch.zeros(3, *mesh.cells)
    j[2, n // 2, n // 2] = 1e12
    H = tm.Oersted(tm.Magnet(mesh, 8e5), (0, 0, 0)).cell_field(j)
    beside = H[:2, n // 2 + 1 :, n // 2, length // 2] / (1e12 * 1e-18)
    return beside[1], beside[0], torch.arange(1, n - n // 2) * 1e-9, length * 5e-9


def check(n, length, reach):
    tangential, radial, r, L = wire_field(n, length)
    inside = (r > 5e-9) & (r < reach)
    # Biot and Savart for a straight wire of length L at mid-height.
    expected = 1 / (2 * math.pi * r) * L / torch.sqrt(L**2 + 4 * r**2)
    torch.testing.assert_close(tangential[inside], expected[inside], rtol=1e-3, atol=0)
    assert float(radial.abs().max()) < 1e-12 * float(tangential.max())


def test_wire():
    check(31, 21, 15e-9)


@pytest.mark.slow
def test_long_wire():
    # magnum.np, oersted_test.py (test_wire).
    check(101, 101, 40e-9)
