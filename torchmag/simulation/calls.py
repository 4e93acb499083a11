"""Functions of t, m or both."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from torchmag.device import instant


def taken(function, title: str) -> tuple[str, ...]:
    """Which of t and m a function takes; other arguments keep their defaults.

    Raises:
        TypeError: no function, or one that takes neither, or needs something else.
    """
    if not callable(function):
        raise TypeError(f"{title} is a {type(function).__name__}, expected a function of t, m or both by these names")
    try:
        arguments = inspect.signature(function).parameters.values()
    except ValueError:
        arguments = ()
    names = tuple(a.name for a in arguments if a.name in ("t", "m"))
    needed = [
        a.name
        for a in arguments
        if a.name not in names and a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)
    ]
    if needed or not names:
        raise TypeError(
            f"{title} takes {', '.join(needed) or 'neither t nor m'}; expected a function of t, m or both by these names"
        )
    return names


def call(function: Callable, names: tuple[str, ...], t: float | Tensor, m: Tensor) -> Tensor:
    """Its value, without a graph."""
    given = {"t": instant(t, m), "m": m}
    with torch.no_grad():
        return torch.as_tensor(function(**{name: given[name] for name in names}))
