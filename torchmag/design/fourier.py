import math

import torch
from torch import Tensor

from torchmag.design.pulse import Pulse, as_time, as_trainable
from torchmag.geometry.sizes import check_tail


class FourierPulse(Pulse):
    """A pulse as a sum of oscillations that trains, amplitude(t) = sum_k a_k cos(2 pi f_k t) + b_k sin(2 pi f_k t).

    Args:
        profile: see `Pulse`.
        coefficients: initial values of a (first row) and b (second row), (*batch, 2, K); they train (`requires_grad_(False)`
            fixes them).
        period: s; the frequencies are 0, 1, ..., K - 1 over the period (b_0 has no effect).
        frequencies: instead of a period: (K,) in Hz; numbers, an nn.Parameter or a Module such as `tm.Positive`.

    Raises:
        ValueError: both or none of period and frequencies, wrong shapes.
    """

    timing = ("frequencies",)

    def __init__(self, profile, coefficients, *, period: float | None = None, frequencies=None, dtype=None, device=None):
        super().__init__(profile, dtype=dtype, device=device)
        title = "FourierPulse: coefficients"
        self.take("coefficients", as_trainable(title, coefficients, (2, "K"), dtype, device), tail=(2, None))
        count = self.exact("coefficients").shape[-1]
        if (period is None) == (frequencies is None):
            raise ValueError("FourierPulse: give either period (s) or frequencies (Hz)")
        if period is not None:
            if not 0 < period < math.inf:
                raise ValueError(f"FourierPulse: period = {period}, expected a positive time in s")
            frequencies = [k / period for k in range(count)]
        self.take("frequencies", frequencies, tail=(None,))
        if device is not None and "frequencies" in self._buffers:
            self.frequencies = self.frequencies.to(device)
        check_tail("FourierPulse: frequencies", self.exact("frequencies"), (count,))

    def amplitude(self, t) -> Tensor:
        phase = 2 * math.pi * self.exact("frequencies") * as_time(t)
        a, b = self.exact("coefficients").unbind(-2)
        return (a * torch.cos(phase) + b * torch.sin(phase)).sum(-1)
