import torch
from torch import Tensor, nn

from torchmag.geometry import Shape
from torchmag.magnet import Magnet
from torchmag.observables import average


class Probe(nn.Module):
    """What probes share: a body, which stays outside `_modules` (the llg registers it), and a region of its cells.

    Args:
        magnet: the body.
        region: bool (*cells) or a shape (cells whose centre is inside); the whole body by default.
        weight: see `tm.average`.
    """

    def __init__(self, magnet: Magnet, region: "Tensor | Shape | None" = None, weight: str = "volume"):
        super().__init__()
        title = type(self).__name__
        if not isinstance(magnet, Magnet):
            raise TypeError(f"{title}: magnet is a {type(magnet).__name__}, expected a torchmag.Magnet")
        self.__dict__["magnet"] = magnet
        device = magnet.reference.device
        if isinstance(region, Shape):
            region = region.mask(magnet.mesh, device=device)
        if region is not None:
            region = torch.as_tensor(region, device=device)
            if region.dtype != torch.bool or tuple(region.shape) != magnet.mesh.cells:
                raise ValueError(
                    f"{title}: region is {region.dtype} {tuple(region.shape)}, expected bool over the cells {magnet.mesh.cells}"
                )
            if not bool(region.any()):
                raise ValueError(f"{title}: the region holds no cell; check its place (metres, the mesh starts at its origin)")
        if weight not in ("volume", "Ms"):
            raise ValueError(f"{title}: weight = {weight!r}, expected 'volume' or 'Ms'")
        self.weight = weight
        self.register_buffer("region", region)

    def mean(self, x: Tensor) -> Tensor:
        """Mean of a nodal vector field over the region: (*batch, 3, *nodes) -> (*batch, 3)."""
        return average(x, self.magnet, self.region, self.weight)

    def _apply(self, fn, recurse=True):
        self.magnet._apply(fn, recurse)
        return super()._apply(fn, recurse)


class RegionAverage(Probe):
    """Mean magnetisation of a region, `tm.average` as a layer: a trajectory (T, *batch, 3, *nodes) -> (T, *batch, 3)."""

    def forward(self, m: Tensor) -> Tensor:
        return self.mean(m)
