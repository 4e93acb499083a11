"""Numbers read off a magnetisation."""

import math
from collections.abc import Iterator
from numbers import Integral

import torch
from torch import Tensor

from torchmag import layout
from torchmag.energy import Energy
from torchmag.magnet import Magnet, require_magnet
from torchmag.mesh import Mesh
from torchmag.midpoints import links
from torchmag.parameters import Values
from torchmag.term import check_field

# The exchange energy of a wave that turns by a from node to node is off by this times a^order.
_WAVE_ERROR = {2: 1 / 12, 4: 3 / 320, 6: 5 / 3584}


def average(m: Tensor, magnet: Magnet, region: Tensor | None = None, weight: str = "volume") -> Tensor:
    """Mean of a nodal vector field over the body: (*batch, 3, *nodes) -> (*batch, 3).

    The mean over the cells of each cell's node average, which equals the mean over the nodes with lumped weights (boundary
    nodes count half, edges a quarter, corners an eighth).

    Args:
        m: any vector field on the nodes; a trajectory has its times as the first batch axis.
        magnet: the body.
        region: cells to take, bool (*cells); the whole body by default.
        weight: "volume": each cell counts by its magnetic volume; "Ms": by its moment, as OOMMF reports <m> (mumax3 by volume).

    Raises:
        ValueError: unknown weight, a region of the wrong shape or without magnetic cells.
    """
    require_magnet(magnet, "average")
    check_field(m, magnet, "average")
    if weight not in ("volume", "Ms"):
        raise ValueError(f"average: weight = {weight!r}, expected 'volume' or 'Ms'")
    mesh = magnet.mesh
    w = layout.expand_to_cells(magnet.material(m)["fraction" if weight == "volume" else "M"], mesh)
    if region is not None:
        region = torch.as_tensor(region, device=w.device)
        if region.dtype != torch.bool or tuple(region.shape) != mesh.cells:
            raise ValueError(
                f"average: region is {region.dtype} {tuple(region.shape)}, expected bool over the cells {mesh.cells}"
            )
        w = w * region
    whole = layout.total(w, mesh)
    if not bool((whole > 0).all()):
        raise ValueError("average: the region holds no magnetic cell")
    w = (w / whole.reshape(*whole.shape, *(1,) * mesh.dim)).unsqueeze(layout.component_dim(mesh))
    return layout.total(w * layout.to_cells(m, mesh), mesh)


def topological_charge(m: Tensor, magnet: Magnet, *, axis: int = 2, plane: int | None = None) -> Tensor:
    """Skyrmion number of a plane of nodes, 1/(4 pi) times the solid angle that m covers: (*batch, 3, *nodes) -> (*batch).

    The sum of the exact solid angles of the two triangles of every magnetic cell face (Berg and Luescher, Nucl. Phys. B 190,
    412 (1981)): an integer where m is uniform at the rim; differentiable.  The continuum limit of 1/(4 pi) int m.(d_a m x d_b m) with
    (a, b, axis) right-handed.

    Args:
        m: unit vectors.
        axis: the normal of the plane; on a 2D mesh 2.
        plane: node index along the axis on a 3D mesh; the middle by default.
    """
    mesh = require_magnet(magnet, "topological_charge").mesh
    check_field(m, magnet, "topological_charge")
    if mesh.dim == 1 or axis not in (0, 1, 2) or (mesh.dim == 2 and axis != 2):
        raise ValueError(f"topological_charge: axis = {axis} on a {mesh.dim}D mesh; a plane needs the two other axes in the mesh")
    inside = layout.expand_to_cells(magnet.material(m)["fraction"] > 0, mesh)
    lateral = [a for a in range(mesh.dim) if a != axis]
    if mesh.dim == 3:
        plane = mesh.nodes[axis] // 2 if plane is None else plane
        if isinstance(plane, bool) or not isinstance(plane, Integral) or not 0 <= plane < mesh.nodes[axis]:
            raise ValueError(f"topological_charge: plane = {plane!r}, expected a node index from 0 to {mesh.nodes[axis] - 1}")
        m = m.select(axis - 3, plane)
        inside = inside.select(axis - 3, min(plane, mesh.cells[axis] - 1))
    corners = [m]
    for position, a in enumerate(lateral):
        corners = [half for corner in corners for half in layout.neighbours(corner, position - 2, mesh.periodic(a))]
    low, up, right, opposite = corners  # (0, 0), (0, 1), (1, 0), (1, 1)
    angle = _solid_angle(low, right, opposite) + _solid_angle(low, opposite, up)
    sign = -1 if axis == 1 else 1  # (x, z, y) is left-handed
    return sign * (angle * inside).sum((-2, -1)) / (4 * math.pi)


def hopf_index(m: Tensor, magnet: Magnet) -> Tensor:
    """Hopf index of a 3D texture, the linking number of its lines of equal m: (*batch, 3, *nodes) -> (*batch).

    -1/(4 pi)^2 int F.A dx with F_a = m.(d_b m x d_c m), curl A = F (Whitehead, Proc. Natl. Acad. Sci. 33, 117 (1947); the sign is
    mumax3's).  The flux of F through the faces between nodes is the exact solid angle of m, so that none is lost; A follows by
    Fourier transform.  Defined where m is the same all over the outer surface, or the axis is periodic; differentiable.

    Args:
        m: unit vectors; faces with a node outside the body carry no flux.

    Raises:
        ValueError: a mesh that is not 3D.
    """
    mesh = require_magnet(magnet, "hopf_index").mesh
    check_field(m, magnet, "hopf_index")
    if mesh.dim != 3:
        raise ValueError(f"hopf_index: the mesh is {mesh.dim}D, expected 3D; topological_charge takes 2D textures")
    inside = layout.to_nodes(layout.expand_to_cells(magnet.material(m)["M"], mesh), mesh) > 0
    waves = [2 * math.pi * torch.fft.fftfreq(n, dtype=m.dtype, device=m.device) for n in mesh.nodes]
    waves[2] = waves[2][: mesh.nodes[2] // 2 + 1].abs()
    k = torch.meshgrid(*waves, indexing="ij")
    flux = []
    for a in range(3):
        b, c = (a + 1) % 3 - 3, (a + 2) % 3 - 3
        corners = [m, m.roll(-1, b), m.roll((-1, -1), (b, c)), m.roll(-1, c)]
        whole = inside & inside.roll(-1, b) & inside.roll((-1, -1), (b, c)) & inside.roll(-1, c)
        angle = _solid_angle(*corners[:3], dim=-4) + _solid_angle(corners[0], *corners[2:], dim=-4)
        # A face lies half a cell beyond its first node.
        shift = torch.polar(torch.ones_like(k[b]), -0.5 * (k[b] + k[c]))
        flux.append(torch.fft.rfftn(angle * whole, dim=(-3, -2, -1)) * shift)
    # The difference between neighbours is 2 i sin(k/2): F = i s x A, so that A = i s x F / s^2.
    s = [2 * torch.sin(0.5 * x) for x in k]
    square = s[0] ** 2 + s[1] ** 2 + s[2] ** 2
    helicity = sum(s[a] * (flux[a - 2] * flux[a - 1].conj()).imag for a in range(3)) / (square + (square == 0))
    # One half of the spectrum stands for both, but for the planes that are their own mirror image.
    twice = torch.full_like(waves[2], 2.0)
    twice[0] = 1.0
    if mesh.nodes[2] % 2 == 0:
        twice[-1] = 1.0
    return (2 * helicity * twice).sum((-3, -2, -1)) / (math.prod(mesh.nodes) * (4 * math.pi) ** 2)


def max_torque(energy: Energy, m: Tensor, t=0.0) -> Tensor:
    """The largest |m x H| over the nodes, A/m: (*batch, 3, *nodes) -> (*batch)."""
    if not isinstance(energy, Energy):
        raise TypeError(f"max_torque: energy is a {type(energy).__name__}, expected an energy term or a Sum, such as llg.energy")
    torque = layout.cross(m, energy.field(m, t), energy.mesh)
    length = layout.dot(torque, torque, energy.mesh)
    return length.flatten(-energy.mesh.dim).amax(-1).sqrt()


def max_angle(m: Tensor, magnet: Magnet) -> Tensor:
    """The largest angle between m at neighbouring nodes of the body, rad: (*batch, 3, *nodes) -> (*batch).

    Neighbours are the nodes at both ends of an edge of a magnetic cell; across an empty cell, as between two layers, m may
    turn by any angle.
    A wave that turns by 0.49, 1.21, 1.56 rad from node to node has an exchange energy that is off by 2 % to order 2, 4, 6 of the
    magnet (docs/theory.md): above that refine the cells, or take a higher order.  `solve`, `relax` and `minimize` say so, see `ResolutionWarning`.
    """
    mesh = require_magnet(magnet, "max_angle").mesh
    check_field(m, magnet, "max_angle")
    largest = []
    for a, b, joined in neighbours(m, mesh, magnet.material(m)):
        # atan2 resolves small angles, acos does not.
        sine = layout.cross(a, b, mesh).norm(dim=layout.component_dim(mesh))
        angle = torch.atan2(sine, layout.dot(a, b, mesh)) * joined
        largest.append(angle.flatten(-mesh.dim).amax(-1))
    return torch.stack(largest).amax(0)


def resolved_angle(order: int) -> float:
    """The turn from node to node, rad, at which the exchange energy of a wave is off by 2 %."""
    return (0.02 / _WAVE_ERROR[order]) ** (1 / order)


def neighbours(m: Tensor, mesh: Mesh, body: Values) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each axis m at a node, at the next one, (*batch, 3, *grid), and whether a magnetic cell joins them, bool (*batch, *grid).

    Args:
        body: the magnet's values, complete (see `Magnet.complete`), or its `material`.
    """
    periodic = layout.periodic_axes(mesh)
    full = layout.expand_to_cells(body["M"].detach(), mesh)
    for axis, (wraps, weight) in enumerate(zip(periodic, links(full, mesh.nodes, periodic).weights)):
        yield *layout.neighbours(m, axis - mesh.dim, wraps), weight > 0


def _solid_angle(a, b, c, dim=-3):
    """The signed solid angle of the spherical triangle of unit vectors (..., 3, *grid) (van Oosterom and Strackee 1983)."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = (v.unbind(dim) for v in (a, b, c))
    volume = ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    ab, bc, ca = ((u * v).sum(dim) for u, v in ((a, b), (b, c), (c, a)))
    return 2 * torch.atan2(volume, 1 + ab + bc + ca)
