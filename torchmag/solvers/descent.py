"""Descent on a landscape with a line search, each sample of a batch on its own."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from torchmag.bar import Bar
from torchmag.samples import Samples
from torchmag.solvers.sphere import Landscape

# Largest turn of a step, rad: small enough to stay in the basin in which the state began.
LARGEST_TURN = 0.25
# Least part of the descent that the slope promises (Armijo), and shortening of a step that gives less.
DECREASE, SHORTEST, LONGEST = 1e-4, 0.1, 0.5
# Once no more than this part of the samples is under way, they go on alone; dividing costs about as much as one step.
LEFT = 0.75


class Method(Protocol):
    """How directions are chosen: see LBFGS and BarzilaiBorwein; made of a landscape and a size per sample, or of `memory` instead."""

    window: int

    @property
    def memory(self) -> dict: ...

    def direction(self, m: Tensor, g: Tensor) -> Tensor: ...

    def learn(self, took: Tensor, s: Tensor, y: Tensor, g: Tensor) -> None: ...

    def forget(self, lost: Tensor) -> None: ...


@dataclass(frozen=True)
class Descent:
    """Where a descent is after one field evaluation: all that the next one depends on.

    Numbers per sample are (*batch, 1, *1).

    Attributes:
        m: the state.
        h, g: the field, and minus its tangential part.
        residual: max |m x H| / max Ms of each sample.
        stuck: samples whose step has become too short to change m.
        energies: of the last states, from that of the first, per sample.
        p, slope: the step to try next, and the slope of the energy along it; None before the first.
        memory: of the method.
        steps: at which some sample moved.
        evaluations: of the field.
        rest: None of a whole batch, else {"numbers": which samples all these belong to, and "m", "residual", "stuck" of the whole
            batch, where the others have ended}.
    """

    m: Tensor
    h: Tensor
    g: Tensor
    residual: Tensor
    stuck: Tensor
    energies: list[Tensor]
    p: Tensor | None = None
    slope: Tensor | None = None
    memory: dict | None = None
    steps: int = 0
    evaluations: int = 1
    rest: dict | None = None

    def active(self, tolerance: float) -> Tensor:
        """Samples that go on."""
        return (self.residual > tolerance) & ~self.stuck

    def samples(self, axes: int) -> Samples | None:
        """Which these are; `axes` axes follow those of the batch.  None for all."""
        if self.rest is None:
            return None
        return Samples(tuple(self.rest["residual"].shape[:-axes]), self.rest["numbers"])

    def whole(self, axes: int) -> dict[str, Tensor]:
        """m, residual and stuck of the whole batch."""
        own, samples = {name: getattr(self, name) for name in ("m", "residual", "stuck")}, self.samples(axes)
        return own if samples is None else {name: samples.put(self.rest[name], x) for name, x in own.items()}

    def of(self, chosen: Tensor, axes: int) -> "Descent":
        """That of some of its samples, bool (*samples, 1, *1)."""
        numbers = chosen.reshape(-1).nonzero().squeeze(-1)
        part = Samples(tuple(chosen.shape[:-axes]), numbers)
        found = {name: _each(value, lambda x: part.take(x, axes)) for name, value in vars(self).items() if name != "rest"}
        rest = self.whole(axes) | {"numbers": numbers if self.rest is None else self.rest["numbers"][numbers]}
        return Descent(**found, rest=rest)


@dataclass
class Search:
    """A descent under way: given to `minimize`, which keeps it up to date; one that has begun goes on where it was."""

    at: Descent | None = None


def descend(landscape: Landscape, make: Callable[..., Method], at: Descent, tolerance: float) -> Iterator[Descent]:
    """Yield after each field evaluation from `at` on; samples within the tolerance, or stuck, stay bitwise as they are."""
    method = make(landscape, **(at.memory or {"size": torch.ones_like(at.residual)}))
    m, h, g, residual, stuck, energies, p, slope = at.m, at.h, at.g, at.residual, at.stuck, at.energies, at.p, at.slope
    if p is None:
        p, slope = _direction(landscape, method, m, g)
    while True:
        active = at.active(tolerance)
        step = torch.where(active, p, 0)
        tried = landscape.turn(m, step)
        h_tried = landscape.field(tried)
        g_tried = -landscape.tangent(tried, h_tried)
        s = landscape.tangent(tried, step)
        rise = landscape.rise(m, h, tried, h_tried)
        allowed = torch.stack(energies[-method.window :]).amax(0) - energies[-1]
        # Where the energy is lost in rounding the slopes decide (Hager and Zhang, SIAM J. Optim. 16, 170 (2005)).
        flat = (rise <= _rounding(landscape, h)) & (landscape.inner(g_tried, s) <= (2 * DECREASE - 1) * slope)
        took = active & ((rise <= allowed + DECREASE * slope) | flat) & torch.isfinite(landscape.longest(g_tried))
        stuck = stuck | (active & (landscape.longest(step) < 4 * torch.finfo(m.dtype).eps))
        moved = bool(took.any())
        if moved:
            method.learn(took, s, g_tried - landscape.tangent(tried, g), g_tried)
            m, h, g = (torch.where(took, new, old) for new, old in ((tried, m), (h_tried, h), (g_tried, g)))
            energies = [*energies, energies[-1] + torch.where(took, rise, 0)][-method.window :]
            residual = landscape.longest(g)
        # The parabola through both energies and the slope has its lowest point here.
        shorter = (-0.5 * slope / (rise - slope)).nan_to_num(nan=SHORTEST).clamp(SHORTEST, LONGEST).to(p.dtype)
        p, slope = shorter * p, shorter * slope
        if moved:
            next_p, next_slope = _direction(landscape, method, m, g)
            p, slope = torch.where(took, next_p, p), torch.where(took, next_slope, slope)
        steps, evaluations = at.steps + moved, at.evaluations + 1
        at = Descent(m, h, g, residual, stuck, energies, p, slope, method.memory, steps, evaluations, at.rest)
        yield at


def descended(
    landscape: Landscape,
    part: Callable[[Samples, Tensor], Landscape] | None,
    make: Callable[..., Method],
    m: Tensor,
    tolerance: float,
    max_steps: int,
    callback: Callable[[int, float, Tensor], None] | None,
    search: Search,
) -> dict[str, Tensor]:
    """Go down from m, or on from where `search` is, which is kept up to date: m and residual of the whole batch.

    Args:
        part: the landscape of some samples alone; None if they must stay together.
        callback: called after each step with (step, residual, m).
    """
    search.at, axes = search.at or begin(landscape, m), len(landscape.axes)
    at = search.at
    path = descend(landscape if at.rest is None else part(at.samples(axes), at.m), make, at, tolerance)
    while at.steps < max_steps:
        active = at.active(tolerance)
        count = int(active.sum())
        if not count:
            break
        if part is not None and count <= LEFT * active.numel():
            at = at.of(active, axes)
            path = descend(part(at.samples(axes), at.m), make, at, tolerance)
        steps, at = at.steps, next(path)
        search.at = at
        if at.steps > steps and callback is not None:
            whole = at.whole(axes)
            callback(at.steps, float(whole["residual"].amax()), whole["m"])
    return at.whole(axes)


def with_bar(bar: Bar, tolerance: float, callback: Callable | None) -> Callable[[int, float, Tensor], None]:
    """A callback of steps that also says on the bar where the search is."""

    def after_step(steps, residual, m):
        bar.near(residual, tolerance, f" step {steps}, residual {residual:.2g}")
        if callback is not None:
            callback(steps, residual, m)

    return after_step


def begin(landscape: Landscape, m: Tensor) -> Descent:
    """A descent from m, before its first step."""
    h = landscape.field(m)
    g = -landscape.tangent(m, h)
    residual = landscape.longest(g)
    return Descent(
        m, h, g, residual, torch.zeros_like(residual, dtype=torch.bool), [torch.zeros_like(residual, dtype=torch.float64)]
    )


def _direction(landscape, method, m, g):
    """The method's step, of at most the largest turn, and the slope of the energy along it."""
    p = method.direction(m, g)
    slope = landscape.inner(g, p)
    size = (landscape.inner(g, g) * landscape.inner(p, p)).sqrt()
    lost = ~(slope < -1e-6 * size) & (size > 0)
    if bool(lost.any()):
        method.forget(lost)
        p = torch.where(lost, -g, p)
    longest = landscape.longest(p)
    p = p * (LARGEST_TURN / torch.where(longest > LARGEST_TURN, longest, LARGEST_TURN))
    return p, landscape.inner(g, p)


def _each(value, change):
    """A tensor, or those in dictionaries, lists and tuples, changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {name: _each(x, change) for name, x in value.items()}
    return type(value)(_each(x, change) for x in value) if isinstance(value, list | tuple) else value


def _rounding(landscape, h):
    """Noise of `Landscape.rise` from the rounding of m."""
    return torch.finfo(h.dtype).eps * landscape.inner(h, h).sqrt()
