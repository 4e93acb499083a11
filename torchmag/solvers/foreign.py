"""Methods that torchdiffeq implements, run under our step control, projection and time."""

import functools

import torch
import torchdiffeq  # noqa: F401  (fills the table below)
from torch import Tensor
from torchdiffeq._impl.fixed_adams import AdamsBashforthMoulton
from torchdiffeq._impl.odeint import SOLVERS
from torchdiffeq._impl.rk_common import RKAdaptiveStepsizeODESolver
from torchdiffeq._impl.solvers import FixedGridODESolver

from torchmag.device import instant
from torchmag.solvers.bursts import burst, finite_steps
from torchmag.solvers.fixed import count_steps
from torchmag.solvers.progress import Progress
from torchmag.solvers.stepper import Step, System, require_finite
from torchmag.solvers.tableau import Tableau


def foreign_names() -> tuple[str, ...]:
    """The method names of torchdiffeq."""
    return tuple(name for name in SOLVERS if not name.startswith("torchmag_"))


@functools.cache
def foreign_tableau(name: str) -> Tableau | None:
    """The constants of an embedded Runge-Kutta method of torchdiffeq; None for other methods."""
    solver = SOLVERS.get(name)
    if name.startswith("torchmag_") or not (isinstance(solver, type) and issubclass(solver, RKAdaptiveStepsizeODESolver)):
        return None
    constants = solver.tableau
    rows = [tuple(row.tolist()) for row in constants.beta]
    b, e, mid = constants.c_sol.tolist(), constants.c_error.tolist(), solver.mid.tolist()
    c = [0.0, *constants.alpha.tolist()]
    if b[-1] == 0 and tuple(b[:-1]) == rows[-1]:
        # First same as last: the last stage is the rate at the new state, which the stepper evaluates itself.
        c, rows, b = c[:-1], rows[:-1], b[:-1]
    else:
        e, mid = [*e, 0.0], [*mid, 0.0]
    return Tableau(name, solver.order, tuple(c), tuple(rows), tuple(b), tuple(e), tuple(mid))


def can_repeat(name: str) -> bool:
    """Whether a step of this method is a map of the state alone: not for multistep methods and SciPy's."""
    solver = SOLVERS.get(name, FixedGridODESolver)
    one_step = issubclass(solver, FixedGridODESolver | RKAdaptiveStepsizeODESolver)
    return one_step and not issubclass(solver, AdamsBashforthMoulton)


def foreign_steps(
    system: System,
    name: str,
    times: list[float],
    m: Tensor,
    dt: float | None,
    rtol: float,
    atol: float,
    max_steps: int,
    progress: Progress | None = None,
):
    """Yield the steps of a fixed-grid, multistep or SciPy method: each interval between the times divided into steps <= dt.

    With a progress, one interval, by a method that can repeat its steps.

    Time is passed on in units of the whole interval, so that it keeps its resolution in the dtype of m.
    """
    start, unit = times[0], times[-1] - times[0]
    make = functools.partial(SOLVERS[name], rtol=rtol, atol=atol, norm=lambda x: x.abs().max(), **_options(name))
    solver = make(_Rate(system, start, unit), m)
    if not isinstance(solver, FixedGridODESolver):
        scaled = torch.tensor([(t - start) / unit for t in times], dtype=torch.float64)
        states = solver.integrate(scaled).to(m)
        for t0, t1, m0, m1 in zip(times, times[1:], states, states[1:]):
            require_finite(system, t1, t1 - t0, m1, m1, m0)
            yield Step(t0, t1, m0, system.project(m1), None, None, None, None)
        return
    first = 0
    if progress is not None and progress.begun:
        first, m = progress.number, progress.m

    def steps(m):
        for t0, t1 in zip(times, times[1:]):
            count = 1 if dt is None else count_steps(t0, t1, dt, max_steps)
            for number in range(first, count):
                begin, end = (t0 + (t1 - t0) * n / count for n in (number, number + 1))
                before, m = m, _advance(solver, system, start, unit, begin, end, m)
                again = functools.partial(_again, make, start, unit, begin, end) if can_repeat(name) else None
                yield Step(begin, end, before, m, None, None, None, again)

    def require(step):
        require_finite(system, step.end, step.dt, step.m1, step.m1, step.m0)

    yield from finite_steps(steps(m), burst(m, m, progress), require, progress)


def _advance(solver, system, start, unit, t, end, m):
    scaled = [
        torch.tensor((x - start) / unit, dtype=torch.float64) for x in (t, end)
    ]  # on the CPU, where they can be read at once
    change, _ = solver._step_func(_Rate(system, start, unit), scaled[0], scaled[1] - scaled[0], scaled[1], m)
    return system.project(m + change)


def _again(make, start, unit, t, end, system, m, dense=True):
    m1 = _advance(make(_Rate(system, start, unit), m), system, start, unit, t, end, m)
    return Step(t, end, m, m1, None, None, None, None)


class _Rate:
    """The rate in scaled time with the signature that torchdiffeq's solvers call."""

    def __init__(self, system: System, start: float, unit: float):
        self.system, self.start, self.unit = system, start, unit

    def __call__(self, t, m, *, perturb=None):
        return self.system.rate(self.start + self.unit * instant(t, m), m) * self.unit

    def callback_step(self, t, m, dt):
        """torchdiffeq calls this before each step."""


def _options(name):
    return {"solver": "LSODA"} if name == "scipy_solver" else {}
