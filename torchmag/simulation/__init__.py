"""Long runs with loggers and checkpoints."""

from torchmag.simulation.driver import Simulation
from torchmag.simulation.events import Event
from torchmag.simulation.results import Loop, Run

__all__ = ["Event", "Loop", "Run", "Simulation"]
