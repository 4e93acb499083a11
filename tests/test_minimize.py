"""minimize and hysteresis as a user meets them; published cases are in tests/physics/test_minimize.py."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.solvers.landscape import make_landscape
from torchmag.solvers.minimize import METHODS

SIZES = {1: (12,), 2: (6, 5), 3: (3, 4, 2)}
EVERY = sorted(METHODS)


def soft(mesh, Ms=8e5, Ku=5e4, **options):
    """A body with every usual term; its field is linear in m."""
    body = tm.Magnet(mesh, Ms, **options)
    energy = tm.Exchange(body, 1.3e-11) + tm.UniaxialAnisotropy(body, Ku, (0, 1, 0)) + tm.Demag(body)
    return energy + tm.InterfaceDMI(body, 1e-3, (0, 0, 1)) + tm.Zeeman(body, (2e4, 5e3, -3e3))


def grid(n, pbc=(0, 0, 0)):
    return tm.Mesh(n, (4e-9, 5e-9, 3e-9), pbc=pbc)


def landscape(energy, m, frozen=None):
    return make_landscape(energy, energy.prepare(), m, torch.zeros((), dtype=torch.float64), frozen, "test")[0]


def residual(energy, m):
    torque = torch.linalg.cross(m, energy.field(m), dim=-energy.mesh.dim - 1)
    return float(torch.linalg.vector_norm(torque, dim=-energy.mesh.dim - 1).max() / energy.magnet.Ms.max())


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("dim", SIZES)
def test_equilibrium_is_that_of_relax(dim, method):
    mesh = grid(SIZES[dim])
    energy, m0 = soft(mesh, Ku=4e5), tm.uniform(mesh, (0.3, 1, 0.4))
    steps = []
    m, record = tm.minimize(energy, m0, method=method, tolerance=1e-8, info=True, callback=lambda *a: steps.append(a[:2]))
    with torch.no_grad():
        expected = tm.relax(tm.LLG(energy, alpha=1), m0, tolerance=1e-6)
    assert record.converged and residual(energy, m) <= 1e-8 * (1 + 1e-6)
    assert record.residual == pytest.approx(residual(energy, m), rel=1e-6)
    # The softest curvature is about the uniaxial field, Ms: errors are of the size of the residuals.
    assert float((m - expected).abs().max()) < 1e-5
    assert float((torch.linalg.vector_norm(m, dim=0) - 1).abs().max()) < 1e-14
    assert [step for step, _ in steps] == list(range(1, record.steps + 1)) and steps[-1][1] == record.residual
    assert record.evaluations > record.steps


@pytest.mark.parametrize("seed", range(4))
def test_energy_never_rises(seed):
    mesh = grid((6, 5, 2))
    energy = soft(mesh)
    energy = energy + tm.CubicAnisotropy(energy.magnet, 2e5, (1, 0, 0), (0, 1, 0))
    m0, energies = tm.random(mesh, seed=seed), []
    m = tm.minimize(energy, m0, callback=lambda step, left, m: energies.append(float(energy.energy(m))))
    energies = torch.tensor([float(energy.energy(m0)), *energies])
    scale = energies.abs().max()
    assert float((energies.diff() / scale).max()) < 1e-12
    assert residual(energy, m) <= 1e-6


@pytest.mark.parametrize("quartic", [False, True])
def test_rise_of_the_energy_from_fields(quartic):
    """Exact for energies quadratic in m, third order in the turn else."""
    mesh = grid((4, 3))
    energy = soft(mesh)
    if quartic:
        energy = energy + tm.CubicAnisotropy(energy.magnet, 2e5, (1, 0, 0), (0, 1, 0))
    m, step = tm.random(mesh, seed=1), tm.random(mesh, seed=2)
    ground = landscape(energy, m)
    p = ground.tangent(m, step)
    unit = tm.mu_0 * 8e5**2 * math.prod(mesh.size)
    errors = []
    for size in (0.05, 0.025) if quartic else (0.2, 0.1):
        turned = ground.turn(m, size * p)
        expected = float(energy.energy(turned) - energy.energy(m)) / unit
        errors.append(abs(float(ground.rise(m, ground.field(m), turned, ground.field(turned))) - expected))
    assert max(errors) < 1e-13 if not quartic else errors[0] / errors[1] == pytest.approx(8, rel=0.3)


@pytest.mark.parametrize("n", [(7,), (6, 5), (4, 3, 5), (1, 1)])
@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0), (math.inf,) * 3, (0, 2, 0)])
def test_preconditioner_inverts_exchange(n, pbc):
    """(1 + exchange) z = v in units of Ms, on a body that fills the mesh; to order 4 and 6 it is an approximation."""
    pbc = tuple(images if axis < len(n) else 0 for axis, images in enumerate(pbc))
    mesh = grid(n, pbc)
    energy = tm.Exchange(tm.Magnet(mesh, 8e5, order=2), 1.3e-11)
    z = tm.random(mesh, seed=0)
    v = z - energy.field(z) / 8e5
    assert torch.allclose(landscape(energy, z).precondition(v), z, rtol=0, atol=1e-12)


def test_preconditioner_is_symmetric_and_positive_in_any_body():
    mesh = grid((5, 4))
    Ms = 8e5 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(0))
    Ms[:2, :2] = 0
    energy, u, v = soft(mesh, Ms), tm.random(mesh, seed=1), tm.random(mesh, seed=2)
    ground = landscape(energy, u)
    uv, vu = ground.inner(u, ground.precondition(v)), ground.inner(v, ground.precondition(u))
    assert float(uv) == pytest.approx(float(vu), rel=1e-12)
    assert float(ground.inner(u, ground.precondition(u))) > 0


@pytest.mark.parametrize("method", EVERY)
def test_vacuum_and_frozen_nodes_stay_bitwise(method):
    mesh = grid((8, 6))
    Ms = torch.full(mesh.cells, 8e5)
    Ms[:3, :3] = 0
    m0 = tm.uniform(mesh, (0.3, 1, 0.4))
    m0[:, :3, :3] = 0
    frozen = torch.zeros(mesh.nodes, dtype=torch.bool)
    frozen[-1] = True
    before = m0.clone()
    energy = soft(mesh, Ms, Ku=4e5)
    m = tm.minimize(energy, m0, method=method, frozen=frozen)
    assert torch.equal(m0, before)
    assert torch.equal(m[:, :3, :3], m0[:, :3, :3]) and torch.equal(m[:, -1], m0[:, -1])
    assert not torch.equal(m[:, 4], m0[:, 4])
    with torch.no_grad():
        expected = tm.relax(tm.LLG(energy, 1.0, frozen=frozen), m0)
    assert float((m - expected).abs().max()) < 1e-4


def test_everything_frozen():
    mesh = grid((3, 2))
    m0 = tm.random(mesh, seed=0)
    m, record = tm.minimize(soft(mesh), m0, frozen=torch.ones(mesh.nodes, dtype=torch.bool), info=True)
    assert torch.equal(m, m0) and record == tm.Minimization(True, 0.0, 0, 1)


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("tolerance", [None, 1e-5])
def test_float32(method, tolerance):
    mesh = grid((20, 8))
    m0 = tm.uniform(mesh, (1, 0.25, 0.1))
    m, record = tm.minimize(soft(mesh, dtype=torch.float32), m0.float(), method=method, tolerance=tolerance, info=True)
    expected = tm.minimize(soft(mesh), m0)
    assert m.dtype == torch.float32 and record.converged and record.residual <= (tolerance or 1e-4)
    # The softest curvature is the uniaxial field, 0.1 Ms: error <= 10 times the residual.
    assert float((m.double() - expected).abs().max()) < 10 * (tolerance or 1e-4)


@pytest.mark.parametrize("method", EVERY)
def test_batch_is_a_loop(method):
    mesh = grid((6, 4))
    body = tm.Magnet(mesh, 8e5)
    H = torch.tensor([[2e4, 1e4, 0.0], [-8e4, 5e3, 1e4], [0.0, 3e5, 2e4]])
    A = torch.tensor([1e-11, 2e-11, 3e-11])
    energy = tm.Exchange(body, A.reshape(3, 1, 1)) + tm.Demag(body) + tm.Zeeman(body, H.reshape(3, 3, 1, 1))
    m0 = tm.uniform(mesh, (1, 0.25, 0.1))
    m, record = tm.minimize(energy, m0, method=method, info=True)
    assert m.shape == (3, 3, *mesh.nodes) and record.converged
    most = 0
    for index in range(3):
        one = tm.Exchange(body, A[index]) + tm.Demag(body) + tm.Zeeman(body, H[index])
        alone, counted = tm.minimize(one, m0, method=method, info=True)
        # The same steps but for the rounding of batched transforms, which Barzilai-Borwein steps amplify.
        assert float((m[index] - alone).abs().max()) < 1e-5
        most = max(most, counted.steps)
    assert record.steps <= 1.2 * most


@pytest.mark.parametrize("method", EVERY)
def test_samples_stop_on_their_own(method):
    """A sample at its minimum stays bitwise, whatever the others do; two batch axes."""
    mesh = grid((6, 4))
    energy = soft(mesh)
    done = tm.minimize(energy, tm.uniform(mesh, (1, 0.25, 0.1)))
    others = tm.random(mesh, seed=3), tm.random(mesh, seed=4), tm.uniform(mesh, (-1, 0.3, 0.2))
    m0 = torch.stack([done, *others]).reshape(2, 2, 3, *mesh.nodes)
    seen = []
    m = tm.minimize(energy, m0, method=method, callback=lambda step, left, m: seen.append(m[0, 0]))
    assert m.shape == m0.shape and len(seen) > 5
    assert all(torch.equal(state, done) for state in (*seen, m[0, 0]))
    assert residual(energy, m) <= 1e-6


@pytest.mark.parametrize("method", EVERY)
def test_already_converged(method):
    mesh = grid((6, 4))
    energy = soft(mesh)
    m = tm.minimize(energy, tm.uniform(mesh, (1, 0.25, 0.1)))
    again, record = tm.minimize(energy, m, method=method, info=True)
    assert torch.equal(m, again)
    assert (record.converged, record.steps, record.evaluations) == (True, 0, 1)


@pytest.mark.parametrize("method", EVERY)
def test_a_saddle_without_torque_stays_and_is_left_when_tilted(method):
    mesh = grid((3, 3))
    energy = tm.Zeeman(tm.Magnet(mesh, 8e5), (0, 0, -1e5))
    up = tm.uniform(mesh, (0, 0, 1))
    with pytest.warns(tm.StabilityWarning, match="no step was made"):
        m, record = tm.minimize(energy, up, method=method, info=True)
    assert torch.equal(m, up) and record.converged and record.stable is False
    m, record = tm.minimize(energy, tm.uniform(mesh, (1e-4, 0, 1)), method=method, info=True)
    assert float(m[2].max()) == pytest.approx(-1, abs=1e-9) and record.evaluations < 100


@pytest.mark.parametrize("method", EVERY)
def test_max_steps(method):
    mesh = grid((6, 4))
    energy, m0 = soft(mesh), tm.uniform(mesh, (-1, 0.3, 0.2))
    with pytest.raises(tm.ConvergenceError, match=r"minimize: max \|m x H\| / Ms = .* after 3 steps, tolerance 1e-06") as caught:
        tm.minimize(energy, m0, method=method, max_steps=3)
    assert caught.value.info.steps == 3 and not caught.value.info.converged
    assert caught.value.m.shape == m0.shape and not torch.equal(caught.value.m, m0)
    m, record = tm.minimize(energy, m0, method=method, max_steps=3, info=True)
    assert torch.equal(m, caught.value.m) and record == caught.value.info


@pytest.mark.parametrize("method", EVERY)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_tolerance_below_rounding_ends(method, dtype):
    mesh = grid((6, 4))
    m0 = tm.uniform(mesh, (1, 0.25, 0.1), dtype=dtype)
    m, record = tm.minimize(soft(mesh, dtype=dtype), m0, method=method, tolerance=1e-30, max_steps=500, info=True)
    assert not record.converged and record.residual < 1e4 * torch.finfo(dtype).eps
    assert record.evaluations < 2000


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_any_strength_of_the_field(scale):
    """Fields from 1e-4 to 1e3 Ms, with nothing else."""
    mesh = grid((3,))
    H = torch.tensor([0.0, 0.6, 0.8]) * 8e5 * scale
    m = tm.minimize(tm.Zeeman(tm.Magnet(mesh, 8e5), H), tm.uniform(mesh, (0.01, 0, -1)), max_steps=100)
    assert m[:, 0].tolist() == pytest.approx([0, 0.6, 0.8], abs=1e-6 / min(scale, 1) * 2)


def test_params_override_by_name():
    mesh = grid((4, 3))
    body = tm.Magnet(mesh, 8e5)
    energy = tm.UniaxialAnisotropy(body, 1e5, (0, 0, 1)) + tm.Zeeman(body, (0.0, 0.0, 0.0))
    m0 = tm.uniform(mesh, (0.6, 0.1, 0.8))
    params = {"zeeman.H": torch.tensor([1e4, 0, 0]), "uniaxial_anisotropy.Ku": 2e5}
    m = tm.minimize(energy, m0, params=params, tolerance=1e-9)
    # m_x = H / H_k, with H_k = 2 Ku / (mu_0 Ms)
    assert m[0, 0, 0].item() == pytest.approx(1e4 * tm.mu_0 * 8e5 / 4e5, rel=1e-6)
    single = tm.minimize(tm.Zeeman(body, (0.0, 0.0, 1.0)), m0, params={"H": torch.tensor([1e5, 0, 0])})
    assert single[0, 0, 0].item() == pytest.approx(1)
    with pytest.raises(TypeError, match="did you mean 'zeeman.H'"):
        tm.minimize(energy, m0, params={"zeeman.h": 1.0})


def test_drives_are_held_at_t():
    mesh = grid((4, 3))
    body = tm.Magnet(mesh, 8e5)
    Ku = torch.nn.Parameter(torch.tensor(1e5))
    H = torch.tensor([1e5, 0.0, 0.0])
    energy = tm.UniaxialAnisotropy(body, Ku, (0, 0, 1)) + tm.Zeeman(body, lambda t: torch.cos(t * 1e9) * H)
    m0 = tm.uniform(mesh, (0.1, 0.1, 0.8))
    first, later = (tm.minimize(energy, m0, t=t) for t in (0.0, math.pi * 1e-9))
    assert float(first[0].min()) > 0.1 > -0.1 > float(later[0].max())
    (slope,) = torch.autograd.grad(first.sum(), Ku)
    assert float(slope.abs()) > 0
    with torch.no_grad():
        assert not tm.minimize(energy, m0).requires_grad


def test_a_term_without_energy():
    """A weak form has a field only; that is all a descent needs."""

    class Pull(tm.LocalEnergy):
        @staticmethod
        def weak(m, v, Q: tm.forms.Vector):
            return -tm.forms.dot(Q, v)

    mesh = grid((4, 3))
    m = tm.minimize(Pull(tm.Magnet(mesh, 8e5), (0, 1e5, 0)), tm.uniform(mesh, (1, 0.1, 0)))
    assert m[1].min().item() == pytest.approx(1)


def test_field_that_is_not_finite():
    mesh = grid((4, 3))
    body = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(body, 1e-11) + tm.Zeeman(body, lambda t: torch.tensor([1.0, 0, 0]) / t)
    with pytest.raises(tm.NonFiniteError, match="the field of zeeman") as caught:
        tm.minimize(energy, tm.uniform(mesh, (0, 0, 1)))
    assert caught.value.term == "zeeman"


MESH = grid((3, 2))


def call(**options):
    given = {"energy": tm.Exchange(tm.Magnet(MESH, 8e5), 1e-11), "m0": tm.uniform(MESH, (0, 0, 1))} | options
    return tm.minimize(given.pop("energy"), given.pop("m0"), **given)


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"energy": 3}, TypeError, "energy is a int, expected an energy term"),
        ({"m0": [1, 2]}, TypeError, "m is a list"),
        ({"m0": torch.zeros(3, 2, 2)}, ValueError, "m has shape"),
        ({"m0": torch.zeros(3, 4, 3, dtype=torch.float64)}, ValueError, r"minimize: m0 has \|m\| = 0 at 12"),
        ({"m0": torch.full((3, 4, 3), math.nan, dtype=torch.float64)}, ValueError, r"minimize: m0 has \|m\| = nan"),
        ({"m0": torch.ones(3, 4, 3, dtype=torch.float32)}, TypeError, "float32"),
        ({"tolerance": 0.0}, ValueError, "tolerance = 0.0, expected"),
        ({"tolerance": math.nan}, ValueError, "tolerance = nan, expected"),
        ({"tolerance": "1"}, TypeError, "tolerance = '1', expected"),
        ({"max_steps": 0}, ValueError, "max_steps = 0, expected"),
        ({"max_steps": 1.5}, TypeError, "max_steps = 1.5, expected"),
        ({"method": "newton"}, ValueError, "method = 'newton', expected one of lbfgs, bb"),
        ({"method": ["bb"]}, ValueError, r"method = \['bb'\], expected one of"),
        ({"t": math.inf}, ValueError, "t = inf, expected"),
        ({"frozen": torch.ones(4, 3)}, TypeError, "frozen must be a bool tensor"),
        ({"frozen": torch.ones(3, 4, 3, dtype=torch.bool)}, ValueError, "frozen has shape"),
        ({"params": {"A": -1.0}}, ValueError, "A"),
        ({"params": {"magnet.Ms": math.nan}}, ValueError, "magnet.Ms"),
        ({"params": ["A"]}, TypeError, "params is a list"),
    ],
)
def test_wrong_calls(options, kind, match):
    with pytest.raises(kind, match=match):
        call(**options)


def particle():
    body = tm.Magnet(MESH, 8e5)
    return tm.UniaxialAnisotropy(body, 1e5, (0, 0, 1)), tm.uniform(MESH, (0.05, 0, 1))


def sweep(*factors):
    """Fields along z, tilted by 5 degrees, in units of H_k."""
    Hk = 2 * 1e5 / (tm.mu_0 * 8e5)
    angle = math.radians(5)
    return torch.tensor(factors)[:, None] * Hk * torch.tensor([math.sin(angle), 0, math.cos(angle)])


@pytest.mark.parametrize("kind", [torch.Tensor, list])
def test_hysteresis(kind):
    energy, m0 = particle()
    fields, seen = sweep(0.5, 0, -0.5, -1, 0, 0.5, 1), []
    given = fields if kind is torch.Tensor else fields.tolist()
    m = tm.hysteresis(energy, m0, given, callback=lambda index, H, m: seen.append((index, H, m)))
    assert m.shape == (7, 3, *MESH.nodes)
    assert torch.sign(m[:, 2, 0, 0]).tolist() == [1, 1, 1, -1, -1, -1, 1]
    assert [index for index, _, _ in seen] == list(range(7))
    assert all(torch.equal(H, field) and torch.equal(state, found) for (_, H, state), field, found in zip(seen, fields, m))


def test_hysteresis_of_a_batch():
    """One history per sample, and one for all samples of m0."""
    energy, m0 = particle()
    one, other = sweep(0.5, -0.5, -1), sweep(-0.5, -1, 1)
    both = tm.hysteresis(energy, m0, torch.stack([one, other], 1))
    assert both.shape == (3, 2, 3, *MESH.nodes)
    for index, fields in enumerate((one, other)):
        assert torch.allclose(both[:, index], tm.hysteresis(energy, m0, fields), atol=1e-5)
    shared = tm.hysteresis(energy, torch.stack([m0, -m0]), one)
    assert shared.shape == (3, 2, 3, *MESH.nodes) and torch.sign(shared[:, :, 2, 0, 0]).tolist() == [[1, -1], [1, -1], [-1, -1]]


def test_hysteresis_adds_to_a_field_or_replaces_it():
    energy, m0 = particle()
    bias = sweep(-1.0)[0]
    biased = energy + tm.Zeeman(energy.magnet, bias)
    fields = sweep(0.5)
    added = tm.hysteresis(biased, m0, fields)
    replaced = tm.hysteresis(biased, m0, fields, term="zeeman", params={"uniaxial_anisotropy.Ku": 1e5})
    assert torch.allclose(added[0], tm.minimize(biased, m0, params={"zeeman.H": fields[0] + bias}), atol=1e-5)
    assert torch.equal(replaced[0], tm.minimize(biased, m0, params={"zeeman.H": fields[0]}))
    assert list(biased.terms) == ["uniaxial_anisotropy", "zeeman"]


def test_hysteresis_takes_the_params_of_a_single_term():
    energy, m0 = particle()
    m, records = tm.hysteresis(energy, m0, sweep(-1.0), params={"Ku": 3e5, "magnet.Ms": 8e5}, info=True)
    assert m[0, 2, 0, 0] > 0 and records[0].converged


def test_hysteresis_without_convergence():
    energy, m0 = particle()
    with pytest.raises(tm.ConvergenceError, match=r"hysteresis: field 1 \(.* A/m\)") as caught:
        tm.hysteresis(energy, m0, sweep(0.5, -1.0), max_steps=10)
    assert caught.value.m.shape == (2, 3, *MESH.nodes) and caught.value.info.steps == 10
    m, records = tm.hysteresis(energy, m0, sweep(0.5, -1.0), max_steps=10, info=True)
    assert torch.equal(m, caught.value.m) and [record.converged for record in records] == [True, False]


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"energy": 3}, TypeError, "hysteresis: energy is a int"),
        ({"fields": torch.zeros(3)}, ValueError, r"fields has shape \(3,\), expected \(F, 3\)"),
        ({"fields": torch.zeros(0, 3)}, ValueError, "fields has shape"),
        ({"fields": torch.zeros(2, 2)}, ValueError, "fields has shape"),
        ({"fields": "x"}, TypeError, "hysteresis: fields is a str"),
        ({"fields": torch.tensor([[0.0, 0, math.nan]])}, ValueError, "fields holds values that are not finite"),
        ({"term": "zeeman"}, ValueError, r"term = 'zeeman', expected the name of a Zeeman term of the energy \(has: none\)"),
        ({"params": [1]}, TypeError, "params is a list"),
        ({"method": "x"}, ValueError, "method = 'x'"),
        ({"tolerance": -1}, ValueError, "tolerance = -1"),
    ],
)
def test_wrong_calls_of_hysteresis(options, kind, match):
    energy, m0 = particle()
    given = {"energy": energy, "m0": m0, "fields": sweep(0.0)} | options
    with pytest.raises(kind, match=match):
        tm.hysteresis(given.pop("energy"), given.pop("m0"), given.pop("fields"), **given)


@pytest.mark.parametrize("method", EVERY)
def test_samples_at_rest_are_left_out(method):
    """With parameters and a drive that belong to samples; each reaches the state of its solo run."""
    mesh, sizes = grid((6, 4)), []
    body = tm.Magnet(mesh, 8e5)
    H = torch.tensor([[2e4, 1e4, 0.0], [-8e4, 5e3, 1e4], [0.0, 3e5, 2e4], [1e6, 1e5, 0.0]]).reshape(2, 2, 3, 1, 1)
    A = torch.tensor([1e-11, 2e-11]).reshape(2, 1, 1, 1)
    energy = tm.Exchange(body, A) + tm.Demag(body) + tm.Zeeman(body, lambda t: t / 1e-9 * H)
    variation = energy.exchange._variation
    energy.exchange.__dict__["_variation"] = lambda m, values: (sizes.append(m[..., 0, 0, 0].numel()), variation(m, values))[1]
    m0 = tm.uniform(mesh, (1, 0.25, 0.1))
    m = tm.minimize(energy, m0, t=1e-9, method=method)
    assert sizes[-1] < 4 and sorted(set(sizes[1:]), reverse=True) == list(dict.fromkeys(sizes[1:]))
    for i in range(2):
        for j in range(2):
            one = tm.Exchange(body, A[i, 0]) + tm.Demag(body) + tm.Zeeman(body, H[i, j])
            assert float((m[i, j] - tm.minimize(one, m0, method=method)).abs().max()) < 1e-5
