"""Run, steps, relax, minimize."""

import math
import warnings

import torch

import torchmag as tm

# mumax3's solvers: the methods for steps that a script fixes.
FIXED = {1: "euler", 2: "heun", 3: "bosh3", 4: "rk4", 5: "dopri5", 6: "dopri5"}
STAGES = {"dopri5": 6, "gyro5": 7, "euler": 1, "heun": 2, "bosh3": 3, "rk4": 4}
# Of the fastest precession, in a step with a temperature: rad.
THERMAL_ANGLE = 0.2
# Steps of MaxDt, once free ones would be longer, before free ones are tried again.
FEW = 10


class Runner:
    """Moves a world on in time.

    Attributes:
        solver: number of mumax3's method.
        fix_dt, max_dt, max_err: of a step: its length, 0 if free; the largest; its error.
    """

    def __init__(self, world):
        self.world, self.solver, self.fix_dt, self.max_dt, self.max_err = world, 5, 0.0, 0.0, 1e-5
        self.relax_threshold = -1.0

    def run(self, duration: float) -> None:
        """For a time, s."""
        if not 0 <= duration < math.inf:
            raise ValueError(f"a time of {duration} s, expected 0 or more")
        self._go(self.world.t + duration)

    def steps(self, count: int) -> None:
        """A number of steps."""
        last = self.world.step + count
        if count > 0:
            self._go(math.inf, lambda: self.world.step >= last)

    def run_while(self, condition) -> None:
        """As long as a condition holds."""
        if condition():
            self._go(math.inf, lambda: not condition())

    def relax(self) -> None:
        """To equilibrium; currents and temperature do not act, drives are those of now."""
        world = self.world
        physics = world.physics()
        if physics.magnet is None:
            return
        options = self._tolerance(physics)
        if self.relax_threshold > 0:
            Ms = float(world.parameters["msat"].present().max())
            options["tolerance"] = self.relax_threshold / (tm.mu_0 * Ms)
        with self._watched():
            m, record = tm.relax(
                physics.without_torques(),
                self._start(),
                t=world.t,
                info=True,
                callback=self._watch,
                compile=False,
                progress=False,
                **options,
            )
        self._end(m, record, "relax")

    def minimize(self) -> None:
        """To a minimum of the energy; without an energy, by fields of the script's own, like `relax`."""
        world = self.world
        physics = world.physics()
        if physics.magnet is None:
            return
        if world.custom_fields:
            self.relax()
            return
        llg = physics.without_torques()
        with self._watched():
            m, record = tm.minimize(
                llg.energy, self._start(), t=world.t, frozen=llg.frozen, info=True, callback=self._watch, compile=False, progress=False,
                **self._tolerance(physics, self.world.unused["minimizer_stop"] / 1e-6),
            )  # fmt: skip
        self._end(m, record, "minimize")

    def _tolerance(self, physics, looser=1.0):
        """Of the residual, in units of Ms: where other fields are larger than Ms, in theirs; looser as the script asks."""
        default = 1e-6 if self.world.reference.dtype == torch.float64 else 1e-4
        # Fields of a script's own have no energy: the motion itself is followed, which takes long to the last digit.
        looser = max(looser, 10.0) if self.world.custom_fields else looser
        factor = max(1.0, physics.largest_local_field()) * min(max(1.0, looser), 1e3)
        return {"tolerance": default * factor} if factor > 1 else {}

    def _end(self, m, record, what):
        self.world.m.put_nodes(m)
        if not record.converged:
            self.world.files.log(f"//{what}: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps, not converged")

    def _start(self):
        mesh = self.world.grid.mesh
        return self.world.m.at_nodes().reshape(3, *mesh.nodes).contiguous()

    def _watch(self, *_):
        self.world.check_time()

    def _watched(self):
        return Warned(self.world)

    def _options(self, physics, fixed):
        """Of tm.Simulation: methods of fixed steps where the script fixes them, else the adaptive one."""
        step = fixed or self.fix_dt or None
        if physics.llg.temperature is not None:
            return {"method": "heun", "step": step or THERMAL_ANGLE / physics.largest_rate()}
        if self.solver == 1 and step is None:
            raise ValueError("the Euler method has fixed steps; set FixDt")
        if step is None or self.solver == -1:
            return {"method": "bosh3" if self.solver == 3 else "gyro5", "rtol": 0.0, "atol": self.max_err}
        return {"method": "gyro5" if fixed else FIXED[self.solver], "step": step}

    def _go(self, end, stop=lambda: False):
        world, fixed = self.world, None
        world.schedule.due(world.t)
        while end - world.t > 1e-12 * min(end, abs(world.t)):
            physics = world.physics()
            if physics.magnet is None:
                self._idle(end, stop)
                return
            passage = Passage(self, stop, fixed)
            options = self._options(physics, fixed)
            until = end if end < math.inf else world.t + 1e-6
            if fixed:
                # A few steps at a time: what follows may need shorter ones.
                until = min(until, world.t + FEW * fixed)
            with self._watched():
                sim = tm.Simulation(physics.llg, self._start(), t=world.t, progress=False, compile=world.compile, **options)
                passage.stages = STAGES[options["method"]]
                result = sim.run(until, stop=passage)
            if physics.llg.temperature is not None:
                world.thermal_steps = int(physics.llg.temperature.steps)
            fixed = self.max_dt if passage.too_long else None
            if passage.too_long:
                continue
            if result.ended_by == "until":
                world.t = until
                if until >= end:
                    return
            if passage.stopped:
                return

    def _idle(self, end, stop):
        """Nothing is magnetic: time goes by."""
        world = self.world
        dt = self.fix_dt or self.max_dt or 1e-12
        while world.t < end:
            world.t, world.step, world.dt = min(world.t + dt, end), world.step + 1, dt
            world.schedule.due(world.t)
            world.check_time()
            if stop():
                return


class Passage:
    """What happens after each step of one run; called with its end."""

    def __init__(self, runner: Runner, stop, fixed):
        self.runner, self.world, self.stop, self.fixed = runner, runner.world, stop, fixed
        self.too_long = self.stopped = False
        self.stages = 1

    def __call__(self, t, m):
        world, runner = self.world, self.runner
        t = float(t)
        dt = t - world.t
        if runner.max_dt > 0 and not (self.fixed or runner.fix_dt) and dt > runner.max_dt * 1.0001:
            self.too_long = True
            return torch.tensor(True)
        world.m.put_nodes(m)
        world.t, world.dt, world.step = t, dt, world.step + 1
        world.evaluations += self.stages
        for function in world.after_step:
            function()
        world.schedule.due(t)
        world.check_time()
        moved = [function() for function in world.post_steps]
        self.stopped = bool(self.stop())
        return torch.tensor(any(moved) or self.stopped)


class Warned:
    """Warnings of torchmag go into the log."""

    def __init__(self, world):
        self.world, self.caught = world, warnings.catch_warnings(record=True)

    def __enter__(self):
        self.found = self.caught.__enter__()
        warnings.simplefilter("always")

    def __exit__(self, *error):
        self.caught.__exit__(*error)
        for text in dict.fromkeys(str(warning.message) for warning in self.found):
            self.world.files.log("//" + " ".join(text.split()))
