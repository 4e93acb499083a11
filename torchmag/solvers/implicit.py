"""The gradient of an equilibrium, without the path that led to it.

At an equilibrium m x h(m, p) = 0: the part of the field h across m vanishes, P h = 0 with P = 1 - m m^T at each node.  A change dp of
the parameters turns m by the tangent dm that solves

    A dm = -P (dh/dp) dp,    A = P (dh/dm) P - m.h

(implicit function theorem).  The gradient g of a loss with respect to m thus becomes -(dh/dp)^T P l with A^T l = P g, one linear
system, solved by GMRES with the inverse of the exchange as preconditioner.  Held are m, one evaluation's tape and the vectors of
GMRES, whatever the number of steps to the equilibrium.  A sample of a batch that has no such gradient leaves that of the others as it is,
unless they share a parameter.  A is the Hessian of the energy in units of field: symmetric in the metric
of the lumped moment, but for torques and for parameters that depend on m.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import GradientError, GradientWarning
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
        residual: max |m x H| / Ms of each sample, (*batch).
        tolerance: above which a sample is no equilibrium.
    """

    field: Callable[[Tensor, Values], Tensor]
    values: Values
    resolved: Sequence[Tensor]
    live: Sequence[Tensor]
    landscape: Landscape
    title: str
    residual: Tensor
    tolerance: float


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
        turned, failures = _solve(balance, m, field, cotangent)
        with without_hooks(balance.live):
            still, *gradients = _pulled(balance, field, [m, *wanted], -turned, failures)
        still = torch.where(balance.landscape.moving, 0, cotangent + (0 if still is None else still))
        return None, None, still, None, *gradients


def require_known(balance: Balance, unknown: Sequence[Tensor]) -> None:
    """Raise if the field depends on a tensor that would get no gradient."""
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


def _pulled(balance, field, inputs, cotangent, failures):
    """Gradients of the inputs; NaN where they belong to a sample that has none."""
    found = torch.autograd.grad(field, inputs, cotangent, allow_unused=True, retain_graph=bool(failures))
    if not failures:
        return found
    lost = torch.zeros_like(cotangent)
    for index in failures:
        lost[index] = torch.nan
    others = torch.where((cotangent != 0) & ~lost.isnan(), torch.nan, 0)
    reached = [torch.autograd.grad(field, inputs, x, allow_unused=True, retain_graph=True) for x in (lost, others)]
    mine, theirs = ([None if x is None else x.isnan() for x in part] for part in reached)
    (index, why), *_ = failures.items()
    if any(x is not None and bool((x & y).any()) for x, y in list(zip(mine, theirs))[1:]):
        raise GradientError(f"{why}: sample {index} of the batch, which shares parameters with others; leave it out of the loss")
    for index, why in failures.items():
        warnings.warn(f"{why}: sample {index} of the batch, whose gradients are NaN", GradientWarning, stacklevel=2)
    return [None if x is None else torch.where(nan, torch.nan, x) for nan, x in zip(mine, found)]


def _solve(balance, m, field, cotangent):
    """P l with A^T l = P g, and the samples without a solution that the loss depends on: {position: why}."""
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
    used, astray = (b != 0).any(-1), ~(balance.residual.reshape(-1) <= balance.tolerance)
    b = torch.where(astray.unsqueeze(-1), 0, b)
    turned, left = gmres(apply, b, precondition, TOLERANCE if m.dtype == torch.float64 else 1e-4, MAX_STEPS)
    failed = (used & astray) | ~(left <= (UNDETERMINED if m.dtype == torch.float64 else 1e-2))
    turned = torch.where(failed.unsqueeze(-1), 0, turned)
    failures = {
        tuple(int(n) for n in np.unravel_index(number, batch)): _why(balance, number, bool(astray[number]), float(left[number]))
        for number in failed.nonzero().squeeze(-1).tolist()
    }
    if failures and not bool((used & ~failed).any()):
        raise GradientError(next(iter(failures.values())))
    return land.tangent(x, turned.reshape(x.shape)), failures


def _why(balance, number, astray, left):
    if astray:
        residual = float(balance.residual.reshape(-1)[number])
        return f"{balance.title}: no gradient, since m is no equilibrium (max |m x H| / Ms = {residual:.3g})"
    return (
        f"{balance.title}: the loss changes with a rotation or shift of m that the energy does not determine, or hardly "
        f"(the linear system is left with {left:.1e} of its right-hand side): its gradient does not exist; hold m by an "
        f"anisotropy, a field or frozen nodes, or use a loss that such a motion does not change"
    )
