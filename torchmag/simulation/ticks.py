"""What is written when: states at regular times, taken from steps whose size does not depend on them."""

from collections.abc import Iterator

import torch
from torch import Tensor

from torchmag.solvers.outputs import Outputs
from torchmag.solvers.stepper import Step, System, spread


class Times:
    """The times origin + number * every, without end."""

    def __init__(self, origin: float, every: float):
        self.origin, self.every = origin, every

    def __len__(self):
        return 2**62

    def __getitem__(self, number: int) -> float:
        return self.origin + number * self.every


class Ticks(Outputs):
    """States at the multiples of an interval, handed out once every sample of a batch is there.

    Args:
        origin: the first tick, s.
        every: the interval, s.
    """

    def __init__(self, origin: float, every: float):
        self.times, self.found, self.next = Times(origin, every), {}, None

    def reached(
        self, step: Step, system: System, lost: Tensor | None, end: float | None = None
    ) -> Iterator[tuple[float, Tensor]]:
        """(time, m) at every tick up to `end` that a step brings within the reach of the last sample.

        A sample that is lost is NaN there.  A method without dense output has the end of the step that reaches a tick.
        """
        samples = step.end.numel() if isinstance(step.end, Tensor) else 1
        if self.next is not None and len(self.next) != samples:
            self.next = [min(self.next)] * samples
        if step.middle is None:
            if self.hits(step):
                yield float(step.end), step.m1
            return
        for hit in self.hits(step):
            if end is None or self.times[hit.position] <= end:
                self.add(hit, hit.state(step, self.times[hit.position], system))
            else:
                self.next = [min(number, hit.position) for number in self.next]
        gone = [False] * len(self.next) if lost is None else lost.reshape(-1).tolist()
        waiting = [number for number, left in zip(self.next, gone) if not left]
        for position in sorted(self.found):
            if not waiting or position < min(waiting):
                yield self.times[position], self.found.pop(position)

    def add(self, hit, state):
        if hit.samples is not None:
            before = self.found.get(hit.position)
            before = torch.full_like(state, torch.nan) if before is None else before
            state = torch.where(spread(hit.samples, state), state, before)
        self.found[hit.position] = state

    def state(self) -> dict:
        """All that it needs to go on."""
        return {"next": None if self.next is None else list(self.next), "found": dict(self.found), "origin": self.times.origin}

    def restore(self, state: dict) -> None:
        """Go on from a state."""
        self.next, self.found, self.times.origin = state["next"], dict(state["found"]), state["origin"]
