"""One Runge-Kutta step as a pure map, and the control of its size."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmag.errors import MaxStepsError, NonFiniteError, StepSizeError
from torchmag.solvers.tableau import Tableau

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0


@dataclass(frozen=True)
class System:
    """What is integrated.

    Attributes:
        function: (t, m, values) -> dm/dt, t in s as a float; pure.
        project: m -> m on its manifold.
        error: (error, m0, m1) -> size of a step's error relative to the tolerance, 0-d; accepted up to 1.
        diagnose: (t, m) -> name of what is not finite there, or None.
        values: the parameters.
    """

    function: Callable[[float, Tensor, Any], Tensor]
    project: Callable[[Tensor], Tensor]
    error: Callable[[Tensor, Tensor, Tensor], Tensor]
    diagnose: Callable[[float, Tensor], str | None]
    values: Any = None

    def rate(self, t: float, m: Tensor) -> Tensor:
        """dm/dt at the system's values."""
        return self.function(t, m, self.values)


@dataclass(frozen=True)
class Step:
    """An accepted step from t to `end`: states and rates at both ends, the state before projection at the middle.

    `again(system, m, dense=True)` is the same step, its times fixed, as a pure map of the state and the system's values; None
    for a method that has a memory of its own.  Without `dense`, and of a method without dense output, it has m1 alone.
    """

    t: float
    end: float
    m0: Tensor
    m1: Tensor
    k0: Tensor | None
    k1: Tensor | None
    middle: Tensor | None
    again: Callable[..., "Step"] | None

    @property
    def dt(self) -> float:
        """Its length, s."""
        return self.end - self.t

    def ends_at(self, t: float) -> bool:
        """Whether t is its end: to 1e-9 of the step, or to rounding of the time."""
        return abs(t - self.end) <= 1e-9 * self.dt + 1e-15 * abs(t)

    def reaches(self, times: Sequence[float], first: int) -> range:
        """Positions of the times up to its end, from `first` on."""
        last = first
        while last < len(times) and (times[last] < self.end or self.ends_at(times[last])):
            last += 1
        return range(first, last)

    def at(self, t: float, system: System) -> Tensor:
        """The state at a time within it."""
        return self.m1 if self.ends_at(t) else system.project(self.interpolate(t))

    def interpolate(self, t: float) -> Tensor:
        """The quartic through both ends, their rates and the middle (fourth order where the middle is)."""
        x = (t - self.t) / self.dt
        d = self.m1 - self.m0
        f0, f1, dm = self.dt * self.k0, self.dt * self.k1, self.middle - self.m0
        c2 = 16 * dm - 5 * d - 4 * f0 + f1
        c3 = -32 * dm + 14 * d + 5 * f0 - 3 * f1
        c4 = 16 * dm - 8 * d - 2 * f0 + 2 * f1
        return self.m0 + x * (f0 + x * (c2 + x * (c3 + x * c4)))


@dataclass
class Controller:
    """What step size control remembers; handed to the next call, it goes on as if nothing had ended.

    Attributes:
        dt: the step to try next, s; None before the first.
        error: size of the last accepted step's error relative to the tolerance.
    """

    dt: float | None = None
    error: float = 1e-4

    def accept(self, tableau: Tableau, tried: float, ratio: float) -> None:
        """The next step by PI control (Hairer, Norsett, Wanner, Solving ODEs II, Sec. IV.2), which damps the oscillation at the
        stability limit.  A step cut short by the end of the interval does not shrink the next one.
        """
        exponent = 1 / tableau.order
        factor = SAFETY * max(ratio, 1e-10) ** (-0.7 * exponent) * self.error ** (0.4 * exponent)
        cut = tried < (1 - 1e-6) * self.dt
        following = tried * min(GROW, max(SHRINK, factor))
        self.dt = max(following, self.dt) if cut else following
        self.error = max(ratio, 1e-4)

    def reject(self, tableau: Tableau, tried: float, ratio: float) -> None:
        """A shorter step."""
        too_long = math.isfinite(ratio) and ratio > 1
        self.dt = tried * (max(SHRINK, SAFETY * ratio ** (-1 / tableau.order)) if too_long else 0.1)


def advance(system: System, tableau: Tableau, t: float, end: float, m: Tensor, k: Tensor) -> tuple[Step, Tensor]:
    """One step: the stages, the projected new state, the rate there (first of the next step), and the error estimate.

    A pure map of (m, t, end, k, system.values), k being the rate at (t, m).
    """
    m1, stages = _stages(system, tableau, t, end, m, k)
    stages.append(system.rate(end, m1))
    middle = combine(m, end - t, tableau.mid, stages)
    again = functools.partial(_again, tableau, t, end)
    return Step(t, end, m, m1, k, stages[-1], middle, again), combine(None, end - t, tableau.e, stages)


def _again(tableau, t, end, system, m, dense=True):
    k = system.rate(t, m)
    if dense:
        return advance(system, tableau, t, end, m, k)[0]
    return Step(t, end, m, _stages(system, tableau, t, end, m, k)[0], None, None, None, None)


def _stages(system, tableau, t, end, m, k):
    """The new state and the rates that lead to it."""
    dt, stages = end - t, [k]
    for c, row in zip(tableau.c[1:], tableau.a):
        stages.append(system.rate(t + c * dt, combine(m, dt, row, stages)))
    return system.project(combine(m, dt, tableau.b, stages)), stages


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
    system: System, tableau: Tableau, t0: float, t1: float, m: Tensor, *, max_steps: int, controller: Controller | None = None
):
    """Yield accepted steps from t0 until t1 is reached.

    Raises:
        NonFiniteError, StepSizeError, MaxStepsError.
    """
    control = controller or Controller()
    t, k = t0, system.rate(t0, m)
    require_finite(system, t, math.nan, m, k)
    control.dt = control.dt or first_step(system, tableau, t0, t1 - t0, m, k)
    for _ in range(max_steps):
        last = t + control.dt * (1 + 1e-9) >= t1
        end = t1 if last else t + control.dt
        step, error = advance(system, tableau, t, end, m, k)
        with torch.no_grad():
            ratio = float(system.error(error, m, step.m1))
        if ratio <= 1 and bool(torch.isfinite(step.k1).all()):
            control.accept(tableau, step.dt, ratio)
            t, m, k = end, step.m1, step.k1
            yield step
            if last:
                return
        else:
            control.reject(tableau, step.dt, ratio)
            if t + control.dt <= t or (t1 < math.inf and control.dt < 1e-12 * (t1 - t0)):
                require_finite(system, end, control.dt, m, system.rate(end, m))
                raise StepSizeError(
                    f"step size fell to {control.dt:.3g} s at t = {t:.6g} s: the rate changes faster than time resolves; "
                    f"loosen rtol and atol, or look for a jump in a time-dependent parameter", t, control.dt,
                )  # fmt: skip
    raise MaxStepsError(
        f"max_steps = {max_steps} used up at t = {t:.6g} s with dt = {control.dt:.3g} s, before {t1:.6g} s; "
        f"raise max_steps or loosen rtol and atol", t, control.dt,
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
        step, _ = advance(system, tableau, start, end, m, k)
        require_finite(system, end, end - start, step.m1, step.k1, m)
        m, k = step.m1, step.k1
        yield step
