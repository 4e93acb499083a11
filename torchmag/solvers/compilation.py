"""Compiling by itself: a call that has run for some seconds, and is going to run on, compiles its equation on the way."""

import logging
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from torchmag.compiled import Compiled
from torchmag.energy import Energy

_log = logging.getLogger("torchmag")

# Seconds without compiled code before it is thought of; what compiling takes, about; the part of the time that it saves at least.
WAIT, COST, GAIN = 3.0, 12.0, 0.5
AUTO = "auto"
# What an owner knows of a shape beside the seconds that calls took.
DONE, FAILED = "done", "failed"


def require_choice(compile, title: str) -> None:
    """Raise unless it is "auto", True or False."""
    if not (isinstance(compile, bool) or (isinstance(compile, str) and compile == AUTO)):
        raise ValueError(f"{title}: compile = {compile!r}, expected 'auto', True or False")


@dataclass
class Later:
    """Compiled code that a call comes to use.

    Attributes:
        owner: the equation or the energy; it remembers for which shapes it was compiled, and the seconds that calls took without.
        title: of who calls.
        choice: "auto" or True.
        m: the state, for its shape.
        make: gives the compiled function.
        plain: does the same without compiled code.
        function: what to call; None as long as nothing is compiled.
    """

    owner: Compiled
    title: str
    choice: str | bool
    m: Tensor
    make: Callable[[], Callable]
    plain: Callable
    function: Callable | None = None
    began: float = field(default_factory=time.perf_counter)

    def __post_init__(self):
        self.key = self.plain.__name__, tuple(self.m.shape), self.m.dtype
        self.known = self.owner.compilations
        if self.choice is True or self.known.get(self.key) == DONE:
            self._begin()

    def consider(self, fraction: Callable[[], float | None]) -> None:
        """Compile if it is worth it; asked after each step.

        Args:
            fraction: of the call that is done; None if nobody knows, then it is taken to go on for as long as it has.
        """
        if self.function is not None or not isinstance(self.known.get(self.key, 0.0), float):
            return
        now = time.perf_counter()
        took = now - self.began
        spent = self.known.get(self.key, 0.0) + took
        if spent < WAIT:
            return
        done = fraction()
        left = max(spent, took * (1 - done) / max(done, 1e-9) if done is not None else 0.0)
        if GAIN * left >= COST and (done is None or done < 1):
            _log.info(
                "%s: compiling after %.0f s without, to go on faster (compile=False, TORCHMAG_COMPILE=0: not)", self.title, spent
            )
            self._begin()

    def end(self) -> None:
        """The call is over: what it took without compiled code counts for the next one."""
        spent = self.known.get(self.key, 0.0)
        if self.function is None and isinstance(spent, float):
            self.known[self.key] = spent + time.perf_counter() - self.began

    def _begin(self):
        if self.known.get(self.key) == FAILED:
            return
        try:
            compiled = self.make()
        except Exception as error:
            return self._fail(error)

        def guarded(*arguments):
            if self.known.get(self.key) == FAILED:
                return self.plain(*arguments)
            try:
                found = compiled(*arguments)
            except Exception as error:
                # Errors of the equation itself come again.
                found = self.plain(*arguments)
                self._fail(error)
                return found
            self.known[self.key] = DONE
            return found

        self.function = guarded

    def _fail(self, error):
        self.known[self.key] = FAILED
        reason = (str(error).strip().splitlines() or [""])[0]
        warnings.warn(
            f"{self.title}: compiling failed ({type(error).__name__}: {reason:.200}); goes on without, at the same numbers "
            f"(compile=False does not try)",
            RuntimeWarning,
            stacklevel=2,
        )


def later_field(owner: Compiled, energy: Energy, m: Tensor, choice: str | bool, title: str) -> Later | None:
    """The field of an energy, (m, t, values) -> H, compiled on the way; None if that may not be."""
    hooked = owner._forward_hooks or owner._forward_pre_hooks or owner._compiler is not None
    if hooked or energy._compiled_call_impl is not None or not may_compile(choice):
        return None

    def field(m, t, values):
        return energy.field(m, t, values)

    def compiled():
        call = owner.compiled("field", energy.field, True)
        return lambda m, t, values: call(m.contiguous(), t, values)

    return Later(owner, title, choice, m, compiled, field)


def nothing_known() -> None:
    """The fraction that is done of a call whose end nobody knows."""


def may_compile(choice: str | bool) -> bool:
    """Whether a call may compile by itself: False, and "auto" where the variable TORCHMAG_COMPILE is 0, do not."""
    return choice is True or (choice == AUTO and os.environ.get("TORCHMAG_COMPILE", "1") != "0")
