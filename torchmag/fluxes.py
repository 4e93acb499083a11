"""Terms that are linear in the slopes and values of a field, with coefficients at the midpoints, in one call of compiled code."""

import ctypes
import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import bands, stencils
from torchmag.bands import SMOOTHED, Term, decode_terms, encode_terms, transposed_terms
from torchmag.midpoints import SLOPE, Links
from torchmag.stencils import Stencils, encode, plan_of


def takes(operators: Stencils, x: Tensor, body: Links | None) -> bool:
    """Whether `apply` can be called with these."""
    return not stencils.is_transformed() and operators.is_compiled(x, (SLOPE, *(None,) * (operators.dim - 1)), body)


def apply(
    operators: Stencils, x: Tensor, terms: Sequence[Term], coefficients: Sequence[Tensor], body: Links | None = None
) -> Tensor:
    """The sum of outer^T (coefficient * inner x) over terms, slopes of what is smoothed along the other axes.

    Shape: x (*batch, 3, *nodes), coefficients (*batch, *grid) with the cells of the term's axis and the nodes of the others -> as x.
    """
    dim = operators.dim
    numbers = [int(body is not None), *encode_terms(operators.order, x.shape[x.ndim - dim :], operators.periodic, terms)]
    tables = [] if body is None else [table.detach() for table in (*body.weights, body.inverse)]
    if torch.compiler.is_compiling():
        library = torch.ops.torchmag
        call = library.fluxes if torch.is_grad_enabled() else library.fluxes_untaped
        return call.default(x, coefficients, tables, numbers)
    if torch.is_grad_enabled() and (x.requires_grad or any(c.requires_grad for c in coefficients)):
        return torch.ops.torchmag.fluxes.default(x, coefficients, tables, numbers)
    return _run(x, coefficients, tables, numbers)


@functools.cache
class _Handle:
    """As the compiled code has it."""

    def __init__(self, numbers, dtype):
        linked, *rest = numbers
        order, self.nodes, periodic, terms = decode_terms(tuple(rest))
        self.size = math.prod(self.nodes)
        self.pointer = stencils.made("fluxes_plan", dtype, *bands.fluxes(order, bool(linked), self.nodes, periodic, terms))
        self.call, pointer, long = stencils.function("fluxes", dtype), ctypes.c_void_p, ctypes.c_long
        self.call.argtypes, self.call.restype = [*[pointer] * 5, long, pointer, pointer, long, ctypes.c_int], None


def _run(x, coefficients, tables, numbers):
    """Nothing is taped."""
    handle, x = _Handle(tuple(numbers), x.dtype), x.contiguous()
    dim = len(handle.nodes)
    batch_of = lambda table: math.prod(table.shape[: table.ndim - dim])
    found, samples, threads = torch.empty_like(x), x.numel() // (3 * handle.size), stencils.threads_for(x)
    shared = [batch_of(c) == 1 for c in coefficients]
    lead = x.shape[: x.ndim - dim - 1]
    coefficients = [
        (c if once else c.expand(*lead, *c.shape[c.ndim - dim :])).contiguous() for c, once in zip(coefficients, shared)
    ]
    tables = [table.contiguous() for table in tables[:-1]]
    work = x.new_empty(13 * handle.size * (threads if samples >= threads else 1))
    pointers = lambda tensors, count: (ctypes.c_void_p * count)(*(tensor.data_ptr() for tensor in tensors))
    handle.call(
        *(handle.pointer, x.data_ptr(), pointers(coefficients, len(coefficients)), (ctypes.c_long * len(shared))(*shared)),
        *(pointers(tables, 3), not tables or batch_of(tables[0]) == 1),
        *(found.data_ptr(), work.data_ptr(), samples, threads),
    )
    return found


def _keep(ctx, inputs, output):
    x, coefficients, tables, numbers = inputs
    ctx.numbers, ctx.count, ctx.needed = list(numbers), len(coefficients), [c.requires_grad for c in coefficients]
    ctx.save_for_backward(x, *coefficients, *tables)


def _derive(ctx, gradient):
    x, *rest = ctx.saved_tensors
    coefficients, tables = rest[: ctx.count], rest[ctx.count :]
    linked, *numbers = ctx.numbers
    transposed = [linked, *transposed_terms(numbers)]
    dx = None
    if ctx.needs_input_grad[0]:
        if _is_batched(gradient):
            dx = _by_parts(gradient, coefficients, tables, transposed)
        else:
            dx = torch.ops.torchmag.fluxes.default(gradient, coefficients, tables, transposed)
    of_coefficients = [None] * ctx.count
    if any(ctx.needed):
        *_, terms = decode_terms(tuple(numbers))
        outer, inner = _Parts(gradient, tables, ctx.numbers), _Parts(x, tables, ctx.numbers)
        for target, origin, axis, of, to, c in terms:
            if ctx.needed[c]:
                part = (outer(target, axis, of) * inner(origin, axis, to)).sum_to_size(coefficients[c].shape)
                of_coefficients[c] = part if of_coefficients[c] is None else of_coefficients[c] + part
    return dx, of_coefficients, [None] * len(tables), None


class _Parts:
    """Slopes and values of the components of a field at midpoints, each taken once."""

    def __init__(self, x, tables, numbers):
        linked, *rest = numbers
        self.order, self.nodes, self.periodic, _ = decode_terms(tuple(rest))
        self.x, self.tables, self.linked, self.found = x, tables, bool(linked), {}

    def __call__(self, component, axis, kind):
        if (axis, kind) not in self.found:
            x, dim = self.x, len(self.nodes)
            if kind == SLOPE and dim > 1:
                x = self._operator(x, False, tuple(None if a == axis else SMOOTHED for a in range(dim)))
            self.found[axis, kind] = self._operator(x, False, self._pattern(axis, kind))
        return self.found[axis, kind].select(-len(self.nodes) - 1, component)

    def back(self, flux, axis, kind):
        """The transpose, of the fluxes of all components."""
        x, dim = self._operator(flux, True, self._pattern(axis, kind)), len(self.nodes)
        if kind == SLOPE and dim > 1:
            x = self._operator(x, True, tuple(None if a == axis else SMOOTHED for a in range(dim)))
        return x

    def _pattern(self, axis, kind):
        return tuple(kind if a == axis else None for a in range(len(self.nodes)))

    def _operator(self, x, back, pattern):
        attributes = self.order, back, self.linked, self.nodes, self.periodic, pattern
        if _is_batched(x):
            return stencils.apply_plan(x, plan_of(*attributes), self.tables)
        return torch.ops.torchmag.stencil.default(x, self.tables, encode(*attributes))


def _is_batched(x):
    """Whether x stands for several tensors, as in a batch of gradients, which operators of torch's library do not take."""
    return stencils.is_transformed() or (type(x) is Tensor and not torch._C._has_storage(x))


def _by_parts(x, coefficients, tables, numbers):
    """`apply`, term by term."""
    parts, fluxes = _Parts(x, tables, numbers), {}
    for target, origin, axis, outer, inner, c in decode_terms(tuple(numbers[1:]))[-1]:
        flux = coefficients[c] * parts(origin, axis, inner)
        planes = fluxes.setdefault((axis, outer), [torch.zeros_like(flux)] * 3)
        planes[target] = planes[target] + flux
    return sum(parts.back(torch.stack(planes, -len(parts.nodes) - 1), *key) for key, planes in fluxes.items())


def _shaped(x, coefficients, tables, numbers):
    return x.new_empty(x.shape)


@functools.cache
def define_operators():
    """Make known to torch the operators that compiled graphs, and derivatives, call: before `apply`."""
    library = torch.library.Library("torchmag", "FRAGMENT")
    for name in ("fluxes", "fluxes_untaped"):
        library.define(f"{name}(Tensor x, Tensor[] coefficients, Tensor[] tables, int[] numbers) -> Tensor")
        library.impl(name, _run, "CPU")
        torch.library.register_fake(f"torchmag::{name}", _shaped, lib=library)
    torch.library.register_autograd("torchmag::fluxes", _derive, setup_context=_keep, lib=library)
    return library
