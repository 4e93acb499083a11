"""Pictures of magnetisation and of what is measured of it, on matplotlib's axes and in pyvista's space."""

from torchmag.plot.curves import averages, dispersion, hysteresis, profile, spectrum, training
from torchmag.plot.fields import movie, orientation_colors, snapshot
from torchmag.plot.space import image_data, scene

__all__ = [
    "averages",
    "dispersion",
    "hysteresis",
    "image_data",
    "movie",
    "orientation_colors",
    "profile",
    "scene",
    "snapshot",
    "spectrum",
    "training",
]
