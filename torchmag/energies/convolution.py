"""Energies whose field is a convolution over the cells."""

from collections.abc import Iterable

import torch
from torch import Tensor

from torchmag.allocator import return_memory
from torchmag.convolution import Convolution
from torchmag.device import require_memory
from torchmag.energy import Energy
from torchmag.magnet import Magnet

# Of numbers in a kernel: to give back what smaller ones leave behind takes longer than it is worth.
LARGE = 2**20


class ConvolvedEnergy(Energy):
    """An energy with a convolution kernel.

    A subclass gives `_convolution()`, and the kernel's `_rows()` in space: values at the offsets 0 ... n - 1 of the three axes,
    float64.  The kernel follows from the mesh: its transform is kept in the magnet's dtype outside the state_dict.
    """

    def __init__(self, magnet: Magnet):
        super().__init__(magnet)
        self._convolve = self._convolution()
        # Before the kernel, with which what making both took is given back.
        self._register_tables(self.reference)
        self.register_buffer("kernel", self._build(self.reference), persistent=False)

    def _convolution(self) -> Convolution:
        raise TypeError(f"{type(self).__name__} defines no _convolution()")

    def _rows(self) -> Iterable[Tensor]:
        raise TypeError(f"{type(self).__name__} defines no _rows()")

    def _register_tables(self, like):
        """Make what else follows from the mesh, in the dtype and on the device of `like`."""

    def _build(self, like):
        cells = " x ".join(map(str, self.mesh.cells))
        needed = self._convolve.bytes_for(like)
        require_memory(needed, like.device, f"{type(self).__name__}: the convolution on {cells} cells in {like.dtype}")
        with torch.device("cpu"):
            kernel = self._convolve.kernel(self._rows(), like)
        if kernel.numel() > LARGE:
            return_memory()
        return kernel

    def _check_cells(self, x, name):
        expected = (3, *self.mesh.cells)
        if tuple(x.shape[-len(expected) :]) != expected:
            raise ValueError(
                f"{type(self).__name__}: {name} has shape {tuple(x.shape)}, expected (*batch, {', '.join(map(str, expected))})"
            )

    def _apply(self, fn, recurse=True):
        before = self.kernel
        super()._apply(fn, recurse)
        self._register_tables(self.kernel)
        widened = before.dtype == torch.float32 and self.kernel.dtype == torch.float64
        moved = before.device.type != self.kernel.device.type
        if self.kernel.device.type != "meta" and (widened or moved):
            self.kernel = self._build(self.kernel)
        return self
