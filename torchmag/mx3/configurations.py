"""Initial states of scripts: m as a function of the place, formulas as mumax3 documents them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchmag.mx3.values import Scriptable, method


class Configuration(Scriptable):
    """m at a place.

    Args:
        at: coordinates (3, ...), m -> vectors (3, ...), of any length.
        by_place: False for noise, which has no value at a place.
        program: the torchmag expression, for `--python`, if there is one.
    """

    def __init__(self, at: Callable[[Tensor], Tensor], by_place: bool = True, program: str | None = None):
        self.at, self.by_place, self.program = at, by_place, program

    @method("float", "float", "float")
    def transl(self, dx, dy, dz):
        return self._of(lambda r: self.at(r - _column(r, dx, dy, dz)))

    @method("float", "float", "float")
    def scale(self, sx, sy, sz):
        return self._of(lambda r: self.at(r / _column(r, sx, sy, sz)))

    @method("float")
    def rotz(self, angle):
        c, s = math.cos(angle), math.sin(angle)
        turned = lambda v, s: torch.stack((v[0] * c - v[1] * s, v[0] * s + v[1] * c, v[2]))
        return self._of(lambda r: turned(self.at(turned(r, -s)), s))

    @method("float", "configuration")
    def add(self, weight, other):
        unit = lambda v: v / (v.norm(dim=0) + (v.norm(dim=0) == 0))
        return Configuration(lambda r: unit(self.at(r)) + weight * unit(other.at(r)), self.by_place and other.by_place)

    def _of(self, at):
        return Configuration(at, self.by_place)


def uniform(x: float, y: float, z: float) -> Configuration:
    """One direction everywhere."""
    return Configuration(lambda r: _column(r, x, y, z).expand(r.shape), program=f"tm.uniform(mesh, {(x, y, z)})")


def random(seed: int | None, generator: torch.Generator) -> Configuration:
    """Directions drawn from the sphere: with a seed the same each time."""

    def at(r):
        source = generator if seed is None else torch.Generator().manual_seed(seed)
        return torch.randn(r.shape, dtype=torch.float64, generator=source).to(r)

    return Configuration(at, by_place=False)


def vortex(circulation: int, polarity: int, core: float, sign: int = 1) -> Configuration:
    """A vortex (sign 1) or antivortex (-1) with a Gaussian core of this diameter, m."""

    def at(r):
        x, y, _ = r
        square = x * x + y * y
        distance = square.sqrt() + (square == 0)
        up = 1.5 * polarity * torch.exp(-square / core**2)
        along = (-y, x) if sign > 0 else (-x, y)
        return torch.stack((along[0] * circulation / distance, along[1] * circulation / distance, up + 0 * x))

    return Configuration(at)


def vortex_wall(left: float, right: float, circulation: int, polarity: int, core: float, width: float) -> Configuration:
    """Two domains and a vortex in the square between them."""
    middle = vortex(circulation, polarity, core)

    def at(r):
        x = r[0]
        side = torch.where(x < 0, left, right).to(r)
        domain = torch.stack((side, 0 * x, 0 * x))
        return torch.where(x.abs() > width / 2, domain, middle.at(r))

    return Configuration(at)


def two_domain(v: tuple[float, ...], width: float) -> Configuration:
    """Left domain, wall, right domain, the wall's share Gaussian over this width, m."""
    left, wall, right = (torch.tensor(v[i : i + 3], dtype=torch.float64) for i in (0, 3, 6))

    def at(r):
        x = r[0]
        tail = (3,) + (1,) * x.ndim
        side = torch.where(x < 0, left.reshape(tail).to(r), right.reshape(tail).to(r))
        share = torch.exp(-((x / width) ** 2))
        return (1 - share) * side + share * wall.reshape(tail).to(r)

    return Configuration(at)


def skyrmion(charge: int, polarity: int, width: float, neel: bool) -> Configuration:
    """A skyrmion, its core of a radius of two widths, in a Gaussian profile of eight."""

    def at(r):
        x, y, _ = r
        square = x * x + y * y
        distance = square.sqrt() + (square == 0)
        up = 2 * polarity * (torch.exp(-square / width**2) - 0.5)
        along = (x, y) if neel else (-y, x)
        part = 1 - up.abs().clamp(max=1)
        return torch.stack((along[0] * charge / distance * part, along[1] * charge / distance * part, up + 0 * x))

    return Configuration(at)


def conical(q: tuple[float, ...], axis: tuple[float, ...], angle: float) -> Configuration:
    """A cone of this angle about an axis, turned along the wave vector q, rad/m."""
    u = torch.tensor(axis, dtype=torch.float64)
    u = u / u.norm()
    e1 = (
        torch.tensor((-u[1], u[0], 0.0), dtype=torch.float64) if u[2].abs() < 0.999999 else torch.tensor((1.0, 0.0, 0.0)).double()
    )
    e1 = e1 / e1.norm()
    e2 = torch.linalg.cross(u, e1)

    def at(r):
        phase = sum(k * x for k, x in zip(q, r))
        column = lambda v: v.reshape(3, *(1,) * phase.ndim).to(r)
        turning = torch.cos(phase) * column(e1) + torch.sin(phase) * column(e2)
        return math.sin(angle) * turning + math.cos(angle) * column(u)

    return Configuration(at)


def helical(q: tuple[float, ...]) -> Configuration:
    """Turning in the plane normal to q."""
    return conical(q, q, math.pi / 2)


def hopfion(major: float, minor: float) -> Configuration:
    """A hopfion with compact support: a torus of these radii, m; m = z outside (Hopf map of the torus' angles)."""

    def at(r):
        x, y, z = r
        rho = (x * x + y * y).sqrt()
        distance = ((rho - major) ** 2 + z * z).sqrt()
        angle = torch.atan2(z, rho - major)
        inside = distance < minor
        theta = math.pi * (1 - distance / minor)
        phi = torch.atan2(y, x) - angle
        m = torch.stack((theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()))
        return torch.where(inside, m, torch.stack((0 * x, 0 * x, 0 * x + 1)))

    return Configuration(at)


def _column(r, x, y, z):
    return torch.tensor((x, y, z), dtype=r.dtype, device=r.device).reshape(3, *(1,) * (r.ndim - 1))
