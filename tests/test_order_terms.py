"""Fields of fourth and sixth order term by term: what they converge to, and that they are derivatives of their energies."""

import itertools
import math

import pytest
import torch

import torchmag as tm

MS, H = 8e5, (2e-9, 3e-9, 4e-9)
# Of the error from one grid to one of half the spacing.
CONVERGENCE = [(2, 1.8, 2.2), (4, 3.7, 4.3), (6, 5.5, 6.5)]
PERIODIC = (math.inf, math.inf, 0)
LENGTHS = (40e-9, 60e-9)
# Of m_x, m_y, m_z: a constant, then (amplitude, waves along x, waves along y, phase) twice.
WAVES = (
    (0.3, (0.5, 1, 0, 0.3), (0.4, 1, 1, 1.0)),
    (-0.2, (0.6, 0, 1, 0.7), (0.3, 1, -1, 2.0)),
    (0.4, (0.5, 1, 0, 1.9), (0.5, 0, 1, -0.4)),
)


def torus(order, n, layers=()):
    """A film with n cells a period along x and y."""
    mesh = tm.Mesh((n, n, *layers), (LENGTHS[0] / n, LENGTHS[1] / n, H[2]), pbc=PERIODIC)
    return tm.Magnet(mesh, MS, order=order)


def texture(mesh, derivative=None):
    """A smooth field (3, nx, ny), or its derivative along x (0) or y (1), 1/m."""
    x, y = tm.positions(mesh)[:2]
    x, y = (v if mesh.dim == 2 else v[..., 0] for v in (x, y))
    components = []
    for constant, *waves in WAVES:
        total = torch.full_like(x, constant if derivative is None else 0)
        for amplitude, kx, ky, phase in waves:
            k = 2 * math.pi * kx / LENGTHS[0], 2 * math.pi * ky / LENGTHS[1]
            angle = k[0] * x + k[1] * y + phase
            total = total + amplitude * (angle.cos() if derivative is None else -k[derivative] * angle.sin())
        components.append(total)
    return torch.stack(components)


def gradient(mesh):
    """d_i m_k: (i, k, nx, ny), i over x, y, z."""
    return torch.stack([texture(mesh, 0), texture(mesh, 1), torch.zeros_like(texture(mesh))])


def converges(field, exact, order, low, high):
    """Whether the largest error falls as it should from 16 to 32 cells a period; both functions take a magnet."""
    errors = []
    for n in (16, 32):
        magnet = torus(order, n)
        errors.append(float((field(magnet, texture(magnet.mesh)) - exact(magnet.mesh)).abs().max()))
    assert low < math.log2(errors[0] / errors[1]) < high


# D of each kind, J/m^2, and sum_ik A_ilk d_i m_k, with w = sum A_ijk m_j d_i m_k and A antisymmetric in j, k: H = -2/(mu_0 Ms) of that.
D = 3e-3
TENSOR = D * torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def curl(d):
    return torch.stack([d[1, 2] - d[2, 1], d[2, 0] - d[0, 2], d[0, 1] - d[1, 0]])


def of_interface(d, n=(0.0, 0.6, 0.8)):
    n = torch.tensor(n).reshape(3, 1, 1)
    return (d * n).sum(1) - n * (d[0, 0] + d[1, 1] + d[2, 2])


DMI = {
    "bulk": (lambda magnet: tm.BulkDMI(magnet, D), lambda d: D * curl(d)),
    "interface": (lambda magnet: tm.InterfaceDMI(magnet, D, (0.0, 0.6, 0.8)), lambda d: D * of_interface(d)),
    "tensor": (
        lambda magnet: tm.DMI(magnet, TENSOR),
        lambda d: torch.einsum("ilk,ikxy->lxy", (TENSOR - TENSOR.transpose(1, 2)) / 2, d),
    ),
}


@pytest.mark.parametrize("order, low, high", CONVERGENCE)
@pytest.mark.parametrize("kind", DMI)
def test_dmi_converges(kind, order, low, high):
    term, exact = DMI[kind]
    converges(lambda magnet, m: term(magnet).field(m), lambda mesh: -2 / (tm.mu_0 * MS) * exact(gradient(mesh)), order, low, high)


@pytest.mark.parametrize("order, low, high", CONVERGENCE)
@pytest.mark.parametrize("xi", [0.0, 0.3])
def test_zhang_li_converges(xi, order, low, high):
    """H = [m x (u.grad) m + xi (u.grad) m] / gamma, u = mu_B P j / (e Ms (1 + xi^2))."""
    j, P = (1e12, -2e12, 0.0), 0.6
    u = [tm.constants.mu_B * P / (tm.constants.e * MS * (1 + xi**2)) * v for v in j]

    def exact(mesh):
        along = u[0] * texture(mesh, 0) + u[1] * texture(mesh, 1)
        return (torch.linalg.cross(texture(mesh), along, dim=0) + xi * along) / tm.gamma_0

    converges(lambda magnet, m: tm.ZhangLi(magnet, j, P, xi)(m), exact, order, low, high)


@pytest.mark.parametrize("order, low, high", CONVERGENCE)
def test_zhang_li_of_a_wave(order, low, high):
    """(u.grad) exp(ikx) = i k u exp(ikx): a rotation of the plane, by the symbol of the operator."""
    errors = []
    for n in (8, 16):
        ring = tm.Magnet(tm.Mesh((n,), (40e-9 / n, 2e-9, 2e-9), pbc=(math.inf, 0, 0)), MS, order=order)
        angle, u = 2 * math.pi * torch.arange(n) / n, tm.constants.mu_B * 1e12 / (tm.constants.e * MS)
        wave = torch.stack([angle.cos(), angle.sin(), 0 * angle])
        # m x (u.grad) m = k u z.
        found = tm.ZhangLi(ring, (1e12, 0, 0))(wave)[2] * tm.gamma_0 / (u * 2 * math.pi / 40e-9)
        errors.append(float((found - 1).abs().max()))
    assert low < math.log2(errors[0] / errors[1]) < high


def cubic(m):
    """-dw/dm for Kc1 5e4, Kc2 -3e4, Kc3 2e5 J/m^3 along the axes of the grid."""
    a = m.square()
    b, c = a.roll(-1, 0), a.roll(-2, 0)
    return -2 * m * (5e4 * (b + c) - 3e4 * b * c + 2e5 * 2 * a * (b**2 + c**2))


STRAIN, B1, B2 = (1e-3, -2e-3, 3e-3, 4e-3, -5e-3, 6e-3), -8.8e6, 4e6


def elastic(m):
    """-dw/dm of the magnetoelastic energy."""
    xx, yy, zz, yz, xz, xy = STRAIN
    matrix = torch.tensor([[B1 * xx, B2 * xy, B2 * xz], [B2 * xy, B1 * yy, B2 * yz], [B2 * xz, B2 * yz, B1 * zz]])
    return -2 * torch.einsum("ij,jxy->ixy", matrix, m)


NODAL = {
    "cubic": (lambda magnet: tm.CubicAnisotropy(magnet, 5e4, (1, 0, 0), (0, 1, 0), Kc2=-3e4, Kc3=2e5), cubic),
    "elastic": (lambda magnet: tm.Magnetoelastic(magnet, STRAIN, B1, B2), elastic),
}


def agree(found, exact, order):
    """Exact at the nodes to order 4 and 6; smeared over the cells, by a per cent or more of it, to order 2."""
    error = float((found - exact).abs().max() / exact.abs().max())
    assert error < 1e-12 if order > 2 else error > 0.01


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("kind", NODAL)
def test_terms_without_derivatives_are_exact(kind, order):
    term, exact = NODAL[kind]
    magnet = torus(order, 12)
    m = texture(magnet.mesh)
    agree(term(magnet).field(m), exact(m) / (tm.mu_0 * MS), order)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_surface_anisotropy_is_exact(order):
    """H = 2 Ks / (mu_0 Ms h / 2) (m.u) u on a surface, half of it on a plane inside."""
    magnet = torus(order, 12, (3,))
    u = torch.tensor([0.0, 0.6, 0.8]).reshape(3, 1, 1)
    flat = texture(magnet.mesh)
    m = torch.stack([flat, flat.roll(1, 0), flat, flat], -1)
    for plane, share in ((0, 0.5), (1, 1.0)):
        found = tm.SurfaceAnisotropy(magnet, 1e-3, plane=plane, direction=(0, 0.6, 0.8)).field(m)
        exact = 2e-3 / (tm.mu_0 * MS * H[2] * share) * (m[..., plane] * u).sum(0) * u
        agree(found[..., plane], exact, order)
        assert not found[..., [i for i in range(4) if i != plane]].any()


@pytest.mark.parametrize("order", [2, 4, 6])
def test_biquadratic_interlayer_exchange_is_exact(order):
    """H_1 = [J + 2 J2 (m1.m2)] m2 / (mu_0 Ms h / 2)."""
    mesh = torus(order, 12, (3,)).mesh
    Ms = torch.full(mesh.cells, MS)
    Ms[..., 1] = 0
    magnet = tm.Magnet(mesh, Ms, order=order)
    first = texture(mesh)
    second = first.roll(1, 0)
    m = torch.stack([second, first, second, first], -1)
    found = tm.InterlayerExchange(magnet, -1e-3, 4e-4, axis=2, planes=(1, 2)).field(m)
    strength = (-1e-3 + 8e-4 * (first * second).sum(0)) / (tm.mu_0 * MS * H[2] / 2)
    agree(found[..., 1], strength * second, order)
    agree(found[..., 2], strength * first, order)
    assert not found[..., 0].any() and not found[..., 3].any()


def layers(order):
    """Two layers with maps of Ms and an empty corner."""
    mesh = tm.Mesh((3, 2, 3), H, pbc=(math.inf, 0, 0))
    Ms = MS * (1 + torch.rand(mesh.cells, generator=torch.Generator().manual_seed(0)))
    Ms[:, :, 1] = Ms[0, 0] = 0
    return tm.Magnet(mesh, Ms, order=order)


def plate(order):
    """A map of Ms with empty cells, open along y."""
    mesh = tm.Mesh((5, 4), H, pbc=(math.inf, 0, 0))
    Ms = MS * (1 + torch.rand(mesh.cells, generator=torch.Generator().manual_seed(0)))
    Ms[0, 0] = Ms[3, 2] = 0
    return tm.Magnet(mesh, Ms, order=order)


def of_cells(magnet, value, shape=()):
    return value * (1 + torch.rand((*shape, *magnet.mesh.cells), generator=torch.Generator().manual_seed(1)))


TERMS = {
    "bulk DMI": (plate, lambda magnet: tm.BulkDMI(magnet, of_cells(magnet, D))),
    "interface DMI": (plate, lambda magnet: tm.InterfaceDMI(magnet, of_cells(magnet, D), (0, 0.6, 0.8))),
    "DMI tensor": (plate, lambda magnet: tm.DMI(magnet, of_cells(magnet, D, (3, 3, 3)))),
    "cubic": (plate, lambda magnet: tm.CubicAnisotropy(magnet, of_cells(magnet, 5e4), (0.6, 0.8, 0), (0, 0, 1), -3e4, 2e5)),
    "elastic": (plate, lambda magnet: tm.Magnetoelastic(magnet, STRAIN, of_cells(magnet, B1), B2)),
    "surface": (layers, lambda magnet: tm.SurfaceAnisotropy(magnet, 1e-3, plane=3, direction=(0, 0.6, 0.8))),
    "interlayer": (layers, lambda magnet: tm.InterlayerExchange(magnet, -1e-3, 4e-4, axis=2, planes=(1, 2))),
}


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize("kind", TERMS)
def test_the_field_is_the_derivative_of_the_energy(kind, order):
    """By central differences, one node and component after another."""
    make, term = TERMS[kind]
    magnet = make(order)
    term, m, step = term(magnet), tm.random(magnet.mesh, seed=4), 1e-4
    each = step * torch.eye(m.numel()).reshape(-1, *m.shape)
    slope = ((term.energy(m + each) - term.energy(m - each)) / (2 * step)).reshape(m.shape)
    moment = tm.mu_0 * magnet.mesh.cell_volume * magnet.prepare()["mass"]
    found = -moment * term.field(m)
    # The third derivatives of the cubic anisotropy, of degree 8 in m, times step^2; rounding over step.
    torch.testing.assert_close(found, slope, rtol=0, atol=1e-6 * float(slope.abs().max()))
    assert float(slope.abs().max()) > 0


# Ring of a thermal exchange-coupled chain: h 4 nm, a field that holds m along z, T at which it leaves z by 0.05.
RING, SPACING, FIELD, STIFFNESS, T, SAMPLES = 8, 4e-9, 2e6, 1e-11, 30.0, 1500


def second_difference(a, order):
    """(k h)^2 as the scheme has it: of the slope 2 s (1 + s^2 / 6 + 3 s^4 / 40), s = sin(k h / 2)."""
    s = math.sin(a / 2)
    return (2 * s * sum(c * s**p for p, c in list(zip((0, 2, 4), (1, 1 / 6, 3 / 40)))[: order // 2])) ** 2


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize("n", [(8, 10), (8, 6, 10)])
def test_exchange_of_a_wave_across_the_grid(n, order):
    """Slopes along one axis are smoothed along the others, by 1 - 1/2 s^8 each: no wave is without exchange."""
    mesh = tm.Mesh(n, tuple(h * SPACING for h in (1, 2, 1.5)), pbc=(math.inf,) * len(n) + (0,) * (3 - len(n)))
    magnet = tm.Magnet(mesh, MS, order=order)
    for counts in itertools.product(*((0, 1, 3, cells // 2) for cells in n)):
        angles = [2 * math.pi * count / cells for count, cells in zip(counts, n)]
        phase = sum(a * x / h for a, x, h in zip(angles, tm.positions(mesh), mesh.dx))
        wave = torch.stack([torch.cos(phase)] * 3)
        factors = [1 - math.sin(a / 2) ** 8 / 2 for a in angles]
        smooth = [math.prod(factors[:axis] + factors[axis + 1 :]) for axis in range(len(n))]
        curvature = sum(second_difference(a, order) * (f / h) ** 2 for a, f, h in zip(angles, smooth, mesh.dx))
        expected = -2 * STIFFNESS / (tm.mu_0 * MS) * curvature * wave
        torch.testing.assert_close(tm.Exchange(magnet, STIFFNESS).field(wave), expected, rtol=1e-10, atol=1e-3)


@torch.no_grad()
def heated(magnet):
    """An ensemble in equilibrium: three relaxation times of its slowest mode after m = z."""
    energy = tm.Exchange(magnet, STIFFNESS) + tm.Zeeman(magnet, (0, 0, FIELD))
    llg = tm.LLG(energy, alpha=1.0, temperature=tm.ThermalField(magnet, T, range(SAMPLES)))
    # gamma H step is 0.05 in the stiffest mode.
    return energy, tm.solve(llg, tm.uniform(magnet.mesh, (0, 0, 1)), [0.0, 14e-12], step=2e-14)[-1]


@pytest.mark.parametrize("order", [2, 4, 6])
def test_every_mode_has_its_share_of_the_temperature(order):
    """<|m_k|^2> = kT / (mu_0 Ms V H_k) for each component, H_k = H + 2 A / (mu_0 Ms h^2) (k h)^2."""
    magnet = tm.Magnet(tm.Mesh((RING,), (SPACING,) * 3, pbc=(math.inf, 0, 0)), MS, order=order)
    _, m = heated(magnet)
    power = torch.fft.fft(m[:, :2], norm="ortho").abs().square()
    for k in range(RING // 2 + 1):
        same = sorted({k, -k % RING})
        sample = power[..., same]
        curvature = second_difference(2 * math.pi * k / RING, order)
        held = FIELD + 2 * STIFFNESS / (tm.mu_0 * MS * SPACING**2) * curvature
        expected = tm.k_B * T / (tm.mu_0 * MS * SPACING**3 * held)
        # Squares of normal numbers, two components and (but for the ends of the band) real and imaginary part: 4.5 standard errors, and
        # 1 % for what is not linear.
        free = 2 * SAMPLES * len(same)
        assert float(sample.mean()) == pytest.approx(expected, rel=4.5 * math.sqrt(2 / free) + 0.01)


@pytest.mark.parametrize("order", [4, 6])
def test_equipartition_in_a_body_of_any_moment(order):
    """<E> - E_min = kT for each node, <m_i^2> = kT (K^-1)_ii for each component, K the second derivatives of E, whatever the moments."""
    Ms = MS * torch.tensor([1.0, 0.5, 1.5, 0.8, 1.2, 0.4, 1.0])
    magnet = tm.Magnet(tm.Mesh((7,), (SPACING,) * 3), Ms, order=order)
    energy, m = heated(magnet)
    excess = energy.energy(m) - energy.energy(tm.uniform(magnet.mesh, (0, 0, 1)))
    nodes = magnet.mesh.nodes[0]
    # A sum of 2 nodes squares of normal numbers.
    assert float(excess.mean()) / (nodes * tm.k_B * T) == pytest.approx(1, abs=4.5 / math.sqrt(nodes * SAMPLES) + 0.01)
    along_x = torch.zeros(nodes, 3, nodes)
    along_x[:, 0] = torch.eye(nodes)
    moment = tm.mu_0 * magnet.mesh.cell_volume * magnet.prepare()["mass"]
    K = energy.exchange.gradient(along_x)[:, 0] + torch.diag(moment * FIELD)
    expected = tm.k_B * T * torch.linalg.inv(K / K.max()).diagonal() / K.max()
    found = m[:, :2].square().mean((0, 1))
    torch.testing.assert_close(found, expected, rtol=4.5 / math.sqrt(SAMPLES) + 0.01, atol=0)
