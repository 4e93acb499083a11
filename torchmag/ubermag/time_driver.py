"""Driving in time."""

import math
import random
from numbers import Integral, Real

import micromagneticmodel as mm
import torch

from torchmag.simulation import Simulation
from torchmag.ubermag.drivers import Driver, require_energy
from torchmag.ubermag.dynamics_terms import equation, thermal_field, thermal_step
from torchmag.ubermag.evolvers import RungeKuttaEvolver, TimeEvolver
from torchmag.ubermag.parameters import given
from torchmag.ubermag.table import DEGREES, Numbers, Table

PIECE = 20
EVOLVERS = {mm.ZhangLi: "Anv_SpinTEvolve", mm.Slonczewski: "Oxs_SpinXferEvolve"}


class TimeDriver(Driver):
    """Integrates the LLG equation of the system's dynamics: `drive(system, t=1e-9, n=100)` saves n states up to t.

    Args (by keyword, beside those of `Driver`):
        stopping_dm_dt: deg/ns; the drive ends at the first saved state where no m turns faster.
        total_iteration_limit: the drive ends after this many steps.
        method, rtol, atol: as in `tm.solve`; the method is the evolver's by default, the tolerances are 1e-5.
    """

    _allowed_attributes = [*Driver._allowed_attributes, "stopping_dm_dt", "total_iteration_limit", "method", "rtol", "atol"]
    _x = "t"
    keywords = ("t", "n")

    def check(self, kwargs):
        missing = [key for key in ("t", "n") if key not in kwargs]
        if missing:
            raise TypeError(
                f"TimeDriver.drive: {', '.join(missing)} missing; give t, the time in s, and n, the number of states to save"
            )
        t, n = kwargs["t"], kwargs["n"]
        if not isinstance(t, Real) or not 0 < t < math.inf:
            raise ValueError(f"TimeDriver.drive: t = {t!r}, expected a positive time in s")
        if isinstance(n, bool) or not isinstance(n, Integral) or n <= 0:
            raise ValueError(f"TimeDriver.drive: n = {n!r}, expected a positive integer, the number of states to save")
        return {"t": float(t), "n": int(n)}

    def check_system(self, system):
        if len(system.dynamics) == 0:
            raise RuntimeError("System's dynamics is not defined")
        require_energy(system)

    def _run(self, model, folder, frozen, bar, t, n):
        system = model.system
        evolver = self._evolver(system)
        llg = equation(model.body, model.energy, system.dynamics, frozen)
        step = None
        if evolver.thermal and system.T > 0:
            seed = int(getattr(evolver, "uniform_seed", None) or random.getrandbits(31))
            llg.temperature = thermal_field(model.body, llg, float(system.T), seed)
            longest = getattr(evolver, "fixed_timestep", None) or getattr(evolver, "max_timestep", None) or thermal_step(llg)
            step = t / n / math.ceil(t / n / longest * (1 - 1e-9))
        stages = Stages(model, folder, llg, t / n, n, self)
        sim = Simulation(
            llg, model.m, method="heun" if step else self._method(evolver), step=step, interval=None,
            rtol=getattr(self, "rtol", 1e-5), atol=getattr(self, "atol", 1e-5), progress=bar, compile=self._compile(system),
        )  # fmt: skip
        # Not beyond the end, by rounding.
        sim.log(stages, every=math.nextafter(t / n, 0))
        for end in stages.ends():
            sim.run(t * (end / n) if end < n else t, stop=lambda t: stages.ended, callback=stages.count)
        if stages.number < n and not stages.settled:
            stages.save(sim.t, sim.m)
        return sim.m, stages.table

    def _evolver(self, system):
        """That of the driver, or by default one without temperature."""
        evolver = self.require_evolver(TimeEvolver)
        if system.T > 0 and evolver is None:
            raise RuntimeError("TimeDriver: a system with T > 0 needs an evolver, such as UHH_ThetaEvolver(fixed_timestep=1e-13)")
        if system.T > 0 and not evolver.thermal:
            raise TypeError(f"TimeDriver: {type(evolver).__name__} does not support finite temperature; use UHH_ThetaEvolver")
        return evolver or RungeKuttaEvolver()

    def _method(self, evolver):
        return getattr(self, "method", None) or ("dopri5" if evolver.thermal else evolver.integrator())

    def _compile(self, system):
        # Tcl answers one number at a time, which a graph cannot hold.
        terms = [*system.energy, *system.dynamics]
        scripted = any(given(term, "tcl_strings") is not None for term in terms)
        return False if scripted else getattr(self, "compile", "auto")


class Stages:
    """A logger: the saved states of a drive, their files and rows.

    Attributes:
        number: of states saved.
        settled, ended: whether m has come to rest, whether the drive is to end.
    """

    def __init__(self, model, folder, llg, every, count, driver):
        self.model, self.folder, self.llg, self.every, self.of = model, folder, llg, every, count
        self.slow = getattr(driver, "stopping_dm_dt", None)
        self.limit = getattr(driver, "total_iteration_limit", None)
        self.evolver = next(
            (name for kind, name in EVOLVERS.items() if model.system.dynamics.get(type=kind)), "Oxs_RungeKuttaEvolve"
        )
        self.table, self.numbers = Table(), Numbers(model)
        values = llg.complete(0.0, model.m)
        self.alpha, self.gamma = values["alpha"], values["gamma"]  # at the nodes; they do not depend on t
        self.number = self.iteration = self.before = 0
        self.pace = 0.0
        self.last, self.settled, self.ended = 0.0, False, False

    def ends(self):
        """Where the pieces end that the drive is run in, in stages.

        Of many stages, where a stage takes several steps; else of one, so that steps are no longer than a stage, as in OOMMF: an m at
        rest does not wander within the tolerance.
        """
        end = 0
        while end < self.of and not self.ended:
            steps, first = self.iteration, end
            end = min(self.of, end + (PIECE if first and self.pace >= 3 else 1))
            yield end
            self.pace = (self.iteration - steps) / (end - first)

    def open(self, position):
        """Nothing to open: each state is a file."""

    def position(self):
        return self.number

    def close(self):
        """Nothing to close."""

    def count(self, t, dt, m):
        """A step was made."""
        self.iteration, self.last = self.iteration + 1, float(dt)
        self.ended = self.ended or (self.limit is not None and self.iteration >= self.limit)

    def log(self, t, m, values):
        # The first is m0; a method without dense output gives the end of the step that reaches the time.
        if t > 0.5 * self.every and self.number < self.of and not self.settled:
            self.save((self.number + 1) * self.every, m)

    @torch.no_grad()
    def save(self, t, m):
        """A state: its file and its row."""
        numbers, fields = self.numbers, self.llg.fields(m, t)
        speed = self._speed(m, sum(fields.values())) * DEGREES * 1e-9
        found = numbers.energies(m, t, {name.removeprefix("energy."): field for name, field in fields.items()})
        own = {
            f"{self.evolver}:evolver:Max dm/dt": (speed, "deg/ns"),
            **found,
            "Oxs_TimeDriver::Iteration": (self.iteration, ""),
            "Oxs_TimeDriver::Stage iteration": (self.iteration - self.before, ""),
            "Oxs_TimeDriver::Stage": (self.number, ""),
            **numbers.mean(m, "TimeDriver"),
            "Oxs_TimeDriver::Last time step": (self.last, "s"),
            "Oxs_TimeDriver::Simulation time": (t, "s"),
        }
        self.table.add(numbers.total(found, self.evolver) | own)
        self.folder.write_stage(self.model.array(m), "TimeDriver", self.number, self.of, self.iteration)
        self.number, self.before = self.number + 1, self.iteration
        self.settled = self.slow is not None and speed < self.slow
        self.ended = self.ended or self.settled

    def _speed(self, m, H):
        """The largest |dm/dt|, 1/s."""
        across = torch.linalg.vector_norm(torch.linalg.cross(m, H.expand_as(m), dim=0), dim=0, keepdim=True)
        alpha, gamma = self.alpha, self.gamma
        rate = gamma * across * ((1 + alpha**2) ** -0.5 if self.llg.precession else alpha / (1 + alpha**2))
        return float((rate if self.llg.frozen is None else rate * ~self.llg.frozen).max())
