"""Numbers read off a magnetisation."""

import torch
from torch import Tensor

from torchmag import layout
from torchmag.magnet import Magnet
from torchmag.term import check_field


def average(m: Tensor, magnet: Magnet, region: Tensor | None = None, weight: str = "volume") -> Tensor:
    """Mean of a nodal vector field over the body: (*batch, 3, *nodes) -> (*batch, 3).

    The mean over the cells of each cell's node average, which equals the mean over the nodes with lumped weights (boundary
    nodes count half, edges a quarter, corners an eighth).

    Args:
        m: any vector field on the nodes; a trajectory has its times as the first batch axis.
        magnet: the body.
        region: cells to take, bool (*cells); the whole body by default.
        weight: "volume": each cell counts by its magnetic volume; "Ms": by its moment, as OOMMF and mumax report <m>.

    Raises:
        ValueError: unknown weight, a region of the wrong shape or without magnetic cells.
    """
    check_field(m, magnet, "average")
    if weight not in ("volume", "Ms"):
        raise ValueError(f"average: weight = {weight!r}, expected 'volume' or 'Ms'")
    mesh = magnet.mesh
    body = magnet.at(magnet.prepare(), torch.zeros((), dtype=torch.float64), m, {})
    w = layout.expand_to_cells(body["fraction"] if weight == "volume" else body["M"], mesh)
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
