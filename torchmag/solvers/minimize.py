"""Equilibrium by minimisation of the energy."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from torchmag.bar import Bar
from torchmag.energy import Energy
from torchmag.errors import ConvergenceError
from torchmag.layout import component_dim
from torchmag.solvers.bb import BarzilaiBorwein
from torchmag.solvers.compilation import later_field, require_choice
from torchmag.solvers.crowd import can_divide, some_values
from torchmag.solvers.descent import Search, descended, with_bar
from torchmag.solvers.escape import has_landscape, require_flag, settle
from torchmag.solvers.implicit import Balance, attach
from torchmag.solvers.landscape import make_landscape, require_finite_fields
from torchmag.solvers.lbfgs import LBFGS
from torchmag.solvers.resolution import warn_if_coarse
from torchmag.solvers.sources import every_tensor, is_transformed, leaves, require_finite_parameters, require_no_vmap, trainable
from torchmag.solvers.system import as_count
from torchmag.term import as_time, check_field

METHODS = {"lbfgs": LBFGS, "bb": BarzilaiBorwein}


@dataclass(frozen=True)
class Minimization:
    """How a minimisation ended.

    Attributes:
        converged: whether the residual of every sample fell below the tolerance.
        residual: max |m x H| / max Ms over nodes (and samples).
        steps: steps taken, of a batch by the sample that took most.
        evaluations: evaluations of the field (of a batch: of the whole batch), without those that looked at the curvature.
        stable: whether m is a minimum: no negative curvature beyond 1e-6 max Ms (1e-4 in float32), see `stability`; None if that was not
            looked at, or is not known of every sample.
    """

    converged: bool
    residual: float
    steps: int
    evaluations: int
    stable: bool | None = None


def minimize(
    energy: Energy,
    m0: Tensor,
    *,
    t: float = 0.0,
    tolerance: float | None = None,
    max_steps: int = 10_000,
    method: str = "lbfgs",
    frozen: Tensor | None = None,
    info: bool = False,
    params: Mapping[str, Tensor] | None = None,
    callback: Callable[[int, float, Tensor], None] | None = None,
    search: Search | None = None,
    compile: str | bool = "auto",
    progress: bool | None = None,
    check_stability: bool = False,
    escape: bool = False,
):
    """A minimum of the energy near m0, with drives held at time t.

    Descends on the product of unit spheres with the field as gradient: no energy in joules is computed, and energy
    differences come from the fields, so that float32 works.  Each sample of a batch has its own steps and stops on its own.

    A state without any torque is an equilibrium and stays, be it a minimum or not (m along a hard axis or against the field).  Where no
    step is made that is looked at, and said.

    Args:
        energy: a term or a Sum.
        m0: (*batch, 3, *nodes), of unit length inside the body; expanded to the batch of the parameters.
        tolerance: of the residual, the largest |m x H| over the nodes divided by the largest Ms.  Default 1e-6 in float64;
            1e-4 in float32, whose exchange fields carry noise above that on cells of a few nm.
        max_steps: cap on the steps.
        method: "lbfgs", preconditioned with the inverse of the exchange, keeps 16 vector fields; "bb", Barzilai-Borwein
            steps, keeps none and takes more evaluations the smaller the cells.
        frozen: nodes that stay as they are, bool (*nodes).
        info: also return a `Minimization` record, and do not raise if the tolerance was not reached.
        params: values to use instead of the energy's, by full name (see `Energy.prepare`).
        callback: called after each step with (step, residual, m).
        search: where it is, kept up to date from step to step; one that has begun goes on where it was.
        compile, progress: as in `solve`.
        check_stability: also look whether m is a minimum (see `stability`), which takes some tens of evaluations of the field.
        escape: leave saddles: turn m by 0.1 rad along the direction of the lowest curvature, to the side where the energy falls, and go on,
            up to ten times.

    Returns:
        m, or (m, record).  Its gradient with respect to the parameters is that of the equilibrium (see `implicit`), which does not
        depend on the path that led there; with respect to m0 it is zero but at frozen nodes.
    Raises:
        ConvergenceError: not converged after max_steps, or steps too short to change m (without `info`); carries m and the
            record.
        NonFiniteError: a field that is not finite at m0.
        GradientError: in the backward pass: m is no equilibrium, or the loss depends on a motion that costs no energy.
    Warns:
        ResolutionWarning: the cells are too large for m (see `max_angle`); once for a magnet.
        StabilityWarning: m is no minimum, where that was looked at.
    """
    if not isinstance(energy, Energy):
        hint = "; give llg.energy" if isinstance(getattr(energy, "energy", None), Energy) else ""
        raise TypeError(f"minimize: energy is a {type(energy).__name__}, expected an energy term or a torchmag.Sum{hint}")
    check_field(m0, energy.magnet, "minimize")
    tolerance = _tolerance(tolerance, m0.dtype)
    max_steps = as_count("minimize: max_steps", max_steps)
    require_choice(compile, "minimize")
    check = require_flag(check_stability, "minimize: check_stability") | require_flag(escape, "minimize: escape")
    if check and not has_landscape(energy):
        raise TypeError("minimize: check_stability and escape need terms with an energy, and parameters that do not depend on m")
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"minimize: method = {method!r}, expected one of {', '.join(METHODS)}")
    if not isinstance(t, Real | Tensor) or not math.isfinite(t):
        raise ValueError(f"minimize: t = {t!r}, expected one time in s, at which drives are held")
    now = as_time(t, "minimize", m0)
    require_no_vmap(m0, params, energy, "minimize")
    require_finite_parameters(energy, "minimize")
    values = energy.prepare(params)
    if is_transformed((m0, *every_tensor(values, energy))):
        raise TypeError("minimize: transforms of torch.func do not reach through it; use torch.autograd, or relax")
    with torch.no_grad():
        energy.check(values, m0.shape[: component_dim(energy.mesh)])
        later = later_field(energy, energy, m0, compile, "minimize")
        landscape, start = make_landscape(energy, values, m0.detach(), now, frozen, "minimize", later)
        require_finite_fields(energy, values, start, now, "minimize")

        def part(samples, m):
            return make_landscape(energy, some_values(energy, values, samples), m, now, frozen, "minimize")[0]

        alone = can_divide(energy, values)
        part = part if alone and energy._compiled_call_impl is None else None
        search = search or Search()
        with Bar("minimize", 0, 1, progress) as bar:
            after_step = with_bar(bar, tolerance, callback)

            def descend():
                return descended(landscape, part, METHODS[method], start, tolerance, max_steps, after_step, search)

            if has_landscape(energy):
                plain = lambda: make_landscape(energy, values, start, now, frozen, "minimize")[0]
                found, stable = settle(descend, search, plain, start, tolerance, check, escape, "minimize", alone)
            else:
                found, stable = descend(), None
        if later is not None:
            later.end()
    m, residual, at = found["m"], found["residual"], search.at
    record = Minimization(float(residual.amax()) <= tolerance, float(residual.amax()), at.steps, at.evaluations, stable)
    resolved, live = trainable(values), leaves(energy)
    if torch.is_grad_enabled() and (m0.requires_grad or resolved or live):
        field = lambda m, values: energy.field(m, now, values)
        m = attach(Balance(field, values, resolved, live, landscape, "minimize", residual, tolerance), m, m0)
    warn_if_coarse(m, energy.magnet, values["magnet"], "minimize")
    if info:
        return m, record
    if not record.converged:
        raise ConvergenceError(
            f"minimize: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps, tolerance {tolerance:.3g}; raise "
            f"max_steps or tolerance, or pass info=True to get the state as it is", m, record,
        )  # fmt: skip
    return m


def _tolerance(tolerance, dtype):
    if tolerance is None:
        return 1e-6 if dtype == torch.float64 else 1e-4
    if not isinstance(tolerance, Real):
        raise TypeError(f"minimize: tolerance = {tolerance!r}, expected a positive number: max |m x H| / Ms")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"minimize: tolerance = {tolerance}, expected a positive number: max |m x H| / Ms")
    return float(tolerance)
