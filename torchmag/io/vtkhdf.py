"""The layout of a trajectory file: VTKHDF temporal ImageData, and beside it what VTK does not know.

    /VTKHDF                      attributes Version, Type, WholeExtent, Origin, Spacing, Direction
        PointData/m              /m
        CellData/Ms, fraction    those of /torchmag, the same for every step by CellDataOffsets
        Steps                    NSteps; Values, which is /t; CellDataOffsets
    /m                           (T, [z, [y,]] x, 3)
    /t                           (T,), s; with /x /y /z /component a dimension scale of /m, for xarray and netCDF
    /NAME                        (T,) a scalar of each frame
    /torchmag                    header (JSON) and its SHA-256; digests (T, 2, 32) of each frame's m and of its row
        Ms, fraction             (1, [z, [y,]] x)

The layout is that of the VTKHDF specification 2.2 (docs.vtk.org, "VTKHDF File Format"); of an image without a z axis VTK expects no z axis in
the data.  Every axis of the mesh has n + 1 points: a periodic one is closed by its first plane once more.
"""

import hashlib
import json
import math
import re

import h5py
import numpy as np
import torch
from torch import Tensor

from torchmag.errors import TrajectoryError
from torchmag.mesh import Mesh
from torchmag.midpoints import as_order

FORMAT, VERSION = "torchmag trajectory", 1
CHUNK_BYTES = 4 << 20
DTYPES = {"float32": torch.float32, "float64": torch.float64}
DIGESTS = "torchmag/digests"
MAPS = {"Ms", "fraction"}
RESERVED = MAPS | {"t", "m", "x", "y", "z", "component", "VTKHDF", "torchmag", "n", "dx", "origin", "pbc", "magnet_order"}
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
UNIT = re.compile(r"[A-Za-z0-9%^*/.() -]{0,32}")


def header_of(
    mesh: Mesh, dtype: torch.dtype, units: dict[str, str], maps: dict[str, np.ndarray], order: int | None = None
) -> bytes:
    """What fixes the meaning of a file, as canonical JSON; `order` of the magnet, None of a mesh alone."""
    content = {
        "format": FORMAT,
        "version": VERSION,
        "n": mesh.n,
        "dx": mesh.dx,
        "origin": mesh.origin,
        "pbc": ["inf" if math.isinf(images) else images for images in mesh.pbc],
        "order": order,
        "dtype": str(dtype).removeprefix("torch."),
        "scalars": [[name, unit] for name, unit in units.items()],
        "maps": {name: hashlib.sha256(values.tobytes()).hexdigest() for name, values in maps.items()},
    }
    return json.dumps(content, allow_nan=False).encode()


def parse_header(header: bytes) -> tuple[Mesh, torch.dtype, dict[str, str], dict[str, str], int | None]:
    """Mesh, dtype, scalars with units, maps with SHA-256, order of the magnet."""
    content = json.loads(header)
    if content.get("format") != FORMAT or content.get("version") != VERSION:
        raise TrajectoryError(
            f"the file is a {content.get('format')!r} of version {content.get('version')!r}, this reads {FORMAT!r} of version {VERSION}"
        )
    pbc = [math.inf if images == "inf" else images for images in content["pbc"]]
    mesh = Mesh(tuple(content["n"]), dx=content["dx"], origin=content["origin"], pbc=pbc)
    maps = dict(content["maps"])
    if not set(maps) <= MAPS:
        raise TrajectoryError(f"maps {sorted(maps)[:5]}, expected some of {sorted(MAPS)}")
    # Written before there were others, a file is of order 2.
    order = content.get("order", 2)
    order = None if order is None else as_order(order, "header")
    return mesh, DTYPES[content["dtype"]], checked_units(dict(content["scalars"])), maps, order


def checked_units(units: dict[str, str]) -> dict[str, str]:
    """Names and units of scalars as they may stand in a file.

    Raises:
        ValueError: other names: a path, a name that the layout uses.
    """
    for name, unit in units.items():
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"scalar {name[:80]!r}, expected a name of letters, digits and _ other than {', '.join(sorted(RESERVED))}"
            )
        if not UNIT.fullmatch(unit):
            raise ValueError(f"unit {unit[:80]!r} of {name}, expected at most 32 ASCII characters")
    return units


def points(mesh: Mesh) -> tuple[int, ...]:
    """Points along each axis of the mesh in the file: n + 1."""
    return tuple(n + 1 for n in mesh.n)


def to_file(m: Tensor, mesh: Mesh, dtype: torch.dtype) -> np.ndarray:
    """(3, *nodes) to ([z, [y,]] x, 3), closed along periodic axes."""
    for axis in range(mesh.dim):
        if mesh.periodic(axis):
            m = torch.cat((m, m.narrow(axis + 1, 0, 1)), axis + 1)
    return np.ascontiguousarray(m.detach().to("cpu", dtype).numpy().T)


def from_file(values: np.ndarray, mesh: Mesh) -> Tensor:
    """(*frames, [z, [y,]] x, 3) to (*frames, 3, *nodes)."""
    frames = values.ndim - mesh.dim - 1
    m = torch.from_numpy(values).permute(*range(frames), *reversed(range(frames, values.ndim)))
    for axis, nodes in enumerate(mesh.nodes):
        m = m.narrow(frames + 1 + axis, 0, nodes)
    return m.contiguous()


def create(file: h5py.File, header: bytes, maps: dict[str, np.ndarray], compression: int):
    """Lay out an empty trajectory."""
    mesh, dtype, units, *_ = parse_header(header)
    vtk = file.create_group("VTKHDF")
    for name, value in vtk_attributes(mesh).items():
        vtk.attrs[name] = value
    floats = str(dtype).removeprefix("torch.")
    shape = points(mesh)[::-1]
    _dataset(file, "m", (0, *shape, 3), floats, _chunk(shape, np.dtype(floats).itemsize), "1", compression)
    t = _dataset(file, "t", (0,), "f8", (1024,), "s")
    steps = vtk.create_group("Steps")
    steps.attrs["NSteps"] = 0
    steps["Values"] = t
    for name, values in maps.items():
        unit = "A/m" if name == "Ms" else "1"
        cells = _dataset(file, f"torchmag/{name}", (0, *values.shape), floats, (1, *values.shape), unit, compression)
        cells.resize(1, 0)
        cells[0] = values
        _dataset(file, offsets(name), (0,), "i8", (1024,), "")
    show(file, maps, 0)
    _scales(file, mesh)
    for name, unit in units.items():
        _dataset(file, name, (0,), "f8", (1024,), unit).dims[0].attach_scale(t)
    own = file.require_group("torchmag")
    own.attrs["header"] = np.void(header)
    own.attrs["sha256"] = np.void(hashlib.sha256(header).digest())
    _dataset(file, DIGESTS, (0, 2, 32), "u1", (64, 2, 32), "")


def shown(maps) -> dict[str, str]:
    """What VTK shows: its name -> the name of the dataset."""
    return {"VTKHDF/PointData/m": "m"} | {f"VTKHDF/CellData/{name}": f"torchmag/{name}" for name in maps}


def show(file: h5py.File, maps, frames: int):
    """Let VTK see the frames: from two on the datasets themselves; of one a view without the axis of time.

    VTK takes a file of one step for an image that has no time, and refuses data with one axis too many.
    """
    for name, source in shown(maps).items():
        if name in file:
            del file[name]
        if frames >= 2:
            file[name] = file[source]
        elif frames == 1 or source != "m":
            found = file[source]
            view = h5py.VirtualLayout(found.shape[1:], found.dtype)
            view[...] = h5py.VirtualSource(".", source, (1, *found.shape[1:]), found.dtype)[0]
            file.create_virtual_dataset(name, view)
        else:
            file.require_group(name.rpartition("/")[0])


def growing(units: dict[str, str], maps) -> list[str]:
    """The datasets that hold one entry for each frame, apart from m."""
    return ["t", *units, *(offsets(name) for name in maps), DIGESTS]


def offsets(name: str) -> str:
    """The dataset that says where VTK finds a map of the body at each step: always at 0."""
    return f"VTKHDF/Steps/CellDataOffsets/{name}"


def vtk_attributes(mesh: Mesh) -> dict[str, object]:
    """The attributes of the group VTKHDF; along an axis that the mesh does not have, the image lies in the middle of the layer."""
    extent = [bound for n in (*mesh.n, 0, 0)[:3] for bound in (0, n)]
    origin = [o if axis < mesh.dim else o + 0.5 * h for axis, (o, h) in enumerate(zip(mesh.origin, mesh.dx))]
    return {
        "Version": np.array((2, 2), "i8"),
        "Type": np.bytes_("ImageData"),
        "WholeExtent": np.array(extent, "i8"),
        "Origin": np.array(origin, "f8"),
        "Spacing": np.array(mesh.dx, "f8"),
        "Direction": np.eye(3).ravel(),
    }


def frame_digest(header_digest: bytes, index: int, values: np.ndarray) -> bytes:
    """SHA-256 of the m of a frame at its place in its file."""
    digest = hashlib.sha256(header_digest + b"m" + index.to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(values).view(np.uint8).ravel())
    return digest.digest()


def row_digest(header_digest: bytes, index: int, row: np.ndarray, m_digest: bytes) -> bytes:
    """SHA-256 of the time and the scalars of a frame, with the digest of its m."""
    return hashlib.sha256(header_digest + b"row" + index.to_bytes(8, "little") + row.astype("<f8").tobytes() + m_digest).digest()


def _dataset(group, name, shape, dtype, chunk, unit, compression=0):
    packed = {"compression": "gzip", "compression_opts": compression, "shuffle": True} if compression else {}
    made = group.create_dataset(
        name, shape, np.dtype(dtype).newbyteorder("<"), maxshape=(None, *shape[1:]), chunks=chunk, fletcher32=True, **packed
    )
    if unit:
        made.attrs["units"] = np.bytes_(unit.encode())
    return made


def _chunk(shape, itemsize):
    """One frame in a chunk, or slabs of it, all about as thick, where that is more than `CHUNK_BYTES`."""
    chunk = list(shape)
    for axis in range(len(shape)):
        rest = math.prod(chunk[axis + 1 :]) * 3 * itemsize
        most = max(1, min(chunk[axis], CHUNK_BYTES // max(rest, 1)))
        chunk[axis] = -(-chunk[axis] // -(-chunk[axis] // most))
        if most > 1:
            break
    return (1, *chunk, 3)


def _scales(file, mesh):
    """Dimension scales, by which xarray and netCDF know the axes."""
    file["t"].make_scale("t")
    axes = "xyz"[: mesh.dim]
    for name, count, origin, h in zip(axes, points(mesh), mesh.origin, mesh.dx):
        scale = file.create_dataset(name, data=origin + h * np.arange(count))
        scale.attrs["units"] = np.bytes_(b"m")
        scale.make_scale(name)
    file.create_dataset("component", data=["x", "y", "z"], dtype=h5py.string_dtype()).make_scale("component")
    for position, name in enumerate(("t", *reversed(axes), "component")):
        file["m"].dims[position].attach_scale(file[name])
