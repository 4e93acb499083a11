"""Convolution by the FFT of ducc0 and products by numba (extras), in blocks that stay in the processor's cache.

ducc0 transforms strided axes as fast as contiguous ones, in place, which torch's FFT does not: nothing is transposed, padded or
copied but the blocks themselves.  Arrays are numpy's here; `spectral` wraps them.
"""

import functools
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchmag.energies import products

try:
    from ducc0 import fft
except ImportError:
    fft = None

# One block's spectrum, bytes.
BLOCK = 2**20
# Spectra smaller than this, bytes, are not worth a second thread.
SMALL = 2**21


def available() -> bool:
    """Whether ducc0 can be imported, and numba is installed."""
    return fft is not None and products.available()


@dataclass(frozen=True)
class Plan:
    """What to convolve.

    The kernel's transform is even or odd along the first axis: half of a large one is kept, in the order in which it is read.

    Attributes:
        cells, lengths: of the transformed axes (one to three), and the lengths of their transforms.
        terms: (target, origin, row, sign), see `Convolution`.
        mirror: for each row of the kernel, its sign under reflection of the first axis.
        odd: the kernel's transform is imaginary.
    """

    cells: tuple[int, ...]
    lengths: tuple[int, ...]
    terms: tuple[tuple[int, int, int, int], ...]
    mirror: tuple[int, ...]
    odd: bool

    @functools.cached_property
    def first(self) -> tuple[int, int]:
        """Cells and length of the axis that is transformed last; on a line of cells there is none."""
        return (self.cells[0], self.lengths[0]) if len(self.cells) > 1 else (1, 1)

    @functools.cached_property
    def half(self) -> int:
        """How many frequencies of the first axis are kept: of a small kernel all, for the sake of fewer calls."""
        return self.first[1] // 2 + 1 if self.bytes > BLOCK else self.first[1]

    @functools.cached_property
    def middle(self) -> tuple[tuple[int, int], ...]:
        """Cells and length of the axis between the first and the last, if there is one."""
        return tuple(zip(self.cells, self.lengths))[1:-1]

    @functools.cached_property
    def columns(self) -> int:
        """Frequencies of all axes but the first."""
        return math.prod([length for _, length in self.middle]) * (self.lengths[-1] // 2 + 1)

    @functools.cached_property
    def bytes(self) -> int:
        """Of the spectrum of one sample, float64."""
        return 3 * self.first[1] * self.columns * 16

    @functools.cached_property
    def blocks(self) -> list[tuple[int, int]]:
        """The columns in parts of about BLOCK bytes."""
        width = math.ceil(self.columns / math.ceil(self.bytes / BLOCK))
        return [(a, min(a + width, self.columns)) for a in range(0, self.columns, width)]

    def pack(self, kernel: Tensor) -> Tensor:
        """A kernel (rows, *spectrum), axes in reverse order, as it is kept: one number after the other."""
        rows = len(kernel)
        spectrum = kernel.movedim(-1, 1) if len(self.cells) > 1 else kernel.unsqueeze(1)  # (rows, first, k[, middle])
        spectrum = spectrum.transpose(2, -1)[:, : self.half].reshape(rows, self.half, self.columns)
        return torch.cat([spectrum[..., a:b].flatten() for a, b in self.blocks])

    def unpack(self, packed: Tensor) -> Tensor:
        """The kernel again."""
        rows, length = len(self.mirror), self.first[1]
        kept = torch.cat([self._kernel(packed, a, b) for a, b in self.blocks], -1)
        signs = packed.new_tensor(self.mirror).reshape(rows, 1, 1)
        mirrored = signs * kept[:, 1 : length - self.half + 1].flip(1)
        whole = torch.cat([kept, mirrored], 1).reshape(rows, length, *[n for _, n in self.middle], -1).transpose(2, -1)
        return whole.movedim(1, -1) if len(self.cells) > 1 else whole.squeeze(1)

    def _kernel(self, packed, a, b):
        rows = len(self.mirror) * self.half
        return packed[rows * a : rows * b].reshape(len(self.mirror), self.half, b - a)

    @functools.cached_property
    def table(self) -> products.Table:
        """For `products.multiply`."""
        return products.Table.of(self.terms, self.mirror)

    def encode(self) -> list[int]:
        """As whole numbers, for an operator of torch."""
        flat = [x for term in self.terms for x in term]
        return [int(self.odd), len(self.cells), *self.cells, *self.lengths, len(self.mirror), *self.mirror, *flat]

    @staticmethod
    @functools.cache
    def decode(numbers: tuple[int, ...]) -> "Plan":
        """From `encode`."""
        odd, dim, *rest = numbers
        cells, lengths, (rows, *rest) = rest[:dim], rest[dim : 2 * dim], rest[2 * dim :]
        mirror, flat = rest[:rows], rest[rows:]
        terms = tuple(tuple(flat[i : i + 4]) for i in range(0, len(flat), 4))
        return Plan(tuple(cells), tuple(lengths), terms, tuple(mirror), bool(odd))


def convolve(plan: Plan, x: np.ndarray, packed: np.ndarray, threads: int) -> np.ndarray:
    """(samples, 3, *cells) -> same, contiguous both."""
    found, count = np.empty_like(x), max(1, BLOCK // plan.bytes)
    groups = [slice(a, a + count) for a in range(0, len(x), count)]
    threads = threads if plan.bytes * len(x) >= SMALL else 1
    if threads == 1 or len(groups) >= 2 * threads:
        _spread(lambda group, run: _Group(plan, x[group], found[group]).convolve(packed, run), groups, threads)
    else:
        for group in groups:
            _Group(plan, x[group], found[group]).convolve(packed, functools.partial(_spread, threads=threads))
    return found


def _spread(function, parts, threads):
    """function(part, in_turn) of each part, over threads, this one among them.

    Each takes the next part when it is done with one: a core may be busy with a thread of torch's that waits for its next kernel.
    """
    todo = iter(parts)  # one at a time takes from it
    others = [_pool(os.getpid(), threads).submit(_in_turn, function, todo) for _ in parts[1:threads]]
    _in_turn(function, todo)
    for other in others:
        if not other.cancel():
            other.result()


@functools.lru_cache(maxsize=1)
def _pool(process, threads):
    # Of this process: a fork has none of its parent's threads.
    return ThreadPoolExecutor(threads - 1, initializer=_calm_openmp)


def _calm_openmp():
    """Have OpenMP make threads that belong to this one.

    Threads of torch wait busily for some milliseconds after each parallel kernel, and take a core away from ours.  GNU's OpenMP
    gives that up when it has more threads than the machine has cores (its manual, GOMP_SPINCOUNT).
    """
    torch.zeros(2**17).add_(1)


def _in_turn(function, parts):
    for part in parts:
        function(part, _in_turn)


class _Group:
    """The convolution of some samples: along the last axes by planes, along the first by blocks of columns, and back."""

    def __init__(self, plan, x, found):
        self.plan, (nx, _) = plan, plan.first
        self.planes = x.reshape(-1, *plan.cells[1:] if len(plan.cells) > 1 else plan.cells)
        self.found = found.reshape(self.planes.shape)
        self.inner = (*(length for _, length in plan.middle), plan.lengths[-1] // 2 + 1)  # of a plane's spectrum
        kind = np.complex64 if x.dtype == np.float32 else np.complex128
        self.spectrum = np.empty((len(self.planes), *self.inner), kind)
        self.columns = self.spectrum.reshape(-1, 3, nx, plan.columns)

    def convolve(self, packed, run):
        """Each stage over all its parts by `run`."""
        count = max(1, BLOCK // (self.plan.columns * 16))
        parts = [slice(a, a + count) for a in range(0, len(self.planes), count)]
        run(lambda part, _: self._forward(part), parts)
        run(lambda part, _: self._multiply(packed, *part), self.plan.blocks)
        run(lambda part, _: self._backward(part), parts)

    def _forward(self, part):
        x, spectrum = self.planes[part], self.spectrum[part]
        padded = np.zeros((*x.shape[:-1], self.plan.lengths[-1]), x.dtype)
        padded[..., : x.shape[-1]] = x
        if not self.plan.middle:
            fft.r2c(padded, axes=(-1,), out=spectrum)
            return
        ((n, _),) = self.plan.middle
        rows = np.empty_like(spectrum)
        fft.r2c(padded, axes=(-1,), out=rows[:, :n])
        rows[:, n:] = 0
        fft.c2c(rows, axes=(-2,), out=spectrum)

    def _multiply(self, packed, a, b):
        nx, length = self.plan.first
        columns = self.columns[..., a:b]
        block = np.empty((len(columns), 3, length, b - a), columns.dtype)
        block[:, :, :nx] = columns
        if length > 1:
            block[:, :, nx:] = 0
            fft.c2c(block, axes=(-2,), out=block)
        product = self._product(block, self.plan._kernel(packed, a, b))
        if length > 1:
            fft.c2c(product, axes=(-2,), forward=False, inorm=2, out=product)
        columns[...] = product[:, :, :nx]

    def _product(self, block, kernel):
        """The kernel's rows times the components, summed."""
        product = np.empty_like(block)
        products.multiply(block, kernel, self.plan.table, product)
        if self.plan.odd:
            np.multiply(product, 1j, out=product)
        return product

    def _backward(self, part):
        spectrum, found = self.spectrum[part], self.found[part]
        if self.plan.middle:
            ((n, _),) = self.plan.middle
            spectrum = fft.c2c(spectrum, axes=(-2,), forward=False, inorm=2)[:, :n]
        padded = fft.c2r(spectrum, axes=(-1,), lastsize=self.plan.lengths[-1], forward=False, inorm=2)
        found[...] = padded[..., : found.shape[-1]]
