"""Long runs: an equation, its state, loggers and checkpoints."""

import contextlib
import math
from collections.abc import Callable, Mapping
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor

from torchmag import checkpoint
from torchmag.checkpoint.file import exists as file_exists
from torchmag.checkpoint.random_states import random_states, restore_random_states
from torchmag.checkpoint.resuming import take_up
from torchmag.checkpoint.signals import Interrupted, Occasions
from torchmag.errors import CheckpointError, ConvergenceError
from torchmag.llg import LLG
from torchmag.observables import average
from torchmag.simulation.bar import Bar, in_units
from torchmag.simulation.events import as_events
from torchmag.simulation.identity import digest, fingerprint, identity, require_same
from torchmag.simulation.loop import hysteresis_loop
from torchmag.simulation.output import Quantities, attach
from torchmag.simulation.phases import Phases
from torchmag.simulation.results import Loop, Run
from torchmag.simulation.running import Running
from torchmag.solvers.progress import Progress
from torchmag.solvers.relax import Relaxation, relax
from torchmag.solvers.system import require_llg

KIND = "simulation"


class Simulation:
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
    ):
        require_llg(llg, m0, "Simulation")
        if isinstance(t, bool) or not isinstance(t, Real) or not math.isfinite(t):
            raise ValueError(f"Simulation: t = {t!r}, expected a time in s")
        self.llg, self.folder = llg, None if folder is None else Path(folder)
        default = "dopri5" if llg.temperature is None else "heun"
        self.options = {"method": method or default, "rtol": rtol, "atol": atol, "step": step}
        self.keep, self.show, self.attached = keep, progress, []
        self.quantities = Quantities(quantities or {"m": lambda m: average(m, llg.magnet)})
        self._t = self._first = float(t)
        self._progress, self._start = Progress(m0.detach()), m0.detach()
        self._identity, self._saved_outputs = identity(llg, m0), []
        self._phases, self._kept = Phases(f"Simulation in {folder}"), None
        self.occasions, self._resumed = Occasions(interval if folder is not None else None), False
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = take_up(self.file, resume, "Simulation")
            if found is not None:
                self._restore(found)

    @property
    def file(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "checkpoint"

    @property
    def t(self) -> float:
        """Time reached, s."""
        return self._past()[0]

    @property
    def m(self) -> Tensor:
        """The state at t: (*batch, 3, *nodes)."""
        return self._past()[1]

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
        """
        if isinstance(until, bool) or not isinstance(until, Real) or not math.isfinite(until):
            raise ValueError(f"run: until = {until!r}, expected a time in s")
        events = as_events(events)
        arguments = {"until": float(until), **self.options, "events": sorted(events), "stop": stop is not None}
        what, state = self._phases.enter("run", arguments)
        if what == "skip":
            return Run(**state)
        if what == "begin" and until <= self._t:
            raise ValueError(f"run: until = {until:g} s, expected a time after t = {self._t:g} s")
        running = Running(self, float(until), events, stop, callback)
        running.begin(what, state)
        with self._phase("run", arguments, running.state), Bar("run", self._t, until, self.show) as bar:
            result = running.run(lambda t, dt: bar.at(t, f" {in_units(t)}, step {in_units(dt)}"))
            self._leave("run", arguments, vars(result))
        return result

    def relax(self, *, tolerance: float | None = None, max_steps: int = 100_000, info: bool = False) -> Relaxation:
        """Take m to equilibrium, drives held at t (see `tm.relax`); t stays.

        Raises:
            ConvergenceError: not converged after max_steps (without `info`).
            Interrupted: SIGTERM, after the checkpoint was written.
        """
        arguments = {"tolerance": tolerance, "max_steps": max_steps}
        what, state = self._phases.enter("relax", arguments)
        if what == "skip":
            return _converged(Relaxation(**state), self._past()[1], info)
        progress = Progress(self._progress.m) if what == "begin" else Progress(**state["progress"])
        take_state = lambda: {"progress": vars(progress.copy())}
        with self._phase("relax", arguments, take_state), torch.no_grad(), Bar("relax", 0, 1, self.show) as bar:

            def after_step(steps, residual, m):
                bar.at(0, f" step {steps}, residual {residual:.2g}")
                self.between_steps()

            m, record = relax(
                self.llg, progress.m, t=self._t, tolerance=tolerance, max_steps=max_steps, callback=after_step, progress=progress, info=True
            )  # fmt: skip
            self._progress = Progress(m)
            self._leave("relax", arguments, vars(record))
        return _converged(record, m, info)

    def hysteresis(
        self, fields, *, term: str | None = None, tolerance: float | None = None, max_steps: int = 10_000, method: str = "lbfgs"
    ) -> Loop:
        """Minima of the energy at one applied field after another (see `tm.hysteresis`); of each field the mean of m is kept.

        A checkpoint lies between two fields: a search that is stopped begins again.

        Args:
            fields, term, tolerance, max_steps, method: as in `tm.hysteresis`; where the tolerance is not reached it goes on.

        Raises:
            Interrupted: SIGTERM, after the checkpoint was written.
        """
        shown = torch.as_tensor(fields, dtype=torch.float64)
        options = {"term": term, "tolerance": tolerance, "max_steps": max_steps, "method": method}
        arguments = {"fields": [list(shown.shape), digest(shown.cpu())], **options}
        what, state = self._phases.enter("hysteresis", arguments)
        if what == "skip":
            return Loop(**state)
        state = {"index": 0, "m": self._progress.m, "rows": []} if what == "begin" else state
        with self._phase("hysteresis", arguments, lambda: dict(state)), Bar("hysteresis", 0, len(shown), self.show) as bar:
            found = hysteresis_loop(self, fields, state, options, bar)
            self._progress = Progress(state["m"])
            self._leave("hysteresis", arguments, vars(found))
        return found

    def save(self) -> None:
        """Write a checkpoint now; without a folder this does nothing."""
        if self.folder is None:
            return
        checkpoint.save(self.file, self._content())
        self.occasions.saved()

    def between_steps(self) -> None:
        """Save if it is time to, and stop if a signal asked for it: what is between two steps can be taken up."""
        if self.occasions.due:
            self.save()
        self._heed_signals()

    def _heed_signals(self):
        if self.occasions.stop:
            where = "nothing was saved, there is no folder" if self.folder is None else f"saved in {self.file}"
            raise KeyboardInterrupt(where) if self.occasions.interrupted else Interrupted(f"SIGTERM: {where}")

    def close(self) -> None:
        """Close the loggers."""
        for attached in self.attached:
            if attached.opened:
                attached.logger.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @contextlib.contextmanager
    def _phase(self, kind, arguments, take_state):
        """A call under way: its state is what `take_state()` says."""
        self._require_same_parameters()
        self._phases.current = {"kind": kind, "arguments": arguments, "state": None}
        self._take_state = take_state
        self._open_loggers()
        try:
            with self.occasions:
                yield
        except BaseException:
            # The call may be made again, or another one: from where it was left.
            self._phases.current, self._phases.count = None, self._phases.count - 1
            raise
        # One that came while the end of the call was saved.
        self._heed_signals()

    def _open_loggers(self):
        """A checkpoint comes first: what is in the files without one could not be told from another run's."""
        first = self.folder is not None and not file_exists(self.file)
        if first:
            self.save()
        try:
            for attached in self.attached:
                attached.open()
        except BaseException:
            self._phases.current, self._phases.count = None, self._phases.count - 1
            if first:
                self.file.unlink()
            raise

    def _require_same_parameters(self):
        """Raise if the call under way was begun with other parameters; remember those that it is begun with."""
        own = fingerprint(self.llg)
        if self._kept is not None:
            require_same(f"{self._phases.title}: parameters of the call under way", own, self._kept)
        self._kept, self._fingerprint = None, own

    def _leave(self, kind, arguments, result):
        self._phases.leave(kind, arguments, result)
        if self.folder is None:
            return
        if self.keep:
            checkpoint.save(self._end_of(self._phases.count), {"t": self._t, "m": self._progress.m}, keep=False)
        self.save()

    def _past(self):
        """(t, m) where the program is, which may be behind the checkpoint."""
        if not self._phases.behind:
            return self._t, self._progress.m
        if self._phases.count == 0:
            return self._first, self._start
        try:
            found = checkpoint.load(self._end_of(self._phases.count))
        except FileNotFoundError:
            raise CheckpointError(
                f"Simulation: m after call {self._phases.count} was not kept; pass keep=True, or use what the call returned"
            ) from None
        return found["t"], found["m"].to(self._start.device)

    def _end_of(self, number):
        return self.folder / f"end_of_call_{number}"

    def _content(self):
        thermal, current = self.llg.temperature, self._phases.current
        if current is not None:
            current = current | {"state": self._take_state(), "parameters": self._fingerprint}
        return {
            "kind": KIND,
            "identity": self._identity,
            "t": self._t,
            "first": self._first,
            "progress": vars(self._progress),
            "done": self._phases.done,
            "current": current,
            "outputs": [attached.state() for attached in self.attached],
            "noise": None if thermal is None else {"steps": thermal.steps, "seed": thermal.seed},
            "random": random_states(),
        }

    def _restore(self, found):
        """Take up a checkpoint: what the program calls next decides what becomes of it."""
        if not isinstance(found, dict) or found.get("kind") != KIND:
            raise CheckpointError(f"{self.file}: expected the checkpoint of a simulation, got one of another kind")
        require_same(str(self.file), self._identity, found["identity"])
        self._resumed = True
        found = _moved(found, self._start.device)
        self._t, self._first, self._saved_outputs = found["t"], found["first"], found["outputs"]
        self._progress = Progress(**found["progress"])
        self._phases.done, current = found["done"], found["current"]
        self._phases.current = current
        self._kept = None if current is None else current["parameters"]
        thermal = self.llg.temperature
        if thermal is not None:
            if not torch.equal(thermal.seed.cpu(), found["noise"]["seed"].cpu()):
                raise CheckpointError(f"{self.file}: the thermal field's seed differs from that of the checkpoint")
            thermal.steps.copy_(found["noise"]["steps"])
        restore_random_states(found["random"])


def _moved(tree, device):
    """A tree with its tensors on a device."""
    if isinstance(tree, dict):
        return {key: value if key == "random" else _moved(value, device) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_moved(value, device) for value in tree]
    return tree.to(device) if isinstance(tree, Tensor) else tree


def _converged(record, m, info):
    if record.converged or info:
        return record
    raise ConvergenceError(
        f"relax: max |m x H| / Ms = {record.residual:.3g} after {record.steps} steps; raise max_steps or tolerance, or pass info=True "
        f"to go on from the state as it is", m, record,
    )  # fmt: skip
