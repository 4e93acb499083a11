"""Initial states."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag.layout import positions
from torchmag.mesh import Mesh


def uniform(mesh: Mesh, direction: Sequence[float], *, dtype: torch.dtype | None = None, device=None) -> Tensor:
    """Uniform magnetisation along a direction, which is normalised: (3, *nodes).

    A tensor (*batch, 3) of directions gives (*batch, 3, *nodes).
    """
    _require_mesh("uniform", mesh)
    try:
        v = torch.as_tensor(direction, dtype=dtype or torch.get_default_dtype(), device=device)
    except (TypeError, ValueError):
        raise TypeError(f"uniform: direction = {direction!r}, expected three numbers or a tensor (*batch, 3)") from None
    if v.ndim < 1 or v.shape[-1] != 3:
        raise ValueError(f"uniform: direction has shape {tuple(v.shape)}, expected (3,) or (*batch, 3)")
    norm = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    if norm.device.type != "meta" and not bool(((norm > 0) & torch.isfinite(norm)).all()):
        raise ValueError(f"uniform: direction = {direction} has no direction, expected finite vectors longer than zero")
    v = (v / norm).reshape(*v.shape, *(1,) * mesh.dim)
    return v.expand(*v.shape[: -mesh.dim], *mesh.nodes).clone()


def random(
    mesh: Mesh,
    seed: int | None = None,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device=None,
) -> Tensor:
    """Directions drawn uniformly from the sphere, independent at every node: (3, *nodes).

    Drawn in float64 on the CPU, so that a seed gives the same state on every device.
    """
    _require_mesh("random", mesh)
    if generator is not None and seed is not None:
        raise ValueError("random: seed and generator are both given, expected one of them")
    if generator is None:
        generator = torch.Generator("cpu")
        generator.seed() if seed is None else generator.manual_seed(seed)
    v = torch.randn((3, *mesh.nodes), dtype=torch.float64, generator=generator, device="cpu")
    v /= torch.linalg.vector_norm(v, dim=0, keepdim=True)
    return v.to(dtype=dtype or torch.get_default_dtype(), device=device or torch.get_default_device())


def vortex(
    mesh: Mesh,
    core_radius: float | None = None,
    *,
    circulation: int = 1,
    polarity: int = 1,
    center: Sequence[float] | None = None,
    axis: int = 2,
    dtype: torch.dtype | None = None,
    device=None,
) -> Tensor:
    """A vortex m ~ (circulation e_axis x r, polarity core_radius), normalised: (3, *nodes).

    Args:
        core_radius: distance at which m leaves the plane by 45 degrees, m; two cells by default.
        circulation: +1 counterclockwise seen from +axis, -1 clockwise.
        polarity: +1 or -1, the core's direction along the axis.
        center: of the core, m; the middle of the mesh by default.
        axis: of the core, 0, 1 or 2.
    """
    _require_mesh("vortex", mesh)
    for name, sign in (("circulation", circulation), ("polarity", polarity)):
        if sign not in (1, -1):
            raise ValueError(f"vortex: {name} = {sign}, expected +1 or -1")
    if axis not in (0, 1, 2):
        raise ValueError(f"vortex: axis = {axis}, expected 0, 1 or 2")
    core_radius = 2 * max(mesh.dx[: mesh.dim]) if core_radius is None else core_radius
    if not 0 < core_radius < math.inf:
        raise ValueError(f"vortex: core_radius = {core_radius}, expected > 0 and finite, in metres")
    if center is not None and len(center) != 3:
        raise ValueError(f"vortex: center has {len(center)} entries, expected 3 (x, y, z) in metres")
    x = positions(mesh, dtype=torch.float64)
    middle = [o + s / 2 for o, s in zip(mesh.origin, mesh.size)] if center is None else center
    a, b = (axis + 1) % 3, (axis + 2) % 3
    v = torch.empty_like(x)
    v[a] = -circulation * (x[b] - middle[b])
    v[b] = circulation * (x[a] - middle[a])
    v[axis] = polarity * core_radius
    v = v / torch.linalg.vector_norm(v, dim=0, keepdim=True)
    return v.to(dtype=dtype or torch.get_default_dtype(), device=device)


def _require_mesh(title, mesh):
    if not isinstance(mesh, Mesh):
        raise TypeError(f"{title}: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
