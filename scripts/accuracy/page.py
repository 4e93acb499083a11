"""The tables of docs/accuracy.md from the files: the lines below the header of the table that follows `<!-- NAME -->`."""

import math
import re

import dispersion
import report

PAGE = report.FOLDER.parents[1] / "accuracy.md"
NAMES = {"demag": "stray field", "<m_z>": "core"}


def main(redraw):
    text = PAGE.read_text()
    for name, lines in tables().items():
        text, found = re.subn(
            rf"(<!-- {name} -->\n\n\|.*\n\|[-|]+\n)(?:\|.*\n)*",
            lambda match, lines=lines: match[1] + "\n".join(lines) + "\n",
            text,
        )
        assert found == 1, name
    PAGE.write_text(text)


def tables():
    """{name: lines}."""
    read = report.load
    found = {"take": take()}
    axis = [row for row in read("dispersion") if (row["direction"], row["cells"]) == ("axis", 8) and "degrees" not in row["mode"]]
    found["dispersion"] = lines(axis, ["mode", "d/h"], by=[list(dispersion.MODES), False])
    walls = [row for row in read("walls") if round(row["h/Delta"], 2) in (0.1, 0.2, 0.3, 0.5, 0.7, 1.0)]
    found["walls"] = lines(walls, ["quantity", "h/Delta"], by=[["energy", "width"], False])
    found["skyrmion"] = lines(read("skyrmion"), ["quantity", "h"], by=[["radius", "energy"], True])
    film = [row for row in read("film") if row["h"] in (2.5, 5, 10)]
    found["film"] = lines(film, ["texture", "h"], by=[["vortex", "wave", "Neel wall", "spiral"], True])
    cube = [row for row in read("cube") if row["h"] == 5]
    cube.sort(key=lambda row: ["exchange", "demag", "sum"].index(row["term"]))
    orders = [["cube", "three layers", "two materials"], ["vortex", "flower", "hopfion"]]
    cube.sort(key=lambda row: [each.index(row[key]) for each, key in zip(orders, ("body", "texture"))])
    found["cube"] = lines(cube, ["term", "body", "texture"])
    found["sp3"] = lines(read("sp3"), ["n"], value="L", form="{:.4f}".format)
    for name, value in (("sp4", "error"), ("sp4 half", "half")):
        found[name] = lines(read("sp4"), ["field", "h"], value, by=[False, True])
    found["sp5"] = lines(read("sp5"), ["h"], by=[True])
    found["vortex"] = lines(read("vortex"), ["quantity", "h"], by=[["energy", "<m_z>"], True])
    found["gyration"] = lines([row for row in read("gyration") if row["error"] < 100], ["h"])
    found["edges"] = lines(read("edges"), ["study", "h"])
    found["jumps"] = lines(read("jumps"), ["jump", "h"])
    return found


def take():
    """Cells from which on errors stay below 1 % and 0.1 %."""
    found = []
    waves = [row for row in report.load("dispersion") if row["direction"] == "axis"]
    title = "frequency of a spin wave, cells a wavelength: median of 25 cases (worst)"
    for limit in (1, 0.1):
        cells = []
        for scheme in report.SCHEMES:
            middle, worst = dispersion.median_and_worst(waves, scheme, limit)
            cells.append(f"{middle} ({worst})")
        found.append(line([title * (limit == 1), f"{limit} %", *cells]))
    for quantity in ("width", "energy"):
        rows = [row for row in report.load("walls") if row["quantity"] == quantity]
        title = rf"{quantity} of a Bloch wall, cells in $\pi\sqrt{{A/K}}$"
        found += pair(title, rows, lambda cells: f"{cells:.{0 if cells >= 20 else 1}f}")
    for study, quantity, title in (
        ("vortex", "energy", "energy of a vortex at rest (cells of 10 to 1.8 nm), cell size"),
        ("skyrmion", "radius", "radius of a skyrmion (3 to 0.75 nm), cell size"),
    ):
        rows = [{**row, "cells": 1 / row["h"]} for row in report.load(study) if row["quantity"] == quantity]
        sizes = sorted(row["h"] for row in rows)

        def size(cells, sizes=sizes):
            if cells == math.inf:
                return f"< {sizes[0]:.2g} nm"
            return f"> {sizes[-1]:.2g} nm" if cells <= 1 / sizes[-1] else f"{1 / cells:.1f} nm"

        found += pair(title, rows, size)
    return found


def pair(title, rows, form):
    """The lines for 1 % and 0.1 %."""
    found = []
    for limit in (1, 0.1):
        cells = [form(report.needed([row for row in rows if row["scheme"] == scheme], limit)) for scheme in report.SCHEMES]
        found.append(line([title * (limit == 1), f"{limit} %", *cells]))
    return found


def lines(rows, keys, value="error", by=None, form=None):
    """A line for each value of the keys, a column for each scheme; by: for each key whether it falls, or the order of its values."""
    if by:
        rank = lambda row: [
            each.index(row[key]) if isinstance(each, list) else -row[key] if each else row[key] for each, key in zip(by, keys)
        ]
        rows = sorted(rows, key=rank)
    found = {}
    for row in rows:
        key = (row[key] if isinstance(row[key], str) else f"{row[key]:.{2 if key == 'h/Delta' else 3}g}" for key in keys)
        found.setdefault(tuple(key), {})[row["scheme"]] = (form or short)(row[value])
    return [line([*(NAMES.get(k, k) for k in key), *(each.get(s, "") for s in report.SCHEMES)]) for key, each in found.items()]


def line(cells):
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def short(x):
    """Two digits, one below 0.001."""
    if x == 0 or x != x:
        return "-" if x else "0"
    if abs(x) >= 99.95:
        return f"{x:.0f}"
    if abs(x) >= 1e-3:
        return f"{x:.2g}" if abs(x) < 10 else f"{x:.3g}"
    mantissa, exponent = f"{x:.0e}".split("e")
    return f"{mantissa}e{int(exponent)}"
