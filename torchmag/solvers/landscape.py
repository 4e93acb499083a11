"""The landscape of an energy."""

import torch
from torch import Tensor

from torchmag import layout
from torchmag.energy import Energy, Sum
from torchmag.errors import NonFiniteError
from torchmag.layout import component_dim
from torchmag.parameters import Values
from torchmag.solvers.compilation import Later, nothing_known
from torchmag.solvers.precondition import exchange_preconditioner
from torchmag.solvers.sphere import Landscape
from torchmag.solvers.system import require_unit_vectors
from torchmag.term import node_mask


def make_landscape(
    energy: Energy, values: Values, m: Tensor, t: Tensor, frozen, title: str, later: Later | None = None
) -> tuple[Landscape, Tensor]:
    """The landscape, and m expanded to the batch of the fields.

    Args:
        later: the field of the energy, compiled on the way.

    Raises:
        ValueError: m is not of unit length in the body.
    """
    mesh, dim = energy.mesh, component_dim(energy.mesh)
    m = m.expand(torch.broadcast_shapes(m.shape, energy.field(m, t, values).shape))
    complete = energy.complete(m, t, values)
    body = complete["magnet"]
    require_unit_vectors(body["mass"], m, dim, title)
    mass = body["mass"].unsqueeze(dim)
    moving = mass > 0
    if frozen is not None:
        moving = moving & ~node_mask(frozen, mesh, m, title)
    axes = tuple(range(dim, 0))
    share = mass * moving
    moment = share.sum(axes, keepdim=True)
    weight = share / (moment + (moment == 0))
    Ms = layout.expand_to_cells(body["Ms"], mesh).amax(axes[1:], keepdim=True).unsqueeze(dim)
    precondition = exchange_preconditioner(energy, complete, m, Ms)

    def field(m):
        call = energy.field
        if later is not None:
            later.consider(nothing_known)
            call = later.function or call
        return call(m, t, values) / Ms * moving

    return Landscape(field, weight, moving, precondition, axes, Ms), m


def require_finite_fields(energy: Energy, values: Values, m: Tensor, t: Tensor, title: str) -> None:
    """Raise a NonFiniteError that names the term whose field is not finite at the start."""
    fields = energy.fields(m, t, values) if isinstance(energy, Sum) else {type(energy).__name__: energy.field(m, t, values)}
    for name, field in fields.items():
        if not bool(torch.isfinite(field).all()):
            raise NonFiniteError(f"{title}: not finite at m0: the field of {name}", float(t), term=name)
