"""Design Modules: densities, level sets, pulses, antennas, probes."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, vmap

import torchmag as tm
from torchmag.geometry import Box, Cylinder, Sphere

MESH = tm.Mesh((4, 3), dx=(5e-9, 4e-9, 3e-9))
STRIP = dict(width=100e-9, thickness=30e-9, center=(10e-9, 0, 40e-9))


def film(mesh=MESH, **options):
    return tm.Magnet(mesh, 8e5, **options)


def as_function(module, name="raw"):
    """The module as a function of one of its parameters, and the parameter."""
    return lambda x: functional_call(module, {name: x}, ()), dict(module.named_parameters())[name]


def samples(values, interpolation="linear", profile=None, **options):
    values = nn.Parameter(torch.tensor(values, **options))
    return tm.Samples([0, 1e-11, 3e-11, 4e-11], values, interpolation=interpolation, profile=profile, **options)


# Each as the parameter that it is made for; the names are those of an LLG's parameters.
MODULES = {
    "density": lambda **o: ("fraction", tm.DensityField(MESH, 8e-9, 4.0, **o)),
    "level-set": lambda **o: ("fraction", tm.LevelSet(MESH, Cylinder(6e-9, center=(9e-9, 6e-9, 0)), **o)),
    "fourier": lambda **o: ("H", tm.FourierPulse((0, 1e4, 0), [[1.0, 2, 3], [0, 1, 2]], period=1e-10, **o)),
    "spline": lambda **o: ("H", tm.SplinePulse((0, 1e4, 0), [0, 1e-11, 3e-11], [0.0, 1, 0], **o)),
    "gaussian": lambda **o: ("H", tm.GaussianPulse((0, 1e4, 0), nn.Parameter(torch.tensor(1e-11)), 3e-12, 5e9, **o)),
    "sinc": lambda **o: ("H", tm.SincPulse((0, 1e4, 0), 1e-11, nn.Parameter(torch.tensor(2e10)), **o)),
    "samples": lambda **o: ("H", samples([0.0, 1, 0.5, 0.2], profile=(0, 1e4, 0), **o)),
    "cubic": lambda **o: ("H", samples([[0.0, 1e4, 0]] * 2 + [[1e4, 0, 0]] * 2, interpolation="cubic", **o)),
    "antenna": lambda **o: ("H", tm.AntennaField(MESH, tm.SplinePulse(1e-3, [0, 5e-11], [1.0, 0]), **STRIP, **o)),
}


def llg_with(kind, **options):
    name, module = MODULES[kind](**options)
    magnet = tm.Magnet(MESH, 8e5, **({"fraction": module} if name == "fraction" else {}), **options)
    H = module if name == "H" else (0, 0, 1e5)
    return tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Zeeman(magnet, H), 0.1)


def slopes(llg, m):
    return torch.autograd.grad((llg(torch.tensor(1.1e-11), m) / 1e10).square().sum(), list(llg.parameters()))


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_in_an_llg(kind):
    llg, m = llg_with(kind), tm.random(MESH, 0)
    rate, grads = llg(1.1e-11, m), slopes(llg, m)
    assert grads and all(g.isfinite().all() and g.any() for g in grads)
    # Copies, and the numbers alone.
    for other in (copy.deepcopy(llg), pickle.loads(pickle.dumps(llg))):
        assert torch.equal(other(1.1e-11, m), rate)
    with torch.no_grad():
        for p in (other := copy.deepcopy(llg)).parameters():
            p.add_(0.1 * (p.abs().max() + (~p.any())) * torch.rand(p.shape))
    assert not torch.equal(other(1.1e-11, m), rate)
    other.load_state_dict(llg.state_dict())
    assert torch.equal(other(1.1e-11, m), rate)
    repr(llg)


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_compiles_in_full(kind):
    torch._dynamo.reset()
    llg, m = llg_with(kind), tm.random(MESH, 0)
    rate, grads = llg(torch.tensor(1.1e-11), m), slopes(llg, m)
    llg.compile(fullgraph=True, backend="eager")
    torch.testing.assert_close(llg(torch.tensor(1.1e-11), m), rate, rtol=0, atol=1e-13 * rate.abs().max().item())
    for a, b in zip(slopes(llg, m), grads):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * b.abs().max().item())


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_in_single_precision(kind):
    m = tm.random(MESH, 0)
    expected = llg_with(kind)(1.1e-11, m)
    for llg in (llg_with(kind, dtype=torch.float32), llg_with(kind).float()):
        rate = llg(1.1e-11, m.float())
        assert rate.dtype == torch.float32
        # A few dozen roundings of 2^-24.
        torch.testing.assert_close(rate.double(), expected, rtol=0, atol=3e-6 * expected.abs().max().item())
    back = llg_with(kind).float().double()(1.1e-11, m)
    torch.testing.assert_close(back, expected, rtol=0, atol=3e-6 * expected.abs().max().item())


@pytest.mark.parametrize("kind", MODULES)
def test_every_module_on_a_device(kind, device):
    llg, m = llg_with(kind), tm.random(MESH, 0)
    expected = llg(1.1e-11, m)
    for moved in (llg_with(kind, device=device) if kind not in ("gaussian", "sinc", "antenna") else None, llg.to(device)):
        if moved is not None:
            rate = moved(1.1e-11, m.to(device)).cpu()
            torch.testing.assert_close(rate, expected, rtol=0, atol=1e-12 * expected.abs().max().item())
    assert llg_with(kind, device="meta").to("meta")(1.1e-11, m.to("meta")).shape == m.shape


def test_the_gradient_in_a_pulse_through_time():
    # Tilt of a spin by a trained pulse; numbers of order one, fixed steps (the map itself is differentiated).
    mesh = tm.Mesh((1,), dx=(5e-9, 5e-9, 5e-9))
    pulse = tm.SplinePulse((0, 2e4, 0), [0, 2e-11, 4e-11], [0.3, 0.7, 0.4])
    body = film(mesh)
    llg = tm.LLG(tm.Zeeman(body, (0, 0, 1e5)) + tm.Zeeman(body, pulse), 0.1)
    m0 = tm.uniform(mesh, (1, 0, 1))

    def final(values):
        pulse.values.data = values.detach()
        with torch.no_grad():
            return tm.solve(llg, m0, [0, 4e-11], step=2e-12)[-1, 0, 0]

    values = pulse.values.detach().clone()
    tm.solve(llg, m0, [0, 4e-11], step=2e-12)[-1, 0, 0].backward()
    found = pulse.values.grad
    h = 1e-5  # central differences: error h^2 and 1e-16 / h
    for k, step in enumerate(h * torch.eye(3)):
        assert float(found[k]) == pytest.approx(float(final(values + step) - final(values - step)) / (2 * h), rel=1e-7)


def direct_filter(x, mesh, radius, domain):
    """The weighted mean over the neighbours of each cell, by two loops."""
    out = torch.zeros_like(x)
    for i, j in domain.nonzero().tolist():
        num, den = 0.0, 0.0
        for k in range(-mesh.n[0], 2 * mesh.n[0]):
            for n in range(-mesh.n[1], 2 * mesh.n[1]):
                if (k not in range(mesh.n[0]) and not mesh.periodic(0)) or (n not in range(mesh.n[1]) and not mesh.periodic(1)):
                    continue
                a, b = k % mesh.n[0], n % mesh.n[1]
                w = max(0, 1 - math.hypot((i - k) * mesh.dx[0], (j - n) * mesh.dx[1]) / radius)
                num, den = num + w * domain[a, b] * x[..., a, b], den + w * domain[a, b]
        out[..., i, j] = num / den
    return out


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0), (0, 2, 0), (math.inf, math.inf, 0)])
@pytest.mark.parametrize("radius", [1e-9, 9e-9, 17e-9])
def test_density_filter_is_the_weighted_mean(pbc, radius):
    torch.manual_seed(0)
    mesh = tm.Mesh((5, 4), dx=(5e-9, 4e-9, 3e-9), pbc=pbc)
    domain = torch.rand(mesh.cells) > 0.3
    x = 0.1 + 0.8 * torch.rand(2, *mesh.cells)
    density = tm.DensityField(mesh, radius, initial=x, domain=domain)
    torch.testing.assert_close(density.filtered(), direct_filter(x, mesh, radius, domain), rtol=1e-13, atol=1e-15)
    assert not density()[:, ~domain].any()


@pytest.mark.parametrize("n", [(7,), (4, 5), (3, 4, 2)])
def test_density_of_a_uniform_design_is_uniform(n):
    mesh = tm.Mesh(n, dx=(5e-9, 5e-9, 5e-9))
    for radius in (0.0, 8e-9, 100e-9):
        density = tm.DensityField(mesh, radius, initial=0.3)
        torch.testing.assert_close(density.filtered(), torch.full(n, 0.3), rtol=1e-13, atol=0)


def test_density_projection():
    mesh = tm.Mesh((3,), dx=(5e-9,) * 3)
    density = tm.DensityField(mesh, 0.0, 8.0, 0.4, [0.1, 0.4, 0.8])
    low, high = math.tanh(8 * 0.4), math.tanh(8 * 0.6)
    expected = [(low + math.tanh(8 * (x - 0.4))) / (low + high) for x in (0.1, 0.4, 0.8)]
    torch.testing.assert_close(density(), torch.tensor(expected), rtol=1e-14, atol=0)
    # A soft projection does nothing, a hard one is a step; 4 x (1 - x) averages to 0.653.
    density.beta = 1e-4
    torch.testing.assert_close(density(), torch.tensor([0.1, 0.4, 0.8]), rtol=1e-7, atol=0)
    assert float(density.grayness().detach()) == pytest.approx((0.36 + 0.96 + 0.64) / 3, rel=1e-6)
    density.beta = 1e4
    torch.testing.assert_close(density(), torch.tensor([0.0, 0.5, 1.0]), rtol=0, atol=1e4 * 2.0**-52)
    # Saturated: still a fraction.
    with torch.no_grad():
        density.raw.fill_(1e3)
    assert density().max() <= 1 and torch.equal(density(), torch.ones(3))


def test_density_keeps_old_graphs_when_beta_rises():
    density = tm.DensityField(MESH, 8e-9)
    before = density().sum()
    density.beta = 2 * density.beta
    before.backward()
    assert float(density.beta) == 2 and density.raw.grad.any()
    assert "beta" in density.state_dict()
    other = tm.DensityField(MESH, 8e-9)
    other.load_state_dict(density.state_dict())
    assert float(other.beta) == 2


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0)])
def test_density_gradients(pbc):
    torch.manual_seed(0)
    mesh = tm.Mesh((3, 2), dx=(5e-9, 4e-9, 3e-9), pbc=pbc)
    domain = torch.tensor([[True, True], [True, False], [True, True]])
    function, raw = as_function(tm.DensityField(mesh, 9e-9, 3.0, 0.4, 0.2 + 0.6 * torch.rand(2, 3, 2), domain))
    assert gradcheck(function, (raw,)) and gradgradcheck(function, (raw,))


def test_density_trains_to_black_and_white():
    # Material gains on the right and costs on the left.
    mesh = tm.Mesh((12, 4), dx=(5e-9,) * 3)
    density = tm.DensityField(mesh, 8e-9)
    gain = torch.linspace(-1, 1, 12)[:, None]
    optimizer = torch.optim.Adam(density.parameters(), lr=0.3)
    for beta in (1, 4, 16):
        density.beta = beta
        for _ in range(30):
            optimizer.zero_grad()
            (-(gain * density()).sum()).backward()
            optimizer.step()
    rho = density().detach()
    assert rho[8:].min() > 0.99 and rho[:4].max() < 0.01
    assert float(density.grayness().detach()) < 0.1


def test_level_set_of_a_sphere():
    mesh, R = tm.Mesh((28, 28, 28), dx=(1e-9,) * 3), 10.3
    level = tm.LevelSet(mesh, Sphere(R * 1e-9, center=(14.2e-9, 13.9e-9, 14e-9)))
    volume = level().sum()
    # The mean of the corners is phi + (2/R) / 8 instead of the cell's mean phi + (2/R) / 24: 3 / (6 R^2) of the volume.
    exact = 4 / 3 * math.pi * R**3
    assert float(volume.detach()) / exact - 1 == pytest.approx(-1 / (2 * R**2), rel=0.02)
    # A shift of the level moves the surface: dV/dphi = -area, of the body that the cells hold (radius R - 1 / (6 R)).
    (slope,) = torch.autograd.grad(volume, level.raw)
    assert float(slope.sum()) == pytest.approx(-4 * math.pi * (R - 1 / (6 * R)) ** 2, rel=2e-3)


def test_level_set_does_not_know_the_scale():
    level = tm.LevelSet(MESH, Cylinder(6e-9, center=(9e-9, 6e-9, 0)))
    expected = level().detach()
    with torch.no_grad():
        level.raw.mul_(37)
    torch.testing.assert_close(level(), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(level.phi / level.scale, level.raw)


def test_level_set_cuts_cells_exactly():
    # Half a cell of the middle row.
    mesh = tm.Mesh((5, 3), dx=(2e-9, 1e-9, 4e-9))
    for shape in (Box((5e-9, 10, 10), center=(2.5e-9, 0, 0)), lambda x: x[0] - 5e-9, tm.positions(mesh)[0] - 5e-9):
        rows = tm.LevelSet(mesh, shape)().mean(1)
        torch.testing.assert_close(rows[1:], torch.tensor([1, 0.5, 0, 0]), rtol=0, atol=2e-9)  # SNAP of the cut


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 1, 0)])
def test_level_set_gradients(pbc):
    mesh = tm.Mesh((4, 3), dx=(1e-9, 1.2e-9, 3e-9), pbc=pbc)
    function, raw = as_function(tm.LevelSet(mesh, lambda x: (x[0] - 1.7e-9).abs() + 0.3 * x[1] - 1.1e-9))
    assert gradcheck(function, (raw,)) and gradgradcheck(function, (raw,))
    both = tm.LevelSet(mesh, torch.stack([raw.detach(), -raw.detach()]))
    torch.testing.assert_close(both().sum(0), torch.ones(mesh.cells), rtol=0, atol=1e-8)


def test_fourier_pulse():
    a, b, f = torch.tensor([0.5, 1.0, -2.0]), torch.tensor([9.0, 0.3, 0.7]), torch.tensor([0.0, 5e9, 10e9])
    by_period = tm.FourierPulse((0, 0, 1e4), torch.stack([a, b]), period=2e-10)
    by_frequency = tm.FourierPulse((0, 0, 1e4), torch.stack([a, b]), frequencies=f)
    for t in (0.0, 3.3e-11, 7e-10):
        expected = float((a * torch.cos(2 * math.pi * f * t) + b * torch.sin(2 * math.pi * f * t)).sum())
        for pulse in (by_period, by_frequency):
            torch.testing.assert_close(pulse(t), torch.tensor([0, 0, 1e4 * expected]), rtol=1e-13, atol=0)
    trained = tm.FourierPulse(1.0, [[1.0], [0.0]], frequencies=tm.Positive([5e9]))
    assert {name for name, _ in trained.named_parameters()} == {"coefficients", "frequencies.raw"}
    trained(1e-11).backward()
    assert trained.frequencies.raw.grad.any()


def test_pulses_keep_their_phase_in_single_precision():
    # 1e4 periods: a frequency of 24 bits would be off by 4e-3 rad.
    pulse = tm.FourierPulse(1.0, [[1.0], [0.0]], frequencies=[5.1234567e9]).float()
    t = 1e4 / 5.1234567e9 + 1e-11
    expected = math.cos(2 * math.pi * 5.1234567e9 * t)
    assert pulse(t).dtype == torch.float32
    assert float(pulse(t).detach()) == pytest.approx(expected, abs=1e-6)


def test_spline_pulse_is_the_natural_spline():
    # These properties have one cubic spline only.
    times = torch.tensor([0.0, 1.0, 2.5, 3.0, 5.0])
    values = torch.tensor([[0.3, -1.0, 0.2, 2.0, 1.0], [1.0, 0.0, 0.0, 0.0, 0.0]])
    pulse = tm.SplinePulse(1.0, times * 1e-10, values)

    def at(x):
        return vmap(pulse.amplitude)(x * 1e-10).sum(1)

    torch.testing.assert_close(vmap(pulse.amplitude)(times * 1e-10).T, values, rtol=0, atol=1e-14)

    def derivatives(x):
        x = torch.tensor(x, requires_grad=True)
        found = [at(x[None])[0]]
        for _ in range(3):
            found.append(torch.autograd.grad(found[-1], x, create_graph=True)[0])
        return torch.stack(found).detach()

    h = 1e-9
    for knot in times[1:-1].tolist():
        below, above = derivatives(knot - h), derivatives(knot + h)
        torch.testing.assert_close(below[:3], above[:3], rtol=0, atol=1e-7)
        assert (below[3] - above[3]).abs() > 1e-3
    assert derivatives(h)[2].abs() < 1e-7 and derivatives(5.0 - h)[2].abs() < 1e-7
    x = torch.tensor([-1.0, 0.0, 5.0, 100.0])
    torch.testing.assert_close(at(x), values.sum(0)[[0, 0, 4, 4]], rtol=0, atol=1e-14)
    # Straight lines stay straight, two knots make one.
    line = tm.SplinePulse(1.0, [0, 1e-10, 5e-10], [0.0, 1.0, 5.0])
    assert float(line(3.3e-10)) == pytest.approx(3.3, rel=1e-14)
    assert float(tm.SplinePulse(1.0, [0, 2e-10], [1.0, 3.0])(1.5e-10)) == pytest.approx(2.5, rel=1e-14)


def test_spline_pulse_from_its_state_dict():
    one, two = (tm.SplinePulse(1.0, times, [0.0, 1.0, 0.0]) for times in ([0, 1e-10, 2e-10], [0, 3e-10, 9e-10]))
    two.load_state_dict(one.state_dict())
    assert float(two(0.7e-10)) == float(one(0.7e-10))


def test_gaussian_and_sinc_pulse():
    gaussian = tm.GaussianPulse((1e3, 0, 0), 2e-10, 5e-11, 8e9, 0.3)
    for t in (0.0, 1.7e-10, 2e-10):
        x = t - 2e-10
        expected = 1e3 * math.exp(-0.5 * (x / 5e-11) ** 2) * math.cos(2 * math.pi * 8e9 * x + 0.3)
        assert float(gaussian(t)[0]) == pytest.approx(expected, rel=1e-13)
    sinc = tm.SincPulse(2.0, 1e-9, 2e10)
    assert float(sinc(1e-9)) == 2.0
    x = 2 * math.pi * 2e10 * 3e-11
    assert float(sinc(1.03e-9)) == pytest.approx(2 * math.sin(x) / x, rel=1e-12)
    # Below the cutoff every frequency alike, above it none (the tails that 40 ns cut off: 1 / (pi^2 N) of N = 800 lobes and less).
    t = torch.arange(4000) * 1e-11
    sinc = tm.SincPulse(1.0, 2e-8, 2e10)
    power = tm.Spectrum(t, torch.tensor([2e9, 1e10, 1.8e10, 2.2e10, 4e10]))(vmap(sinc)(t)).abs()
    assert float(power[:3].max() / power[:3].min()) - 1 < 0.01 and float(power[3:].max() / power[0]) < 0.01


PULSES = {
    "fourier": (lambda c: tm.FourierPulse((0, 1, 2), c.reshape(2, 2), frequencies=[0.1, 0.3]), 4),
    "spline": (lambda c: tm.SplinePulse((0, 1, 2), [0, 0.5, 1.1, 2], c), 4),
    "gaussian": (lambda c: tm.GaussianPulse((0, 1, 2), *c), 4),
    "sinc": (lambda c: tm.SincPulse((0, 1, 2), *c), 2),
}


@pytest.mark.parametrize("kind", PULSES)
def test_gradients_of_pulses(kind):
    make, count = PULSES[kind]
    c = torch.tensor([0.7, 0.4, 0.3, 0.9])[:count]
    made = make(c)
    names = {"fourier": ["coefficients"], "spline": ["values"]}.get(kind, [])
    for name in ("center", "width", "frequency", "phase", "cutoff"):
        if name in dict(made.named_buffers()):
            names.append(name)
    state = {name: getattr(made, name).detach().clone().requires_grad_() for name in names}
    t = torch.tensor(0.83, requires_grad=True)

    def value(t, *tensors):
        return functional_call(made, dict(zip(names, tensors)), (t,))

    assert gradcheck(value, (t, *state.values())) and gradgradcheck(value, (t, *state.values()))


def test_batches_of_pulses():
    body, m = film(), tm.random(MESH, 0)
    values = torch.tensor([[0.0, 1.0, 0.0], [0.0, -2.0, 0.0]])
    profile = 1e4 * torch.randn(3, *MESH.nodes)
    many = tm.Zeeman(body, tm.SplinePulse(profile, [0, 1e-11, 2e-11], values))
    uniform = tm.Zeeman(body, tm.SplinePulse(torch.tensor([0, 0, 1e4]).reshape(3, 1, 1), [0, 1e-11, 2e-11], values))
    assert uniform.field(m, 3e-12).shape == (2, 3, *MESH.nodes)
    for sample in range(2):
        one = tm.Zeeman(body, tm.SplinePulse(profile, [0, 1e-11, 2e-11], values[sample]))
        torch.testing.assert_close(many.field(m, 3e-12)[sample], one.field(m, 3e-12), rtol=1e-13, atol=0)


def test_a_pulse_of_a_trained_direction():
    pulse = tm.GaussianPulse(tm.UnitVector((0, 3, 4)), 0.0, 1e-11)
    torch.testing.assert_close(pulse(0.0), torch.tensor([0, 0.6, 0.8]), rtol=1e-14, atol=0)
    assert [name for name, _ in pulse.named_parameters()] == ["profile.raw"]


LINE = tm.Mesh((40, 1, 30), dx=(10e-9, 5e-9, 10e-9), origin=(-200e-9, 0, -150e-9))


def in_plane(H):
    """x, z and the field in the plane y = 0."""
    x = tm.positions(LINE)[:, :, 0]
    return x[0], x[2], H[:, :, 0]


def test_antenna_far_away_is_a_wire():
    H = tm.AntennaField(LINE, 2e-3, width=1e-9, thickness=1e-9, center=(3e-9, 7e-9, -4e-9))()
    x, z, H = in_plane(H)
    x, z = x - 3e-9, z + 4e-9
    r2 = x**2 + z**2
    far = r2 > (40e-9) ** 2  # the quadrupole of a square is zero: relative error (w / r)^4
    for component, expected in ((0, z / r2), (2, -x / r2)):
        torch.testing.assert_close(H[component][far], (2e-3 / (2 * math.pi) * expected)[far], rtol=0, atol=1e-5 * 2e-3 / 40e-9)
    assert not H[1].any()


def test_antenna_is_karlqvists_formula_when_thin():
    W, current = 100e-9, 3e-3
    x, z, H = in_plane(tm.AntennaField(LINE, current, width=W, thickness=0, center=(0, 0, 95e-9))())
    z = z - 95e-9
    expected = current / (2 * math.pi * W) * (torch.atan((x + W / 2) / z) - torch.atan((x - W / 2) / z))
    torch.testing.assert_close(H[0], expected, rtol=0, atol=1e-12 * current / W)
    expected = -current / (4 * math.pi * W) * torch.log(((x + W / 2) ** 2 + z**2) / ((x - W / 2) ** 2 + z**2))
    torch.testing.assert_close(H[2], expected, rtol=0, atol=1e-12 * current / W)
    # T = 1 nm at least 5 nm away: (T / z)^2 / 24.
    _, _, thin = in_plane(tm.AntennaField(LINE, current, width=W, thickness=1e-9, center=(0, 0, 95e-9))())
    torch.testing.assert_close(thin, H, rtol=0, atol=(1 / 5) ** 2 / 24 * current / W)


def test_antenna_is_the_sum_of_its_filaments():
    W, T = 60e-9, 40e-9
    a = tm.AntennaField(LINE, 1.0, width=W, thickness=T, center=(4e-9, 0, 5e-9))()
    k = (torch.arange(300) + 0.5) / 300 - 0.5
    x, z, H = in_plane(a)
    for i, j in ((0, 0), (22, 11), (20, 15)):  # outside, near, inside
        dx, dz = (x[i, j] - 4e-9 - k * W)[:, None], z[i, j] - 5e-9 - k * T
        r2 = dx**2 + dz**2
        expected = torch.stack([(dz / r2).mean(), (dx / r2).mean() * 0, -(dx / r2).mean()]) / (2 * math.pi)
        # The midpoint rule: the filament at hand misses by its size.
        torch.testing.assert_close(H[:, i, j], expected, rtol=0, atol=2e-3 / W)


def test_antenna_obeys_ampere_and_has_no_sources():
    current = 2e-3
    _, _, H = in_plane(tm.AntennaField(LINE, current, width=100e-9, thickness=40e-9, center=(0, 0, 0))())
    h = 10e-9

    def trapezoid(f):
        return float(((f[1:] + f[:-1]) / 2).sum() * h)

    # Around z -> x -> ... with y along the current: the circulation is right-handed about +y.
    loop = trapezoid(H[2, 0]) + trapezoid(H[0, :, -1]) - trapezoid(H[2, -1]) - trapezoid(H[0, :, 0])
    assert loop == pytest.approx(current, rel=1e-3)  # trapezoids: (h / r)^2 / 12
    flux = trapezoid(H[0, -1]) - trapezoid(H[0, 0]) + trapezoid(H[2, :, -1]) - trapezoid(H[2, :, 0])
    assert abs(flux) < 1e-12 * current


def test_antenna_in_any_direction():
    # Current along x, normal y: w = x cross y = z.
    mesh = tm.Mesh((1, 6, 8), dx=(5e-9, 10e-9, 10e-9))
    turned = tm.AntennaField(
        mesh, 1e-3, width=50e-9, thickness=20e-9, center=(0, 5e-9, 9e-9), direction=(2, 0, 0), normal=(0, 3, 0)
    )
    straight = tm.AntennaField(
        tm.Mesh((8, 1, 6), dx=(10e-9, 5e-9, 10e-9)), 1e-3, width=50e-9, thickness=20e-9, center=(9e-9, 0, 5e-9)
    )
    H, other = turned()[:, 0], straight()[:, :, 0]
    torch.testing.assert_close(H[2], other[0].T, rtol=1e-12, atol=1e-9)
    torch.testing.assert_close(H[1], other[2].T, rtol=1e-12, atol=1e-9)
    assert not H[0].any()


def test_antenna_currents():
    body, m = film(), tm.uniform(MESH, (0, 0, 1))
    one = tm.AntennaField(MESH, 1.0, **STRIP)()
    for current, t, expected in (
        (2e-3, 0.0, 2e-3),
        (nn.Parameter(torch.tensor(2e-3)), 0.0, 2e-3),
        (tm.Positive(2e-3), 0.0, 2e-3),
        (lambda: 2e-3, 0.0, 2e-3),
        (lambda t: 1e8 * t, 1e-11, 1e-3),
        (lambda t, m: 1e8 * t * m[2].mean(), 1e-11, 1e-3),
        (tm.GaussianPulse(3e-3, 1e-11, 1e-12), 1e-11, 3e-3),
    ):
        zeeman = tm.Zeeman(body, tm.AntennaField(MESH, current, **STRIP))
        torch.testing.assert_close(zeeman.field(m, t), expected * one, rtol=1e-13, atol=0)
        # Without t or m it is evaluated once per solve.
        assert ("H" in zeeman.prepare()) == (t == 0.0)
    many = tm.Zeeman(body, tm.AntennaField(MESH, [1e-3, 2e-3], **STRIP)).field(m)
    torch.testing.assert_close(many, torch.stack([1e-3 * one, 2e-3 * one]), rtol=1e-13, atol=0)


def test_region_average():
    body = film(fraction=0.5 + 0.5 * torch.rand(MESH.cells))
    m = torch.stack([tm.random(MESH, seed) for seed in range(6)]).reshape(3, 2, 3, *MESH.nodes)
    left = torch.zeros(MESH.cells, dtype=torch.bool)
    left[:2] = True
    shape = Box((10e-9, 12e-9, 1), center=(5e-9, 6e-9, 0))
    for region, mask in ((None, None), (left, left), (shape, left)):
        for weight in ("volume", "Ms"):
            found = tm.RegionAverage(body, region, weight)(m)
            assert found.shape == (3, 2, 3)
            assert torch.equal(found, tm.average(m, body, mask, weight))
    probe = nn.Sequential(tm.RegionAverage(body, left))
    assert list(probe.state_dict()) == ["0.region"]
    assert probe.float()[0].magnet is body and body.reference.dtype == torch.float32


@pytest.mark.parametrize("window", ["none", "hann"])
def test_spectrum_is_calibrated(window):
    t = 1e-9 + torch.arange(200) * 2e-12
    f = torch.tensor([12, 30]) / (200 * 2e-12)
    x = 0.3 + 1.0 * torch.cos(2 * math.pi * f[0] * t + 0.7) + 0.25 * torch.sin(2 * math.pi * f[1] * t)
    spectrum = tm.Spectrum(t, f, window=window)
    expected = torch.tensor([complex(math.cos(0.7), math.sin(0.7)), -0.25j])
    torch.testing.assert_close(spectrum(x), expected, rtol=0, atol=1e-12)
    nodes = spectrum(torch.stack([x, 2 * x, 3 * x], 1)[:, None, :, None].expand(-1, 2, -1, 4))
    assert nodes.shape == (2, 2, 3, 4)
    torch.testing.assert_close(nodes[:, 1, 2, 3], 3 * expected, rtol=0, atol=1e-12)
    assert spectrum.float()(x.float()).dtype == torch.complex64
    assert float((spectrum(x.float()).to(torch.complex128) - expected).abs().max()) < 1e-6


def test_hann_suppresses_leakage():
    t = torch.arange(200) * 2e-12
    off = torch.cos(2 * math.pi * 12.5 / 4e-10 * t)
    far = [40 / 4e-10]
    plain, hann = (float(tm.Spectrum(t, far, window=w)(off).abs()) for w in ("none", "hann"))
    assert hann < 0.02 * plain


def test_gradients_of_spectrum():
    torch.manual_seed(0)
    spectrum = tm.Spectrum(torch.arange(6) * 1.0, [0.2, 0.4], window="hann")
    x = torch.randn(6, 2, requires_grad=True)
    function = lambda x: spectrum(x).abs() ** 2
    assert gradcheck(function, (x,)) and gradgradcheck(function, (x,))


def test_probes_in_a_row():
    # Larmor precession: f = gamma_0 H / (2 pi), cone of 0.2 rad; the amplitude of mx is sin 0.2.
    mesh = tm.Mesh((2,), dx=(5e-9,) * 3)
    body, H, angle = film(mesh), 1e5, 0.2
    f = tm.gamma_0 * H / (2 * math.pi)
    llg = tm.LLG(tm.Zeeman(body, (0, 0, H)), 0.0)
    t = torch.arange(65) / (16 * f)  # four periods
    m = tm.solve(llg, tm.uniform(mesh, (math.sin(angle), 0, math.cos(angle))), t, rtol=1e-9, atol=1e-9)[:-1]
    probe = nn.Sequential(tm.RegionAverage(body), tm.Spectrum(t[:-1], [f, 2 * f]))
    amplitude = probe(m).abs()
    assert float(amplitude[0, 0]) == pytest.approx(math.sin(angle), rel=1e-7)
    assert float(amplitude[0, 1]) == pytest.approx(math.sin(angle), rel=1e-7)
    assert amplitude[1].max() < 1e-7 and amplitude[:, 2].max() < 1e-7
    for reference in ((0, 0, 2), tm.uniform(mesh, (0, 0, 1))):
        intensity = tm.SpinWaveIntensity(body, reference, torch.tensor([True, False]))(m)
        assert float(intensity) == pytest.approx(math.sin(angle) ** 2, rel=1e-7)
    batch = tm.SpinWaveIntensity(body, (0, 0, 1))(torch.stack([m, m], 1))
    assert batch.shape == (2,)
    compiled = torch.compile(probe[1], fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(m), probe[1](m))


WRONG = {
    "density-mesh": (lambda: tm.DensityField((3, 2), 1e-9), TypeError, "mesh is a tuple"),
    "density-radius": (lambda: tm.DensityField(MESH, -1e-9), ValueError, "radius = -1e-09"),
    "density-nan-radius": (lambda: tm.DensityField(MESH, math.nan), ValueError, "radius = nan"),
    "density-beta": (lambda: tm.DensityField(MESH, 1e-9, 0.0), ValueError, "beta = 0, expected > 0"),
    "density-eta": (lambda: tm.DensityField(MESH, 1e-9, eta=1.5), ValueError, "eta = 1.5"),
    "density-initial": (lambda: tm.DensityField(MESH, 1e-9, initial=1.0), ValueError, "initial spans 1 to 1, expected within"),
    "density-shape": (lambda: tm.DensityField(MESH, 1e-9, initial=torch.rand(3, 4)), ValueError, "initial has shape"),
    "density-domain": (lambda: tm.DensityField(MESH, 1e-9, domain=torch.ones(4, 3)), ValueError, "domain is torch.float64"),
    "density-empty": (lambda: tm.DensityField(MESH, 1e-9, domain=torch.zeros(4, 3) > 0), ValueError, "domain is empty"),
    "level-mesh": (lambda: tm.LevelSet(3, 1), TypeError, "mesh is a int"),
    "level-kind": (lambda: tm.LevelSet(MESH, 3.0), TypeError, "shape is a float"),
    "level-cells": (
        lambda: tm.LevelSet(MESH, torch.rand(MESH.cells)),
        ValueError,
        r"expected floating-point numbers .* \(5, 4\)",
    ),
    "level-sign": (lambda: tm.LevelSet(MESH, Sphere(1.0)), ValueError, "one sign at all nodes"),
    "level-nan": (lambda: tm.LevelSet(MESH, lambda x: x[0] * math.nan), ValueError, "not finite"),
    "pulse-profile": (lambda: tm.SincPulse((0, 1), 0, 1e9), ValueError, r"profile has shape \(2,\)"),
    "fourier-both": (lambda: tm.FourierPulse(1.0, [[1.0], [0.0]]), ValueError, "either period"),
    "fourier-period": (lambda: tm.FourierPulse(1.0, [[1.0], [0.0]], period=0.0), ValueError, "period = 0"),
    "fourier-rows": (lambda: tm.FourierPulse(1.0, [1.0, 0.0], period=1e-9), ValueError, "coefficients has shape"),
    "fourier-count": (lambda: tm.FourierPulse(1.0, [[1.0], [0.0]], frequencies=[1e9, 2e9]), ValueError, "frequencies has shape"),
    "spline-order": (lambda: tm.SplinePulse(1.0, [0, 2e-9, 1e-9], [0.0, 1, 0]), ValueError, "increasing times"),
    "spline-count": (lambda: tm.SplinePulse(1.0, [0, 1e-9], [0.0, 1, 0]), ValueError, r"values has shape \(3,\)"),
    "spline-text": (lambda: tm.SplinePulse(1.0, [0, 1e-9], "ab"), TypeError, "values holds"),
    "gaussian-width": (lambda: tm.GaussianPulse(1.0, 0, 0.0), ValueError, "width spans 0 to 0, expected > 0"),
    "sinc-cutoff": (lambda: tm.SincPulse(1.0, 0, -1e9), ValueError, "cutoff spans"),
    "antenna-width": (lambda: tm.AntennaField(MESH, 1, width=0, thickness=0, center=(0, 0, 0)), ValueError, "width = 0"),
    "antenna-center": (lambda: tm.AntennaField(MESH, 1, width=1, thickness=0, center=(0, 0)), ValueError, "center ="),
    "antenna-normal": (lambda: tm.AntennaField(MESH, 1, normal=(0, 1, 1), **STRIP), ValueError, "perpendicular"),
    "antenna-current": (lambda: tm.AntennaField(MESH, lambda x: x, **STRIP), TypeError, "takes x"),
    "antenna-text": (lambda: tm.AntennaField(MESH, "1 mA", **STRIP), TypeError, "AntennaField: current is a str"),
    "probe-magnet": (lambda: tm.RegionAverage(MESH), TypeError, "magnet is a Mesh"),
    "probe-region": (lambda: tm.RegionAverage(film(), torch.ones(4, 3)), ValueError, "region is torch.float64"),
    "probe-empty": (lambda: tm.RegionAverage(film(), torch.zeros(4, 3) > 0), ValueError, "holds no cell"),
    "probe-weight": (lambda: tm.RegionAverage(film(), weight="mass"), ValueError, "weight = 'mass'"),
    "intensity-zero": (lambda: tm.SpinWaveIntensity(film(), (0, 0, 0)), ValueError, "no direction"),
    "intensity-shape": (lambda: tm.SpinWaveIntensity(film(), (0, 1)), ValueError, "reference has shape"),
    "spectrum-times": (lambda: tm.Spectrum([0, 1e-12, 3e-12], 1e9), ValueError, "not uniform"),
    "spectrum-nyquist": (lambda: tm.Spectrum([0, 1e-12, 2e-12], 5e11), ValueError, "below half of the sampling rate"),
    "spectrum-zero": (lambda: tm.Spectrum([0, 1e-12, 2e-12], 0.0), ValueError, "expected above 0"),
    "spectrum-window": (lambda: tm.Spectrum([0, 1e-12, 2e-12], 1e9, window="flat"), ValueError, "window = 'flat'"),
    "spectrum-count": (lambda: tm.Spectrum([0, 1e-12, 2e-12], 1e9)(torch.rand(4, 3)), ValueError, "T = 3 times"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_calls(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_spectrum_takes_times_in_single_precision():
    t = torch.arange(200, dtype=torch.float32) * 1e-11
    assert tm.Spectrum(t, [1e10])(torch.sin(2e10 * math.pi * t.double())).abs().item() == pytest.approx(1, abs=0.02)
    with pytest.raises(ValueError, match="not uniform"):
        tm.Spectrum(t**1.01, [1e10])
