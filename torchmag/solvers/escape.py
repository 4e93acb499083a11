"""What a search ended at: a minimum, or a saddle that it can leave."""

import warnings
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from torchmag.energy import Energy, Sum
from torchmag.errors import StabilityWarning
from torchmag.solvers.descent import Search, begin
from torchmag.solvers.hessian import hessian_at
from torchmag.solvers.sphere import Landscape
from torchmag.solvers.stability import NEUTRAL, softest

# A search that made no step is looked at unasked if m has so many numbers at most.
CHEAP = 2**17
# Turn of the node that turns most, rad, along an unstable direction, and how often that is tried.
STEP, ESCAPES = 0.1, 10


def settle(
    descend: Callable[[], dict[str, Tensor]],
    search: Search,
    make: Callable[[], Landscape],
    start: Tensor,
    tolerance: float,
    check: bool,
    escape: bool,
    title: str,
    unasked: bool,
) -> tuple[dict[str, Tensor], bool | None]:
    """Go down, look at the curvature where asked for or where no step was made, and leave saddles if wished.

    Args:
        descend: goes on from where `search` is, and gives m and residual.
        make: the landscape, without compiled code.
        start: where the search began.
        check, escape: as in `minimize`.
        unasked: whether a search that made no step may be looked at.

    Returns:
        What `descend` gave last, and whether m is a minimum; None if that is not known of all samples.
    Warns:
        StabilityWarning: samples that stay at a saddle.
    """
    found, landscape = descend(), None
    for number in range(ESCAPES + 1):
        m, at_rest = found["m"], found["residual"] <= tolerance
        still = torch.zeros_like(at_rest) if number else (m == start).reshape(at_rest.numel(), -1).all(-1).reshape(at_rest.shape)
        looked = at_rest if check or escape else at_rest & still & (unasked and m.numel() <= CHEAP)
        if not bool(looked.any()):
            return found, None
        landscape = landscape or make()
        if not bool(landscape.moving.any()):
            return found, None
        unstable, direction, curvature = _downhill(landscape, m, looked)
        if not bool(unstable.any()):
            return found, True if bool(looked.all()) else None
        if not escape or number == ESCAPES:
            break
        turned = torch.where(unstable, landscape.turn(m, direction), m)
        at = search.at
        search.at = replace(begin(landscape, turned), steps=at.steps + 1, evaluations=at.evaluations + 1)
        found = descend()
    _warn(unstable, still, curvature, title, number)
    return found, False


def _downhill(landscape, m, looked):
    """Which of the samples looked at are no minima, a turn of each down its softest direction, and the curvature along it, A/m."""
    hessian = hessian_at(landscape, m)
    curvature, x, _ = softest(hessian, 1, sign_only=True)
    curvature = curvature.reshape(looked.shape)
    v = hessian.tangent.fields(x)[0]
    v = v * (STEP / landscape.longest(v).clamp(min=torch.finfo(v.dtype).tiny))
    h = landscape.field(m)
    up, down = (landscape.turn(m, sign * v) for sign in (1, -1))
    rises = [landscape.rise(m, h, x, landscape.field(x)) for x in (up, down)]
    return looked & (curvature < -NEUTRAL[m.dtype]), torch.where(rises[1] < rises[0], -v, v), curvature * landscape.scale


def _warn(unstable, still, curvature, title, number):
    one = bool(still[unstable].any())
    where = (
        "" if unstable.numel() == 1 else f" (sample {int(unstable.reshape(-1).nonzero()[0, 0])}, {int(unstable.sum())} in all)"
    )
    ended = "m0 is an equilibrium, so that no step was made, but" if one else "the search ended at an equilibrium that is"
    advice = (
        f"; {number} escapes led to others"
        if number
        else "; pass escape=True to follow it, or tilt m0 or the field by what the experiment would have"
    )
    warnings.warn(
        f"{title}: {ended} no minimum{where}: the energy falls along a direction of curvature "
        f"{float(curvature.expand(unstable.shape)[unstable].min()):.4g} A/m{advice}",
        StabilityWarning,
        stacklevel=4,
    )


def has_landscape(energy: Energy) -> bool:
    """Whether every field is that of an energy."""
    terms = [term for _, term in energy.named_terms()] if isinstance(energy, Sum) else [energy]
    follows_m = any("m" in drivers for part in (energy.magnet, *terms) for drivers in part._drivers.values())
    return not follows_m and all(term.has_energy for term in terms)


def require_flag(value, title: str) -> bool:
    """A bool, checked."""
    if not isinstance(value, bool):
        raise TypeError(f"{title} = {value!r}, expected True or False")
    return value
