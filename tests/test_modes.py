"""Eigenmodes, their gradients, and the response, beside matrices and differences."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.modes import spectrum
from torchmag.modes.motion import make_motion, make_setting


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)


@pytest.fixture
def sparse(monkeypatch):
    """No body is small."""
    monkeypatch.setattr(spectrum, "DENSE", 0)


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def film(Ku=0.0, alpha=0.02, n=(5, 4), tolerance=1e-10, **options):
    """A film with vacuum, its equilibrium and equation."""
    fraction = torch.ones(n)
    fraction[0, 0] = 0
    body = tm.Magnet(tm.Mesh(n, (5e-9, 6e-9, 10e-9)), 8e5, fraction)
    energy = tm.Exchange(body, 1.3e-11) + tm.Demag(body) + tm.Zeeman(body, (8e4, 1e4, 5e3))
    energy = energy + tm.UniaxialAnisotropy(body, Ku, (0.6, 0, 0.8))
    m = tm.minimize(energy, tm.uniform(body.mesh, (1, 0.1, 0.1)), tolerance=tolerance, compile=False)
    return tm.LLG(energy, alpha, **options), m


def matrices(llg, m):
    """A and D on the tangent planes, and the motion."""
    motion = make_motion(make_setting(llg, m, 0.0, None, "test"))
    eye = torch.eye(motion.hessian.tangent.size).expand(motion.unit.numel(), -1, -1)
    return motion.stiff(eye).mT, motion.drag(eye).mT, motion


def test_a_is_the_hessian_of_the_energy():
    llg, m = film(2e4)
    A, _, motion = matrices(llg, m)
    torch.testing.assert_close(A, A.mT, rtol=0, atol=1e-13 * float(A.abs().max()))
    # E along a great circle, twice differentiated: mu_0 sum moment A v.v.
    x = motion.hessian.tangent.moving() * (random(1, 1, A.shape[-1]) - 0.5)
    v = motion.hessian.tangent.fields(x)[0]
    size = v.norm(dim=0)
    turned = lambda s: m * torch.cos(s * size) + v / (size + (size == 0)) * torch.sin(s * size)
    E = lambda s: llg.energy.energy(turned(s))
    s = torch.zeros((), requires_grad=True)
    (slope,) = torch.autograd.grad(E(s), s, create_graph=True)
    (second,) = torch.autograd.grad(slope, s)
    magnet = llg.energy.magnet
    moment = magnet.complete(magnet.prepare())["mass"].sum() * llg.mesh.cell_volume
    expected = tm.mu_0 * moment * motion.hessian.scale * (x @ A @ x.mT).squeeze()
    assert float(second) == pytest.approx(float(expected), rel=1e-9)


def test_the_equation_is_the_llg_linearised():
    llg, m = film(2e4, alpha=0.1)
    modes = tm.eigenmodes(llg, m, 3)
    v, f = modes.vectors, modes.frequencies
    rate = lambda x: torch.func.jvp(lambda m: llg(0.0, m), (m,), (x,))[1]
    for k in range(3):
        moved = torch.complex(rate(v[k].real), rate(v[k].imag))
        torch.testing.assert_close(moved, 2j * math.pi * f[k] * v[k], rtol=0, atol=1e-6 * float(moved.abs().max()))
    assert float((m * v.real).sum(-3).abs().max()) < 1e-12 and float(modes.residuals.max()) < 1e-12
    assert bool((modes.decay_rates > 0).all()) and not bool(modes.growing.any())


def test_vectors_are_symplectically_orthonormal():
    llg, m = film(alpha=0.0)
    v = tm.eigenmodes(llg, m, 5).vectors
    mass = llg.energy.magnet.complete(llg.energy.magnet.prepare())["mass"]
    share = mass / mass.sum()
    cross = torch.linalg.cross(v[None].conj(), v[:, None], dim=2)
    product = (share * 1j * (m * cross).sum(2)).sum((-2, -1))
    torch.testing.assert_close(product, torch.eye(5).to(product), rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.0, 0.02, 0.5])
def test_solvers_agree(alpha, monkeypatch):
    llg, m = film(torch.tensor([0.0, 3e4]).reshape(2, 1, 1), alpha)
    small = tm.eigenmodes(llg, m, 3)
    monkeypatch.setattr(spectrum, "DENSE", 0)
    large = tm.eigenmodes(llg, m, 3)
    monkeypatch.setattr(spectrum, "_definite", lambda *_: None)
    general = tm.eigenmodes(llg, m, 3)
    for other in (large, general):
        torch.testing.assert_close(other.frequencies, small.frequencies, rtol=1e-9, atol=1.0)
        torch.testing.assert_close(other.vectors.abs(), small.vectors.abs(), rtol=0, atol=1e-6)


def test_batch_is_each_sample():
    Ku = torch.tensor([0.0, 3e4]).reshape(2, 1, 1)
    llg, m = film(Ku)
    modes = tm.eigenmodes(llg, m, 3)
    assert modes.vectors.shape == (2, 3, 3, 6, 5) and modes.frequencies.shape == modes.residuals.shape == (2, 3)
    for k in range(2):
        one = tm.eigenmodes(llg, m[k], 3, params={"energy.uniaxial_anisotropy.Ku": Ku[k].reshape(())})
        torch.testing.assert_close(one.frequencies, modes.frequencies[k], rtol=1e-10, atol=1.0)


def test_frozen_nodes_and_vacuum_have_no_part(sparse):
    frozen = torch.zeros(6, 5, dtype=torch.bool)
    frozen[:2] = True
    llg, m = film(frozen=frozen)
    v = tm.eigenmodes(llg, m, 3).vectors
    assert float(v[:, :, :2].abs().max()) == 0 and float(v[:, :, 3:].abs().max()) > 0
    assert float(tm.response(llg, m, (0, 1, 0), [1e9]).m[0, :, :2].abs().max()) == 0


def test_around_a_frequency(monkeypatch):
    llg, m = film(alpha=0.01)
    every = tm.eigenmodes(llg, m, 12).frequencies
    near = sorted(every, key=lambda f: abs(f - 5e10))[:2]
    for limit in (400, 0):
        monkeypatch.setattr(spectrum, "DENSE", limit)
        found = tm.eigenmodes(llg, m, 2, around=5e10).frequencies
        torch.testing.assert_close(found, torch.stack(near), rtol=1e-8, atol=1.0)


def helix():
    body = tm.Magnet(tm.Mesh((40,), (3e-9, 5e-9, 5e-9), pbc=(math.inf, 0, 0)), 8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.BulkDMI(body, 4 * math.pi * 1.3e-11 / 120e-9)
    turn = 2 * math.pi * tm.positions(body.mesh)[0] / 120e-9
    return energy, torch.stack([0 * turn, torch.cos(turn), torch.sin(turn)])


@pytest.mark.parametrize("alpha", [0.0, 0.05])
def test_a_motion_without_energy_is_left_out(alpha, monkeypatch):
    energy, m = helix()
    llg = tm.LLG(energy, alpha)
    small = tm.eigenmodes(llg, m, 3)
    monkeypatch.setattr(spectrum, "DENSE", 0)
    large = tm.eigenmodes(llg, m, 3)
    assert int(small.zero_modes) == int(large.zero_modes) == 1
    torch.testing.assert_close(large.frequencies, small.frequencies, rtol=1e-8, atol=1.0)
    assert float(large.residuals.max()) < 1e-7


def test_growth_is_said():
    body = tm.Magnet(tm.Mesh((3, 3), (5e-9, 5e-9, 5e-9)), 8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.Demag(body) + tm.Zeeman(body, (0, 0, 1.2e6))
    m = tm.uniform(body.mesh, (0, 0, 1))
    m = tm.minimize(energy, m, compile=False)
    for J, grows in ((1e10, False), (3e12, True)):
        llg = tm.LLG(energy, 0.01, torques=[tm.Slonczewski(body, J, (0, 0, -1.0), P=0.6, d=5e-9)])
        if not grows:
            assert not bool(tm.eigenmodes(llg, m, 2).growing.any())
            continue
        with pytest.warns(tm.StabilityWarning, match="grow"):
            modes = tm.eigenmodes(llg, m, 2)
        # Torque against damping: alpha (H + N Ms) - beta P / 2 for m along -p.
        beta = tm.hbar * J / (tm.mu_0 * 1.602176634e-19 * 8e5 * 5e-9)
        f = modes.frequencies[0]
        assert float(f.imag) == pytest.approx(0.01 * float(f.real) - tm.gamma_0 * beta * 0.3 / (2 * math.pi), rel=1e-3)


def test_torques_by_the_general_solver(monkeypatch):
    body = tm.Magnet(tm.Mesh((2, 2), (5e-9, 5e-9, 5e-9)), 8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.Demag(body) + tm.Zeeman(body, (0, 0, 1.2e6))
    m = tm.minimize(energy, tm.uniform(body.mesh, (0, 0, 1)), compile=False)
    J = torch.tensor(1e11, requires_grad=True)
    llg = tm.LLG(energy, 0.01, torques=[tm.Slonczewski(body, J, (0, 0, -1.0), P=0.6, Lambda=1.5, d=5e-9)])
    found = []
    for limit in (400, 0):
        monkeypatch.setattr(spectrum, "DENSE", limit)
        f = tm.eigenmodes(llg, m, 1).frequencies
        found.append((f.detach(), torch.autograd.grad(f.imag.sum(), J)[0]))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-8, atol=1.0)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-6, atol=0)


class Quartic(tm.LocalEnergy):
    @staticmethod
    def density(m, K: tm.forms.Scalar, n: tm.forms.Direction):
        return K * tm.forms.dot(m, n) ** 4


PARAMETERS = {
    "Ms": 8e5 * (1 + 0.1 * random(4, 3)),
    "A": 1.3e-11 * (1 + 0.2 * random(4, 3, seed=1)),
    "H": torch.tensor([6e4, 2e4, 1e4], dtype=torch.float64),
    "Ku": 3e4 * (1 + random(4, 3, seed=2)),
    "alpha": 0.05 * (1 + random(4, 3, seed=3)),
    "gamma": torch.tensor(2.21e5, dtype=torch.float64),
    "h": random(3, 5, 4, seed=4) - 0.5,
}


def loss(p, quartic, response):
    body = tm.Magnet(tm.Mesh((4, 3), (5e-9, 6e-9, 10e-9)), p["Ms"])
    energy = tm.Exchange(body, p["A"]) + tm.Demag(body) + tm.Zeeman(body, p["H"])
    energy = energy + tm.UniaxialAnisotropy(body, p["Ku"], (0.6, 0, 0.8))
    energy = energy + Quartic(body, 5e4, (0.3, 0.5, 0.7)) if quartic else energy
    m = tm.minimize(energy, tm.uniform(body.mesh, (1, 0.3, 0.1)), tolerance=1e-11, info=True, compile=False)[0]
    llg = tm.LLG(energy, p["alpha"], gamma=p["gamma"])
    if response:
        r = tm.response(llg, m, p["h"], [4e9, 9e9, 2e10])
        weights = torch.complex(random(3, 3, 5, 4, seed=5) - 0.5, random(3, 3, 5, 4, seed=6) - 0.5)
        return 1e4 * (weights * r.m).real.sum() + 1e28 * r.power.sum()
    f = tm.eigenmodes(llg, m, 3).frequencies / 1e9
    return (torch.tensor([1.0, -0.3, 0.7]) * f.real).sum() + (torch.tensor([0.2, 0.5, -0.4]) * f.imag).sum()


@pytest.mark.parametrize(
    ("quartic", "response", "names"),
    [
        (0, 0, ("Ms", "A", "H", "Ku", "alpha", "gamma")),
        (1, 0, ("Ms", "H")),
        (0, 1, ("A", "alpha", "gamma", "h")),
        (1, 1, ("Ku",)),
    ],
)
def test_gradients(quartic, response, names):
    p = {name: value.clone().requires_grad_() for name, value in PARAMETERS.items()}
    loss(p, quartic, response).backward()
    for name in names:
        value = PARAMETERS[name]
        direction = value * (random(*value.shape, seed=7) - 0.3)
        along = lambda s: loss(PARAMETERS | {name: value + s * direction}, quartic, response)  # noqa: B023
        with torch.no_grad():
            a, b, c, d = (along(s) for s in (-4e-4, -2e-4, 2e-4, 4e-4))
        assert float((p[name].grad * direction).sum()) == pytest.approx(float((a - 8 * b + 8 * c - d) / 24e-4), rel=1e-6), name


def test_gradients_of_large_bodies(monkeypatch):
    found = []
    for limit in (400, 0):
        monkeypatch.setattr(spectrum, "DENSE", limit)
        p = {name: value.clone().requires_grad_() for name, value in PARAMETERS.items()}
        loss(p, 0, 0).backward()
        found.append(p)
    for name in ("Ms", "A", "H", "Ku", "alpha", "gamma"):
        small, large = (p[name].grad for p in found)
        torch.testing.assert_close(large, small, rtol=0, atol=1e-6 * float(small.abs().max()))


def test_degenerate_modes():
    # Magnetised along the axis of a square rod with exchange: m_x and m_y patterns of n = 1 along x and y have one frequency.
    body = tm.Magnet(tm.Mesh((4, 4), (5e-9, 5e-9, 5e-9)), 8e5)
    A = torch.tensor(1.3e-11, requires_grad=True)
    llg = tm.LLG(tm.Exchange(body, A) + tm.Zeeman(body, (0, 0, 1e6)), 0.0)
    f = tm.eigenmodes(llg, tm.uniform(body.mesh, (0, 0, 1)), 3).frequencies.real
    with pytest.raises(tm.GradientError, match="has another weight"):
        torch.autograd.grad(f[1], A, retain_graph=True)
    (slope,) = torch.autograd.grad(f[1] + f[2], A)
    exchange = (f[1] - f[0]).detach()
    assert float(slope) == pytest.approx(float(2 * exchange / A.detach()), rel=1e-8)
    f = tm.eigenmodes(llg, tm.uniform(body.mesh, (0, 0, 1)), 2).frequencies.real
    with pytest.raises(tm.GradientError, match="not among those asked for"):
        f[1].backward()


def test_vectors_have_no_gradient():
    llg, m = film(torch.tensor(1e4, requires_grad=True))
    with pytest.raises(tm.GradientError, match="vectors"):
        tm.eigenmodes(llg, m, 2).vectors.abs().sum().backward()


def test_response_is_that_of_the_matrix():
    llg, m = film(2e4)
    A, D, motion = matrices(llg, m)
    A = A + torch.diag_embed((~motion.hessian.tangent.moving()).squeeze(1).to(A))
    h, tangent = random(3, 6, 5) - 0.5, motion.hessian.tangent
    b = tangent.rows(h[None])[0, 0] / motion.hessian.scale
    f = torch.tensor([0.0, 3e9, 8e9, 2e10])
    found = tm.response(llg, m, h, f)
    for k in range(len(f)):
        x = torch.linalg.solve(A[0] + 2j * math.pi * f[k] / motion.unit * D[0], b.to(torch.complex128))
        exact = torch.complex(tangent.fields(x.real[None, None]), tangent.fields(x.imag[None, None]))[0]
        torch.testing.assert_close(found.m[k], exact, rtol=0, atol=1e-7 * float(exact.abs().max()))
    assert float(found.power[0]) == 0 and bool((found.power[1:] > 0).all())


def test_response_beside_the_motion_in_time():
    llg, m = film(2e4, alpha=0.5, n=(3, 2))
    f, h = 2e10, 1e3
    drive = tm.Zeeman(llg.energy.magnet, lambda t: (0.0, h * torch.cos(2 * math.pi * f * t), 0.0))
    t = torch.linspace(0, 10 / f, 321)
    path = tm.solve(tm.LLG(llg.energy + drive, 0.5), m, t, rtol=1e-6, atol=1e-7)[-65:-1]  # two periods
    wave = torch.exp(-2j * math.pi * f * t[-65:-1]).reshape(-1, 1, 1, 1)
    seen = 2 * (wave * path).mean(0)
    expected = tm.response(llg, m, (0, h, 0), [f]).m[0]
    torch.testing.assert_close(seen, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


def test_float32():
    torch.set_default_dtype(torch.float64)
    exact = tm.eigenmodes(*film(2e4), 3).frequencies
    torch.set_default_dtype(torch.float32)
    llg, m = film(2e4, tolerance=1e-5)
    found = tm.eigenmodes(llg, m, 3)
    assert found.vectors.dtype == torch.complex64
    torch.testing.assert_close(found.frequencies.to(exact), exact, rtol=1e-3, atol=0)
    assert float(tm.response(llg, m, (0, 1, 0), [5e9]).power[0]) > 0


def test_bad_input():
    llg, m = film()
    with pytest.raises(ValueError, match="no equilibrium.*minimize or relax first"):
        tm.eigenmodes(llg, tm.uniform(llg.mesh, (1, 1, 0)))
    with pytest.raises(ValueError, match="the nodes that move allow 29"):
        tm.eigenmodes(llg, m, 30)
    with pytest.raises(ValueError, match="around"):
        tm.eigenmodes(llg, m, around=-1)
    with pytest.raises(TypeError, match="expected a torchmag.LLG or an energy"):
        tm.eigenmodes(3, m)
    with pytest.raises(ValueError, match="precession"):
        tm.eigenmodes(tm.LLG(llg.energy, 0.1, precession=False), m)
    with pytest.raises(TypeError, match="which no parameter has"):
        tm.eigenmodes(llg.energy, m, params={"exchange.B": 1.0})
    with pytest.raises(ValueError, match="h has shape"):
        tm.response(llg, m, torch.ones(4), [1e9])
    with pytest.raises(ValueError, match="frequencies"):
        tm.response(llg, m, (0, 1, 0), [[1e9]])
