"""The field of charges at the ends of a wire, which takes the place of what lies beyond them."""

import itertools
import math

import torch
from torch import Tensor


def compensation(world, region: int, left: float, right: float) -> Tensor:
    """The field in T of the surface charges that undo those of m_x = `left` and `right` at both ends: (3, nx, ny, nz).

    That of a rectangle of charge mu_0 Ms m_x in the middle of each cell, in closed form:
    B = mu_0 Ms m_x / (4 pi) int r / r^3 dy dz.
    """
    grid = world.grid
    n, size = grid.mesh and grid.n, grid.size
    moment = 4e-7 * math.pi * float(world.parameters["msat"].at_time()[region, 0])
    x, y, z = torch.meshgrid(*((torch.arange(c, dtype=torch.float64) + 0.5) * h for c, h in zip(n, size)), indexing="ij")
    total = torch.zeros(3, *n, dtype=torch.float64)
    for (s, y_end), (u, z_end) in itertools.product(((-1, 0.0), (1, n[1] * size[1])), ((-1, 0.0), (1, n[2] * size[2]))):
        Y, Z = y - y_end, z - z_end
        R = (x * x + Y * Y + Z * Z).sqrt()
        total += s * u * torch.stack((torch.atan(Y * Z / (x * R)), -torch.log(Z + R), -torch.log(Y + R)))
    total *= moment / (4 * math.pi)
    mirrored = total.flip(1) * torch.tensor((-1.0, 1.0, 1.0), dtype=torch.float64).reshape(3, 1, 1, 1)
    return left * total - right * mirrored
