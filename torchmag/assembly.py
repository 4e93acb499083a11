"""What acts on a node field, of one or several forms to second order in space, put together at the nodes once."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from torchmag import layout, native
from torchmag.layout import Mode


class Assembly:
    """Sums of parts that act on one node field, each still to be multiplied by the magnetic fraction of the cells.

    Args:
        x: the field, (*batch, 3, *nodes).
        modes: of x.
        fraction: a number or (*batch, *cells).
        periodic: for each axis, whether it wraps around.
    """

    def __init__(self, x: Tensor, modes: layout.Modes, fraction: Tensor, periodic: Sequence[bool]):
        self.x, self.of_x, self.periodic, self.dim = x, modes, tuple(periodic), len(periodic)
        self.fraction = fraction.unsqueeze(-self.dim - 1) if fraction.ndim else fraction
        self.uniform = layout.is_uniform(fraction, self.dim)
        self.modes, self.stencils, self.matrix, self.maps, self.shares = {}, [], None, [], None

    def add_modes(self, parts: Mapping[Mode, Tensor]) -> None:
        """Add {mode: (*batch, 3, *cells)}."""
        for mode, part in parts.items():
            self.modes[mode] = self.modes[mode] + part if mode in self.modes else part

    def add_stencil(self, origin: Tensor, coefficients: Mapping[Mode, Tensor | float], shares: Tensor) -> None:
        """Add second differences of a node field where coefficients and fraction are uniform, see `layout.differences`."""
        self.shares = shares
        for other, sums in self.stencils:
            if other is origin:
                for axes, coefficient in coefficients.items():
                    sums[axes] = sums[axes] + coefficient if axes in sums else coefficient
                return
        self.stencils.append((origin, dict(coefficients)))

    def add_matrix(self, factor: Tensor | None, matrix: Tensor) -> None:
        """Add a matrix (*batch, R * R), from the sums that make up the modes of x to the corners, times a map (*batch, *cells)."""
        if factor is None:
            self.matrix = matrix if self.matrix is None else self.matrix + matrix
        else:
            self.maps.append((factor, matrix))

    def at_nodes(self) -> Tensor:
        """(*batch, 3, *nodes)."""
        found = []
        for origin, sums in self.stencils:
            sums = {axes: self.fraction * value for axes, value in sums.items()}
            found.append(self.shares * layout.differences(origin, self.periodic, sums))
        if self.modes:
            if self.uniform:
                found.append(self.fraction * layout.from_modes(self.modes, self.periodic))
            else:
                parts = {mode: self.fraction * part for mode, part in self.modes.items()}
                found.append(layout.from_modes(parts, self.periodic))
        if self.matrix is not None or self.maps:
            found.append(layout.from_corners(self._corners(), self.periodic))
        if not found:
            return torch.zeros_like(self.x)
        return sum(found[1:], start=found[0])

    def _corners(self):
        """(*batch, 2 for each axis, 3, *cells)."""
        sums = torch.cat([self.of_x.sum(mode) for mode in layout.modes(self.dim)], -self.dim - 1)
        flat, cells = sums.flatten(-self.dim), sums.shape[-self.dim :]
        scale = self.fraction.flatten(-self.dim - 1) if self.uniform and self.fraction.ndim else self.fraction
        found = None
        for factor, matrix in [*([] if self.matrix is None else [(None, self.matrix)]), *self.maps]:
            matrix = scale * matrix if self.uniform else matrix
            # As many axes as the field has: it is not copied then.
            size, batch = sums.shape[-self.dim - 1], matrix.shape[:-1]
            matrix = matrix.reshape(*(1,) * (flat.ndim - 2 - len(batch)), *batch, size, size)
            part = (matrix @ flat).unflatten(-1, cells)
            if factor is not None:
                factor = factor.unsqueeze(-self.dim - 1)
                part = factor * part if found is None else torch.addcmul(found, factor, part)
            found = part
        if not self.uniform:
            found = self.fraction * found
        return found.unflatten(-self.dim - 1, (*(2,) * self.dim, 3))


def by_matrix(x: Tensor) -> bool:
    """Whether a matrix product is faster for x than a loop: one pass over memory where each operator would be one."""
    if torch.compiler.is_compiling() or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return False
    return not native.is_forked()
