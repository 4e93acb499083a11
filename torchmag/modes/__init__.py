"""What an equilibrium is worth: how it rings, and how it responds."""

from torchmag.modes.eigenmodes import Modes, eigenmodes
from torchmag.modes.response import Response, response

__all__ = ["Modes", "Response", "eigenmodes", "response"]
