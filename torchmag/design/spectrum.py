import math
from numbers import Real

import torch
from torch import Tensor, nn

WINDOWS = ("none", "hann")


class Spectrum(nn.Module):
    """Complex amplitudes at given frequencies of anything sampled at uniform times, as a layer.

    A(f) = 2 / sum_n w_n sum_n w_n (x_n - <x>) exp(-2 pi i f t_n), <x> the mean under the window w, so that
    x = c + a cos(2 pi f t + phase) gives a exp(i phase): exact for multiples of 1 / (T dt) that lie apart (by two or more with
    "hann"), elsewhere up to leakage.  It follows a `RegionAverage`, or a trajectory itself for an amplitude per node;
    `.abs() ** 2` is the power.

    Args:
        t: the times, s, uniform, at least two.
        frequencies: (F,), Hz, each above 0 and below half of the sampling rate.
        window: "none", or "hann", whose leakage falls off as the cube of the distance in frequency.
        device: of the buffers.

    Shape: (T, *any) -> (F, *any), complex.
    Raises:
        ValueError: times that are not uniform, frequencies out of range, an unknown window, a wrong number of samples.
    """

    def __init__(self, t, frequencies, *, window: str = "none", device=None):
        super().__init__()
        given = torch.as_tensor(t, device=device).detach()
        rounding = torch.finfo(given.dtype).eps if given.is_floating_point() else 0.0
        t = given.double()
        if t.ndim != 1 or len(t) < 2:
            raise ValueError(f"Spectrum: t has shape {tuple(t.shape)}, expected at least two times in s")
        steps = t.diff()
        step = float((t[-1] - t[0]) / (len(t) - 1))
        if not 0 < step < math.inf or not bool(((steps - step).abs() < 1e-6 * step + 4 * rounding * t.abs().max()).all()):
            raise ValueError("Spectrum: t is not uniform and increasing; sample the trajectory at equal intervals")
        f = torch.as_tensor([frequencies] if isinstance(frequencies, Real) else frequencies, dtype=torch.float64, device=device)
        if f.ndim != 1 or not len(f):
            raise ValueError(f"Spectrum: frequencies has shape {tuple(f.shape)}, expected (F,) in Hz")
        if not bool(((f > 0) & (f < 0.5 / step)).all()):
            raise ValueError(
                f"Spectrum: frequencies span {f.min().item():g} to {f.max().item():g} Hz, expected above 0 and below half "
                f"of the sampling rate, {0.5 / step:g} Hz"
            )
        if window not in WINDOWS:
            raise ValueError(f"Spectrum: window = {window!r}, expected one of {', '.join(WINDOWS)}")
        self.window = window
        self.register_buffer("frequencies", f)
        self.register_buffer("t", t)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[:1] != self.t.shape:
            raise ValueError(f"Spectrum: got {tuple(x.shape)}, expected (T, ...) with T = {len(self.t)} times")
        w = self._weights().to(x.dtype)
        phase = -2 * math.pi * self.frequencies[:, None] * self.t
        flat = x.reshape(len(self.t), -1)
        flat = flat - w @ flat
        real, imag = (2 * w * part.to(x.dtype) @ flat for part in (torch.cos(phase), torch.sin(phase)))
        return torch.complex(real, imag).reshape(-1, *x.shape[1:])

    def _weights(self):
        """The window, of sum 1."""
        count = len(self.t)
        w = torch.ones_like(self.t)
        if self.window == "hann":
            w = torch.hann_window(count, dtype=torch.float64, device=self.t.device)
        return w / w.sum()

    def _apply(self, fn, recurse=True):
        t, f = self.t, self.frequencies
        super()._apply(fn, recurse)
        if "meta" not in (t.device.type, self.t.device.type):
            # Phases need all digits.
            self.t, self.frequencies = t.to(self.t.device), f.to(self.t.device)
        return self

    def extra_repr(self) -> str:
        return f"frequencies={tuple(self.frequencies.shape)}, times={len(self.t)}, window={self.window}"
