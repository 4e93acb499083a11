"""ThermalField: seeds, restarts, where there is no noise, errors, gradients; Heun's method and the generator under it."""

import copy
import inspect
import io
import math
import pickle

import pytest
import torch
import torchdiffeq

import torchmag as tm
from torchmag import noise
from torchmag.layout import normalize
from torchmag.solvers.heun import advance
from torchmag.solvers.stepper import System

STEP = 1e-14


def energy_of(n=(3, 2), Ms=8e5, pbc=(0, 0, 0), dtype=torch.float64, demag=False):
    magnet = tm.Magnet(tm.Mesh(n, (5e-9,) * 3, pbc=pbc), Ms, dtype=dtype)
    energy = tm.Exchange(magnet, 1e-11) + tm.Zeeman(magnet, (0, 1e5, 1e5))
    return energy + tm.Demag(magnet) if demag else energy


def llg_of(energy, T=300.0, seed=1, alpha=0.1):
    return tm.LLG(energy, alpha=alpha, temperature=tm.ThermalField(energy.magnet, T, seed))


def states(mesh, count, dtype=torch.float64):
    return torch.stack([tm.random(mesh, seed, dtype=dtype) for seed in range(count)])


def run(llg, m, t=(0.0, 10 * STEP), **options):
    with torch.no_grad():
        return tm.solve(llg, m, list(t), step=STEP, **options)[-1]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(counter, key, expected):
    """philox4x32-10 in kat_vectors of Random123 (Salmon et al. 2011)."""
    words = noise.philox(tuple(map(torch.tensor, counter)), tuple(map(torch.tensor, key)))
    assert tuple(map(int, words)) == expected


def test_box_muller_is_that_of_the_library():
    a, b = torch.randint(2**32, (2, 1000), generator=torch.Generator().manual_seed(0))
    a[:4], b[4:8] = torch.tensor([0, 1, 2**32 - 1, 2**31]), torch.tensor([0, 2**31 - 1, 2**31, 2**32 - 1])
    r = torch.sqrt(-2 * torch.log((a + 0.5) / 2**32)) * torch.where(b < 2**31, 1, -1)
    phi = math.pi * ((b % 2**31 + 0.5) / 2**31 - 0.5)
    x, y = noise.box_muller(a, b)
    # The radius is small by cancellation where u is near 1, sqrt(1e-11) at most.
    torch.testing.assert_close(x, r * torch.cos(phi), rtol=0, atol=1e-6)
    torch.testing.assert_close(y, r * torch.sin(phi), rtol=0, atol=1e-6)
    assert float(torch.cat((x, y)).abs().max()) < 6.8


def test_numbers_are_normal_and_independent():
    N = 250_000
    x = noise.normal(torch.arange(2).reshape(2, 1, 1), torch.arange(2).reshape(2, 1), torch.arange(2), N).reshape(8, N)
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):  # of the powers of a normal number
        error = 4.5 * math.sqrt(variance / N)
        assert (x**power).mean(-1).tolist() == pytest.approx([expected] * 8, abs=error)
    correlation = torch.corrcoef(torch.cat((x[:, :-1], x[:, 1:]))) - torch.eye(16)
    assert float(correlation.abs().max()) < 4.5 / math.sqrt(N)
    tail = (x.abs() > 3).double().mean()
    assert float(tail) == pytest.approx(math.erfc(3 / math.sqrt(2)), abs=4.5 * math.sqrt(0.0027 / x.numel()))


def test_noise_is_the_same_on_every_device(device):
    seed, step = torch.tensor([3, 2**40]), torch.tensor([[7], [2**35]])
    here = noise.normal(seed, torch.tensor(1), step, 10_001)
    there = noise.normal(seed.to(device), torch.tensor(1, device=device), step.to(device), 10_001)
    # Logarithm, sine and cosine of another device may differ in the last bits.
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=0 if device.type == "cpu" else 1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n", [(7,), (5, 4), (3, 4, 2)])
def test_a_sample_is_the_same_alone_and_in_a_batch(n, dtype):
    energy = energy_of(n, dtype=dtype, demag=len(n) == 2)
    m, seeds = states(energy.mesh, 3, dtype), [5, 2**62, 7]
    together = run(llg_of(energy, seed=seeds), m)
    # The vector units of a processor round as many transforms as fit in one, and those left over, differently.
    rounding = 100 * torch.finfo(dtype).eps if len(n) == 2 else 0
    for sample in range(3):
        for seed in (seeds[sample], torch.tensor(seeds[sample : sample + 1])):
            alone = run(llg_of(energy, seed=seed), m[sample])
            torch.testing.assert_close(together[sample], alone.reshape(m[sample].shape), rtol=0, atol=rounding)
    assert float((together - m).abs().max()) > 0.02


def test_one_seed_gives_every_sample_its_own_noise():
    energy = energy_of()
    m = states(energy.mesh, 1).expand(2, 2, 3, *energy.mesh.nodes)
    found = run(llg_of(energy, seed=5), m).flatten(0, 1)
    assert torch.equal(found[0], run(llg_of(energy, seed=5), m[0, 0]))
    for i in range(4):
        for j in range(i):
            assert float((found[i] - found[j]).abs().max()) > 0.01
    assert not torch.equal(found[0], run(llg_of(energy, seed=6), m[0, 0]))


def test_seeds_make_an_ensemble_and_are_shared_by_outer_samples():
    energy = energy_of()
    m = tm.random(energy.mesh, 0)
    ensemble = run(llg_of(energy, seed=range(3)), m)
    assert ensemble.shape == (3, *m.shape)
    assert torch.equal(ensemble[2], run(llg_of(energy, seed=2), m))
    shared = run(llg_of(energy, seed=range(3)), m.expand(2, 3, *m.shape))
    assert torch.equal(shared[0], shared[1]) and torch.equal(shared[0], ensemble)


def test_a_run_in_pieces_is_the_run_in_one():
    energy = energy_of((4, 3))
    m = tm.random(energy.mesh, 0)
    whole, pieces = llg_of(energy), llg_of(energy)
    expected = run(whole, m, (0.0, 30e-14))
    first = run(pieces, m, (0.0, 7e-14))
    assert int(pieces.temperature.steps) == 7
    stored = io.BytesIO()
    torch.save({"m": first, "llg": pieces.state_dict()}, stored)
    stored.seek(0)
    restored, resumed = torch.load(stored, weights_only=True), llg_of(energy, T=1.0, seed=99)
    resumed.load_state_dict(restored["llg"])
    for llg, start in ((resumed, restored["m"]), (copy.deepcopy(pieces), first), (pickle.loads(pickle.dumps(pieces)), first)):
        assert torch.equal(run(llg, start, (7e-14, 30e-14)), expected)
    with torch.no_grad():
        points = tm.solve(llg_of(energy), m, [0.0, 10e-14, 30e-14], step=STEP)
    assert torch.equal(points[-1], expected)


def test_reset_repeats_the_noise():
    llg = llg_of(energy_of())
    m = tm.random(llg.mesh, 0)
    first, second = run(llg, m), run(llg, m)
    llg.temperature.reset()
    assert torch.equal(run(llg, m), first) and not torch.equal(first, second)


def test_a_callback_sees_the_steps_made():
    llg = llg_of(energy_of())
    seen = []
    run(llg, tm.random(llg.mesh, 0), (0.0, 3e-14), callback=lambda t, dt, m: seen.append((int(llg.temperature.steps), t, dt)))
    assert [steps for steps, *_ in seen] == [1, 2, 3]
    assert [t for _, t, _ in seen] == pytest.approx([1e-14, 2e-14, 3e-14])


def test_many_small_steps_at_once_and_one_by_one():
    """Noise is made in chunks of steps; a larger batch takes smaller chunks."""
    thermal = llg_of(energy_of(), seed=[1, 2]).temperature
    chunk = thermal.noise((2,), STEP, 0, 5)
    assert torch.equal(chunk[3], thermal.noise((2,), STEP, 3)[0])
    assert chunk.shape == (5, 2, 3, 4, 3)


def test_steps_divide_the_interval():
    """2.5 steps of STEP are three of 5/6 STEP, whose noise is that of the actual step."""
    llg = llg_of(energy_of())
    m, sizes = tm.random(llg.mesh, 0), []
    run(llg, m, (0.0, 2.5e-14), callback=lambda t, dt, m: sizes.append(dt))
    assert sizes == pytest.approx([2.5e-14 / 3] * 3)
    late = 1e-6  # s, where one step is few units in the last place of the time
    with torch.no_grad():
        assert len(tm.solve(llg, m, [late, late + 1e-14, late + 2e-14], step=1e-15)) == 3


def test_no_noise_without_temperature_damping_or_moment():
    energy = energy_of()
    m = tm.random(energy.mesh, 0)
    quiet = run(tm.LLG(energy, alpha=0.1), m, method="heun")
    assert torch.equal(run(llg_of(energy, T=0.0), m), quiet)
    assert torch.equal(run(llg_of(energy, alpha=0.0), m), run(tm.LLG(energy, alpha=0.0), m, method="heun"))
    assert not torch.equal(run(llg_of(energy, T=1e-3), m), quiet)


def test_vacuum():
    Ms = torch.tensor([[0.0, 0.0, 8e5], [0.0, 0.0, 8e5], [0.0, 0.0, 4e5]])
    energy = energy_of((3, 3), Ms)
    llg = llg_of(energy, T=torch.nn.Parameter(torch.full((3, 3), 300.0)))
    m0 = tm.random(energy.mesh, 0)
    m = tm.solve(llg, m0, [0.0, 5e-14], step=STEP)[-1]
    torch.testing.assert_close(m[:, :, :2], m0[:, :, :2], rtol=0, atol=1e-15)  # but for the rounding of the projection
    assert float((m - m0).detach()[:, :, 2:].abs().min()) > 0
    m.square()[0].sum().backward()
    gradient = llg.temperature.T.grad
    assert bool(gradient.isfinite().all()) and bool((gradient[:, :2] == 0).all()) and bool((gradient[:, 2] != 0).all())


def strength(llg, m, t=0.0):
    """Standard deviation of the field of a step of 1 s, A/m."""
    values = llg.prepare()
    values["temperature"]["noise"] = torch.ones((3, *llg.mesh.nodes))
    return llg.fields(m, t, values)["temperature"]


def test_maps_are_taken_to_the_nodes_by_moment():
    Ms, T, alpha = torch.tensor([8e5, 4e5]), torch.tensor([100.0, 400.0]), torch.tensor([0.1, 0.4])
    magnet = tm.Magnet(tm.Mesh((2,), (5e-9,) * 3), Ms)
    llg = tm.LLG(tm.Exchange(magnet, 1e-11), alpha=alpha, temperature=tm.ThermalField(magnet, T, 0))
    mass = torch.tensor([4e5, 6e5, 2e5])
    mean = torch.tensor([100.0, (8 * 100 + 4 * 400) / 12, 400.0])
    expected = (2 * mean * mean / 1000 * tm.k_B / (tm.mu_0 * mass * 125e-27 * tm.gamma_0)).sqrt()
    torch.testing.assert_close(strength(llg, tm.uniform(magnet.mesh, (0, 0, 1))), expected.expand(3, 3), rtol=1e-12, atol=0)


def test_batched_temperature():
    energy = energy_of()
    m = tm.random(energy.mesh, 0)
    T = torch.tensor([0.0, 100.0, 400.0]).reshape(3, 1, 1)
    batch = run(llg_of(energy, T=T, seed=[4, 4, 4]), m)
    for sample in range(3):
        assert torch.equal(batch[sample], run(llg_of(energy, T=float(T[sample]), seed=4), m))
    override = run(llg_of(energy, seed=[4, 4, 4]), m, params={"temperature.T": T})
    assert torch.equal(override, batch)


def test_temperature_of_time():
    energy = energy_of()
    m = tm.random(energy.mesh, 0)
    llg = llg_of(energy, T=lambda t: 300.0 * (t > 10e-14))
    assert torch.equal(run(llg, m, (0.0, 9e-14)), run(tm.LLG(energy, alpha=0.1), m, (0.0, 9e-14), method="heun"))
    llg.temperature.reset()
    late = run(llg, m, (11e-14, 20e-14))
    assert torch.equal(late, run(llg_of(energy), m, (0.0, 9e-14)))
    assert float(strength(llg, m, 20e-14).std()) > 0 and float(strength(llg, m, 0.0).abs().max()) == 0


def test_temperature_as_module():
    class Pulse(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.height = torch.nn.Parameter(torch.tensor(300.0))

        def forward(self, t):
            return self.height * torch.exp(-t / 1e-13)

    llg = llg_of(energy_of(), T=Pulse())
    tm.solve(llg, tm.random(llg.mesh, 0), [0.0, 3e-14], step=STEP)[-1, 0].sum().backward()
    assert [name for name, _ in llg.named_parameters()] == ["temperature.T.height"]
    assert float(llg.temperature.T.height.grad.abs()) > 0


def test_float32_has_the_same_noise():
    double, single = (llg_of(energy_of(dtype=dtype)).temperature for dtype in (torch.float64, torch.float32))
    assert torch.equal(double.noise((2,), STEP).float(), single.noise((2,), STEP))
    m = tm.random(double.mesh, 0)
    low = run(llg_of(energy_of(dtype=torch.float32)), m.float())
    # 10 steps of about 100 roundings of 2^-24.
    torch.testing.assert_close(low.double(), run(llg_of(energy_of()), m), rtol=0, atol=1e-4)
    llg = llg_of(energy_of()).to(torch.float32)
    assert llg.temperature.steps.dtype == llg.temperature.seed.dtype == torch.int64
    assert torch.equal(run(llg, m.float()), low)


@pytest.mark.parametrize("name", ["temperature.T", "alpha", "energy.magnet.Ms"])
def test_gradient_through_the_noise(name):
    energy = energy_of((2,))
    m = tm.random(energy.mesh, 0)
    base = {
        "temperature.T": torch.tensor([300.0, 200.0]),
        "alpha": torch.tensor([0.1, 0.2]),
        "energy.magnet.Ms": torch.tensor([8e5, 6e5]),
    }

    def final(scale):
        llg = llg_of(energy)
        return tm.solve(llg, m, [0.0, 4e-14], step=STEP, params={name: base[name] * scale})[-1]

    scale = torch.ones(2, requires_grad=True)
    # m moves by 0.1 within the few steps; second derivatives of the same size.
    assert torch.autograd.gradcheck(final, scale, eps=1e-5, atol=1e-8, rtol=1e-5)
    assert torch.autograd.gradgradcheck(final, scale, eps=1e-5, atol=1e-7, rtol=1e-4)
    (gradient,) = torch.autograd.grad(final(scale)[0].sum(), scale)
    assert float(gradient.abs().min()) > 1e-5


def test_compiled():
    llg = llg_of(energy_of())
    m = tm.random(llg.mesh, 0)
    expected = run(llg, m)
    llg.temperature.reset()
    torch.compiler.reset()
    llg.compile(fullgraph=True, backend="eager")
    assert torch.equal(run(llg, m), expected)


def test_without_noise_elsewhere():
    """llg(t, m), torchdiffeq and relax know no noise; they leave the count of steps alone."""
    energy = energy_of()
    hot, cold = llg_of(energy, T=1e4), tm.LLG(energy, alpha=0.1)
    m, t = tm.random(energy.mesh, 0), torch.tensor([0.0, 1e-13])
    with torch.no_grad():
        assert torch.equal(hot(0.0, m), cold(0.0, m))
        assert "temperature" not in hot.fields(m)
        assert torch.equal(torchdiffeq.odeint(hot, m, t), torchdiffeq.odeint(cold, m, t))
        assert torch.equal(tm.relax(hot, m), tm.relax(cold, m))
    assert int(hot.temperature.steps) == 0
    hot.temperature = None
    assert torch.equal(run(hot, m), run(cold, m))


def test_heun_is_of_second_order():
    energy = energy_of()
    llg, m = tm.LLG(energy, alpha=0.1), tm.random(energy.mesh, 0)
    with torch.no_grad():
        exact = tm.solve(llg, m, [0.0, 4e-13], rtol=1e-12, atol=1e-12)[-1]
        errors = [
            float((tm.solve(llg, m, [0.0, 4e-13], method="heun", step=step)[-1] - exact).norm()) for step in (8e-15, 4e-15, 2e-15)
        ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)
    assert math.log2(errors[1] / errors[2]) == pytest.approx(2, abs=0.1)


def test_heun_converges_along_a_path_of_noise():
    """One moment, common noise in three axes: the strong order of Heun is 1/2 there, 1 where the noise commutes (one axis)."""
    magnet = tm.Magnet(tm.Mesh((1,), (5e-9,) * 3, pbc=(1, 0, 0)), 8e5)
    path = tm.ThermalField(magnet, 0.0, seed=3).noise((200,), 1.0, 0, 256)[:, :, 2:] * torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1)

    def final(coarse):
        m, dt = tm.uniform(magnet.mesh, (1, 0, 1)).expand(200, 3, 1), coarse / 256
        for increments in path.reshape(256 // coarse, coarse, 200, 3, 1).sum(1):
            H = 0.8 * increments / math.sqrt(256) / dt
            rate = lambda t, m, H: -(c := torch.linalg.cross(m, H, dim=-2)) - 0.5 * torch.linalg.cross(m, c, dim=-2)
            m = advance(System(rate, lambda m: normalize(m, -2), None, None, H), 0.0, dt, m)
        return m

    # Around z: atanh(m_z) grows by 0.5 W, in the sense of Stratonovich; an Ito scheme would add a drift of order one.
    exact = torch.tanh(math.atanh(math.sqrt(0.5)) + 0.5 * 0.8 * path[..., 2, 0].sum(0) / 16)
    errors = [float((final(coarse)[:, 2, 0] - exact).square().mean().sqrt()) for coarse in (16, 4, 1)]
    assert math.log(errors[0] / errors[2]) / math.log(16) > 0.85 and errors[2] < 2e-3


@pytest.mark.parametrize(
    ("T", "error", "match"),
    [
        (-1.0, ValueError, "T has a minimum of -1, expected >= 0"),
        (math.nan, ValueError, "T is not finite"),
        (torch.zeros(2, dtype=torch.float64), ValueError, r"T has shape \(2,\)"),
        ("warm", TypeError, "T is a str"),
        (lambda x: x, TypeError, "Derived"),
    ],
)
def test_bad_temperature(T, error, match):
    magnet = energy_of().magnet
    with pytest.raises(error, match=match):
        tm.ThermalField(magnet, T, 0)


@pytest.mark.parametrize(
    ("seed", "error"),
    [
        (-1, ValueError),
        ([1, -2], ValueError),
        ([], TypeError),
        (2**63, ValueError),
        (2**64, TypeError),
        (1.0, TypeError),
        (True, TypeError),
        (None, TypeError),
        ("1", TypeError),
        ([[1], [2, 3]], TypeError),
        (torch.tensor(1.0), TypeError),
        (torch.Generator(), TypeError),
    ],
)
def test_bad_seed(seed, error):
    with pytest.raises(error, match="ThermalField: seed"):
        tm.ThermalField(energy_of().magnet, 300.0, seed)


def test_bad_use():
    energy, other = energy_of(), energy_of()
    thermal = tm.ThermalField(energy.magnet, 300.0, [1, 2])
    with pytest.raises(TypeError, match="expected a torchmag.ThermalField"):
        tm.LLG(energy, alpha=0.1, temperature=300.0)
    with pytest.raises(ValueError, match="another Magnet"):
        tm.LLG(other, alpha=0.1, temperature=thermal)
    llg = tm.LLG(energy, alpha=0.1, temperature=thermal)
    with pytest.raises(ValueError, match="another Magnet"):
        llg.temperature = tm.ThermalField(other.magnet, 300.0, 1)
    m = tm.random(energy.mesh, 0)
    with pytest.raises(ValueError, match="step is None"):
        tm.solve(llg, m, [0, 1e-12])
    for method in ("dopri5", "bosh3", "rk4"):
        with pytest.raises(ValueError, match="'heun'"):
            tm.solve(llg, m, [0, 1e-12], step=STEP, method=method)
    with pytest.raises(ValueError, match=r"seed has shape \(2,\), the batch is \(3,\)"):
        run(llg, m.expand(3, *m.shape))
    with pytest.raises(TypeError, match=r"did you mean 'temperature\.T'"):
        run(llg, m, params={"temperature.t": 300.0})
    with pytest.raises(ValueError, match=r"temperature\.T has a minimum of -5"):
        run(llg, m, params={"temperature.T": -5.0})
    with pytest.raises(tm.MaxStepsError, match="max_steps is 9"):
        run(llg, m, max_steps=9)
    assert int(thermal.steps) == 0


def test_not_finite_names_the_temperature():
    llg = llg_of(energy_of(), T=lambda t: torch.sqrt(5.5e-14 - t) * 1e9)
    with pytest.raises(tm.NonFiniteError, match="temperature") as caught:
        run(llg, tm.random(llg.mesh, 0), (5e-14, 20e-14))
    assert caught.value.term == "temperature"
    llg = llg_of(energy_of(), T=lambda t: -300.0)
    with pytest.raises(tm.NonFiniteError, match="temperature"):
        run(llg, tm.random(llg.mesh, 0))


def test_the_default_method_is_shown():
    assert inspect.signature(tm.solve).parameters["method"].default == "dopri5"
