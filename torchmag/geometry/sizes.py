"""The sizes of a shape: numbers, tensors, nn.Parameters or Modules, read as tensors that broadcast over three grid axes."""

import inspect
import math
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn

# m; shorter lengths are rounding, and the curvature they would stand for is none.
SMALLEST = 1e-18


class Sized(nn.Module):
    """A Module that registers scalar sizes (*batch) and vectors (*batch, 3).

    A number or a sequence of numbers becomes a float64 buffer, a tensor (which may carry a graph) a buffer, an nn.Parameter and
    a Module stay what they are.  They are read in the dtype and on the device of the positions.
    """

    def take(
        self,
        name: str,
        value,
        *,
        tail: tuple[int | None, ...] = (),
        lower: float = -math.inf,
        infinite: bool = False,
        unit: bool = False,
    ) -> None:
        """Register a size.

        Args:
            tail: its last axes: () for a scalar, (3,) for a vector, None for an axis of any length.
            lower: values must be > lower.
            infinite: whether they may be infinite.
            unit: whether only the direction counts, so that a zero vector is an error.

        Raises:
            TypeError: neither a number, a sequence, a floating tensor nor a Module without arguments.
            ValueError: wrong last axes; a value that is NaN, infinite or not > lower, a zero direction.
        """
        title = f"{type(self).__name__}: {name}"
        source = _as_source(title, value)
        known = source() if isinstance(source, Components) else source
        if isinstance(known, Tensor):
            check_tail(title, known, tail)
            _check_values(title, known.detach(), lower, infinite, unit)
        if isinstance(source, nn.Module):
            self.add_module(name, source)
        elif isinstance(source, nn.Parameter):
            self.register_parameter(name, source)
        else:
            self.register_buffer(name, source)

    def value(self, name: str, like: Tensor, tail: tuple[int | None, ...] = ()) -> Tensor:
        """A size as it was given, (*batch, *tail), with the dtype and device of `like`."""
        source = getattr(self, name)
        if isinstance(source, nn.Module):
            source = source()
            check_tail(f"{type(self).__name__}: {name}", source, tail)
        return source.to(dtype=like.dtype, device=like.device)

    def scalar(self, name: str, like: Tensor) -> Tensor:
        """A scalar size with three grid axes: (*batch, 1, 1, 1)."""
        return self.value(name, like)[..., None, None, None]

    def vector(self, name: str, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The components of a vector, each with three grid axes: (*batch, 1, 1, 1)."""
        return self.value(name, like, (3,))[..., None, None, None].unbind(-4)

    def direction(self, name: str, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The components of a vector, normalised."""
        v = self.vector(name, like)
        length = _squares(v).sqrt()
        return tuple(part / length for part in v)

    def extra_repr(self) -> str:
        tensors = {**dict(self._parameters), **dict(self._buffers)}
        return ", ".join(f"{name}={_summary(value)}" for name, value in tensors.items())


class Components(nn.Module):
    """A vector of three sizes of any kind, such as (length, width, 10e-9) with `length` an nn.Parameter."""

    def __init__(self, title: str, entries: Sequence):
        super().__init__()
        self.names = []
        for axis, entry in zip("xyz", entries):
            source = _as_source(f"{title}[{'xyz'.index(axis)}]", entry)
            if isinstance(source, nn.Module):
                self.add_module(axis, source)
            elif isinstance(source, nn.Parameter):
                self.register_parameter(axis, source)
            else:
                self.register_buffer(axis, source)
            self.names.append(axis)

    def forward(self) -> Tensor:
        entries = [getattr(self, axis) for axis in self.names]
        values = [entry() if isinstance(entry, nn.Module) else entry for entry in entries]
        dtype = values[0].dtype
        for value in values:
            dtype = torch.promote_types(dtype, value.dtype)
        return torch.stack(torch.broadcast_tensors(*(value.to(dtype) for value in values)), -1)


def norm(*parts: Tensor) -> Tensor:
    """Length, m, of a vector given by components; zero with zero derivatives where it is below SMALLEST."""
    squares = _squares(parts)
    zero = (squares < SMALLEST**2).to(squares.dtype)
    return (squares + zero).sqrt() - zero


def _squares(parts):
    total = parts[0] * parts[0]
    for part in parts[1:]:
        total = total + part * part
    return total


def check_tail(title: str, value, tail: tuple[int | None, ...]) -> None:
    """Raise unless `value` is a floating tensor whose last axes are `tail`."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{title} is {kind}, expected a floating-point tensor")
    shape = tuple(value.shape)
    end = shape[len(shape) - len(tail) :]
    if len(shape) < len(tail) or any(want not in (None, got) for want, got in zip(tail, end)):
        expected = ", ".join(["*batch", *("n" if want is None else str(want) for want in tail)])
        raise ValueError(f"{title} has shape {shape}, expected ({expected})")


def _check_values(title, value, lower, infinite, unit):
    if value.device.type == "meta" or value.numel() == 0:
        return
    if not bool((value > lower).all()) or not (infinite or bool(value.isfinite().all())):
        expected = f"> {lower:g}" + ("" if infinite else " and finite")
        raise ValueError(f"{title} spans {value.min().item():g} to {value.max().item():g}, expected {expected}")
    if unit and not bool((torch.linalg.vector_norm(value, dim=-1) > 0).all()):
        raise ValueError(f"{title} = {value.tolist()} has no direction, expected a vector longer than zero")


def _as_source(title, value):
    if isinstance(value, nn.Module):
        arguments = inspect.signature(value.forward).parameters.values()
        wanted = [a.name for a in arguments if a.default is a.empty and a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]
        if wanted:
            raise TypeError(f"{title} is a {type(value).__name__} that takes {', '.join(wanted)}; a size may not take arguments")
        return value
    if isinstance(value, Tensor):
        return value
    if isinstance(value, bool) or not isinstance(value, (Real, np.ndarray, Sequence)) or isinstance(value, str):
        raise TypeError(
            f"{title} is a {type(value).__name__}, expected a number in metres, a tensor, an nn.Parameter or a Module"
        )
    if isinstance(value, Sequence) and any(isinstance(entry, (Tensor, nn.Module)) for entry in value):
        if len(value) != 3:
            raise ValueError(f"{title} has {len(value)} entries, expected 3; stack them to a tensor otherwise")
        return Components(title, value)
    try:
        return torch.tensor(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"{title} = {value!r}, expected numbers") from None


def _summary(value):
    if value.numel() > 4 or value.device.type == "meta":
        return f"Tensor{tuple(value.shape)}"
    return str([float(f"{v:g}") for v in value.flatten().tolist()] if value.ndim else float(f"{value.item():g}"))
