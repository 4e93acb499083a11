"""Numbers, constants, Go's mathematical functions, random numbers."""

import math
import random

import torch

from torchmag.mx3.script_error import ScriptError
from torchmag.mx3.values import Function, Vector, formatted, shown

ONE = {
    "abs": abs, "acos": math.acos, "acosh": math.acosh, "asin": math.asin, "asinh": math.asinh, "atan": math.atan, "atanh": math.atanh,
    "ceil": math.ceil, "cos": math.cos, "cosh": math.cosh, "erf": math.erf, "erfc": math.erfc, "exp": math.exp, "expm1": math.expm1,
    "floor": math.floor, "gamma": math.gamma, "log": math.log, "log10": math.log10, "log1p": math.log1p, "log2": math.log2,
    "sin": math.sin, "sinh": math.sinh, "sqrt": math.sqrt, "tan": math.tan, "tanh": math.tanh, "trunc": math.trunc,
    "cbrt": lambda x: math.copysign(abs(x) ** (1 / 3), x), "exp2": lambda x: 2.0**x, "logb": lambda x: math.frexp(x)[1] - 1,
    "sinc": lambda x: math.sin(x) / x if x else 1.0, "sign": lambda x: math.copysign(1, x) if x else 0.0,
    "heaviside": lambda x: 1.0 if x > 0 else 0.0 if x < 0 else 0.5,
    "norm": lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
}  # fmt: skip
TWO = {
    "atan2": math.atan2, "hypot": math.hypot, "max": max, "min": min, "mod": math.fmod, "remainder": math.remainder,
}  # fmt: skip


def names(world) -> dict[str, object]:
    """What this room adds."""
    generator = random.Random(0)
    found = {name: Function(name, _checked(f), ("float",)) for name, f in ONE.items()}
    found |= {name: Function(name, _checked(f), ("float", "float")) for name, f in TWO.items()}
    constants = {"pi": math.pi, "inf": math.inf, "mu0": 4e-7 * math.pi, "true": True, "false": False}
    own = (
        ("pow", _power, ("float", "float")),
        ("pow10", lambda n: 10.0**n, ("int",)),
        ("ilogb", lambda x: math.frexp(x)[1] - 1, ("float",)),
        ("ldexp", math.ldexp, ("float", "int")),
        ("j0", lambda x: _bessel_j(0, x), ("float",)),
        ("j1", lambda x: _bessel_j(1, x), ("float",)),
        ("jn", _bessel_j, ("int", "float")),
        ("y0", lambda x: _bessel_y(0, x), ("float",)),
        ("y1", lambda x: _bessel_y(1, x), ("float",)),
        ("yn", _bessel_y, ("int", "float")),
        ("isNaN", math.isnan, ("float",)),
        ("isInf", lambda x, sign: math.isinf(x) and (sign == 0 or (x > 0) == (sign > 0)), ("float", "int")),
        ("vector", Vector, ("float", "float", "float")),
        ("rand", lambda: generator.random(), ()),
        ("randExp", lambda: generator.expovariate(1.0), ()),
        ("randNorm", lambda: generator.gauss(0.0, 1.0), ()),
        ("randInt", lambda n: generator.randrange(n), ("int",)),
        ("randSeed", lambda seed: generator.seed(seed), ("int",)),
        ("sprint", _sprint, ("any...",)),
        ("sprintf", lambda pattern, *values: formatted(pattern, list(values)), ("string", "any...")),
        ("expect", lambda *given: _expect(world, *given), ("string", "float", "float", "float")),
        ("expectv", lambda *given: _expect_vector(world, *given), ("string", "vector", "vector", "float")),
        ("now", lambda: world.clock(), ()),
        ("since", lambda start: world.clock() - start, ("float",)),
    )
    return found | constants | {name: Function(name, call, kinds) for name, call, kinds in own}


def _checked(function):
    """Not a number where Python raises; a float always."""

    def call(*x):
        try:
            return float(function(*x))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return call


def _power(x, y):
    try:
        return math.pow(x, y)
    except ValueError:
        return math.nan
    except OverflowError:
        return math.inf


def _bessel(function):
    return lambda x: float(function(torch.tensor(x, dtype=torch.float64)))


def _bessel_j(n, x):
    """J_n by Bessel's integral over a period, for which the trapezoidal rule converges exponentially."""
    if not abs(x) + abs(n) < 1e6:
        return math.nan
    count = 64 + 2 * int(abs(x) + abs(n))
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return float(torch.cos(n * angle - x * torch.sin(angle)).mean())


def _bessel_y(n, x):
    """Y_n by the upward recurrence."""
    low, high = _bessel(torch.special.bessel_y0)(x), _bessel(torch.special.bessel_y1)(x)
    if n == 0:
        return low
    for k in range(1, min(abs(n), 10_000)):
        low, high = high, 2 * k / x * high - low if x else -math.inf
    return high * (-1) ** n if n < 0 else high


def _sprint(*values):
    """Go's Sprint: spaces between values of which neither is a string."""
    found = ""
    for i, value in enumerate(values):
        between = i and not isinstance(value, str) and not isinstance(values[i - 1], str)
        found += (" " if between else "") + shown(value)
    return found


def _expect(world, message, have, want, tolerance):
    if world.record.on:
        return
    if not abs(have - want) <= tolerance:
        raise ScriptError(f"expect {message}: have {shown(have)}, want {shown(want)} to {shown(tolerance)}", name="expect")
    world.files.log(f"//{message}: {shown(have)} OK")
    world.expected += 1


def _expect_vector(world, message, have, want, tolerance):
    if world.record.on:
        return
    if not all(abs(a - b) <= tolerance for a, b in zip(have.xyz, want.xyz)):
        raise ScriptError(f"expect {message}: have {shown(have)}, want {shown(want)} to {shown(tolerance)}", name="expectV")
    world.files.log(f"//{message}: {shown(have)} OK")
    world.expected += 1
