import itertools

from torchmag.energy import LocalEnergy
from torchmag.forms import Direction, Scalar, Tensor, curl, div, dot, grad


class BulkDMI(LocalEnergy):
    """Bulk Dzyaloshinskii-Moriya interaction, w = D m.(curl m)  (Abert et al. 2024, Eq. 5).

    The sign is that of mumax3, mumax+, OOMMF, ubermag and NeuralMag.  The canting of m at free surfaces follows from
    the natural boundary condition.

    Args:
        magnet: the body.
        D: J/m^2; number or cells (*batch, *cells).

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    """

    @staticmethod
    def density(m, D: Scalar):
        return D * dot(m, curl(m))


class InterfaceDMI(LocalEnergy):
    """Interface Dzyaloshinskii-Moriya interaction, w = D [(m.grad)(m.n) - (m.n) div m]  (Abert et al. 2024, Eq. 6).

    The sign is that of OOMMF, ubermag and NeuralMag; mumax3 and mumax+ have the opposite one.

    Args:
        magnet: the body.
        D: J/m^2; number or cells (*batch, *cells).
        normal: n of the interface, normalised here; (3,) or (*batch, 3, *cells).  Default: z, that of a film in the plane.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for a normal of zero length.
    """

    def __init__(self, magnet, D, normal=(0, 0, 1)):
        super().__init__(magnet, D, normal)

    @staticmethod
    def density(m, D: Scalar, normal: Direction):
        along = dot(m, normal)
        return D * (dot(m, grad(along)) - along * div(m))


class DMI(LocalEnergy):
    """General Dzyaloshinskii-Moriya interaction, w = 1/2 sum_ijk D_ijk (m_j d_i m_k - m_k d_i m_j).

    i is the direction of the derivative; only the part antisymmetric in j, k acts.  D_ijk = -D epsilon_ijk is BulkDMI,
    D_ijk = D (delta_ij n_k - delta_ik n_j) is InterfaceDMI (Bogdanov and Yablonskii, Sov. Phys. JETP 68, 101 (1989), for the
    invariants of each crystal class).  mumax+ documents this sign, its code has the opposite one; OOMMF has a module per class.

    Args:
        magnet: the body.
        D: J/m^2; (3, 3, 3) uniform or (*batch, 3, 3, 3, *cells).

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    """

    @staticmethod
    def density(m, D: Tensor(3, 3, 3)):
        d = grad(m)
        return sum((D[i, j, k] - D[i, k, j]) / 2 * m[j] * d[k, i] for i, j, k in itertools.product(range(3), repeat=3) if j != k)
