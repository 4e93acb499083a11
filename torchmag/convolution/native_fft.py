"""Convolution on the CPU by the compiled code of `convolve.cpp`."""

import functools
import math
from dataclasses import replace

import torch
from torch import Tensor

from torchmag.convolution import plans
from torchmag.convolution.engine import Engine
from torchmag.convolution.problem import CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED, Problem, padded_length, rest
from torchmag.convolution.transposed import transposed
from torchmag.transforms import is_transformed


class NativeFFT(Engine):
    """Transforms of its own, of lengths with no prime factor beyond 7; the kernel is kept as `plans.Plan` says, in one dimension.

    Attributes:
        plan_of: for each kind of call the plan of compiled code.
    """

    def __init__(self, problem: Problem):
        super().__init__(problem)
        cells = (*problem.mesh.cells, 1, 1)[:3]
        lengths = tuple(padded_length(problem.mesh, axis) if n > 1 else 1 for axis, n in enumerate(cells))
        plan = plans.Plan(cells, lengths, problem.terms, problem.parities, problem.odd)
        around = [plans.PERIODIC if wraps else plans.OPEN for wraps in problem.periodic]
        around = (*around, *plans.Plan.around)[:3]
        self.plan_of = (plan, replace(plan, around=around), replace(plan, around=around, nodal=True))
        _define_operator()

    def __setstate__(self, state):
        self.__dict__.update(state)
        _define_operator()

    @staticmethod
    def fits(problem: Problem) -> bool:
        return bool(problem.axes and problem.parities) and all(rest(length) == 1 for length in problem.lengths)

    @staticmethod
    def serves(x: Tensor) -> bool:
        return x.device.type == "cpu" and plans.available()

    def takes(self, x: Tensor) -> bool:
        if not self.serves(x):
            return False
        # Within a Function torch has wrapped tensors without storage, for batches of cotangents.
        return not is_transformed() if torch.compiler.is_compiling() else torch._C._has_storage(x)

    def keep(self, kernel: Tensor) -> Tensor:
        return self.plan_of[0].pack(kernel)

    def restore(self, kept: Tensor) -> Tensor:
        return self.plan_of[0].unpack(kept)

    def holds(self, kept: Tensor) -> bool:
        return kept.ndim == 1

    def convolve(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        return plans.convolve(self.plan_of[kind], x.detach(), kernel.detach())

    def in_graph(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        operators = torch.ops.torchmag
        convolve = operators.convolve if torch.is_grad_enabled() else operators.convolve_untaped
        return convolve.default(x, kernel, self.plan_of[kind].encode())

    def bytes_for(self, like: Tensor) -> int:
        """The kernel, and three components of all frequencies."""
        half = math.prod(n // 2 + 1 for n in self.problem.lengths)
        whole = math.prod(self.problem.lengths)
        return (len(self.problem.parities) * half + 3 * whole) * like.element_size()


def _keep(ctx, inputs, output):
    _, ctx.kernel, ctx.plan = inputs


def _derive(ctx, gradient):
    plan = plans.Plan.decode(tuple(ctx.plan))
    kinds = plan.plain, replace(plan, nodal=False)
    kind = (CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED)[bool(plan.periodic) + plan.nodal]
    convolve = lambda x, kind: torch.ops.torchmag.convolve.default(x, ctx.kernel, kinds[kind].encode())
    return transposed(convolve, gradient, kind, plan.periodic), None, None


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
