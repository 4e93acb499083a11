"""What expressions of a script come to, beside numbers, strings and booleans; how a value is printed."""

import bisect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


def method(*parameters: str, name: str | None = None):
    """Let scripts call a method; `parameters` are kinds (see `kinds.convert`)."""

    def mark(function):
        function.script = (name or function.__name__.strip("_"), parameters)
        return function

    return mark


class Scriptable:
    """Something with methods that scripts may call: those that are marked, and nothing else."""

    methods: dict[str, tuple[Callable, tuple[str, ...]]] = {}

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        own = {f.script[0].lower(): (f, f.script[1]) for f in vars(cls).values() if hasattr(f, "script")}
        cls.methods = {**cls.methods, **own}


@dataclass(frozen=True)
class Function:
    """Something to call: the kinds of its arguments, the last one "kind..." if any number of them may follow."""

    name: str
    call: Callable
    parameters: tuple[str, ...]


class Thunk:
    """An expression that is evaluated when it is needed, the script's variables as they were when it was made.

    Attributes:
        live: whether its value may change: it names the time, or a quantity.
        node: the expression.
    """

    def __init__(self, evaluate: Callable, cells: list, live: bool, position, frozen: bool = True, node=None):
        self.evaluate, self.live, self.position, self.node = evaluate, live, position, node
        self.kept = [(cell, cell.value) for cell in cells] if frozen else []

    def __call__(self):
        now = [cell.value for cell, _ in self.kept]
        for cell, value in self.kept:
            cell.value = value
        try:
            return self.evaluate()
        finally:
            for (cell, _), value in zip(self.kept, now):
                cell.value = value


class Vector(Scriptable):
    """Three numbers."""

    def __init__(self, x: float, y: float, z: float):
        self.xyz = (x, y, z)

    def __getitem__(self, i):
        return self.xyz[i]

    def __len__(self):
        return 3

    @method(name="x")
    def get_x(self):
        return self.xyz[0]

    @method(name="y")
    def get_y(self):
        return self.xyz[1]

    @method(name="z")
    def get_z(self):
        return self.xyz[2]

    @method("vector")
    def add(self, other):
        return Vector(*(a + b for a, b in zip(self.xyz, other.xyz)))

    @method("vector")
    def sub(self, other):
        return Vector(*(a - b for a, b in zip(self.xyz, other.xyz)))

    @method("float")
    def mul(self, factor):
        return Vector(*(factor * a for a in self.xyz))

    @method("float")
    def div(self, divisor):
        return Vector(*(divided(a, divisor) for a in self.xyz))

    @method("float", "vector")
    def madd(self, factor, other):
        return Vector(*(a + factor * b for a, b in zip(self.xyz, other.xyz)))

    @method("vector")
    def dot(self, other):
        return sum(a * b for a, b in zip(self.xyz, other.xyz))

    @method("vector")
    def cross(self, other):
        (a, b, c), (x, y, z) = self.xyz, other.xyz
        return Vector(b * z - c * y, c * x - a * z, a * y - b * x)

    @method(name="len")
    def length(self):
        return math.hypot(*self.xyz)


class Slice(Scriptable):
    """An array of the script: (components, nx, ny, nz), float64."""

    def __init__(self, data: Tensor):
        self.data = data

    @method()
    def ncomp(self):
        return len(self.data)

    @method()
    def size(self):
        return Vector(*self.data.shape[1:])

    @method("int", "int", "int", "int")
    def get(self, c, x, y, z):
        self._require(c, x, y, z)
        return float(self.numbers[c, x, y, z])

    @method("int", "int", "int", "int", "float")
    def set(self, c, x, y, z, value):
        self._require(c, x, y, z)
        self.numbers[c, x, y, z] = value

    @method("int", "int", "int", "float", name="setscalar")
    def set_scalar(self, x, y, z, value):
        self.set(0, x, y, z, value)

    @method("int", "int", "int", "vector", name="setvector")
    def set_vector(self, x, y, z, value):
        self._require(2, x, y, z)
        self.numbers[:, x, y, z] = value.xyz

    @method("int")
    def comp(self, c):
        if not 0 <= c < len(self.data):
            raise ValueError(f"component {c} of {len(self.data)}")
        return Slice(self.data[c : c + 1])

    @method(name="hostcopy")
    def host_copy(self):
        return Slice(self.data.clone())

    @property
    def numbers(self):
        """The same memory as a NumPy array: single elements are faster there."""
        if not hasattr(self, "_numbers"):
            self._numbers = self.data.numpy()
        return self._numbers

    def _require(self, *place):
        shape = self.numbers.shape
        if min(place) < 0 or place[0] >= shape[0] or place[1] >= shape[1] or place[2] >= shape[2] or place[3] >= shape[3]:
            raise ValueError(f"index {list(place)} is outside of an array of {list(shape)}")


class FromFile(Scriptable):
    """A function of one number, interpolated in a table: "linear", "nearest" or "step"."""

    def __init__(self, x: list[float], y: list[float], how: str):
        self.x, self.y, self.how = x, y, how

    def __call__(self, x: float) -> float:
        if x < self.x[0] or x > self.x[-1]:
            return self.y[0] if x < self.x[0] else self.y[-1]
        i = min(bisect.bisect_right(self.x, x) - 1, len(self.x) - 2)
        part = (x - self.x[i]) / (self.x[i + 1] - self.x[i])
        if self.how == "linear":
            return self.y[i] + part * (self.y[i + 1] - self.y[i])
        return self.y[i + 1] if part >= (0.5 if self.how == "nearest" else 1) else self.y[i]


def divided(a: float, b: float) -> float:
    """a / b as floating point has it: infinite or not a number where Python raises."""
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1, b)


def shown(value) -> str:
    """A value as Go prints it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float(value)
    if isinstance(value, Vector | tuple | list):
        return "[" + " ".join(shown(v) for v in value) + "]"
    if isinstance(value, Slice):
        return f"[{len(value.data)} components of {' x '.join(map(str, value.data.shape[1:]))} cells]"
    return str(value)


def _float(value):
    if math.isnan(value) or math.isinf(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    digits, exponent = f"{value!r}", math.floor(math.log10(abs(value)))
    mantissa = f"{value:.17e}" if "e" in digits else digits
    if -4 <= exponent < 21:
        return f"{value:.0f}" if value == int(value) else (digits if "e" not in digits else f"{value:.20f}".rstrip("0"))
    sign, number = ("-", digits[1:]) if value < 0 else ("", digits)
    if "e" not in number:
        number = re.sub(r"\.0$", "", f"{float(number):.16e}")
    mantissa, _, power = number.partition("e")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{sign}{mantissa}e{'-' if int(power) < 0 else '+'}{abs(int(power)):02d}"


VERB = re.compile(r"%([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%])")


def formatted(pattern: str, values: list) -> str:
    """Go's Sprintf for the verbs d, x, v, s, t, q, f, e, g and %.

    Raises:
        ValueError: a verb that is not known, too many or too few values.
    """
    left = list(values)

    def one(match):
        flags, width, precision, verb = match.groups()
        if verb == "%":
            return "%"
        if not left:
            raise ValueError(f"{match[0]} in the format has no value")
        if int(width or 0) > 1000 or int(precision or 0) > 100:
            raise ValueError(f"{match[0]}: too wide")
        return _one(left.pop(0), flags, width, precision, verb)

    found = VERB.sub(one, pattern)
    if left:
        raise ValueError(f"the format {pattern!r} leaves {len(left)} values over")
    return found


def _one(value, flags, width, precision, verb):
    if verb in "dx":
        if isinstance(value, float) and value == int(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError(f"%{verb} takes a whole number, got {shown(value)}")
        return f"%{flags}{width}{verb}" % value
    if verb in "feEgG":
        precision = "" if precision is None else f".{precision}"
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        return shown(number) if verb == "g" and not precision and not width else f"%{flags}{width}{precision}{verb}" % number
    if verb in "vst":
        return f"%{flags.replace('0', '')}{width}s" % shown(value)
    if verb == "q":
        return f'"{shown(value)}"'
    raise ValueError(f"%{verb} is not a verb of the format")


def new_slice(components: int, nx: int, ny: int, nz: int) -> Slice:
    """Zeros.

    Raises:
        ValueError: sizes that are not positive, or an array above 2 GiB.
    """
    if min(components, nx, ny, nz) < 1 or components * nx * ny * nz > 2**28:
        raise ValueError(f"an array of {components} x {nx} x {ny} x {nz} numbers: expected at least 1, at most 2^28 in all")
    return Slice(torch.zeros(components, nx, ny, nz, dtype=torch.float64))
