"""Exchange between layers across a spacer."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, angles, at_nodes, batch, body, fields, uniform, wire
from torchmag.cases.table import Case, Row

# Stiff enough for a layer of 1 nm to be a macrospin: its twist is J t / (6 A) = 1e-4 rad and less.
STIFF = 1e-9
MS = 1 / tm.mu_0


def bilayer(n=(1, 1), dx=NM, Ms: float = MS) -> tm.Magnet:
    """Two layers of 1 nm and a spacer of 1 nm between them, one cell each along z."""
    return body((*n, 3), (dx, dx, NM), torch.tensor([Ms, 0.0, Ms], dtype=torch.float64).expand(*n, 3))


@torch.no_grad()
def rotation() -> list[Row]:
    """-J area for parallel layers, 0 at right angles."""
    magnet = bilayer((2, 2), 5e-9)
    energy = tm.InterlayerExchange(magnet, -1e-3, axis=2, planes=(1, 2))
    turned = uniform(magnet, (1, 0, 0))
    turned[..., 2:] = uniform(magnet, (0, 1, 0))[..., 2:]
    change = float(energy.energy(turned) - energy.energy(uniform(magnet, (1, 0, 0))))
    return [Row("change of energy on turning one layer by 90 degrees", change, -1e-19, 1e-22, "J")]


@torch.no_grad()
def node_field() -> list[Row]:
    """H = J / (mu_0 Ms dz / 2): the surface node owns half a cell."""
    magnet = bilayer((2, 2))
    field = tm.InterlayerExchange(magnet, 0.005, axis=2, planes=(1, 2)).field(uniform(magnet, (0, 0, 1)))
    lower, upper = field[2, :, :, 1], field[2, :, :, 2]
    return [
        Row("H at the lower plane", float(lower.mean()), 1e7, 1e-2, "A/m"),
        Row("H at the upper plane", float(upper.mean()), 1e7, 1e-2, "A/m"),
        Row("spread over the planes", float(torch.cat([lower - 1e7, upper - 1e7]).abs().max()), 0.0, 1e-2, "A/m"),
        Row("H elsewhere", float(field[:, :, :, 0].abs().max() + field[:, :, :, 3].abs().max()), 0.0, 1e-2, "A/m"),
    ]


@torch.no_grad()
def pinned() -> list[Row]:
    """One layer held along x, coupled antiparallel: tan(angle) of the other is t Ms B / |J| in a field B along y."""
    J, B = -0.5e-3, (0.2, 0.5, 1.0, 3.0)
    magnet = wire(3, NM, torch.tensor([MS, 0.0, MS], dtype=torch.float64))
    field = tm.Zeeman(magnet, fields([b / tm.mu_0 for b in B], (0, 1, 0)))
    energy = tm.Exchange(magnet, STIFF) + tm.InterlayerExchange(magnet, J, axis=0, planes=(1, 2)) + field
    m = uniform(magnet, (1, 0, 0))
    m[:, 2:] = uniform(magnet, (-1, 0.1, 0))[:, 2:]
    frozen = torch.tensor([True, True, False, False])
    m = tm.minimize(energy, m, frozen=frozen)
    free = tm.average(m, magnet, region=torch.tensor([False, False, True]))[:, 1].tolist()
    expected = (0.303314, 0.622677, 0.846733, 0.978764)
    return [Row(f"m_y of the free layer at {b:g} T", got, value, 1e-3) for b, got, value in zip(B, free, expected)]


def canted(magnet: tm.Magnet, coupling: tm.Sum, B: list[float]) -> Tensor:
    """Mean m along the field, of each sample, from layers antiparallel across it."""
    energy = coupling + tm.Zeeman(magnet, fields([b / tm.mu_0 for b in B], (0, 1, 0)))
    first = (at_nodes(magnet)[0] < 1.5 * NM).double()
    theta = 0.1 * first + (math.pi - 0.1) * (1 - first)
    return tm.average(tm.minimize(energy, angles(theta, axis="x", to="y")), magnet)[:, 1]


@torch.no_grad()
def free() -> list[Row]:
    """Two free layers turn into the field as m = B t Ms / (2 |J|), up to saturation; with two neighbours each, 4 |J|."""
    J, rows = -1e-4, []
    for name, periodic, saturation in (("bilayer", False, 0.251327), ("stack", True, 0.502655)):
        cells = torch.tensor([MS, 0.0, MS, 0.0] if periodic else [MS, 0.0, MS], dtype=torch.float64)
        magnet = wire(len(cells), NM, cells, periodic=periodic)
        energy = tm.Exchange(magnet, STIFF) + tm.InterlayerExchange(magnet, J, axis=0, planes=(1, 2))
        if periodic:
            energy = energy + tm.InterlayerExchange(magnet, J, axis=0, planes=(3, 0))
        parts = (0.2, 0.5, 0.9, 1.05)
        along = canted(magnet, energy, [part * saturation for part in parts]).tolist()
        rows += [Row(f"{name}: m along {part:g} B_s", got, min(part, 1.0), 0.01 * part) for part, got in zip(parts, along)]
    return rows


SWITCH = {"A": 1e-11, "K": 1e5, "J": -2e-3, "length": 400e-9}


def saturation(h: float) -> float:
    """The hard-axis field over H_k at which two coupled wires saturate.

    At the interface the square of the easy component falls to zero with the field: the parabola through five fields.
    """
    cells = round(SWITCH["length"] / h)
    Ms = torch.full((2 * cells + 1,), MS, dtype=torch.float64)
    Ms[cells] = 0.0
    magnet = wire(2 * cells + 1, h, Ms, order=2)
    H_k = 2 * SWITCH["K"] / (tm.mu_0 * MS)
    levels = [4.3, 4.4, 4.5, 4.6, 4.7]
    energy = (
        tm.Exchange(magnet, SWITCH["A"])
        + tm.UniaxialAnisotropy(magnet, SWITCH["K"], (0, 1, 0))
        + tm.InterlayerExchange(magnet, SWITCH["J"], axis=0, planes=(cells, cells + 1))
        + tm.Zeeman(magnet, fields([level * H_k for level in levels], (0, 0, 1)))
    )
    # From -y and +y, canted as the field asks.
    side = torch.where(torch.arange(2 * cells + 2) <= cells, -1.0, 1.0).double()
    m = tm.minimize(energy, angles(1.2 * side, axis="z", to="y"))
    powers = batch(levels) ** torch.arange(3)
    c, b, a = torch.linalg.lstsq(powers, m[:, 1, cells, None] ** 2).solution[:, 0].tolist()
    return (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)


def discrete_saturation(h: float) -> float:
    """The same of the linear problem on cells of size h to order 2: A' sinh(kh) = |J| h, A' (2 cosh(kh) - 2) / h^2 = mu_0 Ms H - 2 K over 2.

    A' = A + K h^2 / 6: the anisotropy of the linear interpolant is below that of the nodes.
    """
    A, K, J = SWITCH["A"] + SWITCH["K"] * h**2 / 6, SWITCH["K"], abs(SWITCH["J"])
    kh = math.asinh(J * h / A)
    return 1 + A * (2 * math.cosh(kh) - 2) / h**2 / K


@torch.no_grad()
def switching() -> list[Row]:
    """Saturation of two antiparallel layers of 400 nm along their hard axis, H_s = H_k (1 + J^2 / (A K)) = 5 H_k."""
    rows = []
    for nm, tolerance in ((2.0, None), (1.0, 0.05), (0.5, 0.05)):
        got = saturation(nm * NM)
        rows.append(Row(f"H_s / H_k, discrete, cells of {nm:g} nm", got, discrete_saturation(nm * NM), 0.005))
        rows.append(Row(f"H_s / H_k, cells of {nm:g} nm", got, 5.0, tolerance))
    return rows


CASES = (
    Case("RKK-01", "energy of two coupled layers", "exact; mumax3 test/rkky.mx3", rotation),
    Case("RKK-02", "saturation of a bilayer with a wall in each layer", "Suess et al., Sci. Rep. 13 (2023), exact", switching),
    Case("RKK-04", "one layer pinned", "exact, torque balance", pinned),
    Case("RKK-05", "coupling field at the nodes", "exact; NeuralMag tests/unit/interlayer_exchange_field_test.py", node_field),
    Case("RKK-08", "two free layers and a stack", "exact, torque balance", free),
)
