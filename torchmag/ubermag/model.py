"""A system of micromagneticmodel as torchmag's modules."""

import micromagneticmodel as mm
import numpy as np
import torch
from torch import Tensor

from torchmag.energy import Sum
from torchmag.magnet import Magnet
from torchmag.observables import resolved_angle
from torchmag.ubermag.energy_terms import Body, energy_term
from torchmag.ubermag.grid import Grid
from torchmag.ubermag.parameters import scalar

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Model:
    """What a system's m and energy are in torchmag.

    Args:
        system: with m and an energy.
        order: of accuracy in space.  Default: 6; 2 where m is not smooth on the cells (see `default_order`).
        device, dtype: of the magnet; dtype is torch's or its name.
        duration: of the drive, s; None for one without time.

    Attributes:
        system, grid, body, energy: the `Sum` of the terms.
        names: the terms' names in the energy, by micromagneticmodel's.
        m: at the nodes; those that the last drive left, where nothing changed since.

    Raises:
        ValueError: a term that is not supported, by its name.
    """

    def __init__(self, system: mm.System, order: int | None = None, device="cpu", dtype="float64", duration: float | None = None):
        self.system = system
        dtype = DTYPES.get(dtype, dtype)
        if dtype not in DTYPES.values():
            raise ValueError(f"dtype = {dtype!r}, expected 'float64' or 'float32'")
        self.grid = grid = Grid(system.m.mesh, dtype, device)
        self.norm = np.where(system.m.valid, np.linalg.norm(system.m.array, axis=-1), 0.0)
        Ms = grid.cells(self.norm)
        if not bool(Ms.any()):
            raise ValueError("system.m is zero everywhere: set its norm, the saturation magnetisation in A/m")
        largest = float(Ms.max())
        # The norm of a field is not the same number in every cell, to rounding.
        uniform = bool((Ms > largest * (1 - 1e-9)).all())
        self.Ms = torch.full_like(Ms, largest) if uniform else Ms
        order = default_order(grid, system.energy) if order is None else order
        magnet = Magnet(grid.mesh, largest if uniform else Ms, order=order, dtype=dtype, device=device)
        self.body = Body(grid, magnet, self.Ms, duration)
        self.names = {term.name: _free(term.name, number) for number, term in enumerate(system.energy)}
        self.energy = Sum(**{self.names[term.name]: energy_term(self.body, term) for term in system.energy})
        self.m = self._remembered()
        if self.m is None:
            self.m = grid.directions_at_nodes(grid.cells(system.m.array), self.body.inside)

    @property
    def magnet(self) -> Magnet:
        return self.body.magnet

    def frozen(self, names) -> Tensor | None:
        """The nodes of subregions whose m is to stay: bool (*nodes)."""
        if not names:
            return None
        mesh, unknown = self.grid.given, [name for name in names if name not in self.grid.given.subregions]
        if unknown:
            raise ValueError(
                f"fixed_subregions: no subregion {', '.join(map(repr, unknown))} in the mesh; it has {', '.join(mesh.subregions) or 'none'}"
            )
        cells = np.zeros(tuple(mesh.n))
        for name in names:
            cells[mesh.region2slices(mesh.subregions[name])] = 1
        return self.grid.frozen(self.grid.cells(cells))

    def array(self, m: Tensor) -> np.ndarray:
        """m at the nodes as the array of a system's m, A/m: the direction of each cell's mean times its Ms."""
        return self.grid.array(self.grid.directions_in_cells(m)) * self.norm[..., np.newaxis]

    def keep(self, m: Tensor) -> None:
        """Give the system its new m; remember the nodes, from which another drive goes on if m is not touched."""
        self.system.m.array = self.array(m)
        self.system._torchmag_nodes = (self.system.m.array.copy(), m.detach().cpu())

    def _remembered(self):
        cells, nodes = getattr(self.system, "_torchmag_nodes", (None, None))
        if cells is None or tuple(nodes.shape) != (3, *self.grid.mesh.nodes) or not np.array_equal(cells, self.system.m.array):
            return None
        return nodes.to(device=self.grid.device, dtype=self.grid.dtype)


def default_order(grid: Grid, energy: mm.Energy) -> int:
    """6; 2 where m is not smooth on the cells: without exchange, or where a DMI turns it by more than they resolve, D dx / (2 A)."""
    exchange = [_largest(scalar(grid, term, "A")) for term in energy if isinstance(term, mm.Exchange)]
    if not exchange or not max(exchange) > 0:
        return 2
    D = sum(_largest(scalar(grid, term, "D")) for term in energy if isinstance(term, mm.DMI))
    return 6 if D * max(grid.mesh.dx[: grid.mesh.dim]) / (2 * max(exchange)) <= resolved_angle(6) else 2


def _largest(value) -> float:
    return float(torch.as_tensor(value).abs().max())


def _free(name: str, number: int) -> str:
    """A name of a term in a Sum."""
    return name if name.isidentifier() and not hasattr(Sum, name) and name not in ("magnet", "terms") else f"term_{number}"
