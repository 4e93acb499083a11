"""Coordinates on the tangent planes of unit vectors."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmag import layout
from torchmag.layout import normalize
from torchmag.solvers.sphere import Landscape


@dataclass(frozen=True)
class Tangent:
    """Turns of m as rows of numbers, whose scalar product is that of the landscape: sum over the nodes of weight v.v.

    Two numbers for each node, along e_1 and e_2 with e_1 x e_2 = m, times the root of the node's weight; zero where nothing moves.

    Attributes:
        first, second: e_1 and e_2, (*batch, 3, *nodes).
        root: of the weight, zero where nothing moves; inverse: of that, where it is positive; (*batch, 1, *nodes).
        batch: the batch axes.
    """

    first: Tensor
    second: Tensor
    root: Tensor
    inverse: Tensor
    batch: tuple[int, ...]

    @property
    def size(self) -> int:
        """Numbers of a row."""
        return 2 * self.first[(0,) * (len(self.batch) + 1)].numel()

    def rows(self, v: Tensor) -> Tensor:
        """Vector fields (K, *batch, 3, *nodes) -> rows (B, K, n)."""
        dim = len(self.batch)
        parts = [self.root.squeeze(dim) * (e * v).sum(dim + 1) for e in (self.first, self.second)]
        return torch.stack(parts, dim + 1).reshape(len(v), -1, self.size).transpose(0, 1)

    def fields(self, x: Tensor) -> Tensor:
        """Rows (B, K, n) -> vector fields (K, *batch, 3, *nodes)."""
        dim = len(self.batch)
        grid = self.first.shape[dim + 1 :]
        first, second = x.transpose(0, 1).reshape(x.shape[1], *self.batch, 2, *grid).unbind(dim + 1)
        return self.inverse * (first.unsqueeze(dim + 1) * self.first + second.unsqueeze(dim + 1) * self.second)

    def dual(self) -> "Tangent":
        """Coordinates whose rows are those of cotangents: the transposed of `fields`, as `rows` of these; and the other way round."""
        return replace(self, root=self.inverse, inverse=self.root)

    def nodal(self, x: Tensor) -> Tensor:
        """A number for each node, 0-d or (*batch, 1, *nodes), as a row that multiplies others: (B, 1, n)."""
        dim, grid = len(self.batch), self.first.shape[len(self.batch) + 1 :]
        return x.expand(*self.batch, 2, *grid).reshape(-1, 1, self.size) if x.ndim > dim else x.expand(1, 1, self.size)

    def moving(self) -> Tensor:
        """Which numbers may change, bool (B, 1, n)."""
        return self.nodal(self.root) > 0


def tangent_at(landscape: Landscape, m: Tensor) -> Tangent:
    """Coordinates at m."""
    dim = landscape.axes[0]
    batch = tuple(m.shape[: m.ndim + dim])
    # From the axis that m is least along.
    axis = m.abs().argmin(dim, keepdim=True)
    first = torch.zeros_like(m).scatter(dim, axis, 1.0)
    first = normalize(first - (first * m).sum(dim, keepdim=True) * m, dim)
    grid = -dim - 1
    planes = layout.cross_components(layout.components(m, grid), layout.components(first, grid))
    root = (landscape.weight * landscape.moving).sqrt().expand(*batch, 1, *m.shape[m.ndim + dim + 1 :])
    return Tangent(first, layout.stack(planes, grid), root, (root > 0) / torch.where(root > 0, root, 1), batch)


def quarter_turn(x: Tensor) -> Tensor:
    """m x v in these coordinates."""
    first, second = x.unflatten(-1, (2, -1)).unbind(-2)
    return torch.stack([-second, first], -2).flatten(-2)
