"""Events: when a number read off the magnetisation passes zero."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from torchmag.errors import NonFiniteError
from torchmag.simulation.calls import call, taken
from torchmag.solvers.stepper import Step, System

# Halvings of a step that find a time within it to rounding.
HALVINGS = 50


@dataclass(frozen=True)
class Event:
    """A moment that is looked for during `Simulation.run`.

    It is found within a step by bisection of the dense output, or by linear interpolation for a method without.  A number that
    passes zero twice within a step is not seen.

    Attributes:
        function: of t (s), m, or both by these names, to one number; the event is where it reaches or passes zero.
        direction: 1: rising, -1: falling, 0: both.
        stop: whether the run ends there.
    """

    function: Callable
    direction: int = 0
    stop: bool = False

    def __post_init__(self):
        taken(self.function, "Event: function")
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"Event: direction = {self.direction!r}, expected -1, 0 or 1")

    def value(self, name: str, t: float, m: Tensor) -> float:
        """The number whose zero is looked for."""
        found = call(self.function, taken(self.function, f"event {name!r}"), t, m)
        if found.numel() != 1:
            raise ValueError(f"event {name!r} gives {tuple(found.shape)}, expected one number; in a batch, reduce it to one")
        if not math.isfinite(found := float(found)):
            raise NonFiniteError(f"not finite: event {name!r} at t = {t:.6g} s", t, term=name)
        return found

    def within(self, name: str, before: float, after: float, step: Step, system: System) -> float | None:
        """When it happens in a step, s; None if it does not."""
        rises, falls = before < 0 <= after, before > 0 >= after
        if not (rises and self.direction >= 0 or falls and self.direction <= 0):
            return None
        low, high = float(step.t), float(step.end)
        if step.middle is None:
            return low + (high - low) * before / (before - after)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            if not low < middle < high:
                break
            passed = self.value(name, middle, step.at(middle, system))
            low, high = (low, middle) if (passed >= 0 if rises else passed <= 0) else (middle, high)
        return high


def as_events(events) -> dict[str, Event]:
    """Names to events; a function alone is an event that does not stop."""
    found = {}
    for name, event in dict(events or {}).items():
        found[str(name)] = event if isinstance(event, Event) else Event(event)
    return found
