"""Terms that are linear in the slopes and values of a field, with numbers for coefficients: in one call of compiled code, or, on a device
that works apart, by matrices (see `dense`)."""

import ctypes
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag import bands, dense, layout, stencils
from torchmag.bands import Term, decode_terms, encode_terms, transposed_terms
from torchmag.device import runs_apart
from torchmag.midpoints import SLOPE, Midpoints
from torchmag.stencils import Stencils, batched


def takes(operators: Stencils, x: Tensor) -> bool:
    """Whether `apply` can be called."""
    return operators.takes(x) or all(dense.suits(x, -axis - 1) for axis in range(operators.dim))


def takes_numbers(x: Tensor) -> bool:
    """Whether the coefficients may stay numbers and tensors of one element: compiled code of a device has them where they are used."""
    return torch.compiler.is_compiling() and runs_apart(x)


def apply(operators: Stencils, x: Tensor, terms: Sequence[Term], coefficients: Tensor | Sequence) -> Tensor:
    """The sum of coefficient * outer^T inner x over terms, times the share of cells that each node has along the other axes.

    Slopes are of what is smoothed along the other axes.  `takes(operators, x)` tells whether it can be called.

    Shape: x (*batch, 3, *nodes), coefficients (n), or where `takes_numbers` a sequence of numbers -> same as x.
    """
    attributes = operators.order, tuple(x.shape[x.ndim - operators.dim :]), operators.periodic, tuple(terms)
    if not operators.takes(x):
        return _by_matrices(x, coefficients, *attributes)
    if torch.compiler.is_compiling():
        return stencils.operator("local")(x, coefficients, encode_terms(*attributes))
    call = _Apply.apply if stencils.is_derived(x, coefficients) else _Apply.forward
    return call(x, coefficients, _numbers_of(*attributes))


@dataclass(frozen=True)
class _Part:
    """outer^T inner along an axis, and how many of both are slopes."""

    axis: int
    outer: str
    inner: str

    @property
    def slopes(self) -> int:
        return (self.outer == SLOPE) + (self.inner == SLOPE)


def _part(term):
    _, _, axis, outer, inner, _ = term
    return _Part(axis, outer, inner)


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
    """Along each axis one operator for each `_Part`, which takes to nodes what it is taken of; then the components are mixed."""
    parts = tuple(dict.fromkeys(map(_part, terms)))
    beside = {}
    for part in parts:
        # What along the other axes is alike is taken once.
        if (part.axis, part.slopes) not in beside:
            y = x
            for other in range(len(nodes)):
                if other != part.axis:
                    y = dense.apply(_beside, (order, periodic[other], part.slopes), y, other - len(nodes))
            beside[part.axis, part.slopes] = y

    def along(part, y):
        return dense.apply(_along, (order, periodic[part.axis], part.outer, part.inner), y, part.axis - len(nodes))

    if torch.compiler.is_compiling():
        planes = {key: y.unbind(-len(nodes) - 1) for key, y in beside.items()}
        return _mixed(
            coefficients, lambda part, origin: along(part, planes[part.axis, part.slopes][origin]), terms, -len(nodes) - 1
        )
    # From which component of which part to which one: one product for all.
    picked = dense.constant(_selection, (parts, terms, len(coefficients)), x)
    matrix = (picked @ coefficients.to(x.dtype)).reshape(3, -1)
    every = torch.cat([along(part, beside[part.axis, part.slopes]) for part in parts], -len(nodes) - 1).flatten(-len(nodes))
    return (matrix @ every).reshape(x.shape)


def _mixed(coefficients, plane_of, terms, dim):
    """The sums of planes of the parts, each times its coefficient, in compiled code: only those that are in a term."""
    found, planes = {}, [[], [], []]
    for term in terms:
        target, origin, *_, coefficient = term
        key = _part(term), origin
        if key not in found:
            found[key] = plane_of(*key)
        planes[target].append(coefficients[coefficient] * found[key])
    none = torch.zeros_like(next(iter(found.values())))
    return torch.stack([sum(own[1:], start=own[0]) if own else none for own in planes], dim)


def _selection(parts, terms, count):
    """Of each entry of the matrix (3, components of all parts) which coefficients are added up: (9 for each part, count)."""
    found = torch.zeros(3, len(parts), 3, count, dtype=torch.float64)
    for target, origin, *rest, coefficient in terms:
        found[target, parts.index(_part((target, origin, *rest, coefficient))), origin, coefficient] += 1
    return found.reshape(-1, count)


def _along(x, order, wraps, outer, inner):
    """outer^T inner along one axis."""
    line = Midpoints(order, (wraps,))
    return line.back(line.there(x, (inner,)), (outer,))


def _beside(x, order, wraps, slopes):
    """The share of cells that each node has along one of the other axes; of slopes, smoothed as often as there are.

    The share times what smooths is the transpose of that times the share.
    """
    line = Midpoints(order, (wraps,))
    for _ in range(slopes):
        x = line.smooth(x, (0,))
    return x * layout.shares((x.shape[-1],), (wraps,), x)


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
