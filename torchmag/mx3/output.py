"""The output folder of a script: fields, the table, the log; nothing outside of it."""

from pathlib import Path

import numpy as np

import torchmag as tm
from torchmag.mx3.dump import write_dump
from torchmag.mx3.quantity import Quantity
from torchmag.mx3.values import formatted, shown

FORMATS = {"OVF1_TEXT": ("text", 1), "OVF1_BINARY": ("binary4", 1), "OVF2_TEXT": ("text", 2), "OVF2_BINARY": ("binary4", 2)}
PICTURES = ("jpg", "png", "gif")


class Folder:
    """Files of one run.

    Args:
        path: of the folder, made when something is written.
        script: the script's file, whose folder relative names of input are in.
        quiet: print nothing.
    """

    def __init__(self, path: Path, script: Path, quiet: bool = False):
        self.path, self.script, self.quiet = path, script, quiet
        self.format, self.picture, self.pattern = "OVF2_BINARY", "jpg", "%s%06d"
        self.numbers: dict[str, int] = {}
        self._log = self._table = None
        self.keeps_log = self._header = True
        self.begun = set()

    def place(self, name: str) -> Path:
        """The path of a file to write.

        Raises:
            ValueError: outside of the folder.
        """
        parts = Path(name.replace("\\", "/")).parts
        if not parts or Path(name).is_absolute() or ".." in parts or "\0" in name or len(name) > 200 or parts[0][1:2] == ":":
            raise ValueError(f"{name[:60]!r} is outside of the output folder; give a name without .. or a leading /")
        path = self.path.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link in the folder would lead out of it as well.
        if not path.resolve().is_relative_to(self.path.resolve()):
            raise ValueError(f"{name!r} leads out of the output folder")
        return path

    def source(self, name: str) -> Path:
        """The path of a file to read: beside the script, or in the output folder under its usual name."""
        usual = f"{self.script.stem}.out/"
        if name.removeprefix("./").startswith(usual):
            return self.path / name.removeprefix("./")[len(usual) :]
        return self.script.parent / name

    def save(self, quantity: Quantity, t: float, name: str | None = None) -> None:
        """Write a field as an OVF file."""
        if quantity.world.record.on:
            quantity.world.record.save(quantity, self._name(quantity, name, ".ovf"))
            return
        values, grid = quantity.values().detach().cpu(), quantity.world.grid
        if self.format == "DUMP":
            write_dump(self.place(self._name(quantity, name, ".dump")), values, grid.size, quantity.name, quantity.unit, t)
            return
        name = self._name(quantity, name, ".ovf")
        mesh = tm.Mesh(tuple(values.shape[1:]), dx=grid.size, origin=_origin(quantity, grid))
        kind, version = FORMATS[self.format]
        if len(values) == 1 and version == 1:
            version = 2
        labels = [quantity.name] if len(values) == 1 else [f"{quantity.name}_{axis}" for axis in "xyz"]
        labels = [label.replace(" ", "_") for label in labels]
        options = {
            "format": kind,
            "version": version,
            "title": quantity.name,
            "unit": quantity.unit or "1",
            "labels": labels,
            "t": t,
        }
        tm.io.write_ovf(self.place(name), values, mesh, at="cells", overwrite=True, **options)

    def snapshot(self, quantity: Quantity, name: str | None = None) -> None:
        """Write a picture: hue and lightness for a vector, grey for a number; the mean over the layers."""
        from matplotlib import image

        if quantity.world.record.on:
            return
        name = self._name(quantity, name, f".{self.picture}")
        pixels = _picture(quantity.values().detach().double().cpu().mean(-1))
        with self.place(name).open("wb") as file:
            image.imsave(file, pixels, format=Path(name).suffix[1:].lower() or "png")

    def _name(self, quantity, name, suffix):
        if name is None:
            number = self.numbers.get(quantity.name, 0)
            self.numbers[quantity.name] = number + 1
            return formatted(self.pattern, [quantity.name, number]) + suffix
        return name if Path(name).suffix else name + suffix

    def print(self, *values) -> None:
        """To standard output and the log."""
        text = " ".join(shown(value) for value in values)
        if not self.quiet:
            print(text, flush=True)
        self.log("//" + text.replace("\n", "\n//"))

    def log(self, line: str) -> None:
        """A line of log.txt."""
        if not self.keeps_log:
            return
        if self._log is None:
            self._log = self.place("log.txt").open("w", encoding="utf-8")
        self._log.write(line + "\n")

    def append(self, name: str, *values) -> None:
        """A line of a file of the script's own."""
        path = self.place(name)
        with path.open("a" if path in self.begun else "w", encoding="utf-8") as file:
            file.write(" ".join(shown(value) for value in values) + "\n")
        self.begun.add(path)

    def remove(self, name: str) -> None:
        """Delete a file of the folder."""
        self.place(name).unlink(missing_ok=True)

    def close(self) -> None:
        """Close the files."""
        for file in (self._log, self._table):
            if file is not None:
                file.close()

    def flush(self) -> None:
        """What was written, to the disk."""
        for file in (self._log, self._table):
            if file is not None:
                file.flush()

    def table_line(self, line: str) -> None:
        """A line of table.txt."""
        if self._table is None:
            self._table = self.place("table.txt").open("w", encoding="utf-8")
        self._table.write(line + "\n")
        self._table.flush()

    def table_row(self, header: list[str], row: list[float]) -> None:
        """A row of table.txt, the header before the first one."""
        if self._header:
            self.table_line("# " + "\t".join(header))
            self._header = False
        self.table_line("\t".join(shown(float(np.float32(v)) if i else float(v)) for i, v in enumerate(row)))


class Table:
    """The columns of table.txt: t, m, and what a script adds."""

    def __init__(self, world):
        self.world, self.columns, self.written = world, [], False

    def add(self, quantity: Quantity) -> None:
        """A column for each component of a quantity's average."""
        names = [quantity.name] if quantity.components == 1 else [quantity.name + axis for axis in "xyz"]
        self._add(names, quantity.unit, quantity.mean)

    def add_value(self, value, name: str, unit: str) -> None:
        """A column of a function's values."""
        self._add([name], unit, lambda: [value()])

    def _add(self, names, unit, values):
        if self.written:
            raise ValueError(f"{names[0]}: columns must be added before the first row is written")
        self.columns.append(([f"{name} ({unit})" for name in names], values))

    def save(self) -> None:
        """A row."""
        world = self.world
        if world.record.on:
            return
        every = [(["t (s)"], lambda: [world.t]), ([f"m{axis} ()" for axis in "xyz"], world.m.mean), *self.columns]
        self.written = True
        header = [name for names, _ in every for name in names]
        world.files.table_row(header, [value for _, values in every for value in values()])


class Schedule:
    """What is written by itself, every so often: after the step that reaches the time, as mumax3 does."""

    def __init__(self):
        self.entries: dict[object, list] = {}

    def set(self, key, period: float, start: float, write) -> None:
        """Write every period, s, from start on; a period of 0 ends it."""
        self.entries.pop(key, None)
        if period > 0:
            self.entries[key] = [period, start, 0, write]

    def due(self, t: float) -> None:
        """Write what is due."""
        for entry in list(self.entries.values()):
            period, start, count, write = entry
            if t - start >= count * period * (1 - 1e-12):
                write()
                entry[2] += 1


def _origin(quantity, grid):
    first = getattr(quantity, "origin", (0, 0, 0))
    return tuple((i - 0.5 * n) * h for i, n, h in zip(first, grid.n, grid.size))


def _picture(values):
    """(C, nx, ny) to (ny, nx, 3) in 0 ... 1, the first row on top."""
    if len(values) == 3:
        from matplotlib import colors

        x, y, z = (v.numpy() for v in values / max(float(values.norm(dim=0).max()), 1e-30))
        hue, length = (np.arctan2(y, x) / (2 * np.pi)) % 1, np.hypot(x, y)
        light = 0.5 + 0.5 * z
        value = light + length * np.minimum(light, 1 - light)
        saturation = 2 * (1 - light / np.where(value > 0, value, 1))
        rgb = colors.hsv_to_rgb(np.stack((hue, np.clip(saturation, 0, 1), np.clip(value, 0, 1)), -1))
    else:
        v = values[0].numpy()
        low, high = float(v.min()), float(v.max())
        rgb = np.repeat(((v - low) / (high - low) if high > low else np.zeros_like(v))[..., None], 3, -1)
    return np.ascontiguousarray(rgb.transpose(1, 0, 2)[::-1])
