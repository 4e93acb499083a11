"""Relaxation to the equilibrium of overdamped dynamics: downhill where all fields are those of an energy, else by the dynamics itself."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real

import torch
from torch import Tensor

from torchmag.bar import Bar
from torchmag.device import instant
from torchmag.errors import ConvergenceError
from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.parameters import Values
from torchmag.solvers.adaptive import Controller, adaptive_steps
from torchmag.solvers.compilation import Later, later_field, nothing_known, require_choice
from torchmag.solvers.crowd import can_divide, some_values
from torchmag.solvers.descent import Descent, Search, descended, with_bar
from torchmag.solvers.downhill import Downhill
from torchmag.solvers.escape import has_landscape, require_flag, settle
from torchmag.solvers.implicit import Balance, attach
from torchmag.solvers.landscape import make_landscape, require_finite_fields
from torchmag.solvers.progress import Progress
from torchmag.solvers.resolution import warn_if_coarse
from torchmag.solvers.rkc2 import RKC2
from torchmag.solvers.sources import every_tensor, is_transformed, leaves, require_finite_parameters, require_no_vmap, trainable
from torchmag.solvers.stepper import require_finite
from torchmag.solvers.system import as_count, llg_system, require_llg, require_unit_length
from torchmag.term import as_time

# Large enough to make the precession a perturbation of 1e-3, which changes the path a little and the equilibrium not at all.
DAMPING = 1e3
# Error of a step relative to its change, and the largest turn of the first step.
ACCURACY, FIRST_ANGLE = 0.1, 0.01


@dataclass(frozen=True)
class Relaxation:
    """How a relaxation ended.

    Attributes:
        converged: whether the residual fell below the tolerance.
        residual: max |m x H| / max Ms over nodes (and samples).
        steps: accepted steps.
        evaluations: evaluations of the right-hand side, without those that looked at the curvature.
        stable: whether m is a minimum: no negative curvature beyond 1e-6 max Ms (1e-4 in float32), see `stability`; None if that was not
            looked at, or is not known of every sample.
    """

    converged: bool
    residual: float
    steps: int
    evaluations: int
    stable: bool | None = None


def relax(
    llg: LLG,
    m0: Tensor,
    *,
    t: float = 0.0,
    tolerance: float | None = None,
    max_steps: int = 100_000,
    info: bool = False,
    params=None,
    callback: Callable[[int, float, Tensor], None] | None = None,
    search: Progress | None = None,
    compile: str | bool = "auto",
    progress: bool | None = None,
    check_stability: bool = False,
    escape: bool = False,
):
    """Equilibrium of an LLG: that of its overdamped dynamics, whatever its alpha, with drives held at time t.

    Without torques m goes downhill in energy along the overdamped motion, by semi-implicit steps of at most 0.1 rad, the exchange implicit,
    and near the bottom by L-BFGS (see `minimize`): the number of steps does not depend on the cell size.  With torques, terms that have
    no energy, or parameters that depend on m, the overdamped dynamics is integrated.

    Args:
        llg: the equation; its torques act, its frozen nodes stay, its temperature is ignored.
        m0: (*batch, 3, *nodes), of unit length inside the body.
        tolerance: of the residual, the largest |m x H| over the nodes divided by the largest Ms.  Default 1e-6 in float64;
            1e-4 in float32, whose exchange fields carry noise above that on cells of a few nm.
        max_steps: cap on the accepted steps.
        info: also return a `Relaxation` record, and do not raise if the tolerance was not reached.
        params: values to use instead of the llg's, by full name.
        callback: called after each step with (step, residual, m).
        search: where it is, kept up to date from step to step; one that has begun goes on where it was.
        compile, progress: as in `solve`.
        check_stability, escape: as in `minimize`; without torques only (with them `eigenmodes` tells what grows).

    Returns:
        m, or (m, record).  Its gradient with respect to the parameters is that of the equilibrium (see `implicit`), which does not
        depend on the path that led there; with respect to m0 it is zero but at frozen nodes.
    Raises:
        ConvergenceError: not converged after max_steps (without `info`); carries m and the record.
        GradientError: in the backward pass: m is no equilibrium, or the loss depends on a motion that costs no energy.
    Warns:
        ResolutionWarning: the cells are too large for m (see `max_angle`); once for a magnet.
        StabilityWarning: m is no minimum, where that was looked at: if asked for, or if no step was made.
    """
    require_llg(llg, m0, "relax")
    require_choice(compile, "relax")
    look = {"check": require_flag(check_stability, "relax: check_stability"), "escape": require_flag(escape, "relax: escape")}
    if any(look.values()) and not _is_landscape(llg):
        raise TypeError(
            "relax: check_stability and escape need terms with an energy, parameters that do not depend on m, and no torques; "
            "torchmag.eigenmodes(llg, m) tells which modes grow"
        )
    max_steps = as_count("relax: max_steps", max_steps)
    if tolerance is None:
        tolerance = 1e-6 if m0.dtype == torch.float64 else 1e-4
    if not isinstance(tolerance, Real):
        raise TypeError(f"relax: tolerance = {tolerance!r}, expected a positive number: max |m x H| / Ms")
    if not isinstance(t, Real | Tensor) or not math.isfinite(t):
        raise ValueError(f"relax: t = {t!r}, expected one time in s, at which drives are held")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"relax: tolerance = {tolerance}, expected a positive number: max |m x H| / Ms")
    require_no_vmap(m0, params, llg, "relax")
    require_finite_parameters(llg, "relax")
    values = llg.prepare(params)
    llg.check(values, m0.shape[: component_dim(llg.mesh)])
    if is_transformed((m0, *every_tensor(values, llg))):
        m, record, _ = _flow(llg, values, m0, float(t), tolerance, max_steps, callback, search, False)
    else:
        begun = search is not None and search.begun
        run = functools.partial(_descend, **look) if _is_landscape(llg) and not begun else _flow
        with torch.no_grad(), Bar("relax", 0, 1, progress) as bar:
            after_step = with_bar(bar, tolerance, callback)
            m, record, residual = run(llg, values, m0.detach(), float(t), tolerance, max_steps, after_step, search, compile)
        resolved, live = trainable(values), leaves(llg)
        if torch.is_grad_enabled() and (m0.requires_grad or resolved or live):
            m = _with_gradient(llg, values, m, m0, as_time(t, "relax", m0), resolved, live, residual, tolerance)
    warn_if_coarse(m, llg.magnet, values["energy"]["magnet"], "relax")
    if info:
        return m, record
    if not record.converged:
        raise ConvergenceError(
            f"relax: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps, tolerance {tolerance:.3g}; raise max_steps or "
            f"tolerance, or pass info=True to get the state as it is", m, record,
        )  # fmt: skip
    return m


def _with_gradient(llg, values, m, m0, t, resolved, live, residual, tolerance):
    with torch.no_grad():
        landscape, _ = make_landscape(llg.energy, values["energy"], m, t, llg.frozen, "relax")
    field = lambda m, values: llg.effective_field(m, t, values)
    return attach(Balance(field, values, resolved, live, landscape, "relax", residual, tolerance), m, m0)


def _is_landscape(llg):
    """Whether every field is that of an energy."""
    return not len(llg.torques) and has_landscape(llg.energy)


def _descend(llg, values, m0, now, tolerance, max_steps, callback, at, compile, check, escape):
    """m, the record, and the residual of each sample, downhill."""
    energy, own, t = llg.energy, values["energy"], as_time(now, "relax", m0)
    m = m0.expand(torch.broadcast_shapes(m0.shape, llg.forward(t, m0, values).shape))
    later = later_field(llg, energy, m, compile, "relax")
    landscape, m = make_landscape(energy, own, m, t, llg.frozen, "relax", later)
    require_finite_fields(energy, own, m, t, "relax")
    made = Search(None if at is None or at.descent is None else Descent(**at.descent))

    def after_step(steps, residual, m):
        if at is not None:
            at.m, at.number, at.descent = m, steps, vars(made.at)
        callback(steps, residual, m)

    def part(samples, m):
        return make_landscape(energy, some_values(energy, own, samples), m, t, llg.frozen, "relax")[0]

    alone = can_divide(energy, own)

    def descend():
        return descended(landscape, part if alone else None, Downhill, m, tolerance, max_steps, after_step, made)

    plain = lambda: make_landscape(energy, own, m, t, llg.frozen, "relax")[0]
    found, stable = settle(descend, made, plain, m0.expand_as(m), tolerance, check, escape, "relax", alone)
    if later is not None:
        later.end()
    worst = float(found["residual"].amax())
    return (
        found["m"],
        Relaxation(worst <= tolerance, worst, made.at.steps, made.at.evaluations, stable),
        found["residual"].squeeze(landscape.axes),
    )


def _flow(llg, values, m0, now, tolerance, max_steps, callback, progress, compile):
    """m, the record, and the residual of each sample, along the overdamped dynamics."""
    values = values | {"alpha": m0.new_full((), DAMPING)}
    # Not compiled: only its shape counts.
    rate = llg.forward(instant(now, m0), m0, values)
    m = m0.expand(torch.broadcast_shapes(m0.shape, rate.shape))
    system = llg_system(llg, values, m, 0.0, 1.0, compile, "relax")
    require_unit_length(llg, values, m, "relax")
    axes = tuple(range(component_dim(llg.mesh), 0))

    def largest(x):
        """The longest vector, per sample."""
        return torch.linalg.vector_norm(x.detach(), dim=axes[0], keepdim=True).amax(axes)

    to_residual = _residual(llg, values, largest)
    k = system.rate(now, m)
    require_finite(system, now, math.nan, m, k)
    residual, steps, evaluations = to_residual(k), 0, 2
    if progress is not None and progress.begun:
        m, residual, steps, evaluations = progress.m, to_residual(progress.k), progress.number, progress.evaluations

    def error(e, m0, m1):
        # Relative to the change: an absolute tolerance leaves noise of its size in the stiff modes at the stability limit.
        change = largest(m1 - m0)
        return torch.where(change > 0, largest(e) / (ACCURACY * torch.where(change > 0, change, 1)), 0)

    def stop(step):
        stuck = largest(step.k1) * step.dt < 4 * torch.finfo(m.dtype).eps
        return (to_residual(step.k1) <= tolerance) | stuck

    def held(system):
        """The system at one time for all."""

        def counted(function):
            def at_now(_, *arguments):
                nonlocal evaluations
                evaluations += 1
                return function(now, *arguments)

            return function and at_now

        later = system.later and _Counted(system.later, counted)
        return replace(
            system, function=counted(system.function), stage=counted(system.stage), whole=None, reach=None, error=error, later=later,
            diagnose=lambda _, m: system.diagnose(now, m), part=system.part and (lambda _, samples: held(system.of(samples))),
        )  # fmt: skip

    flow = held(system)
    if bool((residual > tolerance).any()):
        fastest = largest(k).double()
        control = Controller(FIRST_ANGLE / torch.where(fastest > 0, fastest, fastest.max()))
        path = adaptive_steps(
            flow, RKC2, 0.0, math.inf, m, max_steps=2 * max_steps, controller=control, stop=stop, progress=progress
        )
        for step in path:
            if progress is not None:
                progress.evaluations = evaluations
            steps, m, residual = steps + 1, step.m1, to_residual(step.k1)
            if system.later is not None:
                system.later.consider(nothing_known)
            if callback is not None:
                callback(steps, float(residual.max()), m)
            if steps >= max_steps:
                break
    if system.later is not None:
        system.later.end()
    worst = float(residual.max())
    return m, Relaxation(worst <= tolerance, worst, steps, evaluations), residual


@dataclass(frozen=True)
class _Counted:
    """A `Later` whose calls are counted."""

    later: Later
    counted: Callable

    @property
    def function(self):
        return self.counted(self.later.function)


def _residual(llg: LLG, values: Values, largest: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """From an overdamped rate to max |m x H| / max Ms: |dm/dt| = gamma / sqrt(1 + alpha^2) |m x H|."""
    body = values["energy"]["magnet"]
    gamma = values["gamma"].detach().max()
    scale = math.sqrt(1 + DAMPING**2) / float(gamma * body["Ms"].detach().max())
    return lambda k: largest(k) * scale
