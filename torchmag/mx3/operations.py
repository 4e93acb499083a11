"""Operators of two numbers."""

import math

from torchmag.mx3.values import divided


def _operation(operator):
    return {
        "+": lambda a, b: a + b,
        "-": lambda a, b: a - b,
        "*": lambda a, b: a * b,
        "/": divided,
        "%": lambda a, b: math.fmod(a, b) if b else math.nan,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }[operator]


OPERATORS = {operator: _operation(operator) for operator in ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=")}
