"""Which engine takes a convolution."""

from collections.abc import Sequence

from torch import Tensor

from torchmag.convolution.engine import Engine
from torchmag.convolution.native_fft import NativeFFT
from torchmag.convolution.problem import Problem
from torchmag.convolution.torch_fft import TorchFFT
from torchmag.convolution.wide_fft import WideFFT

# The first one that fits the problem and serves the device is taken; the last one takes all.
ENGINES: tuple[type[Engine], ...] = (NativeFFT, WideFFT, TorchFFT)


def engines_for(problem: Problem) -> tuple[Engine, ...]:
    """All that fit a problem."""
    return tuple(engine(problem) for engine in ENGINES if engine.fits(problem))


def chosen(engines: Sequence[Engine], x: Tensor, kernel: Tensor) -> tuple[Engine, Tensor]:
    """The engine that convolves x, and the kernel in its form: one that was made for another is made over."""
    for engine in engines:
        if engine.holds(kernel) and engine.takes(x):
            return engine, kernel
    halves = next(engine for engine in engines if engine.holds(kernel)).restore(kernel)
    engine = next(engine for engine in engines if engine.takes(x))
    return engine, engine.keep(halves)
