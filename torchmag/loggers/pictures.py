"""Pictures of the magnetisation as arrays."""

import math

import torch
from torch import Tensor

from torchmag.mesh import Mesh


def picture(m: Tensor, mesh: Mesh, plane: int | None = None) -> Tensor:
    """Colours of m: the hue is its angle in the plane, white is +z, black -z (OOMMF and mumax3 alike).

    Args:
        m: (3, *nodes) on a 2D or 3D mesh.
        plane: node index along z on a 3D mesh; the middle by default.

    Returns:
        (3, ny, nx): red, green, blue from 0 to 1, y upwards, as add_image takes it.
    Raises:
        ValueError: m is no single field on a 2D or 3D mesh.
    """
    if mesh.dim == 1 or tuple(m.shape) != (3, *mesh.nodes):
        raise ValueError(
            f"picture: m has shape {tuple(m.shape)} on a {mesh.dim}D mesh, expected (3, nx, ny[, nz]); choose one sample of a batch"
        )
    m = m.detach()
    if mesh.dim == 3:
        m = m[..., mesh.nodes[2] // 2 if plane is None else plane]
    return _colours(m).transpose(1, 2).flip(1)


def _colours(m):
    x, y, z = m.clamp(-1, 1)
    hue = torch.atan2(y, x) / (2 * math.pi)
    sector = (torch.stack([hue, hue - 1 / 3, hue - 2 / 3]) % 1) * 6
    full = (torch.minimum(sector, 6 - sector) - 1).clamp(0, 1)
    full = 1 - full
    light = 0.5 + 0.5 * z
    chroma = (1 - z.abs()) * torch.linalg.vector_norm(m, dim=0).clamp(max=1)
    return (light + chroma * (full - 0.5)).clamp(0, 1)


def map_picture(values: Tensor, mesh: Mesh | None = None) -> Tensor | None:
    """A map of numbers as grey values (1, ny, nx), the lowest black; None for what is no map.

    Args:
        values: (nx, ny) or (nx, ny, nz), of which the middle plane is shown.
        mesh: with it also (*batch, nx, ny[, nz]), of which the first is shown.
    """
    values = values.detach().float()
    if mesh is not None and values.ndim > mesh.dim:
        values = values.reshape(-1, *values.shape[-mesh.dim :])[0]
    if values.ndim == 3:
        values = values[..., values.shape[-1] // 2]
    if values.ndim != 2 or not bool(torch.isfinite(values).all()):
        return None
    low, high = values.min(), values.max()
    return ((values - low) / torch.where(high > low, high - low, 1)).T.flip(0).unsqueeze(0)


def card(image: Tensor, mesh: Mesh | None = None, *, smallest: int = 384, largest: int = 1536) -> Tensor:
    """A picture in square pixels, as large as a card of TensorBoard, each point of the mesh a block: (channels, height, width)."""
    dx, dy = (1.0, 1.0) if mesh is None else mesh.dx[:2]
    height, width = image.shape[1:]
    longest = max(width * dx, height * dy)
    pixel = max(min(dx, dy, longest / smallest), longest / largest)
    rows, columns = (
        ((torch.arange(shown := max(1, round(n * step / pixel)), device=image.device) + 0.5) * (n / shown)).long()
        for n, step in ((height, dy), (width, dx))
    )
    return image[:, rows][:, :, columns]


def with_wheel(image: Tensor, *, size: int = 72, gap: int = 8) -> Tensor:
    """The picture with the wheel of its colours on the right, seen from +z: the right of the wheel is m = +x, its middle +z."""
    height, width = image.shape[1:]
    line = torch.linspace(-1, 1, size, dtype=image.dtype, device=image.device)
    x, y = torch.meshgrid(line, line, indexing="ij")
    square = x**2 + y**2
    wheel = torch.where(square <= 1, _colours(torch.stack((x, y, (1 - square).clamp(min=0).sqrt()))), 1).transpose(1, 2).flip(1)
    whole = image.new_ones(3, max(height, size), width + gap + size)
    whole[:, :height, :width] = image
    whole[:, :size, width + gap :] = wheel
    return whole
