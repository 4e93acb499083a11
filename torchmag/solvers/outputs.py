"""The states at the requested times, gathered from steps."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.solvers.sources import is_transformed
from torchmag.solvers.stepper import Step, System, is_end, spread


@dataclass(frozen=True)
class Hit:
    """A requested time that a step reaches.

    Attributes:
        position: of the time.
        samples: that reach it, bool; None for all.
        inside: whether one of them reaches it before the end of its step.
    """

    position: int
    samples: Tensor | None
    inside: bool

    def state(self, step: Step, time: float, system: System) -> Tensor:
        """The state there; of samples that do not reach it, anything finite."""
        return step.at(time, system) if self.inside else step.m1


class Outputs:
    """States at requested times.

    Args:
        times: requested, s; the first belongs to the start.
        m: the start.

    Attributes:
        found: states by position, None where no sample was yet; NaN in samples that were not.
    """

    def __init__(self, times: Sequence[float], m: Tensor):
        self.times, self.found, self.next = times, [m, *[None] * (len(times) - 1)], None
        # All states, once, where none of them has a graph.
        self.block, self.alive = None, m.requires_grad and torch.is_grad_enabled()

    def hits(self, step: Step) -> list[Hit]:
        """The times that a step reaches, each sample's once."""
        starts, ends, took = step.clock()
        self.next = self.next or [1] * len(ends)
        reached: dict[int, list[tuple[int, bool]]] = {}
        for sample, (start, end) in enumerate(zip(starts, ends)):
            while took[sample] and self.next[sample] < len(self.times):
                t = self.times[self.next[sample]]
                at_end = is_end(t, start, end)
                if t > end and not at_end:
                    break
                reached.setdefault(self.next[sample], []).append((sample, not at_end))
                self.next[sample] += 1
        return [self._hit(step, position, samples) for position, samples in reached.items()]

    def _hit(self, step, position, samples):
        inside = any(within for _, within in samples)
        if len(samples) == len(self.next):
            return Hit(position, None, inside)
        mask = torch.zeros(len(self.next), dtype=torch.bool)
        mask[[sample for sample, _ in samples]] = True
        return Hit(position, mask.reshape(step.end.shape).to(step.end.device), inside)

    def add(self, hit: Hit, state: Tensor) -> None:
        """Take the state at a hit."""
        if hit.samples is not None:
            before = self.found[hit.position]
            before = torch.full_like(state, torch.nan) if before is None else before
            state = torch.where(spread(hit.samples, state), state, before)
        self.found[hit.position] = self._kept(hit.position, state)

    def _kept(self, position, state):
        """A state where it will be returned, unless it has a graph."""
        self.alive = self.alive or state.requires_grad or is_transformed((state,))
        if self.alive:
            return state
        if self.block is None:
            self.block = state.new_empty((len(self.times), *state.shape))
        self.block[position] = state
        return self.block[position]

    def stacked(self) -> Tensor:
        """(T, *batch, 3, *nodes)."""
        if self.block is None or self.alive:
            nothing = torch.full_like(self.found[0], torch.nan)
            return torch.stack([nothing if state is None else state for state in self.found])
        self.block[0] = self.found[0]
        for row, state in zip(self.block, self.found):
            if state is None:
                row.fill_(torch.nan)
        return self.block
