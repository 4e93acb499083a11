"""Tables: CSV with a row of names, a row of units and a row of numbers for each time."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchmag.errors import TableError
from torchmag.io.atomic import refuse
from torchmag.io.checked import reading
from torchmag.io.foreign_tables import is_foreign, parse

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.()<>|/ -]{0,63}")
UNIT = re.compile(r"[A-Za-z0-9%^*/.() -]{0,32}")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf)|nan")
LINE = 1 << 20


@dataclass(frozen=True)
class Columns:
    """A table that was read.

    Attributes:
        columns: name -> (rows,) float64.
        units: name -> unit.
    """

    columns: dict[str, np.ndarray]
    units: dict[str, str]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))


class Table:
    """Numbers over time in a CSV file that any program reads; each row is in the file, whole, when `append` returns.

        with tm.io.Table("run.csv", {"t": "s", "mx": "", "E": "J"}) as table:
            table.append(t=0.0, mx=1.0, E=-1e-18)

    The first row holds names, the second units, all numbers come back to the last bit.  Going on after a restart, from the first 20
    rows: `Table.open(path, rows=20)`.

    Args:
        path: of the file.
        units: name -> unit of each column, in their order.
        overwrite: replace an existing file.
        sync: wait for the disk at each row.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        ValueError: a name or a unit that cannot stand in a table.
    """

    def __init__(self, path, units: Mapping[str, str], *, overwrite: bool = False, sync: bool = False):
        path = Path(path)
        for name, unit in units.items():
            if not NAME.fullmatch(name) or not UNIT.fullmatch(unit):
                raise ValueError(f"Table: column {name!r} in {unit!r}; expected letters, digits and . _ - / ( ) in name and unit")
        if not units:
            raise ValueError("Table: no columns")
        refuse(path, overwrite)
        self.path, self.units, self._sync, self._rows = path, dict(units), sync, 0
        if overwrite:
            path.unlink(missing_ok=True)
        self._file = open(path, "xb", buffering=0)
        self._write(",".join(self.units) + "\n" + ",".join(self.units.values()) + "\n")

    @classmethod
    def open(cls, path, *, rows: int | None = None, units: Mapping[str, str] | None = None, sync: bool = False) -> "Table":
        """Take up an existing table to append to it.

        Args:
            path: of the file.
            rows: keep the first so many and drop the rest; by default all whole rows, without one that a killed process left
                unfinished.
            units: if given, the columns that the file has to have.
            sync: as for writing.

        Raises:
            TableError: not a table, fewer rows than `rows`, other columns than `units`.
            FileNotFoundError, PermissionError.
        """
        self = cls.__new__(cls)
        path = Path(path)
        with reading(path, TableError):
            found, ends = _parse(path, drop_unfinished=True)
            if units is not None and list(found.units.items()) != list(units.items()):
                raise TableError(f"the columns are {found.units}, expected {dict(units)}")
            if rows is not None and not 0 <= rows < len(ends):
                raise TableError(f"has {len(ends) - 1} rows, cannot keep {rows}")
        self.path, self.units, self._sync = path, found.units, sync
        self._rows = len(ends) - 1 if rows is None else rows
        self._file = open(path, "r+b", buffering=0)
        self._file.truncate(ends[self._rows])
        self._file.seek(0, os.SEEK_END)
        return self

    def __len__(self) -> int:
        return self._rows

    def append(self, **row: float):
        """Add a row: a number for each column.

        Raises:
            TypeError: columns are missing, or not the table's.
            OSError: the disk is full or fails; an unfinished row is taken back where the disk lets us.
        """
        if set(row) != set(self.units):
            raise TypeError(f"Table.append: got {sorted(row)}, the table has {sorted(self.units)}; give each of them")
        self._write(",".join(repr(float(row[name])) for name in self.units) + "\n")
        self._rows += 1

    def close(self):
        """Close the file; a second time does nothing."""
        self._file.close()

    def __del__(self):
        # Rows are written as they come: a table that nobody closed has lost nothing.
        if (file := getattr(self, "_file", None)) is not None:
            file.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _write(self, text):
        start, data = self._file.tell(), text.encode()
        try:
            # One call for a row: a killed process cuts it only where the system stops at the end of a page.
            while data:
                data = data[self._file.write(data) :]
            if self._sync:
                os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(start)
            self._file.seek(start)
            raise


def read_table(path, *, drop_unfinished: bool = False) -> Columns:
    """Read a table of `Table`, any CSV of numbers with a row of names and a row of units, OOMMF's ODT or mumax3's table.txt.

    Names are the file's ("Oxs_TimeDriver::mx"); what ODT marks as missing is nan; several tables of an ODT file with the same
    columns are one.

    Args:
        path: of the file.
        drop_unfinished: leave out a last row without a line end, which a killed process or a full disk leaves behind.

    Raises:
        TableError: rows of different lengths, anything that is not a number, names given twice, an unfinished last row.
        FileNotFoundError, PermissionError.
    """
    with reading(path, TableError):
        with open(path, "rb") as file:
            foreign = is_foreign(file.read(256))
        if not foreign:
            return _parse(Path(path), drop_unfinished)[0]
        names, units, rows = parse(Path(path).read_text("utf-8"), drop_unfinished=drop_unfinished)
        if not names or len(set(names)) != len(names):
            raise TableError(f"no columns, or a name given twice: {names[:8]}")
        values = np.array(rows, float).reshape(len(rows), len(names))
        return Columns(dict(zip(names, values.T.copy())), dict(zip(names, units)))


def _parse(path, drop_unfinished):
    """The table, and where in the file its head and each row end."""
    rows, ends, heads = [], [], []
    with open(path, "rb") as file:
        while line := file.readline(LINE):
            number = len(heads) + len(rows) + 1
            if not line.endswith(b"\n"):
                if len(line) < LINE and drop_unfinished and len(heads) == 2:
                    break
                raise TableError(f"line {number} has no line end: an unfinished row; drop_unfinished=True leaves it out")
            entries = [entry.strip() for entry in line.decode("ascii").rstrip("\r\n").split(",")]
            if len(heads) < 2:
                heads.append(entries)
            elif len(entries) != len(heads[0]) or not all(map(NUMBER.fullmatch, entries)):
                raise TableError(f"line {number} is {line[:60]!r}, expected {len(heads[0])} numbers")
            else:
                rows.append(np.array(entries, float))
            if len(heads) == 2:
                ends.append(file.tell())
    return _columns(heads, rows), ends


def _columns(heads, rows):
    if len(heads) < 2:
        raise TableError("no row of names and row of units")
    names, units = heads
    if len(names) != len(units) or len(set(names)) != len(names):
        raise TableError(f"{len(names)} names {names[:5]} with {len(units)} units, or a name given twice")
    for name, unit in zip(names, units):
        if not NAME.fullmatch(name) or not UNIT.fullmatch(unit):
            raise TableError(
                f"column {name[:40]!r} in {unit[:40]!r} is not a name with a unit; a table begins with names, then units"
            )
    values = np.array(rows).reshape(len(rows), len(names))
    return Columns(dict(zip(names, values.T.copy())), dict(zip(names, units)))
