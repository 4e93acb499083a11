"""Terms on planes of the grid."""

import pytest
import torch

import torchmag as tm
from torchmag.testing import SPACING, EnergyContract


class SurfaceAnisotropy(tm.SurfaceEnergy):
    """w = -Ks (m.n)^2 per area."""

    @staticmethod
    def density(m, Ks: tm.forms.Scalar, n: tm.forms.Direction):
        return -Ks * tm.forms.dot(m, n) ** 2


class TestSurfaceAnisotropy(EnergyContract):
    symmetric = False  # the plane would have to turn, too
    meshes = (
        tm.Mesh((4,), SPACING),
        tm.Mesh((3, 2), SPACING),
        tm.Mesh((3, 2), SPACING, pbc=(1, 0, 0)),
        tm.Mesh((2, 3, 2), SPACING),
    )

    def term(self, magnet):
        Ks = self.cells(magnet, 1e-3).narrow(-magnet.mesh.dim, 0, 1)
        return SurfaceAnisotropy(magnet, Ks, (0, 0.6, 0.8), axis=0, planes=1)


class TestInterlayerExchange(EnergyContract):
    symmetric = False
    uniform_along_z = False
    meshes = (
        tm.Mesh((3,), SPACING),
        tm.Mesh((3, 2), SPACING),
        tm.Mesh((3, 2), SPACING, pbc=(0, 1, 0)),
        tm.Mesh((3, 3, 2), SPACING),
    )

    def magnet(self, mesh, dtype=torch.float64, vacuum=True):
        Ms = 8e5 * (1 + 0.5 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(2), dtype=torch.float64))
        Ms[1] = 0
        if mesh.dim > 1:
            Ms[0, 0] = 0
        if mesh.cells[0] == 2:
            Ms = Ms.new_zeros(mesh.cells)
            Ms[0] = 8e5
        return tm.Magnet(mesh, Ms.to(dtype), order=self.order)

    def term(self, magnet):
        if magnet.mesh.cells[0] == 2:  # too thin for two layers: couple nothing
            return SurfaceAnisotropy(magnet, 1e-3, (0, 0.6, 0.8), axis=0, planes=0)
        J = self.cells(magnet, -1e-3).narrow(-magnet.mesh.dim, 0, 1)
        return tm.InterlayerExchange(magnet, J, 2e-4, axis=0, planes=(1, 2))


def bilayer(n=(4, 4), dx=1e-9, Ms=1 / tm.mu_0):
    """Two layers of one cell with one empty cell between them."""
    mesh = tm.Mesh((*n, 3), (dx, dx, 1e-9))
    map = torch.full(mesh.cells, Ms)
    map[..., 1] = 0
    return tm.Magnet(mesh, map)


def test_interlayer_energy():  # mumax3 test/rkky.mx3: two layers of 10 x 10 nm, J -1e-3 J/m^2
    magnet = bilayer((10, 10))
    term = tm.InterlayerExchange(magnet, -1e-3, axis=2, planes=(1, 2))
    m = tm.uniform(magnet.mesh, (1, 0, 0))
    turned = m.clone()
    turned[..., 2:] = tm.uniform(magnet.mesh, (0, 1, 0))[..., 2:]
    torch.testing.assert_close((term.energy(turned) - term.energy(m)).item(), -1e-19, rtol=1e-12, atol=0)


def test_interlayer_field_at_the_interface():
    # H = J / (mu_0 Ms dz/2): the lumped mass of a surface node is that of half a cell (Ms 1/mu_0, J 5e-3 J/m^2, dz 1 nm).
    magnet = bilayer()
    field = tm.InterlayerExchange(magnet, 0.005, axis=2, planes=(1, 2)).field(tm.uniform(magnet.mesh, (1, 0, 0)))
    torch.testing.assert_close(field[0, ..., 1], torch.full((5, 5), 1e7), rtol=1e-12, atol=0)
    assert bool((field[..., 0] == 0).all())


def test_touching_layers_are_refused():
    magnet = tm.Magnet(tm.Mesh((2, 2, 3), (1e-9,) * 3), 8e5)
    with pytest.raises(ValueError, match="empty cell"):
        tm.InterlayerExchange(magnet, 1e-3, axis=2, planes=(1, 2))


def test_a_plane_of_the_mesh():
    magnet = tm.Magnet(tm.Mesh((2, 2), (1e-9,) * 3), 8e5)
    with pytest.raises(ValueError, match="axis"):
        SurfaceAnisotropy(magnet, 1e-3, (0, 0, 1), axis=2, planes=0)
    with pytest.raises(ValueError, match="planes"):
        SurfaceAnisotropy(magnet, 1e-3, (0, 0, 1), axis=1, planes=3)


def test_a_normal_derivative_is_refused():
    class Bad(tm.SurfaceEnergy):
        @staticmethod
        def density(m, K: tm.forms.Scalar):
            return K * tm.forms.grad(m[0])[1]

    magnet = tm.Magnet(tm.Mesh((2, 2), (1e-9,) * 3), 8e5)
    with pytest.raises(tm.FormError, match="Derivative"):
        Bad(magnet, 1e-3, axis=1, planes=0)
