from torchmag.forms import Direction, Scalar, dot
from torchmag.magnet import Magnet
from torchmag.surface import SurfaceEnergy


class SurfaceAnisotropy(SurfaceEnergy):
    """Anisotropy of a surface or an interface, w = -Ks (m.u)^2 per area (Neel, J. Phys. Radium 15, 225 (1954)).

    Ks > 0 along the normal of the plane is perpendicular anisotropy (PMA): a film of thickness d that is too thin to twist has
    Ku = Ks / d.  mumax3 and OOMMF take that Ku in the cells next to the surface instead.

    Args:
        magnet: the body.
        Ks: J/m^2; number or cells with one entry along the normal, such as (*batch, nx, ny, 1).
        axis: the normal of the plane, 0, 1 or 2; the mesh must have it.
        plane: node index along the axis: 0 is the lower end of an open axis.  A plane inside the body acts on the nodes there.
        direction: u, normalised here; (3,) or (*batch, 3, *cells of the plane).  The normal by default.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape; zero off the plane.
    Raises: ValueError for an axis that the mesh does not have, a plane outside it, a direction of zero length.
    """

    def __init__(self, magnet: Magnet, Ks, axis: int = 2, plane: int = 0, direction=None):
        if direction is None:
            direction = tuple(float(a == axis) for a in range(3))
        super().__init__(magnet, Ks, direction, axis=axis, planes=(plane,))

    @staticmethod
    def density(m, Ks: Scalar, direction: Direction):
        return -Ks * dot(m, direction) ** 2
