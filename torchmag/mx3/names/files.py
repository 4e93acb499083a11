"""Files: saving, tables, pictures, reading."""

import math

from torchmag.mx3.kinds import Setting, convert
from torchmag.mx3.output import FORMATS, PICTURES
from torchmag.mx3.values import FromFile, Function, new_slice, shown

Q, F, N, S = "quantity", "float", "int", "string"


def names(world) -> dict[str, object]:
    """What this room adds."""
    return _saving(world) | _tables(world) | _reading(world)


def _saving(world):
    files, schedule = world.files, world.schedule

    def save_each(quantity, period):
        schedule.set(("save", quantity.name), _period(period), world.t, lambda: files.save(quantity, world.t))

    def snapshot_each(quantity, period):
        schedule.set(("snapshot", quantity.name), _period(period), world.t, lambda: files.snapshot(quantity))

    rows = (
        ("Save", lambda q: files.save(q, world.t), (Q,)),
        ("SaveAs", lambda q, name: files.save(q, world.t, name), (Q, S)),
        ("AutoSave", save_each, (Q, F)),
        ("Snapshot", files.snapshot, (Q,)),
        ("SnapshotAs", files.snapshot, (Q, S)),
        ("AutoSnapshot", snapshot_each, (Q, F)),
        ("Print", files.print, ("any...",)),
        ("Fprintln", files.append, (S, "any...")),
        ("Flush", files.flush, ()),
        ("rm", files.remove, (S,)),
    )

    def choice(attribute, known):
        def assign(thunk):
            value = convert(thunk(), S)
            if value not in known:
                raise ValueError(f"{value!r}, expected one of {', '.join(known)}")
            setattr(files, attribute, value)

        return Setting(lambda: getattr(files, attribute), assign)

    def set_pattern(thunk):
        files.pattern = convert(thunk(), S)
        files.place(files.pattern)

    settings = {
        "OutputFormat": choice("format", (*FORMATS, "DUMP")),
        "SnapshotFormat": choice("picture", PICTURES),
        "FilenameFormat": Setting(lambda: files.pattern, set_pattern),
    }
    formats = {name: name for name in (*FORMATS, "DUMP")}
    return {name: Function(name, call, kinds) for name, call, kinds in rows} | settings | formats


def _period(value):
    if not 0 <= value < math.inf:
        raise ValueError(f"a period of {value} s, expected 0 or more")
    return value


def _tables(world):
    table, schedule = world.table, world.schedule

    def add_value(thunk, name, unit):
        convert(thunk(), F)
        table.add_value(lambda: convert(thunk(), F), name, unit)

    rows = (
        ("TableAdd", table.add, (Q,)),
        ("TableAddVar", add_value, ("thunk", S, S)),
        ("TableSave", table.save, ()),
        ("TableAutoSave", lambda period: schedule.set("table", _period(period), world.t, table.save), (F,)),
        (
            "TablePrint",
            lambda *values: world.files.table_line("# " + " ".join(map(shown, values)).replace("\n", " ")),
            ("any...",),
        ),
    )
    return {name: Function(name, call, kinds) for name, call, kinds in rows}


def _reading(world):
    def from_file(name, x, y, how):
        if how not in ("linear", "nearest", "step"):
            raise ValueError(f"{how!r}, expected linear, nearest or step")
        path = world.files.source(name)
        if not path.is_file():
            raise ValueError(f"{name}: no such file beside the script")
        rows = _numbers(path.read_text(errors="replace"))
        if len(rows) < 2 or any(len(row) <= max(x, y) or min(x, y) < 0 for row in rows):
            raise ValueError(f"{name}: expected two rows at least, with columns {x} and {y}")
        rows = sorted((row[x], row[y]) for row in rows)
        if any(a[0] == b[0] for a, b in zip(rows, rows[1:])):
            raise ValueError(f"{name}: column {x} holds a value twice")
        return FromFile([row[0] for row in rows], [row[1] for row in rows], how)

    rows = (
        ("LoadFile", world.read, (S,)),
        ("FunctionFromDatafile", from_file, (S, N, N, S)),
        ("NewSlice", new_slice, (N, N, N, N)),
        ("NewVectorMask", lambda *n: new_slice(3, *n), (N, N, N)),
        ("NewScalarMask", lambda *n: new_slice(1, *n), (N, N, N)),
    )
    return {name: Function(name, call, kinds) for name, call, kinds in rows}


def _numbers(text):
    """Rows of numbers, separated by spaces, tabs, commas or semicolons; lines that hold something else are left out."""
    rows = []
    for line in text.splitlines():
        try:
            row = [float(word) for word in line.replace(",", " ").replace(";", " ").split()]
        except ValueError:
            continue
        if row:
            rows.append(row)
    return rows
