"""Where gradients pass within a solution, and how long their tapes last."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torchmag.errors import GradientError
from torchmag.solvers.compilation import nothing_known
from torchmag.solvers.sources import taped_bytes
from torchmag.solvers.stepper import Step, System, combine

CHANGED = (
    "the equation changed after solve (a drive, a torque, a buffer, a seed, frozen nodes, train() or eval()) or is random (dropout); "
    "call backward before any change, and make random Modules repeat themselves"
)


@dataclass
class Gate:
    """Whether gradients pass."""

    open: bool = False


class Gated(torch.autograd.Function):
    """A tensor, whose gradient passes on to its history once a gate is open."""

    @staticmethod
    def forward(ctx, gate: Gate, x: Tensor) -> Tensor:
        ctx.gate = gate
        return x.view_as(x)

    @staticmethod
    def backward(ctx, cotangent):
        return None, cotangent if ctx.gate.open else None


class Rate(torch.autograd.Function):
    """A rate whose tape is made when its gradient is taken, and gone thereafter."""

    @staticmethod
    def forward(ctx, system: System, t: float, m: Tensor, *wanted: Tensor) -> Tensor:
        ctx.system, ctx.t = system, t
        ctx.save_for_backward(m, *wanted)
        return system.rate(t, m)

    @staticmethod
    def backward(ctx, cotangent):
        m, *wanted = ctx.saved_tensors
        m = m.detach().requires_grad_()
        with torch.enable_grad():
            rate = ctx.system.rate(ctx.t, m)
        # Retained: values may have a history, which the other rates of a step share.
        return None, None, *torch.autograd.grad(rate, [m, *wanted], cotangent, allow_unused=True, retain_graph=True)


def lean(system: System, wanted: Sequence[Tensor]) -> System:
    """The system, each of whose rates has a tape only while its gradient is taken."""
    return replace(system, function=lambda t, m, values: Rate.apply(replace(system, values=values), t, m, *wanted))


@dataclass
class Taped:
    """A rate that was taken with a tape.

    Attributes:
        m: the state, where the tape ends.
        rate: without the tape.
        tape: the rate with it; None once its gradient was taken.
    """

    m: Tensor
    rate: Tensor
    tape: Tensor | None


class Known(torch.autograd.Function):
    """A rate whose tape was kept, as a function of the state and of the tensors that it depends on."""

    @staticmethod
    def forward(ctx, taped: Taped, m: Tensor, *wanted: Tensor) -> Tensor:
        ctx.taped = taped
        ctx.save_for_backward(*wanted)
        return taped.rate.detach()

    @staticmethod
    def backward(ctx, cotangent):
        taped = ctx.taped
        try:
            found = torch.autograd.grad(taped.tape, [taped.m, *ctx.saved_tensors], cotangent, allow_unused=True)
        except RuntimeError as error:
            if "modified by an inplace operation" in str(error):
                raise GradientError(f"solve: no gradient, since a tensor was changed in place after solve ({CHANGED})") from None
            raise
        taped.tape = None
        return None, *found


def taped_rate(system: System, t, m: Tensor) -> Taped:
    """A rate of a system, with a tape."""
    start = m.detach().requires_grad_()
    with torch.enable_grad():
        rate = system.function(t, start, system.values)
    return Taped(start, rate.detach(), rate)


def in_one_piece(system: System, wanted: Sequence[Tensor]) -> System:
    """The system, the gradient of each of whose rates is summed before it counts, as that of a rate whose tape was kept: to the bit."""
    return replace(
        system, function=lambda t, m, values: Known.apply(taped_rate(replace(system, values=values), t, m), m, *wanted)
    )


@dataclass
class Tapes:
    """Takes the rates of the first steps with a tape, which then need not be made again, while there is room.

    Attributes:
        system: whose values the tapes lead to.
        stages: rates per step, one at its end included.
        room: bytes for tapes and states.
        open: whether rates are taken with a tape.
        kept: of each step its rates, in the order that `Step.again` takes them; none once they are forgotten.
    """

    system: System
    stages: int
    room: float
    open: bool = True
    kept: list[list[Taped]] = field(default_factory=list)

    def __post_init__(self):
        self._recent, self._each = [], None
        self._replay = self.system.replay and self.system.replay()

    def stage(self, t, m, h, weights, stages, end, values) -> tuple[Tensor, Tensor]:
        """See `System.stage`."""
        state = combine(m, h, weights, stages)
        state = self.system.project(state) if end else state
        compiled = self._replay and self._replay.function
        taped = taped_rate(replace(self.system, function=compiled) if compiled else self.system, t, state)
        self._recent = [*self._recent[-2 * self.stages :], taped]
        if self._each is None:
            self._each = taped_bytes(taped.tape, [taped.m]) + 2 * state.numel() * state.element_size()
        return state, taped.rate

    def keep(self, step: Step) -> bool:
        """Keep the tapes of an accepted step; False if there are none, and once there is no room: then no more are taken."""
        if not self.open:
            return False
        if not (own := self._of(step)):
            self.end()
            return False
        self.kept.append(own)
        if self._replay is not None:
            self._replay.consider(nothing_known)
        self.room -= self.stages * self._each
        if self.room < self.stages * self._each:
            self.end()
        return True

    def _of(self, step):
        """The rates of a step, which then are no longer recent; none if they cannot be told."""
        if step.k1 is None:
            own, self._recent = self._recent, []
            return own
        place = next((i for i, taped in enumerate(self._recent) if taped.rate is step.k1), -1)
        start = self.kept[-1][-1] if self.kept else next((taped for taped in self._recent if taped.rate is step.k0), None)
        if place < self.stages - 1 or start is None or start.rate is not step.k0:
            return []
        own, self._recent = self._recent[place - self.stages + 1 : place + 1], self._recent[place:]
        return [start, *own]

    def forget(self, number: int) -> None:
        """The rates of a step whose gradient was taken."""
        self.kept[number] = []

    def end(self) -> None:
        """No more tapes are taken."""
        if self._replay is not None:
            self._replay.end()
        self.open, self._recent, self._replay = False, [], None

    def system_of(self, number: int, system: System, wanted: Sequence[Tensor]) -> System:
        """A system that knows the rates of a step; those whose tapes are gone it makes anew."""
        following = iter(self.kept[number])

        def function(t, m, values):
            taped = next(following, None)
            return Known.apply(taped if taped and taped.tape is not None else taped_rate(system, t, m), m, *wanted)

        return replace(system, function=function)
