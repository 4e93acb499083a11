"""SurfaceAnisotropy: contract, the thin film that it makes perpendicular, the canting of a thick one."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.testing import EnergyContract


class TestSurfaceAnisotropy(EnergyContract):
    symmetric = False  # the plane would have to turn, too

    def term(self, magnet):
        Ks = self.cells(magnet, 1e-3).narrow(-magnet.mesh.dim, 0, 1)
        return tm.SurfaceAnisotropy(magnet, Ks, axis=0, plane=1, direction=(0, 0.6, 0.8))


def column(n, thickness, Ms=8e5):
    return tm.Magnet(tm.Mesh((1, 1, n), (2e-9, 3e-9, thickness / n)), Ms)


def test_a_thin_film_has_Ku_equal_to_Ks_over_thickness():
    magnet = column(3, 1.5e-9)
    for direction in ((0, 0, 1), (1, 0, 0), (1, 2, 3)):
        m = tm.uniform(magnet.mesh, direction)
        surface = tm.SurfaceAnisotropy(magnet, 1e-3, plane=3)
        volume = tm.UniaxialAnisotropy(magnet, 1e-3 / 1.5e-9, (0, 0, 1))
        torch.testing.assert_close(surface.energy(m), volume.energy(m), rtol=1e-12, atol=1e-40)
        assert float(surface.density_map(m)[..., :2].abs().max()) == 0


def test_field_is_that_of_half_a_cell():
    # H = 2 Ks / (mu_0 Ms dz / 2) m_z on the plane, zero elsewhere.
    magnet = column(4, 4e-9)
    field = tm.SurfaceAnisotropy(magnet, 1e-3).field(tm.uniform(magnet.mesh, (0, 0, 1)))
    torch.testing.assert_close(field[2, ..., 0], torch.full((2, 2), 4e-3 / (tm.mu_0 * 8e5 * 1e-9)), rtol=1e-12, atol=0)
    assert not field[:2].any() and not field[..., 1:].any()


def test_canting_between_two_surfaces():
    """One surface normal held in the plane, Ks at the other: 2 A theta' = Ks sin(2 theta) at the surface, theta' = theta / d.

    theta is measured from the plane: the turn leaves the plane where Ks > A / d.
    """
    d, A = 10e-9, 1e-11
    for ratio in (0.8, 1.5, 3.0):
        magnet = column(20, d)
        Ks = ratio * A / d
        energy = tm.Exchange(magnet, A) + tm.SurfaceAnisotropy(magnet, Ks, plane=20)
        frozen = torch.zeros(magnet.mesh.nodes, dtype=torch.bool)
        frozen[..., 0] = True
        theta = 0.5 * torch.linspace(0, 1, 21)
        m = torch.stack([theta.cos(), 0 * theta, theta.sin()])[:, None, None].expand(3, 2, 2, 21).contiguous()
        top = float(torch.asin(tm.minimize(energy, m, frozen=frozen, tolerance=1e-8)[2, 0, 0, -1]))
        expected = 0.0
        if ratio > 1:  # theta = ratio / 2 sin(2 theta), by bisection
            low, high = 1e-3, math.pi / 2
            for _ in range(60):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if 0.5 * ratio * math.sin(2 * middle) > middle else (low, middle)
            expected = low
        # The linear angle is the nodes' own solution, but for 2 (1 - cos) in place of the square: below 1e-3 here.
        assert top == pytest.approx(expected, abs=1e-3)
