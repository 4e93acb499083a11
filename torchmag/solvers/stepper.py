"""One Runge-Kutta step as a pure map."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchmag.errors import NonFiniteError
from torchmag.samples import Samples
from torchmag.solvers.compilation import Later
from torchmag.solvers.tableau import Tableau

# Times and step sizes are numbers, or float64 tensors (*samples) with one for each sample of a batch.
Time = float | Tensor


@dataclass(frozen=True)
class System:
    """What is integrated.

    Attributes:
        function: (t, m, values) -> dm/dt, t in s, one or (*samples); pure.
        project: m -> m on its manifold.
        error: (error, m0, m1) -> size of a step's error relative to the tolerance, accepted up to 1: 0-d for a common step, or
            (*samples) for one step each.
        diagnose: (t, m) -> name of what is not finite there, or None.
        values: the parameters.
        part: (system, samples) -> the system of some samples alone, not compiled; None if they must stay together.
        share: part of a batch that may be under way when the others first leave it.
        stage: (t, m, h, weights, stages, end, values) -> (state, rate) in one compiled graph, for use without a tape; None if
            nothing is compiled.  The state is m + h sum_i w_i k_i, projected where `end` holds.
        whole: (tableau, t, dt, m, k, values) -> (m1, k1, error, middle), a step in one compiled graph, likewise.
        later: in place of `stage`, what becomes one on the way.
        reach: t (*samples) -> the longest that a step from there may be, under step control; None for any length.
        replay: gives what becomes a compiled `function` on the way, for steps made once more with a tape; None if nothing does.
        tapes: takes rates with a tape in place of `stage` as long as it is `open`; None if that is not wanted.
    """

    function: Callable[[Time, Tensor, Any], Tensor]
    project: Callable[[Tensor], Tensor]
    error: Callable[[Tensor, Tensor, Tensor], Tensor]
    diagnose: Callable[[Time, Tensor], str | None]
    values: Any = None
    stage: Callable[..., tuple[Tensor, Tensor]] | None = None
    whole: Callable[..., tuple[Tensor, ...]] | None = None
    part: Callable[["System", Samples], "System"] | None = None
    share: float = 1.0
    later: Later | None = None
    reach: Callable[[Tensor], Tensor] | None = None
    replay: Callable[[], Later] | None = None
    tapes: Any = None

    def of(self, samples: Samples) -> "System":
        """That of some samples, at the same values."""
        return self.part(self, samples)

    def rate(self, t: Time, m: Tensor) -> Tensor:
        """dm/dt at the system's values."""
        if (stage := self._compiled_stage()) is not None:
            return stage(t, m, 0.0, (), (), False, self.values)[1]
        return self.function(t, m, self.values)

    def _compiled_stage(self):
        if torch.is_grad_enabled():
            return None
        if self.tapes is not None and self.tapes.open:
            return self.tapes.stage
        return self.stage if self.later is None else self.later.function

    def staged(self, t: Time, m: Tensor, h: float | Tensor, weights, stages, end: bool = False) -> tuple[Tensor, Tensor]:
        """The state m + h sum_i w_i k_i, projected at the end of a step, and the rate there."""
        if (stage := self._compiled_stage()) is not None:
            return stage(t, m, h, weights, stages, end, self.values)
        state = combine(m, h, weights, stages)
        state = self.project(state) if end else state
        return state, self.rate(t, state)


@dataclass(frozen=True)
class Step:
    """A step from t to `end`: states and rates at both ends, the state before projection at the middle (or what gives it).

    `took` are the samples that made it, None if all did; of the others both ends are the same.  `known` is (t, end, took) as lists
    of numbers, if the host has them.

    `again(system, m, dense=True)` is the same step, its times fixed, as a pure map of the state and the system's values; None
    for a method that has a memory of its own.  Without `dense`, and of a method without dense output, it has m1 alone.
    """

    t: Time
    end: Time
    m0: Tensor
    m1: Tensor
    k0: Tensor | None
    k1: Tensor | None
    middle: Tensor | Callable[[], Tensor] | None
    again: Callable[..., "Step"] | None
    took: Tensor | None = None
    known: tuple[list, list, list] | None = None

    @property
    def dt(self) -> Time:
        """Its length, s."""
        return self.end - self.t

    def clock(self) -> tuple[list[float], list[float], list[bool]]:
        """Of each sample, where it starts and ends, and whether it is made."""
        if self.known is not None:
            return self.known
        starts, ends = (x.reshape(-1).tolist() if isinstance(x, Tensor) else [x] for x in (self.t, self.end))
        return starts, ends, [True] * len(ends) if self.took is None else self.took.reshape(-1).tolist()

    def halfway(self) -> Tensor | None:
        """The state before projection at the middle; None of a method without dense output."""
        return self.middle() if callable(self.middle) else self.middle

    def at(self, t: float, system: System) -> Tensor:
        """The state at a time within it."""
        x, dt = spread((t - self.t) / positive(self.dt), self.m0), spread(self.dt, self.m0)
        inside = system.project(self._interpolate(x, dt))
        if not isinstance(self.end, Tensor) or not self.end.ndim:
            return inside
        return torch.where(spread(is_end(t, self.t, self.end), self.m0), self.m1, inside)

    def _interpolate(self, x, dt):
        """The quartic through both ends, their rates and the middle (fourth order where the middle is)."""
        d = self.m1 - self.m0
        f0, f1, dm = dt * self.k0, dt * self.k1, self.halfway() - self.m0
        c2 = 16 * dm - 5 * d - 4 * f0 + f1
        c3 = -32 * dm + 14 * d + 5 * f0 - 3 * f1
        c4 = 16 * dm - 8 * d - 2 * f0 + 2 * f1
        return self.m0 + x * (f0 + x * (c2 + x * (c3 + x * c4)))


def is_end(t: float, start: Time, end: Time):
    """Whether t is the end of a step: to 1e-9 of the step, or to rounding of the time."""
    return abs(t - end) <= 1e-9 * (end - start) + 1e-15 * abs(t)


def advance(system: System, tableau: Tableau, t: Time, end: Time, m: Tensor, k: Tensor) -> tuple[Step, Tensor]:
    """One step: the stages, the projected new state, the rate there (first of the next step), and the error estimate.

    A pure map of (m, t, end, k, system.values), k being the rate at (t, m).
    """
    again = functools.partial(_again, tableau, t, end, None)
    if system.whole is not None and not torch.is_grad_enabled():
        m1, k1, error, middle = system.whole(tableau, t, end - t, m, k, system.values)
        return Step(t, end, m, m1, k, k1, middle, again), error
    dt, stages = end - t, stages_of(system.staged, tableau, t, end - t, m, k)
    h = spread(dt, m)
    m1, k1 = system.staged(end, m, h, tableau.b, stages, True)
    stages.append(k1)
    middle = functools.partial(combine, m, h, tableau.mid, stages)
    return Step(t, end, m, m1, k, k1, middle, again), combine(None, h, tableau.e, stages)


def partial_step(step: Step, tableau: Tableau, took: Tensor) -> Step:
    """A step that some samples made, the others stay where they were."""
    end, made = torch.where(took, step.end, step.t), spread(took, step.m0)
    m1, k1 = torch.where(made, step.m1, step.m0), torch.where(made, step.k1, step.k0)
    again = functools.partial(_again, tableau, step.t, end, took)
    return Step(step.t, end, step.m0, m1, step.k0, k1, step.middle, again, took)


def _again(tableau, t, end, took, system, m, dense=True):
    k = system.rate(t, m)
    if dense:
        step = advance(system, tableau, t, end, m, k)[0]
    else:
        stages = stages_of(system.staged, tableau, t, end - t, m, k)
        step = Step(t, end, m, system.project(combine(m, spread(end - t, m), tableau.b, stages)), k, k, None, None)
    return step if took is None else partial_step(step, tableau, took)


def stages_of(staged: Callable, tableau: Tableau, t: Time, dt: Time, m: Tensor, k: Tensor) -> list[Tensor]:
    """The rates that lead to the new state; `staged` is `System.staged`."""
    h, stages = spread(dt, m), [k]
    for c, row in zip(tableau.c[1:], tableau.a):
        stages.append(staged(t + c * dt, m, h, row, stages)[1])
    return stages


def combine(m: Tensor | None, h: float | Tensor, weights, stages) -> Tensor:
    """m + h sum_i w_i k_i."""
    total = m
    for weight, stage in zip(weights, stages):
        if weight:
            if total is None:
                total = stage * (h * weight)
            elif isinstance(h, Tensor):
                total = torch.addcmul(total, stage, h, value=weight)
            else:
                total = torch.add(total, stage, alpha=h * weight)
    return total


def spread(x, m: Tensor):
    """Numbers per sample, against the axes of m."""
    if not isinstance(x, Tensor):
        return x
    return x.to(x.dtype if x.dtype == torch.bool else m.dtype).reshape(*x.shape, *(1,) * (m.ndim - x.ndim))


def positive(dt: Time) -> Time:
    """Step sizes to divide by: 1 in place of 0, where a sample made no step."""
    return torch.where(dt > 0, dt, 1) if isinstance(dt, Tensor) else dt


def require_finite(system: System, t: Time, dt: float, m: Tensor, k: Tensor, before: Tensor | None = None) -> None:
    """Raise a NonFiniteError that names the term at fault unless m and its rate are finite.

    `before` is the state that the step started from: of an m that is not finite, every term is not finite.
    """
    if bool(torch.isfinite(m).all()) and bool(torch.isfinite(k).all()):
        return
    with torch.no_grad():
        term = system.diagnose(t, m if before is None else before)
    raise not_finite(term, float(t if not isinstance(t, Tensor) else t.min()), dt)


def not_finite(term: str | None, t: float, dt: float) -> NonFiniteError:
    """The error for a rate that is not finite."""
    return NonFiniteError(f"not finite: {term or 'the magnetisation'} at t = {t:.6g} s (dt = {dt:.3g} s)", t, dt, term)
