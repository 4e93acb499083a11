"""A bar on the terminal: simulated time, step size, time left."""

import math
import sys

from tqdm import tqdm

UNITS = ((1e-15, "fs"), (1e-12, "ps"), (1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def in_units(t: float) -> str:
    """A time with a unit that makes it readable."""
    if not math.isfinite(t) or t == 0:
        return f"{t:g} s"
    size, unit = [pair for pair in UNITS if abs(t) >= pair[0]][-1] if abs(t) >= UNITS[0][0] else UNITS[0]
    return f"{t / size:.4g} {unit}"


class Bar:
    """A progress bar on standard error; off where that is no terminal.

    Args:
        title: in front.
        start, end: of what counts up to `end`.
        show: True, False, or None: as standard error tells.
    """

    def __init__(self, title: str, start: float, end: float, show: bool | None):
        shown = sys.stderr.isatty() if show is None else show
        form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, left {remaining}{postfix}"
        self.span, self.start = end - start, start
        self.bar = tqdm(total=1.0, desc=title, bar_format=form, disable=not shown, mininterval=0.2, file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def at(self, now: float, text: str = "") -> None:
        """Say where it is."""
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update((now - self.start) / self.span - self.bar.n)
