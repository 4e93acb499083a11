"""Design variables of inverse problems, as Modules that stand where a parameter stands, and probes as layers."""

from torchmag.design.antenna import AntennaField
from torchmag.design.damping_ramp import damping_ramp
from torchmag.design.density import DensityField
from torchmag.design.fourier import FourierPulse
from torchmag.design.gaussian import GaussianPulse
from torchmag.design.intensity import SpinWaveIntensity
from torchmag.design.level_set import LevelSet
from torchmag.design.pulse import Pulse
from torchmag.design.region_average import RegionAverage
from torchmag.design.samples import Samples
from torchmag.design.sinc import SincPulse
from torchmag.design.spectrum import Spectrum
from torchmag.design.spline import SplinePulse

__all__ = [
    "AntennaField", "DensityField", "FourierPulse", "GaussianPulse", "LevelSet", "Pulse", "RegionAverage", "Samples", "SincPulse",
    "SpinWaveIntensity", "Spectrum", "SplinePulse", "damping_ramp",
]  # fmt: skip
