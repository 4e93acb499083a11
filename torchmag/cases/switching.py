"""Fields at which a particle switches."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, body, reals, uniform
from torchmag.cases.table import Case, Row


def threshold(energy: tm.Energy, m: Tensor, along: Tensor, low: Tensor, high: Tensor, halvings: int, tolerance: float) -> Tensor:
    """The field against which m, an equilibrium at -low * along, switches: A/m (B,), by bisection.

    along: directions, (B, 3); a sample has switched where its mean m along them is negative.
    """
    magnet = energy.magnet
    for _ in range(halvings):
        middle = (low + high) / 2
        H = (-middle[:, None] * along).reshape(*along.shape, *(1,) * magnet.mesh.dim)
        turned = tm.minimize(energy + tm.Zeeman(magnet, H), m, tolerance=tolerance)
        switched = (tm.average(turned, magnet) * along).sum(-1) < 0
        low, high = torch.where(switched, low, middle), torch.where(switched, middle, high)
        m = torch.where(switched.reshape(-1, *(1,) * (m.ndim - 1)), m, turned)
    return (low + high) / 2


@torch.no_grad()
def stoner_wohlfarth() -> list[Row]:
    """A single domain switches at (cos^2/3 psi + sin^2/3 psi)^-3/2 of H_k = 2 K / (mu_0 Ms), by both methods of `minimize`."""
    Ku, Ms, degrees = 1e5, 8e5, (5, 20, 45)
    magnet = body((2, 2, 2), (5 * NM,) * 3, Ms)
    energy = tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1))
    psi = torch.deg2rad(reals(degrees))
    along = torch.stack([psi.sin(), 0 * psi, psi.cos()], -1)
    exact = reals((0.766431, 0.573649, 0.5))
    H_k = 2 * Ku / (tm.mu_0 * Ms)
    start = uniform(magnet, (0, 0, 1)).expand(3, -1, -1, -1, -1)
    rows = []
    found = threshold(energy, start, along, 0.9 * exact * H_k, 1.1 * exact * H_k, 10, 1e-7) / H_k
    for angle, got, value in zip(degrees, found.tolist(), exact.tolist()):
        rows.append(Row(f"switching field / H_k at {angle} degrees", got, value, 0.003 * value))
    for part, sign in ((0.997, 1), (1.003, -1)):
        fields = (-part * exact * H_k)[:, None] * along
        m = tm.minimize(energy + tm.Zeeman(magnet, fields.reshape(3, 3, 1, 1, 1)), start, method="bb")
        before = int((m[:, 2].flatten(1).mean(1) * sign > 0).sum())
        rows.append(Row(f"of three, {'held' if sign > 0 else 'switched'} at {part:g} of it, Barzilai-Borwein", before, 3.0, 0.5))
    return rows


@torch.no_grad()
def platelet() -> list[Row]:
    """5 : 1 : 0.1 in units of d, d a tenth of the exchange length: coercive field along (1, 1, 1)."""
    A, Ms = 1.3e-11, 8e5
    d = 0.1 * math.sqrt(2 * A / (tm.mu_0 * Ms**2))
    magnet = body((1, 1, 1), (5 * d, d, 0.1 * d), Ms)
    energy = tm.Exchange(magnet, A) + tm.Demag(magnet)
    along = torch.ones(1, 3, dtype=torch.float64) / math.sqrt(3)
    history = reals([0.1, 0.05, 0.0, -0.03, -0.05])[:, None] * Ms * along
    m = tm.hysteresis(energy, uniform(magnet, (1, 1, 1)), history, tolerance=1e-8)
    remanence = float(tm.average(m, magnet)[2] @ along[0])
    Hc = threshold(energy, m[-1:], along, reals([0.05 * Ms]), reals([0.06 * Ms]), 14, 1e-8)
    return [
        Row("Hc / Ms", float(Hc) / Ms, 0.057069478, 1e-5),
        Row("<m> along the field at remanence, 1 / sqrt(3) if along the long edge", remanence, 1 / math.sqrt(3), None),
    ]


CASES = (
    Case(
        "HYS-01",
        "switching of a single domain",
        "Stoner and Wohlfarth, exact; MicroMagnetic.jl test/test_hysteresis.jl",
        stoner_wohlfarth,
    ),
    Case("HYS-04", "muMAG standard problem 2, small limit", "Donahue et al., J. Appl. Phys. 87, 5520 (2000)", platelet),
)
