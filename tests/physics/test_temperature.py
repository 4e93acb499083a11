"""Temperature: variance of the thermal field, equilibrium and relaxation of free moments, the spin thermometer.

Statistical tolerances are four standard errors of the mean over independent moments.
"""

import math

import pytest
import torch

import torchmag as tm

GAMMA = 1.7595e11 * tm.mu_0  # m/(A s), of mumax3
ALPHA = 0.1


def moments(n, Ms=1e6, dx=1e-8, dtype=torch.float64):
    """n x n nodes of equal volume, which nothing couples as long as there is no exchange."""
    return tm.Magnet(tm.Mesh((n, n), (dx,) * 3, pbc=(1, 1, 0)), Ms, dtype=dtype)


def legendre_moments(t, rate, z0, linear=0.0, quadratic=0.0, count=60):
    """<P_l(m_z)> at times t of free moments that start at m_z = z0: Brown's Fokker-Planck equation, exact up to l = count.

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
    start = [1.0, z0]
    for n in range(1, count):
        start.append(((2 * n + 1) * z0 * start[n] - n * start[n - 1]) / (n + 1))
    square = generator[:, : count + 1]
    return torch.stack([torch.linalg.matrix_exp(square * rate * time) @ torch.tensor(start) for time in t])


def diffusion(T, moment):
    """alpha gamma kT / ((1 + alpha^2) mu_0 Ms V), 1/s, for a moment in A m^2."""
    return ALPHA * GAMMA * tm.k_B * T / ((1 + ALPHA**2) * tm.mu_0 * moment)


def langevin(x):
    return 1 / math.tanh(x) - 1 / x


def thermal_field(llg, dt, count):
    """`count` samples of the thermal field of a step dt, A/m: (count, 3, *nodes)."""
    values = llg.prepare()
    values["temperature"]["noise"] = llg.temperature.noise((), dt, count=count)
    return llg.fields(tm.uniform(llg.mesh, (0, 0, 1)), 0.0, values)["temperature"]


def test_variance_of_the_field():
    """THM-00: sigma = sqrt(2 alpha k T / (gamma mu_0 Ms V dt)) per component (Leliaert et al., AIP Adv. 7, 125010 (2017))."""
    magnet = moments(64, Ms=8e5)
    thermal = tm.ThermalField(magnet, 300.0, seed=1)
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, 0)), alpha=0.1, gamma=2.211e5, temperature=thermal)
    H = thermal_field(llg, 1e-14, 82)  # 1.008e6 numbers: the standard error of sigma is 7e-4
    assert float(H.std()) == pytest.approx(6.104821e5, rel=3e-3)
    assert float(H.mean()) == pytest.approx(0, abs=4 * 6.1e5 / math.sqrt(H.numel()))
    assert H.var((0, 2, 3)).sqrt().tolist() == pytest.approx([6.104821e5] * 3, rel=4 / math.sqrt(2 * H.numel() / 3))
    # The strength itself, without statistics.
    exact = H / thermal.noise((), 1.0, count=82)
    torch.testing.assert_close(exact, torch.full_like(exact, 6.104821e5), rtol=1e-6, atol=0)


def test_variance_at_the_boundary():
    """THM-00: sigma grows as 1 / sqrt(lumped volume): face sqrt(2), edge 2, corner sqrt(8)."""
    magnet = tm.Magnet(tm.Mesh((2, 2, 2), (1e-8,) * 3), 8e5)
    thermal = tm.ThermalField(magnet, 300.0, seed=2)
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, 0)), alpha=0.1, gamma=2.211e5, temperature=thermal)
    sigma = (thermal_field(llg, 1e-14, 1) / thermal.noise((), 1.0))[0, 0]
    volumes = {(1, 1, 1): 1, (0, 1, 1): 2, (1, 0, 1): 2, (0, 0, 1): 4, (2, 0, 2): 8}
    for node, share in volumes.items():
        assert float(sigma[node]) == pytest.approx(6.104821e5 * math.sqrt(share), rel=1e-6)


def test_paramagnet():
    """THM-01, a part: free moments of 1e-18 A m^2 from m = z to <mz> = L(xi B), and Brown's rate on the way."""
    xi, B, n = 30.0, 0.1, 96
    magnet, T = moments(n), 1e-18 / (tm.k_B * xi)
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, B / tm.mu_0)), alpha=ALPHA, gamma=GAMMA, temperature=tm.ThermalField(magnet, T, seed=3))
    t = [0.0, 0.1e-9, 0.3e-9, 0.8e-9, 2.5e-9]
    with torch.no_grad():
        mz = tm.solve(llg, tm.uniform(magnet.mesh, (0, 0, 1)), t, step=4e-12)[1:, 2]
    expected = legendre_moments(t[1:], diffusion(T, 1e-18), 1.0, linear=xi * B)[:, 1]
    assert float(expected[-1]) == pytest.approx(0.67164, abs=1e-3)
    for found, value in zip(mz, expected):
        assert float(found.mean()) == pytest.approx(float(value), abs=4 * float(found.std()) / n + 2e-3)
    x = xi * B
    error = 4 * float(mz[-1].square().std()) / n + 2e-3
    assert float(mz[-1].square().mean()) == pytest.approx(1 - 2 * langevin(x) / x, abs=error)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("xi", "n", "expected"),
    [
        (30, 256, (0.09941, 0.19536, 0.43812, 0.67164)),
        (91, 160, (0.28781, 0.50447, 0.78044, 0.89011)),
        (242, 128, (0.60272, 0.79351, 0.91736, 0.95868)),
        (725, 128, (0.86207, 0.93103, 0.97241, 0.98621)),
    ],
)
def test_langevin(xi, n, expected):
    """THM-01: the Boltzmann distribution of free moments in a field is stationary (Leliaert et al. 2017)."""
    magnet, generator = moments(n), torch.Generator().manual_seed(4)
    B = torch.tensor([0.01, 0.02, 0.05, 0.1])
    x = (xi * B).reshape(4, 1, 1)
    # By inversion: exp(x z) is uniform between exp(-x) and exp(x).
    u = torch.rand((4, n, n), generator=generator)
    z = 1 + torch.log(u + (1 - u) * torch.exp(-2 * x)) / x
    azimuth, r = 2 * math.pi * torch.rand((4, n, n), generator=generator), (1 - z * z).sqrt()
    m0 = torch.stack((r * azimuth.cos(), r * azimuth.sin(), z), 1)
    H = torch.zeros(4, 3, 1, 1)
    H[:, 2, 0, 0] = B / tm.mu_0
    thermal = tm.ThermalField(magnet, 1e-18 / (tm.k_B * xi), seed=5)
    llg = tm.LLG(tm.Zeeman(magnet, H), alpha=ALPHA, gamma=GAMMA, temperature=thermal)
    with torch.no_grad():
        mz = tm.solve(llg, m0, [0.0, 2e-9], step=2e-12)[-1, :, 2]
    for found, start, value, b in zip(mz, z, expected, B.tolist()):
        assert value == pytest.approx(langevin(xi * b), abs=1e-5)
        assert float(found.mean()) == pytest.approx(value, abs=4 * float(found.std()) / n + 2e-3)
        assert float(torch.corrcoef(torch.stack((found.flatten(), start.flatten())))[0, 1]) < 0.95


@pytest.mark.slow
def test_thermal_relaxation():
    """THM-03: over a barrier of 1.8 kT; 0.8366 in mumax3 (test/rk4temperature.mx3), 0.83701 by the Fokker-Planck equation.

    A batch of single nodes: on a mesh the element integral of the anisotropy couples neighbours, without exchange too.
    """
    magnet = tm.Magnet(tm.Mesh((1,), (1e-8,) * 3, pbc=(1, 0, 0)), 1e6)
    energy = tm.UniaxialAnisotropy(magnet, 2500.0, (0, 0, 1))
    llg = tm.LLG(energy, alpha=ALPHA, gamma=GAMMA, temperature=tm.ThermalField(magnet, 100.0, seed=6))
    with torch.no_grad():
        mz = tm.solve(llg, tm.uniform(magnet.mesh, (0, 0, 1)).expand(256**2, 3, 1), [0.0, 5e-9], step=2e-12)[-1, :, 2]
    kT = tm.k_B * 100
    exact = legendre_moments([5e-9], diffusion(100.0, 1e-18), 1.0, quadratic=2500 * 1e-24 / kT)
    assert float(exact[0, 1]) == pytest.approx(0.83701, abs=1e-5)
    assert float(mz.mean()) == pytest.approx(0.83701, abs=4e-3)


def response(energy, mesh):
    """-dH_i/dm_i at one node of a translation-invariant linear term, A/m: 3 x 3."""
    columns = []
    for component in range(3):
        m = torch.zeros(3, *mesh.nodes)
        m[component, 0, 0] = 1
        columns.append(-energy.field(m)[:, 0, 0])
    return torch.stack(columns, 1)


@pytest.mark.slow
def test_spin_thermometer():
    """THM-06 on 64^2: T from <sum |m x B|^2> and <sum m.B> (Ma, Dudarev, Semenov, Woo, Phys. Rev. E 82, 031111 (2010)).

    For a field linear in m, kT <sum 2 m.H + tr(P G)> = mu_0 Ms V <sum |m x H|^2> with G = -dH_i/dm_i and P the projection
    normal to m.  The exchange of the lumped bilinear element has G = 2 A / (mu_0 Ms) * 8 / (3 h^2).
    """
    n, h, Ms, A, Ku, T = 64, 4e-9, 580e3, 15e-12, 0.6e6, 177.0
    mesh = tm.Mesh((n, n), (h,) * 3, pbc=(4, 4, 0))
    magnet = tm.Magnet(mesh, Ms)
    exchange = tm.Exchange(magnet, A)
    energy = exchange + tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1)) + tm.Demag(magnet)
    G = response(energy, mesh)
    torch.testing.assert_close(response(exchange, mesh), 16 * A / (3 * h * h * tm.mu_0 * Ms) * torch.eye(3), rtol=1e-9, atol=1e-3)
    llg = tm.LLG(energy, alpha=ALPHA, gamma=GAMMA, temperature=tm.ThermalField(magnet, T, seed=7))
    # gamma H step = 0.11 for the stiffest exchange mode, H = 2 A / (mu_0 Ms) * 4 / h^2.
    with torch.no_grad():
        m = tm.solve(llg, tm.uniform(mesh, (0, 0, 1)), [0.0, 100e-12], step=5e-14)[-1]
        m = tm.solve(llg, m, torch.linspace(100e-12, 200e-12, 101), step=5e-14)[1:]
        H = torch.stack([energy.field(x) for x in m])
        torque = torch.linalg.cross(m, H, dim=1).square().sum()
        along = (2 * m * H).sum() + G.trace() * len(m) * n * n - torch.einsum("tixy,ij,tjxy->", m, G, m)
    found = float(tm.mu_0 * Ms * h**3 * torque / (tm.k_B * along))
    assert found == pytest.approx(T, abs=5)
