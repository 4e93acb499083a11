"""What lets a simulation be stopped and continued: its checkpoint, and where the program is in it."""

import contextlib
import math
from collections.abc import Callable, Iterator
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor

from torchmag import checkpoint
from torchmag.checkpoint.file import exists as file_exists
from torchmag.checkpoint.random_states import random_states, restore_random_states
from torchmag.checkpoint.resuming import HOW, take_up
from torchmag.checkpoint.signals import Interrupted, Occasions
from torchmag.errors import CheckpointError
from torchmag.llg import LLG
from torchmag.simulation.identity import fingerprint, identity, require_same
from torchmag.simulation.output import Attached
from torchmag.simulation.phases import Phases
from torchmag.solvers.progress import Progress
from torchmag.solvers.system import require_llg

KIND = "simulation"


class Continued:
    """The state of a simulation on the disk.

    Args:
        llg, m0, folder, t, resume, interval, keep: as of `Simulation`.

    Attributes:
        attached: loggers.
        occasions: when to save.
    """

    def __init__(self, llg: LLG, m0: Tensor, folder, t: float, resume: bool | None, interval: float | None, keep: bool):
        require_llg(llg, m0, "Simulation")
        if isinstance(t, bool) or not isinstance(t, Real) or not math.isfinite(t):
            raise ValueError(f"Simulation: t = {t!r}, expected a time in s")
        self.llg, self.folder, self.keep = llg, None if folder is None else Path(folder), keep
        self.attached: list[Attached] = []
        self._t = self._first = float(t)
        self._progress, self._start = Progress(m0.detach()), m0.detach()
        self._identity, self._saved_outputs = identity(llg, m0), []
        self._phases = Phases(f"Simulation in {folder}")
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
            where = "nothing was saved, there is no folder" if self.folder is None else f"saved in {self.file}; {HOW}"
            raise KeyboardInterrupt(where) if self.occasions.interrupted else Interrupted(f"SIGTERM: {where}")

    def _enter(self, kind: str, arguments: dict) -> tuple[dict, str, dict | None]:
        """A call, and what to do about it: see `Phases.enter`."""
        call = {"kind": kind, "arguments": arguments, "parameters": fingerprint(self.llg)}
        return call, *self._phases.enter(call)

    @contextlib.contextmanager
    def _phase(self, call: dict, take_state: Callable[[], dict], begin: Callable[[], None]) -> Iterator[None]:
        """A call under way, from `begin()` on: its state is what `take_state()` says."""
        try:
            begin()
            self._phases.current, self._take_state = call, take_state
            self._open_loggers()
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
            if first:
                self.file.unlink()
            raise

    def _leave(self, call, result):
        self._phases.leave(call, result)
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
            current = current | {"state": self._take_state()}
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
        # Written before there were others, a checkpoint is of order 2.
        require_same(str(self.file), self._identity, {"order": 2} | found["identity"])
        self._resumed = True
        found = _moved(found, self._start.device)
        self._t, self._first, self._saved_outputs = found["t"], found["first"], found["outputs"]
        self._progress = Progress(**found["progress"])
        self._phases.done, self._phases.current = found["done"], found["current"]
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
    if isinstance(tree, list | tuple):
        return type(tree)(_moved(value, device) for value in tree)
    return tree.to(device) if isinstance(tree, Tensor) else tree
