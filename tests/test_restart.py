"""Continuing equals not having stopped, bit for bit."""

import random
import zlib

import pytest
import torch
from restarts import STEPPERS, Memory, Stop, equal, make, with_restarts

import torchmag as tm
from torchmag.solvers.progress import Progress
from torchmag.solvers.segment import segment

DTYPES = (torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stepper", STEPPERS)
def test_steps_go_on_from_any_of_them(stepper, dtype):
    method, step, temperature = STEPPERS[stepper]
    llg, m0 = make(dtype, temperature)
    whole = tm.solve(llg, m0, [0, 8e-12], method=method, step=step)[-1]
    llg, m0 = make(dtype, temperature)
    progress, kept = Progress(m0), []
    for _ in segment(llg, progress, 0.0, 8e-12, method=method, step=step)[1]:
        kept.append((progress.copy(), 0 if temperature is None else int(llg.temperature.steps)))
    assert torch.equal(progress.m, whole)
    for number in {0, len(kept) // 3, len(kept) - 1}:
        again, noise = kept[number][0].copy(), kept[number][1]
        llg, _ = make(dtype, temperature)
        if temperature is not None:
            llg.temperature.steps.fill_(noise)
        for _ in segment(llg, again, 0.0, 8e-12, method=method, step=step)[1]:
            pass
        assert torch.equal(again.m, whole) and again.number == progress.number


@pytest.mark.parametrize("dtype", DTYPES)
def test_steps_go_on_where_samples_have_ended(dtype):
    """A batch whose samples end one after another."""
    llg, m0 = make(dtype)
    llg.energy.zeeman.H = torch.tensor([[1e4], [3e5], [4e6]], dtype=dtype)[..., None, None] * torch.ones(1, 3, 1, 1, dtype=dtype)
    progress, kept = Progress(m0), []
    for _ in segment(llg, progress, 0.0, 4e-12)[1]:
        kept.append(progress.copy())
    ended = {int(p.active.sum()): p for p in kept}
    assert len(ended) >= 3
    for again in (p.copy() for p in ended.values()):
        for _ in segment(llg, again, 0.0, 4e-12)[1]:
            pass
        assert torch.equal(again.m, progress.m) and again.number == progress.number


def test_a_method_with_a_memory_is_refused():
    llg, m0 = make()
    with pytest.raises(ValueError, match="memory of its own"):
        segment(llg, Progress(m0), 0.0, 4e-12, method="explicit_adams", step=1e-12)


def run(sim):
    return vars(sim.run(4e-12)) | vars(sim.run(8e-12, events={"mz": lambda m: m[2].mean() - 0.1})), sim.m, sim.t


def relax(sim):
    return vars(sim.relax(tolerance=1e-4 if sim.m.dtype == torch.float64 else 1e-3)), sim.m


def hysteresis(sim, method="lbfgs"):
    fields = torch.linspace(3e5, -3e5, 5)[:, None] * torch.tensor([1.0, 0.05, 0.02])
    return vars(sim.hysteresis(fields, method=method)), sim.m


PROGRAMS = {"run": run, "relax": relax, "hysteresis": hysteresis}


def restart(folder, program, stepper, dtype, seed):
    """Whether a simulation stopped at random moments is the one that was not."""
    method, step, temperature = STEPPERS[stepper]

    def simulation(name, rows, resume=None):
        llg, m0 = make(dtype, temperature)
        sim = tm.Simulation(llg, m0, folder / name, method=method, step=step, resume=resume, progress=False)
        sim.log(Memory(rows), every=0.7e-12)
        sim.log(Memory(rows_by_field[name]), every="field")
        return sim

    rows_by_field, whole_rows, rows, count = {"whole": [], "parts": []}, [], [], 0
    whole = simulation("whole", whole_rows)

    def counted(between=whole.between_steps):
        nonlocal count
        count += 1
        between()

    whole.between_steps = counted
    expected = PROGRAMS[program](whole)
    draw = random.Random(zlib.crc32(repr((program, stepper, dtype, seed)).encode()))
    stops = [draw.randint(1, max(1, count - 1)), draw.randint(1, max(1, count // 3))]
    got, stopped = with_restarts(PROGRAMS[program], lambda resume: simulation("parts", rows, resume), stops)
    assert stopped
    return equal(got, expected) and equal(rows, whole_rows) and equal(*rows_by_field.values())


ALL = [
    (stepper, program, dtype) for stepper in ("dopri5", "bosh3", "fixed", "thermal") for program in PROGRAMS for dtype in DTYPES
]


@pytest.mark.parametrize("stepper, program, dtype", [case for k, case in enumerate(ALL) if case[1] == "run" or k % 5 == 0])
def test_a_run_in_pieces(tmp_path, stepper, program, dtype):
    assert restart(tmp_path, program, stepper, dtype, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("stepper", ["dopri5", "bosh3", "fixed", "thermal"])
def test_a_hundred_runs_in_pieces(tmp_path, stepper):
    for seed in range(4):
        for number, (_, program, dtype) in enumerate(case for case in ALL if case[0] == stepper):
            folder = tmp_path / f"{seed}_{number}"
            folder.mkdir()
            assert restart(folder, program, stepper, dtype, seed), (program, dtype, seed)


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("method", ["lbfgs", "bb"])
def test_hysteresis_goes_on_between_two_steps(tmp_path, method, batch):
    calls = {"whole": 0, "parts": 0}

    def simulation(name):
        llg, m0 = make(batch=batch)
        m0 = torch.stack([m0[0], m0[0].flip(0)]) if batch else m0
        sim = tm.Simulation(llg, m0, tmp_path / name, resume=True, progress=False)

        def counted(between=sim.between_steps):
            calls[name] += 1
            between()

        sim.between_steps = counted
        return sim

    whole = hysteresis(simulation("whole"), method)
    parts, stopped = with_restarts(lambda sim: hysteresis(sim, method), lambda resume: simulation("parts"), [7, 20, 1])
    assert stopped == 3 and equal(parts, whole)
    # No step was made twice.
    assert calls["parts"] == calls["whole"]


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.05),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "lbfgs": lambda p: torch.optim.LBFGS(p, lr=0.2, max_iter=2, history_size=5),
}


def train(path, optimizer, dtype, temperature, count, stop=None):
    """Fit a field to a state; stopped by an exception after `stop` iterations."""
    llg, m0 = make(dtype, temperature, n=(3, 2))
    llg.energy.zeeman.H = torch.nn.Parameter(torch.tensor([0.0, 1e4, 0.0], dtype=dtype))
    scale = torch.nn.Parameter(torch.zeros(3, dtype=dtype))
    chosen, losses = OPTIMIZERS[optimizer]([scale]), []
    scheduler = torch.optim.lr_scheduler.ExponentialLR(chosen, 0.9)
    extra = torch.zeros(2, dtype=dtype)
    checkpoint = tm.Checkpoint(
        path, resume=True, interval=0.0, llg=llg, scale=scale, optimizer=chosen, scheduler=scheduler, losses=losses, extra=extra
    )
    method, step = ("heun", 4e-13) if temperature else ("dopri5", None)

    def loss():
        chosen.zero_grad()
        m = tm.solve(llg, m0, [0, 2e-12], method=method, step=step, params={"energy.zeeman.H": 1e4 * scale})[-1]
        found = ((m[1] - 0.35 + 0.01 * torch.rand((), dtype=dtype)) ** 2).mean()
        found.backward()
        return found

    for number in checkpoint.range(count):
        if number == stop:
            raise Stop
        value = chosen.step(loss)
        scheduler.step()
        losses.append(float(value.detach()))
        extra += random.random()
    return llg.state_dict(), scale.detach(), chosen.state_dict(), losses, extra


def training_restarts(folder, optimizer, dtype, temperature, seed, count=5):
    def seeded(path, stops):
        random.seed(seed)
        torch.manual_seed(seed)
        for stop in [*stops, None]:
            try:
                return train(path, optimizer, dtype, temperature, count, stop)
            except Stop:
                random.seed(99)
                torch.manual_seed(99)

    stops = sorted(random.Random(seed).sample(range(1, count), 2))
    return equal(seeded(folder / "parts", stops), seeded(folder / "whole", []))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("optimizer, temperature", [("adam", None), ("lbfgs", None), ("adam", 300.0)])
def test_training_in_pieces(tmp_path, optimizer, temperature, dtype):
    assert training_restarts(tmp_path, optimizer, dtype, temperature, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_in_many_pieces(tmp_path, optimizer):
    for seed in range(3):
        for dtype in DTYPES:
            for temperature in (None, 300.0):
                folder = tmp_path / f"{seed}_{dtype}_{temperature}"
                folder.mkdir()
                assert training_restarts(folder, optimizer, dtype, temperature, seed), (seed, dtype, temperature)


def grain(Ku, alpha):
    if Ku == 2e5 and not grain.whole:
        raise Stop("a job that dies")
    grain.calls += 1
    return {"m": torch.tensor([Ku, alpha]), "E": Ku * alpha}


def test_a_sweep_in_pieces(tmp_path):
    grain.whole, grain.calls, grid = False, 0, {"Ku": [1e5, 2e5, 3e5], "alpha": [0.1, 0.2]}
    remembered = tm.Remembered(grain, tmp_path / "results")
    with pytest.raises(tm.SweepError) as caught:
        tm.sweep(remembered, grid)
    assert sum(result is None for result in caught.value.results) == 2 and grain.calls == 4
    grain.whole = True
    results = tm.sweep(remembered, grid)
    assert grain.calls == 6 and equal(results, tm.sweep(grain, grid))
    damaged = next((tmp_path / "results").glob("*.checkpoint"))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert equal(tm.sweep(remembered, grid), results) and grain.calls == 13
