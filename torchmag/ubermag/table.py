"""The table of a drive: OOMMF's columns, which ubermagtable renames, and its file."""

import math
from pathlib import Path

import micromagneticmodel as mm
import numpy as np
import torch
import ubermagtable as ut
from torch import Tensor

from torchmag import layout
from torchmag.constants import mu_0
from torchmag.energies import DMI, BulkDMI, Demag, Exchange, InterfaceDMI, Magnetoelastic, UniaxialAnisotropy, Zeeman
from torchmag.observables import average, neighbours
from torchmag.ubermag.energy_terms import oommf_name
from torchmag.ubermag.model import Model

DEGREES = 180 / np.pi


class Table:
    """Rows of numbers under OOMMF's names, with their units."""

    def __init__(self):
        self.units: dict[str, str] = {}
        self.rows: list[dict[str, float]] = []

    def add(self, row: dict[str, tuple[float, str]]) -> None:
        """A row: OOMMF's name -> (number, unit)."""
        self.units |= {name: unit for name, (_, unit) in row.items()}
        self.rows.append({name: float(value) for name, (value, _) in row.items()})

    def write(self, path: Path) -> None:
        """As an ODT file."""
        columns = " ".join(f"{{{name}}}" for name in self.units)
        units = " ".join(unit or "{}" for unit in self.units.values())
        lines = ["# ODT 1.0", "# Table Start", "# Title: torchmag", f"# Columns: {columns}", f"# Units: {units}"]
        lines += [" ".join(f"{row.get(name, float('nan')):.17g}" for name in self.units) for row in self.rows]
        path.write_text("\n".join([*lines, "# Table End", ""]), encoding="utf-8")

    def read(self, path: Path, x: str) -> ut.Table:
        """What ubermagtable makes of the file: the system's table."""
        self.write(path)
        return ut.Table.fromfile(str(path), x=x)


QUADRATIC = (Exchange, Demag, BulkDMI, InterfaceDMI, DMI, Magnetoelastic)


def _degree(term) -> int:
    """In m, of the energy of a term; 0 where it has none."""
    if isinstance(term, QUADRATIC) or (isinstance(term, UniaxialAnisotropy) and not bool(torch.as_tensor(term.Ku2).any())):
        return 2
    return 1 if isinstance(term, Zeeman) else 0


class Numbers:
    """The numbers of a model at m that every drive has: energies, largest angles, applied fields.

    Args:
        extra: terms beside the system's, by OOMMF's name of their columns.
    """

    def __init__(self, model: Model, extra: dict[str, Zeeman] | None = None):
        self.model, self.extra, self.last = model, extra or {}, None
        self.mass = layout.to_nodes(model.Ms, model.grid.mesh)
        # Whether a magnetic cell joins a node to the next, along each axis.
        self.joined = [joined for _, _, joined in neighbours(model.m, model.grid.mesh, model.magnet.material(model.m))]

    @torch.no_grad()
    def energies(self, m: Tensor, t: float = 0.0, fields: dict[str, Tensor] | None = None) -> dict[str, tuple[float, str]]:
        """Of each term, with what OOMMF gives beside it.

        Args:
            fields: of the terms at m and t, where they are known: energies that are homogeneous in m follow from them.
        """
        model, found = self.model, {}
        every = model.energy.energies(m, t) if fields is None else self._from_fields(m, t, fields)
        for term in model.system.energy:
            label = f"Oxs_{oommf_name(term)}:{term.name}"
            found[f"{label}:Energy"] = (float(every[model.names[term.name]]), "J")
            if isinstance(term, mm.Exchange):
                found[f"{label}:Max Spin Ang"] = (self._largest_angle(m), "deg")
            if oommf_name(term) == "ScriptUZeeman":
                now = torch.tensor(t, dtype=torch.float64, device=m.device)
                found |= self._applied(label, getattr(model.energy, model.names[term.name]).H(t=now))
        for label, term in self.extra.items():
            found[f"{label}:Energy"] = (float(term.energy(m, t)), "J")
            found |= self._applied(label, term.H)
        return found

    def total(self, found, evolver: str) -> dict[str, tuple[float, str]]:
        """Their sum, and its change since the last row."""
        E = sum(value for name, (value, _) in found.items() if name.endswith(":Energy"))
        change, self.last = 0.0 if self.last is None else E - self.last, E
        label = f"{evolver}:evolver"
        return {f"{label}:Total energy": (E, "J"), f"{label}:Delta E": (change, "J")}

    def mean(self, m: Tensor, driver: str) -> dict[str, tuple[float, str]]:
        """The mean of m, cells weighted by their moment."""
        values = average(m, self.model.magnet, weight="Ms").tolist()
        axes = self.model.grid.axes
        return {f"Oxs_{driver}::m{axis}": (values[axes.index(number)], "") for number, axis in enumerate("xyz")}

    def _from_fields(self, m, t, fields):
        """Euler's theorem: n E = sum m.dE/dm of an energy of degree n, and dE/dm = -mu_0 moment H."""
        found = {}
        for name, term in self.model.energy.named_terms():
            degree = _degree(term)
            if degree:
                moment = torch.tensordot(self.mass, (m * fields[name]).sum(0), self.model.grid.mesh.dim)
                found[name] = -mu_0 * self.model.grid.mesh.cell_volume / degree * moment
            else:
                found[name] = term.energy(m, t)
        return found

    def _largest_angle(self, m):
        """Between neighbouring nodes: `tm.max_angle` by the length of their difference."""
        mesh = self.model.grid.mesh
        pairs = [layout.neighbours(m, axis - mesh.dim, mesh.periodic(axis)) for axis in range(mesh.dim)]
        square = max(float(((a - b).square().sum(0) * joined).max()) for (a, b), joined in zip(pairs, self.joined))
        return 2 * math.asin(min(1.0, math.sqrt(square) / 2)) * DEGREES

    def _applied(self, label, H):
        values, axes = H.reshape(3).tolist(), self.model.grid.axes
        B = [values[axes.index(axis)] * mu_0 * 1e3 for axis in range(3)]
        size = float(np.linalg.norm(B))
        return {f"{label}:B": (size, "mT")} | {f"{label}:B{axis}": (value, "mT") for axis, value in zip("xyz", B)}
