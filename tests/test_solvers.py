import math

import pytest
import torch
import torchdiffeq
from torch import nn

import torchmag as tm
from torchmag.solvers.foreign import foreign_names
from torchmag.solvers.solve import OWN

ALPHA, H0 = 0.3, 1e5
GAMMA = tm.gamma_0 / (1 + ALPHA**2)
T_END = 4.0 / (GAMMA * H0)  # b = 4 rad, a little over half a turn
MESH = tm.Mesh((3, 2), dx=(5e-9, 4e-9, 3e-9))


def macrospin(dtype=torch.float64, H=(0.0, 0.0, H0), alpha=ALPHA):
    """One cell in a field along z, without exchange or demag: every node precesses alone."""
    magnet = tm.Magnet(tm.Mesh((1,), dx=(5e-9, 5e-9, 5e-9)), 8e5, dtype=dtype)
    return tm.LLG(tm.Zeeman(magnet, H), alpha)


def along_x(llg, dtype=torch.float64):
    return tm.uniform(llg.mesh, (1, 0, 0), dtype=dtype)


def precession(t):
    """m(t) of the macrospin that starts along x: (T, 3)."""
    b = GAMMA * H0 * torch.as_tensor(t, dtype=torch.float64)
    return torch.stack([torch.cos(b) / torch.cosh(ALPHA * b), torch.sin(b) / torch.cosh(ALPHA * b), torch.tanh(ALPHA * b)], -1)


def film(alpha=0.1, H=(2e4, 0.0, 0.0), **options):
    magnet = tm.Magnet(MESH, 8e5, **options)
    return tm.LLG(tm.Sum(tm.Exchange(magnet, 1.3e-11), tm.Demag(magnet), tm.Zeeman(magnet, H)), alpha)


def length_error(m, dim=2):
    """Largest | |m| - 1 | of a field on `dim` grid axes."""
    return float((torch.linalg.vector_norm(m.detach().double(), dim=-dim - 1) - 1).abs().max())


def macrospin_error(m, t):
    return float((m[..., 0] - precession(t)).abs().max())


# Fixed steps or adaptive ones; `error` bounds the global error at these settings: for a method of order p with n steps of
# b/n = 4/n rad about (4/n)^p, and for an adaptive one the tolerance 1e-8 times the steps, with a margin of ten.
ADAPTIVE = {"dopri5", "gyro5", "tsit5", "dopri8", "bosh3", "fehlberg2", "adaptive_heun"}
ORDER = {
    "euler": 1,
    "midpoint": 2,
    "heun2": 2,
    "heun3": 3,
    "rk4": 4,
    "explicit_adams": 4,
    "implicit_adams": 4,
    "fixed_adams": 4,
    "heun": 2,
}


@pytest.mark.parametrize("method", sorted({*OWN, *foreign_names(), "heun"}))
def test_every_method_on_the_damped_precession(method):
    llg = macrospin()
    t = torch.linspace(0, T_END, 5)
    if method in ADAPTIVE:
        # Low orders take many steps: a looser tolerance for them.
        tolerance = 1e-8 if method in ("dopri5", "dopri8", "bosh3") else 1e-5
        m = tm.solve(llg, along_x(llg), t, method=method, rtol=tolerance, atol=tolerance)
        assert macrospin_error(m, t) < 100 * 10 * tolerance
    elif method == "scipy_solver":
        m = tm.solve(llg, along_x(llg), t, method=method, rtol=1e-9, atol=1e-9)
        assert macrospin_error(m, t) < 1e-6
    else:
        # Adams-Bashforth of order 12, which torchdiffeq builds up to, is stable for very small steps only.
        count = 2000 if method == "explicit_adams" else 200
        m = tm.solve(llg, along_x(llg), t, method=method, step=T_END / count)
        assert macrospin_error(m, t) < 10 * (4 / count) ** ORDER[method]
    assert length_error(m, 1) < 1e-14


@pytest.mark.parametrize(
    "method, order", [("dopri5", 5), ("gyro5", 5), ("tsit5", 5), ("bosh3", 3), ("heun", 2), ("rk4", 4), ("dopri8", 8)]
)
def test_order_of_convergence(method, order):
    llg = macrospin()
    t = torch.tensor([0.0, T_END])
    counts = (4, 8) if order == 8 else (64, 128) if order == 5 else (32, 64)
    errors = [macrospin_error(tm.solve(llg, along_x(llg), t, method=method, step=T_END / n), t) for n in counts]
    # The next order's term shifts the rate by about the step, 4/n rad.
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.5)


def amplification(tableau, z):
    """What a step makes of dy/dt = lambda y, at z = h lambda."""
    stages = []
    for row in ((), *tableau.a):
        stages.append(1 + z * sum(a * k for a, k in zip(row, stages)))
    return 1 + z * sum(b * k for b, k in zip(tableau.b, stages))


def stable_until(tableau, alpha):
    """The largest |h lambda| up to which precession with this damping stays bounded."""
    h = torch.linspace(0, 8, 8001)[1:]
    z = -complex(alpha, 1) / math.sqrt(1 + alpha**2) * h
    grows = amplification(tableau, z).abs() > 1 + 1e-7
    return float(h[grows.nonzero()[0, 0]])


@pytest.mark.parametrize("alpha, gyro, dormand", [(0.005, 5.4, 1.8), (0.02, 5.6, 2.1), (0.1, 5.4, 2.7), (1e6, 3.5, 3.4)])
def test_gyro5_is_stable_far_along_the_eigenvalues_of_precession(alpha, gyro, dormand):
    assert stable_until(OWN["gyro5"], alpha) > gyro
    assert stable_until(OWN["dopri5"], alpha) < dormand


@pytest.mark.parametrize("method, order", [("dopri5", 4), ("gyro5", 4), ("tsit5", 4), ("bosh3", 3)])
def test_order_of_the_dense_output(method, order):
    llg = macrospin()
    errors = []
    for n in (8, 16):
        # Requested times in the first, third ... step of a run that takes n steps whatever they are.
        dt = T_END / n
        t = [0.0, T_END]
        found = []

        def interpolate(at, dt, m, found=found):
            found.append((at, dt, m))

        tm.solve(llg, along_x(llg), t, method=method, step=dt, callback=interpolate)
        from_start = [along_x(llg), *(m for _, _, m in found)]
        rates = [llg(0.0, m) for m in from_start]
        tableau = OWN[method]
        worst = 0.0
        for number in range(n):
            stages = [rates[number]]
            for row in tableau.a:
                stages.append(llg(0.0, from_start[number] + dt * sum(a * k for a, k in zip(row, stages))))
            stages.append(rates[number + 1])
            middle = from_start[number] + dt * sum(w * k for w, k in zip(tableau.mid, stages))
            worst = max(worst, float((middle[..., 0] - precession((number + 0.5) * dt)).abs().max()))
        errors.append(worst)
    assert math.log2(errors[0] / errors[1]) > order - 0.5


@pytest.mark.parametrize("method", ["dopri5", "gyro5", "tsit5", "bosh3", "dopri8"])
def test_outputs_between_the_steps(method):
    llg = macrospin()
    few, many = torch.linspace(0, T_END, 2), torch.linspace(0, T_END, 101)
    steps = []
    m = tm.solve(llg, along_x(llg), many, method=method, rtol=1e-7, atol=1e-7, callback=lambda *step: steps.append(step))
    alone = []
    end = tm.solve(llg, along_x(llg), few, method=method, rtol=1e-7, atol=1e-7, callback=lambda *step: alone.append(step))
    # The output does not steer the steps.
    assert [step[:2] for step in steps] == [step[:2] for step in alone]
    assert torch.equal(m[-1], end[-1])
    assert length_error(m, 1) < 1e-14
    assert macrospin_error(m, many) < 1e-4


def test_the_callback_sees_every_accepted_step():
    llg = film()
    seen = []
    tm.solve(llg, tm.random(MESH, 0), (0, 1e-12), callback=lambda t, dt, m: seen.append((t, dt, m)))
    assert math.isclose(sum(dt for _, dt, _ in seen), 1e-12, rel_tol=1e-12)
    assert seen[-1][0] == 1e-12
    assert max(length_error(m) for _, _, m in seen) < 1e-14


def test_the_first_output_is_m0():
    llg, m0 = film(), tm.random(MESH, 0)
    assert torch.equal(tm.solve(llg, m0, (0, 1e-13))[0], m0)


def test_time_is_kept_in_float64_with_m_in_float32():
    # 0.1 s into a run, float32 resolves 7e-9 s; the field turns on for one picosecond there.
    start, width = 0.1, 1e-12
    seen = []

    def field(t):
        seen.append(t)
        return torch.stack([0 * t, 0 * t, H0 * ((t >= start) & (t <= start + width))])

    llg = macrospin(torch.float32, H=field)
    for method in ("dopri5", "rk4", "scipy_solver"):
        m = tm.solve(llg, along_x(llg, torch.float32), torch.tensor([start, start + width]), method=method)
        assert m.dtype == torch.float32
        # Float32's rounding of the state.
        assert float((m[-1, :, 0] - precession(width)).abs().max()) < 1e-6
    assert {t.dtype for t in seen} == {torch.float64}


def test_float32_is_near_float64():
    a, b = film(), film(dtype=torch.float32)
    m0, t = tm.random(MESH, 0), (0, 2e-12)
    exact = tm.solve(a, m0, t)
    rounded = tm.solve(b, m0.float(), t)
    assert rounded.dtype == torch.float32
    # Both are within rtol + atol = 2e-5 a step of the solution.
    assert float((exact - rounded).abs().max()) < 1e-3


@pytest.mark.parametrize("method", ["dopri5", "rk4", "torchmag_dopri5", "torchmag_bosh3"])
def test_torchdiffeq_takes_an_llg(method):
    llg = macrospin()
    # torchdiffeq's step control starts from absolute guesses that suit times of order one: pass a first step.
    options = {"step_size": T_END / 200} if method == "rk4" else {"first_step": 1e-13} if method == "dopri5" else {}
    t = torch.linspace(0, T_END, 5)
    m = torchdiffeq.odeint(llg, along_x(llg), t, method=method, rtol=1e-8, atol=1e-8, options=options)
    assert macrospin_error(m, t) < 1e-5
    if method.startswith("torchmag"):
        assert length_error(m, 1) < 1e-14


def test_torchdiffeq_with_its_defaults():
    llg = macrospin()
    t = torch.linspace(0, T_END, 5)
    assert macrospin_error(torchdiffeq.odeint(llg, along_x(llg), t), t) < 1e-4


@pytest.mark.parametrize("method", ["torchmag_dopri5", "dopri5"])
def test_odeint_adjoint(method):
    # Short: the continuous adjoint of damped dynamics grows backwards.
    llg = macrospin(alpha=nn.Parameter(torch.tensor(ALPHA)))
    t = torch.tensor([0.0, T_END / 4])
    m = torchdiffeq.odeint_adjoint(llg, along_x(llg), t, method=method, rtol=1e-9, atol=1e-9)
    m[-1, 2].sum().backward()
    exact = torch.tensor(ALPHA, requires_grad=True)
    tanh = torch.tanh(exact * tm.gamma_0 * H0 * t[-1] / (1 + exact**2))
    (2 * tanh).backward()  # two nodes
    assert float(llg.alpha.grad) == pytest.approx(float(exact.grad), rel=1e-5)


def test_the_gradient_of_solve_is_that_of_the_formula():
    llg = macrospin()
    alpha, H = torch.tensor(ALPHA, requires_grad=True), torch.tensor([0.0, 0.0, H0], requires_grad=True)
    m = tm.solve(llg, along_x(llg), (0, T_END / 2, T_END), rtol=1e-9, atol=1e-9, params={"alpha": alpha, "energy.zeeman.H": H})
    m[-1, 2, 0].backward()
    a = torch.tensor(ALPHA, requires_grad=True)
    h = torch.tensor(H0, requires_grad=True)
    torch.tanh(a * tm.gamma_0 * h * T_END / (1 + a**2)).backward()
    assert float(alpha.grad) == pytest.approx(float(a.grad), rel=1e-6)
    assert float(H.grad[2]) == pytest.approx(float(h.grad), rel=1e-6)


def test_gradcheck_through_fixed_steps():
    mesh = tm.Mesh((2, 1), dx=(5e-9, 4e-9, 3e-9))
    magnet = tm.Magnet(mesh, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Demag(magnet), 0.1)
    m0 = tm.random(mesh, 0)

    def end(s, v):
        m = nn.functional.normalize(m0 + v, dim=0)
        return tm.solve(llg, m, (0, 2e-13), step=1e-13, params={"energy.exchange.A": s * 1e-11, "alpha": 0.1 * s})[-1]

    s = torch.tensor(0.8, requires_grad=True)
    assert torch.autograd.gradcheck(end, (s, torch.zeros_like(m0).requires_grad_()), fast_mode=True)


class Poison(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.start = start

    def forward(self, t):
        return torch.where(t > self.start, math.nan, 1.0) * torch.tensor([0.0, 0.0, H0])


@pytest.mark.parametrize("method, step", [("dopri5", None), ("bosh3", None), ("dopri5", 1e-13), ("rk4", 1e-13), ("dopri8", None)])
@pytest.mark.parametrize("start", [-1.0, 5e-13])
def test_nan_names_the_term(method, step, start):
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Zeeman(magnet, (0, 0, 1e4)) + tm.Zeeman(magnet, Poison(start)), 0.1)
    with pytest.raises(tm.NonFiniteError, match=r"not finite: energy\.zeeman_2 at t = ") as caught:
        tm.solve(llg, tm.random(MESH, 0), (0, 1e-12), method=method, step=step)
    assert caught.value.term == "energy.zeeman_2"
    assert caught.value.t <= 1e-12


def test_relax_names_the_term_too():
    magnet = tm.Magnet(MESH, 8e5)
    llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Zeeman(magnet, Poison(-1.0)), 0.1)
    with pytest.raises(tm.NonFiniteError, match="relax: not finite at m0: the field of zeeman"):
        tm.relax(llg, tm.random(MESH, 0))
    llg = tm.LLG(llg.energy, 0.1, torques=[tm.ZhangLi(magnet, (1e10, 0, 0), P=1, xi=0.1)])
    with pytest.raises(tm.NonFiniteError, match=r"not finite: energy\.zeeman at"):
        tm.relax(llg, tm.random(MESH, 0))


def test_max_steps():
    llg = film()
    with pytest.raises(tm.MaxStepsError, match=r"max_steps = 3 used up at t = .* raise max_steps") as caught:
        tm.solve(llg, tm.random(MESH, 0), (0, 1e-9), max_steps=3)
    assert 0 < caught.value.t < 1e-9 and caught.value.dt > 0
    for method in ("dopri5", "rk4", "heun", "euler"):
        with pytest.raises(tm.MaxStepsError, match="step = 1e-20 s takes 1000000+ steps"):
            tm.solve(llg, tm.random(MESH, 0), (0, 1e-9), step=1e-20, method=method)


def test_errors_pickle():
    import pickle

    error = pickle.loads(pickle.dumps(tm.NonFiniteError("text", 1.0, 2.0, "demag")))
    assert (str(error), error.t, error.dt, error.term) == ("text", 1.0, 2.0, "demag")


def test_a_jump_in_the_field_is_passed():
    # The step control finds the jump; nothing hangs.  The estimate of the step across it may be 90 times too small: with the
    # jump between the stages at 3/10 and 4/5 it has the weight sum(e[3:]) = 0.003, the error up to |sum(b[3:]) - 0.2| = 0.26.
    llg = macrospin(H=lambda t: torch.stack([0 * t, 0 * t, H0 * (t > T_END / 3)]))
    m = tm.solve(llg, along_x(llg), (0, T_END), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(m[-1, :, 0], precession(2 * T_END / 3), rtol=0, atol=90 * 2e-6 + 1e-5)


@pytest.mark.parametrize("name", ["m", "Ms", "alpha", "H"])
def test_a_batch_is_a_loop_of_solo_runs(name):
    torch.manual_seed(0)
    t = (0, 5e-13, 1e-12)
    states = [tm.random(MESH, seed) for seed in range(3)]
    values = {"Ms": torch.tensor([4e5, 6e5, 8e5]), "alpha": torch.tensor([0.01, 0.1, 1.0]), "H": 1e5 * torch.randn(3, 3)}
    full = {"Ms": "energy.magnet.Ms", "alpha": "alpha", "H": "energy.zeeman.H"}
    llg = film(H=(0.0, 0.0, 1e5))
    if name == "m":
        both = tm.solve(llg, torch.stack(states), t, rtol=1e-7, atol=1e-7)
        solo = [tm.solve(llg, m, t, rtol=1e-7, atol=1e-7) for m in states]
    else:
        batch = values[name].reshape(3, *values[name].shape[1:], 1, 1)
        both = tm.solve(llg, states[0], t, rtol=1e-7, atol=1e-7, params={full[name]: batch})
        solo = [tm.solve(llg, states[0], t, rtol=1e-7, atol=1e-7, params={full[name]: value}) for value in batch]
    assert both.shape == (3, 3, *states[0].shape)
    # A few tens of steps, each within 2e-7 in both runs.
    torch.testing.assert_close(both, torch.stack(solo, 1), rtol=0, atol=1e-4)
    fixed = {"step": 1e-13}
    if name == "m":
        both = tm.solve(llg, torch.stack(states), t, **fixed)
        solo = [tm.solve(llg, m, t, **fixed) for m in states]
        torch.testing.assert_close(both, torch.stack(solo, 1), rtol=0, atol=1e-12)


def test_one_fast_sample_holds_its_tolerance_in_a_batch():
    llg = macrospin()
    H = H0 * torch.tensor([1.0] + [0.01] * 63)
    field = torch.stack([0 * H, 0 * H, H], 1)[..., None]
    t = (0, T_END)
    batch = tm.solve(llg, along_x(llg), t, rtol=1e-6, atol=1e-6, params={"energy.zeeman.H": field})
    alone = tm.solve(llg, along_x(llg), t, rtol=1e-6, atol=1e-6)
    assert macrospin_error(batch[:, 0], t) < 1.01 * macrospin_error(alone, t)


def test_solve_uses_the_override_and_leaves_the_llg_alone():
    llg, m0 = film(), tm.random(MESH, 0)
    before = llg(0.0, m0)
    other = tm.solve(llg, m0, (0, 1e-12), params={"alpha": 1.0})[-1]
    torch.testing.assert_close(other, tm.solve(film(1.0), m0, (0, 1e-12))[-1], rtol=0, atol=1e-14)
    assert torch.equal(llg(0.0, m0), before)


def test_frozen_nodes_stay():
    frozen = torch.zeros(MESH.nodes, dtype=torch.bool)
    frozen[0] = True
    llg, m0 = film(), tm.random(MESH, 0)
    llg.frozen = frozen
    for m in (tm.solve(llg, m0, (0, 1e-12))[-1], tm.relax(llg, m0, tolerance=1e-2)):
        # Projection rescales them by a rounding.
        torch.testing.assert_close(m[:, 0], m0[:, 0], rtol=0, atol=1e-15)
        assert (m[:, 1:] - m0[:, 1:]).abs().max() > 1e-3


def test_compiled_solve():
    torch._dynamo.reset()
    llg, m0 = film(), tm.random(MESH, 0)
    expected = tm.solve(llg, m0, (0, 1e-12))
    llg.compile(fullgraph=True, backend="eager")
    torch.testing.assert_close(tm.solve(llg, m0, (0, 1e-12)), expected, rtol=0, atol=1e-12)


def test_relax_reaches_equilibrium():
    llg = film()
    m, record = tm.relax(llg, tm.uniform(MESH, (0.2, 1, 0.3)), tolerance=1e-3, info=True)
    assert record.converged and 0 < record.residual <= 1e-3 and 0 < record.steps < record.evaluations
    torque = torch.linalg.cross(m, llg.energy.field(m), dim=0)
    assert float(torque.norm(dim=0).max() / 8e5) == pytest.approx(record.residual, rel=1e-3)
    assert length_error(m) < 1e-14
    # Whatever its damping, to the last bit.
    assert torch.equal(tm.relax(film(0.001), tm.uniform(MESH, (0.2, 1, 0.3)), tolerance=1e-3), m)


def test_relax_of_an_equilibrium_takes_no_step():
    llg = macrospin()
    m, record = tm.relax(llg, tm.uniform(llg.mesh, (0, 0, 1)), info=True)
    assert (record.converged, record.steps, record.residual) == (True, 0, 0.0)
    assert torch.equal(m, tm.uniform(llg.mesh, (0, 0, 1)))


def test_relax_that_does_not_converge():
    llg, m0 = film(), tm.uniform(MESH, (0.2, 1, 0.3))
    with pytest.raises(tm.ConvergenceError, match=r"relax: max \|m x H\| / Ms = .* after 2 steps") as caught:
        tm.relax(llg, m0, max_steps=2)
    assert caught.value.info.steps == 2 and not caught.value.info.converged
    assert length_error(caught.value.m) < 1e-14
    m, record = tm.relax(llg, m0, max_steps=2, info=True)
    assert torch.equal(m, caught.value.m) and record == caught.value.info


def test_relax_holds_drives_at_its_time():
    llg = macrospin(H=lambda t: torch.stack([H0 * torch.cos(t), H0 * torch.sin(t), 0 * t]))
    m = tm.relax(llg, tm.uniform(llg.mesh, (1, 1, 1)), t=0.5, tolerance=1e-8)
    expected = torch.tensor([math.cos(0.5), math.sin(0.5), 0.0])[:, None].expand_as(m)
    torch.testing.assert_close(m, expected, rtol=0, atol=1e-8 * 8e5 / H0 * 2)


def test_relax_in_float32():
    m0 = tm.uniform(MESH, (0.2, 1, 0.3), dtype=torch.float32)
    m, record = tm.relax(film(dtype=torch.float32), m0, tolerance=1e-3, info=True)
    assert m.dtype == torch.float32 and record.converged


def test_relax_of_a_batch():
    # In a field of Ms / 2 the deviation is at most residual * Ms / H, here twice 1e-4.
    llg = macrospin(H=(0.0, 0.0, 4e5))
    states = torch.stack([tm.uniform(llg.mesh, (0.2, 1, 0.3)), tm.uniform(llg.mesh, (-1, 0.5, -0.3))])
    found = tm.relax(llg, states, tolerance=1e-4)
    torch.testing.assert_close(found, tm.uniform(llg.mesh, (0, 0, 1)).expand_as(found), rtol=0, atol=2e-4)


def test_vacuum_stays_zero():
    fraction = torch.ones(MESH.cells)
    fraction[0] = 0
    llg = film(fraction=fraction)
    m0 = tm.random(MESH, 0)
    m0[:, 0] = 0
    m0.requires_grad_()
    end = tm.solve(llg, m0, (0, 1e-12))[-1]
    assert not end[:, 0].any()
    end.square().sum().backward()
    assert torch.isfinite(m0.grad).all()
    assert not tm.relax(llg, m0.detach(), tolerance=1e-2)[:, 0].any()


@pytest.mark.parametrize("n, pbc", [((1,), (0, 0, 0)), ((1, 1, 1), (0, 0, 0)), ((1, 1), (1, 2, 0)), ((1, 3), (1, 0, 2))])
def test_tiny_meshes(n, pbc):
    mesh = tm.Mesh(n, (5e-9, 4e-9, 3e-9), pbc=pbc)
    magnet = tm.Magnet(mesh, 8e5)
    local = tm.Exchange(magnet, 1e-11), tm.BulkDMI(magnet, 1e-3), tm.UniaxialAnisotropy(magnet, 1e4, (0, 0, 1), 1e3)
    llg = tm.LLG(tm.Sum(*local, tm.Demag(magnet), tm.Zeeman(magnet, (1e5, 0, 0))), 0.5)
    m = tm.solve(llg, tm.random(mesh, 0), (0, 1e-12))
    assert m.shape == (2, 3, *mesh.nodes) and length_error(m, mesh.dim) < 1e-14
    assert llg.energy.energy(m[1]) < llg.energy.energy(m[0])
    assert tm.relax(llg, m[1], tolerance=1e-1).isfinite().all()


def test_times_that_need_a_gradient():
    t = torch.tensor([0.0, 1e-13], requires_grad=True)
    try:
        assert tm.solve(macrospin(), along_x(macrospin()), t).requires_grad
    except (TypeError, ValueError) as error:
        assert "solve: t" in str(error)


def test_terms_add_with_the_builtin_sum():
    magnet = tm.Magnet(tm.Mesh((2,), (1e-9,) * 3), 8e5)
    assert list(sum([tm.Exchange(magnet, 1e-11), tm.Zeeman(magnet, (0, 0, 1))]).terms) == ["exchange", "zeeman"]


def test_evolve_is_solve_as_a_layer():
    llg = macrospin()
    m = along_x(llg)
    layer = tm.Evolve(llg, 2e-12, rtol=1e-7)
    assert torch.equal(layer(m), tm.solve(llg, m, [0, 2e-12], rtol=1e-7)[-1])
    assert [name for name in layer.state_dict() if name.endswith("alpha")] == ["llg.alpha"]
    with pytest.raises(TypeError, match="Evolve: llg"):
        tm.Evolve(torch.nn.Linear(1, 1), 1e-12)


@pytest.mark.parametrize("method", ["dopri5", "rk4"])
def test_no_output_is_lost_at_late_times(method):
    # The last step's end, t + dt, differs from the requested time by a rounding of t, which exceeds 1e-9 dt here.
    llg = macrospin()
    t = 1e-6 + torch.arange(8, dtype=torch.float64) * 1.7e-15
    assert len(tm.solve(llg, along_x(llg), t, method=method, step=1e-15)) == 8
