"""Convolution by torch's FFT on devices that work apart, as CUDA: few calls, in blocks that bound the memory."""

from torch import Tensor

from torchmag.convolution.torch_fft import TorchFFT
from torchmag.device import runs_apart

# Bytes of one block's spectrum: smaller ones only cost calls.
LARGE_BLOCK = 2**28


class WideFFT(TorchFFT):
    """All samples at once."""

    @staticmethod
    def serves(x: Tensor) -> bool:
        return runs_apart(x)

    def samples_at_once(self, x: Tensor) -> int:
        return len(x)

    def block(self, x: Tensor) -> int:
        count = self.problem.lengths[-1] // 2 + 1
        return max(1, min(count, count * LARGE_BLOCK // self.spectrum_bytes(x)))

    @property
    def block_bytes(self) -> int:
        return LARGE_BLOCK
