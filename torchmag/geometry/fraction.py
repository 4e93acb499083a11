"""How much of each cell lies inside a shape."""

import itertools
from collections.abc import Callable, Sequence
from numbers import Integral

import torch
from torch import Tensor

from torchmag.mesh import Mesh

# Relative to a cell; pushes what lies on a face of a cell to its right side of the rounding of coordinates, so that vacuum is zero.
SNAP = 1e-9

Distance = Callable[[Tensor, Tensor, Tensor], Tensor]


def axes(mesh: Mesh, *, shift: Sequence[float] = (0.5, 0.5, 0.5), device=None) -> tuple[Tensor, ...]:
    """Coordinates of one point of each cell, m: x (nx, 1, 1), y (1, ny, 1), z (1, 1, nz), which broadcast to the cells.

    Always float64: in float32 a cell of a mesh of 1000 would lie in place to 1e-4 of its size only.

    Args:
        shift: where in the cell, 0 to 1 along each axis; the centre by default.
    """
    planes = []
    for axis, count in enumerate((*mesh.cells, 1, 1)[:3]):
        x = mesh.origin[axis] + (torch.arange(count, dtype=torch.float64) + shift[axis]) * mesh.dx[axis]
        planes.append(x.to(device=device).reshape([-1 if a == axis else 1 for a in range(3)]))
    return tuple(planes)


def center(mesh: Mesh) -> tuple[float, float, float]:
    """The middle of the mesh, m; a film's at half its thickness."""
    return tuple(origin + 0.5 * size for origin, size in zip(mesh.origin, mesh.size))


def to_mesh(values: Tensor, mesh: Mesh) -> Tensor:
    """Values over three broadcast grid axes to (*batch, *cells)."""
    batch = values.shape[:-3]
    return values.expand(*batch, *(*mesh.cells, 1, 1)[:3]).reshape(*batch, *mesh.cells)


def sample_counts(samples) -> tuple[int, int, int]:
    """`samples` as three positive integers."""
    counts = tuple(samples) if isinstance(samples, Sequence) else (samples,) * 3
    if len(counts) != 3 or any(isinstance(n, bool) or not isinstance(n, Integral) or n < 1 for n in counts):
        raise ValueError(f"fraction: samples = {samples!r}, expected a positive integer or three, one for each axis")
    return counts


def volume_fraction(distance: Distance, mesh: Mesh, samples, device) -> Tensor:
    """Volume fraction of each cell where distance(x, y, z) < 0: (*batch, *cells), float64.

    Each cell is divided into `samples` parts along each axis, and each part is cut by the tangent plane of the distance at its
    centre.  Parts are visited one after another, so that memory does not grow with `samples` (unless a graph is recorded).
    """
    counts = sample_counts(samples)
    part = [h / n for h, n in zip(mesh.dx, counts)]
    total = 0.0
    for index in itertools.product(*map(range, counts)):
        shift = [(i + 0.5) / n for i, n in zip(index, counts)]
        total = total + _cut_by_tangent(distance, axes(mesh, shift=shift, device=device), part)
    return to_mesh(total / (counts[0] * counts[1] * counts[2]), mesh)


def plane_cut(d: Tensor, widths: Sequence[Tensor], floor: float) -> Tensor:
    """Fraction of a cuboid h on the negative side of the plane d + g.xi = 0, with xi the position from its centre.

    This is the distribution function of a sum of three independent uniform variables, a piecewise cubic; with b the distance
    from the nearer corner in units of the sum of the widths m1 <= m2 <= m3 (Scardovelli and Zaleski, J. Comput. Phys. 164, 228
    (2000), Sec. 2.1, here in an order of operations in which small m1 and m2 cancel):

        6 m1 m2 m3 V = b^3 - (b - m1)+^3 - (b - m2)+^3 - (b - m3)+^3 + (b - m1 - m2)+^3,    0 <= b <= 1/2.

    Args:
        d: level at the centre, m.
        widths: |g_i| h_i, m, along the three axes.
        floor: least sum of the widths, m, where the level set has no slope.
    """
    widths = torch.stack(torch.broadcast_tensors(*widths))
    total = widths.sum(0).clamp_min(floor)
    m1, m2, _ = (widths / total).sort(0).values.unbind(0)
    m3 = 1 - m1 - m2
    ratio = 0.5 - (1 + SNAP) * d / total
    inside = ratio.clamp(0, 1)
    # Not by torch.minimum, whose derivative at 1/2 is none.
    b = torch.where(ratio < 0.5, inside, 1 - inside)
    low1, low2 = m1.clamp_min(1e-9), m2.clamp_min(1e-9)

    def cube(s):  # s <= m1, hence of order m1^2 however small m1 is
        s = torch.minimum(s.clamp_min(0), m1)
        return s * (s / low1) * (s / low2)

    body = torch.where(b < m1, cube(b), (3 * b * (b - m1) + m1 * m1) / low2)
    V = (body - cube(b - m2) - cube(b - m3)) / (6 * m3)
    V = torch.where(b < m1 + m2, V, (b - 0.5 * (m1 + m2)) / m3)
    return torch.where(ratio < 0.5, V, 1 - V)


def _cut_by_tangent(distance, points, h):
    d, widths, bend = distance(*points), [], 0.0
    for axis in range(3):
        slope, curvature = _along(distance, points, axis, d.shape)
        widths.append(slope.abs() * h[axis])
        bend = bend + curvature * (h[axis] ** 2 / 24)
    # The mean of the level over the cell instead of its value at the centre: tangent planes alone make a sphere too large by
    # (h/R)^2 / 4 of its volume. Where a cell does not resolve the curvature, it is no guide, hence the limit.
    limit = 0.1 * (widths[0] + widths[1] + widths[2])
    return plane_cut(d + torch.clamp(bend, -limit, limit), widths, 1e-6 * min(h))


def _along(distance, points, axis, shape):
    """First and second derivative of the level along one axis."""
    # A coordinate for each value, so that the pullback below does not add values up. Forward within forward differentiation
    # would do without, but torch.compile (2.13) fails on it.
    p = points[axis].expand(torch.broadcast_shapes(points[axis].shape, shape)).contiguous()

    def slope(p):
        def line(q):
            return distance(*points[:axis], q, *points[axis + 1 :])

        # + 0 p: under torch.compile a slope that is constant would have no pullback.
        return torch.func.jvp(line, (p,), (torch.ones_like(p),))[1] + 0 * p

    first, pull = torch.func.vjp(slope, p)
    return first, pull(torch.ones_like(first))[0]
