"""The gradient of `solve`: that of the accepted steps as they are, whatever is kept of them."""

import importlib
import math

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.solvers.foreign import can_repeat, foreign_names
from torchmag.solvers.solve import OWN

SOLVE = importlib.import_module("torchmag.solvers.solve")
MESH = tm.Mesh((4, 3), (10e-9, 8e-9, 3e-9))
T = torch.linspace(0, 4e-11, 5, dtype=torch.float64)
COTANGENT = torch.randn(len(T), 3, *MESH.nodes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Rotating(nn.Module):
    """A field that turns in time, with something to train."""

    def __init__(self, amplitude):
        super().__init__()
        self.amplitude = nn.Parameter(torch.as_tensor(amplitude))

    def forward(self, t):
        angle = (2e10 * t).to(self.amplitude)
        return self.amplitude * torch.stack([angle.cos(), angle.sin(), angle.new_zeros(())])


class Pull(nn.Module):
    """A user's torque: a field in A/m."""

    def __init__(self):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(3e4))

    def forward(self, t, m):
        return self.strength * torch.cos(1e10 * t) * m.roll(1, -3)


class Softening(nn.Module):
    """A material law: anisotropy that depends on m."""

    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(5e4))

    def forward(self, m):
        return 1e5 + self.slope * tm.layout.to_cells(m, MESH)[..., 2, :, :] ** 2


class Network(nn.Module):
    """A learned energy, J."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Tanh(), nn.Conv2d(4, 1, 2, bias=False))

    def forward(self, m):
        return 1e-20 * self.layers(m).sum((-3, -2, -1))


def everything():
    """An LLG with a trainable parameter of every kind."""
    magnet = tm.Magnet(MESH, tm.Bounded(8e5 * torch.ones(MESH.cells), 1e5, 1e6))
    energy = tm.Sum(
        tm.Exchange(magnet, tm.Positive(1.3e-11)),
        tm.Demag(magnet),
        tm.UniaxialAnisotropy(magnet, Softening(), tm.UnitVector([0.0, 0.6, 0.8])),
        tm.BulkDMI(magnet, nn.Parameter(torch.full(MESH.cells, 1e-3))),
        tm.Zeeman(magnet, Rotating([3e4, 3e4, 0.0])),
        tm.EnergyModule(magnet, Network()),
    )
    return tm.LLG(energy, nn.Parameter(torch.full(MESH.cells, 0.1)), torques=[Pull()])


def start():
    """A state in motion, smooth enough for steps of 1e-12 s."""
    m = tm.uniform(MESH, (0.6, 0.7, 0.4)) + 0.2 * tm.random(MESH, seed=3)
    return m / m.norm(dim=-3, keepdim=True)


def gradients(llg, m0, *, plain=False, t=T, cotangent=COTANGENT, **options):
    """Value and gradients of a linear function of a solution; `plain` leaves the tape to torch."""
    inputs = [m0, *llg.parameters()]
    with pytest.MonkeyPatch.context() as patch:
        if plain:
            patch.setattr(SOLVE, "can_repeat", lambda method: False)
        loss = (tm.solve(llg, m0, t, **options) * cotangent).sum()
    return loss, torch.autograd.grad(loss, inputs)


def assert_equal(found, expected, rtol=1e-11):
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=rtol * float(b.abs().max()))


def test_every_kind_of_parameter():
    llg, m0 = everything(), start().requires_grad_()
    expected, slopes = gradients(llg, m0, plain=True)
    loss, found = gradients(llg, m0)
    # A map of Ms that trains is sharpened by torch where there is a tape, by compiled code where there is none.
    torch.testing.assert_close(loss, expected, rtol=1e-15, atol=0)
    assert all(float(slope.abs().max()) > 0 for slope in slopes)
    assert_equal(found, slopes)


def energies(**options):
    magnet = tm.Magnet(MESH, 8e5, **options)
    return (
        tm.Exchange(magnet, nn.Parameter(torch.tensor(1.3e-11))) + tm.Demag(magnet) + tm.Zeeman(magnet, Rotating([3e4, 3e4, 0.0]))
    )


REPEATED = [name for name in (*OWN, *foreign_names(), "heun") if name in OWN or name == "heun" or can_repeat(name)]


@pytest.mark.parametrize("method", sorted(set(REPEATED)))
def test_every_method(method):
    llg, m0 = tm.LLG(energies(), 0.2), start().requires_grad_()
    options = {"rtol": 1e-3, "atol": 1e-3}
    if method in ("heun", "euler", "midpoint", "heun2", "heun3", "rk4"):
        options["step"] = 2e-12
    expected, slopes = gradients(llg, m0, plain=True, method=method, **options)
    loss, found = gradients(llg, m0, method=method, **options)
    assert loss == expected
    assert_equal(found, slopes)


@pytest.mark.filterwarnings("ignore:Functional iteration did not converge")
@pytest.mark.parametrize("method", ["explicit_adams", "implicit_adams"])
def test_multistep_methods_keep_the_tape(method):
    llg = tm.LLG(energies(), 0.2)
    loss, (_, slope, _) = gradients(llg, start().requires_grad_(), method=method, step=1e-12)
    assert bool(torch.isfinite(loss)) and float(slope.abs()) > 0
    with pytest.raises(ValueError, match=f"memory = 1000000, but the steps of '{method}' cannot be repeated"):
        tm.solve(llg, start(), T, method=method, step=1e-12, memory=1_000_000)


def test_the_noise_is_the_same_backwards():
    energy = energies()
    runs = []
    for plain in (True, False):
        llg = tm.LLG(energy, 0.2, temperature=tm.ThermalField(energy.magnet, nn.Parameter(torch.tensor(300.0)), seed=5))
        runs.append(gradients(llg, start().requires_grad_(), plain=plain, step=5e-13))
        assert llg.temperature.steps == 80
    (expected, slopes), (loss, found) = runs
    assert loss == expected
    assert_equal(found, slopes)


def test_a_batch_with_overrides_that_have_a_graph():
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet), 0.2)
    raw = torch.tensor([0.5, 1.0, 2.0], requires_grad=True)
    m0 = torch.stack([start(), start().flip(-1)]).unsqueeze(1).requires_grad_()
    cotangent = torch.randn(len(T), 2, 3, 3, *MESH.nodes, generator=torch.Generator().manual_seed(1))
    found = []
    for plain in (True, False):
        params = {"energy.exchange.A": (1e-11 * raw).reshape(1, 3, 1, 1), "energy.magnet.Ms": 8e5 * raw.mean().sqrt()}
        with pytest.MonkeyPatch.context() as patch:
            if plain:
                patch.setattr(SOLVE, "can_repeat", lambda method: False)
            m = tm.solve(llg, m0, T, params=params)
        assert m.shape == (len(T), 2, 3, 3, *MESH.nodes)
        found.append(torch.autograd.grad((m * cotangent).sum(), [raw, m0]))
    assert_equal(found[1], found[0])


def allocated(function):
    """The largest number of bytes that was allocated at once while a function ran, by torch's profiler."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        function()
    total = peak = 0
    for event in sorted(profile.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            total += event.nbytes()
            peak = max(peak, total)
    return peak


def test_memory_is_within_the_budget_and_changes_no_bit():
    mesh = tm.Mesh((16, 16), (5e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5)
    A = nn.Parameter(torch.tensor(1.3e-11))
    llg, m0, t = tm.LLG(tm.Exchange(magnet, A), 0.2), tm.random(mesh, seed=1), [0.0, 2e-11]
    expected = None
    for memory in (800_000, 1_000_000, 2_500_000, None):

        def run(memory=memory):
            nonlocal slope
            (slope,) = torch.autograd.grad(tm.solve(llg, m0, t, step=1e-12, memory=memory)[-1].mean(), A)

        slope = None
        used = allocated(run)
        expected = slope if expected is None else expected
        assert torch.equal(slope, expected)
        assert used <= (memory or 2**30)
    # A plain tape keeps every stage of every step: more than a hundred fields each.
    assert used < 20 * 100 * m0.numel() * 8


@pytest.mark.parametrize(
    "options", [{}, {"step": 1e-12}, {"step": 1e-12, "method": "rk4"}, {"step": 1e-12, "method": "midpoint"}]
)
def test_steps_whose_tapes_fit_are_not_made_again(options):
    llg, calls = tm.LLG(energies(), 0.2), []
    llg.register_forward_hook(lambda *_: calls.append(1))
    m = tm.solve(llg, start(), T, **options)
    forwards = len(calls)
    m[-1].mean().backward()
    # A few to see that nothing changed in between.
    assert len(calls) - forwards <= 24 < forwards
    calls.clear()
    tm.solve(llg, start(), T, **options, memory=400_000)[-1].mean().backward()
    assert len(calls) > 1.4 * forwards


def test_a_budget_too_small_says_what_is_needed():
    llg = tm.LLG(energies(), 0.2)
    with pytest.raises(ValueError, match=r"memory = 10_000 bytes is too small .* needs at least \d+_\d+"):
        tm.solve(llg, start(), T, memory=10_000)
    with pytest.raises(ValueError, match="memory = 0, expected a whole number"):
        tm.solve(llg, start(), T, memory=0)


def test_whole_numbers_may_be_floats():
    llg, m0 = tm.LLG(energies(), 0.2), start().requires_grad_()
    assert torch.equal(tm.solve(llg, m0, T, memory=1e6, max_steps=1e3), tm.solve(llg, m0, T, memory=1_000_000, max_steps=1000))
    assert torch.equal(tm.relax(llg, start(), max_steps=1e4), tm.relax(llg, start()))


def test_nothing_is_kept_without_a_gradient():
    llg = tm.LLG(energies(), 0.2)
    with torch.no_grad():
        assert not tm.solve(llg, start(), T, memory=1).requires_grad


def test_backward_twice_and_a_change_in_between():
    llg, m0 = tm.LLG(energies(), 0.2), start()
    m = tm.solve(llg, m0, T)
    A = llg.energy.exchange.A
    first, second = (torch.autograd.grad(m[-1].mean(), A, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    with torch.no_grad():
        llg.energy.zeeman.H.amplitude.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        m[-1].mean().backward()


def test_second_derivatives_of_fixed_steps():
    """A Hessian-vector product against differences of the gradient; in units of the values."""
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(
        tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, lambda t: (3e4 * torch.cos(1e11 * t), 0, 0)), 0.2
    )

    def loss(scale, m0):
        params = {"energy.exchange.A": 1.3e-11 * scale[0], "energy.magnet.Ms": 8e5 * scale[1:].reshape(MESH.cells)}
        return (tm.solve(llg, m0, T, step=2e-12, params=params) * COTANGENT).sum()

    generator = torch.Generator().manual_seed(2)
    scale = (1 + 0.1 * torch.rand(1 + math.prod(MESH.cells), generator=generator)).requires_grad_()
    vector = torch.randn(scale.shape, generator=generator)
    m0 = start().requires_grad_()
    slope, at_start = torch.autograd.grad(loss(scale, m0), [scale, m0], create_graph=True)
    product, mixed = torch.autograd.grad((slope * vector).sum(), [scale, m0])
    assert float(at_start.abs().max()) > 0
    h = 1e-5
    ends = [torch.autograd.grad(loss((scale + s * h * vector).detach().requires_grad_(), m0), m0)[0] for s in (1, -1)]
    assert_equal([mixed], [(ends[0] - ends[1]) / (2 * h)], 1e-7)
    ends = []
    for s in (1, -1):
        moved = (scale + s * h * vector).detach().requires_grad_()
        ends.append(torch.autograd.grad(loss(moved, m0), moved)[0])
    assert_equal([product], [(ends[0] - ends[1]) / (2 * h)], 1e-7)


def test_torch_func():
    """Forward mode needs no tape; reverse mode under torch.func agrees with it and with autograd."""
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet), 0.2)

    def loss(scale):
        return (tm.solve(llg, start(), T, params={"energy.exchange.A": 1.3e-11 * scale}) * COTANGENT).sum()

    one = torch.tensor(1.0)
    value, slope = torch.func.jvp(loss, (one,), (torch.tensor(1.0),))
    scale = one.clone().requires_grad_()
    expected = loss(scale)
    (reverse,) = torch.autograd.grad(expected, scale)
    assert value == expected
    assert slope.item() == pytest.approx(reverse.item(), rel=1e-11)
    assert torch.func.grad(loss)(one).item() == pytest.approx(reverse.item(), rel=1e-11)


def test_what_a_callable_closes_over():
    magnet = tm.Magnet(MESH, 8e5)
    H = torch.tensor([3e4, 0.0, 0.0], requires_grad=True)
    exchange = tm.Exchange(magnet, 1.3e-11)
    (slope,) = torch.autograd.grad(
        tm.solve(tm.LLG(exchange + tm.Zeeman(magnet, lambda t: H * (1 + 1e10 * t)), 0.1), start(), T)[-1].mean(), H
    )
    assert float(slope.abs().max()) > 0
    twice = 2 * H
    with pytest.raises(TypeError, match="closes over .* nn.Parameter, as an input of torchmag.Derived, or in params="):
        tm.solve(
            tm.LLG(exchange + tm.Zeeman(magnet, lambda t: twice * (1 + 1e10 * t)), nn.Parameter(torch.tensor(0.1))), start(), T
        )
    late = tm.Zeeman(magnet, lambda t: H if 2.1e-11 < t < 3e-11 else H.detach())
    m = tm.solve(tm.LLG(exchange + late, nn.Parameter(torch.tensor(0.1))), start(), T, step=1e-12)
    with pytest.raises(TypeError, match=r"shape \(3,\) .* enters at t = "):
        m[-1].mean().backward()


def test_gradcheck():
    """In units of the values: with raw ones of 1e-11 gradcheck passes anything."""
    magnet = tm.Magnet(tm.Mesh((1,), (5e-9,) * 3), 8e5)
    llg = tm.LLG(tm.Sum(tm.Exchange(magnet, 1.3e-11), tm.Demag(magnet), tm.UniaxialAnisotropy(magnet, 1e5, (0, 0, 1)), tm.BulkDMI(magnet, 1e-3), tm.Zeeman(magnet, (1e4, 2e4, 0))), 0.1)  # fmt: skip
    base = {
        "energy.magnet.Ms": torch.full((1,), 8e5), "energy.exchange.A": torch.full((2, 1), 1.3e-11),
        "energy.uniaxial_anisotropy.Ku": torch.tensor(1e5), "energy.uniaxial_anisotropy.axis": torch.tensor([0.0, 0.6, 0.8]),
        "energy.bulk_dmi.D": torch.full((1,), 1e-3), "energy.zeeman.H": torch.full((3, 2), 1e4),
        "alpha": torch.full((1,), 0.1), "gamma": torch.tensor(tm.gamma_0),
    }  # fmt: skip

    mix = torch.randn(4, 2 * 12, generator=torch.Generator().manual_seed(3))

    def final(m0, *scales):
        m0 = m0 / m0.norm(dim=-2, keepdim=True)
        m = tm.solve(llg, m0, [0, 3e-12, 7e-12], step=2e-12, params={n: base[n] * s for n, s in zip(base, scales)})
        return mix @ m[1:].flatten()

    scales = [torch.ones_like(value, requires_grad=True) for value in base.values()]
    m0 = tm.random(magnet.mesh, seed=0).requires_grad_()
    assert torch.autograd.gradcheck(final, (m0, *scales), eps=1e-5, atol=1e-8, rtol=1e-6)


@pytest.mark.slow
def test_compiled():
    llg, m0 = everything(), start().requires_grad_()
    _, expected = gradients(llg, m0)
    llg.compile()
    _, found = gradients(llg, m0)
    assert_equal(found, expected, 1e-9)


@pytest.mark.parametrize("name", ["energy.uniaxial_anisotropy.Ku.slope", "energy.energy_module.module.layers.0.weight", "alpha"])
def test_a_parameter_that_training_broke_is_named_before_integration(name):
    llg = everything()
    with torch.no_grad():
        llg.get_parameter(name).view(-1)[0] = math.nan
    for run in (tm.solve, tm.relax):
        with pytest.raises(ValueError, match=rf"{run.__name__}: the parameter {name} is not finite \(1 of .*clip its gradient"):
            run(llg, start(), *([T] if run is tm.solve else []))


def test_an_unphysical_parameter_is_named():
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, nn.Parameter(torch.tensor(1.3e-11))), 0.1)
    with torch.no_grad():
        llg.energy.exchange.A.fill_(-1e-3)
    with pytest.raises(ValueError, match=r"energy.exchange.A has a minimum of -0.001, expected >= 0"):
        tm.solve(llg, start(), T)


def test_a_loss_that_depends_on_nothing_trainable():
    """torch says so; nothing is silently zero."""
    magnet = tm.Magnet(MESH, 8e5)
    with pytest.raises(RuntimeError, match="does not require grad"):
        tm.solve(tm.LLG(tm.Exchange(magnet, 1.3e-11), 0.1), start(), T)[-1].mean().backward()


def trainable_drive(**options):
    """An LLG with a resolved parameter and one of a drive, and both."""
    magnet = tm.Magnet(MESH, 8e5)
    A, drive = nn.Parameter(torch.tensor(1.3e-11)), Rotating([3e4, 3e4, 1e4])
    return tm.LLG(tm.Exchange(magnet, A) + tm.Demag(magnet) + tm.Zeeman(magnet, drive), 0.2, **options), [A, drive.amplitude]


def test_create_graph_changes_no_gradient_of_an_nn_parameter():
    """Counted once, though its value enters the solution too; and again in the second derivative."""
    llg = everything()
    _, expected = gradients(llg, start().requires_grad_(), t=T[:2], cotangent=COTANGENT[:2], step=2.5e-12)
    m0 = start().requires_grad_()
    inputs, second = [m0, *llg.parameters()], []
    generator = torch.Generator().manual_seed(5)
    vectors = [torch.randn(slope.shape, generator=generator) / float(slope.abs().max()) for slope in expected]
    for plain in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            if plain:
                patch.setattr(SOLVE, "can_repeat", lambda method: False)
            loss = (tm.solve(llg, m0, T[:2], step=2.5e-12) * COTANGENT[:2]).sum()
        slopes = torch.autograd.grad(loss, inputs, create_graph=True)
        assert_equal([slope.detach() for slope in slopes], expected)
        second.append(torch.autograd.grad(sum((slope * v).sum() for slope, v in zip(slopes, vectors)), inputs))
    assert_equal(second[1], second[0], 1e-10)


@pytest.mark.parametrize("how", ["exact", "adjoint", "relax"])
def test_hooks_see_a_whole_gradient_once(how):
    llg, inputs = trainable_drive()

    def slopes():
        m = tm.relax(llg, start()) if how == "relax" else tm.solve(llg, start(), [0, 1e-11], gradient=how)[-1]
        return torch.autograd.grad((m * COTANGENT[-1]).sum(), inputs)

    expected, seen = slopes(), []
    for x in inputs:
        x.register_hook(lambda slope: seen.append(slope) or 2 * slope)
    assert_equal(slopes(), [2 * slope for slope in expected], 1e-6)
    assert len(seen) == 2


@pytest.mark.parametrize("change", ["drive", "frozen", "buffer"])
def test_an_equation_that_changed_after_solve_is_an_error(change):
    llg, inputs = trainable_drive()
    found = [tm.solve(llg, start(), T)[-1], tm.relax(llg, start())]
    if change == "drive":
        llg.energy.zeeman.H = lambda t: torch.stack([t * 0, 1e5 * torch.cos(1e10 * t), t * 0])
    elif change == "frozen":
        llg.frozen = torch.arange(5).unsqueeze(-1).expand(MESH.nodes) > 2
    else:
        llg.alpha.mul_(2)
    for m in found if change == "drive" else found[:1]:  # an equilibrium keeps its frozen nodes, and knows no damping
        with pytest.raises(tm.GradientError, match="the (equation|energy) changed after"):
            torch.autograd.grad(m[0].mean(), inputs, allow_unused=True)


def test_a_random_module_is_an_error():
    magnet = tm.Magnet(MESH, 8e5)
    net = Network()
    net.layers.append(nn.Dropout(0.5))
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.EnergyModule(magnet, net), 0.1)
    with pytest.raises(tm.GradientError, match=r"is random \(dropout\)"):
        tm.solve(llg, start(), T, step=1e-12)[-1].mean().backward()


def test_noise_with_a_tape_for_each_rate():
    energy = energies()
    llg = tm.LLG(energy, 0.2, temperature=tm.ThermalField(energy.magnet, 300.0, seed=[5, 6]))
    found = []
    for memory in (None, 70_000):
        llg.temperature.reset()
        found.append(gradients(llg, start().requires_grad_(), cotangent=COTANGENT.unsqueeze(1), step=1e-12, memory=memory)[1])
    assert_equal(found[1], found[0])


def test_backward_frees_the_states():
    """As it frees a tape, though the solution lives on."""
    llg, (A, _) = trainable_drive()
    m = tm.solve(llg, start(), T, step=1e-12)
    path = m.grad_fn.path
    torch.autograd.grad(m.mean(), A, retain_graph=True)
    m.mean().backward()
    assert not path.checkpoints.kept and not path.heads and path.tapes.kept and not any(path.tapes.kept)
    with pytest.raises(RuntimeError, match="a second time"):
        m.mean().backward()


def test_many_times_within_a_step_hold_one_interpolation():
    mesh = tm.Mesh((16, 16), (5e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5)
    llg = tm.LLG(tm.Zeeman(magnet, nn.Parameter(torch.tensor([1e3, 0.0, 0.0]))), 0.1)
    m0, count = tm.uniform(mesh, (1, 0.1, 0.1)), 100
    t = torch.linspace(0, 1e-11, count + 1, dtype=torch.float64)
    used = allocated(lambda: tm.solve(llg, m0, t, memory=1_000_000).mean().backward())
    # The solution and its parts before they are one.
    assert used <= 1_000_000 + 2 * count * m0.numel() * 8


def test_autocast_is_that_of_the_forward_pass():
    magnet = tm.Magnet(MESH, 8e5, dtype=torch.float32)
    net = Network().to(torch.float32)
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.EnergyModule(magnet, net), 0.1)
    found = []
    for inside in (True, False):
        with torch.autocast("cpu", torch.bfloat16):
            loss = tm.solve(llg, start().float(), T, step=1e-12)[-1].mean()
            if inside:
                found.append(torch.autograd.grad(loss, list(net.parameters())))
        if not inside:
            found.append(torch.autograd.grad(loss, list(net.parameters())))
    assert_equal(found[1], found[0], 1e-6)


def test_a_batch_without_samples():
    llg, _ = trainable_drive()
    with pytest.raises(ValueError, match="a batch without samples"):
        tm.solve(llg, start().expand(0, 3, *MESH.nodes), T)
