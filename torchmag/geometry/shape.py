"""Shapes as signed distance functions, their set algebra and their motions."""

import itertools
import math
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

from torchmag.geometry.fraction import axes, sample_counts, to_mesh, volume_fraction
from torchmag.geometry.sizes import Sized, norm
from torchmag.mesh import Mesh

ORIGIN = (0.0, 0.0, 0.0)
Z_AXIS = (0.0, 0.0, 1.0)


class Shape(Sized):
    """A region of space, given by the signed distance to its surface, negative inside.

    Shapes combine: `a | b` union, `a & b` intersection, `a - b` difference, `~a` complement; `translate`, `rotate`, `scale`,
    `repeat`, `grow`, `shell`, `smooth_union` give new shapes.  The surface (distance zero) is always exact; away from it a
    combination is a lower bound of the distance, and so is what a class says about itself.

    A shape of one's own defines `distance(x, y, z)` for coordinates in m that broadcast against each other over three grid
    axes, and registers its sizes with `take`, to be read with `scalar`, `vector` or `direction`.

    Sizes are in m; a scalar is a number, a tensor (*batch), an nn.Parameter or a Module without arguments (`tm.Positive`), a
    vector has (*batch, 3).  Batched sizes give batched results.
    """

    def distance(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Signed distance, m, at coordinates that broadcast over three grid axes: (*batch, nx, ny, nz) or axes of 1."""
        raise NotImplementedError(f"{type(self).__name__}: a shape defines distance(x, y, z)")

    def forward(self, x: Tensor) -> Tensor:
        """Signed distance, m, at positions x (3, ...): (*batch, ...)."""
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 1 or x.shape[0] != 3:
            got = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise ValueError(f"{type(self).__name__}: x is {got}, expected floating-point positions (3, ...) in metres")
        planes = x.reshape(3, -1, 1, 1)
        d = self.distance(*planes.unbind(0))
        batch = d.shape[:-3]
        return d.expand(*batch, *planes.shape[1:]).reshape((*batch, *x.shape[1:]))

    def mask(self, mesh: Mesh, *, device=None) -> Tensor:
        """Which cells have their centre inside: bool (*batch, *cells).  Computed in float64."""
        with torch.no_grad():
            return to_mesh(self.distance(*axes(_mesh("mask", mesh), device=self._device(device))) < 0, mesh)

    def fraction(self, mesh: Mesh, samples: int | Sequence[int] = 1, *, dtype: torch.dtype | None = None, device=None) -> Tensor:
        """Volume fraction of each cell inside the shape, in [0, 1], differentiable in the sizes: (*batch, *cells).

        Each cell is cut by the tangent plane of the distance at its centre, corrected for curvature.  Boxes along the axes with
        faces between cells come out exactly; a sphere of 10 cells radius has its volume to 1e-4 (a mask of cells: 1e-2) and each
        cell to 0.5 %.  What is smaller than a cell needs samples.

        Args:
            mesh: the grid; a film's cells have their thickness.
            samples: each cell is divided into that many parts along each axis (three numbers: along x, y, z).
            dtype, device: of the result (computed in float64); torch's default dtype and the device of the sizes by default.
        """
        device, dtype = self._device(device), dtype or torch.get_default_dtype()
        return volume_fraction(self.distance, _mesh("fraction", mesh), samples, device).clamp(0, 1).to(dtype)

    def __or__(self, other: "Shape") -> "Shape":
        return Union(self, other) if isinstance(other, Shape) else NotImplemented

    def __and__(self, other: "Shape") -> "Shape":
        return Intersection(self, other) if isinstance(other, Shape) else NotImplemented

    def __sub__(self, other: "Shape") -> "Shape":
        return Intersection(self, Complement(other)) if isinstance(other, Shape) else NotImplemented

    def __invert__(self) -> "Shape":
        return Complement(self)

    def smooth_union(self, other: "Shape", radius) -> "Shape":
        """Union with its concave edges filled by a fillet; two planes at a right angle get a circle of this radius, m."""
        return SmoothUnion(self, other, radius)

    def translate(self, v) -> "Shape":
        """Moved by v (3,), m."""
        return Translate(self, v)

    def rotate(self, angle, axis=Z_AXIS, about=ORIGIN) -> "Shape":
        """Turned by an angle in rad, counterclockwise seen from the tip of the axis, about a point (the origin by default)."""
        return Rotate(self, angle, axis, about)

    def scale(self, s) -> "Shape":
        """Enlarged s times, measured from the origin; s > 0."""
        return Scale(self, s)

    def repeat(self, period: Sequence[float], count: Sequence[int] | None = None) -> "Shape":
        """Copies at multiples of a period along x, y, z, m; math.inf or None: no copies along that axis.

        Args:
            count: number of copies along each axis, the first in place, the others towards +; without limit by default.

        The body must lie within one period of the origin: repeat first, then translate.
        """
        return Repeat(self, period, count)

    def grow(self, distance) -> "Shape":
        """The points nearer to the body than this distance, m (convex edges become round); a negative one shrinks."""
        return Grow(self, distance)

    def shell(self, thickness) -> "Shape":
        """A layer of this thickness, m, centred on the surface."""
        return Shell(self, thickness)

    def _device(self, device):
        first = next(itertools.chain(self.parameters(), self.buffers()), None)
        return device or (first.device if first is not None else None)


class Fraction(nn.Module):
    """`shape.fraction(mesh)` as a Module: `tm.Magnet(mesh, Ms, fraction=tm.geometry.Fraction(shape, mesh))` trains the sizes.

    Args: as for `Shape.fraction`.
    Shape: forward() -> (*batch, *cells).
    """

    def __init__(self, shape: Shape, mesh: Mesh, samples: int | Sequence[int] = 1, *, dtype: torch.dtype | None = None):
        super().__init__()
        self.shape = _shape("Fraction", shape)
        self.mesh, self.samples = _mesh("Fraction", mesh), sample_counts(samples)
        self.dtype = dtype or torch.get_default_dtype()

    def forward(self) -> Tensor:
        return self.shape.fraction(self.mesh, self.samples, dtype=self.dtype)


class Union(Shape):
    """What lies in any of the shapes; exact outside."""

    def __init__(self, *shapes: Shape):
        super().__init__()
        self.shapes = _members(self, shapes)

    def distance(self, x, y, z):
        d = self.shapes[0].distance(x, y, z)
        for shape in self.shapes[1:]:
            d = torch.minimum(d, shape.distance(x, y, z))
        return d


class Intersection(Shape):
    """What lies in all of the shapes; exact inside."""

    def __init__(self, *shapes: Shape):
        super().__init__()
        self.shapes = _members(self, shapes)

    def distance(self, x, y, z):
        d = self.shapes[0].distance(x, y, z)
        for shape in self.shapes[1:]:
            d = torch.maximum(d, shape.distance(x, y, z))
        return d


class Complement(Shape):
    """What lies outside of a shape."""

    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = _shape("Complement", shape)

    def distance(self, x, y, z):
        return -self.shape.distance(x, y, z)


class SmoothUnion(Shape):
    """Two shapes joined by a fillet, max(r, min(a, b)) - |(r - a, r - b)+|."""

    def __init__(self, first: Shape, second: Shape, radius):
        super().__init__()
        self.first, self.second = _shape("SmoothUnion", first), _shape("SmoothUnion", second)
        self.take("radius", radius, lower=0.0)

    def distance(self, x, y, z):
        a, b = self.first.distance(x, y, z), self.second.distance(x, y, z)
        r = self.scalar("radius", x)
        return torch.maximum(r, torch.minimum(a, b)) - norm((r - a).clamp_min(0), (r - b).clamp_min(0))


class Translate(Shape):
    """A shape moved by v, m."""

    def __init__(self, shape: Shape, v):
        super().__init__()
        self.shape = _shape("Translate", shape)
        self.take("v", v, tail=(3,))

    def distance(self, x, y, z):
        vx, vy, vz = self.vector("v", x)
        return self.shape.distance(x - vx, y - vy, z - vz)


class Rotate(Shape):
    """A shape turned by an angle, rad, counterclockwise about an axis through a point."""

    def __init__(self, shape: Shape, angle, axis=Z_AXIS, about=ORIGIN):
        super().__init__()
        self.shape = _shape("Rotate", shape)
        self.take("angle", angle)
        self.take("axis", axis, tail=(3,), unit=True)
        self.take("about", about, tail=(3,))

    def distance(self, x, y, z):
        angle, a, o = self.scalar("angle", x), self.direction("axis", x), self.vector("about", x)
        p = [u - v for u, v in zip((x, y, z), o)]
        cos, sin = torch.cos(angle), torch.sin(angle)
        along = (1 - cos) * (a[0] * p[0] + a[1] * p[1] + a[2] * p[2])
        # Rodrigues' formula for the inverse rotation, p cos - (a x p) sin + a (a.p)(1 - cos).
        turned = []
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            turned.append(p[i] * cos - (a[j] * p[k] - a[k] * p[j]) * sin + a[i] * along + o[i])
        return self.shape.distance(*turned)


class Scale(Shape):
    """A shape enlarged s times, measured from the origin."""

    def __init__(self, shape: Shape, s):
        super().__init__()
        self.shape = _shape("Scale", shape)
        self.take("s", s, lower=0.0)

    def distance(self, x, y, z):
        s = self.scalar("s", x)
        return s * self.shape.distance(x / s, y / s, z / s)


class Repeat(Shape):
    """Copies of a shape at multiples of a period, m, along x, y and z."""

    def __init__(self, shape: Shape, period, count=None):
        super().__init__()
        self.shape = _shape("Repeat", shape)
        if isinstance(period, Sequence):
            period = [math.inf if p is None else p for p in period]
        self.take("period", period, tail=(3,), lower=0.0, infinite=True)
        with torch.no_grad():
            finite = self.value("period", torch.empty(()), (3,)).isfinite()
        self.axes = [axis for axis in range(3) if bool(finite[..., axis].all())]
        counts = (None,) * 3 if count is None else tuple(count)
        wrong = [n for n in counts if n is not None and (isinstance(n, bool) or not isinstance(n, Integral) or n < 1)]
        if len(counts) != 3 or wrong:
            raise ValueError(f"Repeat: count = {count!r}, expected three positive integers (or None: without limit)")
        self.counts = counts

    def distance(self, x, y, z):
        p, period = [x, y, z], self.vector("period", x)
        for axis in self.axes:
            p[axis] = self._nearest(p[axis], period[axis], self.counts[axis])
        d = None
        # The nearest copy of an off-centre body can be that of a neighbouring period.
        for choice in itertools.product(*(p[axis] if axis in self.axes else [p[axis]] for axis in range(3))):
            one = self.shape.distance(*choice)
            d = one if d is None else torch.minimum(d, one)
        return d

    @staticmethod
    def _nearest(p, period, count):
        k = torch.round(p / period).detach()
        limit = math.inf if count is None else count - 1
        least = -math.inf if count is None else 0
        return [p - period * (k + step).clamp(least, limit) for step in (-1, 0, 1)]


class Grow(Shape):
    """The points nearer to a shape than a distance, m."""

    def __init__(self, shape: Shape, distance):
        super().__init__()
        self.shape = _shape("Grow", shape)
        self.take("by", distance)

    def distance(self, x, y, z):
        return self.shape.distance(x, y, z) - self.scalar("by", x)


class Shell(Shape):
    """A layer of a thickness, m, centred on the surface of a shape."""

    def __init__(self, shape: Shape, thickness):
        super().__init__()
        self.shape = _shape("Shell", shape)
        self.take("thickness", thickness, lower=0.0)

    def distance(self, x, y, z):
        return self.shape.distance(x, y, z).abs() - 0.5 * self.scalar("thickness", x)


def _members(owner, shapes):
    """Shapes to combine; those of the same kind are taken apart, so that a chain stays flat."""
    if not shapes:
        raise ValueError(f"{type(owner).__name__}: no shapes, expected at least one")
    flat = []
    for shape in shapes:
        flat += shape.shapes if type(shape) is type(owner) else [_shape(type(owner).__name__, shape)]
    return nn.ModuleList(flat)


def _shape(title, value):
    if not isinstance(value, Shape):
        raise TypeError(f"{title}: got a {type(value).__name__}, expected a torchmag.geometry shape")
    return value


def _mesh(title, mesh):
    if not isinstance(mesh, Mesh):
        raise TypeError(f"{title}: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
    return mesh
