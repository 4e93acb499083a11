"""A hysteresis loop, field by field."""

import torch
from torch import Tensor

from torchmag.observables import average
from torchmag.simulation.results import Loop
from torchmag.solvers.descent import Descent, Search
from torchmag.solvers.hysteresis import applied_fields, with_field
from torchmag.solvers.minimize import minimize


def hysteresis_loop(sim, fields, state: dict, options: dict, bar) -> Loop:
    """The loop of a simulation from a state on.

    Args:
        fields: as in `tm.hysteresis`.
        state: {"index": of the next field, "m", "rows": of the fields before, "search": at the field under way, or None}; kept up to date.
        options: term, tolerance, max_steps, method.
        bar: to show it.
    """
    llg, given = sim.llg, fields
    fields = applied_fields(fields, llg.energy)
    energy, name, _ = with_field(llg.energy, options["term"], {})
    settings = {key: value for key, value in options.items() if key != "term"}

    def after_step(steps, residual, m):
        state["search"] = vars(search.at)
        sim.between_steps()

    with torch.no_grad():
        for index in range(state["index"], len(fields)):
            search = Search(None if state["search"] is None else Descent(**state["search"]))
            m, record = minimize(
                energy, state["m"], t=sim._t, frozen=llg.frozen, info=True, params={name: fields[index]}, callback=after_step,
                search=search, compile=sim.compile, progress=False, **settings
            )  # fmt: skip
            row = {"m": average(m, llg.magnet), "converged": record.converged, "steps": record.steps}
            _log(sim, fields[index], m)
            state.update(index=index + 1, m=m, rows=[*state["rows"], row], search=None)
            bar.at(index + 1, f" field {index + 1} of {len(fields)}")
            sim.between_steps()
    rows = state["rows"]
    given = given if isinstance(given, Tensor) else torch.as_tensor(given, dtype=state["m"].dtype)
    return Loop(
        given, torch.stack([row["m"] for row in rows]), [row["converged"] for row in rows], [row["steps"] for row in rows]
    )


def _log(sim, H, m):
    """To the loggers of fields, the field (*batch, 3) among the values."""
    H = H if H.ndim == 1 else H.flatten(H.ndim - 1 - sim.llg.mesh.dim)
    for attached in sim.attached:
        if attached.every == "field":
            number = 0.0 if attached.last is None else attached.last + 1
            values = sim.quantities.at(sim._t, m) | {"H": H}
            attached.logger.log(number, m, values)
            attached.last = number
