"""Relaxation without torques: downhill along the overdamped flow, then by L-BFGS."""

import torch
from torch import Tensor

from torchmag.solvers.lbfgs import LBFGS
from torchmag.solvers.sphere import Landscape

# The flow is followed until this residual.
FOLLOWED = 0.01
# Largest turn of a step of the flow, rad; the first step size, in units of 1 / gamma mu_0 max Ms.
TURN, FIRST = 0.1, 0.1
# What of the slope along a step may be left at its end, with either sign, for the step size to stay, and how it changes else.
LEFT, SHRINK, GROW = 0.2, 0.3, 2.0


class Downhill(LBFGS):
    """Semi-implicit steps of dm/dt = -g, the exchange implicit, while the residual is large, so that a state ends in the basin that the
    overdamped flow ends in; close to the bottom L-BFGS.

    A step solves (1/dt + exchange) s = -g.  dt grows as long as the energy would go on falling along s, shrinks where a step went beyond
    the lowest point, and is bounded by the turn of a node.

    Attributes:
        dt: step size of each sample.
        flows: samples that follow the flow still.
    """

    def __init__(self, landscape: Landscape, size: Tensor, pairs=None, dt: Tensor | None = None, flows: Tensor | None = None):
        super().__init__(landscape, size, pairs)
        self.dt = FIRST * torch.ones_like(size) if dt is None else dt
        self.flows = torch.ones_like(size, dtype=torch.bool) if flows is None else flows

    @property
    def memory(self) -> dict:
        return super().memory | {"dt": self.dt, "flows": self.flows}

    def direction(self, m: Tensor, g: Tensor) -> Tensor:
        landscape = self.landscape
        self.flows = self.flows & (landscape.longest(g) > FOLLOWED)
        if not bool(self.flows.any()):
            return super().direction(m, g)
        step = -landscape.tangent(m, landscape.precondition(g, 1 / self.dt))
        part = (TURN / landscape.longest(step).clamp(min=1e-30)).clamp(max=1.0)
        self.dt = torch.where(self.flows, part * self.dt, self.dt)
        step = part * step
        return step if bool(self.flows.all()) else torch.where(self.flows, step, super().direction(m, g))

    def learn(self, took: Tensor, s: Tensor, y: Tensor, g: Tensor) -> None:
        super().learn(took, s, y, g)
        if bool(self.flows.any()):
            inner = self.landscape.inner
            left = inner(g, s) / inner(g - y, s)
            factor = torch.where(left > LEFT, GROW, torch.where(left < -LEFT, SHRINK, 1.0)).to(self.dt.dtype)
            self.dt = torch.where(took & self.flows, factor * self.dt, self.dt)
