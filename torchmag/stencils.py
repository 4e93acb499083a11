"""The operators of `midpoints` on the CPU by the compiled code of `stencils.cpp`, where there is some."""

import ctypes
import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from torchmag import bands, native
from torchmag.bands import KINDS, SMOOTHED
from torchmag.midpoints import MOMENT, Links, Midpoints, Pattern
from torchmag.transforms import is_transformed

SOURCE = Path(__file__).with_name("stencils.cpp")
# Numbers in a field that are not worth a second thread.
SMALL = 2**14


def available() -> bool:
    """Whether there is compiled code for this machine."""
    return native.library(SOURCE) is not None


# What torch.compiler.assume_constant_result does, which imports the whole compiler.
available._dynamo_marked_constant = True


def _is_shorter(kind, wraps):
    """Whether an axis has one cell less than nodes."""
    return kind not in (None, SMOOTHED) and not wraps


@dataclass(frozen=True, eq=False)
class Plan:
    """One operator: from the `nodes` to the grid of a pattern or, with `back`, its transpose; `linked` if the body has empty cells.

    A pattern of SMOOTHED smooths.
    """

    order: int
    back: bool
    linked: bool
    nodes: tuple[int, ...]
    periodic: tuple[bool, ...]
    pattern: Pattern

    @functools.cached_property
    def transposed(self) -> "Plan":
        return plan_of(self.order, not self.back, self.linked, self.nodes, self.periodic, self.pattern)

    def handle(self, dtype: torch.dtype) -> "_Handle":
        """As the compiled code has it."""
        if dtype not in self._handles:
            self._handles[dtype] = _Handle(self, dtype)
        return self._handles[dtype]

    @functools.cached_property
    def _handles(self):
        return {}

    @functools.cached_property
    def smoothed(self) -> tuple[int, ...]:
        """The axes along which it smooths."""
        return tuple(axis for axis, kind in enumerate(self.pattern) if kind == SMOOTHED)

    @functools.cached_property
    def grid(self) -> tuple[int, ...]:
        """Of the pattern: cells along the axes that it names."""
        return tuple(n - _is_shorter(kind, wraps) for n, kind, wraps in zip(self.nodes, self.pattern, self.periodic))

    def by_torch(self, x: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The result from torch's own operators."""
        plain, body = Midpoints(self.order, self.periodic), Links(tuple(tables[:-1]), tables[-1]) if tables else None
        if self.smoothed:
            return plain.smooth(x, self.smoothed, body, self.back)
        return (plain.back if self.back else plain.there)(x, self.pattern, body)

    def shape_of(self, x: Tensor) -> tuple[int, ...]:
        """Of the result."""
        return (*x.shape[: x.ndim - len(self.nodes)], *(self.nodes if self.back else self.grid))

    @staticmethod
    @functools.cache
    def decode(numbers: tuple[int, ...]) -> "Plan":
        """From what `encode` makes of its attributes."""
        order, back, linked, *rest = numbers
        dim = len(rest) // 3
        kinds = (KINDS[number] for number in rest[2 * dim :])
        return plan_of(order, bool(back), bool(linked), tuple(rest[:dim]), tuple(map(bool, rest[dim : 2 * dim])), tuple(kinds))


plan_of = functools.cache(Plan)


def encode(order: int, back: bool, linked: bool, nodes: Sequence[int], periodic: Sequence[bool], pattern: Pattern) -> list[int]:
    """The attributes of a plan as whole numbers, for an operator of torch."""
    return [order, int(back), int(linked), *nodes, *(int(wraps) for wraps in periodic), *(KINDS.index(kind) for kind in pattern)]


class _Handle:
    """A plan as the compiled code has it, kept as long as the process."""

    def __init__(self, plan, dtype):
        if plan.smoothed:
            numbers, reals = bands.smoothing(plan.back, plan.linked, plan.nodes, plan.periodic, plan.smoothed)
        else:
            numbers, reals = bands.midpoints(plan.order, plan.back, plan.linked, plan.nodes, plan.periodic, plan.pattern)
        self.pointer = made("plan", dtype, [bool(plan.smoothed), *numbers], reals)
        size, self.call = (function(name, dtype) for name in ("workspace", "stencil"))
        size.restype, size.argtypes = ctypes.c_long, [ctypes.c_void_p]
        pointer, long = ctypes.c_void_p, ctypes.c_long
        self.call.argtypes, self.call.restype = [*[pointer] * 6, long, pointer, pointer, long, long, ctypes.c_int], None
        self.workspace = size(self.pointer)
        if MOMENT in plan.pattern:
            size, self.pull = (function(name, dtype) for name in ("pull_workspace", "pull"))
            size.restype, size.argtypes = long, [pointer]
            self.pull.argtypes, self.pull.restype = [*[pointer] * 7, long, *[pointer] * 6, long, long, ctypes.c_int], None
            self.pull_workspace = size(self.pointer)


def function(name: str, dtype: torch.dtype):
    """Of the compiled code, for numbers of this type."""
    return getattr(native.library(SOURCE), f"{name}_{str(dtype).removeprefix('torch.')}")


def made(name: str, dtype: torch.dtype, numbers: Sequence[int], reals: Sequence[float]) -> int:
    """The address of what compiled code makes of a table, kept as long as the process."""
    make = function(name, dtype)
    make.restype = ctypes.c_void_p
    return make((ctypes.c_int * len(numbers))(*map(int, numbers)), (ctypes.c_double * max(1, len(reals)))(*reals))


class Stencils(Midpoints):
    """`Midpoints`, by compiled code where that can do it."""

    def __init__(self, order: int, periodic: Sequence[bool]):
        super().__init__(order, periodic)
        if order > 2:
            _define_operators()

    def __setstate__(self, state):
        self.__dict__.update(state)
        _define_operators()

    def there(self, x: Tensor, pattern: Pattern, body: Links | None = None) -> Tensor:
        if self.is_compiled(x, pattern, body):
            return self._apply(x, pattern, body, False)
        return super().there(x, pattern, body)

    def back(self, x: Tensor, pattern: Pattern, body: Links | None = None) -> Tensor:
        if self.is_compiled(x, pattern, body):
            return self._apply(x, pattern, body, True)
        return super().back(x, pattern, body)

    def smooth(self, x: Tensor, axes: Sequence[int], body: Links | None = None, transposed: bool = False) -> Tensor:
        pattern = tuple(SMOOTHED if axis in axes else None for axis in range(self.dim))
        if self.is_compiled(x, pattern, body):
            return self._apply(x, pattern, body, transposed)
        return super().smooth(x, axes, body, transposed)

    def takes(self, x: Tensor) -> bool:
        """Whether compiled code can be applied to x, as `local.apply` does."""
        fits = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64) and x.numel() > 0
        return fits and not (torch.compiler.is_compiling() and is_transformed()) and available()

    def _apply(self, x, pattern, body, back):
        grid = x.shape[x.ndim - self.dim :]
        nodes = tuple(n + (back and _is_shorter(kind, wraps)) for n, kind, wraps in zip(grid, pattern, self.periodic))
        attributes = self.order, back, body is not None, nodes, self.periodic, tuple(pattern)
        tables = [] if body is None else [*body.weights, body.inverse]
        if MOMENT in pattern and torch.is_grad_enabled() and any(table.requires_grad for table in tables):
            # The weights of a moment train.
            if torch.compiler.is_compiling():
                return torch.ops.torchmag.moment.default(x, tables, encode(*attributes))
            return _ApplyMoment.apply(x, plan_of(*attributes), *tables)
        tables = [table.detach() for table in tables]
        if torch.compiler.is_compiling():
            return operator("stencil")(x, tables, encode(*attributes))
        return (_Apply.apply if is_derived(x) else _Apply.forward)(x, plan_of(*attributes), *tables)

    def is_compiled(self, x: Tensor, pattern: Pattern, body: Links | None) -> bool:
        """Whether compiled code takes this."""
        if not any(pattern) or not self.takes(x):
            return False
        if body is not None:
            tables = (*body.weights, body.inverse)
            batch = body.inverse.shape[: body.inverse.ndim - self.dim]
            fit = all(t.dtype == x.dtype and t.shape[: t.ndim - self.dim] == batch for t in tables)
            own = x.shape[: x.ndim - self.dim - 1]
            if not fit or (own != batch if math.prod(batch) != 1 else len(own) < len(batch)):
                return False
            if MOMENT not in pattern:
                return SMOOTHED in pattern or sum(kind is not None for kind in pattern) == 1
            # A moment's weights may be trained, and have a tangent of their own.
            if is_transformed():
                return False
        return True


def apply_plan(x: Tensor, plan: Plan, tables: Sequence[Tensor]) -> Tensor:
    """An operator, also under a transform of torch.func."""
    return _Apply.apply(x, plan, *tables)


class _Apply(torch.autograd.Function):
    """A linear operator of x."""

    @staticmethod
    def forward(x, plan, *tables):
        if torch._C._has_storage(x) and all(torch._C._has_storage(table) for table in tables):
            return _run(plan, x.detach(), tables)
        return plan.by_torch(x, tables)

    @staticmethod
    def setup_context(ctx, inputs, output):
        _, ctx.plan, *ctx.tables = inputs

    @staticmethod
    def backward(ctx, gradient):
        return _Apply.apply(gradient, ctx.plan.transposed, *ctx.tables), None, *(None for _ in ctx.tables)

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _Apply.apply(tangent, ctx.plan, *ctx.tables)

    @staticmethod
    def vmap(info, in_dims, x, plan, *tables):
        x = x.movedim(in_dims[0], 0)
        if any(where is not None for where in in_dims[2:]) or (tables and tables[-1].ndim > len(plan.nodes)):
            # Maps with a batch of their own: one more axis before it.
            tables = [batched(table, where, info.batch_size) for table, where in zip(tables, in_dims[2:])]
        return _Apply.apply(x, plan, *tables), 0


def batched(x: Tensor, where: int | None, size: int) -> Tensor:
    """With the axis of a batch in front, as a `vmap` gives it."""
    return x.expand(size, *x.shape) if where is None else x.movedim(where, 0)


class _ApplyMoment(torch.autograd.Function):
    """A moment whose weights train: linear in x, not in them."""

    @staticmethod
    def forward(ctx, x, plan, *tables):
        ctx.plan = plan
        ctx.save_for_backward(x, *tables)
        return _run(plan, x.detach(), [table.detach() for table in tables])

    @staticmethod
    def backward(ctx, gradient):
        x, *tables = ctx.saved_tensors
        if torch.is_grad_enabled() or not torch._C._has_storage(gradient):
            # By torch's own operators, which can be derived once more and for several gradients at once.
            with torch.enable_grad():
                # Others than those given, which may depend on each other.
                inputs = [tensor.view_as(tensor) for tensor in (x, *tables)]
                found = ctx.plan.by_torch(inputs[0], inputs[1:])
            wanted = [tensor for tensor in inputs if tensor.requires_grad]
            found = iter(torch.autograd.grad(found, wanted, gradient, create_graph=torch.is_grad_enabled(), allow_unused=True))
            dx, *rest = (next(found) if tensor.requires_grad else None for tensor in inputs)
            return dx, None, *rest
        dx, *rest = _run_pull(x, gradient, tables, ctx.plan)
        return dx, None, *rest


def _run(plan, x, tables):
    """(*batch, *planes, *grid) -> likewise; nothing is taped."""
    handle, found = plan.handle(x.dtype), x.new_empty(plan.shape_of(x))
    repeated, samples, planes, threads = _shares(x, tables, len(plan.nodes))
    x, tables = x.contiguous(), [table.contiguous() for table in tables]
    work = x.new_empty(handle.workspace * (threads if samples >= threads else 1))
    *weights, inverse = [table.data_ptr() for table in tables] or [None]
    weights += [None] * (3 - len(weights))
    handle.call(
        *(handle.pointer, x.data_ptr(), *weights, inverse, repeated),
        *(found.data_ptr(), work.data_ptr(), samples, planes, threads),
    )
    return found


def _shares(x, tables, dim):
    """Whether all samples have the same tables, the samples, the planes of each, and the threads."""
    lead, batch = x.shape[: x.ndim - dim], tables[-1].shape[: tables[-1].ndim - dim] if tables else ()
    repeated = math.prod(batch) == 1
    samples = math.prod(lead[:-1]) if repeated else math.prod(batch)
    return repeated, samples, math.prod(lead) // samples, threads_for(x)


def _run_pull(x, gradient, tables, plan):
    """The gradients of x and of the tables of a moment, from that of the result."""
    handle, (repeated, samples, planes, threads) = plan.handle(x.dtype), _shares(x, tables, len(plan.nodes))
    x, gradient, tables = x.contiguous(), gradient.contiguous(), [table.contiguous() for table in tables]
    dx, derived = torch.empty_like(x), [torch.zeros_like(table) for table in tables]
    work = x.new_empty(handle.pull_workspace * (threads if samples >= threads and not repeated else 1))
    own, of_own = ([*(t.data_ptr() for t in links), *[None] * (3 - len(links))] for links in (tables[:-1], derived[:-1]))
    handle.pull(
        *(handle.pointer, x.data_ptr(), gradient.data_ptr(), *own, tables[-1].data_ptr(), repeated, dx.data_ptr(), *of_own),
        *(derived[-1].data_ptr(), work.data_ptr(), samples, planes, threads),
    )
    return [dx, *derived]


def threads_for(x: Tensor) -> int:
    """How many work on a field."""
    return torch.get_num_threads() if x.numel() >= SMALL and not native.is_forked() else 1


def _keep(ctx, inputs, output):
    _, ctx.tables, ctx.plan = inputs


def _derive(ctx, gradient):
    order, back, *rest = ctx.plan
    return torch.ops.torchmag.stencil.default(gradient, ctx.tables, [order, int(not back), *rest]), [None] * len(ctx.tables), None


def _keep_moment(ctx, inputs, output):
    x, tables, ctx.numbers = inputs
    ctx.save_for_backward(x, *tables)


def _derive_moment(ctx, gradient):
    x, *tables = ctx.saved_tensors
    dx, *rest = torch.ops.torchmag.moment_pull.default(x, gradient, tables, ctx.numbers)
    return dx, rest, None


def _pull(x, gradient, tables, plan):
    return _run_pull(x, gradient, tables, Plan.decode(tuple(plan)))


def _shaped_pull(x, gradient, tables, plan):
    return [torch.empty_like(tensor) for tensor in (x, *tables)]


@functools.cache
def _define_operators():
    """The operators that compiled graphs call."""
    library = torch.library.Library("torchmag", "FRAGMENT")
    for name in ("stencil", "stencil_untaped", "moment"):
        define(library, name, "(Tensor x, Tensor[] tables, int[] plan) -> Tensor", _shaped_stencil, _stencil)
    pull = "(Tensor x, Tensor gradient, Tensor[] tables, int[] plan) -> Tensor[]"
    define(library, "moment_pull", pull, _shaped_pull, _pull)
    torch.library.register_autograd("torchmag::stencil", _derive, setup_context=_keep, lib=library)
    torch.library.register_autograd("torchmag::moment", _derive_moment, setup_context=_keep_moment, lib=library)
    return library


def define(library: torch.library.Library, name: str, signature: str, shaped: Callable, run: Callable) -> None:
    """Make an operator for the CPU known to torch; `shaped` gives the shape of its result."""
    library.define(name + signature)
    library.impl(name, run, "CPU")
    torch.library.register_fake(f"torchmag::{name}", shaped, lib=library)


def _stencil(x, tables, plan):
    return _run(Plan.decode(tuple(plan)), x, tables)


def _shaped_stencil(x, tables, plan):
    return x.new_empty(Plan.decode(tuple(plan)).shape_of(x))


def operator(name: str):
    """Of a compiled graph: where no gradient is asked for, the dispatcher is left through the shorter way."""
    return getattr(torch.ops.torchmag, name if torch.is_grad_enabled() else f"{name}_untaped").default


def is_derived(*inputs: Tensor) -> bool:
    """Whether a derivative with respect to one of these is being taken."""
    return (torch.is_grad_enabled() and any(x.requires_grad for x in inputs)) or is_transformed()
