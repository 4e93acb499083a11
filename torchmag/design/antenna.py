import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag.layout import positions
from torchmag.mesh import Mesh
from torchmag.parameters import Derived


class AntennaField(Derived):
    """Field at the nodes, A/m, of an endless straight strip conductor: `tm.Zeeman(film, H=tm.AntennaField(mesh, current, ...))`.

    The magnetostatic field of a current spread evenly over a rectangle (Biot and Savart, integrated in closed form, without
    screening by eddy currents or by the magnet).  With u the direction of the current, n the normal of the strip and w = u x n,
    at (x, z) along (w, n) from the centre,

        H = I / (2 pi W T) int int dx' dz' [(z - z') w - (x - x') n] / [(x - x')^2 + (z - z')^2];

    a strip of zero thickness gives Karlqvist's formula.  The images of periodic axes are not included.

    Args:
        mesh: the grid.
        current: I, A; a number, tensor (*batch), nn.Parameter, or a Module or callable of t, m or both, such as
            `tm.FourierPulse(1e-3, ...)` for a pulse of some mA.
        width: W along w, m, > 0.
        thickness: T along n, m, >= 0.
        center: a point of its middle line (x, y, z), m, in the coordinates of the mesh.
        direction, normal: u and n, perpendicular to each other.
        dtype, device: of the field; torch's defaults.

    Shape: (*batch, 3, *nodes).  `profile` is the field of 1 A.
    Raises:
        TypeError, ValueError: arguments of a wrong kind or size, a normal along the current.
    """

    def __init__(
        self,
        mesh: Mesh,
        current,
        *,
        width: float,
        thickness: float,
        center: Sequence[float],
        direction: Sequence[float] = (0, 1, 0),
        normal: Sequence[float] = (0, 0, 1),
        dtype: torch.dtype | None = None,
        device=None,
    ):
        super().__init__(_scale)
        if not isinstance(mesh, Mesh):
            raise TypeError(f"AntennaField: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
        if not 0 < width < math.inf or not 0 <= thickness < math.inf:
            raise ValueError(f"AntennaField: width = {width}, thickness = {thickness}, expected lengths in m (width > 0)")
        self.mesh, self.width, self.thickness = mesh, float(width), float(thickness)
        middle, u, n = (_vector(*pair) for pair in (("center", center), ("direction", direction), ("normal", normal)))
        self.center = tuple(middle.tolist())
        across = u.cross(n, dim=0)
        if not bool(u.norm() > 0) or not bool(n.norm() > 0) or abs(float(u @ n)) > 1e-9 * float(u.norm() * n.norm()):
            raise ValueError(f"AntennaField: direction = {u.tolist()}, normal = {n.tolist()}, expected perpendicular vectors")
        r = positions(mesh, dtype=torch.float64, device="cpu") - middle.reshape(3, *(1,) * mesh.dim)
        w, n = across / across.norm(), n / n.norm()
        x, z = torch.tensordot(w, r, 1), torch.tensordot(n, r, 1)
        along, up = strip_field(x, z, self.width, self.thickness)
        profile = torch.tensordot(w, along, 0) + torch.tensordot(n, up, 0)
        self._take("profile", profile.to(dtype=dtype or torch.get_default_dtype(), device=device), "AntennaField: profile")
        self._take("current", current, "AntennaField: current")

    def extra_repr(self) -> str:
        return f"width={self.width:g} m, thickness={self.thickness:g} m, center={self.center} m"


def strip_field(x: Tensor, z: Tensor, width: float, thickness: float) -> tuple[Tensor, Tensor]:
    """The components along w and n, 1/m, of the field of 1 A at (x, z), m, from the middle of the strip."""
    a = 0.5 * width
    if not thickness:
        # The jump of H_w across the sheet is 0 on the sheet.
        wide = torch.atan2(2 * a * z.abs(), x * x + z * z - a * a) * z.sign()
        return wide / (2 * math.pi * width), -(_log(x + a, z) - _log(x - a, z)) / (4 * math.pi * width)
    b = 0.5 * thickness
    area = 2 * math.pi * width * thickness
    corners = [(sx * sz, x + sx * a, z + sz * b) for sx in (1, -1) for sz in (1, -1)]
    along = sum(sign * _corner(p, q) for sign, p, q in corners) / area
    up = sum(sign * _corner(q, p) for sign, p, q in corners) / area
    return along, -up


def _corner(p, q):
    """The integral of ln(p^2 + q^2) / 2 over p, without a term that cancels between the corners."""
    return 0.5 * p * _log(p, q) + q.abs() * torch.atan2(p, q.abs())


def _log(p, q):
    square = p * p + q * q
    return torch.log(square + (square == 0))


def _scale(profile, current):
    if isinstance(current, Tensor):
        current = current.to(profile)
        current = current.reshape(*current.shape, *(1,) * profile.ndim)
    return profile * current


def _vector(name, value):
    v = torch.as_tensor(value, dtype=torch.float64, device="cpu")
    if tuple(v.shape) != (3,) or not bool(v.isfinite().all()):
        raise ValueError(f"AntennaField: {name} = {value!r}, expected three finite numbers")
    return v
