"""Measured drives: interpolation, batches, gradients, files, bad input."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

import torchmag as tm

MESH = tm.Mesh((5, 3), dx=(5e-9, 5e-9, 3e-9))
T = torch.tensor([0.3, 1.0, 1.4, 3.0, 3.5, 4.2], dtype=torch.float64) * 1e-11


def film():
    return tm.Magnet(MESH, 8e5)


def values(*shape, seed=0):
    return 2e4 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def llg(H, *more):
    magnet = film()
    return tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Zeeman(magnet, (0, 0, 1e5)) + tm.Zeeman(magnet, H), 0.1)


def at(drive, times):
    return torch.stack([drive(torch.as_tensor(t)) for t in times])


def test_linear_is_numpys_interp():
    v, x = values(6), np.linspace(-1e-11, 6e-11, 97)
    expected = torch.tensor(np.interp(x, T, v))
    torch.testing.assert_close(at(tm.Samples(T, v), x), expected, rtol=1e-12, atol=1e-9)
    inside = torch.tensor((x >= float(T[0])) & (x <= float(T[-1])))
    torch.testing.assert_close(at(tm.Samples(T, v, outside="zero"), x), expected * inside, rtol=1e-12, atol=1e-9)


def test_cubic_is_exact_for_parabolas_and_of_third_order():
    x = torch.linspace(float(T[0]), float(T[-1]), 50)
    parabola = lambda t: 1 + 2 * (t * 1e11) - 0.7 * (t * 1e11) ** 2
    drive = tm.Samples(T, parabola(T), interpolation="cubic")
    torch.testing.assert_close(at(drive, x), parabola(x), rtol=0, atol=1e-13)
    errors = []
    for count in (40, 80, 160):  # sin over two periods, away from the ends
        t = torch.linspace(0, 1, count) ** 1.1
        drive = tm.Samples(t, torch.sin(4 * np.pi * t), interpolation="cubic")
        x = torch.linspace(0.2, 0.8, 401)
        errors.append(float((at(drive, x) - torch.sin(4 * np.pi * x)).abs().max()))
    assert all(np.log2(a / b) > 2.8 for a, b in zip(errors, errors[1:])), errors


def test_cubic_slopes_are_numpys():
    # The slope at each time is that of numpy.gradient, of second order up to the ends.
    v = values(6)
    drive = tm.Samples(T, v, interpolation="cubic")
    expected = np.gradient(v.numpy(), T.numpy(), edge_order=2)
    for k, t in enumerate(T.tolist()):
        h = 1e-17 * (1 if k < 5 else -1)
        slope = (drive(torch.tensor(t + h)) - drive(torch.tensor(t))) / h
        assert float(slope) == pytest.approx(expected[k], rel=1e-4, abs=1e-4 * abs(expected).max())


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("kind", ["scalars", "vectors", "profile", "antenna", "shared"])
def test_a_batch_is_a_loop(kind, interpolation):
    m0, t = tm.uniform(MESH, (0.1, 0, 1)), [0, 4e-11]
    profile = {"scalars": torch.tensor([0.0, 1, 0.5]), "profile": torch.randn(3, *MESH.nodes)}.get(kind)
    v = values(*((3, 6, 3) if kind == "vectors" else (6,) if kind == "shared" else (3, 6)))
    options = {"interpolation": interpolation, "profile": profile}
    if kind == "shared":
        options["profile"] = torch.tensor([0.0, 1, 0])

    def made(v):
        drive = tm.Samples(T, v, **options)
        if kind == "antenna":
            drive = tm.AntennaField(MESH, tm.Samples(T, 1e-7 * v, **options), width=9e-9, thickness=0, center=(10e-9, 0, 9e-9))
        return llg(drive)

    starts = m0.expand(3, *m0.shape) if kind == "shared" else m0
    found = tm.solve(made(v), starts, t)[-1]
    assert found.shape == (3, *m0.shape)
    for k in range(3):
        one = tm.solve(made(v if kind == "shared" else v[k]), m0, t)[-1]
        torch.testing.assert_close(found[k], one, rtol=0, atol=1e-13)
    assert kind == "shared" or (found[0] - found[1]).abs().max() > 1e-3


def test_times_of_their_own_broadcast():
    drive = tm.Samples(T, values(2, 1, 6, 3), outside="zero")
    t = torch.rand(2, 4) * 6e-11
    found = drive.at_times(t)
    assert found.shape == (2, 4, 3)
    for i in range(2):
        for j in range(4):
            torch.testing.assert_close(found[i, j], drive(t[i, j])[i, 0])
    torch.testing.assert_close(torch.func.vmap(drive.amplitude)(t[0]), torch.stack([drive(x) for x in t[0]]))


def test_a_profile_is_the_waveform_times_a_map():
    profile, v, m = torch.randn(*MESH.nodes), values(6, 3), tm.random(MESH, 0)
    magnet = film()
    for t in (0.0, 1.7e-11):
        vector = torch.tensor([np.interp(t, T, v[:, i]) for i in range(3)])
        field = tm.Zeeman(magnet, tm.Samples(T, v, profile=profile)).field(m, t)
        torch.testing.assert_close(field, vector.reshape(3, 1, 1) * profile, rtol=1e-12, atol=0)
    # Current through a torque: a scalar drive on cells.
    j = tm.Samples(T, 1e7 * values(6), profile=torch.rand(MESH.cells))
    torque = tm.SpinOrbit(magnet, j=j, p=(0, 1, 0), eta_damp=0.1, eta_field=0.0, d=3e-9)
    assert tm.LLG(tm.Exchange(magnet, 1.3e-11), 0.1, torques=[torque])(1e-11, m).isfinite().all()


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("shape", [(6,), (2, 6), (2, 6, 3)])
def test_gradcheck(shape, interpolation):
    times = torch.tensor([0.0, 1.2, 2.9, 4.1]) * 1e-11

    def drive(v):
        made = tm.Samples(T, nn.Parameter(torch.zeros(shape)), interpolation=interpolation, outside="zero")
        call = lambda t: torch.func.functional_call(made, {"values": v}, (t,))
        return torch.stack([call(t) for t in times])

    assert gradcheck(drive, (torch.randn(shape, requires_grad=True),))


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_the_gradient_of_a_solve(interpolation):
    raw = values(2, 6) / 2e4
    m0 = tm.uniform(MESH, (0.1, 0, 1))

    def final(v):
        drive = tm.Samples(T, v, profile=(0, 2e4, 0), interpolation=interpolation)
        return tm.solve(llg(drive), m0, [0, 4e-11], step=1e-12)[-1, :, 0].mean((-1, -2)) @ torch.tensor([1.0, -0.5])

    v = nn.Parameter(raw.clone())
    final(v).backward()
    assert v.grad.all()
    with torch.no_grad():
        h = 1e-5  # central differences: error h^2 and 1e-16 / h
        for place in ((0, 1), (1, 3), (1, 5)):
            step = torch.zeros_like(raw)
            step[place] = h
            difference = (final(raw + step) - final(raw - step)) / (2 * h)
            assert float(v.grad[place]) == pytest.approx(float(difference), rel=1e-6, abs=1e-9)
    # A tensor with a history: a network's output.
    start = raw.clone().requires_grad_()
    final(start * 1.0).backward()
    torch.testing.assert_close(start.grad, v.grad, rtol=1e-10, atol=0)


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_steps_end_at_the_samples(interpolation):
    # Two waveforms, one for each sample of a batch, and one with times of its own.
    first = tm.Samples(T, values(2, 6), profile=(0, 1, 0), interpolation=interpolation)
    second = tm.Samples([2e-11, 2.5e-11, 5e-11, 6e-11], values(4), profile=(1, 0, 0), interpolation=interpolation)
    magnet, ends = film(), []
    equation = tm.LLG(tm.Zeeman(magnet, (0, 0, 1e5)) + tm.Zeeman(magnet, first) + tm.Zeeman(magnet, second), 0.1)
    m0 = tm.uniform(MESH, (1, 0.1, 0.1))
    found = tm.solve(equation, m0, [0, 1e-10], callback=lambda t, dt, m: ends.append(t))[-1]
    ends = torch.stack(ends)  # (steps, 2)
    for knot in (*T.tolist(), 2e-11, 2.5e-11, 5e-11, 6e-11):
        assert ((ends - knot).abs().min(0).values < 1e-20).all()
    # The steps are no smaller for it: the times are ten of some thirty.
    assert len(ends) < 60
    exact = tm.solve(equation, m0, torch.linspace(0, 1e-10, 101), step=2.5e-13)[-1]
    # A step's error of at most 1e-5, ten to thirty of them, damped.
    assert (found - exact).abs().max() < 1e-4


def test_no_pulse_is_stepped_over():
    # At rest the error of any step is zero; the pulse begins late.
    magnet = film()
    H = tm.Samples([5e-10, 5.02e-10, 5.05e-10], [0.0, 1e4, 0.0], profile=(0, 1, 0), outside="zero")
    quiet = tm.LLG(tm.Zeeman(magnet, (0, 0, 1e5)) + tm.Zeeman(magnet, H), 0.0)
    m = tm.solve(quiet, tm.uniform(MESH, (0, 0, 1)), [0, 6e-10])[-1]
    # A spin that turns by the area of the pulse, 2.5 ps at 1e4 A/m, in the frame that precesses (by at most 0.1 during the pulse).
    assert float(m[:2].norm(dim=0).mean()) == pytest.approx(tm.gamma_0 * 1e4 * 2.5e-12, rel=2e-3)


def test_compiled_with_batches():
    torch._dynamo.reset()
    drive = tm.Samples(T, values(3, 6, 3), interpolation="cubic", outside="zero")
    equation, m = llg(drive), tm.random(MESH, 0).expand(3, -1, -1, -1)
    times = torch.tensor([0.5, 2.0, 6.0]) * 1e-11
    expected = [equation(torch.tensor(2e-11), m), equation(times, m)]
    equation.compile(fullgraph=True, backend="eager")
    for t, rate in zip((torch.tensor(2e-11), times), expected):
        torch.testing.assert_close(equation(t, m), rate, rtol=0, atol=1e-13 * rate.abs().max().item())


def test_state_dict_carries_times_and_values():
    one = tm.Samples(T, values(6), interpolation="cubic")
    other = tm.Samples(T + 1e-12, values(6, seed=1), interpolation="cubic")
    other.load_state_dict(one.state_dict())
    x = torch.linspace(0, 5e-11, 30)
    assert torch.equal(at(other, x), at(one, x))
    single = tm.Samples(T, values(6)).float()
    assert single.values.dtype == torch.float32 and single.times.dtype == torch.float64


def test_files(tmp_path):
    v = values(6, 3)
    with open(tmp_path / "drive.csv", "w") as file:
        file.write("# made by hand\nt (s), Hx, Hy, Hz\n\n")
        file.writelines(f"{t!r}, {x!r}, {y!r}, {z!r}\n" for t, (x, y, z) in zip(T.tolist(), v.tolist()))
    loaded = tm.Samples.load(tmp_path / "drive.csv", interpolation="cubic")
    assert torch.equal(loaded.values, v) and torch.equal(loaded.times, T) and loaded.interpolation == "cubic"
    one = tm.Samples.load(tmp_path / "drive.csv", columns="Hz", scale=2.0, profile=(0, 0, 1))
    assert torch.equal(one.values, 2 * v[:, 2]) and torch.equal(
        tm.Samples.load(tmp_path / "drive.csv", columns=3).values, v[:, 2]
    )
    assert torch.equal(tm.Samples.load(tmp_path / "drive.csv", columns=["Hz", "Hy", "Hx"]).values, v.flip(1))
    np.save(tmp_path / "drive.npy", values(4, 6))
    loaded = tm.Samples.load(tmp_path / "drive.npy", rate=5e10, start=1e-12)
    torch.testing.assert_close(loaded.times, 1e-12 + torch.arange(6) * 2e-11)
    assert torch.equal(loaded.values, values(4, 6)) and loaded.batch_shape == (4,)
    assert torch.equal(tm.Samples.load(tmp_path / "drive.npy", t=T).times, T)
    np.save(tmp_path / "vectors.npy", values(4, 6, 3))
    assert tm.Samples.load(tmp_path / "vectors.npy", rate=5e10).vector


def test_bad_values():
    with pytest.raises(
        ValueError, match=r"values has shape \(2, 5\), t has 6 times: expected .* with T = 6; values sampled at another"
    ):
        tm.Samples(T, values(2, 5))
    with pytest.raises(ValueError, match=r"t must increase, but t\[1\] = 1.4e-11 s is followed by 1e-11 s; sort them"):
        tm.Samples(T[[0, 2, 1, 3]], values(4))
    bad = values(2, 6)
    bad[1, 3] = torch.nan
    with pytest.raises(ValueError, match=r"not finite at 1 of 12 times, the first at row 3 of sample \(1,\) \(t = 3e-11 s\)"):
        tm.Samples(T, bad)
    with pytest.raises(ValueError, match=r"t\[2\] = nan, expected finite"):
        tm.Samples([0, 1, np.nan], values(3))
    with pytest.raises(ValueError, match="Give vector=True or False"):
        tm.Samples(T[:3], values(3, 3))
    assert tm.Samples(T[:3], values(3, 3), vector=True).batch_shape == ()
    with pytest.raises(ValueError, match=r"expected \(T,\) with T >= 4 for 'cubic'"):
        tm.Samples(T[:3], values(3), interpolation="cubic")
    with pytest.raises(ValueError, match="interpolation = 'spline'.*expected 'linear' or 'cubic'"):
        tm.Samples(T, values(6), interpolation="spline")
    with pytest.raises(TypeError, match="expected real numbers"):
        tm.Samples(T, values(6) + 1j)
    m = tm.random(MESH, 0)
    with pytest.raises(
        ValueError, match=r"the batch of Zeeman: H, \(4,\), does not broadcast against that of others \(m \(3,\)\)"
    ):
        tm.solve(llg(tm.Samples(T, values(4, 6, 3))), m.expand(3, -1, -1, -1), [0, 1e-12])
    with pytest.raises(ValueError, match=r"H has shape \(4, 3, 2, 2\), nodes are \(6, 4\)"):
        tm.solve(llg(tm.Samples(T, values(4, 6), profile=torch.ones(3, 2, 2))), m, [0, 1e-12])


def test_bad_files(tmp_path):
    def written(text, name="x.csv"):
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path / name

    with pytest.raises(tm.FileFormatError, match="x.csv, line 3: '1, two' holds no numbers"):
        tm.Samples.load(written("t,H\n0,1\n1,two\n"))
    with pytest.raises(tm.FileFormatError, match="x.csv, line 2: 1 columns, the lines before have 2"):
        tm.Samples.load(written("0,1\n1\n"))
    with pytest.raises(tm.FileFormatError, match="holds no numbers"):
        tm.Samples.load(written("t,H\n"))
    with pytest.raises(ValueError, match="2 columns of values, expected 1, or 3"):
        tm.Samples.load(written("0,1,2\n1,2,3\n"))
    with pytest.raises(ValueError, match="no column is called 'Hx'; they are t, H"):
        tm.Samples.load(written("t,H\n0,1\n1,2\n"), columns="Hx")
    with pytest.raises(ValueError, match="do not have the stated rate of 2 Hz from row 1 .* mean rate is 1 Hz"):
        tm.Samples.load(written("0,1\n1,2\n2,2\n"), rate=2)
    assert len(tm.Samples.load(written("0,1\n1,2\n2,2\n"), rate=1).times) == 3
    with pytest.raises(ValueError, match="x.csv: Samples: values is not finite at 1 of 2 times"):
        tm.Samples.load(written("0,1\n1,nan\n"))
    with pytest.raises(tm.FileFormatError, match="x.npy: no array of NumPy, or cut off"):
        tm.Samples.load(written(b"\x93NUMPY", "x.npy"), rate=1)
    np.save(tmp_path / "x.npy", np.ones((2, 7)))
    with pytest.raises(ValueError, match="give their times t=, s, or their rate="):
        tm.Samples.load(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"x.npy: Samples: values has shape \(2, 7\), t has 6 times"):
        tm.Samples.load(tmp_path / "x.npy", t=T)


def test_damping_ramp():
    mesh = tm.Mesh((10, 4), dx=(5e-9, 5e-9, 3e-9), origin=(1e-9, 0, 0))
    alpha = tm.damping_ramp(mesh, 20e-9, 0.01, 0.5, sides="x", power=2)
    d = (torch.arange(10) + 0.5) * 5e-9
    expected = 0.01 + 0.49 * (1 - torch.minimum(d, 50e-9 - d) / 20e-9).clamp(min=0) ** 2
    torch.testing.assert_close(alpha, expected[:, None].expand(10, 4))
    one = tm.damping_ramp(mesh, 20e-9, 0.01, 0.5, sides="+x", power=1)
    torch.testing.assert_close(one[:, 0], 0.01 + 0.49 * (1 - (50e-9 - d) / 20e-9).clamp(min=0))
    both = tm.damping_ramp(mesh, 10e-9, 0.01, 0.5)
    torch.testing.assert_close(both, torch.maximum(tm.damping_ramp(mesh, 10e-9, 0.01, 0.5, sides="x"),
                                                   tm.damping_ramp(mesh, 10e-9, 0.01, 0.5, sides=["-y", "+y"])))  # fmt: skip
    inner = torch.tensor([0.01, 0.02], requires_grad=True)
    batch = tm.damping_ramp(mesh, 20e-9, inner.reshape(2, 1, 1), 0.5, sides="x")
    assert batch.shape == (2, 10, 4) and torch.equal(batch[0], alpha)
    batch.sum().backward()
    assert inner.grad.all()
    assert tm.LLG(tm.Exchange(tm.Magnet(mesh, 8e5), 1e-11), alpha)(0.0, tm.random(mesh, 0)).isfinite().all()
    strip = tm.Mesh((10, 4), dx=(5e-9, 5e-9, 3e-9), pbc=(0, 1, 0))
    assert torch.equal(tm.damping_ramp(strip, 20e-9, 0.01, 0.5), alpha)


def test_bad_ramps():
    mesh = tm.Mesh((10, 4), dx=(5e-9, 5e-9, 3e-9), pbc=(0, 1, 0))
    for message, options in {
        "2 ramp.* of 3e-08 m along x are longer than the mesh, 5e-08 m": {"width": 30e-9},
        "holds '-y', but that axis is periodic": {"sides": "y"},
        "holds '-z', but that axis is none of the mesh": {"sides": "z"},
        "holds 'left', expected x, y, z": {"sides": "left"},
        "alpha_max must be finite and >= 0": {"alpha_max": -1},
        "power = 0": {"power": 0},
    }.items():
        with pytest.raises(ValueError, match=message):
            tm.damping_ramp(mesh, **({"width": 10e-9, "alpha": 0.01} | options))


@pytest.mark.slow
def test_a_ramp_absorbs():
    # Exchange waves of 41 nm (25 GHz, 1.8 km/s) in a strip of 600 nm, from its middle: after 600 ps they have met the ends twice.
    mesh = tm.Mesh((120,), dx=(5e-9, 10e-9, 3e-9))
    magnet = tm.Magnet(mesh, 8e5)
    t = torch.arange(0, 120e-12, 4e-12)
    wave = 1e4 * torch.exp(-(((t - 60e-12) / 28e-12) ** 2)) * torch.sin(2 * np.pi * 25e9 * t)
    antenna = torch.exp(-(((tm.positions(mesh)[0] - 300e-9) / 12e-9) ** 2)) * torch.tensor([[0.0], [1.0], [0.0]])
    H = tm.Samples(t, wave, profile=antenna, outside="zero", interpolation="cubic")
    energy = tm.Exchange(magnet, 1.3e-11) + tm.Zeeman(magnet, (0, 0, 1e5)) + tm.Zeeman(magnet, H)
    left = {}
    for name, alpha in {"hard": 1e-3, "ramp": tm.damping_ramp(mesh, 150e-9, 1e-3, 0.5)}.items():
        m = tm.solve(tm.LLG(energy, alpha), tm.uniform(mesh, (0, 0, 1)), [0, 6e-10], method="gyro5", compile=False)[-1]
        left[name] = float((m[:2] ** 2).sum())
    # The ends reflect everything; the ramp, of 3.7 wavelengths, less than a tenth of the amplitude.
    assert left["hard"] > 1e-4 and left["ramp"] < 0.01 * left["hard"], left
