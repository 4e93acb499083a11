"""The demagnetising field as an FFT convolution over the cells."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchmag import layout
from torchmag.constants import mu_0
from torchmag.energies.newell import PAIRS, demag_tensor
from torchmag.energy import Energy
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh


class Demag(Energy):
    """Demagnetising (stray-field) energy, E = -1/2 mu_0 sum_c V M_c m_c.h_c.

    m_c is the mean of the cell's nodes, h = -N * (M m) the field of homogeneously magnetised cuboids averaged over each
    cuboid, M = fraction Ms (Abert et al. 2024, Sec. III D).  The field at the nodes is minus the derivative of this energy over
    the lumped mass; NeuralMag's energy, -1/2 mu_0 int Ms m.h with the nodal field, agrees for uniform m only.

    Args:
        magnet: the body.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.

    The convolution kernel is built in float64, kept in the magnet's dtype outside the state_dict.  A pseudo-periodic axis
    sums N images on each side.
    """

    def __init__(self, magnet: Magnet):
        super().__init__(magnet)
        self.register_buffer("kernel", self._build().to(self.reference), persistent=False)

    def cell_field(self, m_cells: Tensor, values=None) -> Tensor:
        """The field averaged over each cell, A/m, of magnetisation directions given per cell: (*batch, 3, *cells)."""
        expected = (3, *self.mesh.cells)
        if tuple(m_cells.shape[-len(expected) :]) != expected:
            raise ValueError(
                f"Demag: m_cells has shape {tuple(m_cells.shape)}, expected (*batch, {', '.join(map(str, expected))})"
            )
        values = self.prepare() if values is None else values
        return self._cell_field(m_cells * self._moment(values))

    def _density_map(self, m, values):
        M = self._moment(values) * layout.to_cells(m, self.mesh)
        return -0.5 * mu_0 * layout.dot(M, self._cell_field(M), self.mesh)

    def _variation(self, m, values):
        moment = self._moment(values)
        field = self._cell_field(moment * layout.to_cells(m, self.mesh))
        return -mu_0 * layout.to_nodes(moment * field, self.mesh)

    def _moment(self, values):
        M = values["magnet"]["M"]
        return M.unsqueeze(layout.component_dim(self.mesh)) if M.ndim else M

    def _cell_field(self, M: Tensor) -> Tensor:
        """-N * M: (*batch, 3, *cells) -> same."""
        return convolve(M, self.mesh, lambda spectrum: -self._multiply(spectrum))

    def _multiply(self, spectrum):
        """The tensor product at each wave vector; real kernels scale real and imaginary parts alike."""
        packed = torch.view_as_real(spectrum) if spectrum.is_complex() else spectrum
        extra = packed.ndim - spectrum.ndim
        source = packed.unbind(-self.mesh.dim - 1 - extra)
        rows = [None, None, None]
        for (a, b), component in zip(self._pairs(), self.kernel):
            component = component.unsqueeze(-1) if extra else component
            for target, origin in {(a, b), (b, a)}:
                part = component * source[origin]
                rows[target] = part if rows[target] is None else rows[target] + part
        product = torch.stack(rows, -self.mesh.dim - 1 - extra)
        return torch.view_as_complex(product) if extra else product

    def _pairs(self):
        """The components of N that do not vanish by symmetry: N_ab is odd along a and b, hence 0 on an axis of one cell."""
        sizes = (*self.mesh.cells, 1, 1)
        return [(a, b) for a, b in PAIRS if a == b or (sizes[a] > 1 and sizes[b] > 1)]

    def _build(self) -> Tensor:
        """The transformed kernel (components, *spectrum), real, float64."""
        mesh = self.mesh
        if math.inf in mesh.pbc:
            raise ValueError(f"Demag: pbc = {mesh.pbc}; give a number of images on each side instead of math.inf")
        sizes = (*mesh.cells, 1, 1)[:3]
        reach = [n * (images + 1) for n, images in zip(sizes, mesh.pbc)]
        with torch.device("cpu"):
            return self._transformed_tensor(sizes, demag_tensor(reach, mesh.dx))

    def _transformed_tensor(self, sizes, octant):
        mesh, rows = self.mesh, []
        for a, b in self._pairs():
            component = octant[PAIRS.index((a, b))]
            for axis in range(3):
                odd = a != b and axis in (a, b)
                component = _wrap(component, axis, sizes[axis], mesh.pbc[axis], padded_length(mesh, axis), odd)
            component = component.reshape(component.shape[: mesh.dim])
            # Even, or odd along two axes: the transform is real either way.
            rows.append(_transform(component, mesh).real if any(_transformed(mesh)) else component)
        return torch.stack(rows)

    def _apply(self, fn, recurse=True):
        before = self.kernel
        super()._apply(fn, recurse)
        widened = before.dtype == torch.float32 and self.kernel.dtype == torch.float64
        if self.kernel.device.type != "meta" and (widened or before.device.type == "meta"):
            self.kernel = self._build().to(self.kernel)
        return self


def convolve(x: Tensor, mesh: Mesh, multiply: Callable[[Tensor], Tensor]) -> Tensor:
    """Zero-padded (open axes) or circular (periodic axes) convolution of a cell field (..., *cells).

    `multiply` acts on the spectrum (..., *spectrum).  One axis at a time, so that no row of padding is transformed.
    """
    transformed = _transformed(mesh)
    if not any(transformed):
        return multiply(x)
    spectrum = multiply(_transform(x, mesh))
    axes = [axis for axis in range(mesh.dim) if transformed[axis]]
    for axis in axes[:-1]:
        spectrum = torch.fft.ifft(spectrum, dim=axis - mesh.dim).narrow(axis - mesh.dim, 0, mesh.cells[axis])
    last = axes[-1]
    return torch.fft.irfft(spectrum, padded_length(mesh, last), dim=last - mesh.dim).narrow(last - mesh.dim, 0, mesh.cells[last])


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
    """Which axes of the mesh need a transform: those of more than one cell."""
    return [n > 1 for n in mesh.cells]


def _transform(x, mesh):
    """Real transform along the last axis of more than one cell, complex ones along the others: (..., *spectrum)."""
    axes = [axis for axis in range(mesh.dim) if mesh.cells[axis] > 1]
    x = torch.fft.rfft(x, padded_length(mesh, axes[-1]), dim=axes[-1] - mesh.dim)
    for axis in reversed(axes[:-1]):
        x = torch.fft.fft(x, padded_length(mesh, axis), dim=axis - mesh.dim)
    return x


def _wrap(octant, axis, n, images, length, odd):
    """Non-negative offsets of one axis to the offsets of a cyclic convolution of this length, images summed."""
    if images == 0:
        offsets = torch.arange(length)
        offsets = torch.where(offsets < n, offsets, offsets - length)[:, None]
    else:
        offsets = torch.arange(n)[:, None] + n * torch.arange(-images, images + 1)
    inside = offsets.abs() < octant.shape[axis]
    weight = inside.double() * (offsets.sign() if odd else 1)
    gathered = octant.index_select(axis, (offsets.abs() * inside).flatten()).unflatten(axis, offsets.shape)
    shape = [1] * gathered.ndim
    shape[axis], shape[axis + 1] = offsets.shape
    return (gathered * weight.reshape(shape)).sum(axis + 1)
