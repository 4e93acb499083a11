"""Convolution of vector fields by FFT, in blocks that stay in the processor's cache."""

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torchmag import layout
from torchmag.device import runs_apart
from torchmag.energies import plans
from torchmag.mesh import Mesh

# One block's spectrum, bytes: about the second-level cache of one core.
BLOCK = 2**20
# On a device that works apart a block is there to bound memory: smaller ones only cost calls.
LARGE_BLOCK = 2**28
# What a convolution takes and gives.
CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED = range(3)
# Each block is another dozen nodes of a compiled graph.
MOST_COMPILED = 8


@dataclass(frozen=True)
class Convolution:
    """Zero-padded (open axes) or circular (periodic axes) convolution of a vector field on the cells with a symmetric kernel.

    The kernel is that of a quadratic energy, K_ab(x) = K_ba(-x): the operator is its own transpose, and its derivative
    is the same convolution of the perturbation.

    The spectrum has the grid axes in reverse order: each transform then writes the memory that the next one reads, and a block
    along the first of them takes all transforms but that of the last grid axis.  No row of padding is transformed.

    Args:
        mesh: the grid; only its axes of more than one cell are transformed.
        terms: (target, origin, row, sign): kernel[row] * field[origin] * sign is added to component `target`.
        parities: for each row of the kernel and each of the three axes, whether it is odd along it, else it is even.
        odd: the kernel is odd, its transform imaginary; else it is even and real.

    On the CPU, where there is compiled code for it (see `native`), the kernel is kept as `plans.Plan` says, in one dimension, and
    torch's FFT is not used.

    Attributes:
        plan_of: for each kind of call the plan of compiled code; empty where there can be none.
    """

    mesh: Mesh
    terms: tuple[tuple[int, int, int, int], ...]
    parities: tuple[tuple[bool, bool, bool], ...]
    odd: bool = False

    axes: tuple[int, ...] = field(init=False)
    cells: tuple[int, ...] = field(init=False)
    lengths: tuple[int, ...] = field(init=False)
    periodic: tuple[bool, ...] = field(init=False)
    plan_of: tuple[plans.Plan, ...] = field(init=False)

    def __post_init__(self):
        axes = tuple(axis for axis, n in enumerate(self.mesh.cells) if n > 1)
        object.__setattr__(self, "axes", axes)
        object.__setattr__(self, "periodic", layout.periodic_axes(self.mesh))
        object.__setattr__(self, "cells", tuple(self.mesh.cells[axis] for axis in axes))
        object.__setattr__(self, "lengths", tuple(padded_length(self.mesh, axis) for axis in axes))
        found = ()
        if axes and self.parities and all(rest(length) == 1 for length in self.lengths):
            cells = (*self.mesh.cells, 1, 1)[:3]
            plan = plans.Plan(
                cells,
                tuple(padded_length(self.mesh, axis) if n > 1 else 1 for axis, n in enumerate(cells)),
                self.terms,
                self.parities,
                self.odd,
            )
            around = [plans.PERIODIC if wraps else plans.OPEN for wraps in self.periodic]
            around = (*around, *plans.Plan.around)[:3]
            found = (plan, replace(plan, around=around), replace(plan, around=around, nodal=True))
        object.__setattr__(self, "plan_of", found)
        _define_operator()

    def __setstate__(self, state):
        self.__dict__.update(state)
        _define_operator()

    def kernel(self, rows: Iterable[Tensor], like: Tensor) -> Tensor:
        """A kernel from its rows in space, in the form that suits the device of `like`, with its dtype.

        Args:
            rows: real, float64, at the offsets 0 ... n - 1 of each of the three axes; along periodic axes images are summed.
        """
        if not self.parities:
            return torch.zeros(0, *self.lengths).to(like)
        # One row after another, so that no more than one is held in full precision.
        kernel = torch.stack([self._transform(row, odd).to(like.dtype) for row, odd in zip(rows, self.parities)])
        packed = self.plan_of and plans.available() and like.device.type == "cpu"
        return self.plan_of[0].pack(kernel) if packed else self._spectrum(kernel).to(like.device)

    def _transform(self, kernel, odd_axes):
        """The transform of a real kernel, its imaginary part where it is odd, else its real part.

        It is even or odd along each axis, as the kernel is: the first half is kept, length // 2 + 1 frequencies of three axes.
        """
        for axis, length in zip(self.axes, self.lengths):
            if not self.mesh.periodic(axis):
                kernel = _unfold(kernel, axis, length, odd_axes[axis])
            spectrum = torch.fft.rfft(kernel, dim=axis)
            kernel = spectrum.imag if odd_axes[axis] else spectrum.real
        # Two odd axes are two factors i.
        return -kernel if sum(odd_axes) > 1 else kernel

    def _spectrum(self, kernel):
        """All frequencies of all axes but the last, of axes of more than one cell only, in reverse order: (rows, *spectrum)."""
        for axis, length in zip(self.axes[:-1], self.lengths[:-1]):
            kernel = plans.mirrored(kernel, axis, length, self.parities)
        kernel = kernel.permute(0, 3, 2, 1)
        return kernel.reshape(len(kernel), *(kernel.shape[3 - axis] for axis in reversed(self.axes))).contiguous()

    def __call__(self, x: Tensor, kernel: Tensor, kind: int = CELLS_TO_CELLS) -> Tensor:
        """The convolution with a `kernel` in the same precision.

        Args:
            kind: CELLS_TO_CELLS: (*batch, 3, *cells) -> same.
                CELLS_TO_EXTENDED: (*batch, 3, *cells) -> (*batch, 3, *nodes + 1), see `layout.extended`.
                NODES_TO_EXTENDED: (*batch, 3, *nodes) -> (*batch, 3, *nodes + 1), of the mean over the corners of each cell.
        """
        if not torch.compiler.is_compiling():
            return _Apply.apply(x, kernel, self, kind)
        if self._is_packed(kernel) and x.device.type == "cpu" and plans.available() and not _is_transformed():
            operators = torch.ops.torchmag
            convolve = operators.convolve if torch.is_grad_enabled() else operators.convolve_untaped
            return convolve.default(x, kernel, self.plan_of[kind].encode())
        # A graph holds functional code only; outside one, blocks are written in place and nothing is kept for the backward.
        return self._by_torch(x, kernel, kind)

    def _is_packed(self, kernel):
        return bool(self.plan_of) and kernel.ndim == 1

    def apply(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        """The convolution without derivatives, outside of a graph."""
        # Within a Function torch has wrapped tensors without storage, for batches of cotangents.
        if self._is_packed(kernel) and x.device.type == "cpu" and plans.available() and torch._C._has_storage(x):
            return plans.convolve(self.plan_of[kind], x.detach(), kernel.detach())
        return self._by_torch(x, kernel, kind)

    def _by_torch(self, x, kernel, kind):
        if self._is_packed(kernel):
            kernel = self._spectrum(self.plan_of[0].unpack(kernel))
        x = layout.mean_of_corners(x, self.periodic) if kind == NODES_TO_EXTENDED else x
        found = self._whole(x, kernel)
        return found if kind == CELLS_TO_CELLS else layout.extended(found, self.periodic)

    def _whole(self, x, kernel):
        flat = x.reshape(-1, 3, *self.cells)  # (batch, 3, *cells of the axes with more than one cell)
        if not self.axes:
            return self._multiply(flat, kernel).reshape(x.shape)
        if runs_apart(x) or torch.compiler.is_compiling():
            return self._in_blocks(flat, kernel).reshape(x.shape)
        samples = max(1, BLOCK // self._bytes(x))
        found = [self._in_blocks(part, kernel) for part in flat.split(samples)]
        return (found[0] if len(found) == 1 else torch.cat(found)).reshape(x.shape)

    def _in_blocks(self, x, kernel):
        """The transform along the last axis, and everything else in blocks of its result."""
        rest = tuple(zip(self.cells[:-1], self.lengths[:-1]))
        spectrum = torch.fft.rfft(x, self.lengths[-1]).movedim(-1, 2)  # (batch, 3, k, *rest)
        slabs = spectrum.split(self._block(x), 2)
        kernels = kernel.split(self._block(x), 1)
        if len(slabs) == 1:
            spectrum = self._through(spectrum, kernel, rest).movedim(2, -1)
        elif torch.compiler.is_compiling():
            spectrum = torch.cat([self._through(*pair, rest).movedim(2, -1) for pair in zip(slabs, kernels)], -1)
        else:
            for slab, rows in zip(slabs, kernels):
                slab.copy_(self._through(slab, rows, rest))
            spectrum = spectrum.movedim(2, -1)
        return torch.fft.irfft(spectrum, self.lengths[-1])[..., : self.cells[-1]]

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
        for target, origin, row, sign in self.terms:
            if found[target] is None or fused:
                part = source[origin] * rows[row]
                part = part if sign > 0 else -part
                found[target] = part if found[target] is None else found[target] + part
            else:
                found[target] = torch.addcmul(found[target], source[origin], rows[row], value=sign)
        product = torch.stack([torch.zeros_like(source[0]) if part is None else part for part in found], 1)
        if not fused:
            return product * 1j if self.odd and product.is_complex() else product
        if self.odd:
            real, imaginary = product.unbind(-1)
            product = torch.stack((-imaginary, real), -1)
        return torch.view_as_complex(product)

    def bytes_for(self, like: Tensor) -> int:
        """What a kernel and one convolution of one sample hold on a device that works apart, about: the kernel, the transform along the last
        axis, and two spectra of a block."""
        half = self.lengths[-1] // 2 + 1 if self.lengths else 1
        kernel = len(self.parities) * math.prod(self.lengths[:-1]) * half
        lines = 6 * math.prod(self.cells[:-1]) * half
        return (kernel + lines) * like.element_size() + 2 * min(LARGE_BLOCK, self._bytes(like))

    def _bytes(self, x):
        """Size of the spectrum of one sample."""
        return 3 * math.prod(self.lengths) * x.element_size()

    def _block(self, x):
        """How many frequencies of the last axis to take at a time."""
        count = self.lengths[-1] // 2 + 1
        if runs_apart(x):
            return max(1, min(count, count * LARGE_BLOCK // self._bytes(x)))
        block = max(1, count * BLOCK // self._bytes(x))
        return max(block, math.ceil(count / MOST_COMPILED)) if torch.compiler.is_compiling() else block


class _Apply(torch.autograd.Function):
    """A Convolution, linear and its own transpose: derivatives of every order are Convolutions and keep no spectrum."""

    @staticmethod
    def forward(x, kernel, convolution, kind):
        return convolution.apply(x, kernel, kind)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.kernel, ctx.convolution, ctx.kind = inputs

    @staticmethod
    def backward(ctx, gradient):
        convolve = lambda x, kind: _Apply.apply(x, ctx.kernel, ctx.convolution, kind)
        return _transposed(convolve, gradient, ctx.kind, ctx.convolution.periodic), None, None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _Apply.apply(tangent, ctx.kernel, ctx.convolution, ctx.kind)

    @staticmethod
    def vmap(info, in_dims, x, kernel, convolution, kind):
        return _Apply.apply(x.movedim(in_dims[0], 0), kernel, convolution, kind), 0


def _transposed(convolve, gradient, kind, periodic):
    """What a result's gradient is at the input, with convolve(x, kind)."""
    if kind == CELLS_TO_CELLS:
        return convolve(gradient, kind)
    gradient = layout.restricted(gradient, periodic)
    if kind == CELLS_TO_EXTENDED:
        return convolve(gradient, CELLS_TO_CELLS)
    return layout.extended_to_nodes(convolve(gradient, CELLS_TO_EXTENDED), len(periodic))


def _keep(ctx, inputs, output):
    _, ctx.kernel, ctx.plan = inputs


def _derive(ctx, gradient):
    plan = plans.Plan.decode(tuple(ctx.plan))
    kinds = plan.plain, replace(plan, nodal=False)
    kind = (CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED)[bool(plan.periodic) + plan.nodal]
    convolve = lambda x, kind: torch.ops.torchmag.convolve.default(x, ctx.kernel, kinds[kind].encode())
    return _transposed(convolve, gradient, kind, plan.periodic), None, None


@functools.cache
def _define_operator():
    """The operator that compiled graphs call; the checks of torch.library.custom_op would add 12 microseconds to each call."""
    library = torch.library.Library("torchmag", "DEF")
    signature = "(Tensor x, Tensor kernel, int[] plan) -> Tensor"
    # Where no gradient is asked for, the dispatcher is left through the shorter way.
    for name in ("convolve", "convolve_untaped"):
        library.define(name + signature)
        library.impl(name, lambda x, kernel, plan: plans.convolve(plans.Plan.decode(tuple(plan)), x, kernel), "CPU")
        torch.library.register_fake(
            f"torchmag::{name}", lambda x, kernel, plan: x.new_empty(plans.Plan.decode(tuple(plan)).shape_of(x)), lib=library
        )
    torch.library.register_autograd("torchmag::convolve", _derive, setup_context=_keep, lib=library)
    return library


def _is_transformed() -> bool:
    """Whether a graph is traced within jvp, grad or vmap of torch.func: torch gives a custom operator a tangent of zero there."""
    return torch._C._functorch.maybe_current_level() is not None or torch.autograd.forward_ad._current_level >= 0


# What torch.compiler.assume_constant_result does, which imports the whole compiler.
_is_transformed._dynamo_marked_constant = True


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
