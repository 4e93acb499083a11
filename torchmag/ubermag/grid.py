"""ubermag's meshes and arrays as torchmag's, and back."""

import math
from collections.abc import Callable

import discretisedfield as df
import numpy as np
import torch
from torch import Tensor

from torchmag import layout
from torchmag.mesh import Mesh


class Grid:
    """The cells of a discretisedfield mesh as a torchmag mesh.

    Axes of one cell that are not periodic become the thickness of a 2D or 1D mesh: m is constant along them, as it is in
    cell-centred codes.  So that they come last, the axes are turned cyclically; vectors turn with them.

    Args:
        mesh: of the system's m, three-dimensional.
        dtype, device: of the tensors made here.

    Attributes:
        axes: ubermag's axis of each of torchmag's, three.
        mesh: torchmag's.
    """

    def __init__(self, mesh: df.Mesh, dtype: torch.dtype, device):
        if mesh.region.ndim != 3:
            raise ValueError(f"system.m: its mesh has {mesh.region.ndim} axes, expected 3 (one cell along an axis is enough)")
        self.given, self.dtype, self.device = mesh, dtype, torch.device(device)
        dims = mesh.region.dims
        wraps = [mesh.bc not in ("neumann", "dirichlet") and dim in mesh.bc for dim in dims]
        thick = [count > 1 or wrap for count, wrap in zip(mesh.n, wraps)]
        kept = lambda axes: max((i + 1 for i, axis in enumerate(axes) if thick[axis]), default=1)
        turns = [tuple((first + i) % 3 for i in range(3)) for first in range(3)]
        self.axes = min(turns, key=kept)
        self.dim = kept(self.axes)
        turned = lambda values: tuple(float(values[axis]) for axis in self.axes)
        self.mesh = Mesh(
            tuple(int(mesh.n[axis]) for axis in self.axes[: self.dim]),
            turned(mesh.cell),
            turned(mesh.region.pmin),
            tuple(math.inf if wraps[axis] else 0 for axis in self.axes),
        )

    def vector(self, values) -> tuple[float, ...]:
        """A uniform vector."""
        return tuple(float(values[axis]) for axis in self.axes)

    def cells(self, array: np.ndarray) -> Tensor:
        """(nx, ny, nz) -> (*cells), (nx, ny, nz, 3) -> (3, *cells)."""
        if array.ndim == 3:
            found = np.transpose(array, self.axes).reshape(self.mesh.cells)
        else:
            found = np.transpose(array, (3, *self.axes))[list(self.axes)].reshape(3, *self.mesh.cells)
        return torch.tensor(np.ascontiguousarray(found), dtype=self.dtype, device=self.device)

    def array(self, cells: Tensor) -> np.ndarray:
        """(*cells) -> (nx, ny, nz, 1), (3, *cells) -> (nx, ny, nz, 3)."""
        back = tuple(self.axes.index(axis) for axis in range(3))
        found = cells.detach().double().cpu().numpy()
        vector = found.ndim > self.mesh.dim
        found = found.reshape(-1, *(self.given.n[axis] for axis in self.axes))
        found = np.transpose(found, (*(1 + axis for axis in back), 0))
        return np.ascontiguousarray(found[..., list(back)] if vector else found)

    def to_nodes(self, values: Tensor, weights: Tensor) -> Tensor:
        """The mean of the adjacent cells by weight: (C, *cells), (*cells) -> (C, *nodes); 0 where the weight is."""
        total = layout.to_nodes(weights, self.mesh)
        return layout.to_nodes(values * weights, self.mesh) / (total + (total == 0))

    def directions_at_nodes(self, m: Tensor, body: Tensor) -> Tensor:
        """Unit vectors of the cells at the nodes of the body: (3, *cells), bool (*cells) -> (3, *nodes).

        The direction of the mean over the adjacent cells; where they cancel, as between two opposite domains, that of one side.
        """
        m, weight = layout.normalize(m, 0), body.to(m.dtype)
        return _directions(self.to_nodes(m, weight), lambda: self.to_nodes(m, weight * _uneven(weight)))

    def directions_in_cells(self, m: Tensor) -> Tensor:
        """The direction of the mean of a cell's nodes, or where they cancel, of one side: (3, *nodes) -> (3, *cells)."""
        return _directions(layout.to_cells(m, self.mesh), lambda: layout.to_cells(m * _uneven(m[0]), self.mesh))

    def frozen(self, cells: Tensor) -> Tensor:
        """The nodes of these cells: bool (*cells) -> bool (*nodes)."""
        return layout.to_nodes(cells.to(self.dtype), self.mesh) > 0


def _uneven(like: Tensor) -> Tensor:
    """Weights by which opposite neighbours do not cancel."""
    return 1 + torch.arange(like.numel(), dtype=like.dtype, device=like.device).reshape(like.shape) / like.numel()


def _directions(mean: Tensor, uneven: Callable[[], Tensor]) -> Tensor:
    """Unit vectors along a mean, or along another where that is nothing."""
    square = (mean * mean).sum(0, keepdim=True)
    if bool((square < 1e-12).any()):
        mean = torch.where(square < 1e-12, uneven(), mean)
    return layout.normalize(mean, 0)
