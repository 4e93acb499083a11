"""What a data set is: its points, its function, and what made it, as a JSON file beside the shards."""

import functools
import hashlib
import importlib.metadata
import inspect
import json
import os
import platform
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.sampling import SpaceFilling
from torchmag.sweep import points_of

FILE, KIND = "manifest.json", "torchmag dataset 1"
# What must be the same for a data set to be gone on with, and what it is called in the error.
SAME = {"function": "function", "points": "points", "shard": "shard", "batch": "batch", "seed": "seed", "dtype": "default dtype"}
# Numbers of a grid that are written down; the shards hold the points of larger ones.
WRITTEN = 10_000


def table_of(grid) -> tuple[dict[str, Tensor], dict]:
    """The points as columns, name -> float64 (N, ...), and what they are in plain values."""
    if isinstance(grid, SpaceFilling):
        return grid.table, grid.describe()
    points = list(points_of(grid, "dataset"))
    if not points:
        raise ValueError("dataset: the grid has no points")
    names = list(points[0])
    for index, point in enumerate(points):
        if list(point) != names:
            raise ValueError(f"dataset: point {index} has the names {', '.join(point)}, the first has {', '.join(names)}")
    table = {name: _column(name, [point[name] for point in points]) for name in names}
    kind = {"kind": "points", "count": len(points)}
    if hasattr(grid, "items"):
        values = {name: torch.as_tensor(np.asarray(values)).tolist() for name, values in grid.items()}
        kind = {"kind": "grid", "count": len(points)} | ({"values": values} if len(points) <= WRITTEN else {})
    return table, kind


def _column(name, values):
    try:
        column = np.asarray([np.asarray(value) for value in values])
        if column.dtype.kind not in "iuf":
            raise TypeError(f"{column.dtype}")
    except (TypeError, ValueError) as error:
        raise TypeError(f"dataset: the values of {name!r} are no numbers, or vectors of unequal length ({error})") from None
    if not np.isfinite(column).all():
        raise ValueError(f"dataset: the values of {name!r} are not finite everywhere")
    return torch.from_numpy(column.astype(np.float64))


def described(function: Callable, table: dict[str, Tensor], kind: dict, shard: int, batch: int, seed: int | None) -> dict:
    """The manifest of a new data set."""
    digest = hashlib.sha256()
    for name, column in table.items():
        digest.update(f"{name} {tuple(column.shape)} ".encode() + column.contiguous().numpy().tobytes())
    return {
        "kind": KIND, "function": _identity(function), "points": kind | {"sha256": digest.hexdigest()}, "count": len(_first(table)),
        "parameters": list(table), "shard": shard, "batch": batch, "seed": seed, "dtype": str(torch.get_default_dtype()),
        "versions": versions(),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }  # fmt: skip


def versions() -> dict:
    """What makes numbers on this machine."""
    try:
        own = importlib.metadata.version("torchmag")
    except importlib.metadata.PackageNotFoundError:  # run from a folder
        own = None
    return {"torchmag": own, "torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()}


def opened(folder: Path, wanted: dict) -> dict:
    """The manifest in a folder, written if there is none.

    Raises:
        ValueError: the folder holds another data set; the message says what differs.
    """
    if not (folder / FILE).exists():
        if folder.exists() and any(folder.glob("shard-*.h5")):
            raise FileFormatError(f"{folder}: shards without {FILE}; put the file back, or give another path")
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"{FILE}.{os.getpid()}.part"
        partial.write_text(json.dumps(wanted, indent=1))
        os.replace(partial, folder / FILE)
        return wanted
    found = read(folder)
    different = [title for key, title in SAME.items() if found.get(key) != wanted[key]]
    if different:
        raise ValueError(
            f"dataset: {folder} holds a data set with another {' and another '.join(different)}; give another path, or delete "
            f"it to make it anew.  (Its manifest: {folder / FILE})"
        )
    return found


def read(folder: Path) -> dict:
    """The manifest in a folder, checked."""
    path = Path(folder) / FILE
    try:
        found = json.loads(path.read_text())
        if found["kind"] != KIND:
            raise ValueError(f"its kind is {found['kind']!r}")
        found["count"], found["shard"]
    except FileNotFoundError:
        raise FileNotFoundError(f"{folder} holds no data set: there is no {path}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise FileFormatError(f"{path}: not the manifest of a data set, or cut off ({error})") from None
    return found


def shard_path(folder: Path, number: int) -> Path:
    """The file of a shard."""
    return Path(folder) / f"shard-{number:06d}.h5"


def _identity(function):
    """Name and hash of the source of a function; arguments bound by functools.partial count."""
    bound = []
    while isinstance(function, functools.partial):
        bound.append(repr((function.args, sorted(function.keywords.items()))))
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    try:
        source = textwrap.dedent(inspect.getsource(named))
    except (OSError, TypeError):
        source = None
    digest = None if source is None else hashlib.sha256("\n".join([source, *bound]).encode()).hexdigest()
    return {"name": f"{named.__module__}.{named.__qualname__}", "source_sha256": digest}


def _first(table):
    return next(iter(table.values()))
