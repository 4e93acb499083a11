"""Steps in bursts, as CUDA takes them: the same numbers, and the host asks seldom.  On the CPU they are forced."""

import math
import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import torchmag as tm
from torchmag.solvers import adaptive, bursts, fixed, foreign, heun

MESH = tm.Mesh((6, 4), dx=(5e-9, 5e-9, 3e-9))
TIMES = [0.0, 3e-12, 2e-11, 7e-11]


def force(monkeypatch, size):
    for module in (adaptive, fixed, foreign, heun):
        monkeypatch.setattr(module, "burst", lambda *_: size)


def equation(alpha=0.1, H=(0, 0, 2e5), **options):
    film = tm.Magnet(MESH, Ms=8e5)
    return tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, torch.as_tensor(H)), alpha=alpha, **options)


def start(*batch):
    m = torch.stack([tm.random(MESH, seed=seed) for seed in range(math.prod(batch))])
    return m.reshape(*batch, 3, *MESH.nodes)


def fields(count):
    """From slow to ten times as fast."""
    return torch.linspace(1e5, 1e6, count)[:, None, None, None] * torch.tensor([0.0, 0.6, 0.8])[:, None, None]


RUNS = {
    "one": lambda: tm.solve(equation(), start(), TIMES),
    "batch": lambda: tm.solve(equation(H=fields(5)), start(5), TIMES, rtol=1e-6, atol=1e-6),
    "gyro5": lambda: tm.solve(equation(), start(2, 2), TIMES, method="gyro5"),
    "fehlberg2 of torchdiffeq": lambda: tm.solve(equation(), start(), TIMES[:3], method="fehlberg2"),
    "fixed": lambda: tm.solve(equation(), start(3), TIMES, step=3e-13),
    "rk4": lambda: tm.solve(equation(), start(3), TIMES, method="rk4", step=3e-13),
    "heun": lambda: tm.solve(equation(), start(), TIMES, method="heun", step=5e-13),
    "relax": lambda: tm.relax(equation(H=fields(3)), start(3)),
}


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("size", [2, 5])
def test_bursts_change_no_number(name, size, monkeypatch):
    expected = RUNS[name]()
    force(monkeypatch, size)
    assert torch.equal(RUNS[name](), expected)


def test_noise_goes_on_from_call_to_call(monkeypatch):
    def run():
        llg = equation()
        llg.temperature = tm.ThermalField(llg.magnet, 300.0, seed=3)
        first = tm.solve(llg, start(), [0.0, 7e-13], step=1e-13)
        assert int(llg.temperature.steps) == 7
        return tm.solve(llg, first[-1], [0.0, 1e-12], step=1e-13)

    expected = run()
    force(monkeypatch, 4)
    assert torch.equal(run(), expected)


def test_exact_gradients_are_the_same(monkeypatch):
    def gradient():
        H = fields(3).requires_grad_()
        tm.solve(equation(H=H), start(3), TIMES)[-1, :, 2].sum().backward()
        return H.grad

    expected = gradient()
    force(monkeypatch, 5)
    # Steps in bursts have no tape, those of the first run have one: rounding is of the largest numbers.
    torch.testing.assert_close(gradient(), expected, rtol=0, atol=1e-13 * float(expected.abs().max()))


def test_callbacks_see_every_step(monkeypatch):
    def steps():
        seen = []
        tm.solve(equation(), start(), TIMES, callback=lambda t, dt, m: seen.append((t, dt, m.sum().item())))
        return seen

    expected = steps()
    force(monkeypatch, 5)
    assert steps() == expected
    assert all(isinstance(t, float) and isinstance(dt, float) for t, dt, _ in expected)


def jump(t):
    return torch.where(t > 2e-11, math.nan, 1e5) * torch.tensor([0.0, 0.0, 1.0])


@pytest.mark.parametrize("options", [{}, {"step": 3e-13}, {"method": "rk4", "step": 3e-13}, {"method": "heun", "step": 3e-13}])
def test_errors_come_after_the_steps_before_them(options, monkeypatch):
    film = tm.Magnet(MESH, Ms=8e5)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Zeeman(film, jump), alpha=0.1)

    def fails():
        seen = []
        with pytest.raises(tm.IntegrationError) as error:
            tm.solve(llg, start(), [0.0, 1e-10], callback=lambda t, dt, m: seen.append(t), **options)
        return seen, str(error.value)

    expected = fails()
    force(monkeypatch, 5)
    assert fails() == expected


def test_a_sample_that_cannot_go_on_leaves_the_others(monkeypatch):
    H = fields(3).clone()

    def drive(t):
        return torch.where(torch.arange(3)[:, None, None, None] == 1, torch.where(t > 2e-11, math.nan, 1.0), 1.0) * H

    film = tm.Magnet(MESH, Ms=8e5)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Zeeman(film, drive), alpha=0.1)

    def run():
        with pytest.warns(tm.DivergedWarning) as said:
            m = tm.solve(llg, start(3), TIMES)
        return m, [str(warning.message) for warning in said if warning.category is tm.DivergedWarning]

    (expected, message), _ = run(), force(monkeypatch, 5)
    found, again = run()
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert again == message
    assert found[-1, 1].isnan().all() and not found[-1, 0].isnan().any()


def test_the_number_of_attempts_is_kept(monkeypatch):
    def message():
        with pytest.raises(tm.MaxStepsError) as error:
            tm.solve(equation(), start(), TIMES, max_steps=13)
        return str(error.value)

    expected = message()
    force(monkeypatch, 5)
    assert message() == expected


class Questions(TorchDispatchMode):
    """Counts how often the host waits for a number, an index or a list."""

    WAITING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default)

    def __init__(self, monkeypatch):
        super().__init__()
        self.count = 0
        tolist = torch.Tensor.tolist
        monkeypatch.setattr(torch.Tensor, "tolist", lambda x: self._asked() or tolist(x))

    def _asked(self):
        self.count += 1

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function in self.WAITING
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("options", [{}, {"step": 2e-13}, {"method": "rk4", "step": 2e-13}, {"method": "heun", "step": 2e-13}])
@pytest.mark.parametrize("batch", [(), (4,)])
def test_the_host_asks_once_in_a_burst(options, batch, monkeypatch):
    llg, m = equation(), start(*batch)

    def asked(end):
        steps = []
        tm.solve(llg, m, [0.0, end], callback=lambda t, dt, m: steps.append(1), **options)
        with Questions(monkeypatch) as questions, torch.no_grad():
            tm.solve(llg, m, [0.0, end], **options)
        return questions.count, len(steps)

    force(monkeypatch, 8)
    (short, few), (long, many) = asked(2e-11), asked(1e-10)
    assert many - few > 80
    # For a burst of eight steps: what came of them, who is under way, how many are left.
    assert long - short <= 3 / 8 * 1.3 * (many - few) + 3


def test_when_steps_are_taken_in_bursts():
    class OnCuda:
        device, requires_grad = torch.device("cuda"), False

        def __init__(self, count):
            self.numel = lambda: count

    m = torch.zeros(3, 4, 4)
    assert bursts.burst(m, m) == 1
    assert [bursts.burst(OnCuda(n), m) for n in (3, 2**19, 2**30)] == [bursts.MOST, 4, 1]
    assert bursts.burst(OnCuda(3), m, tm.solvers.progress.Progress(m)) == 1
    assert bursts.burst(OnCuda(3), m.clone().requires_grad_()) == 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_waits_once_in_a_burst():
    llg = equation().cuda()
    steps = []
    tm.solve(llg, start().cuda(), [0.0, 1e-10], callback=lambda t, dt, m: steps.append(1))
    with warnings.catch_warnings(record=True) as said, torch.no_grad():
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        tm.solve(llg, start().cuda(), [0.0, 1e-10])
        torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in said if "synchroniz" in str(warning.message)]
    assert len(waits) < len(steps) / 2 + 20
