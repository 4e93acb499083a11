"""The transpose of a convolution, whose kernel is its own."""

from collections.abc import Callable, Sequence

from torch import Tensor

from torchmag import layout
from torchmag.convolution.problem import CELLS_TO_CELLS, CELLS_TO_EXTENDED


def transposed(convolve: Callable[[Tensor, int], Tensor], gradient: Tensor, kind: int, periodic: Sequence[bool]) -> Tensor:
    """What a result's gradient is at the input, with convolve(x, kind)."""
    if kind == CELLS_TO_CELLS:
        return convolve(gradient, kind)
    gradient = layout.restricted(gradient, periodic)
    if kind == CELLS_TO_EXTENDED:
        return convolve(gradient, CELLS_TO_CELLS)
    return layout.extended_to_nodes(convolve(gradient, CELLS_TO_EXTENDED), len(periodic))
