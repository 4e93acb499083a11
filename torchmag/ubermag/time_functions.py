"""Time functions of ubermag's terms, as functions of a tensor t."""

import math
from collections.abc import Callable
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from torchmag.ubermag.grid import Grid
from torchmag.ubermag.parameters import given, title
from torchmag.ubermag.tcl import TclFunction

WAVES = ("sin", "sinc")


def time_function(grid: Grid, term, duration: float | None, counts: tuple[int, ...]) -> Callable[[Tensor], Tensor] | None:
    """What multiplies a term's field or current at time t, None for a term that is constant.

    Args:
        duration: of the drive, s; None for one without time.
        counts: of the numbers that the function may return: 1, or 9 for a matrix.

    Returns:
        A function from t, s, to a number, or a matrix (3, 3) in torchmag's axes.
    Raises:
        RuntimeError: a function in a drive without time; ValueError: f, t0 or dt is missing, values of another kind.
    """
    func = given(term, "func") or given(term, "wave")
    if func is None:
        return None if given(term, "tcl_strings") is None else _tcl(grid, term)
    if isinstance(func, str):
        return _wave(term, func)
    if duration is None:
        raise RuntimeError(f"{title(term, 'func')} is a function of time; it needs a TimeDriver")
    dt = given(term, "dt")
    if dt is None:
        raise ValueError(f"{title(term, 'dt')} is not set; func is sampled at its multiples")
    samples = np.array([np.asarray(func(i * dt), dtype=float).reshape(-1) for i in range(math.ceil(duration / dt) + 2)])
    if samples.shape[-1] not in counts:
        raise ValueError(f"{title(term, 'func')} returns {samples.shape[-1]} numbers, expected {' or '.join(map(str, counts))}")
    return Sampled(_shaped(grid, samples), dt, grid.device)


class Sampled:
    """Values at the multiples of dt, with straight lines between them."""

    def __init__(self, values: np.ndarray, dt: float, device):
        self.values, self.dt = torch.tensor(values, device=device), dt

    def __call__(self, t: Tensor) -> Tensor:
        x = (t / self.dt).clamp(0, len(self.values) - 1)
        before = x.floor().long().clamp(max=len(self.values) - 2)
        # A graph takes an index of one axis; one of none it takes for a number that it must know.
        low, high = self.values.index_select(0, torch.stack((before, before + 1))).unbind(0)
        return low + (x - before) * (high - low)


def _wave(term, func):
    f, t0 = given(term, "f"), given(term, "t0")
    for name, value in (("f", f), ("t0", t0)):
        if not isinstance(value, Real):
            raise ValueError(f"{title(term, name)} is not set; func={func!r} needs f (Hz) and t0 (s)")
    phase = lambda t: 2 * math.pi * f * (t - t0)
    return (lambda t: torch.sin(phase(t))) if func == "sin" else (lambda t: torch.sinc(phase(t) / math.pi))


def _tcl(grid, term):
    strings = given(term, "tcl_strings")
    function = TclFunction(strings, title(term, "tcl_strings"))
    kind = "current" if "energy" not in strings else strings["energy"]
    if kind == "Oxs_ScriptUZeeman":
        raise ValueError(f"{title(term, 'tcl_strings')}: {kind} gives a field, no factor")  # see `scripted_field`
    if kind not in ("current", "Oxs_TransformZeeman"):
        raise ValueError(
            f"{title(term, 'tcl_strings')}: energy is {kind!r}, expected 'Oxs_ScriptUZeeman' or 'Oxs_TransformZeeman'"
        )
    count = 1 if kind == "current" else {"diagonal": 3, "symmetric": 6, "general": 9}.get(strings.get("type", "general"), 0)
    if not count:
        raise ValueError(f"{title(term, 'tcl_strings')}: type is {strings['type']!r}, expected general, symmetric or diagonal")

    def factor(t):
        values = _shaped(grid, np.array([_matrix(function(float(t))[:count])]))[0]
        return torch.tensor(values, device=grid.device)

    return factor


def scripted_field(grid: Grid, term) -> Callable[[Tensor], Tensor] | None:
    """The uniform field of an Oxs_ScriptUZeeman's tcl strings, A/m: t -> (3,); None for another term."""
    strings = given(term, "tcl_strings")
    if strings is None or strings.get("energy") != "Oxs_ScriptUZeeman":
        return None
    function = TclFunction(strings, title(term, "tcl_strings"))
    return lambda t: torch.tensor(grid.vector(function(float(t))[:3]), dtype=grid.dtype, device=grid.device)


def _matrix(values):
    """3 diagonal or 6 upper triangular elements to all nine; others as they are."""
    if len(values) == 3:
        return np.diag(values).reshape(-1)
    if len(values) == 6:
        xx, xy, xz, yy, yz, zz = values
        return np.array([xx, xy, xz, xy, yy, yz, xz, yz, zz])
    return np.asarray(values)


def _shaped(grid, samples):
    """(T, 1) -> (T,); (T, 9), row by row, -> (T, 3, 3) in torchmag's axes."""
    if samples.shape[-1] == 1:
        return samples[:, 0]
    axes = list(grid.axes)
    return samples.reshape(-1, 3, 3)[:, axes][:, :, axes]
