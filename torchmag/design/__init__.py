"""Design variables of inverse problems, as Modules that stand where a parameter stands, and probes as layers."""

from torchmag.design.density import DensityField
from torchmag.design.fourier import FourierPulse
from torchmag.design.gaussian import GaussianPulse
from torchmag.design.pulse import Pulse
from torchmag.design.sinc import SincPulse
from torchmag.design.spline import SplinePulse

__all__ = ["DensityField", "FourierPulse", "GaussianPulse", "Pulse", "SincPulse", "SplinePulse"]
