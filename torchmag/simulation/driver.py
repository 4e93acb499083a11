"""Long runs: an equation, its state, loggers and checkpoints."""

import math
from collections.abc import Callable, Mapping
from numbers import Real

import torch
from torch import Tensor

from torchmag.bar import Bar, in_units
from torchmag.errors import ConvergenceError
from torchmag.llg import LLG
from torchmag.observables import average
from torchmag.simulation.continued import Continued
from torchmag.simulation.events import as_events
from torchmag.simulation.identity import digest
from torchmag.simulation.loop import hysteresis_loop
from torchmag.simulation.output import Quantities, attach
from torchmag.simulation.results import Loop, Run
from torchmag.simulation.running import Running
from torchmag.solvers.compilation import require_choice
from torchmag.solvers.progress import Progress
from torchmag.solvers.relax import Relaxation, relax
from torchmag.solvers.resolution import warn_if_coarse

KIND = "simulation"


class Simulation(Continued):
    """A magnetisation and its equation, driven through runs that may be long, logged on the way, and stopped and continued at will:

        sim = tm.Simulation(llg, m0, "results")
        sim.log(tm.loggers.Table("results/table.csv"), every=1e-12)
        sim.relax()
        llg.energy.zeeman.H = (0, 0, 8e4)
        sim.run(2e-9)

    Memory does not grow with the length of a run.  A program that was stopped is run again as it is, with resume=True: calls
    that the checkpoint has behind it return what they returned, the one that was under way goes on between two of its steps,
    and every number is the one of the run that was never stopped, on the same machine with as many threads.

    Args:
        llg: the equation.  Its parameters may change between two calls, by the program, which does so again when it is resumed.
        m0: (*batch, 3, *nodes), of unit length inside the body.
        folder: for checkpoints; it is made.  None: none are written.
        t: time of m0, s.
        method, rtol, atol, step: of `run`, as in `tm.solve`; methods with a memory of their own (Adams, SciPy's) are not taken.
        quantities: name -> function of t, m or both by these names, to numbers for the loggers; {"m": the mean over the body} by default.
        resume: True goes on from the folder's checkpoint where there is one; False refuses to; None: as `torchmag run` says, else False.
        interval: seconds between two checkpoints; also written on SIGUSR1, on SIGTERM and Ctrl-C, which then end the program, and at
            the end of each call.  None: not by time.
        keep: also keep m at the end of each call, for programs that read `m` between two.
        progress: a bar on standard error; None: if that is a terminal.
        compile: as in `tm.solve`.  A run that compiled on the way, "auto", is that of one that was stopped to rounding, not to the last bit.

    Raises:
        FileExistsError: the folder has a checkpoint and resume is not True.
        CheckpointError: the checkpoint cannot be read or belongs to another mesh, dtype or equation, by what differs.
        TypeError, ValueError: as `tm.solve`.
    """

    def __init__(
        self,
        llg: LLG,
        m0: Tensor,
        folder=None,
        *,
        t: float = 0.0,
        method: str | None = None,
        rtol: float = 1e-5,
        atol: float = 1e-5,
        step: float | None = None,
        quantities: Mapping[str, Callable] | None = None,
        resume: bool | None = None,
        interval: float | None = 900.0,
        keep: bool = True,
        progress: bool | None = None,
        compile: str | bool = "auto",
    ):
        require_choice(compile, "Simulation")
        super().__init__(llg, m0, folder, t, resume, interval, keep)
        default = "dopri5" if llg.temperature is None else "heun"
        self.options = {"method": method or default, "rtol": rtol, "atol": atol, "step": step}
        self.compile = compile
        self.show, self.quantities = progress, Quantities(quantities or {"m": lambda m: average(m, llg.magnet)})

    def log(self, logger, every: float | str) -> None:
        """Call a logger from now on.

        Args:
            logger: with open(position), log(t, m, values), position() and close(): see `torchmag.loggers`.
            every: at the multiples of this interval from now on, s, in `run`: by interpolation, so that steps do not depend on it (methods
                without dense output: at the end of the step that reaches them).  "step": after each step of `run`.  "field":
                after each field of `hysteresis`, whose number takes the place of t.
        """
        number = len(self.attached)
        state = self._saved_outputs[number] if number < len(self._saved_outputs) else None
        self.attached.append(attach(logger, every, self._t, state, self._resumed))

    def run(
        self,
        until: float,
        *,
        stop: Callable | None = None,
        events: Mapping[str, Callable] | None = None,
        callback: Callable[[float, float, Tensor], None] | None = None,
    ) -> Run:
        """Integrate the equation up to a time.

        Args:
            until: s, later than t.
            stop: of t, m or both by these names, to whether the run ends (for each sample of a batch: it ends when all say so);
                asked after each step, which makes `lambda m: ...` a run-while condition.
            events: name -> `Event`, or its function alone.
            callback: called after each accepted step with (t, dt, m).

        Raises:
            NonFiniteError, StepSizeError: as `tm.solve`; nothing that is not finite is logged.
            Interrupted: SIGTERM, after the checkpoint was written.
        Warns:
            ResolutionWarning: as `tm.solve`.
        """
        if isinstance(until, bool) or not isinstance(until, Real) or not math.isfinite(until):
            raise ValueError(f"run: until = {until!r}, expected a time in s")
        events = as_events(events)
        arguments = {"until": float(until), **self.options, "events": sorted(events), "stop": stop is not None}
        running = Running(self, float(until), events, stop, callback)
        call, what, state = self._enter("run", arguments)
        if what == "skip":
            return Run(**state)
        begin = lambda: running.begin(what, state)
        with self._phase(call, running.state, begin), Bar("run", self._t, until, self.show) as bar:
            result = running.run(lambda t, dt: bar.at(t, f" {in_units(t)}, step {in_units(dt)}"))
            if self.llg.temperature is None:
                warn_if_coarse(self._progress.m, self.llg.magnet, running.system.values["energy"]["magnet"], "Simulation.run")
            self._leave(call, vars(result))
        return result

    def relax(self, *, tolerance: float | None = None, max_steps: int = 100_000, info: bool = False) -> Relaxation:
        """Take m to equilibrium, drives held at t (see `tm.relax`); t stays.

        Raises:
            ConvergenceError: not converged after max_steps (without `info`).
            Interrupted: SIGTERM, after the checkpoint was written.
        """
        arguments = {"tolerance": tolerance, "max_steps": max_steps}
        call, what, state = self._enter("relax", arguments)
        if what == "skip":
            return _converged(Relaxation(**state), self._past()[1], info)
        progress = Progress(self._progress.m) if what == "begin" else Progress(**state["progress"])
        take_state = lambda: {"progress": vars(progress.copy())}
        with self._phase(call, take_state, nothing), torch.no_grad(), Bar("relax", 0, 1, self.show) as bar:

            def after_step(steps, residual, m):
                bar.at(0, f" step {steps}, residual {residual:.2g}")
                self.between_steps()

            m, record = relax(
                self.llg, progress.m, t=self._t, tolerance=tolerance, max_steps=max_steps, callback=after_step, search=progress, info=True,
                compile=self.compile, progress=False,
            )  # fmt: skip
            self._progress = Progress(m)
            self._leave(call, vars(record))
        return _converged(record, m, info)

    def hysteresis(
        self, fields, *, term: str | None = None, tolerance: float | None = None, max_steps: int = 10_000, method: str = "lbfgs"
    ) -> Loop:
        """Minima of the energy at one applied field after another (see `tm.hysteresis`); of each field the mean of m is kept.

        Args:
            fields, term, tolerance, max_steps, method: as in `tm.hysteresis`; where the tolerance is not reached it goes on.

        Raises:
            Interrupted: SIGTERM, after the checkpoint was written.
        """
        shown = torch.as_tensor(fields, dtype=torch.float64)
        options = {"term": term, "tolerance": tolerance, "max_steps": max_steps, "method": method}
        arguments = {"fields": [list(shown.shape), digest(shown.cpu())], **options}
        call, what, state = self._enter("hysteresis", arguments)
        if what == "skip":
            return Loop(**state)
        state = {"index": 0, "m": self._progress.m, "rows": [], "search": None} if what == "begin" else state
        with (
            self._phase(call, lambda: dict(state), nothing),
            Bar("hysteresis", 0, len(shown), self.show) as bar,
        ):
            found = hysteresis_loop(self, fields, state, options, bar)
            self._progress = Progress(state["m"])
            self._leave(call, vars(found))
        return found

    def close(self) -> None:
        """Close the loggers."""
        for attached in self.attached:
            if attached.opened:
                attached.logger.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def nothing() -> None:
    """What a call begins with that needs no preparation."""


def _converged(record, m, info):
    if record.converged or info:
        return record
    raise ConvergenceError(
        f"relax: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps; raise max_steps or tolerance, or pass info=True "
        f"to go on from the state as it is", m, record,
    )  # fmt: skip
