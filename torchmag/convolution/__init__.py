"""Convolutions of vector fields on the cells: what is convolved (`problem`), how (one `Engine` per file), and which takes it (`choice`).

A new engine, for another kind of device or with another library, is one file and one line in `choice.ENGINES`.
"""

from torchmag.convolution.convolution import Convolution
from torchmag.convolution.problem import CELLS_TO_CELLS, CELLS_TO_EXTENDED, NODES_TO_EXTENDED
from torchmag.convolution.short import convolved

__all__ = ["CELLS_TO_CELLS", "CELLS_TO_EXTENDED", "NODES_TO_EXTENDED", "Convolution", "convolved"]
