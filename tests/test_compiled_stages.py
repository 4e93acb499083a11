"""The stages of a compiled equation: one graph for all, and the same numbers."""

import copy
import pickle
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

import torchmag as tm
from torchmag.compiled import _guards

MESH = tm.Mesh((4, 3), (5e-9, 5e-9, 3e-9))


def compiled_pair(batch=(), **options):
    """The same equation as it is and compiled (traced only), and a start."""
    made = []
    for _ in range(2):
        torch.manual_seed(1)
        magnet = tm.Magnet(MESH, 8e5)
        Ku = 1e4 * torch.rand(*batch, 4, 3)
        energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1))
        made.append(tm.LLG(energy + tm.Zeeman(magnet, lambda t: 1e4 * torch.sin(1e10 * t) * torch.ones(3)), alpha=0.1))
    torch._dynamo.reset()
    counter = CompileCounter()
    made[1].compile(fullgraph=True, backend=counter, **options)
    return *made, tm.uniform(MESH, (1, 0.3, 0.2)), counter


@pytest.mark.parametrize("batch", [(), (3,)])
def test_one_graph_serves_every_stage(batch):
    llg, compiled, m0, counter = compiled_pair(batch)
    t = [0.0, 1e-11, 3e-11]
    for options in (
        {},
        {"step": 1e-12},
        {"method": "tsit5"},
        {"method": "bosh3", "rtol": 1e-3, "atol": 1e-3},
        {"method": "rk4", "step": 1e-12},
    ):
        torch.testing.assert_close(tm.solve(compiled, m0, t, **options), tm.solve(llg, m0, t, **options), rtol=0, atol=1e-12)
    torch.testing.assert_close(tm.relax(compiled, m0), tm.relax(llg, m0), rtol=0, atol=1e-9)
    # A batch of steps has times of its own, a fixed step one for all; rk4 is torchdiffeq's and calls the equation.
    assert counter.frame_count <= 4
    before = counter.frame_count
    llg.alpha, compiled.alpha = 0.3, 0.3
    torch.testing.assert_close(tm.solve(compiled, m0, t), tm.solve(llg, m0, t), rtol=0, atol=1e-12)
    assert counter.frame_count == before


@pytest.mark.parametrize("batch", [(), (3,)])
def test_one_graph_serves_every_step_of_a_method(batch):
    llg, compiled, m0, counter = compiled_pair(batch, mode="reduce-overhead")
    t = [0.0, 1e-11, 1.5e-11, 3e-11]
    # Beside the steps the equation itself, for the first rates; of a batch, whose start is expanded, twice.
    own = 2 if batch else 1
    for options, graphs in (
        ({}, own + 1),
        ({"rtol": 1e-8}, own + 1),
        ({"method": "gyro5"}, own + 2),
        # A batch of steps has times of its own, a fixed step one for all.
        ({"step": 1e-12}, own + 3 if batch else own + 2),
    ):
        torch.testing.assert_close(tm.solve(compiled, m0, t, **options), tm.solve(llg, m0, t, **options), rtol=0, atol=1e-12)
        assert counter.frame_count <= graphs
    torch.testing.assert_close(tm.relax(compiled, m0), tm.relax(llg, m0), rtol=0, atol=1e-9)
    before = counter.frame_count
    llg.alpha, compiled.alpha = 0.3, 0.3
    torch.testing.assert_close(tm.solve(compiled, m0, t), tm.solve(llg, m0, t), rtol=0, atol=1e-12)
    assert counter.frame_count == before
    copied = copy.deepcopy(compiled)
    torch.testing.assert_close(tm.solve(copied, m0, t), tm.solve(llg, m0, t), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_whole_steps_by_inductor(dtype):
    magnet = tm.Magnet(tm.Mesh((12, 7), (5e-9, 5e-9, 3e-9)), 8e5, dtype=dtype)
    llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Demag(magnet), alpha=0.1)
    m0, t = tm.uniform(magnet.mesh, (1, 0.3, 0.2)).to(dtype), [0.0, 1e-11, 1.7e-11]
    expected = tm.solve(llg, m0, t)
    torch._dynamo.reset()
    llg.compile(fullgraph=True, mode="reduce-overhead")
    torch.testing.assert_close(tm.solve(llg, m0, t), expected, rtol=0, atol={torch.float32: 5e-6, torch.float64: 1e-12}[dtype])


def test_compiled_stages_with_more_than_the_graph_takes():
    llg, compiled, m0, _ = compiled_pair()
    found, expected = (tm.solve(x, m0, [0.0, 1e-11], method="dopri8") for x in (compiled, llg))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_compiled_stages_do_not_hide_hooks_or_travel():
    _, compiled, m0, _ = compiled_pair()
    made, calls = tm.LLG(tm.Exchange(tm.Magnet(MESH, 8e5), 1e-11), alpha=0.1), []
    made.compile(backend="eager")
    assert made._compiler is not None and pickle.loads(pickle.dumps(made))._compiler is None
    compiled.register_forward_hook(lambda *a: calls.append(1))
    # One step: the graph depends on how many calls there were.
    tm.solve(compiled, m0, [0.0, 1e-12], step=1e-12)
    assert len(calls) >= 6


@pytest.mark.parametrize("options", [{}, {"mode": "reduce-overhead"}])
def test_gradients_of_a_compiled_solve_follow_its_stages(options):
    llg, compiled, m0, _ = compiled_pair(**options)
    found = []
    for equation in (llg, compiled):
        start = m0.clone().requires_grad_()
        found.append(torch.autograd.grad(tm.solve(equation, start, [0.0, 5e-12])[-1, 0].sum(), start)[0])
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-11)


def test_many_equations_compile_in_one_process():
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("eager")
    for n in range(3, 13):
        llg = tm.LLG(tm.Exchange(tm.Magnet(tm.Mesh((n, 2), (5e-9, 5e-9, 3e-9)), 8e5), 1e-11), alpha=0.1)
        llg.compile(fullgraph=True, backend=counter)
        before = counter.frame_count
        with torch.no_grad():
            tm.solve(llg, tm.uniform(llg.mesh, (1, 0, 0)), [0.0, 1e-12])
        assert before < counter.frame_count <= before + 2


STRENGTH, SHAPE = 1.0, torch.sin


class Drive(nn.Module):
    """Depends on what this module's names mean."""

    def forward(self, t):
        return 1e4 * STRENGTH * SHAPE(1e10 * t + 1) * torch.ones(3, 1, 1)


def test_guards_that_are_left_out_are_not_the_users(monkeypatch):
    llg = tm.LLG(tm.Exchange(tm.Magnet(MESH, 8e5), 1e-11), alpha=0.1, torques=[Drive()])
    m, t, seen = tm.uniform(MESH, (1, 0.3, 0.2)), torch.zeros((), dtype=torch.float64), []
    torch._dynamo.reset()
    llg.compile(fullgraph=True)
    for name, value in (("STRENGTH", 1.0), ("STRENGTH", 2.0), ("SHAPE", torch.cos), ("MESH", MESH)):
        monkeypatch.setattr(sys.modules[__name__], name, value)
        torch.testing.assert_close(llg(t, m), llg.forward(t, m))
        seen.append(float(llg(t, m).norm()))
    llg.alpha = 0.2
    torch.testing.assert_close(llg(t, m), llg.forward(t, m))
    assert len(set(seen)) == 3
    assert not all(_guards([SimpleNamespace(guard_type="CLOSURE_MATCH", name="G['__import_torchmag_dot_layout'].cross")]))


@pytest.mark.parametrize("n, dtype, uniform", [((6, 5), torch.float32, False), ((5, 3, 4), torch.float64, True)])
def test_fused_loops_give_the_numbers_of_float64(n, dtype, uniform):
    """Gradients included."""

    def numbers(dtype, compiled):
        body = tm.Magnet(tm.Mesh(n, (5e-9, 4e-9, 3e-9), pbc=(0, 1, 0)), 8e5, dtype=dtype)
        shape = () if uniform else body.mesh.cells
        A = nn.Parameter(1e-11 * (1 + torch.rand(shape, generator=torch.Generator().manual_seed(1))).to(dtype))
        llg = tm.LLG(tm.Exchange(body, A) + tm.Demag(body), alpha=0.1)
        if compiled:
            llg.compile(fullgraph=True)
        m = tm.random(body.mesh, seed=2).to(dtype).requires_grad_()
        rate = llg(torch.zeros(()), m)
        return [rate, *torch.autograd.grad((1e-11 * rate).square().sum(), (m, A))]

    within = 1e-12 if dtype == torch.float64 else 5e-6
    for found, expected in zip(numbers(dtype, True), numbers(torch.float64, False)):
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=within * float(expected.detach().abs().max()))
