"""File formats, one per file."""

from torchmag.io.trajectory import Trajectory
