"""Tables of other codes: OOMMF's ODT and mumax3's table.txt.

ODT 1.0: OOMMF User's Guide, "Data Table File Format (ODT)".  Lines with # are comments or records, of which Columns and Units (Tcl
lists, in any order) count; a line that ends in a backslash goes on in the next, whose leading # are dropped; {} is a missing value.
mumax3: one line "# t (s)<tab>mx ()<tab>...", then numbers between tabs; further lines with # are comments (TablePrint).
"""

import re

from torchmag.errors import TableError

ODT = re.compile(rb"#\s*ODT\s")
MUMAX = re.compile(rb"#\s*[A-Za-z_]\S*\s+\([^()]*\)")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?|inf|nan)", re.IGNORECASE)
# The entries of a Tcl list: in braces, in quotes, plain.
ENTRY = re.compile(r'\s*(?:\{([^{}]*)\}|"([^"]*)"|([^\s{}"]+))(?=\s|$)')
COLUMN = re.compile(r"(\S.*?)\s*\(([^()]*)\)")

# names, units, rows
Parsed = tuple[list[str], list[str], list[list[float]]]


def is_foreign(start: bytes) -> bool:
    """Whether a file that begins so is a table of another code."""
    return bool(ODT.match(start) or MUMAX.match(start))


def parse(text: str, *, drop_unfinished: bool = False) -> Parsed:
    """A table of another code.

    Raises:
        TableError: no columns, rows of other lengths, what is no number, an unfinished last row, several tables of different columns.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    unfinished = lines.pop()
    if unfinished.lstrip().startswith("#"):
        lines.append(unfinished)
    elif unfinished.strip() and not drop_unfinished:
        raise TableError("the last line has no end: an unfinished row; drop_unfinished=True leaves it out")
    return (_odt if ODT.match(text.encode()) else _mumax)(lines)


def _odt(lines) -> Parsed:
    names, units, rows, first = [], [], [], None
    for number, line in _joined(lines):
        record = re.fullmatch(r"#\s*(columns|units|table start)\s*:?(.*)", line.strip(), re.IGNORECASE)
        if record and record[1].lower() == "table start":
            # A further table of the file, as mmArchive appends them.
            names, units = [], []
        elif record:
            entries = _entries(record[2], number)
            names, units = (entries, units) if record[1].lower() == "columns" else (names, entries)
        elif line.strip() and not line.lstrip().startswith("#"):
            table = names, units or [""] * len(names)
            first = first or table
            if not names or len(table[1]) != len(names):
                raise TableError(f"line {number} has numbers, with {len(names)} columns and {len(table[1])} units before them")
            if table != first:
                raise TableError(f"line {number}: a second table, of other columns than the first; split the file")
            rows.append(_row(line.split(), names, number))
    names, units = first or (names, units or [""] * len(names))
    return names, units, rows


def _mumax(lines) -> Parsed:
    found = [COLUMN.fullmatch(entry.strip()) for entry in lines[0].lstrip("# ").rstrip().split("\t")]
    if not all(found):
        raise TableError(f'line 1 is {lines[0][:60]!r}, expected "# t (s)" and further names with units, tabs between them')
    names, units = [entry[1] for entry in found], [entry[2] for entry in found]
    rows = [
        _row(line.split(), names, number)
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    return names, units, rows


def _joined(lines):
    """Lines with their numbers, those with a backslash at their end joined to the next."""
    start, text = 1, ""
    for number, line in enumerate(lines, 1):
        if not text:
            start = number
        text += line.lstrip("# \t") if text else line
        if text.endswith("\\"):
            text = text[:-1] + " "
            continue
        yield start, text
        text = ""
    if text:
        raise TableError("the last line ends in a backslash and nothing follows")


def _entries(text, number):
    found, at = [], 0
    text = text.strip()
    while at < len(text):
        entry = ENTRY.match(text, at)
        if not entry:
            raise TableError(f"line {number}: {text[at : at + 40]!r} is no list of names in braces, quotes or plain")
        found.append(next(part for part in entry.groups() if part is not None).strip())
        at = entry.end()
    return found


def _row(entries, names, number):
    if len(entries) != len(names) or not all(entry == "{}" or NUMBER.fullmatch(entry) for entry in entries):
        raise TableError(f"line {number} is {' '.join(entries)[:60]!r}, expected {len(names)} numbers")
    return [float("nan") if entry == "{}" else float(entry) for entry in entries]
