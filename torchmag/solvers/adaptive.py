"""Runge-Kutta steps under error control, a step size for each sample of a batch."""

import functools
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmag.errors import DivergedWarning, IntegrationError, MaxStepsError, StepSizeError
from torchmag.solvers.bursts import burst
from torchmag.solvers.crowd import Crowd, finite
from torchmag.solvers.progress import Progress
from torchmag.solvers.stepper import Step, System, not_finite, positive, require_finite, spread
from torchmag.solvers.tableau import Tableau

SAFETY, SHRINK, GROW = 0.9, 0.2, 5.0
# Shortest step, as a part of the interval.
SHORTEST = 1e-12


@dataclass
class Controller:
    """What step size control remembers; handed to the next call, it goes on as if nothing had ended.

    Attributes:
        dt: the step to try next, s, float64, 0-d or (*samples); None before the first.
        error: size of the last accepted step's error relative to the tolerance, likewise.
    """

    dt: Tensor | None = None
    error: Tensor | None = None

    def update(self, tableau: Tableau, tried: Tensor, ratio: Tensor, took: Tensor, active: Tensor, everyone: bool) -> None:
        """The next step: after an accepted one by PI control (Hairer, Norsett, Wanner, Solving ODEs II, Sec. IV.2), which damps
        the oscillation at the stability limit.  A step cut short (by the end of the interval, or a time that a drive wants met) does not shrink the next one.
        `everyone`: whether all samples took theirs.
        """
        exponent = 1 / tableau.order
        factor = SAFETY * ratio.clamp(min=1e-10) ** (-0.7 * exponent) * self.error ** (0.4 * exponent)
        longer = tried * factor.clamp(SHRINK, GROW)
        longer = torch.where(tried < (1 - 1e-6) * self.dt, torch.maximum(longer, self.dt), longer)
        if everyone:
            self.dt, self.error = longer, ratio.clamp(min=1e-4)
            return
        too_long = torch.isfinite(ratio) & (ratio > 1)
        shorter = tried * torch.where(too_long, (SAFETY * ratio**-exponent).clamp(min=SHRINK), 0.1)
        self.dt = torch.where(took, longer, torch.where(active, shorter, self.dt))
        self.error = torch.where(took, ratio.clamp(min=1e-4), self.error)


def adaptive_steps(
    system: System,
    tableau: Tableau,
    t0: float,
    t1: float,
    m: Tensor,
    *,
    max_steps: int,
    controller: Controller | None = None,
    stop: Callable[[Step], Tensor] | None = None,
    progress: Progress | None = None,
):
    """Yield accepted steps from t0 until every sample has reached t1, or `stop(step)`, bool (*samples), holds for it.

    A sample of a batch that cannot go on stays where it is, with a DivergedWarning; the others go on.  A progress that has
    begun takes the place of m, one that knows a step size that of the controller.

    Raises:
        NonFiniteError, StepSizeError: when no sample can go on.
        MaxStepsError.
    """
    begun = progress is not None and progress.begun
    if progress is not None and progress.dt is not None:
        controller = Controller(progress.dt, progress.error)
    m = progress.m if begun else m
    k = progress.k if begun else system.rate(t0, m)
    require_finite(system, t0, math.nan, m, k)
    with torch.no_grad():
        still, rate = m.detach(), k.detach()
        samples = system.error(rate, still, still)
        control = _start(controller, samples, lambda: first_step(system, tableau, t0, t1 - t0, still, rate))
        t = torch.full_like(samples, t0, dtype=torch.float64)
        active, lost = torch.ones_like(t, dtype=torch.bool), torch.zeros_like(t, dtype=torch.bool)
    if begun:
        t, active, lost = progress.t, progress.active, progress.lost
    state = _State(t, m, k, active, lost)
    crowd, most, made = Crowd(system, tableau), burst(m, k, progress), 0
    if not crowd.follow(active):
        return
    size = 1
    while made < max_steps:
        size = min(size, max_steps - made)
        made += size
        attempts = [_attempt(crowd, control, state, t0, t1, stop, asks=size == 1) for _ in range(size)]
        attempts, count, left = _known(attempts, state, control, t1, most)
        for attempt in attempts:
            if attempt.lose is not None:
                attempt.lose()
            if attempt.step is not None:
                if progress is not None:
                    progress.take(**vars(state), dt=control.dt, error=control.error)
                yield attempt.step
        if not crowd.follow(state.active, count):
            return
        if most > 1:
            # No more than are needed, as far as can be told.
            size = max(1, min(most, math.ceil(min(left, most))))
    t, active = state.t, state.active
    behind = float(t[active].min())
    dt = float(control.dt[active].min())
    raise MaxStepsError(
        f"max_steps = {max_steps} used up at t = {behind:.6g} s with dt = {dt:.3g} s, before {t1:.6g} s; "
        f"raise max_steps or loosen rtol and atol", behind, dt,
    )  # fmt: skip


@dataclass
class _State:
    """Where all samples are, see `Progress`."""

    t: Tensor
    m: Tensor
    k: Tensor
    active: Tensor
    lost: Tensor


@dataclass
class _Attempt:
    """What came of trying a step.

    Attributes:
        step: None if nobody made it, or not yet known.
        stuck: samples that cannot go on, bool; None if all made the step.
        lose: says so; None if there is nothing to say.
    """

    step: Step | None
    stuck: Tensor | None
    lose: Callable[[], None] | None


def _attempt(crowd, control, state, t0, t1, stop, asks) -> _Attempt:
    """Try a step, and go on from what came of it.  If it `asks`, the attempt is known, else the host waits for nothing."""
    system, t, active = crowd.system, state.t, state.active
    dt = control.dt if system.reach is None else torch.minimum(control.dt, system.reach(t))
    last = t + dt * (1 + 1e-9) >= t1
    end = torch.where(active, torch.where(last, t1, t + dt), t)
    step, ratio, took = crowd.attempt(t, end, state.m, state.k, active, asks)
    everyone = step.took is None
    control.update(crowd.tableau, end - t, ratio, took, active, everyone)
    moved = everyone or not asks or bool(took.any())
    if moved:
        state.t, state.m, state.k = step.end, step.m1, step.k1
    active = active & ~(took & last)
    if stop is not None:
        active = active & ~(took & stop(step))
    stuck = lose = None
    if not everyone:
        shortest = SHORTEST * (t1 - t0 if t1 < math.inf else 0.0)
        stuck = active & ~took & ((state.t + control.dt <= state.t) | (control.dt < shortest))
        if not asks or bool(stuck.any()):
            state.lost, active = state.lost | stuck, active & ~stuck
            lose = functools.partial(_lose, system, state.t, end, state.m, control.dt, stuck, state.lost)
    state.active = active
    return _Attempt(step if moved else None, stuck, lose)


def _known(attempts: list[_Attempt], state: _State, control: Controller, t1: float, most: int):
    """The attempts, how many samples are active now, and how many steps they have left: what the device knows, asked once."""
    active = state.active
    if most == 1:
        return attempts, int(active.sum()), 1.0
    left = torch.where(active, (t1 - state.t) / control.dt, 0.0)
    now = torch.stack((active.double(), left))
    if len(attempts) == 1:
        count, left = torch.stack((now[0].sum(), now[1].max())).tolist()
        return attempts, int(count), left
    rows = [torch.stack((a.step.t, a.step.end, a.step.took.double(), a.stuck.double())) for a in attempts]
    *rows, now = torch.stack([*rows, torch.cat((now, now))]).reshape(len(rows) + 1, 4, -1).tolist()
    return map(_asked, attempts, rows), int(sum(now[0])), max(now[1])


def _asked(attempt, row):
    starts, ends, took, stuck = row
    known = starts, ends, [bool(x) for x in took]
    return replace(
        attempt, step=replace(attempt.step, known=known) if any(took) else None, lose=attempt.lose if any(stuck) else None
    )


def _start(controller, samples, first):
    """The controller, with numbers for each sample."""
    control = controller or Controller()
    control.dt = first() if control.dt is None else control.dt.expand(samples.shape)
    control.error = torch.full_like(control.dt, 1e-4) if control.error is None else control.error.expand(samples.shape)
    return control


def first_step(system: System, tableau: Tableau, t: float, span: float, m: Tensor, k: Tensor) -> Tensor:
    """A starting step whose error should be a tenth of the tolerance.

    The error of order p + 1 is guessed as dt |m'| (dt w)^p with w = |m''| / |m'| from a short Euler step; free of units,
    unlike the usual rule.
    """
    rate = system.error(k, m, m).double()
    known = (rate > 0) & torch.isfinite(rate)
    rate = torch.where(known, rate, 1 / span)
    dt = (1 / rate).clamp(max=span)
    # The same instant for all, so that drives are evaluated once: their change over these times counts, not their value.
    later = t + float(dt.min())
    change = system.rate(later, system.project(m + spread(dt, m) * k)).detach() - k
    w = system.error(change, m, m).double() / (rate * dt)
    guess = (0.1 / (rate * positive(w) ** tableau.order)) ** (1 / (tableau.order + 1))
    dt = torch.where((w > 0) & torch.isfinite(w), guess, 100 * dt).clamp(max=span)
    return torch.where(known, dt, torch.full_like(dt, span))


def _lose(system, t, end, m, step_sizes, stuck, lost):
    """Say why samples cannot go on: an error if none can, else a warning."""
    where, dt = float(t[stuck].min()), float(step_sizes[stuck].min())
    with torch.no_grad():
        rate = system.rate(end, m)
        if bool((stuck & ~finite(rate, t.ndim)).any()):
            error: IntegrationError = not_finite(system.diagnose(end, m), float(end[stuck].min()), dt)
        else:
            error = StepSizeError(
                f"step size fell to {dt:.3g} s at t = {where:.6g} s: the rate changes faster than time resolves; "
                f"loosen rtol and atol, or look for a jump in a time-dependent parameter", where, dt,
            )  # fmt: skip
    if bool(lost.all()):
        raise error
    names = ", ".join(str(tuple(index)) for index in stuck.nonzero().tolist())
    warnings.warn(
        f"sample {names} of the batch ends at t = {where:.6g} s, from where on its states are NaN; the others go on.  {error}",
        DivergedWarning,
        stacklevel=2,
    )
