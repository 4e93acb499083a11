"""Fields that are convolutions over the cells, by FFT: zero-padded along open axes, circular along periodic ones."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchmag.energy import Energy
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh


class ConvolvedEnergy(Energy):
    """An energy with a convolution kernel, which a subclass gives as `_build()`: the transformed kernel, real, float64.

    The kernel follows from the mesh: it is kept in the magnet's dtype outside the state_dict.
    """

    def __init__(self, magnet: Magnet):
        super().__init__(magnet)
        self.register_buffer("kernel", self._build_on_cpu().to(self.reference), persistent=False)

    def _build(self) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no _build()")

    def _build_on_cpu(self):
        with torch.device("cpu"):
            return self._build()

    def _check_cells(self, x, name):
        expected = (3, *self.mesh.cells)
        if tuple(x.shape[-len(expected) :]) != expected:
            raise ValueError(
                f"{type(self).__name__}: {name} has shape {tuple(x.shape)}, expected (*batch, {', '.join(map(str, expected))})"
            )

    def _apply(self, fn, recurse=True):
        before = self.kernel
        super()._apply(fn, recurse)
        widened = before.dtype == torch.float32 and self.kernel.dtype == torch.float64
        if self.kernel.device.type != "meta" and (widened or before.device.type == "meta"):
            self.kernel = self._build_on_cpu().to(self.kernel)
        return self


def convolve(x: Tensor, mesh: Mesh, multiply: Callable[[Tensor], Tensor]) -> Tensor:
    """Zero-padded (open axes) or circular (periodic axes) convolution of a cell field (..., *cells).

    `multiply` acts on the spectrum (..., *spectrum).  One axis at a time, so that no row of padding is transformed.
    """
    axes = _transformed(mesh)
    if not axes:
        return multiply(x)
    spectrum = multiply(_transform(x, mesh))
    for axis in axes[:-1]:
        spectrum = torch.fft.ifft(spectrum, dim=axis - mesh.dim).narrow(axis - mesh.dim, 0, mesh.cells[axis])
    last = axes[-1]
    return torch.fft.irfft(spectrum, padded_length(mesh, last), dim=last - mesh.dim).narrow(last - mesh.dim, 0, mesh.cells[last])


def contract(spectrum: Tensor, kernel: Tensor, terms: Sequence[tuple[int, int, int, int]], mesh: Mesh, *, odd: bool) -> Tensor:
    """Sum of kernel[row] * spectrum[origin] * sign into component `target`, terms being (target, origin, row, sign).

    Args:
        spectrum: transformed vector field (..., 3, *spectrum).
        kernel: (rows, *spectrum), real: of an even kernel its transform, of an odd one the imaginary part of its transform.
    """
    packed = torch.view_as_real(spectrum) if spectrum.is_complex() else spectrum
    extra = packed.ndim - spectrum.ndim
    at = -mesh.dim - 1 - extra
    source, found = packed.unbind(at), [None, None, None]
    for target, origin, row, sign in terms:
        part = (kernel[row].unsqueeze(-1) if extra else kernel[row]) * source[origin]
        if found[target] is None:
            found[target] = part if sign > 0 else -part
        else:
            found[target] = found[target] + part if sign > 0 else found[target] - part
    product = torch.stack([torch.zeros_like(source[0]) if part is None else part for part in found], at)
    if not extra:
        return product
    if odd:
        real, imaginary = product.unbind(-1)
        product = torch.stack((-imaginary, real), -1)
    return torch.view_as_complex(product)


def transformed_kernel(octant: Tensor, odd: Sequence[bool], mesh: Mesh) -> Tensor:
    """The transform of a real kernel: its real part where it is even in all, its imaginary part where it is odd.

    Args:
        octant: at the offsets 0 ... n - 1 of each axis, three axes; along periodic axes images are summed.
        odd: for each of the three axes, whether the kernel is odd along it, else it is even.

    Returns: (*spectrum).
    """
    for axis in range(3):
        if not mesh.periodic(axis):
            octant = _unfold(octant, axis, padded_length(mesh, axis), odd[axis])
    kernel = octant.reshape(octant.shape[: mesh.dim])
    if not _transformed(mesh):
        return kernel
    spectrum = _transform(kernel, mesh)
    return spectrum.imag if sum(odd) % 2 else spectrum.real


def padded_length(mesh: Mesh, axis: int) -> int:
    """Length of the transform along an axis: n where it is periodic, else the next product of 2, 3, 5, 7 from 2 n - 1."""
    n = (*mesh.cells, 1, 1)[axis]
    if mesh.periodic(axis) or n == 1:
        return n
    length = 2 * n - 1
    while _rest(length) != 1:
        length += 1
    return length


def _rest(number):
    for prime in (2, 3, 5, 7):
        while number % prime == 0:
            number //= prime
    return number


def _transformed(mesh):
    """The axes of the mesh that need a transform: those of more than one cell."""
    return [axis for axis, n in enumerate(mesh.cells) if n > 1]


def _transform(x, mesh):
    """Real transform along the last axis of more than one cell, complex ones along the others: (..., *spectrum)."""
    axes = _transformed(mesh)
    x = torch.fft.rfft(x, padded_length(mesh, axes[-1]), dim=axes[-1] - mesh.dim)
    for axis in reversed(axes[:-1]):
        x = torch.fft.fft(x, padded_length(mesh, axis), dim=axis - mesh.dim)
    return x


def _unfold(octant, axis, length, odd):
    """Offsets 0 ... n - 1 of one axis to the offsets of a cyclic convolution of this length, zero beyond n - 1."""
    n = octant.shape[axis]
    offsets = torch.arange(length)
    offsets = torch.where(offsets < n, offsets, offsets - length)
    inside = offsets.abs() < n
    weight = inside.double() * (offsets.sign() if odd else 1)
    shape = [1] * octant.ndim
    shape[axis] = length
    return octant.index_select(axis, offsets.abs() * inside) * weight.reshape(shape)
