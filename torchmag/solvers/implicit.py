"""The gradient of an equilibrium, without the path that led to it.

At an equilibrium m x h(m, p) = 0: the part of the field h across m vanishes, P h = 0 with P = 1 - m m^T at each node.  A change dp of
the parameters turns m by the tangent dm that solves

    A dm = -P (dh/dp) dp,    A = P (dh/dm) P - m.h

(implicit function theorem).  The gradient g of a loss with respect to m thus becomes -(dh/dp)^T P l with A^T l = P g, one linear
system, solved by GMRES with the inverse of the exchange as preconditioner.  Held are m, one evaluation's tape and the vectors of
GMRES, whatever the number of steps to the equilibrium.  A is the Hessian of the energy in units of field: symmetric in the metric
of the lumped moment, but for torques and for parameters that depend on m.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.errors import GradientError
from torchmag.parameters import Values
from torchmag.solvers.gmres import gmres
from torchmag.solvers.sources import exchanged, found_by, mark, without_hooks
from torchmag.solvers.sphere import Landscape

# Of the linear system; what it leaves at worst before the loss counts as one that the equilibrium does not determine.
TOLERANCE, UNDETERMINED, MAX_STEPS = 1e-9, 1e-5, 1000


@dataclass(frozen=True)
class Balance:
    """What holds an equilibrium.

    Attributes:
        field: (m, values) -> the field that m is parallel to, in any unit.
        values: with graphs.
        resolved: the tensors in the values that require a gradient.
        live: the tensors that enter otherwise, such as the parameters of a drive.
        landscape: see `Landscape`.
        title: of the function, for errors.
        failure: why m is no equilibrium, if it is not.
    """

    field: Callable[[Tensor, Values], Tensor]
    values: Values
    resolved: Sequence[Tensor]
    live: Sequence[Tensor]
    landscape: Landscape
    title: str
    failure: str | None


def attach(balance: Balance, m: Tensor, m0: Tensor) -> Tensor:
    """An equilibrium with its gradient; that of m0 is zero but at nodes that do not move."""
    with torch.no_grad():
        field = balance.field(m, balance.values)
    return Equilibrium.apply(balance, m, m0, field, *balance.resolved, *balance.live)


class Equilibrium(torch.autograd.Function):
    """m as a function of the parameters that hold it."""

    @staticmethod
    def forward(ctx, balance: Balance, m: Tensor, m0: Tensor, field: Tensor, *sources: Tensor) -> Tensor:
        ctx.balance = balance
        ctx.save_for_backward(m, field, *sources)
        return m.clone()

    @staticmethod
    def backward(ctx, cotangent):
        balance, (m, held, *_) = ctx.balance, ctx.saved_tensors
        if torch.is_grad_enabled():
            raise GradientError(
                f"{balance.title}: second derivatives of an equilibrium (create_graph=True) are not implemented; "
                f"differentiate the first ones by differences"
            )
        copies = [x.detach().requires_grad_() for x in balance.resolved]
        values = exchanged(balance.values, {id(old): new for old, new in zip(balance.resolved, copies)})
        m, wanted = m.detach().requires_grad_(), [*copies, *balance.live]
        before = mark()
        with torch.enable_grad():
            field = balance.field(m, values)
        require_known(balance, found_by(field, before, [m, *wanted], balance.title))
        require_same(balance, field.detach(), held)
        turned = _solve(balance, m, field, cotangent)
        inputs = [m, *wanted]
        with without_hooks(balance.live):
            still, *gradients = torch.autograd.grad(field, inputs, -turned, allow_unused=True)
        still = torch.where(balance.landscape.moving, 0, cotangent + (0 if still is None else still))
        return None, None, still, None, *gradients


def require_known(balance: Balance, unknown: Sequence[Tensor]) -> None:
    """Raise if m is no equilibrium or the field depends on a tensor that would get no gradient."""
    if balance.failure:
        raise GradientError(f"{balance.title}: no gradient, since m is no equilibrium ({balance.failure})")
    if unknown:
        raise GradientError(
            f"{balance.title}: a tensor of shape {tuple(unknown[0].shape)} that requires a gradient enters by a parameter that "
            f"closes over it; give it as an nn.Parameter of a Module, or in params="
        )


def require_same(balance: Balance, field: Tensor, held: Tensor) -> None:
    """Raise if the field is not the one that holds the equilibrium."""
    if not bool((field - held).abs().max() <= torch.finfo(field.dtype).eps ** 0.5 * held.abs().max()):
        raise GradientError(
            f"{balance.title}: no gradient, since the field at m is another one now: the energy changed after {balance.title} (a drive, a "
            f"torque, a buffer, train() or eval()) or is random (dropout); call backward before any change"
        )


def _solve(balance, m, field, cotangent):
    """P l with A^T l = P g."""
    land, x = balance.landscape, m.detach()
    along = (x * field.detach()).sum(land.axes[0], keepdim=True)
    batch = x.shape[: x.ndim + land.axes[0]]
    weight = torch.where(land.weight > 0, land.weight, 1)

    def apply(flat):
        v = land.tangent(x, flat.reshape(x.shape))
        (back,) = torch.autograd.grad(field, m, v, retain_graph=True, allow_unused=True)
        back = torch.zeros_like(v) if back is None else back
        return (land.tangent(x, back) - along * v).flatten(len(batch)).reshape(flat.shape)

    def precondition(flat):
        v = land.tangent(x, flat.reshape(x.shape))
        return land.tangent(x, -weight * land.precondition(v / weight)).reshape(flat.shape)

    b = land.tangent(x, cotangent).reshape(batch.numel(), -1)
    turned, residual = gmres(apply, b, precondition, TOLERANCE if m.dtype == torch.float64 else 1e-4, MAX_STEPS)
    worst = float(residual.max())
    if not worst <= (UNDETERMINED if m.dtype == torch.float64 else 1e-2):
        raise GradientError(
            f"{balance.title}: the loss changes with a rotation or shift of m that the energy does not determine, or hardly "
            f"(the linear system is left with {worst:.1e} of its right-hand side): its gradient does not exist; hold m by an "
            f"anisotropy, a field or frozen nodes, or use a loss that such a motion does not change"
        )
    return land.tangent(x, turned.reshape(x.shape))
