"""Exchange: damped motion of a box; of order 2 the node formula, closed forms and order of convergence."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, angles, at_nodes, body, published, wire
from torchmag.cases.table import Case, Row, components

A, H = 5e-12, 1e-9


@torch.no_grad()
def spiral() -> list[Row]:
    """A spiral of wave number k on cells of size h has w = 2 A (1 - cos kh) / h^2, below A k^2 by (kh)^2 / 12."""
    rows = []
    # The deviations as mumax+ states them, to two digits.
    for degrees, stated in ((1, 2.5e-5), (10, 2.5e-3), (20, 1.0e-2)):
        cells = 360 // degrees
        magnet = wire(cells, H, 8e5, periodic=True, order=2)
        k = math.radians(degrees) / H
        m = angles(k * at_nodes(magnet)[0], axis="x", to="y")
        w = float(tm.Exchange(magnet, A).energy(m)) / (cells * magnet.mesh.cell_volume)
        discrete = 2 * A * (1 - math.cos(k * H)) / H**2
        rows.append(Row(f"w, {degrees} degrees per cell", w, discrete, 1e-10 * discrete, "J/m^3"))
        last_digit = 10 ** math.floor(math.log10(stated)) / 10
        rows.append(Row(f"1 - w / A k^2, {degrees} degrees per cell", 1 - w / (A * k**2), stated, 0.5 * last_digit))
    return rows


@torch.no_grad()
def line() -> list[Row]:
    """H_i = 2A / (mu_0 Ms h^2) (m_i+1 - 2 m_i + m_i-1), twice the one-sided difference at a free end: nmag's lumped field of 11 nodes."""
    stiffness, Ms, h = 1.3e-11, 0.86e6, 2 * NM
    numbers = published("exchange_line.csv").T
    m, expected = numbers[:3].contiguous(), numbers[3:]
    H = tm.Exchange(body((10,), (h,) * 3, Ms, order=2), stiffness).field(m)
    largest = float(expected.abs().max())
    rows = components("H_{} at the first node, nmag", H[:, 0], expected[:, 0], 1e-8 * largest, "A/m")
    rows += components("H_{} at the second node, nmag", H[:, 1], expected[:, 1], 1e-8 * largest, "A/m")
    rows.append(Row("largest deviation of the 11 nodes from nmag", float((H - expected).abs().max()), 0.0, 1e-8 * largest, "A/m"))
    scale = 2 * stiffness / (tm.mu_0 * Ms * h**2)
    inner = scale * (m[:, 2:] - 2 * m[:, 1:-1] + m[:, :-2])
    ends = 2 * scale * torch.stack([m[:, 1] - m[:, 0], m[:, -2] - m[:, -1]], 1)
    lumped = torch.cat([ends[:, :1], inner, ends[:, 1:]], 1)
    return [*rows, Row("largest deviation from the formula", float((H - lumped).abs().max()), 0.0, 1e-12 * largest, "A/m")]


BOX = {
    1e-11: (0.0749879, -0.6896806, 0.4988908),
    1e-10: (0.7243484, -0.0059493, -0.6623841),
    5e-10: (0.9998369, -0.0013164, -0.0180063),
}


@torch.no_grad()
def box() -> list[Row]:
    """30 x 10 x 10 nm from m ~ (2x / L - 1, 2y / W - 1, 1) in a field along x, without demagnetising field."""
    magnet = body((12, 4, 4), (2.5 * NM,) * 3, 0.86e6)
    x, y, z = at_nodes(magnet)
    m = torch.stack([2 * x / (30 * NM) - 1, 2 * y / (10 * NM) - 1, torch.ones_like(z)])
    m = torch.nn.functional.normalize(m, dim=0)
    llg = tm.LLG(tm.Exchange(magnet, 13e-12) + tm.Zeeman(magnet, (0.43e6, 0, 0)), alpha=0.1, gamma=2.211e5)
    mean = tm.average(tm.solve(llg, m, [0.0, *BOX], method="bosh3"), magnet)[1:]
    rows = []
    for (t, expected), got in zip(BOX.items(), mean):
        rows += components(f"<m_{{}}> at {t * 1e12:g} ps", got, expected, 8e-3)  # finmag's tolerance
    return rows


def standing_wave(n: int, dim: int, periodic: bool) -> tuple[tm.Magnet, Tensor, Tensor, float]:
    """theta = a prod cos(k x_i), m in the plane, dm/dn = 0 at the ends: magnet, m, lap m + (.) m, integral of (grad m)^2."""
    size, a = 40 * NM, 0.8
    k = (2 if periodic else 1) * math.pi / size
    h = (size / n,) * dim + (5 * NM,) * (3 - dim)
    pbc = (math.inf,) * dim + (0,) * (3 - dim) if periodic else (0, 0, 0)
    magnet = body((n,) * dim, h, 8e5, pbc=pbc, order=2)
    x = at_nodes(magnet)[:dim]
    theta = a * (k * x).cos().prod(0)
    slope = [-a * k * (k * x[i]).sin() * (k * x).cos()[[j for j in range(dim) if j != i]].prod(0) for i in range(dim)]
    m = torch.stack([theta.cos(), theta.sin(), 0 * theta])
    normal = torch.stack([-theta.sin(), theta.cos(), 0 * theta])
    field = -dim * k**2 * theta * normal - sum(s * s for s in slope) * m
    return magnet, m, field, dim * (a * k) ** 2 / 2**dim * math.prod(magnet.mesh.size)


@torch.no_grad()
def orders() -> list[Row]:
    """The largest error of the field and the error of the energy fall as h^2, open and periodic."""
    rows, stiffness = [], 1.3e-11
    for dim in (1, 2, 3):
        for periodic in (False, True):
            errors = []
            for n in (16, 32) if dim == 3 else (32, 64):
                magnet, m, exact, integral = standing_wave(n, dim, periodic)
                exchange = tm.Exchange(magnet, stiffness)
                H = exchange.field(m) - 2 * stiffness / (tm.mu_0 * 8e5) * exact
                errors.append((float(H.abs().max()), abs(float(exchange.energy(m)) - stiffness * integral)))
            for name, coarse, fine in zip(("field", "energy"), *errors):
                where = f"{dim}D, {'periodic' if periodic else 'open'}"
                rows.append(Row(f"order in h of the {name}, {where}", math.log2(coarse / fine), 2.0, 0.1))
    k = 2 * math.pi / (100 * NM)
    magnet = wire(50, 2 * NM, 8.6e5, periodic=True, order=2)
    m = torch.stack([(k * at_nodes(magnet)[0] + phase).sin() for phase in (0, 1.2, 2.3)])
    H = tm.Exchange(magnet, stiffness).field(m)
    error = float((H + 2 * stiffness * k**2 / (tm.mu_0 * 8.6e5) * m).abs().max())
    return [*rows, Row("largest error of H / Ms, 50 cells of 2 nm, a period", error / 8.6e5, 0.0, 2e-4)]


CASES = (
    Case("EXC-01", "exchange field at the nodes of a line", "nmag (finmag src/finmag/tests/nmag/exchange_1d)", line),
    Case("EXC-03", "damped motion of a box", "nmag (finmag src/finmag/tests/nmag/exchange_3d)", box, seconds=4),
    Case("EXC-05", "exchange: order of convergence", "exact; MicroMagnetic.jl test/test_exch.jl", orders),
    Case("EXC-04", "exchange energy of a spiral", "exact; mumax+ test/test_exchange.py; AIP Adv. 4, 107133, Fig. 5", spiral),
)
