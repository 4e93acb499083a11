"""A CSV table of a simulation."""

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from torchmag.loggers.values import columns


class Table:
    """A row for each time in a CSV file (see `torchmag.io.Table`): t and every quantity, vectors as mx, my, mz.

    Args:
        path: of the file; its folder must exist.
        units: quantity -> unit, for the second row; t is in s.
        overwrite: replace an existing file when a new record starts.

    Raises:
        FileExistsError: the file exists.
        TableError: a file to go on with that holds less than it should.
    """

    def __init__(self, path, units: Mapping[str, str] | None = None, *, overwrite: bool = False):
        self.path, self.units, self.overwrite, self._file = Path(path), dict(units or {}), overwrite, None

    def open(self, position: int | None) -> None:
        from torchmag.io import Table as File

        if position is None and self.path.exists() and not self.overwrite:
            raise FileExistsError(f"{self.path} exists; pass overwrite=True or choose another name")
        if position:
            self._file = File.open(self.path, rows=position)
        else:
            # The columns are known with the first row.
            self.path.unlink(missing_ok=True)

    def log(self, t: float, m: Tensor, values: Mapping[str, Tensor]) -> None:
        from torchmag.io import Table as File

        row = {"t": t} | columns(values)
        if self._file is None:
            units = {column: self.units[name] for name in self.units for column in columns({name: values[name]})}
            self._file = File(self.path, {name: units.get(name, "") for name in row} | {"t": "s"})
        self._file.append(**row)

    def position(self) -> int:
        if self._file is None:
            return 0
        _sync(self.path)
        return len(self._file)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _sync(path):
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
