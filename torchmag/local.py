"""Terms that are linear in the slopes and values of a field, with numbers for coefficients: in one call of compiled code, or, on a device
that works apart, by matrices (see `dense`)."""

import ctypes
import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import bands, dense, layout, stencils
from torchmag.bands import Term, decode_terms, encode_terms, transposed_terms
from torchmag.midpoints import SLOPE, Midpoints
from torchmag.stencils import Stencils, batched


def takes(operators: Stencils, x: Tensor) -> bool:
    """Whether `apply` can be called."""
    return operators.takes(x) or all(dense.suits(x, -axis - 1) for axis in range(operators.dim))


def apply(operators: Stencils, x: Tensor, terms: Sequence[Term], coefficients: Tensor) -> Tensor:
    """The sum of coefficient * outer^T inner x over terms, times the share of cells that each node has along the other axes.

    Slopes are of what is smoothed along the other axes.  `takes(operators, x)` tells whether it can be called.

    Shape: x (*batch, 3, *nodes), coefficients (n) -> same as x.
    """
    attributes = operators.order, tuple(x.shape[x.ndim - operators.dim :]), operators.periodic, tuple(terms)
    if not operators.takes(x):
        return _by_matrices(x, coefficients, *attributes)
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


def _by_matrices(x, coefficients, order, nodes, periodic, terms):
    dim, plain = len(nodes), Midpoints(order, periodic)
    groups = tuple(dict.fromkeys((axis, outer, inner) for _, _, axis, outer, inner, _ in terms))
    # Of each group from which component to which: one product for all.
    picked = dense.constant(_selection, (groups, terms, len(coefficients)), x)
    matrices = (picked @ coefficients.to(x.dtype)).reshape(len(groups), 3, 3)
    found = []
    for axis in dict.fromkeys(axis for axis, _, _ in groups):
        others = [other for other in range(dim) if other != axis]
        take = lambda kind: tuple(kind if a == axis else None for a in range(dim))  # noqa: B023
        inner, fluxes = {}, {}
        for (where, of, to), matrix in zip(groups, matrices):
            if where != axis:
                continue
            if to not in inner:
                inner[to] = plain.there(plain.smooth(x, others) if to == SLOPE else x, take(to))
            flux = matrix @ inner[to].flatten(-dim)
            fluxes[of] = fluxes[of] + flux if of in fluxes else flux
        once = tuple(wraps or a == axis for a, wraps in enumerate(periodic))
        for of, flux in fluxes.items():
            part = plain.back(flux.unflatten(-1, next(iter(inner.values())).shape[-dim:]), take(of))
            if not all(once):
                part = part * dense.constant(_shares, (nodes, once), x)
            found.append(plain.smooth(part, others, transposed=True) if of == SLOPE else part)
    return sum(found[1:], start=found[0])


def _selection(groups, terms, count):
    """Of each entry of the groups' matrices which coefficients are added up: (9 for each group, count)."""
    found = torch.zeros(len(groups), 3, 3, count, dtype=torch.float64)
    for target, origin, axis, outer, inner, coefficient in terms:
        found[groups.index((axis, outer, inner)), target, origin, coefficient] += 1
    return found.reshape(-1, count)


def _shares(nodes, once):
    return layout.shares(nodes, once, torch.empty((), dtype=torch.float64))


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
