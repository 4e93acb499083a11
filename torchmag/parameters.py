"""Parameters: numbers, tensors, nn.Parameters, Modules and callables under one roof.

`Parametric` is the Module that registers them, checks them, and resolves them to tensors that broadcast over the grid: what
depends on neither t nor m in `prepare`, the rest (the drives) in `at`, at every evaluation.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn

from torchmag.forms import Kind
from torchmag.layout import to_grid
from torchmag.samples import SAMPLES, for_each_sample

Values = dict  # name -> Tensor, or -> Values of a child module
DRIVERS = ("t", "m")


@dataclass(frozen=True)
class Role:
    """What a parameter must be: its kind, the grid it lives on, the interval its values lie in."""

    kind: Kind
    grid: tuple[int, ...]
    lower: float = -math.inf
    upper: float = math.inf

    @property
    def axes(self) -> int:
        """Axes of a value after those of its batch."""
        return len(self.kind.shape) + len(self.grid)


class Parametric(nn.Module):
    """A Module whose parameters are numbers, tensors, nn.Parameters, Modules or callables of t and m.

    Assigning to a registered name (`term.A = 1e-11`) checks and replaces it, whatever kind it had.
    """

    def __init__(self):
        super().__init__()
        self._roles: dict[str, Role] = {}
        self._drivers: dict[str, tuple[str, ...]] = {}

    @property
    def reference(self) -> Tensor:
        """A tensor of the dtype and device of this module's values."""
        raise TypeError(f"{type(self).__name__} defines no reference tensor")

    def prepare(self, params: Mapping[str, Tensor] | None = None) -> Values:
        """Resolve every parameter that depends on neither t nor m.

        Args:
            params: values to use instead, by full name such as "energy.exchange.A"; they may carry a graph.

        Returns:
            Nested dictionaries of tensors, to be passed as `values`.
        Raises:
            TypeError: a name that no parameter has.
            ValueError: batches of parameters that do not broadcast against each other.
        """
        if params is not None and not isinstance(params, Mapping):
            raise TypeError(f"prepare: params is a {type(params).__name__}, expected a mapping from full names to tensors")
        overrides = dict(params or {})
        known = [] if not overrides else self._names("")
        values = self._prepare(overrides, "", {})
        if overrides:
            name = next(iter(overrides))
            close = difflib.get_close_matches(str(name), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise TypeError(f"prepare: params has the name {name!r}, which no parameter has; {hint}")
        _require_one_batch(self._resolved(values, ""))
        return values

    def remembered(self) -> Values:
        """`prepare()`, kept from the last call if nothing it depends on can have changed.

        That is so where all parameters are tensors that do not train, the same objects at the same versions.  (To change one in
        a way that torch does not count, through `.data` or memory shared with numpy, assign it anew.)
        """
        if torch.compiler.is_compiling() or torch._C._functorch.maybe_current_level() is not None:
            return self.prepare()
        sources = self._sources()
        if sources is None:
            return self.prepare()
        key = [torch.is_inference_mode_enabled(), *((id(x), x._version, x.data_ptr()) for x in sources)]
        known = self.__dict__.get("_remembered")
        if known is None or known[0] != key:
            # The tensors are kept, so that no other comes to have the number of one.
            self.__dict__["_remembered"] = known = (key, self.prepare(), sources)
        return known[1]

    def _sources(self):
        """The tensors that `prepare` makes values of; None if there is something else among them."""
        found = []
        for part in self._parametrics():
            for name in part._roles:
                source = part._buffers.get(name)
                if name in part._drivers or (source is None and getattr(part, name) is None):
                    continue
                if source is None or source.requires_grad or type(source) is not Tensor or source.is_inference():
                    return None
                found.append(source)
        return found

    def _parametrics(self):
        """The Parametrics whose parameters `prepare` resolves."""
        return [self]

    def at(self, values: Values, t: Tensor, m: Tensor, cache: dict) -> Values:
        """The values with the drives evaluated at time t and magnetisation m."""
        if not self._drivers:
            return values
        return values | self._evaluate([n for n in self._drivers if n not in values], cache, t, m)

    def check(self, values: Values, batch: Sequence[int] = ()) -> None:
        """Raise a ValueError that names the first parameter with a non-finite or impossible value, or another batch than m's."""
        for name, role, value in self._resolved(values, ""):
            _check_values(name, value, role)
        resolved = list(self._resolved(values, ""))
        _require_one_batch([*resolved, *self._batched_drives({id(role) for _, role, _ in resolved})], tuple(batch))

    def _batched_drives(self, replaced):
        """(name, role, a value) of the drives that tell their batch, but for those of which `values` holds a value."""
        for part in self._parametrics():
            for name in part._drivers:
                role, batch = part._roles[name], getattr(getattr(part, name), "batch_shape", ())
                if batch and id(role) not in replaced:
                    yield f"{type(part).__name__}: {name}", role, torch.empty((*batch, *(1,) * role.axes), device="meta")

    def _resolved(self, values, prefix):
        """(full name, role, value) of what `values` holds, children included."""
        yield from self._resolved_own(values, prefix)

    def _resolved_own(self, values, prefix):
        """That without the children."""
        return ((prefix + name, role, values[name]) for name, role in self._roles.items() if name in values)

    def _names(self, prefix):
        return [prefix + name for name in self._roles]

    def _prepare(self, overrides, prefix, cache):
        given = {name: overrides.pop(prefix + name) for name in self._roles if prefix + name in overrides}
        given = {name: self._fit(name, self._as_value(name, value, prefix)) for name, value in given.items()}
        names = [
            name for name in self._roles if name not in given and name not in self._drivers and getattr(self, name) is not None
        ]
        return self._evaluate(names, cache) | given

    def _evaluate(self, names, cache, t=None, m=None):
        found = {}
        for name in names:
            source, drivers, role = getattr(self, name), self._drivers.get(name, ()), self._roles[name]
            samples, batch_axes = cache.get(SAMPLES), len(getattr(source, "batch_shape", ()))
            if t is not None and t.ndim and hasattr(source, "at_times"):
                found[name] = self._fit(name, _on_grid(source.at_times(t, samples), role, t.ndim))
            elif t is not None and t.ndim and "t" in drivers:
                one = lambda t, m: self._fit(name, _on_grid(evaluate(source, drivers, {}, t, m), role, batch_axes))  # noqa: B023
                found[name] = for_each_sample(one, t, m, 1 + len(role.grid), role.axes, samples)
            else:
                value = self._fit(name, _on_grid(evaluate(source, drivers, cache, t, m), role, batch_axes))
                found[name] = value if samples is None else samples.take(value, role.axes)
        return found

    def _register(self, name: str, value, role: Role) -> None:
        """Take a parameter: check it, and make it a buffer, an nn.Parameter, a submodule or a plain callable."""
        source = self._as_source(name, value)
        if isinstance(source, Tensor) and source.device.type != "meta":
            with torch.no_grad():
                _check_values(f"{type(self).__name__}: {name}", fit(source, role, f"{type(self).__name__}: {name}"), role)
        self._forget(name)
        self._roles[name] = role
        if isinstance(source, nn.Parameter):
            self.register_parameter(name, source)
        elif isinstance(source, Tensor):
            self.register_buffer(name, source)
        elif isinstance(source, nn.Module):
            self.add_module(name, source)
        else:
            self.__dict__[name] = source
        drivers = depends_on(source)
        if drivers:
            self._drivers[name] = drivers

    def _forget(self, name: str) -> None:
        """Remove a parameter, whatever kind it has."""
        for store in (self._parameters, self._buffers, self._modules, self.__dict__, self._drivers, self._roles):
            store.pop(name, None)

    def _as_source(self, name, value):
        """A number or array to a tensor; a tensor, Module or callable as it is, checked."""
        title = f"{type(self).__name__}: {name}"
        like = self.reference
        if isinstance(value, Tensor):
            if value.dtype != like.dtype:
                other = f" or build the Magnet with dtype={value.dtype}" if value.is_floating_point() else ""
                raise TypeError(
                    f"{title} is a {value.dtype} tensor, the magnet is {like.dtype}; convert it with .to({like.dtype}){other}"
                )
            if value.device != like.device:
                raise ValueError(f"{title} is on {value.device}, the magnet on {like.device}; move one with .to()")
            return value
        if isinstance(value, nn.Module) or (callable(value) and not isinstance(value, type)):
            try:
                depends_on(value)
            except TypeError as error:
                raise TypeError(f"{title}: {error}") from None
            return value
        return as_data(title, value, like)

    def _as_value(self, name, value, prefix):
        """An override: a number, array or tensor."""
        if callable(value) and not isinstance(value, Tensor):
            raise TypeError(f"prepare: {prefix}{name} is a {type(value).__name__}, expected a number or a tensor in params")
        return self._as_source(name, value)

    def _fit(self, name, value):
        title = f"{type(self).__name__}: {name}"
        like = self.reference
        if not isinstance(value, Tensor):
            value = as_data(title, value, like)
        return fit(value.to(dtype=like.dtype, device=like.device), self._roles[name], title)

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_roles", ()):
            self._register(name, value, self._roles[name])
        else:
            super().__setattr__(name, value)

    def extra_repr(self) -> str:
        return ", ".join(
            f"{name}={_summary(getattr(self, name))}"
            for name in self._roles
            if name not in self._modules and getattr(self, name) is not None
        )


class Derived(nn.Module):
    """A parameter that is a function of others (the dynamic attributes of Abert et al. 2024, Sec. V B).

    Args:
        function: called with the values of the inputs, in order.
        inputs: tensors, nn.Parameters, numbers, Modules (functions of t and m by name) or other `Derived`.  One that is
            shared by several parameters is evaluated once.

    Example: `T = nn.Parameter(...); A = tm.Derived(lambda T: A0 * (1 - T / Tc), T)`.
    """

    def __init__(self, function: Callable, *inputs):
        super().__init__()
        if isinstance(function, nn.Module) or not callable(function):
            raise TypeError(f"Derived: function is a {type(function).__name__}, expected a function of the inputs' values")
        self.function = function
        self._inputs: dict[str, tuple[str, ...]] = {}
        for position, source in enumerate(inputs):
            self._take(f"input{position}", source, f"Derived: input {position}")

    @property
    def depends_on(self) -> tuple[str, ...]:
        """Which of t and m the value depends on, through any input."""
        return tuple(d for d in DRIVERS if any(d in drivers for drivers in self._inputs.values()))

    def _take(self, name, source, title):
        """Register the next input under a name."""
        if isinstance(source, nn.Parameter):
            self.register_parameter(name, source)
        elif isinstance(source, nn.Module):
            self.add_module(name, source)
        elif callable(source):
            self.__dict__[name] = source
        elif isinstance(source, Tensor):
            self.register_buffer(name, source)
        else:
            self.register_buffer(name, as_data(title, source, torch.empty((), dtype=torch.float64)))
        self._inputs[name] = depends_on(source)

    def inputs(self, cache: dict, t: Tensor | None = None, m: Tensor | None = None) -> list:
        """The values of the inputs, in order."""
        return [evaluate(getattr(self, name), drivers, cache, t, m) for name, drivers in self._inputs.items()]

    def forward(self, t: Tensor | None = None, m: Tensor | None = None) -> Tensor:
        return self.function(*self.inputs({}, t, m))


class Positive(nn.Module):
    """A trainable positive parameter, scale * softplus(raw).

    Args:
        value: initial value, number or tensor, > 0.
        scale: size of a unit step of the raw parameter; the largest initial value by default.
    """

    def __init__(self, value, scale: float | None = None, *, dtype=None, device=None):
        super().__init__()
        value = _initial("Positive", value, dtype)
        if not bool(((value > 0) & (value < math.inf)).all()):
            raise ValueError(f"Positive: value spans {value.min().item():g} to {value.max().item():g}, expected > 0 and finite")
        self.scale = float(value.max()) if scale is None else float(scale)
        if not 0 < self.scale < math.inf:
            raise ValueError(f"Positive: scale is {scale}, expected > 0 and finite")
        ratio = value / self.scale
        self.raw = nn.Parameter((ratio + torch.log(-torch.expm1(-ratio))).to(device))

    def forward(self) -> Tensor:
        return self.scale * nn.functional.softplus(self.raw)


class Bounded(nn.Module):
    """A trainable parameter within an interval, lo + (hi - lo) * sigmoid(raw); the initial value lies inside."""

    def __init__(self, value, lo: float, hi: float, *, dtype=None, device=None):
        super().__init__()
        value = _initial("Bounded", value, dtype)
        if not -math.inf < lo < hi < math.inf:
            raise ValueError(f"Bounded: the interval is ({lo}, {hi}), expected finite bounds lo < hi")
        if not bool(((value > lo) & (value < hi)).all()):
            raise ValueError(
                f"Bounded: value spans {value.min().item():g} to {value.max().item():g}, expected within ({lo:g}, {hi:g})"
            )
        self.lo, self.hi = float(lo), float(hi)
        self.raw = nn.Parameter(torch.logit((value - self.lo) / (self.hi - self.lo)).to(device))

    def forward(self) -> Tensor:
        value = self.lo + (self.hi - self.lo) * torch.sigmoid(self.raw)
        return value.clamp(self.lo, self.hi)  # against rounding


class UnitVector(nn.Module):
    """A trainable direction, raw / |raw|.

    Args:
        value: initial direction (3,), or (..., 3, *grid) with `dim` the axis of the components, counted from the end.
    """

    def __init__(self, value, dim: int | None = None, *, dtype=None, device=None):
        super().__init__()
        value = _initial("UnitVector", value, dtype)
        if dim is None and value.ndim != 1:
            raise ValueError(f"UnitVector: value has shape {tuple(value.shape)}; say which axis holds the components with dim=")
        self.dim = -1 if dim is None else dim
        if not -value.ndim <= self.dim < value.ndim or value.shape[self.dim] != 3:
            raise ValueError(f"UnitVector: value has shape {tuple(value.shape)}, expected 3 along axis {self.dim}")
        norm = torch.linalg.vector_norm(value, dim=self.dim, keepdim=True)
        if not bool(((norm > 0) & norm.isfinite()).all()):
            raise ValueError("UnitVector: value has a vector of length zero or not finite, which has no direction")
        self.raw = nn.Parameter((value / norm).to(device))

    def forward(self) -> Tensor:
        return nn.functional.normalize(self.raw, dim=self.dim)


def by_region(ids, values: Mapping[int, float], *, dtype=None, device=None):
    """A parameter map from region numbers.

    Args:
        ids: integer region of each cell, tensor or array (*cells).
        values: region -> number, tensor (0-d, or batched with its grid axes, such as (B, 1, 1)), nn.Parameter, Module or callable
            of t and m; every region in `ids` needs one.

    Returns:
        A tensor (*cells), or a `Derived` if a value is a tensor, nn.Parameter, Module or callable.
    Raises:
        ValueError: a region of `ids` without a value, or a value for a region that is not there.
    """
    ids = torch.as_tensor(ids, device=device)
    if ids.is_floating_point() or ids.is_complex():
        raise TypeError(f"by_region: ids is {ids.dtype}, expected integers")
    ids = ids.long()
    present, named = set(ids.unique().tolist()), set(values)
    if present != named:
        raise ValueError(f"by_region: regions without a value: {sorted(present - named)}; not in ids: {sorted(named - present)}")
    order = sorted(values)
    index = torch.searchsorted(torch.tensor(order, dtype=torch.int64, device=ids.device), ids)
    if any(isinstance(v, Tensor) or callable(v) for v in values.values()):
        return Derived(_Select(index), *(values[i] for i in order))
    return torch.tensor([float(values[i]) for i in order], dtype=dtype, device=ids.device)[index]


class _Select:
    """Picks per cell from one value per region; a class so that it pickles."""

    def __init__(self, index):
        self.index = index

    def __call__(self, *values):
        like = next((v for v in values if isinstance(v, Tensor)), torch.empty(()))
        values = [v if isinstance(v, Tensor) else torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in values]
        index = self.index.to(like.device)
        if not any(v.ndim for v in values):
            return torch.stack(values)[index]
        chosen = values[0].expand(torch.broadcast_shapes(values[0].shape, index.shape))
        for number, value in enumerate(values[1:], 1):
            chosen = torch.where(index == number, value, chosen)
        return chosen


def depends_on(source) -> tuple[str, ...]:
    """Which of t and m a parameter's source takes.

    Raises:
        TypeError: any other argument in the signature of a Module's forward or of a callable.
    """
    if isinstance(source, Derived):
        return source.depends_on
    if isinstance(source, Tensor) or not callable(source):
        return ()
    function = source.forward if isinstance(source, nn.Module) else source
    try:
        arguments = inspect.signature(function).parameters.values()
        wrong = [a.name for a in arguments if a.name not in DRIVERS]
    except ValueError:
        wrong = ["arguments that its signature does not tell"]
    if wrong:
        name = " ".join(filter(None, (type(source).__name__, getattr(source, "__name__", None))))
        raise TypeError(
            f"{name} takes {', '.join(wrong)}; a parameter may take t and m "
            f"only, by these names: close over constants, or use torchmag.Derived(fn, *inputs)"
        )
    return tuple(a.name for a in arguments)


def evaluate(source, drivers: Sequence[str], cache: dict, t: Tensor | None = None, m: Tensor | None = None):
    """The value of a tensor, Module or callable that takes `drivers`; one met twice with the same `cache` is evaluated once."""
    if isinstance(source, Tensor):
        return source
    if id(source) not in cache:
        if isinstance(source, Derived):
            value = source.function(*source.inputs(cache, t, m))
        else:
            value = source(**{name: t if name == "t" else m for name in drivers})
        cache[id(source)] = value
    return cache[id(source)]


def _on_grid(value, role, batch_axes):
    """A uniform value with grid axes of 1 where its source says how many axes of a batch it has (see `Samples`)."""
    if not batch_axes or tuple(value.shape[batch_axes:]) != role.kind.shape:
        return value
    return value.reshape(*value.shape, *(1,) * len(role.grid))


def fit(value: Tensor, role: Role, title: str) -> Tensor:
    """A value as it enters the formulas: shape checked, uniform tensors given grid axes of 1, directions normalised."""
    value = to_grid(value, role.kind.shape, role.grid, title, "nodes" if role.kind.nodal else "cells")
    if role.kind.unit:
        norm = torch.linalg.vector_norm(value, dim=-len(role.grid) - 1, keepdim=True)
        value = value / (norm + (norm == 0))
    return value


def as_data(title: str, value, like: Tensor) -> Tensor:
    """A number, sequence of numbers or array as a tensor like another one."""
    if isinstance(value, bool) or not isinstance(value, (Real, np.ndarray, np.generic, Sequence)) or isinstance(value, str):
        raise TypeError(
            f"{title} is a {type(value).__name__}, expected a number, a tensor, an nn.Parameter, an nn.Module or a callable of t and m"
        )
    if isinstance(value, int | float):
        return torch.full((), value, dtype=like.dtype, device=like.device)
    if isinstance(value, list | tuple) and (torch.compiler.is_compiling() or any(isinstance(v, Tensor) for v in value)):
        # The components of a drive: NumPy would cut their graph, and does not compile.
        parts = [v.to(like) if isinstance(v, Tensor) else as_data(title, v, like) for v in value]
        return torch.stack(torch.broadcast_tensors(*parts))
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iuf":
            raise TypeError(f"{array.dtype} values")
        return torch.tensor(array, dtype=like.dtype, device=like.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{title} holds {error}, expected numbers") from None


def _initial(title, value, dtype):
    """An initial value as a floating-point tensor of its own."""
    if not isinstance(value, Tensor):
        return as_data(f"{title}: value", value, torch.empty((), dtype=dtype or torch.get_default_dtype()))
    if value.is_complex() or value.dtype == torch.bool:
        raise TypeError(f"{title}: value is {value.dtype}, expected real numbers")
    return value.detach().to(dtype or (value.dtype if value.is_floating_point() else torch.get_default_dtype()), copy=True)


def _require_one_batch(resolved, of_m=()):
    """Raise unless the batch axes of m and all values broadcast."""
    seen, common = {"m": of_m} if of_m else {}, of_m
    for name, role, value in resolved:
        batch = tuple(value.shape[: max(0, value.ndim - role.axes)])
        try:
            common = tuple(torch.broadcast_shapes(common, batch)) if batch else common
        except RuntimeError:
            others = ", ".join(f"{other} {shape}" for other, shape in seen.items())
            raise ValueError(
                f"the batch of {name}, {batch}, does not broadcast against that of others ({others}); samples are counted "
                f"from the right, as in NumPy: give axes of 1 where a parameter is shared"
            ) from None
        if batch:
            seen[name] = batch


def _check_values(title, value, role):
    value = value.detach()
    if role.kind.unit and not bool((torch.linalg.vector_norm(value, dim=-len(role.grid) - 1) > 0.5).all()):
        raise ValueError(f"{title} has a zero vector, which has no direction; give every cell a direction, vacuum too")
    if bool((torch.isfinite(value) & (value >= role.lower) & (value <= role.upper)).all()):
        return
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{title} is not finite ({int((~torch.isfinite(value)).sum())} of {value.numel()} values)")
    if not bool((value >= role.lower).all()):
        raise ValueError(f"{title} has a minimum of {value.min().item():g}, expected >= {role.lower:g}")
    if not bool((value <= role.upper).all()):
        raise ValueError(f"{title} has a maximum of {value.max().item():g}, expected <= {role.upper:g}")


def _summary(value):
    if not isinstance(value, Tensor):
        return getattr(value, "__name__", type(value).__name__)
    if value.numel() == 1:
        return f"{value.item():g}" if value.device.type != "meta" else "meta"
    return f"Tensor{tuple(value.shape)}"
