"""Small motions about an equilibrium.

With h + dh the effective field near m, a turn v of m obeys the linear equation

    A v + (J + alpha) / gamma dv/dt = P dh,    A = P (m.h) - P (dh/dm) P,    J v = m x v,

which is the LLG equation solved for the field: no matrix is inverted, and damping stands beside the precession.  Free motions
exp(i omega t) v obey A v = -i omega (J + alpha) / gamma v.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.constants import gamma_0
from torchmag.energy import Energy, Sum
from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.parameters import Values
from torchmag.solvers.escape import has_landscape
from torchmag.solvers.hessian import Hessian, hessian_at
from torchmag.solvers.landscape import make_landscape
from torchmag.solvers.sources import leaves, trainable
from torchmag.solvers.sphere import Landscape
from torchmag.solvers.stability import require_equilibrium
from torchmag.solvers.tangent import quarter_turn
from torchmag.term import as_time, check_field


@dataclass(frozen=True)
class Setting:
    """An equation with its values at an equilibrium.

    Attributes:
        llg: the equation.
        values: with graphs.
        m: detached, expanded to the batch.
        t: time at which drives are held.
        landscape: whose field is that of energy and torques.
        title: of the function, for errors.
    """

    llg: LLG
    values: Values
    m: Tensor
    t: Tensor
    landscape: Landscape
    title: str

    def field(self, m: Tensor, values: Values) -> Tensor:
        """The field of energy and torques, A/m."""
        return self.llg.effective_field(m, self.t, values)

    def sources(self) -> tuple[list[Tensor], list[Tensor]]:
        """The tensors that require a gradient: in the values, and those that enter otherwise."""
        return trainable(self.values), leaves(self.llg)

    def needs_gradient(self, m: Tensor) -> bool:
        """Whether a result depends on something that requires a gradient."""
        return torch.is_grad_enabled() and (m.requires_grad or any(self.sources()))

    @property
    def symmetric(self) -> bool:
        """Whether A is symmetric: every field is that of an energy."""
        return not len(self.llg.torques) and has_landscape(self.llg.energy)


def make_setting(llg: LLG | Energy, m: Tensor, t: float, params: Mapping[str, Tensor] | None, title: str) -> Setting:
    """An equation, or an energy without damping, checked, at an equilibrium m.

    Raises:
        TypeError, ValueError: no equation, no field on its nodes, no equilibrium, or no precession.
    """
    if isinstance(llg, Energy):
        own = isinstance(llg, Sum)
        if params is not None and isinstance(params, Mapping):
            prefix = "energy." if own else f"energy.{next(iter(Sum(llg).terms))}."
            params = {("energy." if name.startswith("magnet.") else prefix) + name: value for name, value in params.items()}
        llg = LLG(llg, 0.0, gamma=gamma_0)
    if not isinstance(llg, LLG):
        raise TypeError(f"{title}: got a {type(llg).__name__}, expected a torchmag.LLG or an energy")
    if not llg.precession:
        raise ValueError(f"{title}: the LLG has precession=False, and without precession nothing rings")
    check_field(m, llg.magnet, title)
    values = llg.prepare(params)
    llg.check(values, m.shape[: component_dim(llg.mesh)])
    now = as_time(t, title, m)
    with torch.no_grad():
        x = m.detach()
        x = x.expand(torch.broadcast_shapes(x.shape, llg(now, x, values).shape))
        landscape, x = make_landscape(llg.energy, values["energy"], x, now, llg.frozen, title)
        if len(llg.torques):
            scale, moving = landscape.scale, landscape.moving
            field = lambda m: llg.effective_field(m, now, values) / scale * moving
            landscape = Landscape(field, landscape.weight, moving, landscape.precondition, landscape.axes, scale)
        require_equilibrium(landscape, x, title)
    return Setting(llg, values, x, now, landscape, title)


@dataclass(frozen=True)
class Motion:
    """The linear equation in tangent coordinates: A of `Hessian`, in units of max Ms; time in units of 1 / (max gamma max Ms).

    Attributes:
        hessian: A.
        alpha, slow: damping and max gamma / gamma at the nodes, (B or 1, 1, n).
        unit: max gamma max Ms of each sample, 1/s: (B).
        symmetric: whether A is.
    """

    hessian: Hessian
    alpha: Tensor
    slow: Tensor
    unit: Tensor
    symmetric: bool

    @property
    def damped(self) -> bool:
        """Whether there is damping somewhere."""
        return bool((self.alpha != 0).any())

    def stiff(self, x: Tensor, transposed: bool = False) -> Tensor:
        """A x, or A^T x, of real or complex rows (B, K, n)."""
        apply = self.hessian.transposed if transposed and not self.symmetric else self.hessian
        return in_parts(apply, x)

    def turn(self, x: Tensor) -> Tensor:
        """J / gamma x."""
        return self.slow * quarter_turn(x)

    def drag(self, x: Tensor, sign: float = 1.0) -> Tensor:
        """D x with D = (J + alpha) / gamma; D^T x with sign = -1."""
        return self.slow * (sign * quarter_turn(x) + self.alpha * x)

    def undrag(self, x: Tensor, sign: float = 1.0) -> Tensor:
        """The inverse of `drag`."""
        return (self.alpha * x - sign * quarter_turn(x)) / (self.slow * (1 + self.alpha**2))

    def precondition(self, x: Tensor) -> Tensor:
        """An approximate inverse of A, of real or complex rows."""
        return in_parts(self.hessian.precondition, x)

    def residual(self, omega: Tensor, x: Tensor) -> Tensor:
        """|A x + i omega D x| / (|A x| + |omega D x|) of each row, (B, p)."""
        stiff, drag = self.stiff(x), 1j * omega.unsqueeze(-1) * self.drag(x)
        length = lambda v: torch.linalg.vector_norm(v, dim=-1)
        size = length(stiff) + length(drag)
        return length(stiff + drag) / torch.where(size > 0, size, 1)


def in_parts(apply, x: Tensor) -> Tensor:
    """A real linear map of complex rows (B, K, n)."""
    if not x.is_complex():
        return apply(x)
    both = apply(torch.cat([x.real, x.imag], 1))
    return torch.complex(*both.chunk(2, 1))


def make_motion(setting: Setting) -> Motion:
    """The linear equation of a setting."""
    llg, m = setting.llg, setting.m
    with torch.no_grad():
        hessian = hessian_at(setting.landscape, m)
        own = llg.complete(setting.t, m, setting.values)
        alpha, gamma = own["alpha"], own["gamma"]
        axes, batch = setting.landscape.axes, hessian.tangent.batch
        if bool(((gamma == 0) & setting.landscape.moving).any()):
            raise ValueError("eigenmodes: gamma is zero at nodes that move; freeze them: LLG(..., frozen=...)")
        largest = gamma.amax(axes, keepdim=True) if gamma.ndim else gamma
        slow = torch.where(gamma > 0, largest / torch.where(gamma > 0, gamma, 1), 1)
        largest = (largest.squeeze(axes) if largest.ndim else largest).expand(batch)
        nodal = hessian.tangent.nodal
        unit = (largest * hessian.scale).reshape(-1)
        return Motion(hessian, nodal(alpha), nodal(slow), unit, setting.symmetric)
