"""The SummaryWriter protocol without TensorBoard: numbers in a CSV file."""

import os
from pathlib import Path

import torch


class ScalarTable:
    """Takes what a SummaryWriter takes and writes the numbers to a CSV file, a row "step,tag,value" for each.

    Of a histogram it keeps mean, standard deviation, minimum and maximum; pictures are left out.  As a part of a
    `tm.Checkpoint` it goes on where the checkpoint was: rows that came later are dropped.

    Args:
        path: of the file; its folder must exist.
        overwrite: replace an existing file; with False, what is in the file is kept and added to.
    """

    HEAD = "step,tag,value\n"

    def __init__(self, path, *, overwrite: bool = False):
        self.path = Path(path)
        self._file = open(path, "w+b" if overwrite or not self.path.exists() else "r+b", buffering=0)
        found = self._file.read()
        if found and not found.startswith(self.HEAD.encode()):
            raise ValueError(
                f"ScalarTable: {path} begins with {found[:30]!r}, expected {self.HEAD.encode()!r}; overwrite=True replaces it"
            )
        # A row that a killed process left unfinished is dropped.
        self._file.truncate(found.rfind(b"\n") + 1)
        self._file.seek(0, os.SEEK_END)
        if not found:
            self._write(self.HEAD)

    def add_scalar(self, tag: str, value, global_step: int | None = None, *_, **__) -> None:
        """One number."""
        if not isinstance(tag, str) or any(mark in tag for mark in ',\n\r"'):
            raise ValueError(f"ScalarTable: tag {tag!r}, expected a name without commas, quotes and line ends")
        step = "" if global_step is None else int(global_step)
        self._write(f"{step},{tag},{float(value)!r}\n")

    def add_histogram(self, tag: str, values, global_step: int | None = None, *_, **__) -> None:
        """Mean, standard deviation, minimum and maximum of numbers."""
        x = torch.as_tensor(values).detach().double()
        for name, value in (("mean", x.mean()), ("std", x.std(correction=0)), ("min", x.min()), ("max", x.max())):
            self.add_scalar(f"{tag}/{name}", value, global_step)

    def add_image(self, tag: str, *_, **__) -> None:
        """A picture, which a table does not hold."""

    def add_text(self, tag: str, *_, **__) -> None:
        """A text, which a table does not hold."""

    def flush(self) -> None:
        """To the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        self._file.close()

    def __del__(self):
        # Rows are written as they come: a table that nobody closed has lost nothing.
        if (file := getattr(self, "_file", None)) is not None:
            file.close()

    def state_dict(self) -> dict:
        """How long the file is."""
        self.flush()
        return {"bytes": self._file.tell()}

    def load_state_dict(self, state: dict) -> None:
        """Drop what came later.

        Raises:
            ValueError: the file is shorter.
        """
        size = os.fstat(self._file.fileno()).st_size
        if size < state["bytes"]:
            raise ValueError(f"{self.path} has {size} bytes, the checkpoint knows of {state['bytes']}")
        self._file.truncate(state["bytes"])
        self._file.seek(0, os.SEEK_END)

    def _write(self, text):
        start, data = self._file.tell(), text.encode()
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError:
            self._file.truncate(start)
            self._file.seek(start)
            raise
