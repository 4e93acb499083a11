"""Runge-Kutta steps of one size."""

import math

from torch import Tensor

from torchmag.errors import MaxStepsError
from torchmag.solvers.bursts import burst, finite_steps
from torchmag.solvers.progress import Progress
from torchmag.solvers.stepper import Step, System, advance, require_finite
from torchmag.solvers.tableau import Tableau


def fixed_steps(
    system: System,
    tableau: Tableau,
    times: list[float],
    m: Tensor,
    *,
    dt: float,
    max_steps: int,
    progress: Progress | None = None,
):
    """Yield steps of at most dt that divide each interval between the times evenly; with a progress, one interval."""
    first, k = 0, None
    if progress is not None and progress.begun:
        first, m, k = progress.number, progress.m, progress.k
    k = system.rate(times[0], m) if k is None else k

    def steps(m, k):
        for t0, t1 in zip(times, times[1:]):
            count = count_steps(t0, t1, dt, max_steps)
            for number in range(first, count):
                start, end = (t0 + (t1 - t0) * n / count if n < count else t1 for n in (number, number + 1))
                step, _ = advance(system, tableau, start, end, m, k)
                m, k = step.m1, step.k1
                yield step

    def require(step: Step):
        require_finite(system, step.end, step.dt, step.m1, step.k1, step.m0)

    yield from finite_steps(steps(m, k), burst(m, k, progress), require, progress)


def count_steps(t0: float, t1: float, step: float, max_steps: int) -> int:
    """How many equal steps of at most `step` lead from t0 to t1.

    Raises:
        MaxStepsError: more than max_steps.
    """
    count = max(1, math.ceil((t1 - t0) / step * (1 - 1e-12)))
    if count > max_steps:
        raise MaxStepsError(
            f"step = {step:.3g} s takes {count} steps from {t0:.6g} to {t1:.6g} s, max_steps is {max_steps}; raise one", t0, step
        )
    return count
