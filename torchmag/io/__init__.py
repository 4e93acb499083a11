"""File formats, one per file."""

from torchmag.io.ovf import OVF, read_ovf, write_ovf
from torchmag.io.trajectory import Trajectory
