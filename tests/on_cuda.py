"""The second device of test_device.py where there is a GPU: TORCHMAG_TEST_DEVICE=on_cuda pytest tests/test_device.py.

The same names as in `emulated`, for a device that computes: what is compiled is compiled by Inductor, waits are what torch.profiler
saw the host wait for.  Launches are operators of torch, as on the emulated device.
"""

import contextlib
from collections import Counter

import torch

from torchmag.bench import counting

NAME = "cuda"
if not torch.cuda.is_available():
    raise ImportError("no CUDA device")
DEVICE = torch.device(NAME, 0)
compile_backend = "inductor"


class Counts:
    """See `emulated.Counts`."""

    def __init__(self):
        self.launches, self.waits = Counter(), Counter()


@contextlib.contextmanager
def counted():
    """Count what is done in this block; the counts are there when it has ended."""
    counts = Counts()
    with counting.traced(DEVICE) as events, counting.Dispatched() as dispatched:
        yield counts
    counts.launches.update(dispatched.launches)
    counts.waits.update(counting.waits(events))


class _Graphs:
    """How many graphs were captured."""

    def clear(self):
        torch._dynamo.utils.counters.clear()

    def __len__(self):
        return torch._dynamo.utils.counters["stats"]["unique_graphs"]


graphs = _Graphs()
