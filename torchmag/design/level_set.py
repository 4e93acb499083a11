from collections.abc import Callable

import torch
from torch import Tensor, nn

from torchmag import layout
from torchmag.geometry.fraction import plane_cut
from torchmag.mesh import Mesh


class LevelSet(nn.Module):
    """A body of free form whose surface trains: `tm.Magnet(mesh, Ms, fraction=tm.LevelSet(mesh, shape))`.

    The body is where a level phi on the nodes is negative; each cell is cut by the plane through the mean and the mean slopes of
    its corners, exactly.  The fraction does not change if phi is multiplied by a positive number.  Only cells that the surface cuts
    have a gradient: a surface moves, splits and merges, but no hole opens in the bulk (a DensityField opens some).  For a shape
    whose sizes train see `tm.geometry.Fraction`.

    Args:
        mesh: the grid.
        shape: the body at the start: a shape of tm.geometry, a function of the node positions (3, *nodes) in m, or the level
            itself (*batch, *nodes), m; negative inside.
        dtype, device: of the parameter `raw`, the level in units of the smallest cell edge; torch's defaults.

    Shape: forward() -> volume fraction of each cell in [0, 1], (*batch, *cells).  A sphere of R cells starts with
    a volume smaller by 1 / (2 R^2): its curved surface becomes that of the interpolated level.
    Raises:
        TypeError, ValueError: arguments of a wrong kind or shape, a level that is not finite or has one sign everywhere.
    """

    def __init__(self, mesh: Mesh, shape: Callable[[Tensor], Tensor] | Tensor, *, dtype: torch.dtype | None = None, device=None):
        super().__init__()
        if not isinstance(mesh, Mesh):
            raise TypeError(f"LevelSet: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
        if not isinstance(shape, Tensor) and not callable(shape):
            raise TypeError(
                f"LevelSet: shape is a {type(shape).__name__}, expected a shape, a function of positions or a tensor on the nodes"
            )
        self.mesh, self.scale = mesh, min(mesh.dx[: mesh.dim])
        dtype = dtype or (shape.dtype if isinstance(shape, Tensor) else torch.get_default_dtype())
        with torch.no_grad():
            phi = shape if isinstance(shape, Tensor) else shape(layout.positions(mesh, dtype=torch.float64, device="cpu"))
            phi = _require_level(phi, mesh).to(torch.float64)
        self.raw = nn.Parameter((phi / self.scale).to(dtype=dtype, device=device))

    @property
    def phi(self) -> Tensor:
        """The level at the nodes, m; negative inside: (*batch, *nodes)."""
        return self.raw * self.scale

    def forward(self) -> Tensor:
        dim = self.mesh.dim
        mean = (0,) * dim
        slopes = [(*mean[:axis], 1, *mean[axis + 1 :]) for axis in range(dim)]
        # float64: the cut takes differences of cubes.
        modes = layout.to_modes(self.raw.to(torch.float64), layout.periodic_axes(self.mesh), [mean, *slopes])
        widths = [modes[slope].abs() for slope in slopes]
        widths += [torch.zeros_like(widths[0])] * (3 - dim)
        return plane_cut(modes[mean], widths, 1e-6).clamp(0, 1).to(self.raw.dtype)

    def extra_repr(self) -> str:
        return f"nodes={self.mesh.nodes}"


def _require_level(phi, mesh):
    nodes = mesh.nodes
    if not isinstance(phi, Tensor) or not phi.is_floating_point() or tuple(phi.shape[-len(nodes) :]) != nodes:
        got = f"{phi.dtype} {tuple(phi.shape)}" if isinstance(phi, Tensor) else type(phi).__name__
        raise ValueError(f"LevelSet: the level is {got}, expected floating-point numbers (*batch, *nodes) with nodes {nodes}")
    if not bool(phi.isfinite().all()):
        raise ValueError("LevelSet: the level is not finite everywhere")
    flat = phi.flatten(-len(nodes))
    if not bool(((flat.amin(-1) < 0) & (flat.amax(-1) > 0)).all()):
        raise ValueError(
            "LevelSet: the level has one sign at all nodes, so there is no surface to move; check place and units (m)"
        )
    return phi
