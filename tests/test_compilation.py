"""Calls that compile by themselves: when, with which numbers, and what if they cannot."""

import logging
import pickle

import pytest
import torch

import torchmag as tm
from torchmag.solvers import compilation

MESH = tm.Mesh((6, 5), (3e-9, 3e-9, 2e-9))
T = [0.0, 1e-12, 4e-12]


@pytest.fixture
def at_once(monkeypatch):
    """Any call is long enough."""
    monkeypatch.setenv("TORCHMAG_COMPILE", "1")
    monkeypatch.setattr(compilation, "WAIT", 0.0)
    monkeypatch.setattr(compilation, "COST", 0.0)
    torch._dynamo.reset()


def equation(**options):
    magnet = tm.Magnet(MESH, 8e5)
    return tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, (1e4, 0, 2e4)), 0.2, **options)


def start():
    return tm.random(MESH, seed=1)


class Idle(torch.nn.Module):
    def forward(self, m):
        return torch.zeros_like(m)


@pytest.mark.parametrize("method", ["dopri5", "rk4", "heun"])
def test_on_the_way(method, at_once, caplog):
    step = None if method == "dopri5" else 1e-13
    expected, llg = tm.solve(equation(), start(), T, method=method, step=step, compile=False), equation()
    with caplog.at_level(logging.INFO, "torchmag"):
        found = tm.solve(llg, start(), T, method=method, step=step)
    assert len(caplog.records) == 1 and caplog.messages[0].startswith("solve: compiling after 0 s without")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert compilation.DONE in llg.compilations.values()
    # From then on from the first step, without a word.
    with caplog.at_level(logging.INFO, "torchmag"):
        torch.testing.assert_close(tm.solve(llg, start(), T, method=method, step=step), expected, rtol=0, atol=1e-12)
    assert len(caplog.records) == 1
    assert pickle.loads(pickle.dumps(llg)).compilations == {}


def test_gradients_and_their_replay(at_once):
    slopes = []
    for choice in (False, "auto", True):
        llg = equation()
        llg.energy.exchange.A = A = torch.nn.Parameter(torch.tensor(1.3e-11))
        tm.solve(llg, start(), T, step=1e-13, compile=choice)[-1, 0].sum().backward()
        slopes.append(A.grad)
        assert (compilation.DONE in llg.compilations.values()) == (choice is not False)
        assert len(llg.compilations) == (0 if choice is False else 2)
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(slopes[2], slopes[0], rtol=1e-10, atol=0)


def test_relaxation_with_a_torque(at_once):
    llg = equation(torques=[Idle()])
    found = tm.relax(llg, start())
    assert compilation.DONE in llg.compilations.values()
    # Rounding changes the steps at the limit of stability, not the equilibrium.
    torch.testing.assert_close(found, tm.relax(equation(torques=[Idle()]), start(), compile=False), rtol=0, atol=1e-5)


def test_minimize_relax_hysteresis(at_once):
    llg, loop = equation(), torch.tensor([[1e5, 1e3, 0.0], [-1e5, 1e3, 0.0]])
    calls = {
        "relax": lambda **o: tm.relax(llg, start(), **o),
        "minimize": lambda **o: tm.minimize(llg.energy, start(), **o),
        "hysteresis": lambda **o: tm.hysteresis(llg.energy, start(), loop, term="zeeman", **o),
    }
    for name, call in calls.items():
        expected = call(compile=False)
        torch.testing.assert_close(call(), expected, rtol=0, atol=1e-6, msg=name)
    assert compilation.DONE in llg.compilations.values() and compilation.DONE in llg.energy.compilations.values()


def test_a_simulation(at_once, tmp_path):
    sim = tm.Simulation(equation(), start(), tmp_path)
    sim.run(T[-1])
    assert compilation.DONE in sim.llg.compilations.values()
    torch.testing.assert_close(sim.m, tm.solve(equation(), start(), T, compile=False)[-1], rtol=0, atol=1e-12)


def test_short_calls_stay_as_they_are(monkeypatch):
    monkeypatch.setenv("TORCHMAG_COMPILE", "1")
    llg = equation()
    found = tm.solve(llg, start(), T)
    assert torch.equal(found, tm.solve(equation(), start(), T, compile=False))
    # They add up.
    (spent,) = llg.compilations.values()
    assert 0 < spent < compilation.WAIT
    tm.solve(llg, start(), T)
    assert llg.compilations.popitem()[1] > spent


def test_worth_it(monkeypatch):
    """Only where what is left takes longer than compiling."""
    now = [0.0]
    monkeypatch.setattr(compilation.time, "perf_counter", lambda: now[0])
    plain = lambda: None
    later = compilation.Later(equation(), "solve", "auto", start(), lambda: plain, plain, began=0.0)
    for seconds, done, begins in ((2.9, 0.01, False), (4.0, 0.5, False), (5.0, 0.1, True)):
        now[0] = seconds
        later.consider(lambda done=done: done)
        assert (later.function is not None) == begins
    # One whose end nobody knows is taken to go on for as long as it has.
    later = compilation.Later(equation(), "relax", "auto", start(), lambda: plain, plain, began=0.0)
    for seconds, begins in ((20.0, False), (24.1, True)):
        now[0] = seconds
        later.consider(compilation.nothing_known)
        assert (later.function is not None) == begins


@pytest.mark.parametrize("choice", ["auto", True])
def test_a_compiler_that_fails(choice, at_once, monkeypatch):
    def broken(function, **options):
        def call(*arguments):
            raise OSError(28, "No space left on device")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    llg = equation()
    with pytest.warns(RuntimeWarning, match=r"solve: compiling failed \(OSError: .*No space left on device\); goes on without"):
        found = tm.solve(llg, start(), T, compile=choice)
    assert torch.equal(found, tm.solve(equation(), start(), T, compile=False))
    # Once.
    assert torch.equal(tm.solve(llg, start(), T, compile=choice), found)


def test_an_error_of_the_equation_is_its_own(at_once):
    llg = equation()

    def field(t):
        if float(t) > 1e-12:
            raise LookupError("no field there")
        return torch.zeros(3)

    llg.energy.zeeman.H = field
    with pytest.raises(LookupError, match="no field there"):
        tm.solve(llg, start(), T)


def test_what_never_compiles(at_once, monkeypatch):
    hooked, off, compiled = equation(), equation(), equation()
    hooked.register_forward_hook(lambda *_: None)
    compiled.compile(backend="eager")
    for llg in (hooked, compiled):
        tm.solve(llg, start(), T)
        assert llg.compilations == {}
    monkeypatch.setenv("TORCHMAG_COMPILE", "0")
    tm.solve(off, start(), T)
    assert off.compilations == {}


@pytest.mark.parametrize("choice", ["yes", None, 1, "True"])
def test_choices(choice, tmp_path):
    wrong = rf"compile = {choice!r}, expected 'auto', True or False"
    for call in (
        lambda: tm.solve(equation(), start(), T, compile=choice),
        lambda: tm.relax(equation(), start(), compile=choice),
        lambda: tm.minimize(equation().energy, start(), compile=choice),
        lambda: tm.hysteresis(equation().energy, start(), [(0.0, 0.0, 1e5)], compile=choice),
        lambda: tm.Simulation(equation(), start(), tmp_path, compile=choice),
    ):
        with pytest.raises(ValueError, match=wrong):
            call()
