"""One run: steps, and what happens between them."""

from collections.abc import Callable

from torch import Tensor

from torchmag.simulation.calls import call, taken
from torchmag.simulation.events import Event
from torchmag.simulation.results import Run
from torchmag.solvers.progress import Progress
from torchmag.solvers.segment import segment
from torchmag.solvers.stepper import Step, System


class Running:
    """A run of a simulation up to a time; see `Simulation.run` for the arguments.

    Attributes:
        progress: of the solver.
        system: that is integrated, once it runs.
        events: of each one: what to look for, the last value, and when it happened.
        steps: made.
        ended_by: once it is known.
    """

    def __init__(self, sim, until: float, events: dict[str, Event], stop: Callable | None, callback: Callable | None):
        self.sim, self.until, self.looked_for, self.stop, self.callback = sim, until, events, stop, callback
        self.asked = () if stop is None else taken(stop, "run: stop")
        self.steps, self.ended_by = 0, None
        self.values: dict[str, float] = {}
        self.events: dict[str, list[float]] = {name: [] for name in events}

    def begin(self, what: str, state: dict | None) -> None:
        """Start from where the simulation is, or take up a state.

        Args:
            what, state: see `Phases.enter`.
        """
        sim = self.sim
        if what in ("take up", "take up elsewhere"):
            self.progress = Progress(**state["progress"])
            self.steps, self.ended_by, self.values, self.events = (
                state[name] for name in ("steps", "ended_by", "values", "events")
            )
            if what == "take up elsewhere":
                if isinstance(self.progress.t, Tensor) and self.progress.t.ndim:
                    raise ValueError(
                        "run: until is another than in the checkpoint, but each sample is at a time of its own; keep it"
                    )
                sim._t, self.ended_by = float(self.progress.t), None
                self.progress = self.progress.end()
                if self.until <= sim._t:
                    raise ValueError(f"run: until = {self.until:g} s, but the checkpoint is at t = {sim._t:g} s")
            return
        if self.until <= sim._t:
            raise ValueError(f"run: until = {self.until:g} s, expected a time after t = {sim._t:g} s")
        self.progress = sim._progress.end()
        if what == "go on":
            self.steps, self.events = state["steps"], state["events"]
        self.values = {name: event.value(name, sim._t, self.progress.m) for name, event in self.looked_for.items()}

    def state(self) -> dict:
        """All that it needs to go on."""
        names = ("steps", "ended_by", "values", "events")
        return {"progress": vars(self.progress.copy())} | {name: getattr(self, name) for name in names}

    def run(self, report: Callable[[float, float], None]) -> Run:
        """Go on to the end.

        Args:
            report: called after each step with t and dt.
        """
        sim, progress = self.sim, self.progress
        begun, start = progress.begun, progress.start if progress.begun else sim._t
        system, steps = segment(sim.llg, progress, start, self.until, **sim.options, compile=sim.compile, title="run")
        sim._progress, self.system = progress, system
        if not begun:
            self._log_start(start)
        if self.ended_by is None:
            for step in steps:
                self._take(step, system)
                report(sim._t, float(step.dt.max()) if isinstance(step.dt, Tensor) else step.dt)
                sim.between_steps()
                if self.ended_by is not None:
                    break
        if self.ended_by is None:
            self.ended_by, sim._t = "until", self.until
        sim._progress = self.progress.end()
        return Run(sim._t, self.steps, self.ended_by, self.events)

    def _take(self, step: Step, system: System) -> None:
        """What a step brings."""
        sim, lost = self.sim, self.progress.lost
        many = isinstance(step.end, Tensor) and bool(step.end.ndim)
        end = None if not self.looked_for else self._look(step, system, many)
        self.steps += 1
        for attached in sim.attached:
            if attached.ticks is not None:
                for t, m in attached.ticks.reached(step, system, lost, end):
                    self._log(attached, t, m, lost)
            elif attached.every == "step" and end is None:
                if many:
                    raise ValueError(
                        "Simulation.log: every = 'step', but each sample has steps of its own; give an interval in s"
                    )
                self._log(attached, float(step.end), step.m1, lost)
        sim._t = float(step.end.min()) if many else float(step.end)
        if end is not None:
            self.progress.m, self.progress.t, sim._t = step.at(end, system), end, end
        if self.asked and self.ended_by is None:
            answer = call(self.stop, self.asked, self.progress.t, self.progress.m)
            self.ended_by = "stop" if bool(answer.all()) else None
        if self.callback is not None:
            self.callback(step.end if many else sim._t, step.dt if many else float(step.dt), self.progress.m)

    def _look(self, step, system, many):
        """Find events in a step; when the run ends by one of them, else None.

        Without dense output a run ends with the step.
        """
        if many:
            raise ValueError("run: events need steps common to all samples; give step=, or a stop= condition")
        found, end = [], None
        for name, event in self.looked_for.items():
            before, self.values[name] = self.values[name], event.value(name, float(step.end), step.m1)
            when = event.within(name, before, self.values[name], step, system)
            if when is not None:
                found.append((when, name, event.stop))
        for when, name, stops in sorted(found):
            self.events[name].append(when)
            if stops:
                self.ended_by, end = name, when if step.middle is not None else None
                break
        return end

    def _log_start(self, t):
        for attached in self.sim.attached:
            first = attached.last is None and attached.every != "field"
            if first and (attached.ticks is None or attached.ticks.times.origin == t):
                self._log(attached, t, self.progress.m, None)

    def _log(self, attached, t, m, lost):
        whole = lost is None or not bool(lost.any())
        attached.logger.log(t, m, self.sim.quantities.at(t, m, whole))
        attached.last = t
