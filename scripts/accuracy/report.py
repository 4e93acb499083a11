"""Numbers to a CSV file, tables and figures."""

import csv
import io
import math
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs" / "pictures" / "accuracy"
SCHEMES = ("cells", "order 2", "order 4", "order 6")
COLOURS = {"cells": "0.45", "order 2": "tab:red", "order 4": "tab:orange", "order 6": "tab:blue"}
# Schemes that a study computes; `save` keeps the rows of the others.
computed = SCHEMES
MARKS = {"cells": "s--", "order 2": "^-", "order 4": "D-", "order 6": "o-"}


def save(name, rows):
    """Rows, dictionaries with the same keys, to NAME.csv; rows of other schemes stay, with the new limit where they have a value."""
    rows = [{key: shown(value) for key, value in row.items()} for row in rows]
    if set(computed) != set(SCHEMES):
        limits = {label(row)[:-1]: row["limit"] for row in rows if "limit" in row}
        new = {label(row): row for row in rows}
        rows = [new.pop(label(row), None) or moved(row, limits) for row in read(name)] + list(new.values())
    FOLDER.mkdir(parents=True, exist_ok=True)
    with open(FOLDER / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def label(row):
    """What tells a row from others: its columns up to the scheme, as texts."""
    columns = list(row)
    return tuple(str(row[key]) for key in columns[: columns.index("scheme") + 1])


def moved(row, limits):
    """A row of a file with its error from a new limit."""
    limit = limits.get(label(row)[:-1])
    if limit is None or "value" not in row:
        return row
    return {**row, "limit": limit, "error": shown(100 * (float(row["value"]) / float(limit) - 1))}


def shown(value):
    return f"{value:.6g}" if isinstance(value, float) else value


def load(name):
    """What `save` wrote, numbers as floats."""
    return [{key: number(value) for key, value in row.items()} for row in read(name)]


def read(name):
    """The same as texts."""
    with open(FOLDER / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def number(text):
    try:
        return float(text)
    except ValueError:
        return text


def table(header, rows):
    """Prints a Markdown table."""
    print("\n| " + " | ".join(header) + " |\n|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row) + " |")
    print(flush=True)


def pivot(rows, keys, value="error"):
    """Prints a table with a column for each scheme."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), {})[row["scheme"]] = row[value]
    schemes = [scheme for scheme in SCHEMES if any(scheme in line for line in found.values())]
    table([*keys, *schemes], [[*key, *(line.get(scheme, "") for scheme in schemes)] for key, line in found.items()])


def figure(name, panels, xlabel, ylabel, columns=3, guides=()):
    """NAME.png: for each title of `panels` the curves {scheme: [(x, error)]}, absolute, both axes logarithmic; guides: slopes to show."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import NullFormatter, ScalarFormatter
    from PIL import Image

    columns = min(columns, len(panels))
    count = math.ceil(len(panels) / columns)
    drawing, axes = plt.subplots(
        count,
        columns,
        figsize=(3.1 * columns + 0.4, 2.7 * count + 0.3),
        layout="constrained",
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    ticks = thinned(sorted({x for curves in panels.values() for points in curves.values() for x, _ in points}))
    for ax, (title, curves) in zip(axes.flat, panels.items()):
        for scheme in filter(curves.get, SCHEMES):
            points = curves[scheme]
            x, y = zip(*sorted((x, abs(y)) for x, y in points if y))
            ax.loglog(x, y, MARKS[scheme], color=COLOURS[scheme], label=scheme, markersize=3.5, linewidth=1.3)
        ax.set_title(title, fontsize=9)
        ax.grid(True, which="major", linewidth=0.3)
        ax.tick_params(labelsize=8)
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.set_xticks(ticks, labels=[f"{tick:.3g}" for tick in ticks])
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel, fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel(xlabel, fontsize=9)
    fullest = max(range(len(panels)), key=lambda i: len(list(panels.values())[i]))
    axes.flat[fullest].legend(fontsize=8)
    picture = io.BytesIO()
    drawing.savefig(picture, dpi=90)
    plt.close(drawing)
    Image.open(picture).convert("RGB").quantize(64).save(FOLDER / f"{name}.png", optimize=True)


def thinned(ticks):
    """Those at least a factor 1.35 apart."""
    kept = []
    for tick in ticks:
        if not kept or tick > 1.35 * kept[-1]:
            kept.append(tick)
    return kept


def curves(rows, x, value="error"):
    """{scheme: [(x, error)]} of some rows."""
    found = {}
    for row in rows:
        found.setdefault(row["scheme"], []).append((row[x], row[value]))
    return found


def panels(rows, key, x):
    """For `figure`: the curves of each value of a column."""
    return {found: curves([row for row in rows if row[key] == found], x) for found in dict.fromkeys(row[key] for row in rows)}


def needed(rows, limit):
    """The cells a wavelength from which on the error, in percent, stays below the limit: by interpolation in logarithms.

    Infinite where the last of the rows is beyond it.
    """
    points = sorted((row["cells"], max(abs(row["error"]), 1e-12)) for row in rows)
    if points[-1][1] > limit:
        return math.inf
    for (x0, y0), (x1, y1) in zip(points[-2::-1], points[:0:-1]):
        if y0 > limit:
            return math.exp(math.log(x0) + math.log(x1 / x0) * math.log(y0 / limit) / math.log(y0 / y1))
    return points[0][0]
