"""Initial states and material maps from any of the formats."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.io.arrays import MAGIC, read_npy, read_npz
from torchmag.io.checked import SIGNATURE
from torchmag.io.foreign_tables import is_foreign
from torchmag.io.ovf import read_ovf
from torchmag.io.trajectory import Trajectory
from torchmag.mesh import Mesh

KINDS = ("trajectory", "ovf", "npz", "npy", "table")


def kind_of(path) -> str:
    """What a file is, by its first bytes, not by its name: one of `KINDS`.

    Raises:
        FileFormatError: none of them.
        FileNotFoundError, PermissionError.
    """
    with open(path, "rb") as file:
        start = file.read(256)
    for kind, beginning in zip(KINDS, (SIGNATURE, b"# OOMMF", b"PK\x03\x04", MAGIC)):
        if start.startswith(beginning):
            return kind
    if is_foreign(start) or start[:1].isalpha() and start[:64].isascii() and b"\x00" not in start:
        return "table"
    raise FileFormatError(f"{path}: neither HDF5, OVF, npz, npy nor a table with names in its first row")


@dataclass(frozen=True)
class State:
    """A field in a file: values (3, *nodes), or (C, *cells); the mesh, if the file has one; the time, s, if it has one."""

    values: Tensor
    at: str
    mesh: Mesh | None
    t: float | None


def read_field(path, *, frame: int = -1, name: str = "m") -> State:
    """One field of a file.

    Args:
        path: trajectory, OVF, .npz or .npy.
        frame: of a trajectory, or of an array with times in front.
        name: of the array in an .npz file; in a trajectory "m", "Ms" or "fraction".

    Raises:
        FileFormatError: the error of the format.
        IndexError: no such frame.
        FileNotFoundError, PermissionError.
    """
    kind = kind_of(path)
    if kind == "trajectory":
        with Trajectory.open(path) as trajectory:
            if name in ("Ms", "fraction"):
                values = getattr(trajectory, name)
                if values is None:
                    raise FileFormatError(f"{path}: the trajectory has no {name}")
                return State(values.unsqueeze(0), "cells", trajectory.mesh, None)
            return State(trajectory[frame], "nodes", trajectory.mesh, float(trajectory.times[frame]))
    if kind == "ovf":
        read = read_ovf(path)
        return State(read.data, "cells", read.mesh, read.t)
    if kind == "table":
        raise FileFormatError(f"{path}: a table, expected a field")
    arrays, mesh = read_npz(path) if kind == "npz" else ({name: read_npy(path)}, None)
    if name not in arrays:
        raise FileFormatError(f"{path}: no array {name!r}, it has {sorted(arrays)}")
    values = torch.from_numpy(arrays[name])
    if not values.is_floating_point():
        values = values.to(torch.get_default_dtype())
    if mesh is not None and values.ndim == mesh.dim + 2:
        values = values[frame]
    t = np.ravel(arrays["t"])[frame] if "t" in arrays else None
    return State(values, "nodes" if name == "m" else "cells", mesh, None if t is None else float(t))


def read_state(path, mesh: Mesh, *, frame: int = -1, dtype: torch.dtype | None = None) -> Tensor:
    """An initial state m, (3, *nodes), from a trajectory, an OVF, .npz or .npy file.

    Of a trajectory and of NumPy's files, which hold nodes, m is exactly what was written; of an OVF file, which holds cells, each
    node gets the mean of its cells, made a unit vector (`OVF.as_nodes`).

    Args:
        path: of the file.
        mesh: to start on; the file's cells have to be the same.
        frame: of a trajectory.
        dtype: torch's default if not given, as for `torchmag.uniform`.

    Raises:
        FileFormatError: the error of the format; ValueError: another mesh.
    """
    if kind_of(path) == "ovf":
        return read_ovf(path).as_nodes(mesh).to(dtype or torch.get_default_dtype())
    found = read_field(path, frame=frame)
    if found.mesh is not None and not _same(found.mesh, mesh):
        raise ValueError(f"{path}: holds {found.mesh}, expected {mesh}")
    if tuple(found.values.shape) != (3, *mesh.nodes):
        raise ValueError(f"{path}: m has shape {tuple(found.values.shape)}, expected (3, *nodes) = {(3, *mesh.nodes)}")
    if not bool(torch.isfinite(found.values).all()):
        raise FileFormatError(f"{path}: m is not finite")
    return found.values.to(dtype or torch.get_default_dtype())


def read_map(path, mesh: Mesh, *, name: str = "Ms", dtype: torch.dtype | None = None) -> Tensor:
    """A material map on the cells, (*cells) or (3, *cells), from an OVF file, .npz, .npy, or the Ms or fraction of a trajectory.

    Args:
        path: of the file.
        mesh: whose cells the map is for; the file's have to be the same.
        name: of the array in an .npz file or trajectory.
        dtype: torch's default if not given, as for `torchmag.uniform`.

    Raises:
        FileFormatError: the error of the format; ValueError: another mesh or shape.
    """
    if kind_of(path) == "ovf":
        return read_ovf(path).as_cells(mesh).to(dtype or torch.get_default_dtype())
    found = read_field(path, name=name)
    if found.mesh is not None and not _same(found.mesh, mesh):
        raise ValueError(f"{path}: holds {found.mesh}, expected {mesh}")
    values = found.values
    if values.ndim == mesh.dim + 1 and len(values) == 1:
        values = values[0]
    if tuple(values.shape) not in (mesh.cells, (3, *mesh.cells)):
        raise ValueError(f"{path}: {name} has shape {tuple(values.shape)}, expected the cells {mesh.cells} or (3, *cells)")
    if not bool(torch.isfinite(values).all()):
        raise FileFormatError(f"{path}: {name} is not finite")
    return values.to(dtype or torch.get_default_dtype())


def _same(a: Mesh, b: Mesh) -> bool:
    """The same cells, and the same nodes (periodic axes)."""
    return a.n == b.n and a.nodes == b.nodes and np.allclose(a.dx, b.dx, rtol=1e-6, atol=0)


def file_name(folder, name: str) -> Path:
    """A file of this plain name in a folder, and nowhere else.

    Raises:
        ValueError: a name with a path, a device or hidden characters in it.
    """
    plain = name and len(name) <= 200 and name.isascii() and all(c.isalnum() or c in "._-" for c in name) and name[0] not in ".-"
    if not plain:
        raise ValueError(f"{name[:80]!r} is no plain file name: letters, digits, '.', '_' and '-'")
    return Path(folder) / name
