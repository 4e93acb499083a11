"""File formats, one per file."""

from torchmag.io.ovf import OVF, read_ovf
from torchmag.io.ovf_writer import write_ovf
from torchmag.io.table import Table, read_table
from torchmag.io.trajectory import Trajectory
