"""Time evolution as a layer."""

import torch
from torch import Tensor, nn

from torchmag.llg import LLG
from torchmag.solvers.solve import require_times, solve


class Evolve(nn.Module):
    """The map m(t_0) -> m(T) of an LLG equation as a layer: `tm.solve` with fixed options.

    Args:
        llg: the equation, a child of this layer: its parameters train.
        t: the final time, s, from 0; or a sequence of times, of which the first belongs to the input.
        options: keyword arguments of `tm.solve`, such as method, rtol, atol, step.

    Shape: m (*batch, 3, *nodes) -> same, at the last time.
    """

    def __init__(self, llg: LLG, t, **options):
        super().__init__()
        if not isinstance(llg, LLG):
            raise TypeError(f"Evolve: llg is a {type(llg).__name__}, expected a torchmag.LLG")
        self.llg, self.options = llg, options
        self.t = tuple(require_times([0.0, float(t)] if torch.as_tensor(t).ndim == 0 else t))

    def forward(self, m: Tensor) -> Tensor:
        return solve(self.llg, m, self.t, **self.options)[-1]

    def extra_repr(self) -> str:
        return f"t={self.t[0]:g} ... {self.t[-1]:g} s"
