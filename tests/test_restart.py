"""Continuing equals not having stopped, bit for bit."""

import random

import pytest
import torch
from restarts import STEPPERS, Memory, equal, make, with_restarts

import torchmag as tm
from torchmag.solvers.progress import Progress
from torchmag.solvers.segment import segment

DTYPES = (torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stepper", STEPPERS)
def test_steps_go_on_from_any_of_them(stepper, dtype):
    method, step, temperature = STEPPERS[stepper]
    llg, m0 = make(dtype, temperature)
    whole = tm.solve(llg, m0, [0, 2e-11], method=method, step=step)[-1]
    llg, m0 = make(dtype, temperature)
    progress, kept = Progress(m0), []
    for _ in segment(llg, progress, 0.0, 2e-11, method=method, step=step)[1]:
        kept.append((progress.copy(), 0 if temperature is None else int(llg.temperature.steps)))
    assert torch.equal(progress.m, whole)
    for number in {0, len(kept) // 3, len(kept) - 1}:
        again, noise = kept[number][0].copy(), kept[number][1]
        llg, _ = make(dtype, temperature)
        if temperature is not None:
            llg.temperature.steps.fill_(noise)
        for _ in segment(llg, again, 0.0, 2e-11, method=method, step=step)[1]:
            pass
        assert torch.equal(again.m, whole) and again.number == progress.number


def test_a_method_with_a_memory_is_refused():
    llg, m0 = make()
    with pytest.raises(ValueError, match="memory of its own"):
        segment(llg, Progress(m0), 0.0, 1e-11, method="explicit_adams", step=1e-12)


def run(sim):
    return vars(sim.run(1e-11)) | vars(sim.run(2e-11, events={"mz": lambda m: m[2].mean() - 0.1})), sim.m, sim.t


def relax(sim):
    return vars(sim.relax(tolerance=1e-4 if sim.m.dtype == torch.float64 else 1e-3)), sim.m


def hysteresis(sim):
    fields = torch.linspace(3e5, -3e5, 5)[:, None] * torch.tensor([1.0, 0.05, 0.02])
    return vars(sim.hysteresis(fields)), sim.m


PROGRAMS = {"run": run, "relax": relax, "hysteresis": hysteresis}


def restart(folder, program, stepper, dtype, seed):
    """Whether a simulation stopped at random moments is the one that was not."""
    method, step, temperature = STEPPERS[stepper]

    def simulation(name, rows, resume=None):
        llg, m0 = make(dtype, temperature)
        sim = tm.Simulation(llg, m0, folder / name, method=method, step=step, resume=resume, progress=False)
        sim.log(Memory(rows), every=1.3e-12)
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
    stops = [random.Random(seed + k).randint(1, max(1, count // 2)) for k in range(3)]
    got, _ = with_restarts(PROGRAMS[program], lambda resume: simulation("parts", rows, resume), stops)
    return equal(got, expected) and equal(rows, whole_rows) and equal(*rows_by_field.values())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("stepper", ["dopri5", "bosh3", "fixed", "thermal"])
def test_a_run_in_pieces(tmp_path, stepper, program, dtype):
    assert restart(tmp_path, program, stepper, dtype, seed=1)
