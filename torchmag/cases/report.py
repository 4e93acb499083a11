"""Several cases run, printed and written."""

import csv
import datetime
import importlib.metadata
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from torchmag.cases.table import Case, Row, text

Results = list[tuple[Case, list[Row]]]


def listing(groups: dict[str, tuple[Case, ...]]) -> str:
    """Every case, group by group, one a line: id, fast or slow, about how many seconds, title, source."""
    lines = []
    for name, cases in groups.items():
        lines.append(name)
        for case in cases:
            speed = "slow" if case.slow else "fast"
            lines.append(f"  {case.id:<8} {speed} {case.seconds:>5g} s  {case.title}  [{case.source}]")
    return "\n".join(lines)


def run(cases: Sequence[Case]) -> tuple[Results, list[str]]:
    """Run the cases, print their tables; the results, and what failed, by name.

    A case that ends in an error counts as failed and does not keep the others from running.
    """
    results, failed = [], []
    for case in cases:
        print(f"{case.id}: {case.title} [{case.source}]", flush=True)
        started = time.perf_counter()
        try:
            rows = case.rows()
        except RuntimeError as error:
            print(f"did not finish: {error}\n")
            failed.append(case.id)
            results.append((case, []))
            continue
        print(f"{text(rows)}\n({time.perf_counter() - started:.1f} s)\n", flush=True)
        failed += [f"{case.id} {row.name}" for row in rows if not row.passed]
        results.append((case, rows))
    return results, failed


def write_csv(path: Path, results: Results) -> None:
    """One line per number."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "quantity", "unit", "got", "reference", "deviation", "tolerance", "passed"])
        for case, rows in results:
            for row in rows:
                tolerance = "" if row.tolerance is None else row.tolerance
                writer.writerow([case.id, row.name, row.unit, row.got, row.expected, row.deviation, tolerance, row.passed])


def write_markdown(path: Path, results: Results) -> None:
    """The tables as a page.  Numbers are rounded to a tenth of their tolerance, so that machines agree on them."""
    today = datetime.date.today().isoformat()
    lines = [
        "# Validation",
        "",
        f"Written by `torchmag validate --markdown` on {today}: torchmag {_version('torchmag')}, torch {torch.__version__}, float64.",
        "Not to be edited by hand. Deviations are in percent of the tolerance; numbers without one are shown, not judged.",
        "",
        _count(results),
    ]
    for case, rows in results:
        lines += ["", f"## {case.id}: {case.title}", "", f"Reference: {case.source}.", ""]
        if not rows:
            lines.append("**Did not finish.**")
            continue
        lines += ["| quantity | got | reference | tolerance | deviation | |", "|---|---:|---:|---:|---:|---|"]
        lines += [_line(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def _count(results):
    rows = [row for _, rows in results for row in rows]
    judged = [row for row in rows if row.tolerance is not None]
    out = sum(not row.passed for row in judged) + sum(not rows for _, rows in results)
    return f"{len(results)} cases, {len(judged)} numbers judged, {out} out of tolerance; {len(rows) - len(judged)} numbers shown."


def _line(row):
    name = row.name if row.unit == "1" else f"{row.name} ({row.unit})"
    name = name.replace("|", r"\|")
    if row.tolerance is None:
        return f"| {name} | {row.got:.4g} | {row.expected:.6g} | | | |"
    share = abs(row.deviation) / row.tolerance
    shown = "< 1 %" if share < 0.01 else f"{100 * share:.0f} %"
    got = f"{_rounded(row.got, row.tolerance):.12g}"
    return f"| {name} | {got} | {row.expected:.12g} | {row.tolerance:.2g} | {shown} | {'ok' if row.passed else '**OUT**'} |"


def _rounded(value, tolerance):
    """To the decimal below the tolerance; + 0.0 makes -0 a 0."""
    return round(value, 1 - math.floor(math.log10(tolerance))) + 0.0 if math.isfinite(value) else value


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "from its source tree"
