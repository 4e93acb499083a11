"""What an equilibrium is worth: how it rings, and how it responds."""

from torchmag.modes.eigenmodes import Modes, eigenmodes

__all__ = ["Modes", "eigenmodes"]
