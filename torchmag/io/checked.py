"""What is checked before a trajectory file is believed."""

import hashlib
from contextlib import contextmanager

import h5py
import numpy as np

from torchmag.errors import FileFormatError, TrajectoryError
from torchmag.io import vtkhdf

SIGNATURE = b"\x89HDF\r\n\x1a\n"
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
# Deflate packs at most 1032 to 1: what a file may claim to hold is bounded.
MOST_PACKED = 1100


@contextmanager
def reading(path, error):
    """Whatever goes wrong inside, apart from the file system's word about the file as a whole, becomes `error`."""
    try:
        yield
    except (FileNotFoundError, PermissionError, IsADirectoryError, BlockingIOError, IndexError):
        raise
    except FileFormatError as wrong:
        message = str(wrong)
        raise error(message if str(path) in message else f"{path}: {message}") from wrong
    except Exception as wrong:
        raise error(f"{path}: cut off or changed since it was written ({type(wrong).__name__}: {wrong})") from wrong


def hdf5_signature(path):
    with open(path, "rb") as file:
        if file.read(len(SIGNATURE)) != SIGNATURE:
            raise TrajectoryError("not an HDF5 file")


def header(file: h5py.File) -> tuple[bytes, dict[str, np.ndarray]]:
    """Header and maps of the body, verified."""
    own = item(file, "torchmag", h5py.Group)
    header = own.attrs["header"].tobytes()
    if hashlib.sha256(header).digest() != own.attrs["sha256"].tobytes():
        raise TrajectoryError("the header is not what was written")
    mesh, dtype, _, wanted, _ = vtkhdf.parse_header(header)
    vtk = item(file, "VTKHDF", h5py.Group)
    for name, value in vtkhdf.vtk_attributes(mesh).items():
        if not np.array_equal(np.asarray(vtk.attrs[name]), value):
            raise TrajectoryError(f"VTKHDF's {name} contradicts the header")
    maps = {}
    for name, digest in wanted.items():
        stored = dataset(file, f"torchmag/{name}", (1, *mesh.n[::-1]), dtype)
        maps[name] = stored[0]
        if hashlib.sha256(maps[name].tobytes()).hexdigest() != digest:
            raise TrajectoryError(f"{name} is not what was written")
    return header, maps


def rows(trajectory) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Times and scalars of every frame, verified; the frames are there, each with its digest."""
    file, mesh = trajectory._file, trajectory.mesh
    frames = int(item(file, "VTKHDF/Steps", h5py.Group).attrs["NSteps"])
    if frames < 0 or frames * 64 > file.id.get_filesize():
        raise TrajectoryError(f"claims {frames} frames")
    m = dataset(file, "m", (frames, *vtkhdf.points(mesh)[::-1], 3), trajectory.dtype)
    views = vtkhdf.shown(trajectory._maps) if frames >= 2 else {}
    for name, source in (views | {"VTKHDF/Steps/Values": "t"}).items():
        if item(file, name, h5py.Dataset) != item(file, source, h5py.Dataset):
            raise TrajectoryError(f"{name} shows other data than {source}")
    chunks = frames * int(np.prod([-(-size // chunk) for size, chunk in zip(m.shape[1:], m.chunks[1:])]))
    if m.id.get_num_chunks() != chunks:
        raise TrajectoryError(f"{m.id.get_num_chunks()} pieces of frames, expected {chunks}")
    digests = dataset(file, vtkhdf.DIGESTS, (frames, 2, 32), "uint8")[...]
    columns = [dataset(file, name, (frames,), "float64")[...] for name in ("t", *trajectory.units)]
    for name in trajectory._maps:
        if dataset(file, vtkhdf.offsets(name), (frames,), "int64")[...].any():
            raise TrajectoryError(f"the offsets of {name} are not 0")
    for index, (row, (m_digest, digest)) in enumerate(zip(np.stack(columns, 1), digests)):
        if vtkhdf.row_digest(trajectory._digest, index, row, m_digest.tobytes()) != digest.tobytes():
            raise TrajectoryError(f"time or scalars of frame {index} are not what was written")
    return columns[0], dict(zip(trajectory.units, columns[1:]))


def item(file, name: str, kind):
    """A group or dataset by its full name, through hard links only: nothing outside the file is opened."""
    here = file
    for part in name.split("/"):
        if not isinstance(here.get(part, getlink=True), h5py.HardLink):
            raise TrajectoryError(f"{name} is missing or a link")
        here = here[part]
    if not isinstance(here, kind):
        raise TrajectoryError(f"{name} is a {type(here).__name__}, expected a {kind.__name__}")
    return here


def dataset(file, name: str, shape: tuple[int, ...], dtype) -> h5py.Dataset:
    """A dataset stored in this file, of this shape and dtype, that its bytes can hold."""
    found = item(file, name, h5py.Dataset)
    plist = found.id.get_create_plist()
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    wanted = np.dtype(str(dtype).removeprefix("torch.")).newbyteorder("<")
    if found.shape != shape or found.dtype != wanted:
        raise TrajectoryError(f"{name} is {found.dtype} {found.shape}, expected {wanted} {shape}")
    if found.external or found.is_virtual or found.chunks is None or not filters <= FILTERS:
        raise TrajectoryError(f"{name} is stored in a way that torchmag does not write")
    if found.nbytes > MOST_PACKED * found.id.get_storage_size() or found.id.get_storage_size() > file.id.get_filesize():
        raise TrajectoryError(f"{name} claims {found.nbytes} bytes, which the file cannot hold")
    return found
