"""Region numbers from shapes."""

from collections.abc import Mapping

import torch
from torch import Tensor

from torchmag.geometry.shape import Shape
from torchmag.mesh import Mesh


def regions(
    mesh: Mesh,
    shapes: Mapping[int, "Shape | Tensor"],
    *,
    background: int = 0,
    overlap: str = "error",
    device=None,
) -> Tensor:
    """Region number of each cell, for `tm.by_region`: int64 (*cells).

    Args:
        mesh: the grid.
        shapes: number -> shape (cells whose centre is inside) or mask, bool (*cells).
        background: number of the cells in no shape.
        overlap: of two shapes: "error", or "last": the later one in `shapes` wins.
        device: of the result.

    Raises:
        ValueError: cells in two shapes (unless overlap="last"), a shape without cells, the background's number for a shape.
    """
    if overlap not in ("error", "last"):
        raise ValueError(f"regions: overlap = {overlap!r}, expected 'error' or 'last'")
    if not isinstance(mesh, Mesh) or not isinstance(shapes, Mapping):
        got = f"{type(mesh).__name__} and {type(shapes).__name__}"
        raise TypeError(f"regions: got {got}, expected a torchmag.Mesh and a mapping from region numbers to shapes")
    ids = torch.full(mesh.cells, background, dtype=torch.int64, device=device)
    taken = torch.zeros(mesh.cells, dtype=torch.bool, device=device)
    for number, shape in shapes.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"regions: {number!r} is a {type(number).__name__}, expected an integer region number")
        if number == background:
            raise ValueError(f"regions: {number} is the background's number; choose another, or another background=")
        mask = _mask(mesh, number, shape, device)
        both = taken & mask
        if overlap == "error" and bool(both.any()):
            others = sorted(set(ids[both].tolist()))
            raise ValueError(
                f"regions: shape {number} overlaps {others} in {int(both.sum())} cells; "
                f"subtract one from the other, or let the last win with overlap='last'"
            )
        ids = torch.where(mask, number, ids)
        taken = taken | mask
    return ids


def _mask(mesh, number, shape, device):
    if not isinstance(shape, (Shape, Tensor)):
        raise TypeError(f"regions: region {number} is a {type(shape).__name__}, expected a shape or a bool tensor (*cells)")
    mask = shape.mask(mesh, device=device) if isinstance(shape, Shape) else shape.to(device=device)
    if mask.dtype != torch.bool or tuple(mask.shape) != mesh.cells:
        raise ValueError(
            f"regions: the mask of region {number} is {mask.dtype} {tuple(mask.shape)}, expected bool over the cells {mesh.cells}"
        )
    if not bool(mask.any()):
        raise ValueError(
            f"regions: shape {number} holds no cell's centre; check its place (metres, the mesh starts at its origin)"
        )
    return mask
