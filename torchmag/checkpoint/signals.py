"""Signals that ask a run to be saved."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator


class Interrupted(SystemExit):
    """A program that SIGTERM ended with its checkpoints written: exit code 75 (EX_TEMPFAIL: try again later)."""

    def __init__(self, message: str = ""):
        super().__init__(75)
        self.message = message

    def __str__(self):
        return self.message


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Inside, in the main thread, SIGTERM raises `Interrupted` where no run notes it: there nothing is under way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number, frame):
        raise Interrupted("SIGTERM between two runs: what they saved is kept; go on with torchmag run --resume")

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


class Occasions:
    """When to save: every so many seconds, and when a signal asks for it.

    A context: SIGTERM and Ctrl-C (save and stop) and SIGUSR1 (save and go on) are noted inside it, in the main thread, and have
    their former handlers afterwards.  A second Ctrl-C does not wait.

    Args:
        interval: seconds between two checkpoints; None: signals alone.

    Attributes:
        stop: whether SIGTERM or Ctrl-C came; interrupted: Ctrl-C.
    """

    def __init__(self, interval: float | None):
        if interval is not None and not (isinstance(interval, int | float) and interval >= 0):
            raise ValueError(f"interval = {interval!r}, expected seconds between two checkpoints, or None")
        self.interval, self.stop, self.interrupted, self._asked, self._before = interval, False, False, False, {}
        self.saved()

    def __enter__(self):
        self.stop = self.interrupted = False
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGTERM", "SIGUSR1", "SIGINT"):
                number = getattr(signal, name, None)  # Windows has no SIGUSR1
                if number is not None:
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            # None: one that was not installed from Python, which Python cannot install again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _note(self, number, frame):
        if number == signal.SIGINT:
            if self.interrupted:
                raise KeyboardInterrupt
            self.interrupted = True
        self._asked = True
        self.stop = self.stop or number in (signal.SIGTERM, signal.SIGINT)

    @property
    def due(self) -> bool:
        """Whether to save now."""
        return self._asked or (self.interval is not None and time.monotonic() - self._last >= self.interval)

    def saved(self) -> None:
        """Count the interval from now on."""
        self._asked, self._last = False, time.monotonic()
