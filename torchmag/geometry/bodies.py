"""Bodies: spheres, boxes, cylinders, rings."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag.geometry.shape import ORIGIN, Z_AXIS, Shape
from torchmag.geometry.sizes import SMALLEST, norm


class Sphere(Shape):
    """A ball; exact distance.

    Args:
        radius: m.
        center: m, (3,).
    """

    def __init__(self, radius, center=ORIGIN):
        super().__init__()
        self.take("radius", radius, lower=0.0)
        self.take("center", center, tail=(3,))

    def distance(self, x, y, z):
        return norm(*minus((x, y, z), self.vector("center", x))) - self.scalar("radius", x)


class Ellipsoid(Shape):
    """An ellipsoid along the axes, sum (x_i / a_i)^2 = 1.

    With k = |x / a| the distance is taken as k (k - 1) / |x / a^2|, which is (k - 1) / |grad k|: the surface and the slope on
    it are exact, the error grows with the square of the distance times the curvature.

    Args:
        semi_axes: a, m, (3,); math.inf makes a cylinder of elliptic cross-section.
        center: m, (3,).
    """

    def __init__(self, semi_axes, center=ORIGIN):
        super().__init__()
        self.take("semi_axes", semi_axes, tail=(3,), lower=0.0, infinite=True)
        self.take("center", center, tail=(3,))

    def distance(self, x, y, z):
        p, a = minus((x, y, z), self.vector("center", x)), self.vector("semi_axes", x)
        scaled = [u / s for u, s in zip(p, a)]
        k = norm(*scaled)
        # In units of the smallest semi-axis, so that squares stay in the range of float32.
        least = torch.minimum(a[0], torch.minimum(a[1], a[2]))
        slope = norm(*(u * (least / s) for u, s in zip(scaled, a)))
        center = (slope == 0).to(slope.dtype)
        return least * ((k - 1) * (k + center) / (slope + center))


class Box(Shape):
    """A cuboid along the axes; exact distance.

    Args:
        size: edges, m, (3,); math.inf is without end.
        center: m, (3,).
    """

    def __init__(self, size, center=ORIGIN):
        super().__init__()
        self.take("size", size, tail=(3,), lower=0.0, infinite=True)
        self.take("center", center, tail=(3,))

    def distance(self, x, y, z):
        p = minus((x, y, z), self.vector("center", x))
        return meet(*(u.abs() - 0.5 * s for u, s in zip(p, self.vector("size", x))))


class HalfSpace(Shape):
    """The side of a plane that its normal points away from, n.(x - point) < 0; exact distance.

    Args:
        normal: (3,), is normalised.
        point: on the plane, m, (3,).
    """

    def __init__(self, normal, point=ORIGIN):
        super().__init__()
        self.take("normal", normal, tail=(3,), unit=True)
        self.take("point", point, tail=(3,))

    def distance(self, x, y, z):
        return along(minus((x, y, z), self.vector("point", x)), self.direction("normal", x))


class Axial(Shape):
    """What bodies around an axis share: `distance` of theirs is `profile(r, h)`.

    r is the distance from the axis through the centre, h the position along it, m.
    """

    def __init__(self, axis, center):
        super().__init__()
        self.take("axis", axis, tail=(3,), unit=True)
        self.take("center", center, tail=(3,))

    def distance(self, x, y, z):
        p, a = minus((x, y, z), self.vector("center", x)), self.direction("axis", x)
        h = along(p, a)
        return self.profile(norm(*(u - h * v for u, v in zip(p, a))), h)

    def profile(self, r: Tensor, h: Tensor) -> Tensor:
        """Signed distance, m, in the half plane of radius and height."""
        raise NotImplementedError(f"{type(self).__name__}: a body around an axis defines profile(r, h)")


class Cylinder(Axial):
    """A circular cylinder, pillar or disk; exact distance.

    Args:
        radius: m.
        height: m; without end by default, which suits films.
        axis: direction, (3,).
        center: m, (3,).
    """

    def __init__(self, radius, height=math.inf, axis=Z_AXIS, center=ORIGIN):
        super().__init__(axis, center)
        self.take("radius", radius, lower=0.0)
        self.take("height", height, lower=0.0, infinite=True)

    def profile(self, r, h):
        return meet(r - self.scalar("radius", r), h.abs() - 0.5 * self.scalar("height", r))


class Ring(Axial):
    """A tube of rectangular cross-section; exact distance.

    Args:
        outer, inner: radii, m.
        height: m; without end by default.
        axis: direction, (3,).
        center: m, (3,).
    """

    def __init__(self, outer, inner, height=math.inf, axis=Z_AXIS, center=ORIGIN):
        super().__init__(axis, center)
        self.take("outer", outer, lower=0.0)
        self.take("inner", inner, lower=0.0)
        self.take("height", height, lower=0.0, infinite=True)
        known = isinstance(self.outer, Tensor) and isinstance(self.inner, Tensor)
        if known and not bool((self.outer > self.inner).all()):
            raise ValueError("Ring: outer radius is not larger than the inner one")

    def profile(self, r, h):
        wall = torch.maximum(r - self.scalar("outer", r), self.scalar("inner", r) - r)
        return meet(wall, h.abs() - 0.5 * self.scalar("height", r))


class Torus(Axial):
    """A ring of circular cross-section; exact distance.

    Args:
        radius: of the circle in the middle of the tube, m.
        tube: radius of the tube, m.
        axis: direction, (3,).
        center: m, (3,).
    """

    def __init__(self, radius, tube, axis=Z_AXIS, center=ORIGIN):
        super().__init__(axis, center)
        self.take("radius", radius, lower=0.0)
        self.take("tube", tube, lower=0.0)

    def profile(self, r, h):
        return norm(r - self.scalar("radius", r), h) - self.scalar("tube", r)


class Cone(Axial):
    """A truncated cone, bottom at -height/2 and top at +height/2 along the axis; exact inside, a lower bound at its edges.

    Args:
        bottom, top: radii, m; > 0.
        height: m.
        axis: direction, (3,).
        center: m, (3,).
    """

    def __init__(self, bottom, top, height, axis=Z_AXIS, center=ORIGIN):
        super().__init__(axis, center)
        self.take("bottom", bottom, lower=0.0)
        self.take("top", top, lower=0.0)
        self.take("height", height, lower=0.0)

    def profile(self, r, h):
        bottom, top, height = self.scalar("bottom", r), self.scalar("top", r), self.scalar("height", r)
        slope = (top - bottom) / height
        side = (r - 0.5 * (bottom + top) - slope * h) / (1 + slope * slope).sqrt()
        return torch.maximum(side, h.abs() - 0.5 * height)


class Capsule(Shape):
    """The points nearer than a radius to a straight line from start to end; exact distance.

    Args:
        start, end: m, (3,).
        radius: m.
    """

    def __init__(self, start, end, radius):
        super().__init__()
        self.take("start", start, tail=(3,))
        self.take("end", end, tail=(3,))
        self.take("radius", radius, lower=0.0)

    def distance(self, x, y, z):
        start, end = self.vector("start", x), self.vector("end", x)
        p, line = minus((x, y, z), start), minus(end, start)
        length = along(line, line)
        s = (along(p, line) / (length + (length == 0))).clamp(0, 1)
        return norm(*(u - s * v for u, v in zip(p, line))) - self.scalar("radius", x)


def minus(a: Sequence[Tensor], b: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """a - b, by components."""
    return tuple(u - v for u, v in zip(a, b))


def along(p: Sequence[Tensor], a: Sequence[Tensor]) -> Tensor:
    """Scalar product, by components."""
    return p[0] * a[0] + p[1] * a[1] + p[2] * a[2]


def meet(*levels: Tensor) -> Tensor:
    """Intersection of bodies whose surfaces meet at right angles, from their distances; exact if these are."""
    nearest = levels[0]
    for level in levels[1:]:
        nearest = torch.maximum(nearest, level)
    # On the surface and inside the greatest level itself, whose slope does not vanish there.
    return torch.where(nearest > SMALLEST, norm(*(level.clamp_min(0) for level in levels)), nearest)
