"""Reading a data set."""

import bisect
import operator
import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchmag.dataset import manifest
from torchmag.errors import FileFormatError

# Shards that stay open at a time.
OPEN = 16


class Dataset(torch.utils.data.Dataset):
    """A folder that `tm.dataset` made, as a map-style data set of torch: `data[i]` is a mapping from names to tensors.

    Shards are opened when a point of theirs is asked for, in each process of a DataLoader anew.  Points that are asked for together,
    as a DataLoader does for a batch, are read together; a shuffled order reads a chunk for each point.

    Args:
        path: of the folder.
        partial: take what is there of a data set that is not complete.

    Attributes:
        manifest: what the data set is, its points, function, seed and versions.
        names: of the columns, parameters first.
        numbers: (len,), the number that each point has in its grid; 0, 1, ... where the set is complete.
    Raises:
        FileNotFoundError: no data set there.
        FileFormatError: shards are missing, cut off or damaged, or of different columns; the message names the file.
    """

    def __init__(self, path, *, partial: bool = False):
        self.path = Path(path)
        self.manifest = manifest.read(self.path)
        count, rows = self.manifest["count"], self.manifest["shard"]
        starts = range(0, count, rows)
        there = [number for number in range(len(starts)) if manifest.shard_path(self.path, number).exists()]
        if not there or (len(there) < len(starts) and not partial):
            raise FileFormatError(
                f"{self.path}: {len(starts) - len(there)} of {len(starts)} shards are missing; run tm.dataset again, it computes "
                f"them alone" + ("" if not there else ", or take what is there with partial=True")
            )
        self._numbers, self._shards = there, OrderedDict()
        sizes = [min(rows, count - starts[number]) for number in there]
        self._ends = torch.tensor(sizes).cumsum(0).tolist()
        self.numbers = torch.cat([starts[number] + torch.arange(size) for number, size in zip(there, sizes)])
        self._process, self._shapes = None, None
        self._shapes = self._shard(0).shapes
        first = [*self.manifest["parameters"], *(["seed"] if self.manifest["seed"] is not None else [])]
        self.names = (*first, *(name for name in self._shapes if name not in first))

    def __len__(self):
        return self._ends[-1]

    def __getitem__(self, index) -> dict[str, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Tensor]]:
        """Several points, each shard read once."""
        of_shard: dict[int, list[tuple[int, int]]] = {}
        for place, index in enumerate(indices):
            index = operator.index(index)
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} in a data set of {len(self)} points")
            position = bisect.bisect_right(self._ends, index % len(self))
            of_shard.setdefault(position, []).append((index % len(self) - self._start(position), place))
        found: list = [None] * len(indices)
        for position, wanted in of_shard.items():
            rows = sorted({row for row, _ in wanted})
            columns = {name: torch.from_numpy(values) for name, values in self._shard(position).read(rows, self.names).items()}
            for row, place in wanted:
                found[place] = {name: values[bisect.bisect_left(rows, row)] for name, values in columns.items()}
        return found

    def read(self, name: str) -> Tensor:
        """A column of all points, (len, ...)."""
        if name not in self.names:
            raise KeyError(f"no column {name!r}; there are {', '.join(self.names)}")
        parts = (self._shard(position).read(slice(None), [name])[name] for position in range(len(self._ends)))
        return torch.cat([torch.from_numpy(part) for part in parts])

    def __repr__(self):
        shapes = ", ".join(f"{name} {tuple(self._shapes[name][0])}" for name in self.names)
        return f"Dataset({str(self.path)!r}: {len(self)} points, {shapes})"

    def __getstate__(self):
        return self.__dict__ | {"_shards": OrderedDict(), "_process": None}

    def _start(self, position):
        return self._ends[position - 1] if position else 0

    def _shard(self, position):
        """An open shard, checked; the least used one is closed."""
        from torchmag.io.shard import Shard

        if self._process != os.getpid():
            # Files that another process opened before it forked stay its own.
            self._shards, self._process = OrderedDict(), os.getpid()
        if position not in self._shards:
            shard = Shard(manifest.shard_path(self.path, self._numbers[position]))
            self._require(shard, position)
            self._shards[position] = shard
            if len(self._shards) > OPEN:
                self._shards.popitem(last=False)[1].close()
        self._shards.move_to_end(position)
        return self._shards[position]

    def _require(self, shard, position):
        rows, about = self._ends[position] - self._start(position), shard.about
        if about["points"] != self.manifest["points"]["sha256"] or shard.rows != rows:
            raise FileFormatError(f"{shard.path}: belongs to another data set; delete it and run tm.dataset again")
        if self._shapes is not None and shard.shapes != self._shapes:
            raise FileFormatError(f"{shard.path}: has the columns {shard.shapes}, the first shard {self._shapes}; delete what is wrong "
                                  f"and run tm.dataset again")  # fmt: skip
