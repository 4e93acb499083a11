"""Heun's method: of second order without noise, and with it convergent to the Stratonovich solution.

The stochastic LLG equation is one in the sense of Stratonovich (Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998)).  The
noise of a step is the same in both stages, so that its dependence on m, T(t) or alpha(m) counts at both ends of the step.
"""

import functools
import itertools
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from torchmag import layout
from torchmag.llg import LLG
from torchmag.parameters import Values
from torchmag.solvers.bursts import burst, finite_steps
from torchmag.solvers.fixed import count_steps
from torchmag.solvers.progress import Progress
from torchmag.solvers.stepper import Step, System, require_finite
from torchmag.thermal import ThermalField

# Small noise is made for several steps at once: below this many numbers a step, calls cost more than arithmetic.
CHUNK = 2**16


def heun_steps(
    llg: LLG, system: System, times: list[float], m: Tensor, step: float, max_steps: int, progress: Progress | None = None
):
    """Yield steps of at most `step` that divide each interval between the times evenly, with the noise of llg.temperature.

    With a progress, one interval.
    """
    thermal, made = llg.temperature, 0
    if progress is not None and progress.begun:
        made, m = progress.number, progress.m
    for t0, t1 in zip(times, times[1:]):
        count = count_steps(t0, t1, step, max_steps)
        # The step as given where it fits to rounding, so that a run in pieces makes the very same steps.
        dt = step if abs((t1 - t0) / step - count) < 1e-9 * count else (t1 - t0) / count
        first = 0 if thermal is None else int(thermal.steps)
        ends = [(t0 + (t1 - t0) * n / count if n < count else t1) for n in range(made, count + 1)]
        steps = _steps(system, thermal, ends, dt, m, first)
        require = functools.partial(_require, _at_both_ends(system, dt), dt)
        for accepted in finite_steps(steps, burst(m, m, progress), require, progress):
            if thermal is not None:
                thermal.steps.add_(1)
            m = accepted.m1
            yield accepted


def _steps(system, thermal, ends, dt, m, first):
    """Steps between the ends, the first of which has this number in the noise."""
    noises = _noise(thermal, m, dt, len(ends) - 1)
    for number, (start, end, noise) in enumerate(zip(ends, ends[1:], noises), first):
        again = functools.partial(_again, start, end, dt, thermal, number)
        before, m = m, advance(_with_noise(system, noise), start, dt, m)
        yield Step(start, end, before, m, None, None, None, again)


def _require(system, dt, step):
    require_finite(system, step.t, dt, step.m0, step.m1)


def _at_both_ends(system, dt):
    """The system, with a diagnosis that also looks at the end of the step, where a drive may have failed."""
    return replace(system, diagnose=lambda t, m: system.diagnose(t, m) or system.diagnose(t + dt, m))


def advance(system: System, t: float, dt: float, m: Tensor) -> Tensor:
    """One step: predictor, corrector, projection."""
    k0 = system.rate(t, m)
    k1 = system.rate(t + dt, torch.add(m, k0, alpha=dt))
    return system.project(torch.add(m, k0 + k1, alpha=0.5 * dt))


def _again(t, end, dt, thermal, number, system, m, dense=True):
    """The step with the noise of its number."""
    noise = None if thermal is None else thermal.noise(_batch(m, thermal), dt, number)[0]
    m1 = advance(_with_noise(system, noise), t, dt, m)
    return Step(t, end, m, m1, None, None, None, None)


def with_noise(values: Values, noise: Tensor) -> Values:
    """Values of an LLG that holds white noise, (*batch, 3, *nodes) in s^-1/2, in its temperature."""
    return values | {"temperature": values["temperature"] | {"noise": noise}}


def without_noise(llg: LLG, values: Values, m0: Tensor) -> Values:
    """Values with noise of zero, which gives rates the batch of the seeds and lets a diagnosis see the thermal field."""
    if llg.temperature is None:
        return values
    llg.temperature.broadcast(_batch(m0, llg.temperature))
    return with_noise(values, m0.new_zeros((*llg.temperature.seed.shape, 3, *llg.mesh.nodes)))


def _with_noise(system, noise):
    return system if noise is None else replace(system, values=with_noise(system.values, noise))


def _batch(m, thermal):
    return m.shape[: layout.component_dim(thermal.mesh)]


def _noise(thermal: ThermalField | None, m: Tensor, dt: float, count: int) -> Iterator[Tensor | None]:
    """The noise of the next `count` steps, one by one."""
    if thermal is None:
        yield from itertools.repeat(None, count)
        return
    first, chunk = int(thermal.steps), max(1, CHUNK // m.numel())
    for start in range(0, count, chunk):
        yield from thermal.noise(_batch(m, thermal), dt, first + start, min(chunk, count - start))
