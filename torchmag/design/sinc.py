import torch
from torch import Tensor

from torchmag.design.pulse import Pulse, as_time


class SincPulse(Pulse):
    """A cardinal sine in time, amplitude(t) = sin(x) / x with x = 2 pi cutoff (t - center).

    It excites all frequencies below the cutoff alike and none above.  The field begins at t = 0 with sinc(2 cutoff center): a
    centre of some tens over the cutoff keeps that small.

    Args:
        profile: see `Pulse`.
        center: time of the maximum, s.
        cutoff: highest frequency, Hz, > 0.
            Both: a number, a tensor (*batch), an nn.Parameter or a Module.
    """

    timing = ("center", "cutoff")

    def __init__(self, profile, center, cutoff, *, dtype=None, device=None):
        super().__init__(profile, dtype=dtype, device=device)
        self.take("center", center)
        self.take("cutoff", cutoff, lower=0.0)

    def amplitude(self, t) -> Tensor:
        return torch.sinc(2 * self.exact("cutoff") * (as_time(t) - self.exact("center")))
