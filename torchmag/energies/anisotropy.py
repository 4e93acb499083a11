from torchmag.energy import LocalEnergy
from torchmag.forms import Direction, Scalar, dot


class UniaxialAnisotropy(LocalEnergy):
    """Uniaxial anisotropy, w = -Ku (m.u)^2 - Ku2 (m.u)^4  (Abert et al. 2024, Eq. 4).

    OOMMF adds a constant so that w >= 0: its energy is this one plus Ku times the volume.

    Args:
        magnet: the body.
        Ku: first constant, J/m^3; number or cells (*batch, *cells).  Positive: easy axis; negative: easy plane.
        axis: u, normalised here; (3,) or (*batch, 3, *cells).
        Ku2: second constant, J/m^3.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for an axis of zero length.
    """

    @staticmethod
    def density(m, Ku: Scalar, axis: Direction, Ku2: Scalar = 0):
        along = dot(m, axis)
        return -Ku * along**2 - Ku2 * along**4
