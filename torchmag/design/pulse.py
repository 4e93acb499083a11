"""Pulses: an amplitude in time times a profile in space."""

import torch
from torch import Tensor, nn

from torchmag.geometry.sizes import Sized


class Pulse(Sized):
    """amplitude(t) times a profile: a drive for `H=` of a Zeeman term, `j=`, or the `current=` of an AntennaField.

    A subclass gives `amplitude(t)`, dimensionless, and names what it holds in seconds or hertz in `timing`: these buffers
    stay float64 whatever the module is converted to.

    Args:
        profile: what one unit of amplitude means: a number (a scalar drive), (3,) or (3, *nodes); a buffer if it is a number or
            tensor, trainable if it is an nn.Parameter or a Module without arguments (`tm.UnitVector`).  The batch axes of an
            amplitude come in front of those of the profile; beside a batched amplitude a uniform vector is (3, 1[, 1, 1]).
        dtype, device: of the profile given as numbers; torch's defaults.

    Shape: t, 0-d in s -> (*batch, *profile), of the profile's dtype.  `torch.func.vmap(pulse.amplitude)(times)` gives many times.
    """

    timing: tuple[str, ...] = ()

    def __init__(self, profile, *, dtype: torch.dtype | None = None, device=None):
        super().__init__()
        if isinstance(profile, Tensor):
            profile = profile if isinstance(profile, nn.Parameter) else profile.to(dtype=dtype, device=device)
        self.take("profile", profile)
        if not isinstance(profile, (Tensor, nn.Module)):
            self.profile = self.profile.to(dtype=dtype or torch.get_default_dtype(), device=device)
        if isinstance(self.profile, Tensor):
            self._check_profile(self.profile)

    def amplitude(self, t) -> Tensor:
        """The amplitude at time t, s: (*batch), float64."""
        raise NotImplementedError(f"{type(self).__name__}: a pulse defines amplitude(t)")

    def forward(self, t) -> Tensor:
        return self._times_profile(self.amplitude(as_time(t)))

    def _times_profile(self, amplitude):
        profile = self.profile() if isinstance(self.profile, nn.Module) else self.profile
        amplitude = amplitude.to(dtype=profile.dtype, device=profile.device)
        return amplitude.reshape((*amplitude.shape, *(1,) * profile.ndim)) * profile

    def exact(self, name: str) -> Tensor:
        """A size in float64: (*batch, ...)."""
        source = getattr(self, name)
        return (source() if isinstance(source, nn.Module) else source).to(torch.float64)

    def _check_profile(self, profile):
        if profile.ndim and 3 not in profile.shape:
            name = type(self).__name__
            raise ValueError(f"{name}: profile has shape {tuple(profile.shape)}, expected a number, (3,) or (3, *nodes)")

    def _apply(self, fn, recurse=True):
        before = {name: self._buffers[name] for name in self.timing if name in self._buffers}
        super()._apply(fn, recurse)
        for name, value in before.items():
            # The phase 2 pi f t of a late time needs all digits of f.
            moved = self._buffers[name]
            self._buffers[name] = moved if "meta" in (value.device.type, moved.device.type) else value.to(moved.device)
        return self


def as_time(t) -> Tensor:
    """A time in s in float64."""
    return t.to(torch.float64) if isinstance(t, Tensor) else torch.full((), t, dtype=torch.float64)


def as_trainable(title: str, value, tail: tuple[int | None, ...], dtype, device) -> nn.Module | nn.Parameter:
    """A table of values that trains: an nn.Parameter or Module as it is, anything else a new nn.Parameter.

    Args:
        tail: its last axes, None for any length.
    """
    if isinstance(value, nn.Module | nn.Parameter):
        return value
    if not isinstance(value, Tensor):
        try:
            value = torch.tensor(value, dtype=dtype or torch.get_default_dtype(), device=device)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{title} holds {error}, expected numbers of shape (*batch, {', '.join(map(str, tail))})") from None
    if not value.is_floating_point():
        raise TypeError(f"{title} is {value.dtype}, expected a floating-point tensor")
    return nn.Parameter(value.detach().to(dtype=dtype, device=device, copy=True))
