"""Time integration of the LLG equation."""

import functools
from collections.abc import Callable, Iterator, Mapping
from numbers import Real

import torch
from torch import Tensor

from torchmag.bar import Bar
from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.solvers.adaptive import adaptive_steps
from torchmag.solvers.adjoint import adjoint_solution
from torchmag.solvers.bosh3 import BOSH3
from torchmag.solvers.compilation import require_choice
from torchmag.solvers.dopri5 import DOPRI5
from torchmag.solvers.exact import Solution, make_path
from torchmag.solvers.fixed import fixed_steps
from torchmag.solvers.foreign import can_repeat, foreign_names, foreign_steps, foreign_tableau
from torchmag.solvers.gyro5 import GYRO5
from torchmag.solvers.heun import heun_steps, without_noise
from torchmag.solvers.outputs import Outputs
from torchmag.solvers.progress import Progress
from torchmag.solvers.resolution import warn_if_coarse
from torchmag.solvers.sources import every_tensor, is_transformed, leaves, require_finite_parameters, require_no_vmap, trainable
from torchmag.solvers.stepper import Step, System
from torchmag.solvers.system import as_count, llg_system, require_llg, require_unit_length
from torchmag.solvers.tsit5 import TSIT5

OWN = {tableau.name: tableau for tableau in (DOPRI5, GYRO5, TSIT5, BOSH3)}


class _Default(str):
    """The default of an option, which can be told from the same value given."""


def solve(
    llg: LLG,
    m0: Tensor,
    t,
    *,
    method: str = _Default("dopri5"),
    rtol: float = 1e-5,
    atol: float = 1e-5,
    step: float | None = None,
    max_steps: int = 1_000_000,
    gradient: str = "exact",
    memory: int | None = None,
    params: Mapping[str, Tensor] | None = None,
    callback: Callable[[float, float, Tensor], None] | None = None,
    check: bool = True,
    compile: str | bool = "auto",
    progress: bool | None = None,
) -> Tensor:
    """Integrate dm/dt = llg(t, m) and return m at the requested times.

    m has unit length at every accepted step and at every requested time; the projection is part of the map that is
    differentiated.  Time is kept in float64 whatever the dtype of m.

    An llg with a temperature takes fixed steps by the method "heun", its default; the noise goes on from call to call (see
    `ThermalField`).  Noise excites every mode: the step must resolve the fastest, gamma H step well below 1.

    Args:
        llg: the equation.
        m0: (*batch, 3, *nodes), of unit length inside the body; expanded to the batch of the parameters.
        t: requested times, s, at least two, increasing; m0 belongs to the first.
        method: "dopri5", "gyro5" (about half as many evaluations where fine cells limit the steps), "tsit5", "bosh3", "heun", or any
            method of torchdiffeq by its name.
        rtol, atol: tolerance of a step, rtol + atol: root mean square over the body of the length of its error in m.  Each
            sample of a batch has steps of its own.
        step: fixes the step, s (each interval between requested times is divided evenly into steps of at most this).
            "heun" needs it.  Other methods without step control take the requested times as their steps if it is not given.
        max_steps: raises a MaxStepsError beyond this many steps, rejected ones included; with `step`, beyond this many between
            two requested times.
        gradient: "exact": of the discrete solution, its step sizes held, by going through the accepted steps backwards.
            "adjoint": the continuous adjoint of torchdiffeq, with one of its methods; m is of unit length at the requested
            times only, and damping makes it wrong at long times, which is measured (see `check`).
        memory: bytes that a gradient may hold beside what is returned: the tapes of the first steps, as many as fit, some states of
            the others, which are made once more, and the tape of one step (see docs/gradients.md).  Default: 1 GiB, or what 64 states and one step need if that is more.  The Adams
            methods keep the tape of every step.
        check: with gradient="adjoint", whether a gradient that cannot be trusted is an error.
        params: values to use instead of the llg's, by full name (see `LLG.prepare`).
        callback: called after each accepted step with (t, dt, m), m without a graph where a gradient is to come; t and dt are
            tensors (*batch) where samples have steps of their own.
        compile: "auto": once runs of an equation have taken some seconds, and go on for longer than compiling takes, its stages are
            compiled and the run goes on with them, at the same numbers to rounding; said by the logger "torchmag".  True: from the
            start.  False: not, beyond what `llg.compile()` did.  With the variable TORCHMAG_COMPILE=0 "auto" is False.
        progress: a bar with what is left on standard error: True, False, or None: on a terminal, once two seconds have gone by.

    Returns:
        (len(t), *batch, 3, *nodes); the first entry is m0.
    Raises:
        ValueError, TypeError: bad arguments.
        NonFiniteError, StepSizeError, MaxStepsError: an integration that cannot go on, with t, dt and the term at fault.  A sample
            of a batch that cannot go on alone is NaN from there on, with a DivergedWarning that names it.
    Warns:
        ResolutionWarning: the cells are too large for m at the last time (see `max_angle`); once for a magnet, not with a temperature.
        RuntimeWarning: compiling failed; the run goes on without.
    """
    require_llg(llg, m0, "solve")
    require_choice(compile, "solve")
    times = require_times(t)
    bar = Bar("solve", times[0], times[-1], progress)
    if llg.temperature is not None and isinstance(method, _Default):
        method = "heun"
    max_steps, memory = checked_options(method, rtol, atol, step, max_steps, gradient, memory)
    require_heun(llg, method, step)
    if gradient == "adjoint":
        _require_adjoint(llg, method, step, memory, callback)
    require_no_vmap(m0, params, llg, "solve")
    require_finite_parameters(llg, "solve")
    values = llg.prepare(params)
    llg.check(values, m0.shape[: component_dim(llg.mesh)])
    values = without_noise(llg, values, m0)
    # Not compiled: only its shape counts, and whether a tensor that a callable closes over requires a gradient.
    rate = llg.forward(torch.tensor(times[0], dtype=torch.float64), m0, values)
    m, taped = m0.expand(torch.broadcast_shapes(m0.shape, rate.shape)), rate.requires_grad
    del rate
    require_unit_length(llg, values, m, "solve")
    if is_transformed((m, *every_tensor(values, llg))):
        compile = False
    system = llg_system(llg, values, m, rtol, atol, compile, "solve")

    def steps(system, m):
        with bar:
            for accepted in accepted_steps(llg, system, method, times, m, step, rtol, atol, max_steps):
                bar.at(accepted.end)
                yield accepted
                if callback is not None:
                    callback(*_end_and_length(accepted), accepted.m1)

    resolved, live = trainable(values), leaves(llg)
    needed = torch.is_grad_enabled() and (m.requires_grad or bool(resolved or live))
    if gradient == "adjoint":
        options = _adjoint_options(method, rtol, atol, step, max_steps, times)
        with bar:
            found = adjoint_solution(llg, system, times, m, resolved, live, options, check)
    elif needed and can_repeat(method) and not is_transformed((m, *every_tensor(values, llg))):
        # The noise of a step is no rate of the system.
        path = make_path(system, times, steps, m, resolved, live, _stages(method), memory, method != "heun")
        found = Solution.apply(path, m, *path.resolved, *path.live)
    else:
        outputs = Outputs(times, m)
        quiet = (system.stage or system.whole or system.later) is not None and not needed and not taped
        for accepted in _without_tape(steps(system, m)) if quiet else steps(system, m):
            for hit in outputs.hits(accepted):
                outputs.add(hit, hit.state(accepted, times[hit.position], system))
        found = outputs.stacked()
    # Noise turns m from node to node on any grid.
    if llg.temperature is None:
        warn_if_coarse(found.detach()[-1], llg.magnet, values["energy"]["magnet"], "solve")
    return found


@torch.no_grad()  # entered and left at every step, not held while the caller works
def _without_tape(steps):
    yield from steps


def _end_and_length(step):
    if isinstance(step.end, Tensor) and step.end.ndim:
        return step.end, step.dt
    (start,), (end,), _ = step.clock()
    return end, end - start


def accepted_steps(
    llg: LLG,
    system: System,
    method: str,
    times: list[float],
    m: Tensor,
    step: float | None,
    rtol: float,
    atol: float,
    max_steps: int,
    progress: Progress | None = None,
) -> Iterator[Step]:
    """The accepted steps of a method from m, or from a progress that has begun, which then goes with one interval."""
    tableau = OWN.get(method) or foreign_tableau(method)
    if method == "heun":
        steps = heun_steps(llg, system, times, m, step, max_steps, progress)
    elif tableau is None:
        steps = foreign_steps(system, method, times, m, step, rtol, atol, max_steps, progress)
    elif step is None:
        steps = adaptive_steps(system, tableau, times[0], times[-1], m, max_steps=max_steps, progress=progress)
    else:
        steps = fixed_steps(system, tableau, times, m, dt=step, max_steps=max_steps, progress=progress)
    return steps if system.later is None else _considered(steps, system.later, times)


def _considered(steps, later, times):
    """The steps; after each it is considered to compile."""
    earliest = lambda t: float(torch.as_tensor(t).min())
    part = lambda first, end: (earliest(end) - earliest(first)) / (times[-1] - earliest(first))
    first = None
    try:
        for step in steps:
            first = step.t if first is None else first
            later.consider(functools.partial(part, first, step.end))
            yield step
    finally:
        later.end()


def require_times(t) -> list[float]:
    """The requested times as floats: at least two, finite, increasing."""
    try:
        if isinstance(t, Tensor) and t.is_complex():
            raise TypeError("complex")
        t = torch.as_tensor(t, dtype=torch.float64)
    except (TypeError, ValueError):
        kind = f"a {t.dtype} tensor" if isinstance(t, Tensor) else f"a {type(t).__name__}"
        raise TypeError(f"solve: t is {kind}, expected times in s") from None
    if t.requires_grad:
        raise ValueError("solve: t requires a gradient, which times do not carry; pass t.detach()")
    if t.ndim != 1 or len(t) < 2:
        raise ValueError(f"solve: t has shape {tuple(t.shape)}, expected at least two times in s, the first belongs to m0")
    if not bool(torch.isfinite(t).all()):
        raise ValueError("solve: t holds times that are not finite")
    if not bool((t[1:] > t[:-1]).all()):
        first = int((t[1:] <= t[:-1]).nonzero()[0])
        raise ValueError(f"solve: t must increase, but t[{first}] = {t[first]:g} s is followed by {t[first + 1]:g} s")
    return t.tolist()


def _require_adjoint(llg, method, step, memory, callback):
    known = [name for name in foreign_names() if name != "scipy_solver"]
    if llg.temperature is not None:
        raise ValueError("solve: gradient='adjoint' knows no temperature; use gradient='exact'")
    if method not in known:
        raise ValueError(f"solve: gradient='adjoint' takes methods of torchdiffeq, not {method!r}: {', '.join(known)}")
    if step is not None and foreign_tableau(method):
        raise ValueError(
            f"solve: step = {step:g} s, but with gradient='adjoint' the steps of {method!r} are adaptive; leave it out"
        )
    for name, value in (("memory", memory), ("callback", callback)):
        if value is not None:
            raise ValueError(f"solve: {name} is given, but gradient='adjoint' has none; leave it out or use gradient='exact'")


def _adjoint_options(method, rtol, atol, step, max_steps, times):
    """What torchdiffeq takes, in its scaled time."""
    own = {"max_num_steps": max_steps} if foreign_tableau(method) else {}
    if step is not None:
        own = {"step_size": step / (times[-1] - times[0])}
    return {"method": str(method), "rtol": rtol, "atol": atol, "options": own}


def require_heun(llg: LLG, method: str, step: float | None) -> None:
    """Raise unless the method fits the llg's temperature, and the step the method."""
    if llg.temperature is not None and method != "heun":
        raise ValueError(
            f"solve: method = {method!r}, but an llg with a temperature takes 'heun' (or set llg.temperature = None)"
        )
    if method == "heun" and step is None:
        raise ValueError("solve: step is None, but the method 'heun' takes fixed steps; give step, s (1e-14 to 1e-12 is usual)")


def checked_options(method, rtol, atol, step, max_steps, gradient="exact", memory=None) -> tuple[int, int | None]:
    """Raise unless the options of `solve` are what they must be; `max_steps` and `memory` as integers."""
    known = {*OWN, "heun", *foreign_names()}
    if not isinstance(method, str) or not (method in known or foreign_tableau(method)):
        raise ValueError(f"solve: method = {method!r}, expected one of {', '.join(sorted(known))}")
    for name, value in (("rtol", rtol), ("atol", atol)):
        if not isinstance(value, Real) or not 0 <= value < float("inf"):
            raise ValueError(f"solve: {name} = {value!r}, expected a finite number >= 0")
    if rtol + atol == 0:
        raise ValueError("solve: rtol and atol are both 0; no step can be that exact")
    if step is not None and not (isinstance(step, Real) and 0 < step < float("inf")):
        raise ValueError(f"solve: step = {step!r}, expected a positive time in s")
    max_steps = as_count("solve: max_steps", max_steps)
    if gradient not in ("exact", "adjoint"):
        raise ValueError(f"solve: gradient = {gradient!r}, expected 'exact' or 'adjoint'")
    if memory is not None:
        memory = as_count("solve: memory", memory)
        if not can_repeat(method):
            raise ValueError(
                f"solve: memory = {memory}, but the steps of {method!r} cannot be repeated one by one; leave memory out"
            )
    return max_steps, memory


def _stages(method):
    """Rates per step, the most that a method without a tableau of ours takes."""
    tableau = OWN.get(method) or foreign_tableau(method)
    return len(tableau.c) if tableau else 4
