"""The continuous adjoint of torchdiffeq, guarded.

The adjoint equation is integrated backwards in time together with m, whose damped motion grows when time runs backwards: the gradient is
wrong once the m that comes back has left the m that was.  The distance is measured, by going back from each requested time to the
one before.  Chen et al., NeurIPS 2018; seminorm of Kidger, Chen and Lyons, ICML 2021: the SI sizes of the parameters' adjoints do not
enter the step size.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
import torchdiffeq
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from torchmag import layout
from torchmag.errors import GradientError
from torchmag.llg import LLG
from torchmag.solvers.exact import unknown_to
from torchmag.solvers.sources import exchanged, without_hooks
from torchmag.solvers.stepper import System

# Largest error of m that a trusted gradient may come from, as a length (|m| = 1), and how many times are searched for tensors.
TRUSTED, SEARCHED = 1e-3, 16


def adjoint_solution(
    llg: LLG,
    system: System,
    times: Sequence[float],
    m: Tensor,
    resolved: Sequence[Tensor],
    live: Sequence[Tensor],
    options: dict,
    check: bool,
) -> Tensor:
    """The states at the requested times, (T, *batch, 3, *nodes), by torchdiffeq.odeint_adjoint.

    Args:
        system: with values that carry graphs, of which the resolved tensors are all that need a gradient.
        live: tensors that enter otherwise, such as the parameters of a drive.
        options: rtol, atol, method and options of torchdiffeq.
        check: refuse gradients that cannot be trusted.

    Raises:
        TypeError: the equation depends on a tensor that would get no gradient.
    """
    copies = [x.detach().requires_grad_() for x in resolved]
    values = exchanged(system.values, {id(x): copy for x, copy in zip(resolved, copies)})
    live, start = list(live), m.detach().requires_grad_()
    for t in times[:: max(1, len(times) // SEARCHED)]:
        live += unknown_to([*copies, *live], replace(system, values=values), t, start)
    dynamics = _Dynamics(llg, values, times)
    return system.project(_Adjoint.apply(dynamics, options, copies, check, m, *resolved, *live))


class _Dynamics(nn.Module):
    """The rate in units of the whole interval, so that time keeps its resolution in the dtype of m.

    Never compiled: torchdiffeq goes through one graph twice, which compiled ones do not allow.
    """

    def __init__(self, llg, values, times):
        super().__init__()
        self.__dict__["llg"] = llg  # its parameters are given to torchdiffeq one by one
        self.values, self.start, self.unit = values, times[0], times[-1] - times[0]
        self.scaled = torch.tensor([(t - self.start) / self.unit for t in times], dtype=torch.float64)

    def forward(self, s, m):
        t = torch.tensor(self.start + self.unit * float(s.detach()), dtype=torch.float64)
        return self.llg.forward(t, m, self.values) * self.unit


class _Adjoint(torch.autograd.Function):
    """torchdiffeq's solution, cut off from the history of the values: one may depend on another."""

    @staticmethod
    def forward(ctx, dynamics, options, copies, check, m, *sources):
        start, wanted = m.detach().requires_grad_(), (*copies, *sources[len(copies) :])
        with torch.enable_grad():
            ctx.found = torchdiffeq.odeint_adjoint(
                dynamics,
                start,
                dynamics.scaled.to(m.device),
                adjoint_params=wanted,
                adjoint_options=options["options"] | {"norm": "seminorm"},
                **options,
            )
        ctx.dynamics, ctx.options, ctx.check, ctx.inputs = dynamics, options, check, [start, *wanted]
        return ctx.found.detach().clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, cotangent):
        if ctx.check:
            _require_way_back(ctx.dynamics, ctx.found.detach(), ctx.options)
        with without_hooks(ctx.inputs):
            gradients = torch.autograd.grad(ctx.found, ctx.inputs, cotangent, retain_graph=True, allow_unused=True)
        return None, None, None, None, *gradients


def _require_way_back(dynamics, found, options):
    """Raise unless each state leads back to the one before."""
    worst, dim = 0.0, layout.component_dim(dynamics.llg.mesh)
    for number in reversed(range(1, len(found))):
        times = dynamics.scaled[[number, number - 1]].to(found.device)
        again = torchdiffeq.odeint(dynamics, found[number], times, **options)[-1]
        error = float(torch.linalg.vector_norm(again - found[number - 1], dim=dim).max())
        worst = max(worst, error if math.isfinite(error) else math.inf)
    if not worst <= TRUSTED:
        raise GradientError(
            f"solve: gradient='adjoint' cannot be trusted here: going back in time misses m by {worst:.2g} (a length, trusted up "
            f"to {TRUSTED:g}), since damping amplifies errors backwards; use gradient='exact', request more times in between "
            f"(each is a new start), lower rtol and atol, or pass check=False"
        )
