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
    operators: Stencils,
    x: Tensor,
    terms: Sequence[Term],
    scales: Tensor,
    maps: Sequence[Tensor],
    body: Links | None = None,
) -> Tensor:
    """The sum of outer^T (coefficient * inner x) over terms, slopes of what is smoothed along the other axes.

    Each coefficient is a number times a map, which several may share.

    Shape: x (*batch, 3, *nodes), scales (n), n maps (*batch, *grid) with the cells of the terms' axis and the nodes of the others -> as x.
    """
    dim, first, places = operators.dim, [], []
    for c in maps:
        known = [place for place, other in enumerate(first) if other is c]
        places += known or [len(first)]
        first += [] if known else [c]
    maps = first
    own = encode_terms(operators.order, x.shape[x.ndim - dim :], operators.periodic, terms)
    numbers = [int(body is not None), len(places), *places, *own]
    tables = [] if body is None else [table.detach() for table in (*body.weights, body.inverse)]
    if torch.compiler.is_compiling():
        library = torch.ops.torchmag
        call = library.fluxes if torch.is_grad_enabled() else library.fluxes_untaped
        return call.default(x, scales, maps, tables, numbers)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, scales, *maps)):
        return torch.ops.torchmag.fluxes.default(x, scales, maps, tables, numbers)
    return _run(x, scales, maps, tables, numbers)


def _decode(numbers):
    """What `apply` encodes: linked, places, what `encode_terms` makes."""
    linked, count, *rest = numbers
    return bool(linked), tuple(rest[:count]), tuple(rest[count:])


@functools.cache
class _Handle:
    """As the compiled code has it."""

    def __init__(self, numbers, dtype):
        linked, places, own = _decode(numbers)
        order, self.nodes, periodic, terms = decode_terms(own)
        self.size = math.prod(self.nodes)
        self.pointer = stencils.made("fluxes_plan", dtype, *bands.fluxes(order, linked, self.nodes, periodic, terms, places))
        self.call, pointer, long = stencils.function("fluxes", dtype), ctypes.c_void_p, ctypes.c_long
        self.call.argtypes, self.call.restype = [*[pointer] * 6, long, pointer, pointer, long, ctypes.c_int], None


def _run(x, scales, maps, tables, numbers):
    """Nothing is taped."""
    handle, x = _Handle(tuple(numbers), x.dtype), x.contiguous()
    dim = len(handle.nodes)
    batch_of = lambda table: math.prod(table.shape[: table.ndim - dim])
    found, samples, threads = torch.empty_like(x), x.numel() // (3 * handle.size), stencils.threads_for(x)
    shared = [batch_of(c) == 1 for c in maps]
    lead, scales = x.shape[: x.ndim - dim - 1], scales.contiguous()
    maps = [(c if once else c.expand(*lead, *c.shape[c.ndim - dim :])).contiguous() for c, once in zip(maps, shared)]
    tables = [table.contiguous() for table in tables[:-1]]
    work = x.new_empty(13 * handle.size * (threads if samples >= threads else 1))
    pointers = lambda tensors, count: (ctypes.c_void_p * count)(*(tensor.data_ptr() for tensor in tensors))
    handle.call(
        *(handle.pointer, x.data_ptr(), scales.data_ptr(), pointers(maps, len(maps)), (ctypes.c_long * len(shared))(*shared)),
        *(pointers(tables, 3), not tables or batch_of(tables[0]) == 1),
        *(found.data_ptr(), work.data_ptr(), samples, threads),
    )
    return found


def _keep(ctx, inputs, output):
    x, scales, maps, tables, numbers = inputs
    ctx.numbers, ctx.count, ctx.needed = list(numbers), len(maps), [map.requires_grad for map in maps]
    ctx.save_for_backward(x, scales, *maps, *tables)


def _derive(ctx, gradient):
    x, scales, *rest = ctx.saved_tensors
    maps, tables = rest[: ctx.count], rest[ctx.count :]
    linked, places, own = _decode(ctx.numbers)
    dx = None
    if ctx.needs_input_grad[0]:
        transposed = [int(linked), len(places), *places, *transposed_terms(own)]
        call = _by_parts if _is_batched(gradient) else torch.ops.torchmag.fluxes.default
        dx = call(gradient, scales, maps, tables, transposed)
    of_scales, of_maps = [scales.new_zeros(())] * len(scales), [None] * ctx.count
    if ctx.needs_input_grad[1] or any(ctx.needed):
        outer, inner = _Parts(gradient, tables, ctx.numbers), _Parts(x, tables, ctx.numbers)
        for target, origin, axis, of, to, c in decode_terms(own)[-1]:
            place = places[c]
            part = outer(target, axis, of) * inner(origin, axis, to)
            if ctx.needs_input_grad[1]:
                of_scales[c] = of_scales[c] + (part * maps[place]).sum()
            if ctx.needed[place]:
                found = scales[c] * part.sum_to_size(maps[place].shape)
                of_maps[place] = found if of_maps[place] is None else of_maps[place] + found
    return dx, torch.stack(of_scales) if ctx.needs_input_grad[1] else None, of_maps, [None] * len(tables), None


class _Parts:
    """Slopes and values of the components of a field at midpoints, each taken once."""

    def __init__(self, x, tables, numbers):
        self.linked, _, own = _decode(numbers)
        self.order, self.nodes, self.periodic, _ = decode_terms(own)
        self.x, self.tables, self.found = x, tables, {}

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


def _by_parts(x, scales, maps, tables, numbers):
    """`apply`, term by term."""
    _, places, own = _decode(numbers)
    parts, fluxes = _Parts(x, tables, numbers), {}
    for target, origin, axis, outer, inner, c in decode_terms(own)[-1]:
        flux = scales[c] * maps[places[c]] * parts(origin, axis, inner)
        planes = fluxes.setdefault((axis, outer), [torch.zeros_like(flux)] * 3)
        planes[target] = planes[target] + flux
    return sum(parts.back(torch.stack(planes, -len(parts.nodes) - 1), *key) for key, planes in fluxes.items())


def _shaped(x, scales, maps, tables, numbers):
    return x.new_empty(x.shape)


@functools.cache
def define_operators():
    """Make known to torch the operators that compiled graphs, and derivatives, call: before `apply`."""
    library = torch.library.Library("torchmag", "FRAGMENT")
    for name in ("fluxes", "fluxes_untaped"):
        signature = "(Tensor x, Tensor scales, Tensor[] maps, Tensor[] tables, int[] numbers) -> Tensor"
        stencils.define(library, name, signature, _shaped, _run)
    torch.library.register_autograd("torchmag::fluxes", _derive, setup_context=_keep, lib=library)
    return library
