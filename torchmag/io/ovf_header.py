"""The header of an OVF file: parsed, and believed only where its records agree with each other.

Formats: OOMMF User's Guide, "Vector Field File Format (OVF)", OVF 1.0 and 2.0.
"""

import math
import re
from dataclasses import dataclass

from torchmag.errors import OVFError

FIRST = {"oommf:rectangularmeshv1.0": 1, "oommf:rectangularmeshv0.99": 1, "oommf:rectangularmeshv0.0a0": 1, "oommfovf2.0": 2}
REPRESENTATIONS = {"datatext": "text", "databinary4": "binary4", "databinary8": "binary8"}
UNITS = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "nm": 1e-9}
LINE, LINES = 1 << 16, 10000
# Numbers written with seven digits still agree.
AGREE = 1e-6
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
ELEMENT = re.compile(r'\{([^{}]*)\}|"([^"]*)"|([^\s{}"]+)')
TIME = re.compile(rf"total simulation time:\s*({NUMBER.pattern})\s*s", re.IGNORECASE)
ORDER = re.compile(r"order of accuracy in space: ([246])")

PER_AXIS = [f"{axis}{name}" for name in ("base", "stepsize", "nodes", "min", "max") for axis in "xyz"]
KNOWN = {
    1: {"title", "desc", "meshunit", "meshtype", "valueunit", "valuemultiplier", "boundary", "valuerangemaxmag", "valuerangeminmag", *PER_AXIS},
    2: {"title", "desc", "meshunit", "meshtype", "valueunits", "valuedim", "valuelabels", *PER_AXIS},
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a header says, in SI units."""

    version: int
    n: tuple[int, int, int]
    dx: tuple[float, float, float]
    origin: tuple[float, float, float]
    valuedim: int
    multiplier: float
    title: str
    description: tuple[str, ...]
    labels: tuple[str, ...]
    units: tuple[str, ...]
    representation: str

    @property
    def count(self) -> int:
        """Numbers in the data block."""
        return math.prod(self.n) * self.valuedim

    @property
    def t(self) -> float | None:
        """Simulation time that OOMMF and mumax note in the description, s; None where it is not given, or not known (negative)."""
        for line in self.description:
            if found := TIME.fullmatch(line.strip()):
                return float(found[1]) if float(found[1]) >= 0 else None
        return None

    @property
    def order(self) -> int | None:
        """Of the magnet, as torchmag notes it in the description; None where it is not given."""
        return next((int(found[1]) for line in self.description if (found := ORDER.fullmatch(line.strip()))), None)


def read_header(file, strict: bool) -> Header:
    """Read up to the first byte of the data."""
    first = _line(file, 1)
    if not first.startswith("#") or "".join(first[1:].split()).lower() not in FIRST:
        raise OVFError(f"line 1 is {first[:60]!r}, expected '# OOMMF OVF 2.0' or '# OOMMF: rectangular mesh v1.0'")
    version = FIRST["".join(first[1:].split()).lower()]
    records, inside, where = {"desc": []}, "", []
    for number in range(2, LINES):
        key, value = _record(_line(file, number), number)
        if key is None:
            continue
        if key in ("begin", "end"):
            block = "".join(value.split()).lower()
            if block in REPRESENTATIONS and key == "begin":
                _nested(where, ["segmentcount", "begin segment", "begin header", "end header"], number)
                return _understand(version, records, REPRESENTATIONS[block], strict)
            where.append(f"{key} {block}")
            inside = block if key == "begin" else ""
        elif key == "segmentcount":
            where.append(key)
            if _integer(value, "Segment count", number) != 1:
                raise OVFError(f"line {number}: {value} segments, expected 1")
        elif inside != "header" or key not in KNOWN[version]:
            raise OVFError(f"line {number}: {key[:40]!r} is not a record of the header of OVF {version}.0")
        elif key == "desc":
            records["desc"].append(value)
        elif key in records:
            raise OVFError(f"line {number}: {key} is given twice")
        else:
            records[key] = value
    raise OVFError(f"no data within {LINES} lines")


def _understand(version, records, representation, strict):
    for key in ("title", "meshunit", "meshtype", *(KNOWN[2] - KNOWN[1] if version == 2 else {"valuemultiplier"}), *PER_AXIS):
        # OOMMF's own older files leave the first ones out.
        if key not in records and (strict or key not in ("title", "meshunit", "meshtype", "valueunits", "valuelabels")):
            if key != "title" and not (version == 1 and key == "meshtype"):
                raise OVFError(f"the header has no {key}")
    if records.get("meshtype", "rectangular").lower() != "rectangular":
        raise OVFError(f"meshtype is {records['meshtype'][:40]!r}; only rectangular meshes can be read")
    unit = records.get("meshunit", "m")
    if unit not in UNITS and (strict or unit):
        raise OVFError(f"meshunit is {unit[:40]!r}, expected one of {', '.join(UNITS)}")
    scale = UNITS.get(unit, 1.0)
    base, step, low, high = (
        [_number(records[f"{axis}{name}"], f"{axis}{name}") for axis in "xyz"] for name in ("base", "stepsize", "min", "max")
    )
    n = tuple(_integer(records[f"{axis}nodes"], f"{axis}nodes") for axis in "xyz")
    for axis in range(3):
        _agree("xyz"[axis], n[axis], step[axis], base[axis], low[axis], high[axis], strict)
    for hint in ("valuerangemaxmag", "valuerangeminmag"):
        if hint in records:
            _number(records[hint], hint)
    valuedim = _integer(records["valuedim"], "valuedim") if version == 2 else 3
    if valuedim < 1:
        raise OVFError(f"valuedim is {valuedim}, expected at least 1")
    return Header(
        version=version,
        n=n,
        dx=tuple(h * scale for h in step),
        origin=tuple((o - 0.5 * h if not strict else o_low) * scale for o, h, o_low in zip(base, step, low)),
        valuedim=valuedim,
        multiplier=_number(records["valuemultiplier"], "valuemultiplier") if version == 1 else 1.0,
        title=records.get("title", ""),
        description=tuple(records["desc"]),
        labels=_elements(records.get("valuelabels", ""), valuedim, "valuelabels", strict and version == 2),
        units=_elements(records.get("valueunits", ""), valuedim, "valueunits", strict) if version == 2 else (records.get("valueunit", ""),) * 3,
        representation=representation,
    )  # fmt: skip


def _agree(axis, n, step, base, low, high, strict):
    if n < 1 or not step > 0:
        raise OVFError(f"{axis}nodes = {n}, {axis}stepsize = {step}: expected positive numbers")
    allowed = AGREE * n * step + 1e-12 * max(abs(low), abs(high))
    wrong = max(abs(low - (base - 0.5 * step)), abs(high - (low + n * step)))
    if strict and not wrong <= allowed:
        raise OVFError(
            f"{axis}: {n} nodes of {step:g} from {axis}base = {base:g} contradict {axis}min = {low:g} and {axis}max = {high:g}; "
            "strict=False believes base, stepsize and nodes"
        )


def _elements(value, count, name, strict):
    """A Tcl list of labels: bare words, {in braces} or "quoted"."""
    found = tuple(next(part for part in match.groups() if part is not None) for match in ELEMENT.finditer(value))
    if len(found) == 1 and name == "valueunits":
        found *= count
    if len(found) != count:
        if strict:
            raise OVFError(f"{name} has {len(found)} entries, expected {count}")
        return ("",) * count
    return found


def _record(line, number):
    """(key, value) of a line of the header; (None, "") of a comment."""
    if not line.startswith("#"):
        if line.strip():
            raise OVFError(f"line {number} is {line[:40]!r}, expected a line that begins with #")
        return None, ""
    content = line[1:]
    if content.startswith("#") or not content.strip():
        return None, ""
    key, colon, value = content.partition(":")
    if not colon:
        raise OVFError(f"line {number} is {line[:40]!r}, expected '# key: value'")
    key = "".join(key.split()).lower()
    return key, (value if key == "desc" else value.partition("##")[0]).strip()


def _nested(where, expected, number):
    if where != expected:
        raise OVFError(f"line {number}: data after {where[:6]}, expected after {expected}")


def _line(file, number):
    line = file.readline(LINE)
    if not line.endswith(b"\n"):
        raise OVFError(f"line {number} is cut off or longer than {LINE} bytes")
    return line.decode(errors="replace").rstrip("\r\n")


def _number(value, name):
    if not NUMBER.fullmatch(value) or not math.isfinite(float(value)):
        raise OVFError(f"{name} is {value[:40]!r}, expected a finite number")
    return float(value)


def _integer(value, name, number=None):
    if not re.fullmatch(r"\d{1,12}", value):
        raise OVFError(f"{name} is {value[:40]!r}, expected a whole number")
    return int(value)
