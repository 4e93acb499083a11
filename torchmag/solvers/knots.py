"""Times that steps under error control end at: those of sampled drives.

Between two of them such a drive is smooth.  Step control alone would pay for each kink, and would not see a pulse at all that lies
within a step: at an equilibrium without a drive the error is zero, and so steps grow without bound.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Knots nearer to each other than this part of the shortest interval of a drive are one: they come from different roundings.
SAME = 1e-6


def to_next_knot(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What gives the time from t (*samples), s, to the next knot of any drive inside a module; None if there are no knots.

    A drive tells its knots as the attribute `knots`, s, increasing, (K,) (see `Samples`).
    """
    found = [part.knots for part in module.modules() if hasattr(part, "knots")]
    if not found:
        return None
    near = SAME * min(float(times.diff().min()) for times in found)
    knots = torch.cat([times.detach().to(torch.float64) for times in found]).sort().values
    knots = knots[torch.cat([knots.new_ones(1, dtype=torch.bool), knots.diff() > near])]
    end = knots.new_full((1,), torch.inf)

    def reach(t):
        limits = torch.cat([knots, end]).to(t.device)
        return limits[torch.searchsorted(limits, t + near, right=True)] - t

    return reach
