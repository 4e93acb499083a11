"""Samples of a batch: steps, stops and failures of their own."""

import math
import re

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.solvers import system

MESH = tm.Mesh((4, 3), (8e-9, 8e-9, 3e-9))
T = [0.0, 1.1e-11, 2e-11, 4.7e-11]
# Fields from slow to fast: the last needs many more steps.
FIELDS = torch.tensor([[0.0, 1e4, 0.0], [0.0, 3e5, 0.0], [0.0, 0.0, 4e6]], dtype=torch.float64)


def start():
    m = tm.uniform(MESH, (1.0, 0.2, 0.1)) + 0.1 * tm.random(MESH, seed=1)
    return m / m.norm(dim=-3, keepdim=True)


def equation(H, drive=False):
    magnet = tm.Magnet(MESH, 8e5)
    field = (lambda t: H * torch.cos(3e10 * t)) if drive else H
    return tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, field), 0.1)


def batched(H):
    return H.reshape(*H.shape, 1, 1)


@pytest.mark.parametrize("method", ["dopri5", "bosh3"])
@pytest.mark.parametrize("drive", [False, True])
def test_each_sample_makes_its_own_steps(method, drive):
    """Those of its solo run, whatever else is in the batch."""
    steps = []

    def count(t, dt, m):
        steps.append(torch.as_tensor(dt) > 0)

    options = {"method": method, "rtol": 1e-4, "atol": 1e-4, "callback": count}
    found = tm.solve(equation(batched(FIELDS), drive), start(), T, **options)
    together = torch.stack(steps).sum(0)
    for index, H in enumerate(FIELDS):
        steps.clear()
        alone = tm.solve(equation(H, drive), start(), T, **options)
        assert together[index] == len(steps)
        torch.testing.assert_close(found[:, index], alone, rtol=0, atol=1e-9)
    assert together[2] > 1.5 * together[0]


def test_two_batch_axes():
    H = FIELDS[:2].reshape(2, 1, 3, 1, 1)
    m0 = torch.stack([start(), start().flip(-1)])
    found = tm.solve(equation(H, drive=True), m0, T)
    assert found.shape == (4, 2, 2, 3, *MESH.nodes)
    for i in range(2):
        for j in range(2):
            alone = tm.solve(equation(FIELDS[i], drive=True), m0[j], T)
            torch.testing.assert_close(found[:, i, j], alone, rtol=0, atol=1e-9)


def test_one_time_for_each_sample():
    """llg(t, m) with t (*batch): drives of every kind, a user's torque, an energy of a Module."""

    class Turning(nn.Module):
        def forward(self, t, m):
            return 1e4 * torch.cos(1e10 * t) * m.roll(1, -3)

    class Potential(nn.Module):
        def forward(self, t, m):
            return 1e-19 * torch.sin(1e11 * t) * (m**2).sum((-3, -2, -1)) * m[..., 0, 0, 0]

    magnet = tm.Magnet(MESH, 8e5)
    H = torch.randn(3, 3, *MESH.nodes, generator=torch.Generator().manual_seed(0))  # one field for each sample
    energy = tm.Sum(
        tm.Exchange(magnet, lambda t: 1e-11 * (1 + 1e10 * t)),
        tm.UniaxialAnisotropy(
            magnet, lambda t, m: 1e5 * (1 + t * 1e10) * tm.layout.to_cells(m, MESH)[..., 2, :, :] ** 2, (0, 0, 1)
        ),
        tm.Zeeman(magnet, lambda t: 1e5 * H * torch.cos(2e10 * t)),
        tm.EnergyModule(magnet, Potential()),
    )
    llg = tm.LLG(energy, 0.1, torques=[Turning()])
    m = torch.stack([tm.random(MESH, seed=s) for s in range(3)])
    times = torch.tensor([1e-11, 2e-11, 5e-11], dtype=torch.float64)
    found = llg(times, m)
    for index, t in enumerate(times):
        torch.testing.assert_close(found[index], llg(t, m)[index], rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"t has shape \(2,\), expected one time"):
        llg(times[:2], m)


def test_gradients_equal_those_of_solo_runs():
    """With steps that some samples make and others do not."""
    cotangent = torch.randn(4, 3, *MESH.nodes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    H = FIELDS.clone().requires_grad_()
    m = tm.solve(equation(batched(H)), start(), T, rtol=1e-4, atol=1e-4)
    (found,) = torch.autograd.grad((m * cotangent.unsqueeze(1)).sum(), H)
    for index in range(3):
        alone = FIELDS[index].clone().requires_grad_()
        (slope,) = torch.autograd.grad((tm.solve(equation(alone), start(), T, rtol=1e-4, atol=1e-4) * cotangent).sum(), alone)
        torch.testing.assert_close(found[index], slope, rtol=1e-6, atol=1e-9 * float(slope.abs().max()))


class Failing(nn.Module):
    """A field that ends, for one of three samples."""

    def __init__(self):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(3e4, dtype=torch.float64))

    def forward(self, t):
        H = self.strength * torch.ones(3, 3, 1, 1, dtype=torch.float64)
        bad = torch.tensor([False, True, False]).reshape(3, 1, 1, 1)
        return torch.where(bad & (t > 1.5e-11), torch.nan, H)


def test_a_sample_that_diverges_leaves_the_others_usable():
    llg = equation((0.0, 0.0, 0.0))
    llg.energy.zeeman.H = Failing()
    with pytest.warns(tm.DivergedWarning, match=r"sample \(1,\) of the batch ends at t = 1\.\d+e-11 s.*energy.zeeman"):
        m = tm.solve(llg, start(), T)
    assert bool(torch.isfinite(m[:2]).all()) and bool(torch.isfinite(m[:, [0, 2]]).all())
    assert bool(torch.isnan(m[2:, 1]).all())
    (slope,) = torch.autograd.grad(m[-1, [0, 2]].mean(), llg.energy.zeeman.H.strength)
    one = equation((0.0, 0.0, 0.0))
    strength = torch.tensor(3e4, dtype=torch.float64, requires_grad=True)
    one.energy.zeeman.H = lambda t: strength * torch.ones(3, dtype=torch.float64)
    (alone,) = torch.autograd.grad(tm.solve(one, start(), T)[-1].mean(), strength)
    assert slope.item() == pytest.approx(alone.item(), rel=1e-6)


def test_no_sample_left_is_an_error():
    llg = equation((0.0, 0.0, 0.0))
    llg.energy.zeeman.H = lambda t: torch.where(t > 1.5e-11, torch.nan, torch.ones(2, 3, 1, 1, dtype=torch.float64))
    with pytest.raises(tm.NonFiniteError, match="energy.zeeman"):
        tm.solve(llg, start(), T)


def test_relax_stops_each_sample_on_its_own():
    H = torch.tensor([[5e4, 1e4, 0.0], [1e6, 1e5, 0.0]], dtype=torch.float64)
    found, record = tm.relax(equation(batched(H)), start(), info=True)
    assert record.converged
    for index in range(2):
        alone, _ = tm.relax(equation(H[index]), start(), info=True)
        torch.testing.assert_close(found[index], alone, rtol=0, atol=1e-7)


def assigned(t):
    H = torch.zeros(3)
    H[0] = 1e5 * torch.cos(1e10 * t)
    return H


DRIVES = {
    "mapped": lambda t: torch.stack([1e5 * torch.cos(1e10 * t), 0 * t, torch.where(t > 2e-11, 1e4, 0.0)]),
    "a value for each sample": lambda t: torch.arange(12.0).reshape(2, 2, 3, 1, 1) * 1e4 * torch.cos(1e10 * t),
    "one of two axes": lambda t: torch.arange(6.0).reshape(2, 1, 3, 1, 1) * 1e4 * torch.cos(1e10 * t),
    "constant": lambda t: [1e5, 0.0, 0.0],
    "assigned": assigned,
    "branches": lambda t: torch.tensor([1e5, 0.0, 1e4]) if t > 2e-11 else torch.zeros(3),
    "numbers": lambda t: 1e5 * math.cos(1e10 * t) * torch.ones(3),
}


@pytest.mark.parametrize("drive", DRIVES)
def test_drives_of_many_samples_at_once(drive):
    """What torch.func.vmap takes, and what it does not."""
    magnet, calls = tm.Magnet(MESH, 8e5), []
    scale = torch.tensor(1.5, requires_grad=True)

    def H(t):
        calls.append(None)
        value = DRIVES[drive](t)
        return scale * value if isinstance(value, torch.Tensor) else value

    llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Zeeman(magnet, H), 0.1)
    m = torch.stack([start(), start().flip(-1)]).expand(2, 2, 3, *MESH.nodes)
    times = torch.tensor([[1e-11, 2e-11], [3e-11, 5e-11]])
    found = llg(times, m)
    assert len(calls) == (2 if drive in list(DRIVES)[:4] else 5)
    alone = torch.stack([torch.stack([llg(t, m)[i, j] for j, t in enumerate(row)]) for i, row in enumerate(times)])
    torch.testing.assert_close(found, alone, rtol=1e-12, atol=0)
    if found.requires_grad:
        slopes = [torch.autograd.grad((x * m.cumsum(-1)).sum(), scale)[0] for x in (found, alone)]
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=0)


SHAPES = {"A": (2, 1, 1, 1), "Ms": (2, 4, 3), "alpha": (1, 2, 1, 1), "j": (2, 1, 3, 4, 3), "H": (2, 2, 3, 1, 1)}


def drawn():
    """Parameters with batches of every kind, the fields of very different strength."""
    draw = torch.Generator().manual_seed(3)
    found = {name: 1 + 0.2 * torch.rand(shape, generator=draw) for name, shape in SHAPES.items()}
    scale = {"A": 1.3e-11, "Ms": 8e5, "alpha": 0.1, "j": 1e11, "H": torch.tensor([[1e4, 1e5], [2e6, 5e5]]).reshape(2, 2, 1, 1, 1)}
    return {name: value * scale[name] for name, value in found.items()}


def rich(p):
    """An equation of terms with parameters per sample, the last one by a drive that closes over all of them."""
    magnet = tm.Magnet(MESH, p["Ms"])
    drive = lambda t: p["H"] * torch.cos(3e10 * t)
    return tm.LLG(tm.Exchange(magnet, p["A"]) + tm.Oersted(magnet, p["j"]) + tm.Zeeman(magnet, drive), p["alpha"])


def of_sample(p, i, j):
    """Those of one sample."""
    found = {}
    for name, x in p.items():
        batch = len(SHAPES[name]) - {"j": 3, "H": 3}.get(name, 2)
        found[name] = x.expand(2, 2, *x.shape[batch:])[i, j]
    return found


def sizes_seen(llg):
    """How many samples each evaluation of an equation has."""
    sizes, forward = [], llg.forward
    llg.forward = lambda t, m, values=None: (sizes.append(math.prod(m.shape[:-3])), forward(t, m, values))[1]
    return sizes


def least_memory(llg):
    """For the gradient of a single step, in bytes, as `solve` says."""
    with pytest.raises(ValueError, match="too small for the gradient of a single step") as caught:
        tm.solve(llg, start(), T[:3], memory=1)
    return int(re.search(r"needs at least ([\d_]+)", str(caught.value))[1])


@pytest.mark.parametrize("scarce", [False, True])
def test_samples_that_have_ended_leave_the_batch(scarce):
    """The results and gradients of each are those of its solo run, with parameters of every batch, drives, and tapes of any length."""
    p = {name: x.requires_grad_() for name, x in drawn().items()}
    options = {"rtol": 1e-3, "atol": 1e-3}
    llg, cotangent = rich(p), torch.randn(3, 1, 1, 3, *MESH.nodes, generator=torch.Generator().manual_seed(0))
    memory = least_memory(llg) if scarce else None
    sizes = sizes_seen(llg)
    m = tm.solve(llg, start(), T[:3], memory=memory, **options)
    assert sizes[-1] == 1 and {2, 4} <= set(sizes)
    slopes = torch.autograd.grad((m * cotangent).sum(), list(p.values()))
    totals = [torch.zeros_like(slope) for slope in slopes]
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        own = of_sample(p, i, j)
        copies = {name: x.detach().requires_grad_() for name, x in own.items()}
        alone = tm.solve(rich(copies), start(), T[:3], **options)
        torch.testing.assert_close(m[:, i, j], alone, rtol=0, atol=1e-9)
        solo = torch.autograd.grad((alone * cotangent[:, 0, 0]).sum(), list(copies.values()))
        parts = torch.autograd.grad(list(own.values()), list(p.values()), solo)
        totals = [total + part for total, part in zip(totals, parts)]
    for slope, total in zip(slopes, totals):
        torch.testing.assert_close(slope, total, rtol=1e-6, atol=1e-9 * float(total.abs().max()))


def test_second_derivatives_of_samples_that_have_ended():
    H = (0.1 * FIELDS[[0, 2]]).requires_grad_()

    def slope(H, llg):
        (found,) = torch.autograd.grad(tm.solve(llg, start(), T[:2], rtol=1e-3, atol=1e-3)[-1].mean(), H, create_graph=True)
        return found

    together = torch.autograd.grad((slope(H, equation(batched(H))) ** 2).sum(), H)[0]
    for index, field in enumerate(H.detach()):
        alone = field.clone().requires_grad_()
        (solo,) = torch.autograd.grad((slope(alone, equation(alone)) ** 2).sum(), alone)
        torch.testing.assert_close(together[index], solo / 4, rtol=1e-6, atol=1e-9 * float(solo.abs().max()))


def test_samples_that_may_know_of_each_other_stay_together():
    """Functions of m, and Modules of the user's, see the whole batch until the last sample has ended."""
    H = FIELDS.reshape(3, 3, 1, 1)

    class Pull(nn.Module):
        def forward(self, m):
            return 0.1 * (H - m.mean(0))

    for changes in ({"torques": [Pull()]}, {"alpha": lambda m: 0.1 + 0.1 * m[..., 2, 1:, 1:] ** 2}):
        magnet = tm.Magnet(MESH, 8e5)
        llg = tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Zeeman(magnet, H), **{"alpha": 0.1} | changes)
        sizes = sizes_seen(llg)
        assert bool(torch.isfinite(tm.solve(llg, start(), T, rtol=1e-4, atol=1e-4)).all()) and set(sizes[1:]) == {3}


@pytest.mark.parametrize("mode", [None, "reduce-overhead"])
def test_the_last_samples_of_a_compiled_batch_go_on_without_compiled_code(monkeypatch, mode):
    expected = tm.solve(equation(batched(FIELDS)), start(), T, rtol=1e-3, atol=1e-3)
    counts = []
    for few, large in ((0.5, 0), (0.5, 2**20)):
        monkeypatch.setattr(system, "FEW", few)
        monkeypatch.setattr(system, "LARGE", large)
        llg, calls = equation(batched(FIELDS)), []

        def backend(graph, _, calls=calls):
            return lambda *inputs: calls.append(1) or graph(*inputs)

        torch._dynamo.reset()
        llg.compile(fullgraph=True, backend=backend, mode=mode)
        torch.testing.assert_close(tm.solve(llg, start(), T, rtol=1e-3, atol=1e-3), expected, rtol=0, atol=1e-9)
        counts.append(len(calls))
    # A batch that is not large is carried along to the end.
    assert 0 < counts[0] < 0.8 * counts[1]


def test_relax_leaves_samples_at_rest():
    H = torch.tensor([[5e4, 1e4, 0.0], [1e6, 1e5, 0.0], [2e5, 0.0, 1e5]])
    llg = equation(batched(H))
    sizes, field = [], llg.energy.field
    llg.energy.field = lambda m, *rest: (sizes.append(math.prod(m.shape[:-3])), field(m, *rest))[1]
    found, record = tm.relax(llg, start(), info=True)
    assert record.converged and {1, 2, 3} <= set(sizes)
    for index in range(3):
        torch.testing.assert_close(found[index], tm.relax(equation(H[index]), start()), rtol=0, atol=1e-7)
