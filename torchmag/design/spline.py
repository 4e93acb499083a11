import torch
from torch import Tensor

from torchmag.design.pulse import Pulse, as_time, as_trainable
from torchmag.geometry.sizes import check_tail


class SplinePulse(Pulse):
    """A pulse through values at given times that trains: the natural cubic spline (second derivative 0 at both ends).

    Before the first and after the last time the amplitude stays at the first and the last value.

    Args:
        profile: see `Pulse`.
        times: of the knots, s, at least two, increasing, (K,).
        values: initial amplitudes at the knots, (*batch, K); they train (`requires_grad_(False)` fixes them).

    Raises:
        ValueError: times that do not increase, shapes that do not fit.
    """

    timing = ("times", "curvature")

    def __init__(self, profile, times, values, *, dtype=None, device=None):
        super().__init__(profile, dtype=dtype, device=device)
        times = torch.as_tensor(times, dtype=torch.float64).detach()
        if times.ndim != 1 or len(times) < 2 or not bool((times.diff() > 0).all()) or not bool(times.isfinite().all()):
            raise ValueError(f"SplinePulse: times is {times.tolist()}, expected at least two increasing times in s")
        self.register_buffer("times", times.to(device, copy=True))
        self.take("values", as_trainable("SplinePulse: values", values, ("K",), dtype, device), tail=(None,))
        check_tail("SplinePulse: values", self.exact("values"), (len(times),))
        self.register_buffer("curvature", _curvature(times).to(device), persistent=False)

    def amplitude(self, t) -> Tensor:
        values, width = self.exact("values"), self.times.diff()
        curvature = values @ self.curvature.T
        # Each interval adds its change up to t: no index that depends on t.
        u = ((as_time(t) - self.times[:-1]) / width).clamp(0, 1)
        rest = 1 - u
        bend = (rest**3 - rest) * curvature[..., :-1] + (u**3 - u) * curvature[..., 1:]
        return values[..., 0] + (u * values.diff() + (width / self.times.diff().mean()) ** 2 / 6 * bend).sum(-1)

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self.curvature = _curvature(self.times)


def _curvature(times):
    """The matrix that gives the second derivatives at the knots from the values, per square of the mean interval.

    Rows 1 ... K - 2 state that the slope is continuous, h_(i-1) s_(i-1) + 2 (h_(i-1) + h_i) s_i + h_i s_(i+1) =
    6 (v_(i+1) - v_i) / h_i - 6 (v_i - v_(i-1)) / h_(i-1), the others s = 0.
    """
    h = times.diff() / times.diff().mean()
    system = torch.eye(len(times), dtype=torch.float64, device=times.device)
    slopes = torch.zeros_like(system)
    for i in range(1, len(times) - 1):
        before, after = h[i - 1], h[i]
        system[i, i - 1 : i + 2] = torch.stack([before, 2 * (before + after), after])
        slopes[i, i - 1 : i + 2] = 6 * torch.stack([1 / before, -1 / before - 1 / after, 1 / after])
    return torch.linalg.solve(system, slopes)
