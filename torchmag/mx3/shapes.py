"""Shapes of scripts: which points lie inside.

A point is inside or outside, as in mumax3, whose cells belong to a shape if their centre does; half-open where mumax3's are.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchmag.mx3.values import Scriptable, method


class Shape(Scriptable):
    """A part of space.

    Args:
        inside: coordinates x, y, z, m, as tensors of one shape -> bool, same shape.
        program: what makes the shape in torchmag, for `--python`; None: given as a mask.
    """

    def __init__(self, inside: Callable[[Tensor, Tensor, Tensor], Tensor], program: str | None = None):
        self.inside, self.program = inside, program

    @method("float", "float", "float")
    def transl(self, dx, dy, dz):
        program = self.program and f"{self.program}.translate({(dx, dy, dz)})"
        return Shape(lambda x, y, z: self.inside(x - dx, y - dy, z - dz), program)

    @method("float", "float", "float")
    def scale(self, sx, sy, sz):
        return Shape(lambda x, y, z: self.inside(x / sx, y / sy, z / sz))

    @method("float")
    def rotz(self, angle):
        c, s = math.cos(angle), math.sin(angle)
        program = self.program and f"{self.program}.rotate({angle!r})"
        return Shape(lambda x, y, z: self.inside(x * c + y * s, y * c - x * s, z), program)

    @method("float")
    def rotx(self, angle):
        c, s = math.cos(angle), math.sin(angle)
        return Shape(lambda x, y, z: self.inside(x, y * c + z * s, z * c - y * s))

    @method("float")
    def roty(self, angle):
        c, s = math.cos(angle), math.sin(angle)
        return Shape(lambda x, y, z: self.inside(x * c - z * s, y, z * c + x * s))

    @method("float", "float", "float")
    def repeat(self, px, py, pz):
        fold = lambda x, period: x - period * torch.floor(x / period + 0.5) if period else x
        return Shape(lambda x, y, z: self.inside(fold(x, px), fold(y, py), fold(z, pz)))

    @method("shape")
    def add(self, other):
        return self._with(other, lambda a, b: a | b, "|")

    @method("shape")
    def sub(self, other):
        return self._with(other, lambda a, b: a & ~b, "-")

    @method("shape")
    def intersect(self, other):
        return self._with(other, lambda a, b: a & b, "&")

    @method("shape")
    def xor(self, other):
        return self._with(other, lambda a, b: a ^ b, None)

    @method()
    def inverse(self):
        return Shape(lambda x, y, z: ~self.inside(x, y, z), self.program and f"(~{self.program})")

    def _with(self, other, join, sign):
        known = sign and self.program and other.program
        program = f"({self.program} {sign} {other.program})" if known else None
        return Shape(lambda x, y, z: join(self.inside(x, y, z), other.inside(x, y, z)), program)


def universe() -> Shape:
    """All of space."""
    return Shape(lambda x, y, z: torch.ones_like(x, dtype=torch.bool))


def ellipsoid(dx: float, dy: float, dz: float) -> Shape:
    """By its diameters; infinite ones leave an axis out."""
    square = lambda x, d: 0 if math.isinf(d) else (2 * x / d) ** 2
    program = f"tm.geometry.Ellipsoid({_three(dx / 2, dy / 2, dz / 2)})"
    return Shape(lambda x, y, z: square(x, dx) + square(y, dy) + square(z, dz) + 0 * x <= 1, program)


def cuboid(dx: float, dy: float, dz: float) -> Shape:
    """By its edges, the lower sides inside and the upper ones not."""
    within = lambda x, d: (x >= -d / 2) & (x < d / 2)
    program = f"tm.geometry.Box({_three(dx, dy, dz)})"
    return Shape(lambda x, y, z: within(x, dx) & within(y, dy) & within(z, dz), program)


def cylinder(diameter: float, height: float) -> Shape:
    """Along z."""
    return Shape(lambda x, y, z: (x * x + y * y <= (diameter / 2) ** 2) & (z <= height / 2) & (z >= -height / 2))


def cone(diameter: float, height: float) -> Shape:
    """Its base at z = 0, its top at the height."""
    return Shape(lambda x, y, z: (z >= 0) & (z <= height) & (x * x + y * y <= (0.5 * diameter * (1 - z / height)) ** 2))


def between(axis: int, low: float, high: float) -> Shape:
    """From low, inside, to high, outside, along an axis."""
    return Shape(lambda *r: (r[axis] >= low) & (r[axis] < high))


def triangle(p: list[tuple[float, float]]) -> Shape:
    """By three corners in the plane."""

    def inside(x, y, z):
        side = lambda a, b: (x - b[0]) * (a[1] - b[1]) - (a[0] - b[0]) * (y - b[1])
        found = [side(p[i], p[(i + 1) % 3]) for i in range(3)]
        return ((found[0] >= 0) & (found[1] >= 0) & (found[2] >= 0)) | ((found[0] <= 0) & (found[1] <= 0) & (found[2] <= 0))

    return Shape(inside)


def superball(diameter: float, p: float) -> Shape:
    """|2x/d|^2p + |2y/d|^2p + |2z/d|^2p <= 1."""
    return Shape(lambda *r: sum((2 * x / diameter).abs() ** (2 * p) for x in r) <= 1)


def masked(mask: Tensor, size: tuple[float, ...]) -> Shape:
    """A mask (nx, ny, nz) over a cuboid about the origin, m."""

    def inside(*r):
        places = [torch.floor((x / d + 0.5) * n).long() for x, d, n in zip(r, size, mask.shape)]
        fits = torch.ones_like(r[0], dtype=torch.bool)
        for place, n in zip(places, mask.shape):
            fits &= (place >= 0) & (place < n)
        return fits & mask[tuple(place.clamp(0, n - 1) for place, n in zip(places, mask.shape))]

    return Shape(inside)


def _three(*sizes):
    return "(" + ", ".join("math.inf" if math.isinf(d) else repr(d) for d in sizes) + ")"
