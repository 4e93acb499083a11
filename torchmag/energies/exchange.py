from torchmag.energy import LocalEnergy
from torchmag.forms import Scalar, dot, grad


class Exchange(LocalEnergy):
    """Isotropic exchange, w = A (grad m)^2  (Abert et al. 2024, Eq. 3).

    The natural boundary condition dm/dn = 0 and the jump condition A1 dm1/dn = A2 dm2/dn hold weakly, also where A jumps
    between cells (mumax3 and OOMMF, cell-centred, use a harmonic mean of A there).

    Args:
        magnet: the body.
        A: exchange stiffness, J/m; number or cells (*batch, *cells), >= 0.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    """

    bounds = {"A": (0.0, float("inf"))}

    @staticmethod
    def density(m, A: Scalar):
        return A * dot(grad(m), grad(m))
