"""Dzyaloshinskii-Moriya interaction in 1D: the tilt at free edges, the helix."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import angles, at_nodes, uniform, wire
from torchmag.cases.table import Case, Row

LENGTH = 100e-9


@dataclass(frozen=True)
class Material:
    """A film with interface DMI and an easy axis normal to it."""

    A: float
    K: float
    D: float
    Ms: float = 0.86e6

    @property
    def tilt(self) -> float:
        """sin(theta) at a free edge, D / (2 sqrt(A K)) (Rohart and Thiaville, PRB 88, 184422)."""
        return self.D / (2 * math.sqrt(self.A * self.K))

    def energy(self, magnet: tm.Magnet) -> tm.Sum:
        """Exchange, anisotropy and interface DMI."""
        z = (0, 0, 1)
        return (
            tm.Exchange(magnet, self.A)
            + tm.UniaxialAnisotropy(magnet, self.K, z)
            + tm.InterfaceDMI(magnet, self.D, z)
        )  # fmt: skip


# J. Cortes-Ortuno et al., New J. Phys. 20, 113015 (2018); S. Rohart and A. Thiaville, PRB 88, 184422 (2013).
CORTES = Material(A=13e-12, K=0.4e6, D=3e-3)
ROHART = Material(A=16e-12, K=510e3, D=3.6e-3)


def strip(material: Material, h: float) -> tuple[Tensor, float]:
    """m and energy per cross-section (J/m^2, the anisotropy counted from the easy axis) of a 100 nm strip."""
    magnet = wire(round(LENGTH / h), h, material.Ms)
    energy = material.energy(magnet)
    m = tm.minimize(energy, uniform(magnet, (0, 0, 1)), tolerance=1e-9)
    per_area = float(energy.energy(m)) / (magnet.mesh.dx[1] * magnet.mesh.dx[2]) + material.K * LENGTH
    return m, per_area


@torch.no_grad()
def edge_tilt() -> list[Row]:
    """The edges of a strip tilt by asin(D / (2 sqrt(A K))), the strip relaxes inwards as the exact profile."""
    m, per_area = strip(CORTES, 1e-9)
    rows = [
        Row("m_x at the edge, cells of 1 nm", float(m[0, 0]), -0.6577935144802719, 3e-3),
        Row("m_z at the edge, cells of 1 nm", float(m[2, 0]), 0.7531983, 3e-3),
        Row("m_x at the other edge, cells of 1 nm", float(m[0, -1]), 0.6577935144802719, 3e-3),
    ]
    for nm, exact in ((1, 0.5728799), (2, 0.4938889), (4, 0.3595795), (8, 0.1828810), (12, 0.0912469)):
        rows.append(Row(f"m_x {nm} nm from the edge", float(m[0, nm]), -exact, 3e-3))
    # Smooth relaxed states: 0.5 %.
    rows.append(Row("energy per cross-section", per_area, -2.05613e-3, 0.005 * 2.05613e-3, "J/m^2"))
    coarse, finer = (float(strip(CORTES, h)[0][0, 0]) for h in (2e-9, 0.5e-9))
    rows.append(Row("m_x at the edge, cells of 2 nm", coarse, -CORTES.tilt, None))
    order = math.log2((float(m[0, 0]) + CORTES.tilt) / (finer + CORTES.tilt))
    return [*rows, Row("order in h of m_x at the edge", order, 2.0, 0.1)]


@torch.no_grad()
def second_material() -> list[Row]:
    """The same of another material, and at the centre of OOMMF's first cell."""
    m, _ = strip(ROHART, 1e-9)
    theta = torch.atan2(m[0], m[2])
    return [
        Row("m_x at the edge", float(m[0, 0]), -0.6301260, 3e-3),
        Row("m_x 0.5 nm from the edge, of OOMMF", math.sin(float(theta[0] + theta[1]) / 2), -0.585862, 2e-3),
    ]


def optimum(h: float, counts: range) -> tuple[float, float]:
    """Wave number and energy density of the best helix: the parabola through the densities of one turn on n cells."""
    A, D = 8.78e-12, 1.58e-3
    q, w = [], []
    for n in counts:
        magnet = wire(n, h, 8e5, periodic=True, order=2)
        energy = tm.Exchange(magnet, A) + tm.BulkDMI(magnet, D)
        q.append(2 * math.pi / (n * h))
        m = angles(q[-1] * at_nodes(magnet)[0], axis="y", to="z")
        w.append(float(energy.energy(m)) / (n * magnet.mesh.cell_volume))
    (q0, q1, q2), (w0, w1, w2) = q, w
    d01, d12 = (w1 - w0) / (q1 - q0), (w2 - w1) / (q2 - q1)
    curvature = (d12 - d01) / (q2 - q0)
    best = (q0 + q1) / 2 - d01 / (2 * curvature)
    return best, w0 + d01 * (best - q0) + curvature * (best - q0) * (best - q1)


@torch.no_grad()
def helix() -> list[Row]:
    """q = D / 2A, w = -D^2 / 4A; to order 2 on cells of size h tan(qh) = Dh / 2A and w = 2A / h^2 - sqrt((2A / h^2)^2 + (D / h)^2)."""
    A, D = 8.78e-12, 1.58e-3
    rows = []
    for h, counts in ((1e-9, range(69, 72)), (0.5e-9, range(139, 142))):
        q, w = optimum(h, counts)
        a, b = 2 * A / h**2, D / h
        discrete, lowest = math.atan2(b, a) / h, a - math.hypot(a, b)
        rows.append(Row(f"q, discrete, cells of {h * 1e9:g} nm", q, discrete, 1e-6 * discrete, "rad/m"))
        rows.append(Row(f"w, discrete, cells of {h * 1e9:g} nm", w, lowest, 1e-6 * abs(lowest), "J/m^3"))
    rows.append(Row("q, cells of 0.5 nm", q, 8.99772e7, 1e-3 * 8.99772e7, "rad/m"))
    return [*rows, Row("w, cells of 0.5 nm", w, -71082, 1e-3 * 71082, "J/m^3")]


CASES = (
    Case(
        "DMI-01",
        "interface DMI: tilt at the edges of a strip",
        "exact profile of Cortes-Ortuno et al., NJP 20, 113015",
        edge_tilt,
    ),
    Case(
        "DMI-03",
        "interface DMI: a second material",
        "Rohart and Thiaville, PRB 88, 184422; OOMMF (fidimag tests)",
        second_material,
    ),
    Case("DMI-08", "bulk DMI: period and energy of the helix", "exact", helix),
)
