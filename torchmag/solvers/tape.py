"""Where gradients pass within a solution, and how long their tapes last."""

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.solvers.stepper import System


@dataclass
class Gate:
    """Whether gradients pass."""

    open: bool = False


class Gated(torch.autograd.Function):
    """A tensor, whose gradient passes on to its history once a gate is open."""

    @staticmethod
    def forward(ctx, gate: Gate, x: Tensor) -> Tensor:
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx, cotangent):
        return None, cotangent if ctx.gate.open else None


class Rate(torch.autograd.Function):
    """A rate whose tape is made when its gradient is taken, and gone thereafter."""

    @staticmethod
    def forward(ctx, system: System, t: float, m: Tensor, *wanted: Tensor) -> Tensor:
        ctx.system, ctx.t = system, t
        ctx.save_for_backward(m, *wanted)
        return system.rate(t, m)

    @staticmethod
    def backward(ctx, cotangent):
        m, *wanted = ctx.saved_tensors
        m = m.detach().requires_grad_()
        with torch.enable_grad():
            rate = ctx.system.rate(ctx.t, m)
        # Retained: values may have a history, which the other rates of a step share.
        return None, None, *torch.autograd.grad(rate, [m, *wanted], cotangent, allow_unused=True, retain_graph=True)
