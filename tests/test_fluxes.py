"""Linear terms with maps, and in bodies with empty cells, in one call: beside the same from the operators one by one."""

import math

import pytest
import torch

import torchmag as tm
from torchmag import fluxes, stencils

GRIDS = [
    ((7,), (0, 0, 0)),
    ((9, 8), (0, 0, 0)),
    ((8, 9), (math.inf, 0, 0)),
    ((5, 6, 7), (0, 0, 0)),
    ((5, 4, 6), (0, 0, math.inf)),
]
needs_compiler = pytest.mark.skipif(not stencils.available(), reason="no compiled code")


def terms(n, pbc, order, *, holes, maps, batch=(), seed=0):
    """Exchange and DMI with some maps, and a field."""
    g = torch.Generator().manual_seed(seed)
    mesh = tm.Mesh(n, (2e-9, 3e-9, 4e-9), pbc=pbc)
    fraction = (torch.rand(mesh.cells, generator=g) > 0.2).double() * torch.rand(mesh.cells, generator=g) if holes else None
    magnet = tm.Magnet(mesh, 8e5, fraction, order=order)
    A = 1e-11 * (1 + torch.rand(*batch, *mesh.cells, generator=g)) if maps else 1e-11
    D = 1e-3 * torch.randn(mesh.cells, generator=g) if maps else 1e-3
    energy = tm.Exchange(magnet, A) + tm.InterfaceDMI(magnet, D, normal=(0, 0.6, 0.8)) + tm.BulkDMI(magnet, D)
    return energy, torch.randn(*batch, 3, *mesh.nodes, generator=g)


@pytest.fixture
def calls(monkeypatch):
    """How often the call is made."""
    found, run = [], fluxes._run
    monkeypatch.setattr(fluxes, "_run", lambda *args: found.append(args) or run(*args))
    return found


def one_by_one(monkeypatch, function):
    with monkeypatch.context() as patch:
        patch.setattr(fluxes, "takes", lambda *_: False)
        return function()


@needs_compiler
@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize(("n", "pbc"), GRIDS)
@pytest.mark.parametrize(("holes", "maps"), [(False, True), (True, False), (True, True)])
def test_beside_the_operators(n, pbc, order, holes, maps, calls, monkeypatch):
    for batch in ((), (2,)):
        energy, m = terms(n, pbc, order, holes=holes, maps=maps, batch=batch)
        found = energy.gradient(m)
        assert calls
        expected = one_by_one(monkeypatch, lambda: energy.gradient(m))  # noqa: B023
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-13 * float(expected.abs().max()))


@needs_compiler
@pytest.mark.parametrize("threads", [2, 3])
def test_threads(threads):
    before = torch.get_num_threads()
    for n, batch in (((90, 80), ()), ((20, 21, 22), ()), ((40, 50), (4,))):
        energy, m = terms(n, (0, 0, 0), 6, holes=True, maps=True, batch=batch)
        assert m.numel() > stencils.SMALL
        expected = energy.field(m)
        torch.set_num_threads(threads)
        try:
            torch.testing.assert_close(energy.field(m), expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))
        finally:
            torch.set_num_threads(before)


@needs_compiler
@pytest.mark.parametrize("holes", [False, True])
def test_derivatives(holes):
    """First and second ones with respect to m, the maps and the fraction, batched ones, and those of torch.func."""
    mesh = tm.Mesh((4, 3), (2e-9, 3e-9, 4e-9))
    g = torch.Generator().manual_seed(0)
    fraction = 0.1 + 0.8 * torch.rand(4, 3, generator=g)
    if holes:
        fraction[1, 1] = 0
    magnet = tm.Magnet(mesh, 8e5, fraction, order=6)
    energy = tm.Exchange(magnet, 1e-11) + tm.InterfaceDMI(magnet, 1e-3, normal=(0, 0, 1))
    m = torch.randn(2, 3, *mesh.nodes, generator=g)
    maps = [1 + torch.rand(4, 3, generator=g), torch.randn(4, 3, generator=g)]

    def gradient(m, A, D, fraction):
        values = {"exchange.A": 1e-11 * A, "interface_dmi.D": 1e-2 * D, "magnet.fraction": fraction}
        return 1e18 * energy.gradient(m, values=energy.prepare(values))

    inputs = [x.requires_grad_() for x in (m, *maps, fraction.where(fraction > 0, torch.zeros(())))]
    fields = lambda *inputs: gradient(*inputs, fraction)
    assert torch.autograd.gradcheck(fields, inputs[:3], check_batched_grad=True)
    assert torch.autograd.gradgradcheck(fields, inputs[:3])
    if not holes:
        assert torch.autograd.gradcheck(gradient, inputs)
    loss = lambda m, A: gradient(m, A, maps[1].detach(), fraction).square().sum()
    m, A = m.detach(), maps[0].detach()
    expected = torch.autograd.grad(loss(m.requires_grad_(), A.requires_grad_()), (m, A))
    for found, other in zip(torch.func.grad(loss, (0, 1))(m.detach(), A.detach()), expected):
        torch.testing.assert_close(found, other)


@needs_compiler
@pytest.mark.parametrize(("holes", "maps"), [(False, True), (True, True)])
def test_one_graph(holes, maps, calls):
    energy, m = terms((9, 8), (0, 0, 0), 6, holes=holes, maps=maps)
    values = energy.prepare()
    eager = lambda m: energy.field(m, values=values)
    compiled = torch.compile(eager, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(m), eager(m), rtol=1e-10, atol=1e-6)
    assert calls
    m = m.requires_grad_()
    found, expected = (torch.autograd.grad(field(m).square().sum(), m)[0] for field in (compiled, eager))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@needs_compiler
def test_what_it_does_not_take(calls, monkeypatch):
    """Bodies of their own for an m of other batch axes, a normal for each cell, float16: as before."""
    mesh = tm.Mesh((6, 5), (2e-9, 3e-9, 4e-9))
    g = torch.Generator().manual_seed(0)
    magnet = tm.Magnet(mesh, 8e5, (torch.rand(2, 6, 5, generator=g) > 0.2).double(), order=6)
    m = torch.randn(3, *mesh.nodes, generator=g)
    assert tm.Exchange(magnet, 1e-11).field(m).shape == (2, 3, 7, 6)
    whole = tm.Magnet(mesh, 8e5, order=6)
    normals = torch.nn.functional.normalize(torch.randn(3, 6, 5, generator=g), dim=0)
    tm.InterfaceDMI(whole, 1e-3, normal=normals).field(m)
    assert not calls
    for A in (1e-11 * torch.ones(2, 1, 1), torch.full((6, 5), 1e-11)):
        found = tm.Exchange(whole, A).field(m)
        torch.testing.assert_close(found, tm.Exchange(whole, 1e-11).field(m).expand(found.shape), rtol=1e-12, atol=1e-6)
