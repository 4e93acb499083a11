"""A convolution with its derivatives, by whichever engine takes it."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from torchmag.convolution.choice import chosen, engines_for
from torchmag.convolution.engine import Line, along_axes
from torchmag.convolution.problem import CELLS_TO_CELLS, Problem
from torchmag.convolution.transposed import transposed
from torchmag.mesh import Mesh


class Convolution:
    """The convolution of a vector field on the cells with a symmetric kernel, see `Problem`.

    The kernel is that of a quadratic energy, K_ab(x) = K_ba(-x): the operator is its own transpose, and its derivative
    is the same convolution of the perturbation.
    """

    def __init__(
        self,
        mesh: Mesh,
        terms: tuple[tuple[int, int, int, int], ...],
        parities: tuple[tuple[bool, bool, bool], ...],
        odd: bool = False,
    ):
        self.problem = Problem(mesh, terms, parities, odd)
        self.engines = engines_for(self.problem)

    def kernel(self, rows: Iterable[Tensor], like: Tensor) -> Tensor:
        """A kernel from its rows in space (see `Problem.half_spectra`), as the engine for the device of `like` keeps it, with its dtype."""
        if not self.problem.parities:
            return torch.zeros(0, *self.problem.lengths).to(like)
        return self._engine(like).keep(self.problem.half_spectra(rows, like.dtype)).to(like.device)

    def bytes_for(self, like: Tensor) -> int:
        """What a kernel and one convolution of one sample hold where `like` lives, about."""
        return self._engine(like).bytes_for(like)

    def _engine(self, like):
        return next(engine for engine in self.engines if engine.serves(like))

    def __call__(self, x: Tensor, kernel: Tensor, kind: int = CELLS_TO_CELLS) -> Tensor:
        """The convolution with a `kernel` in the same precision.

        Args:
            kind: CELLS_TO_CELLS: (*batch, 3, *cells) -> same.
                CELLS_TO_EXTENDED: (*batch, 3, *cells) -> (*batch, 3, *nodes + 1), see `layout.extended`.
                NODES_TO_EXTENDED: (*batch, 3, *nodes) -> (*batch, 3, *nodes + 1), of the mean over the corners of each cell.
        """
        if not torch.compiler.is_compiling():
            return _Apply.apply(x, kernel, self, kind)
        engine, kernel = chosen(self.engines, x, kernel)
        return engine.in_graph(x, kernel, kind)

    def between(self, m: Tensor, kernel: Tensor, before: Sequence[Line], after: Sequence[Line]) -> Tensor:
        """The convolution of what operators along each axis make of a field at the nodes, and what others make of the result there.

        `after` is the transpose of `before`; where `dense.suits` m along each axis.  Shape: (*batch, 3, *nodes) -> same.
        """
        if torch.compiler.is_compiling():
            engine, kernel = chosen(self.engines, m, kernel)
            return engine.between(m, kernel, before, after)
        return along_axes(after, self(along_axes(before, m), kernel))

    def apply(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        """The convolution without derivatives, outside of a graph."""
        engine, kernel = chosen(self.engines, x, kernel)
        return engine.convolve(x, kernel, kind)


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
        return transposed(convolve, gradient, ctx.kind, ctx.convolution.problem.periodic), None, None, None

    @staticmethod
    def jvp(ctx, tangent, *_):
        return _Apply.apply(tangent, ctx.kernel, ctx.convolution, ctx.kind)

    @staticmethod
    def vmap(info, in_dims, x, kernel, convolution, kind):
        return _Apply.apply(x.movedim(in_dims[0], 0), kernel, convolution, kind), 0
