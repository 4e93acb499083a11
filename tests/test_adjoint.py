"""gradient="adjoint": torchdiffeq's, with what it would get wrong refused."""

import pytest
import torch
from torch import nn

import torchmag as tm

MESH = tm.Mesh((4, 3), (10e-9, 10e-9, 3e-9))


def problem(alpha=0.1):
    magnet = tm.Magnet(MESH, 8e5)
    A = nn.Parameter(torch.tensor(1.3e-11))
    llg = tm.LLG(tm.Exchange(magnet, A) + tm.Demag(magnet) + tm.Zeeman(magnet, tm.UnitVector([0.0, 1.0, 0.0])), alpha)
    llg.energy.zeeman.H = tm.Derived(lambda n: 3e4 * n, tm.UnitVector([0.0, 1.0, 0.0]))
    m0 = tm.uniform(MESH, (1, 0.2, 0.1)) + 0.1 * tm.random(MESH, seed=1)
    return llg, m0 / m0.norm(dim=-3, keepdim=True)


def slopes(llg, m0, t, **options):
    cotangent = torch.randn(m0.shape, generator=torch.Generator().manual_seed(0))
    return torch.autograd.grad((tm.solve(llg, m0, t, **options)[-1] * cotangent).sum(), list(llg.parameters()))


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_it_agrees_with_the_exact_one_where_it_can(method):
    llg, m0 = problem()
    options = {"step": 2e-13, "method": "rk4"} if method == "rk4" else {"rtol": 1e-8, "atol": 1e-8}
    expected, found = (slopes(llg, m0, [0.0, 2e-11], **how, **options) for how in ({}, {"gradient": "adjoint"}))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4 * float(b.abs().max()))


def test_unit_length_at_the_requested_times():
    llg, m0 = problem()
    m = tm.solve(llg, m0, [0.0, 1e-11, 2e-11], gradient="adjoint", rtol=1e-4, atol=1e-4)
    assert float((m.detach().norm(dim=-3) - 1).abs().max()) < 1e-12


def test_a_gradient_that_cannot_be_trusted_is_an_error():
    llg, m0 = problem(0.5)
    with pytest.raises(tm.GradientError, match="going back in time misses m by .* gradient='exact'"):
        slopes(llg, m0, [0.0, 3e-10], gradient="adjoint")
    expected = slopes(llg, m0, [0.0, 3e-10], rtol=1e-6, atol=1e-6)
    wrong = slopes(llg, m0, [0.0, 3e-10], gradient="adjoint", check=False)
    assert any(float((a - b).abs().max()) > 0.1 * float(b.abs().max()) for a, b in zip(wrong, expected))
    # With times in between it is one to trust.
    right = slopes(llg, m0, torch.linspace(0, 3e-10, 61), gradient="adjoint", rtol=1e-6, atol=1e-6)
    for a, b in zip(right, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-2 * float(b.abs().max()))


def test_a_parameter_that_it_would_miss_is_an_error():
    magnet = tm.Magnet(MESH, 8e5)
    H = torch.tensor([3e4, 0.0, 0.0], requires_grad=True)
    twice = 2 * H
    m0 = problem()[1]
    with pytest.raises(TypeError, match="closes over"):
        tm.solve(tm.LLG(tm.Zeeman(magnet, lambda t: twice * (1 + t)), 0.1), m0, [0.0, 1e-11], gradient="adjoint")
    # A tensor without a history is found and included.
    m = tm.solve(tm.LLG(tm.Zeeman(magnet, lambda t: H * (1 + t)), 0.1), m0, [0.0, 1e-11], gradient="adjoint")
    assert float(torch.autograd.grad(m[-1].mean(), H)[0].abs().max()) > 0


def test_the_compiled_flag_does_not_matter():
    """torchdiffeq goes through a graph twice, which compiled graphs refuse: the adjoint runs the equation as it is."""
    llg, m0 = problem()
    expected = slopes(llg, m0, [0.0, 1e-11], gradient="adjoint")
    llg.compile(backend="aot_eager")
    for a, b in zip(slopes(llg, m0, [0.0, 1e-11], gradient="adjoint"), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "heun", "step": 1e-13}, "takes methods of torchdiffeq, not 'heun'"),
        ({"step": 1e-13}, "the steps of 'dopri5' are adaptive"),
        ({"memory": 10**9}, "memory is given, but gradient='adjoint' has none"),
        ({"callback": print}, "callback is given"),
    ],
)
def test_options_that_it_does_not_have(options, message):
    llg, m0 = problem()
    with pytest.raises(ValueError, match=message):
        tm.solve(llg, m0, [0.0, 1e-11], gradient="adjoint", **options)
