"""Convolution by torch's FFT on devices that work apart, as CUDA: few calls, in blocks that bound the memory."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import dense
from torchmag.convolution.engine import Line
from torchmag.convolution.torch_fft import TorchFFT
from torchmag.device import runs_apart

# Bytes of one block's spectrum: smaller ones only cost calls.
LARGE_BLOCK = 2**28
# Bytes of a spectrum whose product with the kernel may be taken in two calls, by way of three times the memory.
FEW_CALLS = 2**24


class WideFFT(TorchFFT):
    """All samples at once.

    Outside of its transforms numbers are real, pairs of a real and an imaginary part: torch.compile generates no code for complex ones.
    The kernel has an axis more, for the two parts, and is divided by the number of frequencies: no transform scales its result.
    """

    @staticmethod
    def serves(x: Tensor) -> bool:
        return runs_apart(x)

    def keep(self, kernel: Tensor) -> Tensor:
        """Of a small one, a row for each pair of components; see `_of_pairs`."""
        kept = super().keep(kernel / math.prod(self.problem.lengths)).unsqueeze(-1)
        if 3 * self.spectrum_bytes(kept) > FEW_CALLS:
            return kept
        table = kept.new_zeros(9, *kept.shape[1:])
        for target, origin, row, sign in self.problem.terms:
            table[3 * target + origin] = sign * kept[row]
        return table

    def holds(self, kept: Tensor) -> bool:
        return kept.ndim == 2 + len(self.problem.axes)

    def restore(self, kept: Tensor) -> Tensor:
        if self._of_pairs(kept):
            places = {row: (3 * target + origin, sign) for target, origin, row, sign in self.problem.terms}
            kept = torch.stack([sign * kept[place] for place, sign in (places[row] for row in range(len(places)))])
        return super().restore(kept.squeeze(-1)) * math.prod(self.problem.lengths)

    @staticmethod
    def _of_pairs(kernel):
        """Whether row 3 target + origin belongs to a pair of components, with its sign: no kernel has more than six rows of its own."""
        return len(kernel) == 9

    def whole(self, x: Tensor, kernel: Tensor) -> Tensor:
        flat = x.reshape(-1, 3, *self.problem.cells)
        if not self.problem.axes:
            return self._multiplied(flat.unsqueeze(-1), kernel).reshape(x.shape)
        return self._transformed(flat, kernel, [None] * flat.ndim, [None] * flat.ndim).reshape(x.shape)

    def between(self, x: Tensor, kernel: Tensor, before: Sequence[Line], after: Sequence[Line]) -> Tensor:
        if not torch.compiler.is_compiling() or len(self.problem.axes) < len(before):
            return super().between(x, kernel, before, after)
        # Along an axis that is not transformed yet, or no more, fewer frequencies or nodes are taken along: with the padding, and what is cut off.
        flat = x.reshape(-1, *x.shape[-len(before) - 1 :])
        found = self._transformed(flat, kernel, before, after)
        return found.reshape(*x.shape[: -len(before)], *found.shape[2:])

    def _transformed(self, x, kernel, before, after):
        """(batch, 3, *cells or what is before) -> (batch, 3, *cells or what is after)."""
        cells, lengths = self.problem.cells, self.problem.lengths
        rest = tuple(zip(cells[:-1], lengths[:-1], before, after))
        x = _along(before[len(cells) - 1], x, -1)
        lines = torch.view_as_real(torch.fft.rfft(x, lengths[-1])).movedim(-2, 2)  # (batch, 3, k, *rest, 2)
        block = self.block(x)
        slabs, kernels = lines.split(block, 2), kernel.split(block, 1)
        if len(slabs) == 1:
            lines = self._through(lines, kernel, rest)
        elif torch.compiler.is_compiling():
            lines = torch.cat([self._through(*pair, rest) for pair in zip(slabs, kernels)], 2)
        else:
            for slab, rows in zip(slabs, kernels):
                slab.copy_(self._through(slab, rows, rest))
        found = torch.fft.irfft(_complex(lines.movedim(2, -2)), lengths[-1], norm="forward")
        return _along(after[len(cells) - 1], found[..., : cells[-1]], -1)

    def _through(self, x, kernel, rest):
        """Transform the axes `rest`, multiply, and transform back: (batch, 3, k, *rest, 2) -> same, or what is after."""
        if not rest:
            return self._multiplied(x, kernel)
        (n, length, before, after), depth = rest[-1], len(rest)
        x = _along(before, x, -2)
        padded = torch.nn.functional.pad(x, (0, 0, 0, length - n)) if length > n else x
        lines = torch.view_as_real(torch.fft.fft(_complex(padded))).movedim(-2, -1 - depth)
        lines = self._through(lines, kernel, rest[:-1]).movedim(-1 - depth, -2)
        return _along(after, torch.view_as_real(torch.fft.ifft(_complex(lines), norm="forward")).narrow(-2, 0, n), -2)

    def _multiplied(self, spectrum, kernel):
        """The kernel's rows times the components, summed: (batch, 3, *spectrum, 2) -> same."""
        pairs = self._of_pairs(kernel)
        if pairs and not torch.compiler.is_compiling() and 3 * spectrum.numel() * spectrum.element_size() < FEW_CALLS:
            return self._turned((kernel.unflatten(0, (3, 3)) * spectrum.unsqueeze(1)).sum(2))
        source, rows, found = spectrum.unbind(1), kernel.unbind(0), [None, None, None]
        for target, origin, row, sign in self.problem.terms:
            factor, sign = (rows[3 * target + origin], 1) if pairs else (rows[row], sign)
            if found[target] is None or torch.compiler.is_compiling():
                part = source[origin] * (factor if sign > 0 else -factor)
                found[target] = part if found[target] is None else found[target] + part
            else:
                found[target] = torch.addcmul(found[target], source[origin], factor, value=sign)
        return self._turned(torch.stack([torch.zeros_like(source[0]) if part is None else part for part in found], 1))

    def _turned(self, product):
        """Times i, where the transform of the kernel is imaginary."""
        if not self.problem.odd or not self.problem.axes:
            return product
        real, imaginary = product.unbind(-1)
        return torch.stack((-imaginary, real), -1)

    @property
    def block_bytes(self) -> int:
        return LARGE_BLOCK

    def block(self, x: Tensor) -> int:
        count = self.problem.lengths[-1] // 2 + 1
        return max(1, min(count, count * LARGE_BLOCK // self.spectrum_bytes(x)))


def _along(line, x, where):
    return x if line is None else dense.apply(*line, x, where)


def _complex(pairs):
    """Pairs of real numbers as complex ones, written side by side."""
    return torch.view_as_complex(pairs.contiguous())
