"""Couplings between two regions: what they leave of the stiffness of the cells along the boundary."""

import torch
from torch import Tensor

from torchmag.mx3.script_error import Unsupported


def weakened(ids: Tensor, values: Tensor, pairs: dict, pbc, name: str) -> Tensor:
    """Factors of a stiffness, (nx, ny, nz).

    In a cell-centred scheme two cells are joined by a bond, of stiffness s A between the regions.  From far face to far face of the two
    cells the resistances c / 2A, c / s A and c / 2A lie in series; two cells of A' = 2 s / (1 + s) A have the same.

    Args:
        ids: region of each cell.
        values: the stiffness of each region, (256,).
        pairs: (i, j), i < j -> ("scale", s) or ("set", stiffness).
    Raises:
        Unsupported: a negative coupling.
    """
    scale = torch.ones(256, 256, dtype=torch.float64)
    for (i, j), (kind, value) in pairs.items():
        if kind == "set":
            a, b = float(values[i]), float(values[j])
            mean = 2 * a * b / (a + b) if a + b else 0.0
            value = value / mean if mean else 1.0
        if value < 0 and bool((ids == i).any()) and bool((ids == j).any()):
            raise Unsupported(
                f"a negative coupling of regions {i} and {j}: nodes on their boundary belong to both; torchmag would need a bond between "
                f"layers that touch (InterlayerExchange couples layers with a spacer of empty cells)", name="ext_ScaleExchange"
            )  # fmt: skip
        scale[i, j] = scale[j, i] = max(value, 0.0)
    factors = torch.ones(ids.shape, dtype=torch.float64, device=ids.device)
    scale = (2 * scale / (1 + scale)).to(ids.device)
    for axis, n in enumerate(ids.shape):
        if n == 1:
            continue
        other = ids.roll(-1, axis)
        found = torch.where(other == ids, 1.0, scale[ids, other])
        if not pbc[axis]:
            found.narrow(axis, n - 1, 1).fill_(1.0)
        factors = torch.minimum(factors, torch.minimum(found, found.roll(1, axis)))
    return factors
