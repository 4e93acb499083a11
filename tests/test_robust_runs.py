"""Runs that fail: what is written is finite and whole, and the error says what was at fault."""

import gc
import math
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import pytest
import torch
from restarts import Memory, make

import torchmag as tm
from torchmag.checkpoint import load_newest

TERMS = ("energy.exchange", "energy.uniaxial_anisotropy", "energy.zeeman", "energy.bulk_dmi", "torques.0", "temperature")
METHODS = {"dopri5": None, "bosh3": None, "fixed": 4e-13, "rk4": 4e-13, "heun": 4e-13}


def failing(term, when, cell):
    """An equation of which one term is not finite in one cell from some time on."""
    mesh = tm.Mesh((4, 3), (5e-9, 5e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    where = torch.zeros(mesh.cells, dtype=torch.bool)
    where[cell] = True

    def drive(name, value):
        if name != term:
            return value
        return lambda t: torch.where(where & (t >= when), math.nan, value)

    def H(t):
        hot = torch.zeros(3, *mesh.nodes)
        hot[0, cell[0], cell[1]] = torch.where(t >= when, math.nan, 0.0) if term == "energy.zeeman" else 0.0
        return hot + 1e4

    energy = (
        tm.Exchange(film, drive("energy.exchange", 1.3e-11))
        + tm.UniaxialAnisotropy(film, drive("energy.uniaxial_anisotropy", 1e4), (0, 0, 1))
        + tm.Zeeman(film, H)
        + tm.BulkDMI(film, drive("energy.bulk_dmi", 1e-4))
    )
    torque = tm.SpinOrbit(film, drive("torques.0", 1e10), (0, 1, 0), 0.1, 0.0)
    thermal = tm.ThermalField(film, drive("temperature", 10.0), seed=1) if term == "temperature" else None
    return tm.LLG(energy, 0.1, torques=[torque], temperature=thermal), tm.uniform(mesh, (1, 0.2, 0.1))


def inject(folder, number):
    """Whether a run with a random failure raised an error that names the term; nothing that is not finite was written."""
    draw = random.Random(number)
    term, method = draw.choice(TERMS), draw.choice(list(METHODS))
    method = "heun" if term == "temperature" else method
    when, cell = draw.uniform(0, 4e-12), (draw.randrange(4), draw.randrange(3))
    llg, m0 = failing(term, when, cell)
    rows = []
    sim = tm.Simulation(
        llg, m0, folder, method="dopri5" if method == "fixed" else method, step=METHODS[method], interval=0.0, progress=False
    )
    sim.log(Memory(rows), every=0.3e-12)
    sim.log(tm.loggers.Table(folder / "table.csv"), every=0.3e-12)
    with pytest.raises(tm.NonFiniteError) as caught:
        sim.run(5e-12)
    assert caught.value.term == term and term in str(caught.value), (number, term, method, str(caught.value))
    assert all(torch.isfinite(m).all() and torch.isfinite(values["m"]).all() for _, m, values in rows)
    if rows:
        table = tm.io.read_table(folder / "table.csv")
        assert all(math.isfinite(x) for name in table.columns for x in table[name]) and len(table) == len(rows)
    if (folder / "checkpoint").exists():
        state = load_newest(folder / "checkpoint")["current"]["state"]["progress"]
        assert all(torch.isfinite(state[name]).all() for name in ("m", "k") if state[name] is not None)
    return term


def test_what_is_not_finite_is_named(tmp_path):
    for number in range(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        inject(folder, number)


@pytest.mark.slow
def test_what_is_not_finite_is_named_a_hundred_times(tmp_path):
    found = []
    for number in range(100, 200):
        folder = tmp_path / str(number)
        folder.mkdir()
        found.append(inject(folder, number))
    assert len(found) == 100 and set(found) == set(TERMS)


def test_quantities_that_are_not_finite_are_not_written():
    llg, m0 = make()
    sim, rows = tm.Simulation(llg, m0, quantities={"q": lambda t: torch.sqrt(1e-12 - t)}), []
    sim.log(Memory(rows), every=0.5e-12)
    with pytest.raises(tm.NonFiniteError, match="the quantity 'q' at t = 1.5e-12 s") as caught:
        sim.run(4e-12)
    assert caught.value.term == "q" and len(rows) == 3


def driven(folder, until, resume):
    llg, m0 = make(temperature=100.0)
    sim = tm.Simulation(llg, m0, folder, step=1e-13, resume=resume, interval=0.02, progress=False)
    sim.log(tm.loggers.Table(folder / "table.csv"), every=2e-13)
    sim.log(tm.loggers.Frames(folder / "frames.vtkhdf", llg.magnet), every=1e-12)
    sim.run(until)
    return sim


def kills(folder, count, least, until=4e-12):
    """A run that is killed again and again, at random moments, and is the run that was not."""
    draw, killed = random.Random(11), 0
    parts = folder / "parts"
    parts.mkdir()
    for _ in range(count):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                driven(parts, until, resume=True)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        time.sleep(draw.uniform(0.0, 0.3))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL)
        killed += status != 0
    assert killed >= least
    whole = folder / "whole"
    whole.mkdir()
    a, b = driven(parts, until, resume=True), driven(whole, until, resume=None)
    assert torch.equal(a.m, b.m) and int(a.llg.temperature.steps) == int(b.llg.temperature.steps)
    a.close()
    b.close()
    assert (parts / "table.csv").read_bytes() == (whole / "table.csv").read_bytes()
    with tm.io.Trajectory.open(parts / "frames.vtkhdf") as one, tm.io.Trajectory.open(whole / "frames.vtkhdf") as two:
        assert torch.equal(one[:], two[:]) and torch.equal(one.times, two.times)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_run_that_is_killed(tmp_path):
    kills(tmp_path, 4, 1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_run_that_is_killed_a_hundred_times(tmp_path):
    kills(tmp_path, 100, 90, until=500e-12)


LEAK = """
import gc, resource, sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
import torchmag as tm
from restarts import make
from test_robust_runs import resident
llg, m0 = make(n=(8, 8))
scale = torch.nn.Parameter(torch.zeros(3))
optimizer = torch.optim.Adam([scale], lr=0.01)
checkpoint = tm.Checkpoint("c", interval=0.0, scale=scale, optimizer=optimizer)
table, found = tm.loggers.ScalarTable("scalars.csv"), []
for number in checkpoint.range({count}):
    optimizer.zero_grad()
    m = tm.solve(llg, m0, [0, 1e-12], params={{"energy.zeeman.H": 1e4 * scale}})[-1]
    loss = ((m[1] - 0.35) ** 2).mean()
    loss.backward()
    optimizer.step()
    tm.loggers.summarize(table, number, m=m, mesh=llg.mesh, loss=loss.detach())
    gc.collect()
    found.append(resident())
half = found[len(found) // 4 :]
x = range(len(half))
mean, middle = sum(half) / len(half), (len(half) - 1) / 2
slope = sum((i - middle) * (y - mean) for i, y in zip(x, half)) / sum((i - middle) ** 2 for i in x)
print(slope)
"""


def resident():
    """Bytes in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def memory_slope(folder, count):
    """Bytes per iteration of a training loop, by least squares over its last three quarters."""
    code = LEAK.format(tests=str(Path(__file__).parent), count=count)
    environment = os.environ | {"PYTHONPATH": str(Path(tm.__file__).parent.parent)}
    found = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return float(found.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_the_memory_of_two_hundred_training_iterations_is_flat(tmp_path):
    slope = memory_slope(tmp_path, 200)
    print(f"{slope:.0f} bytes per iteration")
    assert slope < 50e3


def test_the_tensors_of_a_long_run_do_not_become_more():
    def tensors():
        gc.collect()
        return sum(issubclass(type(x), torch.Tensor) for x in gc.get_objects())

    llg, m0 = make()
    counts, rows = [], []

    def callback(t, dt, m):
        if len(rows) % 10 == 5:
            counts.append(tensors())
        rows.append(t)

    tm.Simulation(llg, m0, step=1e-13, method="dopri5").run(5e-12, callback=callback)
    # The first count may find what earlier tests left to the garbage collector.
    assert len(counts) == 5 and len(set(counts[1:])) == 1 and counts[1] <= counts[0]
