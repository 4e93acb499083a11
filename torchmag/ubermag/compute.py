"""A number or a field of an energy term at the system's m."""

import discretisedfield as df
import micromagneticmodel as mm
import torch
import ubermagutil as uu

from torchmag import layout
from torchmag.ubermag.drivers import require_energy
from torchmag.ubermag.folder import Folder, require_format
from torchmag.ubermag.model import Model
from torchmag.ubermag.table import Numbers, Table


@torch.no_grad()
def compute(
    func, system: mm.System, /, dirname=".", append: bool = True, n_threads: int | None = None, runner=None, ovf_format: str = "bin8",
    verbose: int = 1, *, order: int | None = None, device="cpu", dtype="float64",
):  # fmt: skip
    """The energy (J), its density (J/m^3, on the cells) or the effective field (A/m, on the cells) of a term or of all.

    Time-dependent fields have their values at t = 0.

    Args:
        func: `system.energy.energy`, `.density` or `.effective_field`, or those of a term, such as `system.energy.zeeman.energy`.
        dirname, append, ovf_format, verbose: as in `Driver.drive`; the result is also in dirname/system.name/compute-NUMBER.
        n_threads, runner: not used.
        order, device, dtype: as of `Driver`.

    Returns:
        A float, or a discretisedfield.Field.
    Raises:
        ValueError: another function; RuntimeError: a system at a finite temperature.
    """
    kind, owner = getattr(func, "__name__", None), getattr(func, "__self__", None)
    if kind not in ("energy", "density", "effective_field") or not isinstance(owner, mm.Energy | mm.EnergyTerm):
        raise ValueError(
            f"compute: func = {func!r}, expected energy, density or effective_field of system.energy or of one of its terms"
        )
    if system.T > 0:
        raise RuntimeError(f"compute: the system has T = {system.T} K; fields at a finite temperature are not defined")
    require_format(ovf_format)
    require_energy(system)
    if isinstance(owner, mm.EnergyTerm) and owner.name not in [term.name for term in system.energy]:
        raise ValueError(f"compute: the system's energy has no term {owner.name!r}")
    folder = Folder(system, dirname, "compute", append, ovf_format)
    told = uu.progress.summary("torchmag", device) if verbose >= 1 else uu.progress.quiet()
    name = "energy" if isinstance(owner, mm.Energy) else owner.name
    with folder.record("compute", {"term": name, "quantity": kind}), told:
        model = Model(system, order, device, dtype, duration=0.0)
        what = model.energy if isinstance(owner, mm.Energy) else getattr(model.energy, model.names[owner.name])
        found = _energy(model, what, folder) if kind == "energy" else _field(model, what, kind, folder, name)
    system.compute_number += 1
    return found


def _energy(model, what, folder):
    numbers, table = Numbers(model), Table()
    row = numbers.energies(model.m)
    table.add(numbers.total(row, "Oxs_RungeKuttaEvolve") | row)
    table.write(folder.path / f"{model.system.name}.odt")
    return float(what.energy(model.m))


def _field(model, what, kind, folder, name):
    if kind == "density":
        cells, unit = what.density_map(model.m), "J/m^3"
    else:
        cells, unit = layout.to_cells(what.field(model.m), model.grid.mesh), "A/m"
    array = model.grid.array(cells)
    field = df.Field(model.system.m.mesh, nvdim=array.shape[-1], value=array, unit=unit)
    field.to_file(str(folder.path / f"{model.system.name}-{name}-{kind}.ovf"), representation=folder.ovf_format)
    return field
