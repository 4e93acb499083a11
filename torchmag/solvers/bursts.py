"""Steps in bursts: on a GPU the host asks how steps went after several of them, so that the device never waits for it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor

from torchmag.device import runs_apart
from torchmag.solvers.progress import Progress
from torchmag.solvers.stepper import Step

# The most steps of a burst, and the numbers that its states may have in all: where evaluations take long, nothing is gained.
MOST, HELD = 8, 2**21


def burst(m: Tensor, k: Tensor, progress: Progress | None = None) -> int:
    """How many steps to make before the host asks: one on the CPU, with a tape, and where a progress is to be kept up to date."""
    if not runs_apart(m) or progress is not None or m.requires_grad or k.requires_grad:
        return 1
    return max(1, min(MOST, HELD // m.numel()))


def finite_steps(
    steps: Iterable[Step], size: int, require: Callable[[Step], None], progress: Progress | None = None
) -> Iterator[Step]:
    """Hand steps out once they are known to be finite, `size` at a time; `require` raises for one that is not."""
    steps = iter(steps)
    while made := list(islice(steps, size)):
        known = size > 1 and bool(torch.stack([_is_finite(step) for step in made]).all())
        for step in made:
            if not known:
                require(step)
            if progress is not None:
                progress.take(t=step.end, m=step.m1, k=step.k1)
            yield step


def _is_finite(step):
    states = torch.isfinite(step.m1.detach()).all()
    return states if step.k1 is None else states & torch.isfinite(step.k1.detach()).all()
