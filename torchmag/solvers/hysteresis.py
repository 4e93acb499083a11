"""A quasi-static sweep of the applied field."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from torchmag.bar import told
from torchmag.energies import Zeeman
from torchmag.energy import Energy, Sum
from torchmag.errors import ConvergenceError
from torchmag.parameters import as_data
from torchmag.solvers.compilation import require_choice
from torchmag.solvers.minimize import minimize


def hysteresis(
    energy: Energy,
    m0: Tensor,
    fields,
    *,
    term: str | None = None,
    t: float = 0.0,
    tolerance: float | None = None,
    max_steps: int = 10_000,
    method: str = "lbfgs",
    frozen: Tensor | None = None,
    info: bool = False,
    params: Mapping[str, Tensor] | None = None,
    callback: Callable[[int, Tensor, Tensor], None] | None = None,
    compile: str | bool = "auto",
    progress: bool | None = None,
    check_stability: bool = False,
    escape: bool = False,
):
    """Minima of the energy at one applied field after another, each from the last one's m.

    A state switches where its minimum ends.  At a saddle without any torque (a field exactly against m) it stays for ever,
    as it would in an experiment without noise: tilt the fields by a degree or so, or pass escape=True.  The switching field is found to the
    spacing of the fields, and to the tolerance: near it the torque that is left, tolerance * Ms, counts as equilibrium.

    Args:
        energy: a term or a Sum; an applied field that it already has is kept and adds to `fields`.
        m0: (*batch, 3, *nodes), of unit length inside the body.
        fields: applied fields one after another, A/m: (F, 3), or (F, *batch, 3) for one history per sample.
        term: name of a Zeeman term of the energy whose H is replaced by the fields, such as "zeeman"; by default another term
            is added.
        info: also return the list of `Minimization` records, one per field, and go on where the tolerance was not reached.
        callback: called after each field with (index, H, m).
        t, tolerance, max_steps, method, frozen, params, compile, progress, check_stability, escape: as in `minimize`.

    Returns:
        m at every field, (F, *batch, 3, *nodes), or (m, records).  Gradients are those of each equilibrium, as in `minimize`.
    Raises:
        ConvergenceError: no equilibrium at one of the fields; carries m at the fields before and there.
    """
    if not isinstance(energy, Energy):
        hint = "; give llg.energy" if isinstance(getattr(energy, "energy", None), Energy) else ""
        raise TypeError(f"hysteresis: energy is a {type(energy).__name__}, expected an energy term or a torchmag.Sum{hint}")
    if params is not None and not isinstance(params, Mapping):
        raise TypeError(f"hysteresis: params is a {type(params).__name__}, expected a mapping from full names to tensors")
    require_choice(compile, "hysteresis")
    fields = applied_fields(fields, energy)
    energy, name, params = with_field(energy, term, dict(params or {}))
    found, records, m = [], [], m0
    for index, H in enumerate(told(fields, "hysteresis", progress)):
        m, record = minimize(
            energy, m, t=t, tolerance=tolerance, max_steps=max_steps, method=method, frozen=frozen, info=True,
            params={**params, name: H}, compile=compile, progress=False,
            check_stability=check_stability, escape=escape,
        )  # fmt: skip
        found.append(m)
        records.append(record)
        if not (record.converged or info):
            shown = H.reshape(-1, 3)[0].tolist()
            raise ConvergenceError(
                f"hysteresis: field {index} ({', '.join(f'{x:.6g}' for x in shown)} A/m): max |m x H| / Ms = {record.residual:.3g} "
                f"after {record.steps} steps; raise max_steps or tolerance, or pass info=True to go on", torch.stack(found), record,
            )  # fmt: skip
        if callback is not None:
            callback(index, H, m)
    return (torch.stack(found), records) if info else torch.stack(found)


def applied_fields(fields, energy: Energy) -> Tensor:
    """One field after another, (3,) or (*batch, 3, *1)."""
    fields = as_data("hysteresis: fields", fields, energy.reference) if not isinstance(fields, Tensor) else fields
    if fields.ndim < 2 or fields.shape[-1] != 3 or not len(fields):
        raise ValueError(f"hysteresis: fields has shape {tuple(fields.shape)}, expected (F, 3) or (F, *batch, 3), A/m")
    if not bool(torch.isfinite(fields).all()):
        raise ValueError("hysteresis: fields holds values that are not finite")
    fields = fields.to(energy.reference)
    return fields if fields.ndim == 2 else fields.reshape(*fields.shape, *(1,) * energy.mesh.dim)


def with_field(energy: Energy, term: str | None, params: dict) -> tuple[Energy, str, dict]:
    """The energy with a term for the field, the full name of its H, and the params under their names in that energy."""
    if term is not None:
        known = dict(energy.named_terms()) if isinstance(energy, Sum) else {}
        if not isinstance(known.get(term), Zeeman):
            names = ", ".join(name for name, child in known.items() if isinstance(child, Zeeman)) or "none"
            raise ValueError(f"hysteresis: term = {term!r}, expected the name of a Zeeman term of the energy (has: {names})")
        return energy, f"{term}.H", params
    total = energy + Zeeman(energy.magnet, (0.0, 0.0, 0.0))
    *_, added = total.terms
    if not isinstance(energy, Sum):
        own = next(iter(total.terms))
        params = {name if name.startswith("magnet.") else f"{own}.{name}": value for name, value in params.items()}
    return total, f"{added}.H", params
