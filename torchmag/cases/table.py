"""Numbers beside their reference."""

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One number of a case.

    Attributes:
        name: what it is.
        got, expected: the value and its reference.
        tolerance: the largest accepted |got - expected|; None where the number is shown, not judged.
        unit: of both.
    """

    name: str
    got: float
    expected: float
    tolerance: float | None
    unit: str = "1"

    @property
    def deviation(self) -> float:
        """got - expected."""
        return self.got - self.expected

    @property
    def passed(self) -> bool:
        """Whether the deviation is within the tolerance; NaN is not."""
        return self.tolerance is None or abs(self.deviation) <= self.tolerance


def relative(name: str, got: float, expected: float, part: float, unit: str = "1") -> Row:
    """A number whose tolerance is a part of its reference."""
    return Row(name, float(got), expected, part * abs(expected), unit)


def components(name: str, got: Iterable[float], expected: Iterable[float], tolerance: float | None, unit: str = "1") -> list[Row]:
    """A vector, one row for each component, whose letter stands for the {} in the name."""
    return [Row(name.format(axis), float(g), float(e), tolerance, unit) for axis, g, e in zip("xyz", got, expected)]


@dataclass(frozen=True)
class Case:
    """A problem with a known answer.

    Attributes:
        id: short name, such as "DMI-01".
        title: what is computed.
        source: where the reference numbers are from.
        rows: runs the case and returns its numbers.
        seconds: about how long that takes on one core.
    """

    id: str
    title: str
    source: str
    rows: Callable[[], list[Row]]
    seconds: float = 1.0

    @property
    def slow(self) -> bool:
        """Whether it takes more than a few seconds."""
        return self.seconds > 5


def text(rows: Sequence[Row]) -> str:
    """The rows as an aligned table."""
    header = ("quantity", "got", "reference", "deviation", "tolerance", "")
    lines = [header]
    for row in rows:
        unit = "" if row.unit == "1" else f" ({row.unit})"
        judged = "" if row.tolerance is None else "ok" if row.passed else "OUT"
        tolerance = "-" if row.tolerance is None else f"{row.tolerance:.2g}"
        lines.append((f"{row.name}{unit}", f"{row.got:.6g}", f"{row.expected:.6g}", f"{row.deviation:+.2g}", tolerance, judged))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    shown = [
        "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:]))]).rstrip() for line in lines
    ]
    return "\n".join([shown[0], "-" * len(shown[0]), *shown[1:]])


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """The rows as CSV."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["quantity", "unit", "got", "reference", "deviation", "tolerance", "passed"])
        for row in rows:
            tolerance = "" if row.tolerance is None else row.tolerance
            writer.writerow([row.name, row.unit, row.got, row.expected, row.deviation, tolerance, row.passed])
