"""Pictures of magnetisation and of what is measured of it, on matplotlib's axes."""

from torchmag.plot.curves import averages, dispersion, hysteresis, profile, spectrum, training
from torchmag.plot.fields import movie, orientation_colors, snapshot

__all__ = ["averages", "dispersion", "hysteresis", "movie", "orientation_colors", "profile", "snapshot", "spectrum", "training"]
