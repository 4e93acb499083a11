from torchmag.energy import LocalEnergy
from torchmag.forms import Scalar, Tensor


class Magnetoelastic(LocalEnergy):
    """Magnetoelastic energy at a given strain, w = B1 sum_i eps_ii m_i^2 + B2 sum_{i != j} eps_ij m_i m_j  (Kittel, Rev. Mod.
    Phys. 21, 541 (1949)).

    Shear strains are the tensor's (half the engineering ones); each pair i != j counts twice, as in mumax3 and mumax+ (OOMMF
    has no such term).  magnum.np takes B1 = -3/2 lambda100 (C11 - C12) and B2 = -3 lambda111 C44.

    Args:
        magnet: the body.
        strain: xx, yy, zz, yz, xz, xy; (6,) or (*batch, 6, *cells).
        B1, B2: magnetoelastic constants, J/m^3; number or cells (*batch, *cells).

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    """

    @staticmethod
    def density(m, strain: Tensor(6), B1: Scalar, B2: Scalar):
        xx, yy, zz, yz, xz, xy = (strain[i] for i in range(6))
        normal = xx * m[0] ** 2 + yy * m[1] ** 2 + zz * m[2] ** 2
        shear = 2 * (yz * m[1] * m[2] + xz * m[0] * m[2] + xy * m[0] * m[1])
        return B1 * normal + B2 * shear
