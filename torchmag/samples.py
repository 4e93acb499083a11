"""Samples of a batch: some of them on their own, and functions that take one at a time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Numbers that the values of a drive, one of the whole batch for each sample, may hold at a time.
AT_ONCE = 2**22
# Where values, and the cache of an evaluation, say which samples of the batch they belong to.
SAMPLES = "samples"


@dataclass(frozen=True)
class Samples:
    """Some samples of a batch.

    Attributes:
        shape: of the batch.
        numbers: theirs, where the batch is counted through, int64 (count).
    """

    shape: tuple[int, ...]
    numbers: Tensor

    def take(self, x: Tensor, axes: int) -> Tensor:
        """What belongs to them: (*batch, ...) with `axes` axes after the batch -> (count, ...).

        The batch broadcasts to `shape`; one that all samples share loses its axes.
        """
        sizes = x.shape[: max(0, x.ndim - axes)]
        own = x.shape[len(sizes) :]
        return x.reshape(own) if math.prod(sizes) == 1 else x.reshape(-1, *own).index_select(0, self.rows(sizes))

    def put(self, x: Tensor, part: Tensor) -> Tensor:
        """x (*shape, ...) with what belongs to them replaced by (count, ...)."""
        return x.reshape(-1, *part.shape[1:]).index_copy(0, self.numbers, part).reshape(x.shape)

    def rows(self, sizes: Sequence[int]) -> Tensor:
        """Their numbers in a batch of these sizes that broadcasts to `shape`."""
        found, rest, stride = torch.zeros_like(self.numbers), self.numbers, 1
        for whole, size in zip(reversed(self.shape), reversed(sizes)):
            found, rest = found + (rest % whole * stride if size > 1 else 0), rest // whole
            stride *= size
        return found


def fresh_cache(values: dict) -> dict:
    """The cache of an evaluation at values, which may be those of some samples."""
    return {SAMPLES: values[SAMPLES]} if SAMPLES in values else {}


def for_each_sample(
    function: Callable, t: Tensor, m: Tensor, field_axes: int, trailing: int, samples: Samples | None = None
) -> Tensor:
    """A function of t and m, sample by sample, where each has a time of its own.

    The function sees one sample, but all but the first together by torch.func.vmap if it can be mapped; what it cannot (Python
    that depends on numbers, assignment to parts of a tensor) is called for one after another.

    Args:
        t: (*batch).
        m: (*batch, ...) with `field_axes` axes after the batch.
        trailing: axes of a result without its batch; one with batch axes has a value for each sample, of which its own counts.
        samples: which samples of a larger batch t and m belong to; a result's batch is that of the larger one.

    Returns:
        (*batch, ...) with `trailing` axes after the batch, those that a result lacks of size 1.
    """
    samples = Samples(tuple(t.shape), torch.arange(t.numel(), device=m.device)) if samples is None else samples
    times, fields = t.reshape(-1), m.reshape(-1, *m.shape[m.ndim - field_axes :])

    def full(time, field):
        value = function(time, field)
        return value.reshape((*(1,) * (trailing - value.ndim), *value.shape))

    def one(index):
        value = full(times[index], fields[index])
        sizes = value.shape[: value.ndim - trailing]
        row = samples.rows(sizes)[index : index + 1]
        return value.reshape(-1, *value.shape[len(sizes) :]).index_select(0, row).squeeze(0), value.numel()

    first, size = one(0)
    # Compiled code cannot try: there the calls stand one after another.
    found = None if torch.compiler.is_compiling() else _mapped(full, times, fields, trailing, samples, max(1, AT_ONCE // size))
    if found is None:
        found = torch.stack(torch.broadcast_tensors(first, *(one(index)[0] for index in range(1, len(times)))))
    else:
        found = torch.cat([first.unsqueeze(0), *found])
    return found.reshape((*t.shape, *found.shape[1:]))


def _mapped(function, times, fields, trailing, samples, count):
    """The values of all samples but the first, `count` at a time; None if the function cannot be mapped."""
    found = []
    try:
        for start in range(1, len(times), count):
            chunk = slice(start, start + count)
            value = torch.func.vmap(function)(times[chunk], fields[chunk])
            sizes = value.shape[1 : value.ndim - trailing]
            if sizes:
                rows = samples.rows(sizes)[chunk]
                value = value.reshape(len(value), -1, *value.shape[1 + len(sizes) :])[
                    torch.arange(len(rows), device=rows.device), rows
                ]
            found.append(value)
    except Exception:
        # Whatever is wrong shows when it is called for one sample.
        return None
    return found
