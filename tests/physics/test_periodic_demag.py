"""Demagnetising field of periodic bodies: stripes, helix and cycloid."""

import math

import pytest
import torch

import torchmag as tm

INF = math.inf


@pytest.mark.parametrize(
    ("width", "layers", "dx"), [(6, 4, (1e-9, 2e-9, 1.5e-9)), (1, 3, (4e-9, 4e-9, 1e-9)), (20, 1, (1e-9,) * 3)]
)
def test_stripes(width, layers, dx):
    # Stripes up and down in a film of thickness t (C. Kooy, U. Enz, Philips Res. Rep. 15, 7 (1960)):
    # N = sum over odd k of 8 / (pi k)^2 (1 - exp(-k q)) / (k q), q = pi t / width.
    mesh = tm.Mesh((2 * width, 2, layers), dx, pbc=(INF, INF, 0))
    m = torch.zeros(3, *mesh.cells)
    m[2, :width], m[2, width:] = 1, -1
    demag = tm.Demag(tm.Magnet(mesh, 8e5))
    N = float(-(m * demag.cell_field(m)).sum()) / (8e5 * math.prod(mesh.cells))
    q = math.pi * layers * dx[2] / (width * dx[0])
    K = 200_001
    expected = math.fsum(8 / (math.pi * k) ** 2 * -math.expm1(-k * q) / (k * q) for k in range(1, K, 2))
    # The terms left out sum to at most 2 / (pi^2 q K^2).
    assert N == pytest.approx(expected, abs=2 / (math.pi**2 * q * K**2) + 1e-12)


def test_helix_along_a_periodic_axis():
    # A helix with M in the plane normal to k has no charge: no field; a cycloid has M_k as its charge: H_k = -M_k.
    n = 16
    mesh = tm.Mesh((n, 2, 2), (2e-9, 3e-9, 4e-9), pbc=(INF, INF, INF))
    demag = tm.Demag(tm.Magnet(mesh, 8e5))
    angle = (2 * math.pi / n * torch.arange(n)).reshape(n, 1, 1).expand(mesh.cells)
    zero = torch.zeros(mesh.cells)
    helix = torch.stack((zero, angle.cos(), angle.sin()))
    assert float(demag.cell_field(helix).abs().max()) < 1e-12 * 8e5
    cycloid = torch.stack((angle.cos(), angle.sin(), zero))
    expected = -8e5 * torch.stack((angle.cos(), zero, zero))
    torch.testing.assert_close(demag.cell_field(cycloid), expected, rtol=0, atol=1e-12 * 8e5)
