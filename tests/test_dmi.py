"""The DMI tensor, and bulk, interface and D2d DMI as sums of Lifshitz invariants L_jk^i = m_j d_i m_k - m_k d_i m_j."""

import math

import pytest
import torch

import torchmag as tm

MESHES = {
    "1d": tm.Mesh((5,), (1e-9, 2e-9, 3e-9)),
    "2d, periodic": tm.Mesh((4, 3), (1e-9, 2e-9, 3e-9), pbc=(math.inf, 0, 0)),
    "3d": tm.Mesh((3, 2, 3), (1e-9, 2e-9, 3e-9)),
    "3d, periodic": tm.Mesh((3, 2, 3), (1e-9, 2e-9, 3e-9), pbc=(0, 2, math.inf)),
}
# (i, j, k, sign): bulk D m.curl m = D sum sign L_jk^i.
BULK = ((0, 1, 2, -1), (1, 2, 0, -1), (2, 0, 1, -1))
CUBE = {(0, 1, 2): 1, (1, 2, 0): 1, (2, 0, 1): 1, (0, 2, 1): -1, (2, 1, 0): -1, (1, 0, 2): -1}


def invariant(i, j, k):
    """The term of one Lifshitz invariant."""

    def density(m, D: tm.forms.Scalar):
        d = tm.forms.grad(m)
        return D * (m[j] * d[k, i] - m[k] * d[j, i])

    return type("Lifshitz", (tm.LocalEnergy,), {"density": staticmethod(density)})


def body(mesh):
    """Heterogeneous, with an empty cell; a map of D; a random state."""
    generator = torch.Generator().manual_seed(5)
    Ms = 8e5 * (0.5 + torch.rand(mesh.cells, generator=generator))
    Ms.view(-1)[-1] = 0
    return tm.Magnet(mesh, Ms), 3e-3 * torch.randn(mesh.cells, generator=generator), tm.random(mesh, generator=generator)


@pytest.mark.parametrize("mesh", MESHES.values(), ids=list(MESHES))
def test_bulk_is_the_tensor_is_the_sum_of_its_invariants(mesh):
    magnet, D, m = body(mesh)
    bulk = tm.BulkDMI(magnet, D)
    epsilon = torch.zeros(3, 3, 3)
    for index, sign in CUBE.items():
        epsilon[index] = sign
    tensor = tm.DMI(magnet, -epsilon.reshape(3, 3, 3, *(1,) * mesh.dim) * D)
    parts = tm.Sum(*(invariant(i, j, k)(magnet, sign * D) for i, j, k, sign in BULK))
    scale = float(parts.density_map(m).abs().sum()) * mesh.cell_volume
    for other in (tensor, parts):
        torch.testing.assert_close(other.field(m), bulk.field(m), rtol=0, atol=1e-12 * float(bulk.field(m).abs().max()))
        torch.testing.assert_close(other.density_map(m), bulk.density_map(m), rtol=0, atol=1e-12 * scale / mesh.cell_volume)
        assert abs(float(other.energy(m) - bulk.energy(m))) < 1e-12 * scale


def test_normal_of_a_film():
    mesh = tm.Mesh((4, 3), (2e-9,) * 3)
    magnet, m = tm.Magnet(mesh, 8e5), tm.random(mesh, seed=0)
    assert torch.equal(tm.InterfaceDMI(magnet, 1e-3).field(m), tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1)).field(m))
    assert tm.InterfaceDMI(magnet, D=1e-3).normal.tolist() == [0, 0, 1]


@pytest.mark.parametrize("mesh", MESHES.values(), ids=list(MESHES))
@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 0, 0), (1, -2, 3)])
def test_interface_is_a_tensor_for_any_normal(mesh, normal):
    """D_ijk = D (delta_ij n_k - delta_ik n_j)."""
    magnet, D, m = body(mesh)
    n, one = torch.tensor(normal, dtype=torch.float64), torch.eye(3)
    n = n / n.norm()
    D_ijk = torch.einsum("ij,k->ijk", one, n) - torch.einsum("ik,j->ijk", one, n)
    tensor = tm.DMI(magnet, D_ijk.reshape(3, 3, 3, *(1,) * mesh.dim) * D)
    interface = tm.InterfaceDMI(magnet, D, normal)
    torch.testing.assert_close(tensor.field(m), interface.field(m), rtol=0, atol=1e-12 * float(interface.field(m).abs().max()))
    torch.testing.assert_close(
        tensor.density_map(m), interface.density_map(m), rtol=1e-11, atol=1e-12 * float(interface.density_map(m).abs().max())
    )


def test_only_the_antisymmetric_part_acts():
    magnet, _, m = body(MESHES["3d"])
    D = 1e-3 * torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(6))
    half = (D - D.transpose(1, 2)) / 2
    field = tm.DMI(magnet, half).field(m)
    torch.testing.assert_close(tm.DMI(magnet, D).field(m), field, rtol=1e-12, atol=1e-6)
    assert tm.DMI(magnet, (D + D.transpose(1, 2)) / 2).field(m).abs().max() < 1e-15 * field.abs().max()


def test_every_single_component_is_its_invariant():
    """1/2 D_ijk (m_j d_i m_k - m_k d_i m_j), index by index: the first is the direction of the derivative."""
    magnet, D, m = body(MESHES["3d"])
    for i in range(3):
        for j, k in ((0, 1), (1, 2), (2, 0)):
            unit = torch.zeros(3, 3, 3)
            unit[i, j, k] = 2.0
            term = tm.DMI(magnet, unit.reshape(3, 3, 3, 1, 1, 1) * D)
            expected = invariant(i, j, k)(magnet, D)
            scale = float(expected.field(m).abs().max())
            torch.testing.assert_close(term.field(m), expected.field(m), rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_handedness(sign, order):
    """m.curl m = -q for (0, cos qx, sin qx): D > 0 favours q > 0.  Interface: (sin qx, 0, cos qx) has w = -D q."""
    h, n = 1e-9, 60
    mesh = tm.Mesh((n,), (h, h, h), pbc=(math.inf, 0, 0))
    magnet = tm.Magnet(mesh, 8e5, order=order)
    q = sign * 2 * math.pi / (n * h)
    x = tm.positions(mesh)[0]
    c, s, o = (q * x).cos(), (q * x).sin(), 0 * x
    # Two neighbours at an angle delta: sin(delta) / h in place of q.  That is D I; theirs are series in sin^2(delta / 2).
    half = math.sin(q * h / 2) ** 2
    slope = {2: 1, 4: 1 + half / 6, 6: 1 + half / 6 + 3 / 40 * half**2}[order]
    value = {2: 1, 4: 1 + half / 2, 6: 1 + half / 2 + 3 / 8 * half**2}[order]
    exact = -math.sin(q * h) / h * slope * value * 1e-3
    for term, m in ((tm.BulkDMI(magnet, 1e-3), (o, c, s)), (tm.InterfaceDMI(magnet, 1e-3, (0, 0, 1)), (s, o, c))):
        density = float(term.energy(torch.stack(m))) / (n * h**3)
        # mumax3's and OOMMF's bulk DMI alike; mumax3's interface DMI has the other sign.
        assert density == pytest.approx(exact, rel=1e-12)
