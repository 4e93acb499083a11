"""Driving to an equilibrium: at one field, or at one after another."""

from collections.abc import Mapping
from dataclasses import replace
from numbers import Integral

import micromagneticmodel as mm
import numpy as np
import torch

from torchmag.energies import Zeeman
from torchmag.energy import Sum
from torchmag.errors import ConvergenceError
from torchmag.solvers import minimize, relax
from torchmag.ubermag.drivers import Driver, require_energy
from torchmag.ubermag.dynamics_terms import equation
from torchmag.ubermag.evolvers import CGEvolver, TimeEvolver
from torchmag.ubermag.table import Numbers, Table

# Of max |m x H| / Ms: what is aimed at, and what is good enough.
AIM = {torch.float64: 1e-10, torch.float32: 1e-4}
ENOUGH = {torch.float64: 1e-6, torch.float32: 1e-3}
# Steps from there on at most.
POLISH = 100


class Equilibrium(Driver):
    """A driver to a minimum of the energy.

    Args (by keyword, beside those of `Driver`):
        stopping_mxHxm: A/m; a residual that is good enough.  It goes on to 1e-10 Ms (float64) for 100 steps at most.
        total_iteration_limit: steps.
    """

    _allowed_attributes = [*Driver._allowed_attributes, "stopping_mxHxm", "total_iteration_limit"]
    keywords = ("output_step",)
    evolvers = CGEvolver

    def check(self, kwargs):
        return {"output_step": bool(kwargs.get("output_step", False))}

    def check_system(self, system):
        require_energy(system)

    def _minimum(self, search, m, dtype, Ms, callback):
        """m and the steps of a search, which is `relax` or `minimize` with all but m0 and their tolerance."""
        self.require_evolver(self.evolvers)
        enough = ENOUGH[dtype]
        if hasattr(self, "stopping_mxHxm"):
            enough = max(AIM[dtype], self.stopping_mxHxm / Ms)
        limit = int(getattr(self, "total_iteration_limit", 10_000))
        options = {"info": True, "callback": callback, "compile": getattr(self, "compile", "auto")}
        m, record = search(m, tolerance=enough, max_steps=limit, **options)
        if record.residual > enough:
            if hasattr(self, "total_iteration_limit"):
                return m, record
            raise ConvergenceError(
                f"{type(self).__name__}: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps; raise stopping_mxHxm (A/m)",
                m, record,
            )  # fmt: skip
        further, after = search(m, tolerance=AIM[dtype], max_steps=POLISH, **options)
        if after.residual > record.residual:
            return m, record
        return further, replace(after, steps=record.steps + after.steps, evaluations=record.evaluations + after.evaluations)


class Rows:
    """The rows and files of a drive to equilibria."""

    def __init__(self, model, folder, stages, extra=None):
        self.model, self.folder, self.of = model, folder, stages
        self.table, self.numbers, self.stage = Table(), Numbers(model, extra), 0

    def save(self, m, residual, iteration, stage_iteration, evaluations):
        """One state."""
        found = self.numbers.energies(m)
        own = {
            "Oxs_CGEvolve:evolver:Energy calc count": (evaluations, ""),
            **found,
            "Oxs_MinDriver::Iteration": (iteration, ""),
            "Oxs_MinDriver::Stage iteration": (stage_iteration, ""),
            "Oxs_MinDriver::Stage": (self.stage, ""),
            **self.numbers.mean(m, "MinDriver"),
        }
        first = {"Oxs_CGEvolve:evolver:Max mxHxm": (residual * float(self.model.Ms.max()), "A/m")}
        self.table.add(first | self.numbers.total(found, "Oxs_CGEvolve") | own)
        self.folder.write_stage(self.model.array(m), "MinDriver", self.stage, self.of, iteration)

    def step(self, step, residual, m):
        """One step of a search, of which there may be several."""
        count = len(self.table.rows) + 1
        self.save(m, residual, count, count, count)


class MinDriver(Equilibrium):
    """Minimises the energy (`tm.minimize`); `drive(system, output_step=True)` also saves every step."""

    _x = "iteration"

    def _run(self, model, folder, frozen, bar, output_step):
        rows = Rows(model, folder, 1)
        m, record = self._minimum(
            lambda m, **options: self._search(model, m, frozen, bar, options),
            model.m,
            model.grid.dtype,
            float(model.Ms.max()),
            rows.step if output_step else None,
        )
        if not output_step or not rows.table.rows:
            rows.save(m, record.residual, record.steps, record.steps, record.evaluations)
        return m, rows.table

    def _search(self, model, m, frozen, bar, options):
        return minimize(model.energy, m, frozen=frozen, progress=bar, **options)


class RelaxDriver(MinDriver):
    """Follows the damped motion to an equilibrium (`tm.relax`), with the torques of the system's dynamics."""

    evolvers = (CGEvolver, TimeEvolver)

    def check_system(self, system):
        super().check_system(system)
        if system.energy.get(type=mm.DMI) and not system.energy.get(type=mm.Exchange):
            raise RuntimeError(
                "RelaxDriver: DMI without Exchange has no equilibrium that does not depend on the cells; add mm.Exchange(A=...)"
            )

    def _search(self, model, m, frozen, bar, options):
        llg = equation(model.body, model.energy, model.system.dynamics, frozen, default_alpha=0.5)
        return relax(llg, m, progress=bar, **options)


class HysteresisDriver(Equilibrium):
    """Minimises the energy at one field after another, which adds to those of the system.

    `drive(system, Hmin=(0, 0, -1e6), Hmax=(0, 0, 1e6), n=21)` goes from Hmin to Hmax and back by n fields each;
    `drive(system, Hsteps=[[start, end, n], ...])` goes along any path.  Fields are in A/m.
    """

    _x = "B_hysteresis"
    keywords = ("Hmin", "Hmax", "n", "Hsteps")

    def check(self, kwargs):
        ends = [key for key in ("Hmin", "Hmax", "n") if key in kwargs]
        if ends and "Hsteps" in kwargs:
            raise ValueError("Cannot define both (Hmin, Hmax, n) and Hsteps.")
        if "Hsteps" not in kwargs and len(ends) < 3:
            raise ValueError("Cannot drive without a full definition of (Hmin, Hmax, n) xor Hsteps.")
        low, high, n = (kwargs.get(key) for key in ("Hmin", "Hmax", "n"))
        fields = []
        for step in kwargs.get("Hsteps", [[low, high, n], [high, low, n]]):
            if len(step) != 3:
                raise ValueError(f"HysteresisDriver: Hsteps holds {step!r}, expected [Hstart, Hend, n]")
            fields += _line(*step, fields)
        return {"fields": fields}

    def _run(self, model, folder, frozen, bar, fields):
        applied = Zeeman(model.magnet, (0.0, 0.0, 0.0))
        energy = Sum(**dict(model.energy.named_terms()), torchmag_hysteresis=applied)
        rows = Rows(model, folder, len(fields), {"Oxs_UZeeman:hysteresis": applied})
        m, steps, evaluations = model.m, 0, 0
        for rows.stage, H in enumerate(fields):
            applied.H = torch.tensor(model.grid.vector(H), dtype=model.grid.dtype, device=model.grid.device)
            search = lambda m, **options: minimize(energy, m, frozen=frozen, progress=False, **options)
            m, record = self._minimum(search, m, model.grid.dtype, float(model.Ms.max()), None)
            steps, evaluations = steps + record.steps, evaluations + record.evaluations
            rows.save(m, record.residual, steps, record.steps, evaluations)
        return m, rows.table


def _line(start, end, n, before):
    """The fields of one step; the first is left out where the last step ended there."""
    for name, field in (("Hmin, Hstart", start), ("Hmax, Hend", end)):
        if isinstance(field, str | Mapping) or np.shape(field) != (3,):
            raise ValueError(f"HysteresisDriver: {name} = {field!r}, expected three numbers in A/m")
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 2:
        raise ValueError(f"HysteresisDriver: n = {n!r}, expected an integer, at least 2")
    found = np.linspace(np.asarray(start, dtype=float), np.asarray(end, dtype=float), n)
    return list(found[1:] if before and np.array_equal(before[-1], found[0]) else found)
