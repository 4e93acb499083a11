import math

import numpy as np
import torch
from torch import Tensor, nn

from torchmag.design.pulse import Pulse, as_time
from torchmag.design.waveform_file import read_waveform

INTERPOLATIONS = {"linear": 1, "cubic": 3}
OUTSIDE = ("hold", "zero")


class Samples(Pulse):
    """A measured drive: values at given times, interpolated.

    It stands where a parameter of a term or torque stands (`H=`, `j=`, the `current=` of an AntennaField).

    Steps under error control end at its times: kinks cost no accuracy and no pulse is stepped over, but more times than the motion
    needs make more steps.

    "linear" joins the values; "cubic" is the cubic Hermite interpolant with the slopes of the parabolas through three neighbours
    (third order, its first derivative is continuous, no value reaches further than two intervals).  Each evaluation reads two or
    four rows of the table, whatever its length.

    Args:
        t: times, s, increasing, (T,).
        values: (T,), a vector (T, 3), or one for each sample of a batch, (*batch, T) or (*batch, T, 3); in the unit of the parameter,
            or of whatever unit the profile is multiplied by.  An nn.Parameter trains.
        profile: in space, multiplied by the values at the time of the evaluation, so that nothing of the size (T, *nodes) is formed:
            for values (*batch, T) what the parameter takes without its batch, such as (3,), (3, *nodes) or (*cells); for vectors
            a scalar map (*nodes).  A tensor is a buffer, an nn.Parameter or a Module without arguments trains.
        interpolation: "linear" or "cubic".
        outside: "hold" keeps the first and the last value before and after the times, "zero" is zero there.
        vector: whether the last axis of `values` is x, y, z; needed where the shape does not tell (three times, three components).
        dtype, device: of values and profile; those of `values` by default, float64 for numbers.

    Shape: t, 0-d in s -> (*batch, *profile), (*batch, 3) or (*batch, 3, *nodes).  A uniform value of a batch needs no grid axes.
    Raises:
        ValueError: times that do not increase, values of another length than the times, values or times that are not finite.
        TypeError: values that are no real numbers.
    """

    timing = ("times", "basis")

    def __init__(
        self,
        t,
        values,
        *,
        profile=None,
        interpolation: str = "linear",
        outside: str = "hold",
        vector: bool | None = None,
        dtype: torch.dtype | None = None,
        device=None,
    ):
        values = _as_values(values, dtype, device)
        profile = torch.ones((), dtype=values.dtype, device=values.device) if profile is None else profile
        super().__init__(profile, dtype=dtype or values.dtype, device=device if device is not None else values.device)
        if interpolation not in INTERPOLATIONS or outside not in OUTSIDE:
            raise ValueError(f"Samples: interpolation = {interpolation!r}, outside = {outside!r}, expected "
                             f"{' or '.join(map(repr, INTERPOLATIONS))} and {' or '.join(map(repr, OUTSIDE))}")  # fmt: skip
        times = _as_times(t, INTERPOLATIONS[interpolation] + 1, interpolation)
        self.interpolation, self.outside = interpolation, outside
        self.vector = _is_vector(values, len(times), vector)
        _require_finite(values, times, self.vector)
        self.register_buffer("times", times.to(values.device))
        if isinstance(values, nn.Parameter):
            self.register_parameter("values", values)
        else:
            self.register_buffer("values", values)
        self._tabulate()

    @classmethod
    def load(cls, path, *, t=None, rate: float | None = None, start: float = 0.0, columns=None, scale: float = 1.0, **options):
        """A waveform from a file.

        Args:
            path: a .csv (numbers with commas, a header if there is one; the first column is the time, s), or a .npy that holds
                the values alone, (T,), (T, 3), (*batch, T) or (*batch, T, 3).
            t: the times of a .npy, s, (T,).
            rate: samples per second: gives the times of a .npy, start + k / rate; the times of a .csv must agree with it.
            start: first time of a .npy with a rate, s.
            columns: which columns of a .csv are values, by name or number (the time is number 0): one, or three for a vector.
                Default: all but the first.
            scale: multiplies the values, such as 1 / tm.mu_0 for a file in tesla.
            options: those of `Samples`.

        Raises:
            FileFormatError: a file that holds no such numbers; it names the file and the line.
            ValueError: another sampling rate than stated, no times, and what `Samples` raises.
        """
        times, values, is_vector = read_waveform(path, t=t, rate=rate, start=start, columns=columns)
        if is_vector is not None:
            options = {"vector": is_vector} | options
        try:
            return cls(times, scale * values, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @property
    def knots(self) -> Tensor:
        """The times, at which steps under error control end."""
        return self.times

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The batch of the values."""
        return tuple(self.values.shape[: self.values.ndim - 1 - self.vector])

    def amplitude(self, t) -> Tensor:
        """The value at time t, s: (*batch) or (*batch, 3), float64."""
        rows, weights = self._read(as_time(t).to(self.times.device).reshape(1))
        axis = -1 - self.vector
        found = self.values.index_select(axis, rows[0]).to(torch.float64)
        return (found * weights[0].reshape(-1, *(1,) * self.vector)).sum(axis)

    def at_times(self, t: Tensor, samples=None) -> Tensor:
        """The drive where each sample of a batch has a time of its own: t (*batch) -> (*batch, *profile)."""
        values = self.values if samples is None else samples.take(self.values, 1 + self.vector)
        row_shape = values.shape[values.ndim - 1 - self.vector :]
        rows, weights = self._read(t.to(device=self.times.device, dtype=torch.float64).reshape(-1))
        if values.numel() == row_shape.numel():
            found = values.reshape(row_shape).index_select(0, rows.reshape(-1)).reshape(*rows.shape, *row_shape[1:])
        else:
            each = values.expand(*t.shape, *row_shape).reshape(t.numel(), *row_shape)
            found = each.gather(1, rows.unsqueeze(-1).expand(-1, -1, 3) if self.vector else rows)
        found = (found.to(torch.float64) * weights.reshape(*weights.shape, *(1,) * self.vector)).sum(1)
        return self._times_profile(found.reshape(*t.shape, *row_shape[1:]))

    def _read(self, t):
        """Which rows of the table count at times (N,), and their weights: both (N, rows)."""
        interval = (torch.searchsorted(self.times, t.detach(), right=True) - 1).clamp(0, len(self.times) - 2)
        start, end = (self.times.index_select(0, interval + side) for side in (0, 1))
        u = ((t - start) / (end - start)).clamp(0, 1).unsqueeze(-1)
        basis = self.basis.index_select(0, interval)
        # Horner's scheme: the highest power first.
        weights = basis[:, -1]
        for power in range(basis.shape[1] - 2, -1, -1):
            weights = weights * u + basis[:, power]
        if self.outside == "zero":
            weights = weights * ((t >= self.times[0]) & (t <= self.times[-1])).unsqueeze(-1)
        return self.first.index_select(0, interval).unsqueeze(-1) + self.count, weights

    def extra_repr(self) -> str:
        what = (
            f"{len(self.times)} times from {self.times[0]:g} to {self.times[-1]:g} s, "
            if self.times.device.type != "meta"
            else ""
        )
        return f"{what}values={tuple(self.values.shape)}, interpolation={self.interpolation!r}, outside={self.outside!r}"

    def _check_profile(self, profile):
        # Any map: the parameter checks its shape.
        if profile.device.type != "meta" and not bool(profile.detach().isfinite().all()):
            raise ValueError("Samples: profile is not finite everywhere")

    def _tabulate(self):
        """`basis` (T - 1, powers of u, rows): what weight each row of an interval has; `first`: its first row."""
        rows = INTERPOLATIONS[self.interpolation] + 1
        last = len(self.times) - rows
        interval = torch.arange(len(self.times) - 1, device=self.times.device)
        first = (interval - rows // 2 + 1).clamp(0, last)
        table = _lines(first) if rows == 2 else _hermite(self.times, interval, first)
        self.register_buffer("basis", table.to(torch.float64), persistent=False)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("count", torch.arange(rows, device=first.device), persistent=False)

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self._tabulate()


def _lines(first):
    return torch.tensor([[1.0, 0.0], [-1.0, 1.0]], device=first.device).expand(len(first), 2, 2)


def _hermite(times, interval, first):
    """Cubics through both ends of an interval, with the slopes of the parabolas through three neighbours at both."""
    at = times[first[:, None] + torch.arange(4, device=times.device)]
    width = times[interval + 1] - times[interval]
    place = interval - first
    one = torch.eye(4, dtype=torch.float64, device=times.device)
    ends = [one[place], one[place + 1]]
    slopes = [width[:, None] * _slope(at, (place + side).clamp(1, 2), place + side) for side in (0, 1)]
    # Powers of u, lowest first, of the values and the slopes at both ends.
    table = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [-3, 3, -2, -1], [2, -2, 1, 1]], dtype=torch.float64, device=times.device)
    return torch.einsum("pk,kin->ipn", table, torch.stack([*ends, *slopes]))


def _slope(at, middle, where):
    """The derivative at row `where` of the parabola through rows middle - 1, middle and middle + 1, as weights of four rows."""
    found = torch.zeros_like(at)
    x = at.gather(1, where[:, None])[:, 0]
    nodes = [middle - 1, middle, middle + 1]
    a, b, c = (at.gather(1, k[:, None])[:, 0] for k in nodes)
    for k, (own, p, q) in zip(nodes, ((a, b, c), (b, a, c), (c, a, b))):
        found.scatter_(1, k[:, None], ((2 * x - p - q) / ((own - p) * (own - q)))[:, None])
    return found


def _as_times(t, least, interpolation):
    try:
        times = torch.as_tensor(t, dtype=torch.float64).detach().clone()
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"Samples: t is a {type(t).__name__}, expected times in s, (T,)") from None
    if times.ndim != 1 or len(times) < least:
        raise ValueError(f"Samples: t has shape {tuple(times.shape)}, expected (T,) with T >= {least} for {interpolation!r}")
    if times.device.type != "meta":
        if not bool(times.isfinite().all()):
            first = int((~times.isfinite()).nonzero()[0])
            raise ValueError(f"Samples: t[{first}] = {times[first]:g}, expected finite times in s")
        if not bool((times.diff() > 0).all()):
            first = int((times.diff() <= 0).nonzero()[0])
            raise ValueError(f"Samples: t must increase, but t[{first}] = {times[first]:g} s is followed by {times[first + 1]:g} s; "
                             f"sort them, and the values with them")  # fmt: skip
    return times


def _as_values(values, dtype, device):
    if isinstance(values, nn.Parameter):
        if not values.is_floating_point() or dtype not in (None, values.dtype):
            raise TypeError(f"Samples: values is an nn.Parameter of {values.dtype}, expected {dtype or 'a floating-point one'}")
        return values
    try:
        found = values if isinstance(values, Tensor) else torch.as_tensor(np.asarray(values))
        if found.is_complex() or found.dtype == torch.bool:
            raise TypeError(str(found.dtype))
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"Samples: values holds {error}, expected real numbers (T,), (T, 3), (*batch, T) or (*batch, T, 3)"
        ) from None
    kept = isinstance(values, Tensor) and found.is_floating_point()
    return found.to(dtype=dtype or (found.dtype if kept else torch.float64), device=device)


def _is_vector(values, count, vector):
    shape = tuple(values.shape)
    may = {False: shape[-1:] == (count,), True: shape[-2:] == (count, 3)}
    if all(may.values()) and vector is None:
        raise ValueError(
            f"Samples: values has shape {shape} for three times: 3 waveforms or one of vectors? Give vector=True or False"
        )
    fitting = [kind for kind, fits in may.items() if fits and vector in (None, kind)]
    if not fitting:
        kinds = {False: "(*batch, T)", True: "(*batch, T, 3)"}
        wanted = " or ".join(kinds[kind] for kind in (False, True) if vector in (None, kind))
        raise ValueError(f"Samples: values has shape {shape}, t has {count} times: expected {wanted} with T = {count}; "
                         f"values sampled at another rate need times of their own")  # fmt: skip
    return fitting[0]


def _require_finite(values, times, vector):
    if values.device.type == "meta":
        return
    bad = ~values.detach().isfinite()
    if not bool(bad.any()):
        return
    bad = bad.any(-1) if vector else bad
    place = bad.nonzero()[0].tolist()
    *sample, row = place
    of = f" of sample {tuple(sample)}" if sample else ""
    raise ValueError(f"Samples: values is not finite at {int(bad.sum())} of {math.prod(bad.shape)} times, the first at row {row}{of} "
                     f"(t = {times[row]:g} s); leave these times out or fill them")  # fmt: skip
