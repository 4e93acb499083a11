"""One Runge-Kutta step as a pure map, and the control of its size."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.errors import MaxStepsError, NonFiniteError, StepSizeError
from torchmag.solvers.tableau import Tableau

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0


@dataclass(frozen=True)
class System:
    """What is integrated.

    Attributes:
        rate: (t, m) -> dm/dt, t in s as a float.
        project: m -> m on its manifold.
        error: (error, m0, m1) -> size of a step's error relative to the tolerance, 0-d; accepted up to 1.
        diagnose: (t, m) -> name of what is not finite there, or None.
    """

    rate: Callable[[float, Tensor], Tensor]
    project: Callable[[Tensor], Tensor]
    error: Callable[[Tensor, Tensor, Tensor], Tensor]
    diagnose: Callable[[float, Tensor], str | None]


@dataclass(frozen=True)
class Step:
    """An accepted step from t to t + dt: states and rates at both ends, the state before projection at the middle."""

    t: float
    dt: float
    m0: Tensor
    m1: Tensor
    k0: Tensor
    k1: Tensor
    middle: Tensor | None

    def interpolate(self, t: float) -> Tensor:
        """The quartic through both ends, their rates and the middle (fourth order where the middle is)."""
        x = (t - self.t) / self.dt
        d = self.m1 - self.m0
        f0, f1, dm = self.dt * self.k0, self.dt * self.k1, self.middle - self.m0
        c2 = 16 * dm - 5 * d - 4 * f0 + f1
        c3 = -32 * dm + 14 * d + 5 * f0 - 3 * f1
        c4 = 16 * dm - 8 * d - 2 * f0 + 2 * f1
        return self.m0 + x * (f0 + x * (c2 + x * (c3 + x * c4)))


def advance(system: System, tableau: Tableau, t: float, dt: float, m: Tensor, k: Tensor) -> tuple[Step, Tensor]:
    """One step: the stages, the projected new state, the rate there (first of the next step), and the error estimate."""
    stages = [k]
    for c, row in zip(tableau.c[1:], tableau.a):
        stages.append(system.rate(t + c * dt, combine(m, dt, row, stages)))
    m1 = system.project(combine(m, dt, tableau.b, stages))
    stages.append(system.rate(t + dt, m1))
    error = combine(None, dt, tableau.e, stages)
    return Step(t, dt, m, m1, k, stages[-1], combine(m, dt, tableau.mid, stages)), error


def combine(m: Tensor | None, dt: float, weights, stages) -> Tensor:
    """m + dt sum_i w_i k_i."""
    total = m
    for weight, stage in zip(weights, stages):
        if weight:
            total = stage * (dt * weight) if total is None else torch.add(total, stage, alpha=dt * weight)
    return total


def first_step(system: System, tableau: Tableau, t: float, span: float, m: Tensor, k: Tensor) -> float:
    """A starting step whose error should be a tenth of the tolerance.

    The error of order p + 1 is guessed as dt |m'| (dt w)^p with w = |m''| / |m'| from a short Euler step; free of units,
    unlike the usual rule.
    """
    with torch.no_grad():
        rate = float(system.error(k, m, m))
        if not 0 < rate < math.inf:
            return span
        dt = min(1 / rate, span)
        change = system.rate(t + dt, system.project(m + dt * k)) - k
        w = float(system.error(change, m, m)) / (rate * dt)
    if not 0 < w < math.inf:
        return min(100 * dt, span)
    return min((0.1 / (rate * w**tableau.order)) ** (1 / (tableau.order + 1)), span)


def adaptive_steps(
    system: System, tableau: Tableau, t0: float, t1: float, m: Tensor, *, max_steps: int, first: float | None = None
):
    """Yield accepted steps from t0 until t1 is reached.

    Raises:
        NonFiniteError, StepSizeError, MaxStepsError.
    """
    t, k = t0, system.rate(t0, m)
    require_finite(system, t, math.nan, m, k)
    dt = first or first_step(system, tableau, t0, t1 - t0, m, k)
    exponent, last_error = 1 / tableau.order, 1e-4
    for _ in range(max_steps):
        last = t + dt * (1 + 1e-9) >= t1
        tried = t1 - t if last else dt
        step, error = advance(system, tableau, t, tried, m, k)
        with torch.no_grad():
            ratio = float(system.error(error, m, step.m1))
        if ratio <= 1 and bool(torch.isfinite(step.k1).all()):
            # PI control (Hairer, Norsett, Wanner, Solving ODEs II, Sec. IV.2) damps the oscillation at the stability limit.
            factor = SAFETY * max(ratio, 1e-10) ** (-0.7 * exponent) * last_error ** (0.4 * exponent)
            last_error = max(ratio, 1e-4)
            dt = tried * min(GROW, max(SHRINK, factor))
            t, m, k = (t1 if last else t + tried), step.m1, step.k1
            yield step
            if last:
                return
        else:
            dt = tried * (max(SHRINK, SAFETY * ratio**-exponent) if math.isfinite(ratio) and ratio > 1 else 0.1)
            if t + dt <= t or (t1 < math.inf and dt < 1e-12 * (t1 - t0)):
                require_finite(system, t + tried, dt, m, system.rate(t + tried, m))
                raise StepSizeError(
                    f"step size fell to {dt:.3g} s at t = {t:.6g} s: the rate changes faster than time resolves; "
                    f"loosen rtol and atol, or look for a jump in a time-dependent parameter", t, dt,
                )  # fmt: skip
    raise MaxStepsError(
        f"max_steps = {max_steps} used up at t = {t:.6g} s with dt = {dt:.3g} s, before {t1:.6g} s; raise max_steps or loosen rtol and atol",
        t, dt,
    )  # fmt: skip


def require_finite(system: System, t: float, dt: float, m: Tensor, k: Tensor, before: Tensor | None = None) -> None:
    """Raise a NonFiniteError that names the term at fault unless m and its rate are finite.

    `before` is the state that the step started from: of an m that is not finite, every term is not finite.
    """
    if bool(torch.isfinite(m).all()) and bool(torch.isfinite(k).all()):
        return
    with torch.no_grad():
        term = system.diagnose(t, m if before is None else before)
    raise NonFiniteError(f"not finite: {term or 'the magnetisation'} at t = {t:.6g} s (dt = {dt:.3g} s)", t, dt, term)


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


def fixed_steps(system: System, tableau: Tableau, t0: float, t1: float, m: Tensor, *, dt: float, max_steps: int):
    """Yield equal steps of at most dt from t0 to t1."""
    k = system.rate(t0, m)
    count = count_steps(t0, t1, dt, max_steps)
    for number in range(count):
        start, end = (t0 + (t1 - t0) * n / count for n in (number, number + 1))
        step, _ = advance(system, tableau, start, end - start, m, k)
        require_finite(system, end, end - start, step.m1, step.k1, m)
        m, k = step.m1, step.k1
        yield step
