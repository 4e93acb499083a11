"""Terms that are linear in the slopes and values of a field, with numbers for coefficients, in one call of compiled code."""

import ctypes
import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import bands, layout, stencils
from torchmag.bands import Term, decode_terms, encode_terms, transposed_terms
from torchmag.midpoints import SLOPE, Midpoints
from torchmag.stencils import Stencils, batched


def apply(operators: Stencils, x: Tensor, terms: Sequence[Term], coefficients: Tensor) -> Tensor:
    """The sum of coefficient * outer^T inner x over terms, times the share of cells that each node has along the other axes.

    Slopes are of what is smoothed along the other axes.  `operators.takes(x)` tells whether it can be called.

    Shape: x (*batch, 3, *nodes), coefficients (n) -> same as x.
    """
    attributes = operators.order, tuple(x.shape[x.ndim - operators.dim :]), operators.periodic, tuple(terms)
    if torch.compiler.is_compiling():
        return stencils.operator("local")(x, coefficients, encode_terms(*attributes))
    call = _Apply.apply if stencils.is_derived(x, coefficients) else _Apply.forward
    return call(x, coefficients, _numbers_of(*attributes))


@functools.cache
def _numbers_of(*attributes):
    return tuple(encode_terms(*attributes))


@functools.cache
class _Handle:
    """Terms as the compiled code has it."""

    def __init__(self, numbers, dtype):
        order, nodes, periodic, terms = decode_terms(numbers)
        self.size = 3 * math.prod(nodes)
        self.pointer = stencils.made("local_plan", dtype, *bands.local(order, nodes, periodic, terms))
        self.call = stencils.function("local", dtype)
        self.call.argtypes, self.call.restype = [*[ctypes.c_void_p] * 5, ctypes.c_long, ctypes.c_int], None


class _Apply(torch.autograd.Function):
    """Linear in x and in the coefficients."""

    @staticmethod
    def forward(x, coefficients, numbers):
        if torch._C._has_storage(x) and torch._C._has_storage(coefficients):
            return _run(x.detach(), coefficients.detach(), numbers)
        return _by_torch(x, coefficients, numbers)

    @staticmethod
    def setup_context(ctx, inputs, output):
        x, coefficients, ctx.numbers = inputs
        ctx.save_for_backward(x, coefficients)
        ctx.save_for_forward(x, coefficients)

    @staticmethod
    def backward(ctx, gradient):
        return *_gradients(_Apply.apply, ctx, gradient), None

    @staticmethod
    def jvp(ctx, dx, dc, _):
        x, coefficients = ctx.saved_tensors
        parts = [] if dx is None else [_Apply.apply(dx, coefficients, ctx.numbers)]
        parts += [] if dc is None else [_Apply.apply(x, dc, ctx.numbers)]
        return sum(parts[1:], start=parts[0])

    @staticmethod
    def vmap(info, in_dims, x, coefficients, numbers):
        if in_dims[1] is None:
            return _Apply.apply(x.movedim(in_dims[0], 0), coefficients, numbers), 0
        pairs = zip(batched(x, in_dims[0], info.batch_size), batched(coefficients, in_dims[1], info.batch_size))
        return torch.stack([_Apply.apply(*pair, numbers) for pair in pairs]), 0


def _gradients(apply, ctx, gradient):
    """Of x and the coefficients, with apply(x, coefficients, numbers)."""
    x, coefficients = ctx.saved_tensors
    needs_x, needs_coefficients = ctx.needs_input_grad[:2]
    dx = apply(gradient, coefficients, transposed_terms(ctx.numbers)) if needs_x else None
    dc = None
    if needs_coefficients:
        once = torch.eye(len(coefficients), dtype=x.dtype, device=x.device)
        dc = torch.stack([(gradient * apply(x, row, ctx.numbers)).sum() for row in once])
    return dx, dc


def _run(x, coefficients, numbers):
    """Nothing is taped."""
    handle, x, coefficients = _Handle(tuple(numbers), x.dtype), x.contiguous(), coefficients.to(x.dtype).contiguous()
    found, samples, threads = torch.empty_like(x), x.numel() // handle.size, stencils.threads_for(x)
    work = x.new_empty(handle.size * 2 * (threads if samples >= threads else 1))
    handle.call(handle.pointer, *(tensor.data_ptr() for tensor in (x, coefficients, found, work)), samples, threads)
    return found


def _by_torch(x, coefficients, numbers):
    order, nodes, periodic, terms = decode_terms(tuple(numbers))
    dim, plain = len(nodes), Midpoints(order, periodic)
    none, plane = torch.zeros_like(x.select(-dim - 1, 0)), x.unbind(-dim - 1)
    values, slopes = [none] * 3, [[none] * 3 for _ in nodes]
    others = [[other for other in range(dim) if other != axis] for axis in range(dim)]
    smoothed = [plain.smooth(x, axes).unbind(-dim - 1) for axes in others]
    for target, origin, axis, outer, inner, coefficient in terms:
        take = lambda kind: tuple(kind if a == axis else None for a in range(dim))  # noqa: B023
        once = [wraps or a == axis for a, wraps in enumerate(periodic)]
        part = plain.there((smoothed[axis] if inner == SLOPE else plane)[origin], take(inner))
        part = plain.back(part, take(outer)) * layout.shares(nodes, once, x)
        found = slopes[axis] if outer == SLOPE else values
        found[target] = found[target] + coefficients[coefficient] * part
    return torch.stack(values, -dim - 1) + sum(
        plain.smooth(torch.stack(parts, -dim - 1), axes, transposed=True) for axes, parts in zip(others, slopes)
    )


def _keep(ctx, inputs, output):
    x, coefficients, numbers = inputs
    ctx.numbers = list(numbers)
    ctx.save_for_backward(x, coefficients)


def _derive(ctx, gradient):
    return *_gradients(torch.ops.torchmag.local.default, ctx, gradient), None


def _shaped(x, coefficients, numbers):
    return x.new_empty(x.shape)


@functools.cache
def define_operators():
    """Make known to torch the operators that compiled graphs call: before `apply`."""
    library = torch.library.Library("torchmag", "FRAGMENT")
    for name in ("local", "local_untaped"):
        stencils.define(library, name, "(Tensor x, Tensor coefficients, int[] numbers) -> Tensor", _shaped, _run)
    torch.library.register_autograd("torchmag::local", _derive, setup_context=_keep, lib=library)
    return library
