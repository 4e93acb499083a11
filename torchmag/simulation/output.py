"""Loggers of a simulation, and the numbers they get."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from torchmag.errors import NonFiniteError
from torchmag.simulation.calls import call, taken
from torchmag.simulation.ticks import Ticks

METHODS = ("open", "log", "position", "close")


@dataclass
class Attached:
    """A logger and when it is called: at ticks, "step" or "field"."""

    logger: object
    every: float | str
    ticks: Ticks | None
    position: int | None
    last: float | None = None
    opened: bool = False

    def open(self) -> None:
        """Begin to write, if it was not begun."""
        if not self.opened:
            self.logger.open(self.position)
            self.opened = True

    def state(self) -> dict:
        """All that it needs to go on."""
        return {
            "position": self.logger.position() if self.opened else self.position or 0,
            "last": self.last,
            "ticks": None if self.ticks is None else self.ticks.state(),
        }


def attach(logger, every, t: float, state: dict | None, resumed: bool) -> Attached:
    """A logger that is to be opened: anew, at the position of a state, or where a checkpoint does not know it, at its beginning.

    Raises:
        TypeError: it lacks a method of a logger; ValueError: `every`.
    """
    missing = [name for name in METHODS if not callable(getattr(logger, name, None))]
    if missing:
        raise TypeError(
            f"Simulation.log: a {type(logger).__name__} has no {', '.join(missing)}; expected a logger such as torchmag.loggers.Table(path)"
        )
    ticks = None
    if every not in ("step", "field"):
        if isinstance(every, bool) or not isinstance(every, Real) or not 0 < every < float("inf"):
            raise ValueError(f"Simulation.log: every = {every!r}, expected an interval in s, 'step' or 'field'")
        ticks = Ticks(t, float(every))
    attached = Attached(logger, every, ticks, 0 if resumed else None)
    if state is not None:
        attached.position = state["position"]
        attached.last = state["last"]
        if ticks is not None and state["ticks"] is not None:
            ticks.restore(state["ticks"])
    return attached


class Quantities:
    """Numbers read off (t, m), once for all loggers of a time.

    Args:
        given: name -> function of t, m or both by these names, to a number or a tensor.
    """

    def __init__(self, given: Mapping[str, Callable]):
        self.given = {}
        for name, function in given.items():
            if not isinstance(name, str) or not name.isidentifier():
                raise ValueError(f"Simulation: quantity {name!r}, expected a name of letters, digits and _")
            self.given[name] = function, taken(function, f"Simulation: quantity {name}")
        self._last = None

    def at(self, t: float, m: Tensor, whole: bool = True) -> dict[str, Tensor]:
        """Their values.

        Args:
            whole: whether no sample of m was lost: then a value that is not finite is an error.
        """
        if self._last is not None and self._last[0] == t and self._last[1] is m:
            return self._last[2]
        found = {}
        for name, (function, names) in self.given.items():
            found[name] = value = call(function, names, t, m)
            if whole and value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise NonFiniteError(f"not finite: the quantity {name!r} at t = {t:.6g} s", t, term=name)
        self._last = (t, m, found)
        return found
