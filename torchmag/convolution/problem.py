"""What is convolved: grid, components and parities, and the transform of a kernel."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from torchmag import layout
from torchmag.mesh import Mesh

# What a convolution takes and gives.
CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED = range(3)


@dataclass(frozen=True)
class Problem:
    """Zero-padded (open axes) or circular (periodic axes) convolution of a vector field on the cells with a symmetric kernel.

    Args:
        mesh: the grid; only its axes of more than one cell are transformed.
        terms: (target, origin, row, sign): kernel[row] * field[origin] * sign is added to component `target`.
        parities: for each row of the kernel and each of the three axes, whether it is odd along it, else it is even.
        odd: the kernel is odd, its transform imaginary; else it is even and real.

    Attributes:
        axes, cells, lengths: of more than one cell; how many cells, and the lengths of the transforms.
        periodic: for each axis of the mesh, whether it wraps around.
    """

    mesh: Mesh
    terms: tuple[tuple[int, int, int, int], ...]
    parities: tuple[tuple[bool, bool, bool], ...]
    odd: bool = False

    axes: tuple[int, ...] = field(init=False)
    cells: tuple[int, ...] = field(init=False)
    lengths: tuple[int, ...] = field(init=False)
    periodic: tuple[bool, ...] = field(init=False)

    def __post_init__(self):
        axes = tuple(axis for axis, n in enumerate(self.mesh.cells) if n > 1)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "cells", tuple(self.mesh.cells[axis] for axis in axes))
        object.__setattr__(self, "lengths", tuple(padded_length(self.mesh, axis) for axis in axes))
        object.__setattr__(self, "periodic", layout.periodic_axes(self.mesh))

    def half_spectra(self, rows: Iterable[Tensor], dtype: torch.dtype) -> Tensor:
        """The transform of a kernel, its imaginary part if it is odd, else its real part: (rows, *frequencies up to the middle of three axes).

        Args:
            rows: real, float64, at the offsets 0 ... n - 1 of each of the three axes; along periodic axes images are summed.
        """
        # One row after another, so that no more than one is held in full precision.
        return torch.stack([self._transform(row, odd).to(dtype) for row, odd in zip(rows, self.parities)])

    def _transform(self, kernel, odd_axes):
        """It is even or odd along each axis, as the kernel is: the first half is kept, length // 2 + 1 frequencies of three axes."""
        for axis, length in zip(self.axes, self.lengths):
            if not self.mesh.periodic(axis):
                kernel = unfolded(kernel, axis, length, odd_axes[axis])
            spectrum = torch.fft.rfft(kernel, dim=axis)
            kernel = spectrum.imag if odd_axes[axis] else spectrum.real
        # Two odd axes are two factors i.
        return -kernel if sum(odd_axes) > 1 else kernel


def padded_length(mesh: Mesh, axis: int) -> int:
    """Length of the transform along an axis: n where it is periodic, else the next product of 2, 3, 5, 7 from 2 n - 1."""
    n = mesh.cells[axis]
    if mesh.periodic(axis) or n == 1:
        return n
    length = 2 * n - 1
    while rest(length) != 1:
        length += 1
    return length


def rest(number: int) -> int:
    """What is left without the factors 2, 3, 5, 7."""
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number


def unfolded(octant: Tensor, axis: int, length: int, odd: bool) -> Tensor:
    """Offsets 0 ... n - 1 of one axis to the offsets of a cyclic convolution of this length, zero beyond n - 1."""
    n = octant.shape[axis]
    offsets = torch.arange(length)
    offsets = torch.where(offsets < n, offsets, offsets - length)
    inside = offsets.abs() < n
    weight = inside.double() * (offsets.sign() if odd else 1)
    shape = [1] * octant.ndim
    shape[axis] = length
    return octant.index_select(axis, offsets.abs() * inside) * weight.reshape(shape)


def mirrored(kernel: Tensor, axis: int, length: int, parities: Sequence[Sequence[bool]]) -> Tensor:
    """(rows, ...) with all frequencies of one of the axes behind, of which it has those up to the middle."""
    missing = length - kernel.shape[1 + axis]
    if not missing:
        return kernel
    signs = kernel.new_tensor([-1.0 if odd[axis] else 1.0 for odd in parities]).reshape(-1, 1, 1, 1)
    return torch.cat([kernel, signs * kernel.narrow(1 + axis, 1, missing).flip(1 + axis)], 1 + axis)
