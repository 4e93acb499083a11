"""Oersted: contract, Biot and Savart by direct sum, wires and sheets, drives."""

import itertools
import math

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.energies.cuboids import oersted_kernel
from torchmag.testing import SPACING, EnergyContract

INF = math.inf
MESHES = [
    tm.Mesh((4,), SPACING),
    tm.Mesh((3, 4), SPACING),
    tm.Mesh((3, 2, 2), SPACING),
    tm.Mesh((4,), SPACING, pbc=(INF, 0, 0)),
    tm.Mesh((4, 3), SPACING, pbc=(INF, 2, 1)),
    tm.Mesh((3, 2, 4), SPACING, pbc=(0, INF, INF)),
    tm.Mesh((2, 3, 4), SPACING, pbc=(INF, INF, INF)),
]


class TestOersted(EnergyContract):
    polar = ("j",)

    def term(self, magnet):
        return tm.Oersted(magnet, j=self.cells(magnet, 1e12, (3,)))


class TestOerstedPeriodic(TestOersted):
    meshes = MESHES[3:]


def levi_civita(a, b, c):
    return (a - b) * (b - c) * (c - a) / 2


@pytest.mark.parametrize("mesh", MESHES)
def test_convolution_equals_direct_sum(mesh):
    j = torch.randn(3, *mesh.cells, generator=torch.Generator().manual_seed(1))
    found = tm.Oersted(tm.Magnet(mesh, 8e5), (0, 0, 0)).cell_field(j)
    j = j.reshape(3, *(*mesh.cells, 1, 1)[:3])
    counts = j.shape[1:]
    table = oersted_kernel(counts, mesh.dx, mesh.pbc)
    H = torch.zeros_like(j)
    cells = list(itertools.product(*map(range, counts)))
    for target, source in itertools.product(cells, cells):
        offset = [t - s for t, s in zip(target, source)]
        K = torch.stack([math.copysign(1, offset[c]) * table[(c, *map(abs, offset))] for c in range(3)])
        H[(slice(None), *target)] += torch.linalg.cross(j[(slice(None), *source)], K)
    torch.testing.assert_close(found.reshape(H.shape), H, rtol=0, atol=1e-12 * float(H.abs().max()))


def test_infinite_wire_is_an_axis():
    # A wire of one cell, infinite along z: H = I / (2 pi r); the square cross-section enters with (dx/r)^4.
    mesh = tm.Mesh((41, 41, 1), (1e-9, 1e-9, 5e-9), pbc=(0, 0, INF))
    j = torch.zeros(3, *mesh.cells)
    j[2, 20, 20] = 1e12
    H = tm.Oersted(tm.Magnet(mesh, 8e5), (0, 0, 0)).cell_field(j)
    x, y, _ = tm.positions(mesh, "cells")[:, :, :, 0] - 20.5e-9
    r = torch.hypot(x, y)
    far = r > 5e-9
    circular = 1e12 * 1e-18 / (2 * math.pi * r) * torch.stack((-y, x)) / r
    torch.testing.assert_close(H[:2, ..., 0][:, far], circular[:, far], rtol=0, atol=float(circular[:, far].max()) / 5**4)
    assert not H[2].any()


def test_infinite_sheet():
    # A layer of thickness d with j along x: H_y = -+ j d / 2 above and below it, 0 in its middle.
    mesh = tm.Mesh((4, 3, 9), SPACING, pbc=(INF, INF, 0))
    j = torch.zeros(3, *mesh.cells)
    j[0, ..., 4] = 1e12
    H = tm.Oersted(tm.Magnet(mesh, 8e5), (0, 0, 0)).cell_field(j)
    half = 0.5e12 * SPACING[2]
    profile = torch.tensor([half] * 4 + [0.0] + [-half] * 4).expand(4, 3, 9)
    torch.testing.assert_close(H[1], profile, rtol=0, atol=1e-12 * half)
    assert float(H[::2].abs().max()) < 1e-12 * half


def test_curl_of_the_field_is_the_current():
    # Periodic along all axes, j along z alternating along x in layers: dH_y/dx = j, H_y a triangle without mean.
    n = 8
    mesh = tm.Mesh((n, 1, 1), SPACING, pbc=(INF, INF, INF))
    j = torch.zeros(3, n, 1, 1)
    j[2, : n // 2], j[2, n // 2 :] = 1e12, -1e12
    H = tm.Oersted(tm.Magnet(mesh, 8e5), (0, 0, 0)).cell_field(j)[1, :, 0, 0] / (1e12 * SPACING[0])
    # Cell means of the integral of j: -1.5 -0.5 0.5 1.5 and back.
    torch.testing.assert_close(H, torch.tensor([-1.5, -0.5, 0.5, 1.5, 1.5, 0.5, -0.5, -1.5]), rtol=0, atol=1e-12)


def test_energy_and_lumped_field():
    mesh = tm.Mesh((2, 1, 1), (1e-9, 2e-9, 3e-9))
    magnet = tm.Magnet(mesh, torch.tensor([8e5, 0.0]).reshape(2, 1, 1))
    oersted = tm.Oersted(magnet, torch.tensor([0.0, 1e12]).reshape(1, 2, 1, 1) * torch.tensor([0, 0, 1.0]).reshape(3, 1, 1, 1))
    K = float(oersted_kernel((2, 1, 1), mesh.dx)[0, 1, 0, 0])
    m = tm.uniform(mesh, (0, 1, 0))
    # The current flows in the empty cell to the right; H_y = -j K_x in the magnetic one.
    assert float(oersted.energy(m)) == pytest.approx(tm.mu_0 * 8e5 * 1e12 * K * mesh.cell_volume, rel=1e-12)
    field = oersted.field(m)
    torch.testing.assert_close(field[1, :2], torch.full((2, 2, 2), -1e12 * K), rtol=1e-12, atol=0)
    assert not field[:, 2].any() and not field[::2].any()


def test_one_cell_has_no_field_of_its_own():
    for n in ((1,), (1, 1), (1, 1, 1)):
        mesh = tm.Mesh(n, SPACING)
        assert not tm.Oersted(tm.Magnet(mesh, 8e5), (1e12, 0, 0)).field(tm.uniform(mesh, (1, 0, 0))).any()


def test_current_as_drive_module_and_batch():
    mesh = MESHES[2]
    magnet = tm.Magnet(mesh, 8e5)
    m = tm.random(mesh, seed=1)
    j = 1e12 * torch.randn(3, *mesh.cells, generator=torch.Generator().manual_seed(2))
    expected = tm.Oersted(magnet, j).field(m)
    torch.testing.assert_close(tm.Oersted(magnet, lambda t: 1e9 * t * j).field(m, 2e-9), 2 * expected, rtol=1e-12, atol=0)
    both = tm.Oersted(magnet, torch.stack((j, -j)))
    torch.testing.assert_close(both.field(m), torch.stack((expected, -expected)), rtol=1e-12, atol=0)

    class Source(nn.Module):
        def __init__(self):
            super().__init__()
            self.amplitude = nn.Parameter(torch.ones(()))

        def forward(self, t):
            return self.amplitude * j

    source = Source()
    term = tm.Oersted(magnet, source)
    (slope,) = torch.autograd.grad(term.energy(m), source.amplitude)
    torch.testing.assert_close(slope, tm.Oersted(magnet, j).energy(m), rtol=1e-12, atol=0)


def test_constant_current_is_convolved_once():
    mesh = MESHES[2]
    llg = tm.LLG(tm.Oersted(tm.Magnet(mesh, 8e5), (1e12, 0, 0)), alpha=0.1)
    values = llg.prepare()
    assert tuple(values["energy"]["oersted"]["H"].shape) == (3, *mesh.cells)
    m = tm.random(mesh, seed=3)
    torch.testing.assert_close(llg(0.0, m, values), llg(0.0, m), rtol=0, atol=0)
    trained = llg.prepare({"energy.oersted.j": torch.tensor([2e12, 0.0, 0.0])})
    torch.testing.assert_close(trained["energy"]["oersted"]["H"], 2 * values["energy"]["oersted"]["H"], rtol=1e-12, atol=0)
