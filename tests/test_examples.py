"""The examples, at small size, with one number each."""

import importlib.util
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_standard_problem_4():
    # 10 nm cells: 138.5 ps (OOMMF) to within 2 %, four times the deviation of the 5 nm cells (0.4 %).
    with torch.no_grad():
        assert load("standard_problem_4").main(n=(50, 12), T=2e-10) == pytest.approx(138.5e-12, rel=0.02)


def test_field_angle():
    # INV-02: the angles of a macrospin integrated by an ODE solver, to 0.005 rad; LBFGS on one cell.
    example = load("field_angle")
    path, distance = example.main("LBFGS", steps=4, n=1)
    assert torch.deg2rad(path[-1] - example.SOLUTIONS).abs().max() < 0.005
    assert distance.max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "steps"), [("Adam", 50), ("LBFGS", 8)])
def test_field_angle_of_the_paper(optimizer, steps):
    example = load("field_angle")
    path, distance = example.main(optimizer, steps, n=2)
    assert torch.deg2rad(path[-1] - example.SOLUTIONS).abs().max() < 0.005
    assert distance.max() < 1e-3


def test_anisotropy_map():
    # The misfit reaches the noise to 15 % (it starts at 36 times the noise), Ku a tenth of its range of 1e5 J/m^3.
    true, found, history = load("anisotropy_map").main(n=8, T=60e-12, evaluations=8)
    assert history[0] > 10 and history[-1] < 1.15
    assert (found - true).square().mean().sqrt() < 1e4


@pytest.mark.slow
def test_anisotropy_map_at_full_size():
    true, found, history = load("anisotropy_map").main(evaluations=40)
    assert history[-1] < 1.05
    assert (found - true).square().mean().sqrt() < 1.2e4


def test_stray_field_shape():
    # The field is linear in the density: sorting the cells by their contribution gives the least volume.
    density, B, ratio = load("stray_field").shape(n=15, target=0.2, steps=60)
    assert pytest.approx(0.2, rel=0.02) == B
    assert 1 - 1e-9 < ratio < 1.05


def test_stray_field_image():
    # Noise of 2 % of the field; m_z spans 2.
    true, found, _, error = load("stray_field").image(n=20, evaluations=100)
    assert true.min() < -0.9 and true.max() > 0.9
    assert error < 0.2


def test_spin_wave_focus():
    history, Ms, _ = load("spin_wave_focus").main((28, 20), T=0.4e-9, steps=3)
    assert history[-1, 0] > 1.5
    assert history[-1, 0] > history[-1, 1]
    assert 100e3 <= Ms.min() and Ms.max() <= 140e3


@pytest.mark.slow
def test_spin_wave_focus_on_one_probe():
    # Trained to 5.7 at A and 0.5 at B in 25 steps; here stopped after 10, where A has 4 times its intensity.
    history, _, _ = load("spin_wave_focus").main(steps=10)
    assert history[-1, 0] > 4
    assert history[-1, 1] < 1


def test_resonance_fit():
    # 0.25 ns hold too few periods for the width of a line: A and Ku, first guessed 25 and 40 % off, to 5 %.
    errors, _ = load("resonance_fit").main(n=6, T=0.25e-9, evaluations=9, decays=(0.5,))
    assert abs(errors["A"]) < 0.05
    assert abs(errors["Ku"]) < 0.05


@pytest.mark.slow
def test_resonance_fit_at_full_length():
    # Noise of 2 % of the largest signal.  8 cells carry the waves below 30 GHz that the 16 of the example do.
    errors, _ = load("resonance_fit").main(n=8)
    assert max(map(abs, errors.values())) < 0.03


def test_neural_energy():
    *_, error = load("neural_energy").main(samples=32, T=30e-12, evaluations=40)
    assert error < 0.3


@pytest.mark.slow
def test_neural_energy_at_full_size():
    *_, error = load("neural_energy").main()
    assert error < 0.03


def test_switching_network():
    # A random network is off by 21 ps, more than half of the range of 35 ps; the error falls to less than a half of that.
    *_, history = load("switching_network").main(layers=2, batch=4, steps=4, lr=0.1)
    assert history[0] > 15e-12
    assert history[-1] < history[0] / 2


@pytest.mark.slow
def test_switching_network_trained():
    wanted, reached, Ku, _ = load("switching_network").main()
    assert (reached - wanted).abs().max() < 3e-12


def test_switching_dataset(tmp_path):
    example = load("switching_dataset")
    torch.set_default_dtype(torch.float32)
    data, _ = example.main(6, tmp_path / "set", batch=3)
    assert data[0]["m"].shape == (3, 33, 9)
    # One of them alone, in double precision, at a tolerance of which nothing is left to see.
    torch.set_default_dtype(torch.float64)
    point = [data[2][name].double().reshape(1) for name in ("H", "angle", "alpha")]
    exact = example.switched(*point, data[2]["seed"].reshape(1), tolerance=1e-6)
    assert (exact["average"][0] - data[2]["average"]).abs().max() < 0.02  # twenty steps of 1e-3


def test_ubermag_standard_problem_4(tmp_path, monkeypatch):
    # As above, on ubermag's cells; both are the same method from the same state, the tables agree to the tolerance of steps.
    pytest.importorskip("torchmag.ubermag")
    monkeypatch.chdir(tmp_path)
    with torch.no_grad():
        found = load("ubermag_standard_problem_4").main(n=(50, 12), T=2e-10, count=100)
    (crossing, _, m), (_, _, expected) = found["notebook"], found["program"]
    assert crossing == pytest.approx(138.5e-12, rel=0.02)
    assert abs(m - expected).max() < 1e-4


def test_dot_modes():
    example = load("dot_modes")
    _, before, after, Ku, history = example.main(n=10, steps=6)
    assert float(after.frequencies[0].real) == pytest.approx(5e9, rel=1e-3) and history[0] < 4e9
    assert float(before.frequencies[0].real) == history[0] and bool((Ku > -1e4).all())
