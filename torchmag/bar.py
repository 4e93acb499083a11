"""A bar on the terminal: simulated time, step size, time left."""

import math
import sys
from collections.abc import Iterator, Sequence

import torch
from tqdm import tqdm

UNITS = ((1e-15, "fs"), (1e-12, "ps"), (1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))


def in_units(t: float) -> str:
    """A time with a unit that makes it readable."""
    if not math.isfinite(t) or t == 0:
        return f"{t:g} s"
    size, unit = [pair for pair in UNITS if abs(t) >= pair[0]][-1] if abs(t) >= UNITS[0][0] else UNITS[0]
    return f"{t / size:.4g} {unit}"


class Bar:
    """A progress bar on standard error; off where that is no terminal, and there only once two seconds have gone by.

    Args:
        title: in front.
        start, end: of what counts up to `end`.
        show: True: always, at once; False: never; None: as standard error tells.
    """

    def __init__(self, title: str, start: float, end: float, show: bool | None):
        if show is not None and not isinstance(show, bool):
            raise ValueError(f"{title}: progress = {show!r}, expected None, True or False")
        shown = sys.stderr.isatty() if show is None else show
        form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}, left {remaining}{postfix}"
        self.span, self.start, self.worst, delay = end - start, start, 0.0, 0.0 if show else 2.0
        self.bar = tqdm(total=1.0, desc=title, bar_format=form, disable=not shown, mininterval=0.2, file=sys.stderr, delay=delay)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.bar.close()

    def at(self, now, text: str = "") -> None:
        """Say where it is: a number, or one for each sample, of which the least counts."""
        if not self.bar.disable:
            self.bar.set_postfix_str(text, refresh=False)
            self.bar.update((float(torch.as_tensor(now).min()) - self.start) / self.span - self.bar.n)

    def near(self, residual: float, tolerance: float, text: str) -> None:
        """Say how near a search is: of the way that the logarithm of its residual has to go."""
        if not self.bar.disable:
            self.worst = max(self.worst, residual)
            way = math.log(self.worst / tolerance)
            done = math.log(self.worst / max(residual, tolerance)) / way if way > 0 else 1.0
            self.at(self.start + self.span * max(done, self.bar.n), text)


def told(things: Sequence, title: str, show: bool | None) -> Iterator:
    """The things, one after another, with a bar that says how many are done."""
    with Bar(title, 0, max(1, len(things)), show) as bar:
        for number, thing in enumerate(things, 1):
            yield thing
            bar.at(number, f" {number} of {len(things)}")
