from torch import Tensor

from torchmag import layout
from torchmag.energy import LocalEnergy
from torchmag.forms import Direction, Scalar, cross, dot
from torchmag.parameters import fit


class CubicAnisotropy(LocalEnergy):
    """Cubic anisotropy, w = Kc1 (a^2 b^2 + b^2 c^2 + c^2 a^2) + Kc2 a^2 b^2 c^2 + Kc3 (a^4 b^4 + b^4 c^4 + c^4 a^4).

    a, b, c are the components of m along axis1, axis2 and axis1 x axis2 (Skomski, Simple Models of Magnetism, Sec. 3.1; as in
    mumax3 and, for Kc1 alone, OOMMF).  NeuralMag has the opposite sign of Kc1.  Of axis2 the part normal to axis1 is taken.

    Args:
        magnet: the body.
        Kc1: first constant, J/m^3; number or cells (*batch, *cells).  Positive: easy axes along the cube's edges.
        axis1, axis2: (3,) or (*batch, 3, *cells), normalised here; not parallel.
        Kc2, Kc3: higher constants, J/m^3.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for an axis of zero length or parallel axes.
    """

    def __init__(self, magnet, *args, **kwargs):
        super().__init__(magnet, *args, **kwargs)
        values = self._prepare_own({}, "", {})
        if "axis1" in values and "axis2" in values:
            self._require_frame(values["axis1"], values["axis2"])

    def _register(self, name, value, role):
        value = self._as_source(name, value)
        other = {"axis1": "axis2", "axis2": "axis1"}.get(name)
        if isinstance(value, Tensor) and other in self._roles and isinstance(getattr(self, other), Tensor):
            self._require_frame(self._fit(other, getattr(self, other)), fit(value, role, f"CubicAnisotropy: {name}"))
        super()._register(name, value, role)

    def _require_frame(self, axis1, axis2):
        if axis1.device.type == "meta":
            return
        cosine = layout.dot(axis1.detach(), axis2.detach(), self.mesh)
        # sin^2 < 1e-6
        if bool((cosine**2 > 1 - 1e-6).any()):
            raise ValueError("CubicAnisotropy: axis1 and axis2 are parallel somewhere; give two axes at right angles")

    @staticmethod
    def density(m, Kc1: Scalar, axis1: Direction, axis2: Direction, Kc2: Scalar = 0, Kc3: Scalar = 0):
        normal = cross(axis1, axis2)
        sine2 = dot(normal, normal)
        # cross(normal, axis1) is the part of axis2 normal to axis1; both have the length of the sine between the axes.
        aa, bb, cc = dot(m, axis1) ** 2, dot(m, cross(normal, axis1)) ** 2 / sine2, dot(m, normal) ** 2 / sine2
        first = aa * bb + bb * cc + cc * aa
        return Kc1 * first + Kc2 * aa * bb * cc + Kc3 * (aa**2 * bb**2 + bb**2 * cc**2 + cc**2 * aa**2)
