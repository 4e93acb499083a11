"""Prisms over polygons."""

import math

import torch

from torchmag.geometry.bodies import meet, minus
from torchmag.geometry.shape import ORIGIN, Shape
from torchmag.geometry.sizes import norm


class Polygon(Shape):
    """A prism along z over a simple polygon in the x, y plane; exact distance.

    Args:
        vertices: corners in order, either way round, m, (*batch, n, 2) with n >= 3; edges must not cross.
        height: along z, m; without end by default, which suits films.
        center: of the coordinates, m, (3,).
    """

    def __init__(self, vertices, height=math.inf, center=ORIGIN):
        super().__init__()
        self.take("vertices", vertices, tail=(None, 2))
        shape = getattr(self.vertices, "shape", None)
        if shape is not None and shape[-2] < 3:
            raise ValueError(f"Polygon: vertices are {shape[-2]}, expected at least 3")
        self.take("height", height, lower=0.0, infinite=True)
        self.take("center", center, tail=(3,))

    def corners(self, like):
        """Coordinates of the corners, each (*batch, n, 1, 1, 1)."""
        return self.value("vertices", like, (None, 2))[..., None, None, None].unbind(-4)

    def distance(self, x, y, z):
        x, y, z = minus((x, y, z), self.vector("center", x))
        flat = signed_distance_to_polygon(x, y, *self.corners(x))
        return meet(flat, z.abs() - 0.5 * self.scalar("height", x))


class RegularPolygon(Polygon):
    """A prism along z over a regular polygon; exact distance.

    Args:
        n: number of corners, >= 3; the first lies on the x axis.
        radius: from the centre to the corners, m.
        height: m; without end by default.
        center: m, (3,).
    """

    def __init__(self, n: int, radius, height=math.inf, center=ORIGIN):
        if isinstance(n, bool) or not isinstance(n, int) or n < 3:
            raise ValueError(f"RegularPolygon: n = {n!r}, expected an integer >= 3")
        angle = 2 * math.pi * torch.arange(n, dtype=torch.float64) / n
        super().__init__(torch.stack((angle.cos(), angle.sin()), -1), height, center)
        self.take("radius", radius, lower=0.0)

    def corners(self, like):
        radius = self.scalar("radius", like).unsqueeze(-4)
        return tuple(radius * part for part in super().corners(like))


def signed_distance_to_polygon(x, y, vx, vy):
    """Distance in the plane to a polygon with corners vx, vy (*batch, n, 1, 1, 1), negative inside: (*batch, nx, ny, nz)."""
    bx, by = vx.roll(-1, -4), vy.roll(-1, -4)
    # Positive where the corners go round counterclockwise.
    turn = torch.sign((vx * by - bx * vy).sum(-4)).detach()
    nearest = distance = on_edge = inside = None
    for ax, ay, cx, cy in zip(*(part.unbind(-4) for part in (vx, vy, bx, by))):
        ex, ey, px, py = cx - ax, cy - ay, x - ax, y - ay
        length = ex * ex + ey * ey
        length = length + (length == 0)
        s = (px * ex + py * ey) / length
        part = s.clamp(0, 1)
        reach = norm(px - part * ex, py - part * ey)
        side = ex * py - ey * px
        # Across the edge itself this is smooth; a length with a sign is not.
        signed, beside = -turn * side / length.sqrt(), (s > 0) & (s < 1)
        crossed = ((ay > y) != (cy > y)) & ((side > 0) == (cy > ay))
        if nearest is None:
            nearest, distance, on_edge, inside = reach, signed, beside, crossed
            continue
        closer = reach < nearest
        nearest = torch.where(closer, reach, nearest)
        distance = torch.where(closer, signed, distance)
        on_edge = torch.where(closer, beside, on_edge)
        inside = inside ^ crossed
    return torch.where(on_edge, distance, torch.where(inside, -nearest, nearest))
