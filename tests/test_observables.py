"""Averages, topological charge, largest torque and angle."""

import math

import pytest
import torch

import torchmag as tm


def film(n=(8, 6), **kwargs):
    return tm.Magnet(tm.Mesh(n, (2e-9, 3e-9, 1e-9), **kwargs), 8e5)


def test_lumped_weights_of_a_line():  # four cells: weights .125 .25 .25 .25 .125
    magnet = film((4,))
    m = torch.zeros(5, 3, 5)
    m[torch.arange(5), 0, torch.arange(5)] = 1
    torch.testing.assert_close(tm.average(m, magnet)[:, 0], torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125]))


def test_average_of_a_region_and_by_moment():
    Ms = torch.tensor([[1.0, 2.0], [3.0, 0.0]]) * 1e5
    magnet = tm.Magnet(tm.Mesh((2, 2), (1e-9,) * 3), Ms)
    m = tm.positions(magnet.mesh) * 1e9
    torch.testing.assert_close(tm.average(m, magnet), torch.tensor([(0.5 + 0.5 + 1.5) / 3, (0.5 + 1.5 + 0.5) / 3, 0.5]))
    torch.testing.assert_close(tm.average(m, magnet, weight="Ms")[0], torch.tensor((0.5 * 1 + 0.5 * 2 + 1.5 * 3) / 6))
    region = torch.tensor([[False, True], [False, False]])
    torch.testing.assert_close(tm.average(m, magnet, region=region), torch.tensor([0.5, 1.5, 0.5]))


@pytest.mark.parametrize("order", [2, 6])
def test_material_is_that_of_the_terms(order):
    mesh = film().mesh
    Ms = torch.full(mesh.cells, 8e5)
    Ms[0] = 0
    magnet = tm.Magnet(mesh, lambda t: (1 - t) * Ms, order=order)
    m = tm.uniform(mesh, (1, 0, 0))
    found, whole = magnet.material(m, 0.5), magnet.at(magnet.prepare(), torch.tensor(0.5), m, {})
    assert list(found) == ["Ms", "fraction", "M"] and torch.equal(found["M"], 0.5 * Ms)
    for name, value in found.items():
        assert torch.equal(value, whole[name])


def skyrmion(magnet, charge=1, polarity=1, radius=12e-9):
    """m_z from polarity in the centre to -polarity outside, turning `charge` times around."""
    x, y, _ = tm.positions(magnet.mesh) - torch.tensor(magnet.mesh.size).reshape(3, *(1,) * magnet.mesh.dim) / 2
    r, phi = torch.hypot(x, y), torch.atan2(y, x)
    theta = math.pi * (r / radius).clamp(max=1.0)
    return torch.stack([theta.sin() * (charge * phi).cos(), theta.sin() * (charge * phi).sin(), polarity * theta.cos()])


@pytest.mark.parametrize("charge", [1, -1, 2])
@pytest.mark.parametrize("polarity", [1, -1])
def test_charge_of_a_skyrmion_is_an_integer(charge, polarity):
    magnet = film((32, 24))
    Q = tm.topological_charge(skyrmion(magnet, charge, polarity, radius=30e-9), magnet)
    torch.testing.assert_close(Q.item(), float(charge * polarity), rtol=0, atol=1e-12)


def test_charge_of_planes_and_batches():
    flat, thick = film((32, 24)), film((32, 24, 2))
    m = skyrmion(flat, radius=30e-9)
    layered = m.unsqueeze(-1).expand(3, *thick.mesh.nodes)
    batch = torch.stack([layered, -layered])
    torch.testing.assert_close(tm.topological_charge(batch, thick, plane=0), torch.tensor([1.0, -1.0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_charge_does_not_depend_on_the_axes(axis):
    # The skyrmion in the plane normal to each axis, turned with it.
    flat = tm.Magnet(tm.Mesh((24, 24), (2e-9,) * 3), 8e5)
    m = skyrmion(flat, radius=22e-9).unsqueeze(-1)  # normal z
    order = [(2 - axis + i) % 3 for i in range(3)]  # x y z -> cyclic permutation with the normal at `axis`
    m = m[order].permute(0, *(1 + o for o in order))
    n = tuple(s if a == axis else s - 1 for a, s in enumerate(m.shape[1:]))
    n = tuple(1 if a == axis else v for a, v in enumerate(n))
    magnet = tm.Magnet(tm.Mesh(n, (2e-9,) * 3), 8e5)
    m = m.expand(3, *magnet.mesh.nodes)
    torch.testing.assert_close(tm.topological_charge(m, magnet, axis=axis, plane=0).item(), 1.0, rtol=0, atol=1e-12)


def test_largest_angle_and_torque():
    magnet = film((4, 3))
    x = tm.positions(magnet.mesh)[0] / 2e-9
    m = torch.stack([(0.1 * x).cos(), (0.1 * x).sin(), 0 * x])
    torch.testing.assert_close(tm.max_angle(m, magnet).item(), 0.1, rtol=1e-12, atol=0)
    zeeman = tm.Zeeman(magnet, (0, 0, 1e5))
    torch.testing.assert_close(tm.max_torque(zeeman, torch.stack([m, 0.5 * m])), torch.tensor([1e5, 0.5e5]))


@pytest.mark.parametrize("wraps", [False, True])
def test_across_an_empty_cell_no_nodes_are_neighbours(wraps):
    mesh = tm.Mesh((2, 4), (2e-9,) * 3, pbc=(0, int(wraps), 0))
    Ms = torch.full(mesh.cells, 8e5)
    Ms[:, 1] = Ms[:, 3] = 0
    magnet = tm.Magnet(mesh, Ms)
    # Nodes 0 and 1 of y are one layer, 2 and 3 the other.
    m = torch.zeros(3, *mesh.nodes)
    m[0] = 1
    m[0, :, 2:4] = -1
    assert float(tm.max_angle(m, magnet)) == 0
    m[:, 1, 2] = torch.tensor([-math.cos(0.3), math.sin(0.3), 0])
    torch.testing.assert_close(tm.max_angle(torch.stack([m, m.roll(1, 0)]), magnet), torch.tensor([0.3, 0.3]))


def test_planes_that_do_not_exist():
    with pytest.raises(ValueError, match="axis"):
        tm.topological_charge(tm.uniform(film().mesh, (0, 0, 1)), film(), axis=0)
    thick = film((2, 2, 2))
    with pytest.raises(ValueError, match="plane"):
        tm.topological_charge(tm.uniform(thick.mesh, (0, 0, 1)), thick, plane=5)


class Quadratic(torch.nn.Module):
    """E = c sum m_x^2, one energy per sample."""

    def __init__(self):
        super().__init__()
        self.c = torch.nn.Parameter(torch.tensor(1e-19))

    def forward(self, m):
        return self.c * (m[..., 0, :, :] ** 2).sum((-2, -1))


def test_energy_module():
    magnet = film((3, 2))
    term = tm.EnergyModule(magnet, Quadratic())
    m = torch.stack([tm.random(magnet.mesh, seed=s) for s in (0, 1)])
    expected = torch.zeros_like(m)
    expected[:, 0] = 2e-19 * m[:, 0]
    torch.testing.assert_close(term.gradient(m), expected, rtol=1e-12, atol=0)
    both = term + tm.Exchange(magnet, 1e-11)
    torch.testing.assert_close(both.energy(m), term.energy(m) + both.exchange.energy(m))
    (g,) = torch.autograd.grad((term.field(m) ** 2).sum().log(), term.module.c)
    torch.testing.assert_close(g.item(), 2 / 1e-19, rtol=1e-10, atol=0)
    compiled = torch.compile(tm.LLG(both, alpha=0.1), fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(torch.tensor(0.0), m), tm.LLG(both, alpha=0.1)(0.0, m))
    with pytest.raises(TypeError, match="density"):
        term.density_map(m)
