"""Trajectories: the magnetisation over time, frame by frame, in one HDF5 file."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from torchmag.errors import TrajectoryError
from torchmag.io import checked, vtkhdf
from torchmag.io.journal import JournaledFile, pending
from torchmag.layout import expand_to_cells
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh


class Trajectory:
    """The frames of one sample in an HDF5 file that ParaView, VTK, h5py and xarray open (layout: `torchmag.io.vtkhdf`).

    Writing, as a context manager; every frame is on the disk, whole, when `append` returns:

        with tm.io.Trajectory("run.vtkhdf", film, scalars={"E": "J"}) as trajectory:
            trajectory.append(t, m, E=energy.energy(m))

    Going on after a restart, from the first 20 frames: `Trajectory.open(path, mode="append", frames=20)`.
    Reading: `Trajectory.open(path)`, then `len(trajectory)`, `trajectory[i]`, `.times`, `.scalars`, `.mesh`, `.Ms`, `.order`.

    A process killed at any moment leaves a file with the frames appended so far.  What it was about to change may lie in
    a journal beside it (`NAME.journal`): opening the file here takes it into account, opening it to append cleans up.

    Args:
        path: of the file; `.vtkhdf` is the suffix that ParaView knows.
        where: the Magnet, whose order, Ms and fraction are stored too (Ms without a graph, values that depend on t or m
            are left out), or the Mesh alone.
        scalars: name -> unit of numbers that come with each frame.
        dtype: of the stored m; by default the Magnet's, or torch's.
        compression: gzip level 0 (none) to 9.
        overwrite: replace an existing file.
        sync: wait for the disk at each frame; False survives a killed process, but not a power failure.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        ValueError: a batch of bodies (one file holds one sample), a scalar's name that cannot be used.
        BlockingIOError: another process writes this file.
    """

    def __init__(
        self,
        path,
        where: Magnet | Mesh,
        *,
        scalars: Mapping[str, str] | None = None,
        dtype: torch.dtype | None = None,
        compression: int = 1,
        overwrite: bool = False,
        sync: bool = True,
    ):
        path, units = Path(path), vtkhdf.checked_units(dict(scalars or {}))
        if isinstance(where, Magnet):
            mesh, dtype, maps, order = where.mesh, dtype or where.reference.dtype, _maps(where), where.order
        elif isinstance(where, Mesh):
            mesh, dtype, maps, order = where, dtype or torch.get_default_dtype(), {}, None
        else:
            raise TypeError(f"Trajectory: where is a {type(where).__name__}, expected a torchmag.Magnet or a torchmag.Mesh")
        if dtype not in vtkhdf.DTYPES.values():
            raise TypeError(f"Trajectory: dtype is {dtype}, expected torch.float32 or torch.float64")
        if not (isinstance(compression, int) and 0 <= compression <= 9):
            raise ValueError(f"Trajectory: compression = {compression!r}, expected a gzip level from 0 to 9")
        if os.path.lexists(path) and not overwrite:
            raise FileExistsError(f"{path} exists; pass overwrite=True, or open it with Trajectory.open(path, mode='append')")
        floats = str(dtype).removeprefix("torch.")
        maps = {name: values.astype(floats) for name, values in maps.items()}
        header = vtkhdf.header_of(mesh, dtype, units, maps, order)
        self._disk = JournaledFile(path, "w", sync=sync)
        self._file = h5py.File(self._disk, "w", libver=("v110", "v110"))
        vtkhdf.create(self._file, header, maps, compression)
        self._take(path, "append", header, maps)
        self._times, self._scalars = np.empty(0), {name: np.empty(0) for name in units}
        self._commit()

    @classmethod
    def open(cls, path, mode: str = "read", *, frames: int | None = None, sync: bool = True) -> "Trajectory":
        """Open an existing file.

        Args:
            path: of the file.
            mode: "read" or "append".
            frames: with "append", keep the first so many and drop the rest; default all.
            sync: as for writing.

        Raises:
            TrajectoryError: not a trajectory of torchmag, cut off, changed since it was written, or with fewer frames
                than `frames`.
            FileNotFoundError, PermissionError; BlockingIOError: another process writes this file.
        """
        if mode not in ("read", "append"):
            raise ValueError(f"Trajectory.open: mode = {mode!r}, expected 'read' or 'append'")
        if frames is not None and mode == "read":
            raise ValueError("Trajectory.open: frames is for mode='append'; slice the trajectory to read some of it")
        self = cls.__new__(cls)
        path, self._disk = Path(path), None
        with checked.reading(path, TrajectoryError):
            checked.hdf5_signature(path)
            if mode == "append":
                self._disk = JournaledFile(path, "a", sync=sync)
            elif pending(path) is not None:
                self._disk = JournaledFile(path, "r")
            source = self._disk or path
            try:
                self._file = h5py.File(source, "r+" if mode == "append" else "r", libver=("v110", "v110"))
                header, maps = checked.header(self._file)
                self._take(path, mode, header, maps)
                self._times, self._scalars = checked.rows(self)
            except BaseException:
                self._drop()
                raise
        if mode == "append" and frames is not None:
            try:
                self._truncate(frames)
            except BaseException:
                self._drop()
                raise
        return self

    @property
    def times(self) -> Tensor:
        """Of the frames, s: (T,) float64."""
        return torch.from_numpy(self._times.copy())

    @property
    def scalars(self) -> dict[str, Tensor]:
        """Name -> (T,) float64; the units are in `units`."""
        return {name: torch.from_numpy(values.copy()) for name, values in self._scalars.items()}

    @property
    def Ms(self) -> Tensor | None:
        """Saturation magnetisation, A/m: (*cells); None if it was not stored."""
        return self._map("Ms")

    @property
    def fraction(self) -> Tensor | None:
        """Magnetic fraction of each cell: (*cells); None if it was not stored."""
        return self._map("fraction")

    @property
    def order(self) -> int | None:
        """Of the magnet, its accuracy in space: 2 in files written before there were others; None of a mesh alone."""
        return self._order

    def __len__(self) -> int:
        return len(self._times)

    def __getitem__(self, index) -> Tensor:
        """Frame(s) from the disk: an integer gives (3, *nodes), a slice (k, 3, *nodes).

        Raises:
            IndexError; TrajectoryError: the frame is not what was written.
        """
        if isinstance(index, slice):
            chosen = range(*index.indices(len(self)))
            empty = torch.empty((0, 3, *self.mesh.nodes), dtype=self.dtype)
            return torch.stack([self._frame(i) for i in chosen]) if chosen else empty
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} of a trajectory with {len(self)} frames")
        return self._frame(range(len(self))[index])

    def append(self, t: float, m: Tensor, **scalars: float):
        """Write a frame.

        Args:
            t: time, s; later than that of the frame before.
            m: (3, *nodes); stored in the file's dtype.
            scalars: a number for each name in `units`.

        Raises:
            ValueError: a wrong shape (a batch among them), numbers that are not finite, a time that is not later.
            TypeError: a scalar is missing, or not one of the file's; the file is not open to append.
            OSError: the disk is full or fails: the file keeps its frames and is closed.
        """
        if self._mode != "append" or not self._file:
            raise TypeError(f"Trajectory: {self.path} is not open to append; use Trajectory.open(path, mode='append')")
        t, values, row = self._check(t, m, scalars)
        index = len(self)
        m_digest = vtkhdf.frame_digest(self._digest, index, values)
        row_digest = vtkhdf.row_digest(self._digest, index, np.array([t, *row]), m_digest)
        self._resize(index + 1)
        self._file["m"][index] = values
        self._file["t"][index] = t
        for name in self._maps:
            self._file[vtkhdf.offsets(name)][index] = 0
        for name, value in zip(self.units, row):
            self._file[name][index] = value
        self._file[vtkhdf.DIGESTS][index] = np.frombuffer(m_digest + row_digest, "u1").reshape(2, 32)
        self._commit()
        self._times = np.append(self._times, t)
        self._scalars = {name: np.append(self._scalars[name], value) for name, value in zip(self.units, row)}

    def close(self):
        """Close the file; a second time does nothing."""
        if self._file:
            try:
                self._file.close()
                if self._mode == "append":
                    self._disk.commit()
            finally:
                self._drop()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"Trajectory({str(self.path)!r}, {len(self)} frames, mesh={self.mesh}, order={self.order})"

    def _take(self, path, mode, header, maps):
        self.path, self._mode, self._maps = path, mode, maps
        self.mesh, self.dtype, self.units, _, self._order = vtkhdf.parse_header(header)
        self._digest = hashlib.sha256(header).digest()

    def _check(self, t, m, scalars):
        """The frame as it is stored: t, m in the file's layout, the scalars in the file's order."""
        if tuple(m.shape) != (3, *self.mesh.nodes):
            batch = "; a trajectory holds one sample: write a file for each" if m.ndim > self.mesh.dim + 1 else ""
            raise ValueError(f"Trajectory.append: m has shape {tuple(m.shape)}, expected {(3, *self.mesh.nodes)}{batch}")
        if set(scalars) != set(self.units):
            raise TypeError(f"Trajectory.append: scalars {sorted(scalars)}, the file has {sorted(self.units)}; give each of them")
        t, row = float(t), [float(scalars[name]) for name in self.units]
        values = vtkhdf.to_file(m, self.mesh, self.dtype)
        if not (np.isfinite(values).all() and np.isfinite([t, *row]).all()):
            raise ValueError(f"Trajectory.append: t, m or a scalar is not finite at t = {t:g} s")
        if len(self) and t <= self._times[-1]:
            raise ValueError(f"Trajectory.append: t = {t!r} s, expected a time after {self._times[-1]!r} s")
        return t, values, row

    def _resize(self, frames):
        for name in ("m", *vtkhdf.growing(self.units, self._maps)):
            self._file[name].resize(frames, 0)
        self._file["VTKHDF/Steps"].attrs.modify("NSteps", np.int64(frames))
        if min(frames, 2) != min(len(self), 2):
            vtkhdf.show(self._file, self._maps, frames)

    def _truncate(self, frames):
        if not 0 <= frames <= len(self):
            raise TrajectoryError(f"{self.path}: has {len(self)} frames, cannot keep {frames}")
        if frames < len(self):
            self._resize(frames)
            self._commit()
            self._times = self._times[:frames]
            self._scalars = {name: values[:frames] for name, values in self._scalars.items()}

    def _frame(self, index):
        with checked.reading(self.path, TrajectoryError):
            values = self._file["m"][index]
            wanted = self._file[vtkhdf.DIGESTS][index, 0].tobytes()
            if vtkhdf.frame_digest(self._digest, index, values) != wanted:
                raise TrajectoryError(f"{self.path}: frame {index} is not what was written")
            return vtkhdf.from_file(values, self.mesh)

    def _map(self, name):
        values = self._maps.get(name)
        return None if values is None else torch.from_numpy(values.T.copy())

    def _commit(self):
        try:
            self._file.flush()
            self._disk.commit()
        except BaseException:
            self._drop()
            raise

    def _drop(self):
        """Close without writing."""
        if self._disk is not None:
            self._disk.abandon()
        if getattr(self, "_file", None):
            self._file.close()
        if self._disk is not None:
            self._disk.close()


def _maps(magnet):
    """Ms and fraction, ([z, [y,]] x), where they are constants."""
    values, maps = magnet.prepare(), {}
    for name in ("Ms", "fraction"):
        if name in values:
            cells = expand_to_cells(values[name].detach(), magnet.mesh)
            if cells.ndim != magnet.mesh.dim:
                raise ValueError(
                    f"Trajectory: the magnet's {name} has shape {tuple(cells.shape)}, a batch; a trajectory holds one sample: "
                    "write a file for each, with the mesh in place of the magnet"
                )
            maps[name] = np.ascontiguousarray(cells.cpu().numpy().T)
    return maps
