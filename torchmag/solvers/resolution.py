"""A word about cells that are too large for what became of m."""

import warnings

import torch
from torch import Tensor

from torchmag import layout
from torchmag.errors import ResolutionWarning
from torchmag.magnet import Magnet
from torchmag.observables import neighbours, resolved_angle
from torchmag.parameters import Values
from torchmag.solvers.sources import is_transformed


def warn_if_coarse(m: Tensor, magnet: Magnet, values: Values, title: str) -> None:
    """Warn, once for a magnet, where m turns by more than the scheme carries: a `ResolutionWarning`, said of the caller's caller.

    Args:
        m: (*batch, 3, *nodes); what is not finite does not count.
        values: the magnet's, as `prepare` gives them.
        title: of who asks.
    """
    m = m.detach()
    if magnet._told_coarse or is_transformed((m,)):
        return
    mesh, allowed = magnet.mesh, resolved_angle(magnet.order)
    with torch.no_grad():
        body = magnet.at(values, torch.zeros((), dtype=torch.float64), m, {})
        cosines = [
            torch.where(joined, layout.dot(a, b, mesh), 1).nan_to_num(1).amin() for a, b, joined in neighbours(m, mesh, body)
        ]
        angle = float(torch.stack(cosines).amin().clamp(-1, 1).acos())
    if angle <= allowed:
        return
    magnet._told_coarse = True
    higher = ", or a higher order of the Magnet" if magnet.order < 6 else ""
    warnings.warn(
        f"{title}: m turns by {angle:.2f} rad between neighbouring nodes, but to order {magnet.order} the exchange energy of a wave "
        f"that turns by {allowed:.2f} rad is off by 2 % already; take smaller cells{higher} (said once for a Magnet; see max_angle)",
        ResolutionWarning,
        stacklevel=3,
    )
