"""Convolution on the CPU by the compiled code of `convolve.cpp`: what it is told, and the order in which it reads a kernel."""

import ctypes
import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from torchmag import layout, native
from torchmag.convolution.problem import mirrored

SOURCE = Path(__file__).with_name("convolve.cpp")
RADICES = (8, 4, 2, 3, 5, 7)
# Lines that the kernel keeps side by side, as in the C++.
PACK = 16
NOTHING, OPEN, PERIODIC = range(3)
# Samples of less than this many numbers in all are not worth a second thread.
SMALL = 2**14


def available() -> bool:
    """Whether there is compiled code for this machine."""
    return native.library(SOURCE) is not None


# What torch.compiler.assume_constant_result does, which imports the whole compiler.
available._dynamo_marked_constant = True


@dataclass(frozen=True)
class Plan:
    """What to convolve.

    Attributes:
        cells, lengths: of the three axes, and the lengths of their transforms, with no prime factor beyond 7.
        terms: (target, origin, row, sign), see `Problem`.
        parities: for each row of the kernel and each axis, whether it is odd along it.
        odd: the kernel's transform is imaginary.
        around: what is put around the result along each axis, NOTHING, OPEN (zeros on both sides) or PERIODIC (one image before it).
        nodal: the field is given at the nodes, those of the axes with something around; it is averaged over each cell's corners.
    """

    cells: tuple[int, ...]
    lengths: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    parities: tuple[tuple[bool, ...], ...]
    odd: bool
    around: tuple[int, ...] = (NOTHING,) * 3
    nodal: bool = False

    @functools.cached_property
    def order(self) -> tuple[int, ...]:
        """The axes: first and last of those with more than one cell, the third between; a long one last, as lines lie side by side there."""
        axes = [axis for axis in range(3) if self.cells[axis] > 1] or [0]
        if self.cells[axes[-1]] < PACK:
            longest = max(reversed(axes), key=lambda axis: self.cells[axis])
            axes.sort(key=lambda axis: axis == longest)
        flat = [axis for axis in range(3) if axis not in axes]
        return (axes[0], *axes[1:-1], *flat, *axes[1:][-1:])

    @functools.cached_property
    def turned(self) -> bool:
        """Whether fields are to be transposed."""
        axes = [axis for axis in self.order if self.cells[axis] > 1]
        return axes != sorted(axes)

    @functools.cached_property
    def grid(self) -> tuple[int, ...]:
        """The axes of the result with what is around it."""
        return tuple(n + (0, 2, 1)[around] for n, around in zip(self.cells, self.around))

    @functools.cached_property
    def is_native(self) -> bool:
        """Whether the compiled code, which has the axes in an order of its own, does all of it."""
        axes = [axis for axis in self.order if self.around[axis]]
        within = self.nodal and self.around[self.order[2]] == PERIODIC  # it adds what lies side by side in memory
        return not axes or (not self.turned and axes == sorted(axes) and not within)

    @functools.cached_property
    def periodic(self) -> tuple[bool, ...]:
        """Of the axes that have something around the result, the first ones, whether it is an image."""
        return tuple(around == PERIODIC for around in self.around if around)

    @functools.cached_property
    def plain(self) -> "Plan":
        """From cells to cells."""
        return replace(self, around=Plan.around, nodal=False)

    def shape_of(self, x: Tensor) -> tuple[int, ...]:
        """Of the result: (*batch, 3, *cells or *nodes) -> (*batch, 3, *grid)."""
        dim = len(self.periodic)
        return (*x.shape[: x.ndim - dim], *self.grid[:dim])

    def _ordered(self, values):
        return [values[axis] for axis in self.order]

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """Of a kernel as it is kept: groups of lines, packs of a group, frequencies along a line, rows, lines of a pack."""
        first, middle, last = self._ordered(self.lengths)
        groups, lines = (first // 2 + 1, middle) if middle > 1 else (1, first // 2 + 1)
        return groups, -(-lines // PACK), last // 2 + 1, len(self.parities), PACK

    def pack(self, kernel: Tensor) -> Tensor:
        """A kernel (rows, *frequencies up to the middle of the three axes) as it is kept: one number after the other."""
        middle = self._ordered(self.lengths)[1]
        groups, packs, half, _, _ = self.shape
        found = kernel.new_empty(self.shape)
        for number, (row, odd) in enumerate(zip(kernel, self.parities)):
            row = mirrored(row[None], self.order[1], middle, [odd]).permute(0, *(1 + axis for axis in self.order))
            lines = _reverse_digits(row, 2, radices(middle)[::-1]).reshape(groups, -1, half)
            lines = torch.nn.functional.pad(lines, (0, 0, 0, packs * PACK - lines.shape[1]))
            found[..., number, :] = lines.reshape(groups, packs, PACK, half).transpose(2, 3)
        return found.flatten()

    def unpack(self, packed: Tensor) -> Tensor:
        """The kernel again."""
        first, middle, _ = self._ordered(self.lengths)
        groups, packs, half, rows, _ = self.shape
        lines = packed.reshape(self.shape).permute(3, 0, 1, 4, 2).reshape(rows, groups, packs * PACK, half)
        lines = lines[:, :, : middle if middle > 1 else first // 2 + 1]
        kernel = _reverse_digits(lines.reshape(rows, first // 2 + 1, middle, half), 2, radices(middle))
        return kernel[:, :, : middle // 2 + 1].permute(0, *(1 + self.order.index(axis) for axis in range(3)))

    def encode(self) -> list[int]:
        """As whole numbers, for an operator of torch."""
        parities = [int(odd) for row in self.parities for odd in row]
        return [
            *self.cells,
            *self.lengths,
            int(self.odd),
            len(self.parities),
            *parities,
            *self.around,
            int(self.nodal),
            *(x for term in self.terms for x in term),
        ]

    @staticmethod
    @functools.cache
    def decode(numbers: tuple[int, ...]) -> "Plan":
        """From `encode`."""
        cells, lengths, odd, end = numbers[:3], numbers[3:6], bool(numbers[6]), 8 + 3 * numbers[7]
        parities = tuple(tuple(map(bool, numbers[i : i + 3])) for i in range(8, end, 3))
        terms = tuple(numbers[i : i + 4] for i in range(end + 4, len(numbers), 4))
        return Plan(cells, lengths, terms, parities, odd, numbers[end : end + 3], bool(numbers[end + 3]))


@functools.cache
class _Handle:
    """A plan as the compiled code has it, kept as long as the process: some kilobytes for each mesh."""

    def __init__(self, plan, dtype):
        dtype = str(dtype).removeprefix("torch.")
        cells, lengths = plan._ordered(plan.cells), plan._ordered(plan.lengths)
        axes = [x for n in lengths for x in (len(radices(n)), *radices(n), *positions(n))]
        mirror = [-1 if odd[plan.order[2]] else 1 for odd in plan.parities]
        terms = [x for term in plan.terms for x in term]
        numbers = [*axes, len(plan.parities), int(plan.odd), len(plan.terms), *terms, *mirror]
        numbers += [*plan._ordered(plan.around), int(plan.nodal)]
        make, size, self.convolve = (
            getattr(native.library(SOURCE), f"{name}_{dtype}") for name in ("plan", "workspace", "convolve")
        )
        make.restype, size.restype, size.argtypes = ctypes.c_void_p, ctypes.c_long, [ctypes.c_void_p]
        self.convolve.argtypes, self.convolve.restype = [*[ctypes.c_void_p] * 5, ctypes.c_long, ctypes.c_int], None
        self.pointer = make(*((ctypes.c_int * len(given))(*given) for given in (numbers, cells, lengths)))
        self.workspace, self.size = size(self.pointer), 3 * math.prod(plan.grid)


def convolve(plan: Plan, x: Tensor, packed: Tensor) -> Tensor:
    """(*batch, 3, *cells or *nodes) -> (*batch, 3, *grid), contiguous, with a kernel from `Plan.pack` in the same precision.

    Nothing is taped.
    """
    if not plan.is_native:
        if plan.nodal:
            return convolve(replace(plan, nodal=False), layout.mean_of_corners(x, plan.periodic), packed)
        return layout.extended(convolve(plan.plain, x, packed), plan.periodic)
    handle, found = _Handle(plan, x.dtype), x.new_empty(plan.shape_of(x))
    if plan.turned:
        shape = (-1, 3, *plan.cells)
        turned = x.reshape(shape).permute(0, 1, *(2 + axis for axis in plan.order)).contiguous()
        result = torch.empty_like(turned)
        _call(handle, turned, packed, result)
        found.view(shape).copy_(result.permute(0, 1, *(2 + plan.order.index(axis) for axis in range(3))))
    else:
        _call(handle, x.contiguous(), packed, found)
    return found


def _call(handle, x, packed, found):
    samples, packed = found.numel() // handle.size, packed.contiguous()
    threads = torch.get_num_threads() if x.numel() >= SMALL and not native.is_forked() else 1
    work = x.new_empty(handle.workspace * (threads if samples >= threads else 1))
    handle.convolve(handle.pointer, x.data_ptr(), packed.data_ptr(), found.data_ptr(), work.data_ptr(), samples, threads)


def radices(length: int) -> list[int]:
    """The factors of a transform, from the first pass on; 8 and 2 make two passes of 4."""
    found = []
    for radix in RADICES:
        while length % radix == 0 and (radix, length & -length) != (8, 16):
            found.append(radix)
            length //= radix
    if length > 1:
        raise ValueError(f"no transform of a length with the factor {length}")
    return found


def positions(length: int) -> list[int]:
    """Where a transform leaves each frequency: their digits, with the radices as bases, are reversed."""
    return _reverse_digits(torch.arange(length), 0, radices(length)).tolist()


def _reverse_digits(x, dim, bases):
    """x with each index along `dim` replaced by the one that has its digits in reverse order."""
    last = dim + len(bases)
    digits = x.unflatten(dim, bases) if bases else x
    return digits.permute(*range(dim), *reversed(range(dim, last)), *range(last, digits.ndim)).reshape(x.shape)
