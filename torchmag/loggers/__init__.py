"""What records a run: tables, frames, TensorBoard.

A logger of `tm.Simulation` has four methods:

    open(position)      None: start a new record; a number: go on from there, dropping what came later, if there is anything
    log(t, m, values)   t in s, m (*batch, 3, *nodes), values: name -> number or tensor
    position()          how much it holds, a number; that much is on the disk when it returns
    close()

Training loops speak the SummaryWriter protocol: add_scalar, add_histogram, add_image (tag, value, global_step).  TensorBoard's
SummaryWriter has it, and so has `ScalarTable`, a CSV file.
"""

from torchmag.loggers.frames import Frames
from torchmag.loggers.pictures import picture
from torchmag.loggers.scalar_table import ScalarTable
from torchmag.loggers.summary import Summary, summarize
from torchmag.loggers.table import Table

__all__ = ["Frames", "ScalarTable", "Summary", "Table", "picture", "summarize"]
