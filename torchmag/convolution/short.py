"""Each component of a cell field with a short kernel of its own, by FFT."""

from collections.abc import Sequence

import torch
from torch import Tensor


def convolved(kernels: Tensor, x: Tensor, periodic: Sequence[bool]) -> Tensor:
    """Each component of a cell field convolved with its kernel (3, *offsets), by FFT: (*batch, 3, *cells) -> same."""
    # A graph holds functional code only.
    return (_convolved if torch.compiler.is_compiling() else _Convolved.apply)(x, kernels, tuple(periodic))


class _Convolved(torch.autograd.Function):
    """A kernel that is even along every axis is its own transpose: derivatives are convolutions, and no spectrum is kept."""

    @staticmethod
    def forward(x, kernels, periodic):
        return _convolved(x, kernels, periodic)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.kernels, ctx.periodic = inputs

    @staticmethod
    def backward(ctx, gradient):
        return _Convolved.apply(gradient, ctx.kernels, ctx.periodic), None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _Convolved.apply(tangent, ctx.kernels, ctx.periodic)

    @staticmethod
    def vmap(info, in_dims, x, kernels, periodic):
        return _Convolved.apply(x.movedim(in_dims[0], 0), kernels, periodic), 0


def _convolved(x, kernels, periodic):
    dim = len(periodic)
    cells, grid = x.shape[x.ndim - dim :], tuple(range(-dim, 0))
    kernels = kernels.reshape(3, *kernels.shape[1 : 1 + dim])
    lengths = []
    for where, n, wraps in zip(grid, cells, periodic):
        reach = kernels.shape[where] // 2
        lengths.append(n if wraps else n + reach)
        kernels = _cyclic(kernels, where, lengths[-1])
    spectrum = torch.fft.rfftn(x, lengths, grid) * torch.fft.rfftn(kernels, lengths, grid)
    found = torch.fft.irfftn(spectrum, lengths, grid)
    for where, n in zip(grid, cells):
        found = found.narrow(where, 0, n)
    return found


def _cyclic(kernel, where, length):
    """Offsets -r ... r of an axis to those of a ring, what meets there added."""
    reach = kernel.shape[where] // 2
    found = kernel.new_zeros([length if axis == where + kernel.ndim else n for axis, n in enumerate(kernel.shape)])
    for offset in range(-reach, reach + 1):
        found.narrow(where, offset % length, 1).add_(kernel.narrow(where, reach + offset, 1))
    return found
