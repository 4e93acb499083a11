import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag.layout import positions
from torchmag.mesh import Mesh

SIDES = ("-x", "+x", "-y", "+y", "-z", "+z")


def damping_ramp(
    mesh: Mesh,
    width: float,
    alpha,
    alpha_max: float = 1.0,
    *,
    sides: str | Sequence[str] | None = None,
    power: float = 2.0,
    dtype: torch.dtype | None = None,
    device=None,
) -> Tensor:
    """A damping that rises towards the borders, where it absorbs spin waves: `tm.LLG(energy, tm.damping_ramp(...))`.

        alpha(x) = alpha + (alpha_max - alpha) max(0, 1 - d / width)^power,

    with d the distance of the cell's centre from the nearest of the sides.  A ramp of some wavelengths reflects little.

    Args:
        mesh: the grid.
        width: of the ramp, m, > 0.
        alpha: damping of the inside; a number, or a tensor of cells (*batch, *cells), which may carry a graph.
        alpha_max: damping at the border.
        sides: "-x", "+x", "x" (both) ..., one or several; default: both of every open axis of the mesh.
        power: > 0; 1 is a linear ramp.
        dtype, device: of the result; those of a tensor `alpha`, or torch's defaults.

    Returns:
        (*batch, *cells).
    Raises:
        ValueError: a side that is periodic or that the mesh does not have, ramps of both sides that meet, negative damping.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"damping_ramp: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
    inside = alpha if isinstance(alpha, Tensor) else torch.tensor(float(alpha), dtype=dtype or torch.get_default_dtype())
    inside = inside.to(dtype=dtype, device=device)
    for name, value in (("alpha_max", alpha_max), ("alpha", inside.detach())):
        if not bool(((value >= 0) & (value < math.inf)).all() if isinstance(value, Tensor) else 0 <= value < math.inf):
            raise ValueError(f"damping_ramp: {name} must be finite and >= 0")
    if not 0 < width < math.inf or not 0 < power < math.inf:
        raise ValueError(f"damping_ramp: width = {width}, power = {power}, expected a length in m and an exponent, both > 0")
    x = positions(mesh, "cells", dtype=torch.float64, device="cpu")
    ramp = torch.zeros(mesh.cells, dtype=torch.float64)
    for axis, upper in _sides(mesh, sides, width):
        low = mesh.origin[axis]
        d = low + mesh.size[axis] - x[axis] if upper else x[axis] - low
        ramp = torch.maximum(ramp, (1 - d / width).clamp(min=0))
    ramp = (ramp**power).to(inside)
    return inside + (alpha_max - inside) * ramp


def _sides(mesh, sides, width):
    """(axis, whether its upper end) of each side."""
    if sides is None:
        names = ["xyz"[axis] for axis in range(mesh.dim) if not mesh.periodic(axis)]
    else:
        names = [sides] if isinstance(sides, str) else list(sides)
    full = dict.fromkeys(side for name in names for side in ((f"-{name}", f"+{name}") if name in ("x", "y", "z") else (name,)))
    for side in full:
        if side not in SIDES:
            raise ValueError(f"damping_ramp: sides holds {side!r}, expected x, y, z (both sides) or {', '.join(SIDES)}")
        axis = "xyz".index(side[1])
        if axis >= mesh.dim or mesh.periodic(axis):
            what = "is periodic" if axis < mesh.dim else "is none of the mesh"
            raise ValueError(f"damping_ramp: sides holds {side!r}, but that axis {what}; it has no border")
    found = [("xyz".index(side[1]), side[0] == "+") for side in full]
    for axis in range(mesh.dim):
        count = sum(of == axis for of, _ in found)
        if count * width > mesh.size[axis]:
            raise ValueError(f"damping_ramp: {count} ramp(s) of {width:g} m along {'xyz'[axis]} are longer than the mesh, "
                             f"{mesh.size[axis]:g} m; choose a smaller width, or other sides=")  # fmt: skip
    return found
