"""One format into another."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.io.arrays import read_npz, write_npz
from torchmag.io.atomic import whole
from torchmag.io.checked import reading
from torchmag.io.fields import file_name, kind_of
from torchmag.io.ovf import OVF, read_ovf
from torchmag.io.ovf_writer import write_ovf
from torchmag.io.table import Table, read_table
from torchmag.io.trajectory import Trajectory
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh
from torchmag.midpoints import as_order
from torchmag.observables import average

SUFFIXES = {
    ".vtkhdf": "trajectory",
    ".h5": "trajectory",
    ".hdf5": "trajectory",
    ".hdf": "trajectory",
    ".npz": "npz",
    ".csv": "table",
}
SUFFIXES |= {".ovf": "ovf", ".omf": "ovf", "": "series"}


def convert(source, target, *, frame: int = -1, format: str = "binary8", version: int = 2, overwrite: bool = False) -> Path:
    """Write what one file holds to another, of the kind that the target's suffix says.

    Args:
        source: a trajectory, an OVF or an .npz file (`write_npz`), or a table (of OOMMF or mumax3 too), known by its content.
        target: .vtkhdf, .h5, .hdf5 or .hdf: a trajectory.  .npz.  .ovf or .omf: one frame; from OVF to OVF the cells stay as they are.
            .csv: a table of averages over the body (weighed by Ms) and of the scalars.  No suffix: a folder with an OVF file for each
            frame and a table of their times, frames.csv.  A table becomes .csv only, its Oxs_TimeDriver::mx there Oxs_TimeDriver.mx.
        frame: of a source with many, where the target holds one.
        format, version: of OVF, as for `write_ovf`.
        overwrite: replace existing files.

    Raises:
        FileExistsError: a file exists and `overwrite` is False.
        FileFormatError: the source cannot be trusted; ValueError: no such frame or target.
    """
    source, target = Path(source), Path(target)
    suffix = "" if target.is_dir() else target.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{target}: unknown suffix, expected one of {', '.join(filter(None, SUFFIXES))}, or a folder without one"
        )
    if target.exists() and source.exists() and target.samefile(source):
        raise ValueError(f"{target}: source and target are the same file")
    if kind_of(source) == "table":
        _table_to_csv(source, target, suffix, overwrite)
        return target
    write = {"trajectory": _to_trajectory, "ovf": _to_ovf, "npz": _to_npz, "table": _to_table, "series": _to_series}
    frames = Frames.open(source)
    try:
        chosen = {"format": format, "version": version} if SUFFIXES[suffix] in ("ovf", "series") else {}
        if SUFFIXES[suffix] == "ovf":
            chosen["frame"] = frame
        write[SUFFIXES[suffix]](frames, target, overwrite=overwrite, **chosen)
    finally:
        frames.close()
    return target


@dataclass
class Frames:
    """The fields of a file of any kind, over time.

    Attributes:
        path, mesh: of the file.
        frames: (3, *nodes) each, or, from OVF, the file as it was read.
        times: s, one for each frame.
        at: "nodes", or "cells" for OVF.
        Ms, fraction: (*cells), where the file has them.
        order: of the magnet; 2 where the file does not say.
        scalars, units: name -> one number for each frame, and its unit.
    """

    path: Path
    mesh: Mesh
    frames: Sequence[Tensor | OVF]
    times: Sequence[float] | Tensor
    at: str = "nodes"
    Ms: Tensor | None = None
    fraction: Tensor | None = None
    order: int = 2
    scalars: dict[str, Tensor] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    close: Callable[[], None] = lambda: None

    @classmethod
    def open(cls, path) -> "Frames":
        """Raises: FileFormatError, of the file's own kind; FileNotFoundError, PermissionError."""
        kind = kind_of(path)
        if kind == "trajectory":
            found = Trajectory.open(path)
            about = {
                "Ms": found.Ms,
                "fraction": found.fraction,
                "order": found.order or 2,
                "scalars": found.scalars,
                "units": found.units,
                "close": found.close,
            }
            return cls(path, found.mesh, found, found.times, **about)
        if kind == "ovf":
            read = read_ovf(path)
            t = read.t if read.t is not None else 0.0
            return cls(path, read.mesh, [read], [t], "cells", order=read.order or 2)
        if kind == "npz":
            return cls(path, *_npz(path))
        raise FileFormatError(f"{path}: a {kind} file holds no field with a mesh; expected a trajectory, an OVF or an npz file")

    def index(self, frame: int) -> int:
        """A frame's number from 0; negative ones count from the end.  Raises: ValueError if there is none."""
        if not -len(self.times) <= frame < len(self.times):
            raise ValueError(f"{self.path}: no frame {frame}, it has {len(self.times)}")
        return range(len(self.times))[frame]

    def nodes(self, index: int) -> Tensor:
        """(3, *nodes) of a frame; of cells their means, as unit vectors."""
        return self.frames[index] if self.at == "nodes" else self.frames[index].as_nodes()

    def body(self) -> Magnet:
        """The Magnet; without Ms in the file one that fills the mesh, of cells those that are not empty."""
        if self.at == "cells":
            data = self.frames[0].data
            return Magnet(self.mesh, 1.0, fraction=data.ne(0).any(0).to(data.dtype), order=self.order, dtype=data.dtype)
        dtype = self.frames[0].dtype if len(self.times) else None
        Ms = 1.0 if self.Ms is None else self.Ms
        return Magnet(self.mesh, Ms, fraction=self.fraction, order=self.order, dtype=dtype)

    @property
    def where(self) -> Magnet | Mesh:
        """What a file for these frames is about: the body if it is known."""
        return self.mesh if self.Ms is None else self.body()


def _npz(path):
    """Mesh, frames, times, place, Ms, fraction and order."""
    arrays, mesh = read_npz(path)
    if mesh is None or "m" not in arrays:
        raise FileFormatError(f"{path}: expected the arrays m, n, dx, origin and pbc; it has {sorted(arrays)}")
    m = torch.from_numpy(arrays["m"])
    m = m if m.is_floating_point() else m.double()
    frames = m.unsqueeze(0) if m.ndim == mesh.dim + 1 else m
    if tuple(frames.shape[1:]) != (3, *mesh.nodes):
        raise FileFormatError(
            f"{path}: m has shape {tuple(m.shape)}, expected (3, *nodes) = {(3, *mesh.nodes)}, with times in front"
        )
    times = torch.from_numpy(arrays["t"]).double().reshape(-1) if "t" in arrays else torch.arange(len(frames)).double()
    if len(times) != len(frames):
        raise FileFormatError(f"{path}: {len(times)} times for {len(frames)} frames")
    maps = [torch.from_numpy(arrays[name]).to(m.dtype) if name in arrays else None for name in ("Ms", "fraction")]
    with reading(path, FileFormatError):
        order = as_order(arrays["magnet_order"].tolist(), "magnet_order") if "magnet_order" in arrays else 2
    return mesh, frames, times, "nodes", *maps, order


def _to_trajectory(source, target, overwrite):
    dtype = source.nodes(0).dtype if len(source.times) else None
    body = source.where
    with (
        whole(target, overwrite=overwrite) as part,
        Trajectory(part, body, scalars=source.units, dtype=dtype, sync=False) as made,
    ):
        for i, t in enumerate(source.times):
            made.append(t, source.nodes(i), **{name: values[i] for name, values in source.scalars.items()})


def _to_ovf(source, target, overwrite, format, version, frame):
    index = source.index(frame)
    chosen = {"format": format, "version": version, "overwrite": overwrite}
    if source.at == "nodes":
        write_ovf(target, source.frames[index], source.where, t=float(source.times[index]), **chosen)
        return
    read = source.frames[index]
    units = set(read.units)
    labels = read.labels if version == 2 and all(map(_plain, read.labels)) else None
    unit = next(iter(units)) if len(units) == 1 and all(map(_plain, units)) else ""
    title = read.title if read.title.isprintable() and "##" not in read.title else "field"
    write_ovf(target, read.data, read.mesh, at="cells", title=title, unit=unit, labels=labels, t=read.t, **chosen)


def _to_series(source, target, overwrite, format, version):
    if source.at == "cells":
        raise ValueError(f"{source.path}: one field; choose a name that ends with .ovf")
    names = [file_name(target, f"m{i:06d}.ovf") for i in range(len(source.times))]
    existing = [name for name in (*names, target / "frames.csv") if name.exists()]
    if existing and not overwrite:
        raise FileExistsError(f"{existing[0]} exists; pass overwrite=True or choose another folder")
    target.mkdir(parents=True, exist_ok=True)
    where = source.where
    with Table(target / "frames.csv", {"frame": "", "t": "s"}, overwrite=overwrite) as table:
        for i, (name, t) in enumerate(zip(names, source.times)):
            write_ovf(name, source.frames[i], where, t=float(t), format=format, version=version, overwrite=overwrite)
            table.append(frame=i, t=t)


def _to_npz(source, target, overwrite):
    if source.at == "cells":
        read = source.frames[0]
        arrays = {"cells": read.data} | ({"t": read.t} if read.t is not None else {})
    else:
        arrays = {"m": source.frames[:], "t": torch.as_tensor(source.times), **source.scalars}
    arrays |= {name: getattr(source, name) for name in ("Ms", "fraction") if getattr(source, name) is not None}
    arrays |= {"magnet_order": source.order} if source.Ms is not None else {}
    write_npz(target, arrays, source.mesh, overwrite=overwrite)


def _table_to_csv(source, target, suffix, overwrite):
    if suffix != ".csv":
        raise ValueError(f"{target}: {source} is a table of numbers, which is written as .csv only")
    found = read_table(source)
    # What cannot stand in our names and units is replaced.
    names = [re.sub(r"[^A-Za-z0-9_.()<>|/ -]", "_", re.sub(":+", ".", name))[:64] for name in found.columns]
    if len(set(names)) != len(names):
        raise ValueError(f"{source}: columns that differ only in signs have one name in a .csv: {names}")
    units = [re.sub(r"[^A-Za-z0-9%^*/.() -]", "", unit)[:32] for unit in found.units.values()]
    with whole(target, overwrite=overwrite) as part, Table(part, dict(zip(names, units))) as table:
        for row in zip(*found.columns.values()):
            table.append(**dict(zip(names, row)))


def _to_table(source, target, overwrite):
    body, mean = source.body(), ("mx", "my", "mz")
    units = {"t": "s"} | dict.fromkeys(mean, "") | {name: unit for name, unit in source.units.items() if name not in mean}
    with whole(target, overwrite=overwrite) as part, Table(part, units) as table:
        for i, t in enumerate(source.times):
            row = {name: values[i] for name, values in source.scalars.items()} | {"t": t}
            table.append(**row | dict(zip(mean, average(source.nodes(i), body, weight="Ms").tolist())))


def _plain(text):
    """Whether a label of another program can stand in a file of ours."""
    return text.isascii() and text.isprintable() and not set(text) & set(' {}"') and len(text) <= 60
