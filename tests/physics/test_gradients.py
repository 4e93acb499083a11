"""INV-01: the field of every term is minus the derivative of its energy over the lumped moment."""

import math

import pytest
import torch

import torchmag as tm

from .lumped import lumped_moment

MESHES = {
    "1d": ((7,), (0, 0, 0)),
    "1d, periodic": ((7,), (2, 0, 0)),
    "2d": ((5, 4), (0, 0, 0)),
    "2d, periodic in y": ((5, 4), (0, 1, 0)),
    "3d": ((4, 3, 2), (0, 0, 0)),
    "3d, periodic in x and z": ((4, 3, 2), (1, 0, 2)),
    "3d, one layer": ((4, 3, 1), (0, 0, 0)),
}


def cell_map(mesh, seed, *components):
    """Random values in [0.5, 1.5] per cell."""
    return 0.5 + torch.rand(*components, *mesh.cells, generator=torch.Generator().manual_seed(seed))


def field_map(shape, seed):
    return torch.randn(3, *shape, generator=torch.Generator().manual_seed(seed))


# Each term with material that differs from cell to cell.
TERMS = {
    "exchange": lambda b: tm.Exchange(b, 1e-11 * cell_map(b.mesh, 1)),
    "uniaxial": lambda b: tm.UniaxialAnisotropy(b, 4e5 * cell_map(b.mesh, 2), field_map(b.mesh.cells, 3)),
    "uniaxial, second": lambda b: tm.UniaxialAnisotropy(
        b, 4e5 * cell_map(b.mesh, 2), field_map(b.mesh.cells, 3), Ku2=-3e5 * cell_map(b.mesh, 4)
    ),
    "bulk DMI": lambda b: tm.BulkDMI(b, 3e-3 * cell_map(b.mesh, 5)),
    "interface DMI": lambda b: tm.InterfaceDMI(b, 3e-3 * cell_map(b.mesh, 6), field_map(b.mesh.cells, 7)),
    "DMI": lambda b: tm.DMI(b, 3e-3 * torch.randn(3, 3, 3, *b.mesh.cells, generator=torch.Generator().manual_seed(8))),
    "demag": lambda b: tm.Demag(b),
    "Zeeman": lambda b: tm.Zeeman(b, 1e5 * field_map(b.mesh.nodes, 9)),
}
QUADRATIC = [name for name in TERMS if name not in ("uniaxial, second", "Zeeman")]


def body(mesh):
    """Some cells are empty: a block at a corner, whose outer nodes have no magnetic cell, and others at random."""
    Ms = 8e5 * cell_map(mesh, 10)
    Ms = Ms * (torch.rand(mesh.cells, generator=torch.Generator().manual_seed(11)) > 0.2)
    Ms[(slice(0, 2),) * mesh.dim] = 0
    return tm.Magnet(mesh, Ms)


def make(term, name):
    n, pbc = MESHES[name]
    magnet = body(tm.Mesh(n, (2e-9, 3e-9, 1.5e-9), pbc=pbc))
    return TERMS[term](magnet)


def assert_close(found, expected, rtol=1e-10):
    torch.testing.assert_close(found, expected, rtol=0, atol=rtol * float(expected.abs().max()))


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("term", TERMS)
def test_field_is_minus_the_derivative_of_the_energy(term, mesh):
    energy = make(term, mesh)
    m = tm.random(energy.mesh, seed=12).requires_grad_()
    (derivative,) = torch.autograd.grad(energy.energy(m), m)
    moment = lumped_moment(energy.magnet.Ms, energy.mesh)
    magnetic = moment > 0
    assert not bool(magnetic.all()) or any(energy.mesh.pbc)
    expected = -derivative / (tm.mu_0 * torch.where(magnetic, moment, 1.0))
    assert float(derivative.abs().max()) > 0
    with torch.no_grad():
        assert_close(energy.gradient(m), derivative)
        assert_close(energy.field(m), expected)
        assert not bool(energy.field(m)[:, ~magnetic].any())


@pytest.mark.parametrize("term", ["exchange", "uniaxial", "uniaxial, second", "bulk DMI", "interface DMI", "DMI"])
@pytest.mark.parametrize("n", [(7,), (5, 4), (4, 3, 2)])
def test_field_on_truly_periodic_axes(term, n):
    mesh = tm.Mesh(n, (2e-9, 3e-9, 1.5e-9), pbc=(math.inf,) * len(n) + (0,) * (3 - len(n)))
    energy = TERMS[term](tm.Magnet(mesh, 8e5 * cell_map(mesh, 10)))
    m = tm.random(mesh, seed=12).requires_grad_()
    (derivative,) = torch.autograd.grad(energy.energy(m), m)
    assert_close(energy.field(m).detach(), -derivative / (tm.mu_0 * lumped_moment(energy.magnet.Ms, mesh)))


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("term", [*QUADRATIC, "Zeeman"])
def test_energy_from_the_field(term, mesh):
    """2 E = -mu_0 sum moment m.H for a quadratic energy, E = -mu_0 sum moment m.H for the linear one."""
    energy = make(term, mesh)
    m = tm.random(energy.mesh, seed=13)
    product = lumped_moment(energy.magnet.Ms, energy.mesh) * (m * energy.field(m)).sum(0)
    expected = -tm.mu_0 * product / (2 if term in QUADRATIC else 1)
    # The sum may cancel: compare on the scale of its terms.
    assert float(energy.energy(m)) == pytest.approx(float(expected.sum()), abs=1e-10 * float(expected.abs().sum()))


@pytest.mark.parametrize("mesh", MESHES)
def test_derivatives_in_the_material(mesh):
    """E_exchange is linear in A, E_demag quadratic in Ms: sum A dE/dA = E, sum Ms dE/dMs = 2 E."""
    n, pbc = MESHES[mesh]
    mesh = tm.Mesh(n, (2e-9, 3e-9, 1.5e-9), pbc=pbc)
    m = tm.random(mesh, seed=14)
    A = torch.nn.Parameter(1e-11 * cell_map(mesh, 1))
    E = tm.Exchange(body(mesh), A).energy(m)
    (slope,) = torch.autograd.grad(E, A)
    assert (A * slope).sum().item() == pytest.approx(E.item(), rel=1e-10)

    Ms = torch.nn.Parameter(body(mesh).Ms.clone())
    E = tm.Demag(tm.Magnet(mesh, Ms)).energy(m)
    (slope,) = torch.autograd.grad(E, Ms)
    assert bool(torch.isfinite(slope).all())
    assert (Ms * slope).sum().item() == pytest.approx(2 * E.item(), rel=1e-10)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_derivatives_in_uniform_material(dim):
    """One number for the whole body: dE/dA = E / A, dE/dMs = 2 E / Ms."""
    mesh = tm.Mesh((4, 3, 2)[:dim], (2e-9, 3e-9, 1.5e-9))
    m = tm.random(mesh, seed=15)
    A, Ms = (torch.nn.Parameter(torch.tensor(value)) for value in (1.3e-11, 8e5))
    for energy, parameter, power in (
        (tm.Exchange(tm.Magnet(mesh, 8e5), A), A, 1),
        (tm.Demag(tm.Magnet(mesh, Ms)), Ms, 2),
    ):
        E = energy.energy(m)
        (slope,) = torch.autograd.grad(E, parameter)
        assert slope.item() == pytest.approx(power * E.item() / parameter.item(), rel=1e-10)
