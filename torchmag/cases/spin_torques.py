"""Spin torques at a point, on a macrospin, on a wall."""

import math

import torch
from torch.nn.functional import normalize

import torchmag as tm
from torchmag.cases.bodies import NM, at_nodes, body, reals, uniform, wire
from torchmag.cases.table import Case, Row, components, relative
from torchmag.constants import e

GAMMA = 2.211e5


def drift(Ms: float) -> float:
    """u / j of Zhang-Li for P = 1 and xi = 0, m^3/C."""
    return tm.mu_B / (e * Ms)


def still(magnet: tm.Magnet) -> tm.Zeeman:
    """An energy whose field vanishes."""
    return tm.Zeeman(magnet, (0, 0, 0))


@torch.no_grad()
def walls() -> list[Row]:
    """v = (1 + alpha xi) / (1 + alpha^2) u below the Walker limit, u = mu_B P j / (e Ms (1 + xi^2)); three walls as one batch.

    The central difference of a wall of width 11.4 nm on cells of 2 nm is 0.5 % small, h^2 / (6 w^2).
    """
    alpha, Ms, A, K = 0.1, 8.6e5, 1.3e-11, 1e5
    xi, u = reals((0.0, 0.1, 0.2)), reals((10.0, 3.2, 4.7))
    magnet = wire(500, 2 * NM, Ms)
    energy = tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, K, (1, 0, 0))
    x = (at_nodes(magnet)[0] - 500 * NM) / math.sqrt(A / K)
    m = normalize(torch.stack((-torch.tanh(x), 1 / torch.cosh(x), 0 * x)), dim=0)
    m = tm.minimize(energy, m)
    j = torch.stack((-u * (1 + xi**2) / drift(Ms), 0 * u, 0 * u), 1)[..., None]  # (B, 3, 1)
    llg = tm.LLG(energy, alpha, gamma=2.21e5, torques=[tm.ZhangLi(magnet, j, xi=xi[:, None])])
    m = tm.solve(llg, m, [0.0, 1e-10])
    moved = (tm.average(m[1], magnet) - tm.average(m[0], magnet))[:, 0] * magnet.mesh.size[0] / 2
    rows = [Row("u for P = 1, j = 1e12 A/m^2, Ms = 8e5 A/m, xi = 0", drift(8e5) * 1e12, 72.35477, 1e-5, "m/s")]
    for value, speed, got, expected in zip(xi.tolist(), u.tolist(), moved.tolist(), (9.90099, 3.2, 4.746535)):
        rows.append(relative(f"v for xi {value:g}, u {speed:g} m/s", got / 1e-10, expected, 6e-3, "m/s"))
    return rows


@torch.no_grad()
def oscillator() -> list[Row]:
    """An easy plane and a current along its normal: m_z = a_J / (alpha H_k), towards p for J > 0."""
    Ms, alpha, J, P = 8e5, 0.1, 6.32015e10, 0.4
    magnet = body((1,), (5 * NM, 5 * NM, 2 * NM), Ms, pbc=(1, 0, 0))
    plane = tm.UniaxialAnisotropy(magnet, -4e4, (0, 0, 1))
    a = tm.hbar * J * P / (2 * tm.mu_0 * e * Ms * 2 * NM)
    rows = [relative("a_J / (alpha H_k) by its formula", a / (alpha * 2 * 4e4 / (tm.mu_0 * Ms)), 0.52, 1e-4)]
    for sign in (1, -1):
        llg = tm.LLG(plane, alpha, gamma=GAMMA, torques=[tm.Slonczewski(magnet, sign * J, (0, 0, 1), P)])
        m = tm.solve(llg, uniform(magnet, (1, 0, -0.1 * sign)), [0.0, 8e-9], rtol=1e-6, atol=1e-6)[-1]
        rows.append(relative(f"m_z for J {'>' if sign > 0 else '<'} 0", m[2, 0], 0.52 * sign, 5e-4))
    return rows


def at_one_point(m, torque) -> torch.Tensor:
    """Field of torque(magnet) for m, the same at all nodes of 2 x 2 x 2 cells; its mean over the nodes, A/m."""
    magnet = body((2, 2, 2), (NM,) * 3, 8e5)
    # m need not have unit length: the published numbers are for one that has not.
    field = torque(magnet).field(reals(m).reshape(3, 1, 1, 1).expand(3, *magnet.mesh.nodes))
    return field.flatten(1).mean(1)


@torch.no_grad()
def formulas() -> list[Row]:
    """(a m x p + b p) / gamma; eps of Slonczewski; torques normal to m and proportional to gamma."""
    m, p = (-0.3, 0.4, 0.8), (0.1, 0.2, 0.3)
    length = math.sqrt(0.14)  # the torque normalises p
    j = -1e9 / 2.21e5 * length * 2 * e * tm.mu_0 * 8e5 * 2 * NM / tm.hbar
    H = at_one_point(m, lambda magnet: tm.SpinOrbit(magnet, j, reals(p), eta_damp=1, eta_field=0.5))
    expected = (45.248869, 1221.719457, 226.244344)
    rows = [relative(f"H_{axis}, spin-orbit", got, value, 1e-6, "A/m") for axis, got, value in zip("xyz", H, expected)]
    m, p = reals((-0.6, 0.0, 0.8)), reals((0.0, 0.6, 0.8))
    J, P, eps_prime, d = 3e11, 0.4, 0.1, 5 * NM
    beta = tm.hbar * J / (tm.mu_0 * e * 8e5 * d)
    for Lambda in (1, 2):
        H = at_one_point(m.tolist(), lambda b, Lambda=Lambda: tm.Slonczewski(b, J, p, P, Lambda, eps_prime, d))
        eps = P * Lambda**2 / ((Lambda**2 + 1) + (Lambda**2 - 1) * 0.64)
        expected = beta * (eps * torch.linalg.cross(m, p) + eps_prime * p)
        rows += components(f"H_{{}}, Slonczewski, Lambda {Lambda}", H, expected, 1e-12 * float(expected.norm()), "A/m")
    return [*rows, *scaling()]


def scaling() -> list[Row]:
    """Twice gamma, twice the torque; Zhang-Li has its own time scale, the drift u."""
    magnet = body((4, 3, 2), (2 * NM,) * 3, 8e5)
    m, p, rows = tm.random(magnet.mesh, seed=0, dtype=torch.float64), reals((0.6, 0, 0.8)), []
    for name, torque, expected in (
        ("Slonczewski", tm.Slonczewski(magnet, 1e11, p, 0.5, 2, 0.1), 2),
        ("spin-orbit", tm.SpinOrbit(magnet, 1e11, p, 0.2, 0.1), 2),
        ("Zhang-Li", tm.ZhangLi(magnet, (1e12, 1e11, -1e11), 0.5, 0.1), 1),
    ):
        slow, fast = (tm.LLG(still(magnet), 0.1, gamma=f * GAMMA, torques=[torque])(0.0, m) for f in (1, 2))
        along = float((slow * m).sum(0).abs().max() / slow.abs().max())
        rows.append(Row(f"torque for twice gamma, {name}", float((fast * slow).sum() / (slow * slow).sum()), expected, 1e-7))
        rows.append(Row(f"torque along m over the largest, {name}", along, 0.0, 1e-12))
    return rows


@torch.no_grad()
def thickness() -> list[Row]:
    """Two cells of 1 nm, with two empty ones above or a thickness given: the same field."""

    def field(layers, d=None, **more):
        Ms = torch.zeros(1, 1, layers, dtype=torch.float64)
        Ms[..., :2] = 4.3
        magnet = body((1, 1, layers), (NM,) * 3, Ms)
        torque = tm.Slonczewski(magnet, 5.4, reals((1, 0, 1)), 0.6, d=d, **more)
        return torque.field(uniform(magnet, (0.48, -0.6, 0.64)))

    rows = []
    for kind, more in (("", {}), (", Lambda 2, eps' 0.1", {"Lambda": 2, "eps_prime": 0.1})):
        full, padded = field(2, **more), field(4, **more)
        largest = full.abs().max()
        for name, got, expected in (
            ("empty cells above", padded[..., :3], full),
            ("d = 2 nm", field(2, 2 * NM, **more), full),
            ("empty cells above, d = 2 nm", field(4, 2 * NM, **more)[..., :3], full),
            ("d = 4 nm, half", field(4, 4 * NM, **more)[..., :3], full / 2),
        ):
            rows.append(Row(f"largest dH / H, {name}{kind}", float((got - expected).abs().max() / largest), 0.0, 1e-5))
        rows.append(Row(f"H of empty nodes over H{kind}", float(padded[..., 3:].abs().max() / largest), 0.0, 1e-12))
    return rows


CASES = (
    Case("STT-01", "walls driven by a current", "exact; MicroMagnetic.jl test/test_stt.jl", walls, seconds=2),
    Case("STT-08", "oscillator with an easy plane", "exact; fidimag tests/test_stt_slonczewski.py", oscillator, seconds=3),
    Case(
        "STT-10",
        "formulas of the torques",
        "MicroMagnetic.jl test/test_sot.jl, test_slonczewski.jl; mumax+ test/test_gamma.py",
        formulas,
    ),
    Case("STT-12", "thickness of the free layer", "mumax+ test/test_free_layer_thickness.py", thickness),
)
