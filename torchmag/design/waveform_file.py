"""Waveforms from files: numbers in columns, or an array of NumPy."""

import csv
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import FileFormatError

# How far, in intervals, a time may lie from where the stated rate puts it: what a file with few digits rounds away.
ROUNDED = 0.1


def read_waveform(path, *, t=None, rate=None, start=0.0, columns=None) -> tuple[Tensor, Tensor, bool | None]:
    """Times (T,), values, and whether these are vectors (None: their shape tells); see `Samples.load`."""
    path = Path(path)
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < math.inf):
        raise ValueError(f"Samples.load: rate = {rate!r}, expected samples per second")
    if path.suffix == ".npy":
        if columns is not None:
            raise TypeError(f"{path}: columns are those of a .csv; index the array instead")
        return *_npy(path, t, rate, start), None
    if path.suffix != ".csv":
        raise ValueError(f"{path}: expected a .csv or .npy file; give other formats to tm.Samples as arrays")
    if t is not None:
        raise TypeError(f"{path}: t is given, but the first column of a .csv is the time")
    return _csv(path, rate, columns)


def _npy(path, t, rate, start):
    try:
        values = np.load(path, allow_pickle=False)
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except Exception as error:
        raise FileFormatError(f"{path}: no array of NumPy, or cut off ({error})") from None
    if values.dtype.kind not in "iuf" or values.ndim < 1:
        raise FileFormatError(f"{path}: holds {values.dtype} {values.shape}, expected real numbers (T,), (T, 3), ...")
    values = torch.from_numpy(values.astype(np.float64))
    if (t is None) == (rate is None):
        raise ValueError(f"{path}: a .npy holds values alone; give their times t=, s, or their rate=, Hz (one of the two)")
    if t is not None:
        return torch.as_tensor(t, dtype=torch.float64), values
    # (..., T, 3) or (..., T): three columns are x, y, z.
    count = values.shape[-2] if values.ndim > 1 and values.shape[-1] == 3 else values.shape[-1]
    return start + torch.arange(count, dtype=torch.float64) / rate, values


def _csv(path, rate, columns):
    names, rows = _rows(path)
    chosen = _chosen(path, names, len(rows[0]), columns)
    table = torch.tensor(rows, dtype=torch.float64)
    times = table[:, 0]
    if rate is not None:
        _require_rate(path, times, rate)
    return times, (table[:, chosen] if len(chosen) == 3 else table[:, chosen[0]]), len(chosen) == 3


def _rows(path):
    """The header, if there is one, and the numbers; empty lines and lines that begin with # do not count."""
    names, rows = None, []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(line if not line.startswith("#") else "\n" for line in file)
            for cells in reader:
                cells = [cell.strip() for cell in cells]
                if not any(cells):
                    continue
                try:
                    row = [float(cell) for cell in cells]
                except ValueError:
                    if names is not None or rows:
                        raise FileFormatError(f"{path}, line {reader.line_num}: {', '.join(cells)!r} holds no numbers") from None
                    names = cells
                    continue
                if len(row) != len(rows[0] if rows else names or row):
                    wanted = len(rows[0] if rows else names)
                    raise FileFormatError(f"{path}, line {reader.line_num}: {len(row)} columns, the lines before have {wanted}")
                rows.append(row)
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path}: no text with commas ({error})") from None
    if not rows:
        raise FileFormatError(f"{path}: holds no numbers")
    return names, rows


def _chosen(path, names, count, columns):
    """The numbers of the columns with the values."""
    if columns is None:
        columns = list(range(1, count))
    elif isinstance(columns, str | int):
        columns = [columns]
    found = []
    for column in columns:
        if isinstance(column, str):
            if column not in (names or ()):
                raise ValueError(f"{path}: no column is called {column!r}; they are {', '.join(names or ['without names'])}")
            column = names.index(column)
        if not 0 < column < count:
            raise ValueError(f"{path}: column {column} holds no values; they are 1 to {count - 1}, 0 is the time")
        found.append(column)
    if len(found) not in (1, 3):
        raise ValueError(f"{path}: {len(found)} columns of values, expected 1, or 3 for a vector; choose them with columns=")
    return found


def _require_rate(path, times, rate):
    away = (times - times[0]) * rate - torch.arange(len(times))
    if len(times) > 1 and not bool(away.abs().max() <= ROUNDED):
        first = int((~(away.abs() <= ROUNDED)).nonzero()[0])
        mean = (len(times) - 1) / float(times[-1] - times[0]) if float(times[-1] - times[0]) else math.nan
        raise ValueError(f"{path}: its times do not have the stated rate of {rate:g} Hz from row {first} (t = {times[first]:g} s) on; "
                         f"their mean rate is {mean:g} Hz; leave rate out to take the times as they are")  # fmt: skip
