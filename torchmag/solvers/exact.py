"""The exact gradient of a discrete solution, in bounded memory.

The first steps keep their tapes, as many as fit (`Tapes`).  All others are found without.  Each is remembered as a pure map of the state,
its times fixed (`Step.again`), and some states are kept (`checkpoints`).  Backwards, each of these is made once more with a tape of its
own, which is gone before the next: what a gradient holds is what was kept and one step's tape.  The projection to unit length and the interpolation to the requested
times are part of the map; step sizes are constants.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torchmag.device import runs_apart
from torchmag.errors import GradientError
from torchmag.solvers.checkpoints import Checkpoints
from torchmag.solvers.outputs import Hit, Outputs
from torchmag.solvers.sources import exchanged, found_by, mark, taped_bytes, without_hooks
from torchmag.solvers.stepper import Step, System, Time, spread
from torchmag.solvers.tape import CHANGED, Gate, Gated, Tapes, in_one_piece, lean

# Bytes that a gradient may hold if the user sets no bound; more only where one step's tape and FEWEST states need more.
MEMORY, FEWEST = 2**30, 64
# States that are kept beside tapes at the most: no step of a hundred thousand is made again more than once.
STATES = 900
# How many steps of a backward pass are searched for tensors that the forward pass did not know.
SEARCHED = 8


@dataclass(frozen=True)
class Move:
    """A step as a pure map.

    Attributes:
        t: its start, s.
        again: see `Step.again`.
        hits: the requested times that it reaches.
        dt: its length, s.
    """

    t: Time
    again: Callable
    hits: list[Hit]
    dt: Time


@dataclass
class Path:
    """A trajectory that can be followed once more, forwards and backwards.

    Attributes:
        system: with values that carry graphs.
        times: requested, s; the first belongs to the start.
        steps: of a system, from a start, an iterable of accepted steps.
        resolved: the tensors in the system's values that require a gradient.
        copies: of these, for tapes.
        live: the tensors that enter otherwise, such as the parameters of a drive.
        checkpoints: the states that are kept, of the steps without a tape.
        tapes: of the first steps; None if no tape is kept.
        heads: the states that these steps start from.
        lean: whether each rate gets a tape of its own, not a whole step: more work, less memory.
        moves: of the steps made.
        end: the state that the last one leads to.
    """

    system: System
    times: Sequence[float]
    steps: Callable[[System, Tensor], Iterable[Step]]
    resolved: Sequence[Tensor]
    live: Sequence[Tensor]
    checkpoints: Checkpoints
    lean: bool
    copies: list[Tensor] = field(default_factory=list)
    tapes: Tapes | None = None
    heads: list[Tensor] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    end: Tensor | None = None

    def run(self, m: Tensor) -> Tensor:
        """The states at the requested times, (T, *batch, 3, *nodes)."""
        outputs, self.end = Outputs(self.times, m), m
        for step in self.steps(replace(self.system, tapes=self.tapes), m):
            if self.tapes is not None and self.tapes.keep(step):
                self.heads.append(step.m0)
            else:
                self.checkpoints.add(step.m0)
            self.end = step.m1
            self.moves.append(Move(step.t, step.again, outputs.hits(step), step.dt))
            for hit in self.moves[-1].hits:
                outputs.add(hit, hit.state(step, self.times[hit.position], self.system))
        if self.tapes is not None:
            self.tapes.end()
        return outputs.stacked()

    def pull(self, cotangent: Tensor) -> list[Tensor | None]:
        """The gradients of the start, the resolved and the live tensors."""
        wanted = [*self.copies, *self.live]
        plain = self._system_with(self.copies)
        with_tape = lean if self.lean else in_one_piece
        taped = with_tape(plain, wanted)
        replay, count = plain.replay and plain.replay(), len(self.moves)
        totals, adjoint = [None] * len(wanted), torch.zeros_like(cotangent[0])
        searched, drift, after = max(1, len(self.moves) // SEARCHED), torch.zeros_like(cotangent[0].sum()), self.end
        forwards = plain
        for number, m in self._backwards(lambda number, m: self._again(number, forwards, m).m1):
            start = m.detach().requires_grad_()
            if number % searched == 0:
                self._require_known(self.moves[number].t, plain, start, wanted)
                drift = torch.maximum(drift, self._drift_of_tape(number, plain, start))
            system = taped if number >= self.first else self.tapes.system_of(number, plain, wanted)
            with torch.enable_grad():
                step = self._again(number, system, start)
            drift, after = torch.maximum(drift, (step.m1.detach() - after).abs().max()), m
            ends, cotangents = self._cotangents(number, step, adjoint, cotangent)
            adjoint, *gradients = torch.autograd.grad(ends, [start, *wanted], cotangents, allow_unused=True)
            totals = [total if new is None else new if total is None else total + new for total, new in zip(totals, gradients)]
            if replay is not None:
                replay.consider(lambda number=number: 1 - number / count)
                if replay.function is not None:
                    plain, replay = replace(plain, function=replay.function), None
                    taped = with_tape(plain, wanted)
        if replay is not None:
            replay.end()
        require_same(drift)
        return [adjoint + cotangent[0], *totals]

    @property
    def first(self) -> int:
        """The first step without a tape."""
        return 0 if self.tapes is None else len(self.tapes.kept)

    def _backwards(self, step):
        """(number, state) of every step, the last first."""
        for number, m in self.checkpoints.backwards(lambda number, m: step(number + self.first, m)):
            yield number + self.first, m
        for number in reversed(range(self.first)):
            yield number, self.heads[number]
            self.tapes.forget(number)

    def _drift_of_tape(self, number, system, start):
        """By how far a step would lead elsewhere now than when its tape was taken, to first order."""
        if number >= self.first or not (known := self.tapes.kept[number]):
            return start.detach().new_zeros(())
        with torch.no_grad():
            now, move = system.rate(self.moves[number].t, start), self.moves[number]
            return ((now - known[0].rate) * spread(move.dt, start)).abs().max()

    def _cotangents(self, number, step, adjoint, cotangent):
        """What the outputs are made of in a step, and its cotangents: one output at a time, for the sake of memory."""
        with torch.enable_grad():
            middle = step.halfway()
        parts = {"m1": step.m1} | ({} if middle is None else {"m0": step.m0, "k0": step.k0, "k1": step.k1, "middle": middle})
        totals = {name: torch.zeros_like(part) for name, part in parts.items()}
        totals["m1"] = totals["m1"] + adjoint
        copies = {name: part.detach().requires_grad_() for name, part in parts.items()}
        for hit in self.moves[number].hits:
            with torch.enable_grad():
                state = hit.state(replace(step, **copies), self.times[hit.position], self.system)
            new = torch.autograd.grad(state, list(copies.values()), _masked(cotangent[hit.position], hit), allow_unused=True)
            totals = {name: total if x is None else total + x for (name, total), x in zip(totals.items(), new)}
        return list(parts.values()), list(totals.values())

    def pull_with_graph(self, cotangent: Tensor, m: Tensor, sources: Sequence[Tensor]) -> list[Tensor | None]:
        """`pull`, itself differentiable: with the tape of every step."""
        with torch.enable_grad():
            # One value may depend on another, or on a live tensor: a gradient must not pass from the one to the other here.
            gate = Gate()
            start, *aliases = [Gated.apply(gate, x) for x in (m, *sources[: len(self.resolved)])]
            system = self._system_with(aliases)
            state, outputs = start, Outputs(self.times, start)
            for number, move in enumerate(self.moves):
                step = self._again(number, system, state)
                state = step.m1
                for hit in move.hits:
                    outputs.add(hit, hit.state(step, self.times[hit.position], system))
            require_same((state.detach() - self.end).abs().max())
            wanted = [start, *aliases, *sources[len(self.resolved) :]]
            given = [x for x in wanted if x.requires_grad]  # the start may not
            gradients = iter(torch.autograd.grad(outputs.stacked(), given, cotangent, create_graph=True, allow_unused=True))
            gate.open = True
            return [next(gradients) if x.requires_grad else None for x in wanted]

    def _again(self, number: int, system: System, m: Tensor) -> Step:
        """A step from m, with what the outputs within it need."""
        move = self.moves[number]
        return move.again(system, m, dense=any(hit.inside for hit in move.hits))

    def _system_with(self, resolved: Sequence[Tensor]) -> System:
        values = exchanged(self.system.values, {id(old): new for old, new in zip(self.resolved, resolved)})
        return replace(self.system, values=values)

    def _require_known(self, t, system, m, wanted):
        unknown = unknown_to(wanted, system, t, m)
        if unknown:
            raise TypeError(
                f"solve: a tensor of shape {tuple(unknown[0].shape)} that requires a gradient enters at t = {float(torch.as_tensor(t).max()):g} s only, by a "
                f"parameter that closes over it; give it as an nn.Parameter of a Module, or in params="
            )


def require_same(drift: Tensor) -> None:
    """Raise if steps made once more lead elsewhere, by how far."""
    if not float(drift) <= torch.finfo(drift.dtype).eps ** 0.5:
        raise GradientError(
            f"solve: no gradient, since the steps lead elsewhere when made once more (by {float(drift):.2g}, a length): {CHANGED}"
        )


def _masked(cotangent, hit):
    """Of the samples that reach a time in this step."""
    return cotangent if hit.samples is None else torch.where(spread(hit.samples, cotangent), cotangent, 0)


class Solution(torch.autograd.Function):
    """The states at the requested times as a function of the start and of the tensors that a Path depends on."""

    @staticmethod
    def forward(ctx, path: Path, m: Tensor, *sources: Tensor) -> Tensor:
        ctx.path, kind = path, m.device.type
        # Weights that autocast caches would keep the tape of the first step that uses them.
        ctx.autocast = {"device_type": kind, "dtype": torch.get_autocast_dtype(kind), "enabled": torch.is_autocast_enabled(kind)}
        ctx.autocast["cache_enabled"] = False
        with torch.autocast(**ctx.autocast):
            found = path.run(m.detach())
        # Freed, as any tape, by a backward pass that does not retain the graph.
        ctx.kept, states = list(path.checkpoints.kept), path.checkpoints.kept.values()
        ctx.save_for_backward(m, *sources, *path.heads, *states)
        path.checkpoints.kept.clear()
        path.heads = []
        return found

    @staticmethod
    def backward(ctx, cotangent):
        m, *saved = ctx.saved_tensors
        path, first, last = ctx.path, len(saved) - len(ctx.kept) - ctx.path.first, len(saved) - len(ctx.kept)
        sources, path.heads = saved[:first], saved[first:last]
        path.checkpoints.kept = dict(zip(ctx.kept, saved[last:]))
        with without_hooks(path.live), torch.autocast(**ctx.autocast):
            found = path.pull_with_graph(cotangent, m, sources) if torch.is_grad_enabled() else path.pull(cotangent)
        path.checkpoints.kept, path.heads = {}, []
        return None, *found


def unknown_to(known: Sequence[Tensor], system: System, t: Time, m: Tensor) -> list[Tensor]:
    """The tensors beside m and the known ones that a rate has a gradient to.

    Raises:
        TypeError: see `found_by`.
    """
    before = mark()
    with torch.enable_grad():
        rate = system.rate(t, m)
    return found_by(rate, before, [m, *known], "solve")


def make_path(
    system: System,
    times: Sequence[float],
    steps: Callable[[System, Tensor], Iterable[Step]],
    m: Tensor,
    resolved: Sequence[Tensor],
    live: Sequence[Tensor],
    stages: int,
    memory: int | None,
    keeps_tapes: bool,
) -> Path:
    """A Path whose gradient holds at most `memory` bytes; `keeps_tapes`: whether its steps take all of their rates from the system.

    Raises:
        ValueError: a memory that holds no step.
        TypeError: see `found_by`.
    """
    copies = [x.detach().requires_grad_() for x in resolved]
    path = Path(system, times, steps, resolved, list(live), Checkpoints(2), False, copies)
    system, start = path._system_with(copies), m.detach().requires_grad_()
    for t in (times[0], 0.5 * (times[0] + times[-1]), times[-1]):
        path.live += unknown_to([*copies, *path.live], system, t, start)
    with torch.enable_grad():
        tape = taped_bytes(system.rate(times[0], start), [start, *copies, *path.live])
    state = m.numel() * m.element_size()
    totals = 2 * sum(x.numel() * x.element_size() for x in (*resolved, *path.live))
    whole, least = (n * tape + (2 * stages + 4) * state + totals for n in (stages + 1, 2))
    if memory is None:
        memory = max(MEMORY, whole + FEWEST * state)
    path.lean = memory < whole + min(FEWEST, 16) * state
    slots = int((memory - (least if path.lean else whole)) // state)
    if slots < 2:
        raise ValueError(
            f"solve: memory = {memory:_} bytes is too small for the gradient of a single step; this problem needs at least "
            f"{least + 2 * state:_}, and more to keep from making steps many times ({whole + FEWEST * state:_} is comfortable)"
        )
    if keeps_tapes and not path.lean and system.whole is None and not runs_apart(m):
        # Most of it for tapes, the rest for the states of the steps that have none.
        left = min(slots // 4, STATES)
        path.tapes, slots = Tapes(path._system_with(copies), stages, (slots - left) * state), left
    path.checkpoints = Checkpoints(slots)
    return path
