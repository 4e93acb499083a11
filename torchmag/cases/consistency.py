"""Fields as derivatives of energies, for material that differs from cell to cell."""

import itertools
import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, body
from torchmag.cases.table import Case, Row

MESHES = (
    ((7,), (0, 0, 0)),
    ((7,), (2, 0, 0)),
    ((5, 4), (0, 0, 0)),
    ((5, 4), (0, 1, 0)),
    ((4, 3, 2), (0, 0, 0)),
    ((4, 3, 2), (1, 0, 2)),
    ((4, 3, 1), (0, 0, 0)),
    ((7,), (math.inf, 0, 0)),
    ((5, 4), (math.inf, math.inf, 0)),
    ((4, 3, 2), (math.inf, math.inf, math.inf)),
)
PART = 1e-10


def randn(*shape: int, seed: int) -> Tensor:
    """Normal numbers."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cell_map(mesh: tm.Mesh, seed: int) -> Tensor:
    """Random values in [0.5, 1.5] per cell."""
    return 0.5 + torch.rand(*mesh.cells, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# Each term with material that differs from cell to cell.
TERMS = {
    "exchange": lambda b: tm.Exchange(b, 1e-11 * cell_map(b.mesh, 1)),
    "uniaxial anisotropy": lambda b: tm.UniaxialAnisotropy(b, 4e5 * cell_map(b.mesh, 2), randn(3, *b.mesh.cells, seed=3)),
    "uniaxial anisotropy with Ku2": lambda b: tm.UniaxialAnisotropy(
        b, 4e5 * cell_map(b.mesh, 2), randn(3, *b.mesh.cells, seed=3), Ku2=-3e5 * cell_map(b.mesh, 4)
    ),
    "bulk DMI": lambda b: tm.BulkDMI(b, 3e-3 * cell_map(b.mesh, 5)),
    "interface DMI": lambda b: tm.InterfaceDMI(b, 3e-3 * cell_map(b.mesh, 6), randn(3, *b.mesh.cells, seed=7)),
    "DMI": lambda b: tm.DMI(b, 3e-3 * randn(3, 3, 3, *b.mesh.cells, seed=8)),
    "demag": lambda b: tm.Demag(b),
    "Zeeman": lambda b: tm.Zeeman(b, 1e5 * randn(3, *b.mesh.nodes, seed=9)),
}
LINEAR, QUARTIC = ("Zeeman",), ("uniaxial anisotropy with Ku2",)


def magnets() -> list[tm.Magnet]:
    """Bodies in 1D, 2D, 3D, open, with images and truly periodic; some cells are empty, a block at a corner and others at random."""
    found = []
    for n, pbc in MESHES:
        mesh = tm.Mesh(n, (2 * NM, 3 * NM, 1.5 * NM), pbc=pbc)
        Ms = 8e5 * cell_map(mesh, 10)
        Ms = Ms * (torch.rand(mesh.cells, dtype=torch.float64, generator=torch.Generator().manual_seed(11)) > 0.2)
        Ms[(slice(0, 2),) * mesh.dim] = 0
        found.append(body(n, mesh.dx, Ms, pbc=pbc))
    return found


def moments(magnet: tm.Magnet) -> Tensor:
    """Moment of each node, A m^2: every cell gives an equal share of Ms V to each of its corners."""
    mesh = magnet.mesh
    found = torch.zeros(mesh.nodes, dtype=torch.float64)
    for cell in itertools.product(*map(range, mesh.cells)):
        for corner in itertools.product((0, 1), repeat=mesh.dim):
            node = tuple((i + c) % n for i, c, n in zip(cell, corner, mesh.nodes))
            found[node] += magnet.Ms[cell] * mesh.cell_volume / 2**mesh.dim
    return found


def errors(term: tm.Energy, name: str) -> tuple[float, float]:
    """Of the field beside the derivative of the energy, over the largest; of the energy beside the field's, over its terms."""
    m = tm.random(term.mesh, seed=12, dtype=torch.float64).requires_grad_()
    E = term.energy(m)
    (derivative,) = torch.autograd.grad(E, m)
    with torch.no_grad():
        moment, H = moments(term.magnet), term.field(m)
        expected = -derivative / (tm.mu_0 * torch.where(moment > 0, moment, 1.0))
        product = -tm.mu_0 * moment * (m * H).sum(0) / (1 if name in LINEAR else 2)
        of_field = float((H - expected).abs().max() / expected.abs().max())
        return of_field, float((E - product.sum()).abs() / product.abs().sum())


def derivative(make, magnet: tm.Magnet, value: Tensor, power: int) -> float:
    """Error of sum p dE/dp = power E, over E."""
    p = value.clone().requires_grad_()
    E = make(magnet, p).energy(tm.random(magnet.mesh, seed=14, dtype=torch.float64))
    (slope,) = torch.autograd.grad(E, p)
    E = E.detach()
    return float(((p.detach() * slope).sum() - power * E).abs() / E.abs())


def fields() -> list[Row]:
    """H = -dE/dm / (mu_0 moment); 2 E = -mu_0 sum moment m.H (E of a linear one); E ~ A, E ~ Ms^2: the largest of ten bodies."""
    rows, bodies = [], magnets()
    for name, make in TERMS.items():
        found = [errors(make(magnet), name) for magnet in bodies]
        rows.append(Row(f"{name}: field and derivative", max(e for e, _ in found), 0.0, PART))
        if name not in QUARTIC:
            rows.append(Row(f"{name}: energy and field", max(e for _, e in found), 0.0, PART))
    for uniform in (False, True):
        kind = "one number" if uniform else "a map"
        A = [torch.tensor(1e-11, dtype=torch.float64) if uniform else 1e-11 * cell_map(b.mesh, 1) for b in bodies]
        Ms = [torch.tensor(8e5, dtype=torch.float64) if uniform else b.Ms for b in bodies]
        found = [derivative(tm.Exchange, b, a, 1) for b, a in zip(bodies, A)]
        rows.append(Row(f"A dE/dA = E of the exchange, {kind}", max(found), 0.0, PART))
        found = [derivative(_demag, b, value, 2) for b, value in zip(bodies, Ms)]
        rows.append(Row(f"Ms dE/dMs = 2 E of the demagnetising field, {kind}", max(found), 0.0, PART))
    return rows


def _demag(magnet, Ms):
    mesh = magnet.mesh
    return tm.Demag(tm.Magnet(mesh, Ms, dtype=torch.float64))


CASES = (Case("INV-01", "fields are derivatives of energies", "exact; magnum.np inverse_test", fields, seconds=2),)
