"""The curvature of an energy at an equilibrium."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.solvers.sphere import Landscape
from torchmag.solvers.tangent import Tangent, tangent_at

# A field counts as linear if its second differences are this part of it at most.
STRAIGHT = {torch.float64: 1e-11, torch.float32: 1e-4}
# Curvature that the preconditioner assumes at least, in units of max Ms.
SOFTEST = 0.03
# Vector fields that are differentiated at once hold at most so many numbers.
AT_ONCE = 2**24


@dataclass(frozen=True)
class Hessian:
    """A = P (m.h) - P (dh/dm) P on the tangent planes at m, P = 1 - m m^T, h the field in units of max Ms.

    The second derivative of the energy on the spheres, in units of mu_0 max Ms and in the metric of the lumped moment, where it is
    symmetric if the field is that of an energy; positive at a minimum.

    Attributes:
        m: the equilibrium, (*batch, 3, *nodes).
        tangent: the coordinates of its rows.
        linear: whether the field is linear in m.
        differential: vector fields (K, *batch, 3, *nodes) -> dh/dm of each.
        along: m.h, (*batch, 1, *nodes).
        landscape: see `Landscape`.
        shift: of the preconditioner, for each component, (*batch, 3, *1).
    """

    m: Tensor
    tangent: Tangent
    linear: bool
    differential: Callable[[Tensor], Tensor]
    along: Tensor
    landscape: Landscape
    shift: Tensor

    @property
    def scale(self) -> Tensor:
        """max Ms of each sample, A/m: (*batch)."""
        return self.landscape.scale.squeeze(self.landscape.axes).expand(self.tangent.batch)

    def __call__(self, x: Tensor) -> Tensor:
        """A x of rows (B, K, n)."""
        count = max(1, AT_ONCE // self.m.numel())
        return torch.cat([self._applied(part) for part in x.split(count, 1)], 1) if x.shape[1] else x

    def _applied(self, x):
        v = self.tangent.fields(x)
        return self.tangent.rows(self.along * v - self.differential(v))

    def transposed(self, x: Tensor) -> Tensor:
        """A^T x of rows (B, K, n), for the field of torques, whose A is not symmetric."""
        dual = self.tangent.dual()
        v = dual.fields(x)
        _, pull = torch.func.vjp(self.landscape.field, self.m.expand(v.shape).contiguous())
        return dual.rows(self.along * v - pull(v)[0])

    def precondition(self, x: Tensor) -> Tensor:
        """A symmetric positive approximation of the inverse, of rows (B, K, n)."""
        v = self.tangent.fields(x)
        return self.tangent.rows(self.landscape.precondition(v, self.shift))


def hessian_at(landscape: Landscape, m: Tensor) -> Hessian:
    """The curvature at m; the landscape's field is that of the energy, or of energy and torques."""
    dim = landscape.axes[0]
    with torch.no_grad():
        along = (m * landscape.field(m)).sum(dim, keepdim=True)
        linear = is_linear(landscape.field, m)
        apply = differential(landscape.field, m, linear)
        mean = (landscape.weight * along).sum(landscape.axes, keepdim=True)
        unit = torch.eye(3, dtype=m.dtype, device=m.device).reshape(3, *(1,) * (m.ndim + dim), 3, *(1,) * (-dim - 1))
        turned = apply(unit.expand(3, *m.shape) * landscape.moving)
        # Of uniform directions: what demagnetising factors, anisotropy and fields amount to.
        own = torch.stack(
            [(landscape.weight * turned[c]).sum(landscape.axes[1:], keepdim=True).select(dim, c) for c in range(3)], dim
        )
        shift = (mean - own).clamp(min=SOFTEST)
    return Hessian(m, tangent_at(landscape, m), linear, apply, along, landscape, shift)


def differential(field: Callable[[Tensor], Tensor], m: Tensor, linear: bool) -> Callable[[Tensor], Tensor]:
    """v -> (dh/dm) v at m, for vector fields (K, *batch, 3, *nodes): a difference where the field is linear, else by forward-mode
    differentiation."""
    if linear:
        offset = field(torch.zeros_like(m))
        return lambda v: field(v) - offset
    return lambda v: torch.func.jvp(field, (m.expand(v.shape).contiguous(),), (v,))[1]


def is_linear(field: Callable[[Tensor], Tensor], m: Tensor) -> bool:
    """Whether a field is linear in m, but for a constant: seen at a uniform and at a rough vector field."""
    rough = torch.cos(1.7 * torch.arange(m.numel(), dtype=m.dtype, device=m.device)).reshape(m.shape)
    offset, here = field(torch.zeros_like(m)), field(m)
    for u in (torch.full_like(m, 0.6), rough):
        there, both = field(u), field(m + u)
        size = max(float(x.abs().max()) for x in (there, here, both, offset))
        if not float((both - there - here + offset).abs().max()) <= STRAIGHT[m.dtype] * size:
            return False
    return True
