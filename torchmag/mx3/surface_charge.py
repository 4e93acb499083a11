"""The field of charges at the ends of a wire, which takes the place of what lies beyond them."""

import math

import torch
from torch import Tensor


def compensation(world, region: int, left: float, right: float) -> Tensor:
    """The field in T of the surface charges that undo those of m_x = `left` and `right` at both ends: (3, nx, ny, nz).

    The charge of a cell's end face lies in its middle; its field is that of a point charge beyond the nearest cells, which an average
    over the face's parts resolves: B = mu_0 Ms m_x dA r / (4 pi r^3).
    """
    grid = world.grid
    (nx, ny, nz), (hx, hy, hz) = grid.mesh and grid.n, grid.size
    moment = 4e-7 * math.pi * float(world.parameters["msat"].at_time()[region, 0])
    x = (torch.arange(nx, dtype=torch.float64) + 0.5) * hx
    parts = 4
    offsets = (torch.arange(parts, dtype=torch.float64) + 0.5) / parts - 0.5
    y = torch.arange(-(ny - 1), ny, dtype=torch.float64) * hy
    z = torch.arange(-(nz - 1), nz, dtype=torch.float64) * hz
    kernel = torch.zeros(3, nx, len(y), len(z), dtype=torch.float64)
    for oy in offsets * hy:
        for oz in offsets * hz:
            r = torch.stack(torch.meshgrid(x, y - oy, z - oz, indexing="ij"))
            kernel += r / r.norm(dim=0) ** 3
    kernel *= hy * hz / parts**2 * moment / (4 * math.pi)
    # The sum over the faces of all cells (y', z') of one end: windows of the kernel.
    total = kernel.cumsum(2).cumsum(3)
    total = torch.nn.functional.pad(total, (1, 0, 1, 0))
    windows = total[:, :, ny:, nz:] - total[:, :, :ny, nz:] - total[:, :, ny:, :nz] + total[:, :, :ny, :nz]
    mirrored = windows.flip(1) * torch.tensor((-1.0, 1.0, 1.0), dtype=torch.float64).reshape(3, 1, 1, 1)
    return left * windows - right * mirrored
