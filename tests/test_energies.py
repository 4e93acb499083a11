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
