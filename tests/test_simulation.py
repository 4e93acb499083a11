"""The run driver."""

import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
import torch
from restarts import Memory, Stop, equal, make

import torchmag as tm
from torchmag import cli
from torchmag.checkpoint import Interrupted, load


def simulation(folder=None, *, temperature=None, batch=(), **options):
    llg, m0 = make(temperature=temperature, batch=batch)
    return tm.Simulation(llg, m0, folder, progress=False, **options)


def test_a_run_is_that_of_solve_whatever_is_logged():
    llg, m0 = make()
    times = torch.linspace(0, 8e-12, 9)
    expected = tm.solve(llg, m0, times)
    sim, rows, steps = tm.Simulation(llg, m0), [], []
    sim.log(Memory(rows), every=1e-12)
    sim.log(Memory(steps), every="step")
    result = sim.run(8e-12)
    assert torch.equal(sim.m, expected[-1]) and sim.t == 8e-12 and result.ended_by == "until"
    assert torch.equal(torch.stack([m for _, m, _ in rows]), expected)
    assert [t for t, _, _ in rows] == pytest.approx(times.tolist(), abs=1e-24)
    assert len(steps) == result.steps + 1 and torch.equal(steps[-1][1], sim.m)
    assert torch.equal(rows[3][2]["m"], tm.average(rows[3][1], llg.magnet))


def test_two_runs_log_each_tick_once():
    sim, rows = simulation(), []
    sim.log(Memory(rows), every=1e-12)
    sim.run(2.5e-12)
    sim.run(5e-12)
    assert [t for t, _, _ in rows] == pytest.approx([n * 1e-12 for n in range(6)], abs=1e-24)


def test_heun_logs_the_step_that_reaches_a_tick():
    sim, rows = simulation(temperature=300.0, step=3e-13), []
    sim.log(Memory(rows), every=1e-12)
    sim.run(3e-12)
    assert [t for t, _, _ in rows] == pytest.approx([0, 1.2e-12, 2.1e-12, 3e-12], abs=1e-24)


def test_each_sample_of_a_batch_is_logged_at_the_ticks():
    llg, m0 = make(batch=(3,))
    llg.alpha = torch.tensor([0.01, 0.1, 1.0]).reshape(3, 1, 1)
    times = torch.linspace(0, 4e-12, 5)
    expected, rows = tm.solve(llg, m0, times), []
    sim = tm.Simulation(llg, m0)
    sim.log(Memory(rows), every=1e-12)
    sim.run(4e-12)
    assert torch.equal(torch.stack([m for _, m, _ in rows]), expected) and rows[0][2]["m"].shape == (3, 3)
    with pytest.raises(ValueError, match="steps of its own"):
        sim.log(Memory([]), every="step")
        sim.run(5e-12)


def macrospin():
    """Precession about z at alpha = 0: my = sin(gamma H t), so its zeros are known."""
    mesh = tm.Mesh((1, 1), (5e-9, 5e-9, 5e-9))
    film = tm.Magnet(mesh, 8e5)
    period = 2 * math.pi / (tm.gamma_0 * 1e5)
    return tm.LLG(tm.Zeeman(film, (0, 0, 1e5)), alpha=0.0), tm.uniform(mesh, (1, 0, 0)), period


@pytest.mark.parametrize("options", [{"rtol": 1e-9, "atol": 1e-9}, {"method": "rk4", "step": 1e-12}])
def test_events_are_found_where_they_happen(options):
    llg, m0, period = macrospin()
    sim = tm.Simulation(llg, m0, t=0.0, progress=False, **options)
    events = {
        "rising": tm.Event(lambda m: m[1].mean(), direction=1),
        "both": lambda m: m[1].mean(),
        "x": tm.Event(lambda m: m[0].mean() + 0.5, stop=True),
    }
    result = sim.run(0.3 * period, events=events)
    assert result.ended_by == "until" and result.events["x"] == []
    # cos = -1/2 at a third of the period; my starts at zero, which is no passing.
    result = sim.run(2 * period, events=events)
    assert result.ended_by == "x" and result.events["rising"] == result.events["both"] == []
    dense = "step" not in options
    # Linear interpolation within a step is off by at most (w dt)^2 / 8 cot(120 deg) / w, 1e-5 of the time.
    assert result.events["x"][0] == pytest.approx(period / 3, rel=1e-6 if dense else 3e-5)
    assert sim.t == pytest.approx(period / 3, rel=1e-6 if dense else 1e-2)
    assert float(sim.m[0].mean()) == pytest.approx(-0.5, abs=1e-6 if dense else 0.05)
    result = sim.run(2.2 * period, events={"both": events["both"], "rising": events["rising"]})
    assert result.events["both"] == pytest.approx([period / 2, period, 1.5 * period, 2 * period], rel=1e-6)
    assert result.events["rising"] == pytest.approx([period, 2 * period], rel=1e-6)


def test_the_run_goes_on_from_the_event_with_its_ticks():
    llg, m0, period = macrospin()
    sim, rows = tm.Simulation(llg, m0), []
    sim.log(Memory(rows), every=period / 50)
    sim.run(2 * period, events={"x": tm.Event(lambda m: m[0].mean() + 0.5, stop=True)})
    assert rows[-1][0] <= sim.t < rows[-1][0] + period / 50
    sim.run(period)
    assert [t for t, _, _ in rows] == pytest.approx([n * period / 50 for n in range(51)], rel=1e-9)


def test_stop_conditions_and_callbacks():
    llg, m0, period = macrospin()
    sim, seen = tm.Simulation(llg, m0), []
    result = sim.run(period, stop=lambda t, m: bool(m[0].mean() < 0), callback=lambda t, dt, m: seen.append((t, dt, m)))
    assert result.ended_by == "stop" and len(seen) == result.steps and seen[-1][0] == sim.t
    assert float(seen[-1][2][0].mean()) < 0 <= float(seen[-2][2][0].mean())
    with pytest.raises(ValueError, match="after t"):
        sim.run(sim.t)


def test_relax_then_run_then_hysteresis():
    llg, m0 = make()
    sim, rows = tm.Simulation(llg, m0, quantities={"E": llg.energy.energy}), []
    sim.log(Memory(rows), every="field")
    record = sim.relax(tolerance=1e-4)
    assert record.converged and torch.equal(sim.m, tm.relax(llg, m0, tolerance=1e-4)) and sim.t == 0
    state, fields = sim.m, torch.linspace(3e5, -3e5, 4)[:, None] * torch.tensor([1.0, 0.05, 0.02])
    loop = sim.hysteresis(fields)
    expected = tm.hysteresis(llg.energy, state, fields)
    assert torch.equal(sim.m, expected[-1]) and all(loop.converged)
    assert torch.equal(loop.m, tm.average(expected, llg.magnet)) and torch.equal(loop.fields, fields)
    assert [t for t, _, _ in rows] == [0, 1, 2, 3] and torch.equal(rows[2][2]["H"], fields[2])
    with pytest.raises(tm.ConvergenceError):
        sim.relax(tolerance=1e-14, max_steps=2)


PROGRAM = [
    lambda sim: vars(sim.relax(tolerance=1e-3)),
    lambda sim: (sim.m, sim.t),
    lambda sim: vars(sim.run(2e-12)),
    lambda sim: (sim.m, sim.t),
    lambda sim: vars(sim.run(4e-12)),
]


def test_calls_that_are_done_return_what_they_returned(tmp_path):
    whole = simulation()
    expected = [call(whole) for call in PROGRAM]
    for number in range(1, 6):
        sim = simulation(tmp_path, resume=True)
        assert equal([call(sim) for call in PROGRAM[:number]], expected[:number])
    sim = simulation(tmp_path, resume=True)
    assert equal((sim.m, sim.t), (sim._start, 0.0))
    longer = [call(sim) for call in PROGRAM[:4]] and sim.run(6e-12)
    assert longer.t == 6e-12 and longer.steps > expected[4]["steps"]


def test_state_between_calls_that_was_not_kept_is_an_error(tmp_path):
    sim = simulation(tmp_path, keep=False)
    sim.run(1e-12)
    sim.run(2e-12)
    again = simulation(tmp_path, resume=True)
    again.run(1e-12)
    with pytest.raises(tm.CheckpointError, match="keep=True"):
        _ = again.m
    assert again.run(2e-12).t == again.t == 2e-12 and torch.equal(again.m, sim.m)


def test_what_does_not_belong_together_is_named(tmp_path):
    sim = simulation(tmp_path, rtol=1e-4)

    def crash(t, dt, m):
        if t > 1e-12:
            sim.save()
            raise Stop

    with pytest.raises(Stop):
        sim.run(2e-12, callback=crash)
    with pytest.raises(FileExistsError, match="resume=True"):
        simulation(tmp_path)
    mesh = tm.Mesh((6, 5), (5e-9, 5e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    other = tm.LLG(tm.Exchange(film, 1e-11), alpha=0.1)
    with pytest.raises(tm.CheckpointError, match=r"cells differs: expected \(6, 5\), got \(6, 4\)"):
        tm.Simulation(other, tm.uniform(mesh, (1, 0, 0)), tmp_path, resume=True)
    llg, m0 = make(torch.float32)
    with pytest.raises(tm.CheckpointError, match="dtype differs: expected 'torch.float32', got 'torch.float64'"):
        tm.Simulation(llg, m0, tmp_path, resume=True)
    llg, m0 = make()
    fewer = tm.LLG(llg.energy.exchange + llg.energy.demag, alpha=0.05)
    with pytest.raises(tm.CheckpointError, match=r"terms differs: .*got exchange: Exchange, demag: Demag, zeeman: Zeeman"):
        tm.Simulation(fewer, m0, tmp_path, resume=True)
    llg.alpha = 0.06
    with pytest.raises(tm.CheckpointError, match="alpha differs"):
        tm.Simulation(llg, m0, tmp_path, resume=True, rtol=1e-4).run(2e-12)
    with pytest.raises(tm.CheckpointError, match="rtol differs: expected 1e-05, got 0.0001"):
        simulation(tmp_path, resume=True).run(2e-12)
    with pytest.raises(tm.CheckpointError, match="expected relax, got run"):
        simulation(tmp_path, resume=True, rtol=1e-4).relax()
    # Where it was going may change.
    again = simulation(tmp_path, resume=True, rtol=1e-4)
    assert again.run(3e-12).t == 3e-12
    # A call that ended is not that of a script with other parameters either; the right ones may be given after the wrong ones.
    llg, m0 = make()
    for until in (3e-12, 4e-12):
        ended = tm.Simulation(llg, m0, tmp_path, resume=True, rtol=1e-4, progress=False)
        llg.alpha = 0.06
        with pytest.raises(tm.CheckpointError, match="call 1, run: parameters: alpha differs"):
            ended.run(until)
        llg.alpha = 0.05
        assert ended.run(until).t == until


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda: tm.Simulation(None, None), TypeError, "llg is a NoneType"),
        (lambda: simulation(t=math.nan), ValueError, "t = nan"),
        (lambda: simulation(interval=-1, folder="x"), ValueError, "interval"),
        (lambda: simulation(quantities={"a b": abs}), ValueError, "letters"),
        (lambda: simulation().run(math.inf), ValueError, "until = inf"),
        (lambda: simulation(method="nope").run(1e-12), ValueError, "method = 'nope'"),
        (lambda: simulation(method="explicit_adams").run(1e-12), ValueError, "memory of its own"),
        (lambda: simulation(temperature=1.0).run(1e-12), ValueError, "step is None"),
        (lambda: simulation().log(print, every=1e-12), TypeError, "open, log, position, close"),
        (lambda: simulation().log(Memory([]), every=0), ValueError, "every = 0"),
        (lambda: simulation().log(Memory([]), every="hour"), ValueError, "every = 'hour'"),
        (lambda: tm.Event(3.0), TypeError, "function"),
        (lambda: tm.Event(lambda m: m, direction=2), ValueError, "direction"),
        (lambda: simulation().run(1e-12, events={"e": lambda m: m}), ValueError, "one number"),
        (lambda: simulation().run(1e-12, stop=3), TypeError, "stop"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, call, error, match):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=match):
        call()


def test_handlers_are_there_during_calls_in_the_main_thread_only(tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    seen, sim = [], simulation(tmp_path)
    sim.run(1e-12, callback=lambda *_: seen.append(signal.getsignal(signal.SIGTERM)))
    assert seen[0] != before[0] and (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    results = []
    thread = threading.Thread(target=lambda: results.append(sim.run(2e-12)))
    thread.start()
    thread.join()
    assert results[0].t == 2e-12


@pytest.mark.parametrize("number", ["SIGUSR1", "SIGTERM", "SIGINT"])
def test_signals_are_heard_between_two_steps(tmp_path, number):
    sim, steps = simulation(tmp_path, interval=None), []

    def callback(t, dt, m):
        steps.append(t)
        if len(steps) == 3:
            os.kill(os.getpid(), getattr(signal, number))

    if number == "SIGUSR1":
        sim.run(4e-12, callback=callback)
        sim.occasions.saved()
        assert len(steps) > 3
    else:
        with pytest.raises(Interrupted if number == "SIGTERM" else KeyboardInterrupt) as caught:
            sim.run(4e-12, callback=callback)
        assert number != "SIGTERM" or caught.value.code == 75
        assert len(steps) == 3 and load(tmp_path / "checkpoint")["current"]["state"]["steps"] == 3
    whole = simulation()
    whole.run(4e-12)
    again = simulation(tmp_path, resume=True)
    again.run(4e-12)
    assert torch.equal(again.m, whole.m)


def test_the_bar_is_off_where_nobody_looks(capsys):
    simulation().run(1e-12)
    assert capsys.readouterr().err == ""
    llg, m0 = make()
    tm.Simulation(llg, m0, progress=True).run(1e-12)
    assert "100%" in (shown := capsys.readouterr().err) and "1 ps, step" in shown


SCRIPT = """
    import pathlib, sys, torch, torchmag as tm
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    sys.path.insert(0, {tests!r})
    from restarts import make
    llg, m0 = make()
    sim = tm.Simulation(llg, m0, "results", interval=0.0, progress=False)
    sim.log(tm.loggers.Table("table.csv"), every=0.5e-12)
    sim.run(4e-12)
    sim.run({until}, callback=lambda *_: pathlib.Path("second").touch())
    tm.checkpoint.save("end", {{"m": sim.m, "argument": sys.argv[1:]}})
"""


def test_the_command_runs_and_resumes_a_script(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def write(until):
        Path("script.py").write_text(textwrap.dedent(SCRIPT.format(tests=str(Path(__file__).parent), until=until)))

    write("1e-9")
    path = os.pathsep.join([str(Path(tm.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "torchmag", "run", "script.py"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}, stderr=subprocess.PIPE, text=True)
    while not Path("second").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75 and "saved in results" in errors and "Traceback" not in errors, errors
    assert cli.main(["run", "script.py"]) == 1 and "--resume" in capsys.readouterr().err
    # It was stopped within the second run, which now goes a little further only.
    t = load("results/checkpoint")["t"]
    write(repr(t + 1e-12))
    assert cli.main(["run", "script.py", "--resume", "--", "--flag"]) == 0
    assert load("end")["argument"] == ["--flag"]
    table = tm.io.read_table("table.csv")
    assert table["t"].tolist() == pytest.approx([n * 0.5e-12 for n in range(len(table))], abs=1e-24)
    assert len(table) == int((t + 1e-12) / 0.5e-12 + 1e-9) + 1


def test_what_the_command_cannot_run(tmp_path, capsys):
    assert cli.main(["run", str(tmp_path / "none.py")]) == 2 and "no such file" in capsys.readouterr().err
    (tmp_path / "wrong.py").write_text("raise ValueError('mine')")
    assert cli.main(["run", str(tmp_path / "wrong.py")]) == 1
    shown = capsys.readouterr().err
    assert "wrong.py" in shown and "ValueError: mine" in shown


def test_sigterm_between_two_runs_ends_the_command_with_its_exit_code(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(
        f"import os, signal, sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import torchmag as tm; from restarts import make\n"
        "sim = tm.Simulation(*make(), 'results')\n"
        "sim.run(1e-12)\n"
        "if not sys.argv[1:]: os.kill(os.getpid(), signal.SIGTERM)\n"
        "sim.run(2e-12)\n"
    )
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["run", "script.py"]) == 75 and signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err.splitlines()[-1] == (
        "torchmag run: SIGTERM between two runs: what they saved is kept; go on with torchmag run --resume"
    )
    assert load("results/checkpoint")["t"] == 1e-12
    assert cli.main(["run", "script.py", "--resume", "--", "again"]) == 0 and load("results/checkpoint")["t"] == 2e-12


def test_ctrl_c_ends_the_command_with_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tests = str(Path(__file__).parent)
    (tmp_path / "script.py").write_text(
        f"import os, signal, sys; sys.path.insert(0, {tests!r})\n"
        "import torchmag as tm; from restarts import make\n"
        "tm.Simulation(*make(), 'results').run(1e-9, callback=lambda *_: os.kill(os.getpid(), signal.SIGINT))"
    )
    assert cli.main(["run", "script.py"]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        "torchmag run: saved in results/checkpoint; go on from it with resume=True (torchmag run --resume)"
    )
