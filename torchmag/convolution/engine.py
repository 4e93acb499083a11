"""What every way to compute a convolution has."""

from collections.abc import Callable, Sequence

from torch import Tensor

from torchmag import dense
from torchmag.convolution.problem import CELLS_TO_CELLS, Problem

# An operator along one axis, and its options, see `dense.apply`.
Line = tuple[Callable[..., Tensor], tuple]


class Engine:
    """A way to compute the convolutions of one problem, on the devices that it is made for.

    An engine keeps kernels in a form of its own, and gives them back.  What it computes is a convolution with a kernel in the same
    precision; kinds and shapes are those of `Convolution`.

    Args:
        problem: what is convolved; one that the engine `fits`.
    """

    def __init__(self, problem: Problem):
        self.problem = problem

    @staticmethod
    def fits(problem: Problem) -> bool:
        """Whether it can compute convolutions of this grid."""
        return True

    @staticmethod
    def serves(x: Tensor) -> bool:
        """Whether it computes where x lives; of those that do the first one in `choice.ENGINES` makes the kernel."""
        raise NotImplementedError

    def takes(self, x: Tensor) -> bool:
        """Whether it can compute with this field, here and now."""
        return self.serves(x)

    def keep(self, kernel: Tensor) -> Tensor:
        """A kernel in the form in which it is kept, from half spectra, see `Problem.half_spectra`."""
        raise NotImplementedError

    def restore(self, kept: Tensor) -> Tensor:
        """The half spectra again."""
        raise NotImplementedError

    def holds(self, kept: Tensor) -> bool:
        """Whether a kernel is kept in its form."""
        raise NotImplementedError

    def convolve(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        """The convolution, outside of a graph; nothing need be taped."""
        raise NotImplementedError

    def in_graph(self, x: Tensor, kernel: Tensor, kind: int) -> Tensor:
        """The convolution within a graph that is traced: functional code that can be derived."""
        raise NotImplementedError

    def between(self, x: Tensor, kernel: Tensor, before: Sequence[Line], after: Sequence[Line]) -> Tensor:
        """Within a graph, the convolution of what operators along each axis of the mesh make of x, and what others make of that."""
        x = along_axes(before, x)
        return along_axes(after, self.in_graph(x, kernel, CELLS_TO_CELLS))

    def bytes_for(self, like: Tensor) -> int:
        """What a kernel and one convolution of one sample of this dtype hold at most, about."""
        raise NotImplementedError


def along_axes(lines: Sequence[Line], x: Tensor) -> Tensor:
    """Operators along each axis of the grid, one after the other."""
    for axis, (operator, options) in enumerate(lines):
        x = dense.apply(operator, options, x, axis - len(lines))
    return x
