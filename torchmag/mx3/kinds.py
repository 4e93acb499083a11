"""Kinds of values, and what of one kind may stand for another."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torchmag.mx3.configurations import Configuration
from torchmag.mx3.quantity import Quantity
from torchmag.mx3.shapes import Shape
from torchmag.mx3.values import FromFile, Function, Slice, Thunk, Vector, shown

KINDS = {
    bool: "bool", int: "int", float: "float", str: "string", Vector: "vector", Slice: "slice", Shape: "shape",
    Configuration: "configuration", FromFile: "function", Function: "function", Quantity: "quantity",
}  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """A name that stands for a value which scripts may set: `get()`, and `assign(thunk)` or None.

    live: whether the value changes by itself.
    """

    get: Callable
    assign: Callable[[Thunk], None] | None
    live: bool = False


def kind_of(value) -> str:
    """The name of a value's kind."""
    found = KINDS.get(type(value))
    return found or next((name for kind, name in KINDS.items() if isinstance(value, kind)), type(value).__name__.lower())


def is_live(entry) -> bool:
    """Whether what a name stands for changes by itself."""
    return entry.live if isinstance(entry, Setting) else isinstance(entry, Quantity)


def to_float(value) -> float:
    """A number, or the value of a quantity that is one."""
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, Quantity) and value.is_number:
        return value.number()
    raise ValueError(f"expected a number, got a {kind_of(value)}")


def to_bool(value) -> bool:
    """A boolean; nothing else stands for one."""
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, got a {kind_of(value)}")


def _to_int(value):
    number = to_float(value)
    if not math.isfinite(number) or abs(number - round(number)) > 1e-9 * max(1, abs(number)):
        raise ValueError(f"expected a whole number, got {shown(number)}")
    return round(number)


def _instance(kind):
    def check(value):
        if isinstance(value, kind):
            return value
        raise ValueError(f"expected a {KINDS[kind]}, got a {kind_of(value)}")

    return check


def _to_quantity(value):
    if isinstance(value, Quantity):
        return value
    raise ValueError(f"expected a quantity such as m, got a {kind_of(value)}")


CONVERSIONS = {
    "float": lambda value: float(to_float(value)),
    "int": _to_int,
    "bool": to_bool,
    "string": _instance(str),
    "vector": _instance(Vector),
    "slice": _instance(Slice),
    "shape": _instance(Shape),
    "configuration": _instance(Configuration),
    "quantity": _to_quantity,
    "any": lambda value: value,
}


def convert(value, kind: str):
    """The value as one of a kind.

    Raises:
        ValueError: it is of another kind.
    """
    return CONVERSIONS[kind](value)


class Variable:
    """A variable of the script: the kind is that of its first value."""

    def __init__(self, name: str):
        self.name, self.value, self.kind = name, None, None

    def declare(self, value):
        self.value, self.kind = value, kind_of(value)

    def assign(self, value):
        if self.kind == "float":
            value = to_float(value)
        elif self.kind == "int":
            number = to_float(value)
            if number != math.floor(number):
                raise ValueError(f"{self.name} is a whole number, got {shown(number)}; declare it with := and a decimal point")
            value = int(number)
        elif kind_of(value) != self.kind:
            raise ValueError(f"{self.name} is a {self.kind}, got a {kind_of(value)}")
        self.value = value
