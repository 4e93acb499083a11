import math

import torch
from torch import Tensor

from torchmag.design.pulse import Pulse, as_time


class GaussianPulse(Pulse):
    """A Gaussian in time, with a carrier if there is a frequency:
    amplitude(t) = exp(-(t - center)^2 / (2 width^2)) cos(2 pi frequency (t - center) + phase).

    Its spectrum is a Gaussian around the frequency with the standard deviation 1 / (2 pi width).

    Args:
        profile: see `Pulse`.
        center: time of the maximum, s.
        width: standard deviation, s, > 0.
        frequency: of the carrier, Hz.
        phase: rad.
            All four: a number, a tensor (*batch), an nn.Parameter or a Module such as `tm.Bounded`, which keeps a trained
            time at the scale of its interval.
    """

    timing = ("center", "width", "frequency", "phase")

    def __init__(self, profile, center, width, frequency=0.0, phase=0.0, *, dtype=None, device=None):
        super().__init__(profile, dtype=dtype, device=device)
        self.take("center", center)
        self.take("width", width, lower=0.0)
        self.take("frequency", frequency)
        self.take("phase", phase)

    def amplitude(self, t) -> Tensor:
        t = as_time(t) - self.exact("center")
        envelope = torch.exp(-0.5 * (t / self.exact("width")) ** 2)
        return envelope * torch.cos(2 * math.pi * self.exact("frequency") * t + self.exact("phase"))
