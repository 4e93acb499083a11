"""Every energy term against the contract, and one analytic value each beside it."""

import torch

import torchmag as tm
from torchmag.testing import EnergyContract


class TestExchange(EnergyContract):
    def term(self, magnet):
        return tm.Exchange(magnet, A=self.cells(magnet, 1.3e-11))


class TestUniaxialAnisotropy(EnergyContract):
    def term(self, magnet):
        return tm.UniaxialAnisotropy(magnet, Ku=self.cells(magnet, 4e5), axis=self.cells(magnet, 1.0, (3,), seed=3))


class TestUniaxialAnisotropySecondOrder(EnergyContract):
    def term(self, magnet):
        Ku2 = self.cells(magnet, -2e5, seed=4)
        return tm.UniaxialAnisotropy(magnet, Ku=self.cells(magnet, 4e5), axis=(0.0, 0.6, 0.8), Ku2=Ku2)


class TestBulkDMI(EnergyContract):
    odd = ("D",)

    def term(self, magnet):
        return tm.BulkDMI(magnet, D=self.cells(magnet, 3e-3))


class TestInterfaceDMI(EnergyContract):
    polar = ("normal",)

    def term(self, magnet):
        return tm.InterfaceDMI(magnet, D=self.cells(magnet, 3e-3), normal=(0.0, 0.6, 0.8))


class TestDMI(EnergyContract):
    def term(self, magnet):
        return tm.DMI(magnet, D=self.cells(magnet, 3e-3, (3, 3, 3)))


class TestCubicAnisotropy(EnergyContract):
    def term(self, magnet):
        Kc = [self.cells(magnet, value, seed=seed) for seed, value in ((1, 5e4), (2, -3e4), (3, 2e5))]
        return tm.CubicAnisotropy(magnet, Kc[0], (0.6, 0.8, 0.0), (0.0, 0.1, 1.0), Kc2=Kc[1], Kc3=Kc[2])


class TestMagnetoelastic(EnergyContract):
    symmetric = False  # strain is a tensor in Voigt notation, which the contract does not turn

    def term(self, magnet):
        strain = self.cells(magnet, 1e-3, (6,), seed=3)
        return tm.Magnetoelastic(magnet, strain, self.cells(magnet, -8.8e6), self.cells(magnet, 4e6, seed=4))


class TestDemag(EnergyContract):
    # The 2D cell field is that of a 3D mesh with one layer; only the node averages along z differ.
    def term(self, magnet):
        return tm.Demag(magnet)


class TestZeeman(EnergyContract):
    def term(self, magnet):
        H = 1e5 * self.random((3, *magnet.mesh.nodes), seed=5)
        return tm.Zeeman(magnet, H.to(magnet.reference))

    uniform_along_z = False  # the random field is not uniform along z


class EasyPlane(tm.LocalEnergy):
    """The example of the documentation."""

    @staticmethod
    def density(m, Kp: tm.forms.Scalar, n: tm.forms.Direction):
        return Kp * tm.forms.dot(m, n) ** 2


class TestUsersTerm(EnergyContract):
    def term(self, magnet):
        return EasyPlane(magnet, Kp=self.cells(magnet, 2e5), n=(0, 0, 1))


def test_easy_plane_is_minus_uniaxial():
    magnet = tm.Magnet(tm.Mesh((3, 2), (1e-9, 2e-9, 3e-9)), 8e5)
    m = tm.random(magnet.mesh, seed=1)
    torch.testing.assert_close(
        EasyPlane(magnet, 2e5, (1, 2, 3)).energy(m), -tm.UniaxialAnisotropy(magnet, 2e5, (1, 2, 3)).energy(m), rtol=1e-13, atol=0
    )


def test_bulk_dmi_is_the_antisymmetric_tensor():
    magnet = tm.Magnet(tm.Mesh((3, 2, 2), (1e-9, 2e-9, 3e-9)), 8e5)
    m = tm.random(magnet.mesh, seed=1)
    epsilon = torch.zeros(3, 3, 3)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        epsilon[i, j, k], epsilon[i, k, j] = 1, -1  # m . curl m = -epsilon_ijk m_j d_i m_k
    torch.testing.assert_close(tm.DMI(magnet, -3e-3 * epsilon).field(m), tm.BulkDMI(magnet, 3e-3).field(m), rtol=1e-11, atol=1e-6)


def test_cubic_anisotropy_of_a_uniform_state():
    # m at 30 degrees from x in the plane: a^2 b^2 = 3/16, a^2 b^2 c^2 = 0, a^4 b^4 = 9/256.
    magnet = tm.Magnet(tm.Mesh((2, 3, 1), (1e-9, 2e-9, 3e-9)), 8e5)
    m = tm.uniform(magnet.mesh, (3**0.5 / 2, 0.5, 0))
    term = tm.CubicAnisotropy(magnet, 5e4, (1, 0, 0), (0, 1, 0), Kc2=1e4, Kc3=2e4)
    expected = (5e4 * 3 / 16 + 2e4 * 9 / 256) * 36e-27
    torch.testing.assert_close(term.energy(m).item(), expected, rtol=1e-12, atol=0)


def test_magnetoelastic_field_of_a_uniform_state():
    # B_i = -2/Ms (B1 m_i eps_ii + B2 sum_j m_j eps_ij): mumax3 test/mel-field.mx3.
    magnet = tm.Magnet(tm.Mesh((2, 2), (1e-9, 2e-9, 3e-9)), 8e5)
    xx, yy, zz, yz, xz, xy = strain = [1e-3, -2e-3, 3e-3, 4e-3, -5e-3, 6e-3]
    eps = torch.tensor([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    m = torch.tensor([1.0, 2.0, 3.0]) / 14**0.5
    B1, B2 = 2e6, -3e6
    diagonal = eps.diagonal()
    expected = -2 / (tm.mu_0 * 8e5) * (B1 * m * diagonal + B2 * (eps @ m - diagonal * m))
    field = tm.Magnetoelastic(magnet, strain, B1, B2).field(tm.uniform(magnet.mesh, m))
    torch.testing.assert_close(field[:, 1, 2], expected, rtol=1e-12, atol=0)


def lifshitz(*terms):
    """A DMI tensor from D_ijk of the invariants m_j d_i m_k - m_k d_i m_j, given as (i, j, k, sign)."""
    D = torch.zeros(3, 3, 3)
    for i, j, k, sign in terms:
        D[i, j, k] += sign
        D[i, k, j] -= sign
    return D


class D2d(tm.LocalEnergy):
    """w = D m.(d_x m x e_x - d_y m x e_y)."""

    @staticmethod
    def density(m, D: tm.forms.Scalar):
        d = tm.forms.grad(m)
        return D * (m[1] * d[2, 0] - m[2] * d[1, 0] - (m[2] * d[0, 1] - m[0] * d[2, 1]))


def test_interface_and_d2d_are_special_tensors():
    # Interface, n = z: m_x d_x m_z - m_z d_x m_x + m_y d_y m_z - m_z d_y m_y.  D2d: m_y d_x m_z - m_z d_x m_y - (m_z d_y m_x - m_x d_y m_z).
    magnet = tm.Magnet(tm.Mesh((3, 2, 2), (1e-9, 2e-9, 3e-9)), 8e5)
    m = tm.random(magnet.mesh, seed=1)
    interface = lifshitz((0, 0, 2, 1), (1, 1, 2, 1))
    torch.testing.assert_close(
        tm.DMI(magnet, 3e-3 * interface).field(m), tm.InterfaceDMI(magnet, 3e-3, (0, 0, 1)).field(m), rtol=1e-11, atol=1e-6
    )
    d2d = lifshitz((0, 1, 2, 1), (1, 2, 0, -1))
    torch.testing.assert_close(tm.DMI(magnet, 3e-3 * d2d).field(m), D2d(magnet, 3e-3).field(m), rtol=1e-11, atol=1e-6)
