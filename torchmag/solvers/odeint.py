"""Our stepper behind torchdiffeq's interface: `torchdiffeq.odeint(llg, m0, t, method="torchmag_dopri5")`."""

from dataclasses import replace

import torch
from torch import Tensor
from torchdiffeq._impl.odeint import SOLVERS

from torchmag.device import instant
from torchmag.llg import LLG
from torchmag.solvers.adaptive import adaptive_steps
from torchmag.solvers.outputs import Outputs
from torchmag.solvers.solve import OWN
from torchmag.solvers.stepper import System
from torchmag.solvers.system import llg_system


class _Method:
    """What torchdiffeq expects of a solver.

    On an LLG the state is projected to unit length and the error norm is that of `tm.solve`.  Any other function, among
    them the flat state that odeint_adjoint integrates backwards, gets neither: the norm is torchdiffeq's.
    """

    tableau = None

    def __init__(self, func, y0: Tensor, rtol, atol, norm=None, max_num_steps: int = 1_000_000, **unknown):
        if unknown:
            raise TypeError(f"torchmag_{self.tableau.name}: unknown options {sorted(unknown)}; known: max_num_steps")
        self.func, self.y0, self.max_steps = func, y0, max_num_steps
        llg = _llg_within(func)
        rate = lambda t, y, values: func(instant(t, y0), y)
        if llg is None:
            size = lambda e, y0, y1: torch.as_tensor(norm(e / (atol + rtol * torch.maximum(y0.abs(), y1.abs()))))
            self.system = System(rate, lambda y: y, size, lambda t, y: None)
        else:
            system = llg_system(llg, llg.prepare(), y0, float(rtol), float(atol))
            self.system = replace(system, function=rate, part=None)

    @classmethod
    def valid_callbacks(cls):
        return set()

    def integrate(self, t: Tensor) -> Tensor:
        times = t.double().tolist()
        outputs = Outputs(times, self.y0)
        for step in adaptive_steps(self.system, self.tableau, times[0], times[-1], self.y0, max_steps=self.max_steps):
            for hit in outputs.hits(step):
                outputs.add(hit, hit.state(step, times[hit.position], self.system))
        return outputs.stacked()


def _llg_within(func):
    """The LLG inside torchdiffeq's wrappers of the right-hand side; None if the state was flattened or it is no LLG."""
    while not isinstance(func, LLG):
        if type(func).__name__ == "_TupleFunc" or not hasattr(func, "base_func"):
            return None
        func = func.base_func
    return func


def register() -> None:
    """Add our methods to torchdiffeq's table, as torchmag_<name>."""
    for name, tableau in OWN.items():
        SOLVERS[f"torchmag_{name}"] = type(f"Torchmag_{name}", (_Method,), {"tableau": tableau})
