"""Films driven by a current: vortex, switching, walls on a ring."""

import math

import torch
from torch.nn.functional import normalize

import torchmag as tm
from torchmag.cases.bodies import NM, at_nodes, body, published, reals, uniform
from torchmag.cases.table import Case, Row, components, relative

GAMMA = 2.211e5
SP5 = {
    0.1: (-0.02322, 0.08607, 0.02394),
    0.5: (-0.28773, 0.13963, 0.01856),
    1: (-0.22162, -0.08845, 0.02088),
    2: (-0.25011, 0.03142, 0.02064),
    8: (-0.20388, 0.01514, 0.02179),
}


# One layer, extrapolated with h^2 from cells of 2.5 and 1.25 nm to order 2: <m> at 0.5 and 2 ns.
SP5_LIMIT = {0.5: (-0.3126, 0.1455, 0.0216), 2: (-0.2725, 0.0328, 0.0236)}


def vortex(n, dz: float, order: int) -> tuple[tm.Energy, tm.LLG, torch.Tensor]:
    """Standard problem 5 on cells of 5 nm: energy, equation and relaxed vortex."""
    magnet = body(n, (5 * NM, 5 * NM, dz), 8e5, origin=(-50 * NM, -50 * NM, 0.0), order=order)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    x, y, _ = at_nodes(magnet)
    m = tm.minimize(energy, normalize(torch.stack((-y, x, torch.full_like(x, 10 * NM))), dim=0))
    return energy, tm.LLG(energy, 0.1, gamma=GAMMA, torques=[tm.ZhangLi(magnet, (1e12, 0, 0), P=1, xi=0.05)]), m


def beside_oommf(n, dz: float, ns: int, name: str) -> list[Row]:
    """To `ns` nanoseconds beside OOMMF's cells of 5 nm, which are cubes, with an error of the same size: order 2."""
    energy, llg, m = vortex(n, dz, 2)
    magnet = energy.magnet
    # A vortex on nodes: the means over cells are shorter than 1 in its core.
    rows = components(f"relaxed <m_{{}}>, {name}", tm.average(m, magnet), (0, 0, 0.024510), 4e-3)
    rows.append(relative(f"relaxed E, {name}", energy.energy(m), 3.686646e-18, 2e-2, "J"))
    oommf = published("sp5_xi0.05.csv")  # every 50 ps
    oommf = oommf[oommf[:, 0] < ns * 1.001e-9]
    found = tm.average(tm.solve(llg, m, [0.0, *oommf[:, 0].tolist()]), magnet)[1:]
    for t, expected in SP5.items():
        if t <= ns:
            rows += components(f"<m_{{}}> at {t:g} ns, {name}", found[round(t / 0.05) - 1], expected, 0.02)
    rms = (found - oommf[:, 1:]).square().mean(0).sqrt()
    rows += components(f"rms of d<m_{{}}> to {ns} ns, {name}", rms, (0, 0, 0), 0.02)
    return [*rows, Row(f"smallest <m_x>, of -0.35 to -0.30, {name}", float(found[:, 0].min()), -0.325, 0.025)]


@torch.no_grad()
def standard_problem_5() -> list[Row]:
    """A vortex in 100 x 100 x 10 nm, u = 72.35 m/s, xi 0.05: cubes to 2 ns, one layer (2D) to 8 ns."""
    rows = [*beside_oommf((20, 20, 2), 5 * NM, 2, "3D"), *beside_oommf((20, 20), 10 * NM, 8, "2D")]
    energy, llg, m = vortex((20, 20), 10 * NM, 6)
    found = tm.average(tm.solve(llg, m, [0.0, *(t * 1e-9 for t in SP5_LIMIT)])[1:], energy.magnet)
    for got, (t, expected) in zip(found, SP5_LIMIT.items()):
        rows += components(f"<m_{{}}> at {t:g} ns, order 6, beside the limit of small cells", got, expected, 4e-3)
    return rows


# J, m0, and <m> by time: OOMMF and mumax3; magnum.np.
SWITCHING = (
    (-4.6875e11, (1, 0.1, 0), {1e-9: (-0.953323545, -0.279948071, 0.005280933)}),
    (-4e11, (1, 0, 0), {1e-10: (-0.84785, 0.34064, 0.24850), 5e-10: (-0.953203, -0.275311, 0.006303)}),
)


@torch.no_grad()
def field_like() -> list[Row]:
    """A film of 160 x 80 x 5 nm, p at 20 degrees in the plane, Lambda 2, eps' 1."""
    magnet = body((64, 32), (2.5 * NM, 2.5 * NM, 5 * NM), 8e5)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    p = reals((math.cos(math.radians(20)), math.sin(math.radians(20)), 0))
    rows = []
    for J, m0, expected in SWITCHING:
        torque = tm.Slonczewski(magnet, J, p, P=0.5669, Lambda=2, eps_prime=1)
        llg = tm.LLG(energy, 0.01, gamma=GAMMA, torques=[torque])
        found = tm.average(tm.solve(llg, uniform(magnet, m0), [0.0, *expected])[1:], magnet)
        for got, (t, values) in zip(found, expected.items()):
            rows += components(f"<m_{{}}> at {t * 1e12:g} ps, J {J:.5g} A/m^2", got, values, 5e-3)
    return rows


@torch.no_grad()
def ring() -> list[Row]:
    """Head-to-head and tail-to-tail wall in a strip of 1280 x 160 x 5 nm with one image along x: 1 ns at alpha 3, 1 ns driven.

    The second wall lies at the seam: cells 0 to 7, hence nodes 0 to 8, whose centre is the same.
    """
    magnet = body((256, 32), (5 * NM,) * 3, 8e5, pbc=(1, 0, 0))
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    node = (at_nodes(magnet)[0] / (5 * NM)).round()
    wall = torch.exp(-(((node - 128) / 2) ** 2))
    m = torch.stack(((1 - wall) * torch.sign(128 - node), wall, 0 * node))
    m = normalize(torch.where(node <= 8, reals((0.0, -1.0, 0.0)).reshape(3, 1, 1), m), dim=0)
    gamma = 1.7595e11 * tm.mu_0  # mumax3's
    driven = tm.LLG(energy, 0.01, gamma=gamma, torques=[tm.ZhangLi(magnet, (1e12, 0, 0), P=1, xi=0.1)])
    for llg in (tm.LLG(energy, 3.0, gamma=gamma), driven):
        m = tm.solve(llg, m, [0.0, 1e-9])[-1]
    return components("<m_{}>", tm.average(m, magnet), (-0.081425920, -0.003434650, -0.015030215), 2e-2)


CASES = (
    Case(
        "STT-03",
        "muMAG standard problem 5",
        "OOMMF on cells of 5 nm, run for torchmag; fidimag equal to 4e-4; limit of small cells",
        standard_problem_5,
        seconds=45,
    ),
    Case("STT-05", "switching with a field-like torque", "OOMMF and mumax3 test/std5b.mx3; magnum.np", field_like, seconds=30),
    Case("STT-11", "walls on a ring driven by a current", "mumax3 test/zhangliPBC.mx3", ring, seconds=13),
)
