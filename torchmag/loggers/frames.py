"""The frames of a simulation in a trajectory file."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from torchmag.magnet import Magnet
from torchmag.mesh import Mesh


class Frames:
    """m at each time in an HDF5 file that ParaView opens (see `torchmag.io.Trajectory`).

    Args:
        path: of the file, .vtkhdf by custom; its folder must exist.
        where: the Magnet, or the Mesh alone.
        scalars: name -> unit of the quantities, one number each, that come with a frame.
        overwrite: replace an existing file when a new record starts.
        compression: gzip level 0 to 9.

    Raises:
        FileExistsError: the file exists.
        TrajectoryError: a file to go on with that is not what was written.
    """

    def __init__(
        self,
        path,
        where: Magnet | Mesh,
        scalars: Mapping[str, str] | None = None,
        *,
        overwrite: bool = False,
        compression: int = 1,
    ):
        self.path, self.where, self.scalars = Path(path), where, dict(scalars or {})
        self.overwrite, self.compression, self._file = overwrite, compression, None

    def open(self, position: int | None) -> None:
        from torchmag.io import Trajectory

        if not position:
            self._file = Trajectory(
                self.path,
                self.where,
                scalars=self.scalars,
                overwrite=self.overwrite or position == 0,
                compression=self.compression,
            )
        else:
            self._file = Trajectory.open(self.path, mode="append", frames=position)

    def log(self, t: float, m: Tensor, values: Mapping[str, Tensor]) -> None:
        missing = [name for name in self.scalars if name not in values]
        if missing:
            raise TypeError(
                f"Frames: no quantity {', '.join(missing)}; the simulation has {', '.join(values)} (see its quantities=)"
            )
        self._file.append(t, m, **{name: float(values[name]) for name in self.scalars})

    def position(self) -> int:
        return len(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
