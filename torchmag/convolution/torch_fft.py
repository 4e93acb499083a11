"""Convolution by torch's FFT, in blocks that stay in the processor's cache."""

import math

import torch
from torch import Tensor

from torchmag import layout
from torchmag.convolution.engine import Engine
from torchmag.convolution.problem import CELLS_TO_CELLS, NODES_TO_EXTENDED, mirrored

# One block's spectrum, bytes: about the second-level cache of one core.
BLOCK = 2**20
# Each block is another dozen nodes of a compiled graph.
MOST_COMPILED = 8


class TorchFFT(Engine):
    """Transforms of any length, on any device.

    The spectrum has the grid axes in reverse order: each transform then writes the memory that the next one reads, and a block
    along the first of them takes all transforms but that of the last grid axis.  No row of padding is transformed.
    """

    @staticmethod
    def serves(x: Tensor) -> bool:
        return True

    def keep(self, kernel: Tensor) -> Tensor:
        """All frequencies of all axes but the last, of axes of more than one cell only, in reverse order: (rows, *spectrum)."""
        problem = self.problem
        for axis, length in zip(problem.axes[:-1], problem.lengths[:-1]):
            kernel = mirrored(kernel, axis, length, problem.parities)
        kernel = kernel.permute(0, 3, 2, 1)
        return kernel.reshape(len(kernel), *(kernel.shape[3 - axis] for axis in reversed(problem.axes))).contiguous()

    def holds(self, kept: Tensor) -> bool:
        return kept.ndim == 1 + len(self.problem.axes)

    def restore(self, kept: Tensor) -> Tensor:
        shape = [1, 1, 1]
        for axis, length in zip(self.problem.axes, self.problem.lengths):
            shape[axis] = length // 2 + 1
            kept = kept.narrow(-1 - self.problem.axes.index(axis), 0, length // 2 + 1)
        return kept.reshape(len(kept), *reversed(shape)).permute(0, 3, 2, 1)

    def convolve(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        x = layout.mean_of_corners(x, self.problem.periodic) if kind == NODES_TO_EXTENDED else x
        found = self.whole(x, kernel)
        return found if kind == CELLS_TO_CELLS else layout.extended(found, self.problem.periodic)

    def in_graph(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        # A graph holds functional code only; outside one, blocks are written in place and nothing is kept for the backward.
        return self.convolve(x, kernel, kind)

    def whole(self, x: Tensor, kernel: Tensor) -> Tensor:
        """(*batch, 3, *cells) -> same."""
        flat = x.reshape(-1, 3, *self.problem.cells)  # (batch, 3, *cells of the axes with more than one cell)
        if not self.problem.axes:
            return self._multiply(flat, kernel).reshape(x.shape)
        if torch.compiler.is_compiling():
            return self._in_blocks(flat, kernel).reshape(x.shape)
        found = [self._in_blocks(part, kernel) for part in flat.split(max(1, self.samples_at_once(flat)))]
        return (found[0] if len(found) == 1 else torch.cat(found)).reshape(x.shape)

    def _in_blocks(self, x, kernel):
        """The transform along the last axis, and everything else in blocks of its result."""
        cells, lengths = self.problem.cells, self.problem.lengths
        rest = tuple(zip(cells[:-1], lengths[:-1]))
        spectrum = torch.fft.rfft(x, lengths[-1]).movedim(-1, 2)  # (batch, 3, k, *rest)
        slabs = spectrum.split(self.block(x), 2)
        kernels = kernel.split(self.block(x), 1)
        if len(slabs) == 1:
            spectrum = self._through(spectrum, kernel, rest).movedim(2, -1)
        elif torch.compiler.is_compiling():
            spectrum = torch.cat([self._through(*pair, rest).movedim(2, -1) for pair in zip(slabs, kernels)], -1)
        else:
            for slab, rows in zip(slabs, kernels):
                slab.copy_(self._through(slab, rows, rest))
            spectrum = spectrum.movedim(2, -1)
        return torch.fft.irfft(spectrum, lengths[-1])[..., : cells[-1]]

    def _through(self, x, kernel, rest):
        """Transform the axes `rest`, (n, length) each, multiply, and transform back: (batch, 3, k, *rest) -> same."""
        if not rest:
            return self._multiply(x, kernel)
        (n, length), depth = rest[-1], len(rest)
        x = torch.fft.fft(x, length).movedim(-1, -depth)
        return torch.fft.ifft(self._through(x, kernel, rest[:-1]).movedim(-depth, -1))[..., :n]

    def _multiply(self, spectrum, kernel):
        """The kernel's rows times the components, summed: (batch, 3, *spectrum) -> same."""
        fused = spectrum.is_complex() and torch.compiler.is_compiling()
        if fused:
            # Inductor fuses real arithmetic only.
            spectrum, kernel = torch.view_as_real(spectrum), kernel.unsqueeze(-1)
        source, rows, found = spectrum.unbind(1), kernel.to(spectrum.dtype).unbind(0), [None, None, None]
        for target, origin, row, sign in self.problem.terms:
            if found[target] is None or fused:
                part = source[origin] * rows[row]
                part = part if sign > 0 else -part
                found[target] = part if found[target] is None else found[target] + part
            else:
                found[target] = torch.addcmul(found[target], source[origin], rows[row], value=sign)
        product = torch.stack([torch.zeros_like(source[0]) if part is None else part for part in found], 1)
        if not fused:
            return product * 1j if self.problem.odd and product.is_complex() else product
        if self.problem.odd:
            real, imaginary = product.unbind(-1)
            product = torch.stack((-imaginary, real), -1)
        return torch.view_as_complex(product)

    def bytes_for(self, like: Tensor) -> int:
        """The kernel, the transform along the last axis, and two spectra of a block."""
        cells, lengths = self.problem.cells, self.problem.lengths
        half = lengths[-1] // 2 + 1 if lengths else 1
        kernel = len(self.problem.parities) * math.prod(lengths[:-1]) * half
        lines = 6 * math.prod(cells[:-1]) * half
        return (kernel + lines) * like.element_size() + 2 * min(self.block_bytes, self.spectrum_bytes(like))

    @property
    def block_bytes(self) -> int:
        """Of one block's spectrum."""
        return BLOCK

    def samples_at_once(self, x: Tensor) -> int:
        """How many samples of x to take, outside of a graph."""
        return BLOCK // self.spectrum_bytes(x)

    def block(self, x: Tensor) -> int:
        """How many frequencies of the last axis to take at a time."""
        count = self.problem.lengths[-1] // 2 + 1
        block = max(1, count * BLOCK // self.spectrum_bytes(x))
        return max(block, math.ceil(count / MOST_COMPILED)) if torch.compiler.is_compiling() else block

    def spectrum_bytes(self, x: Tensor) -> int:
        """Size of the spectrum of one sample."""
        return 3 * math.prod(self.problem.lengths) * x.element_size()
