"""File formats, one per file."""

from torchmag.io.arrays import read_npy, read_npz, write_npz
from torchmag.io.convert import Frames, convert
from torchmag.io.fields import file_name, kind_of, read_field, read_map, read_state
from torchmag.io.ovf import OVF, read_ovf
from torchmag.io.ovf_writer import write_ovf
from torchmag.io.table import Table, read_table
from torchmag.io.trajectory import Trajectory
