"""Temperature: strength of the thermal field, free moments in equilibrium and on the way to it, the spin thermometer.

Tolerances of means over n independent moments are four standard errors and 2e-3.
"""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, body, uniform
from torchmag.cases.table import Case, Row, relative

GAMMA = 1.7595e11 * tm.mu_0  # m/(A s), of mumax3
ALPHA = 0.1
MOMENT = 1e-18  # A m^2: Ms 1e6 A/m in (10 nm)^3


def free(n: int, Ms: float = 1e6) -> tm.Magnet:
    """n x n nodes of equal volume, which nothing couples as long as there is no exchange."""
    return body((n, n), (10 * NM,) * 3, Ms, pbc=(1, 1, 0))


def langevin(x: float) -> float:
    """coth x - 1 / x."""
    return 1 / math.tanh(x) - 1 / x


def thermal_field(llg: tm.LLG, dt: float, count: int) -> Tensor:
    """`count` samples of the thermal field of a step dt, A/m: (count, 3, *nodes)."""
    values = llg.prepare()
    values["temperature"]["noise"] = llg.temperature.noise((), dt, count=count)
    return llg.fields(uniform(llg.energy.magnet, (0, 0, 1)), 0.0, values)["temperature"]


def heated(magnet: tm.Magnet, energy: tm.Energy | None, T: float, seed: int, gamma: float = GAMMA) -> tm.LLG:
    """The LLG of an energy (or of no field) at a temperature."""
    energy = tm.Zeeman(magnet, (0, 0, 0)) if energy is None else energy
    return tm.LLG(energy, alpha=ALPHA, gamma=gamma, temperature=tm.ThermalField(magnet, T, seed=seed))


SIGMA = 6.104821e5


@torch.no_grad()
def variance() -> list[Row]:
    """sigma = sqrt(2 alpha k T / (gamma mu_0 Ms V dt)) per component, V the lumped volume of the node; 1.008e6 draws."""
    llg = heated(free(64, Ms=8e5), None, 300.0, 1, gamma=2.211e5)
    H = thermal_field(llg, 1e-14, 82)
    strength = H / llg.temperature.noise((), 1.0, count=82)  # without statistics
    rows = [
        relative("sigma of a sample", H.std(), SIGMA, 3e-3, "A/m"),
        Row("mean of a sample", float(H.mean()), 0.0, 4 * SIGMA / math.sqrt(H.numel()), "A/m"),
    ]
    for axis, got in zip("xyz", H.var((0, 2, 3)).sqrt().tolist()):
        rows.append(relative(f"sigma of a sample, {axis}", got, SIGMA, 4 / math.sqrt(2 * H.numel() / 3), "A/m"))
    rows.append(relative("sigma, smallest", strength.min(), SIGMA, 1e-6, "A/m"))
    rows.append(relative("sigma, largest", strength.max(), SIGMA, 1e-6, "A/m"))
    llg = heated(body((2, 2, 2), (10 * NM,) * 3, 8e5), None, 300.0, 2, gamma=2.211e5)
    sigma = (thermal_field(llg, 1e-14, 1) / llg.temperature.noise((), 1.0))[0, 0]
    for name, node, share in (("inside", (1, 1, 1), 1), ("face", (0, 1, 1), 2), ("edge", (0, 0, 1), 4), ("corner", (2, 0, 2), 8)):
        rows.append(relative(f"sigma of a node, {name}", sigma[node], SIGMA * math.sqrt(share), 1e-6, "A/m"))
    return rows


def legendre_moments(t, rate: float, linear: float = 0.0, quadratic: float = 0.0, count: int = 60) -> Tensor:
    """<P_l(m_z)> at times t of free moments from m_z = 1 by Brown's Fokker-Planck equation, exact up to l = count: (T, count + 1).

    d<P_l>/dt = rate <-l(l+1) P_l + (linear + 2 quadratic z) (1 - z^2) P_l'>, energy -(linear z + quadratic z^2) kT.
    """
    generator = torch.zeros(count + 1, count + 2, dtype=torch.float64)
    for n in range(1, count):
        generator[n, n] -= n * (n + 1)
        for k, weight in ((n - 1, n * (n + 1) / (2 * n + 1)), (n + 1, -n * (n + 1) / (2 * n + 1))):
            generator[n, k] += linear * weight
            generator[n, k + 1] += 2 * quadratic * weight * (k + 1) / (2 * k + 1)
            if k:
                generator[n, k - 1] += 2 * quadratic * weight * k / (2 * k + 1)
    square, start = generator[:, : count + 1], torch.ones(count + 1, dtype=torch.float64)
    return torch.stack([torch.linalg.matrix_exp(square * rate * time) @ start for time in t])


def diffusion(T: float) -> float:
    """alpha gamma kT / ((1 + alpha^2) mu_0 Ms V), 1/s."""
    return ALPHA * GAMMA * tm.k_B * T / ((1 + ALPHA**2) * tm.mu_0 * MOMENT)


def mean_row(name: str, sample: Tensor, expected: float) -> Row:
    """The mean of independent numbers, to four standard errors and 2e-3."""
    return Row(name, float(sample.mean()), expected, 4 * float(sample.std()) / math.sqrt(sample.numel()) + 2e-3)


@torch.no_grad()
def paramagnet() -> list[Row]:
    """Free moments from m = z to <m_z> = L(xi B), <m_z^2> = 1 - 2 L(x) / x, and Brown's rate on the way."""
    xi, B = 30.0, 0.1
    magnet, T, x = free(96), MOMENT / (tm.k_B * xi), xi * B
    llg = heated(magnet, tm.Zeeman(magnet, (0, 0, B / tm.mu_0)), T, 3)
    t = [0.0, 0.1e-9, 0.3e-9, 0.8e-9, 2.5e-9]
    mz = tm.solve(llg, uniform(magnet, (0, 0, 1)), t, step=4e-12)[1:, 2]
    exact = legendre_moments(t[1:], diffusion(T), linear=x)[:, 1].tolist()
    rows = [mean_row(f"<m_z> at {time * 1e9:g} ns", found, value) for time, found, value in zip(t[1:], mz, exact)]
    rows.append(mean_row("<m_z> at 2.5 ns, Langevin", mz[-1], 0.67164))
    return [*rows, mean_row("<m_z^2> at 2.5 ns", mz[-1].square(), 1 - 2 * langevin(x) / x)]


# Ms V / kT in 1/T, n of n x n moments, L(xi B) at 10, 20, 50 and 100 mT.
LANGEVIN = (
    (30, 256, (0.09941, 0.19536, 0.43812, 0.67164)),
    (91, 160, (0.28781, 0.50447, 0.78044, 0.89011)),
    (242, 128, (0.60272, 0.79351, 0.91736, 0.95868)),
    (725, 128, (0.86207, 0.93103, 0.97241, 0.98621)),
)


def boltzmann(x: Tensor, n: int) -> Tensor:
    """m of moments in equilibrium, drawn by inversion: exp(x z) is uniform between exp(-x) and exp(x); x (B, 1, 1) -> (B, 3, n, n)."""
    generator = torch.Generator().manual_seed(4)
    u, phase = torch.rand((2, len(x), n, n), dtype=torch.float64, generator=generator)
    z = 1 + torch.log(u + (1 - u) * torch.exp(-2 * x)) / x
    r = (1 - z * z).sqrt()
    return torch.stack((r * torch.cos(2 * math.pi * phase), r * torch.sin(2 * math.pi * phase), z), 1)


@torch.no_grad()
def equilibrium() -> list[Row]:
    """The Boltzmann distribution of free moments in a field stays: <m_z> = L(xi B) after 2 ns."""
    rows, B = [], torch.tensor([0.01, 0.02, 0.05, 0.1], dtype=torch.float64)
    for xi, n, expected in LANGEVIN:
        magnet = free(n)
        m = boltzmann((xi * B).reshape(4, 1, 1), n)
        H = torch.zeros(4, 3, 1, 1, dtype=torch.float64)
        H[:, 2, 0, 0] = B / tm.mu_0
        llg = heated(magnet, tm.Zeeman(magnet, H), MOMENT / (tm.k_B * xi), 5)
        found = tm.solve(llg, m, [0.0, 2e-9], step=2e-12)[-1]
        for b, start, end, value in zip(B.tolist(), m[:, 2], found[:, 2], expected):
            rows.append(mean_row(f"<m_z>, xi {xi}/T, {b:g} T", end, value))
            memory = float(torch.corrcoef(torch.stack((end.flatten(), start.flatten())))[0, 1])
            rows.append(Row(f"correlation with the start, xi {xi}/T, {b:g} T", memory, 0.0, None))
    return rows


@torch.no_grad()
def relaxation() -> list[Row]:
    """Over a barrier of 1.8 kT in 5 ns.

    A batch of single nodes: on a mesh the element integral of the anisotropy couples neighbours, without exchange too.
    """
    K, T = 2500.0, 100.0
    magnet = body((1,), (10 * NM,) * 3, 1e6, pbc=(1, 0, 0))
    llg = heated(magnet, tm.UniaxialAnisotropy(magnet, K, (0, 0, 1)), T, 6)
    mz = tm.solve(llg, uniform(magnet, (0, 0, 1)).expand(256**2, 3, 1), [0.0, 5e-9], step=2e-12)[-1, :, 2]
    exact = float(legendre_moments([5e-9], diffusion(T), quadratic=K * 1e-24 / (tm.k_B * T))[0, 1])
    return [
        Row("<m_z> at 5 ns, Fokker-Planck", float(mz.mean()), exact, 4e-3),
        Row("<m_z> at 5 ns, mumax3", float(mz.mean()), 0.8366, 4e-3),
        Row("Fokker-Planck beside its published value", exact, 0.83701, 1e-5),
    ]


def response(energy: tm.Energy) -> Tensor:
    """-dH_i/dm_i at one node of a translation-invariant linear term, A/m: 3 x 3."""
    columns = []
    for component in range(3):
        m = torch.zeros(3, *energy.mesh.nodes, dtype=torch.float64)
        m[component, 0, 0] = 1
        columns.append(-energy.field(m)[:, 0, 0])
    return torch.stack(columns, 1)


@torch.no_grad()
def thermometer() -> list[Row]:
    """T from kT <sum 2 m.H + tr(P G)> = mu_0 Ms V <sum |m x H|^2>, G = -dH_i/dm_i, P the projection normal to m; 64^2 cells of 4 nm."""
    n, h, Ms, A, T = 64, 4 * NM, 580e3, 15e-12, 177.0
    magnet = body((n, n), (h,) * 3, Ms, pbc=(4, 4, 0))
    exchange = tm.Exchange(magnet, A)
    energy = exchange + tm.UniaxialAnisotropy(magnet, 0.6e6, (0, 0, 1)) + tm.Demag(magnet)
    G, llg = response(energy), heated(magnet, energy, T, 7)
    # gamma H step = 0.11 for the stiffest exchange mode, H = 2 A / (mu_0 Ms) * 4 / h^2.
    m = tm.solve(llg, uniform(magnet, (0, 0, 1)), [0.0, 100e-12], step=5e-14)[-1]
    m = tm.solve(llg, m, torch.linspace(100e-12, 200e-12, 101, dtype=torch.float64), step=5e-14)[1:]
    H = torch.stack([energy.field(x) for x in m])
    torque = torch.linalg.cross(m, H, dim=1).square().sum()
    along = (2 * m * H).sum() + G.trace() * len(m) * n * n - torch.einsum("tixy,ij,tjxy->", m, G, m)
    stiffest = 16 * A / (3 * h * h * tm.mu_0 * Ms)  # of order 2
    elements = tm.Exchange(body((n, n), (h,) * 3, Ms, pbc=(4, 4, 0), order=2), A)
    return [
        Row("temperature", float(tm.mu_0 * Ms * h**3 * torque / (tm.k_B * along)), T, 5.0, "K"),
        relative("-dH/dm of the exchange, 8 / (3 h^2)", response(elements)[0, 0], stiffest, 1e-9, "A/m"),
    ]


LELIAERT = "exact; Leliaert et al., AIP Adv. 7, 125010 (2017)"
CASES = (
    Case("THM-00", "strength of the thermal field", LELIAERT, variance),
    Case("THM-01s", "paramagnet on its way to equilibrium", "exact, Fokker-Planck equation of Brown", paramagnet, seconds=2),
    Case("THM-01", "paramagnet in equilibrium", LELIAERT, equilibrium, seconds=100),
    Case("THM-03", "relaxation over a barrier", "mumax3 test/rk4temperature.mx3; Fokker-Planck equation", relaxation, seconds=60),
    Case(
        "THM-06",
        "spin thermometer",
        "Ma et al., Phys. Rev. E 82, 031111 (2010); mumax3 test/runningaverage.mx3",
        thermometer,
        seconds=20,
    ),
)
