"""The terms of a Sum evaluated together against each on its own."""

import copy
import pickle

import pytest
import torch
from every_term import CASES, body, terms
from torch.utils._python_dispatch import TorchDispatchMode

import torchmag as tm
from torchmag.testing import check_derivatives, require_close

MESH = tm.Mesh((4, 3), (2e-9, 3e-9, 2.5e-9))


def one_by_one(energy, m, values=None):
    """The field as the sum of those of the terms."""
    return sum(energy.fields(m, values=values).values())


def check(energy, m, values=None):
    """To 1e-12 of the largest field of one term: they may cancel."""
    fields = energy.fields(m, values=values)
    scale = max(float(field.abs().max()) for field in fields.values())
    error = float((energy.field(m, values=values) - sum(fields.values())).abs().max())
    assert error <= 1e-12 * scale, error / scale


def uniform_terms(magnet):
    """Terms of one number, or one vector, for the body."""
    return {
        "exchange": tm.Exchange(magnet, 1e-11),
        "uniaxial": tm.UniaxialAnisotropy(magnet, 1e6, (0, 0.6, 0.8)),
        "interface": tm.InterfaceDMI(magnet, -2e-3, (0, 0.6, 0.8)),
        "bulk": tm.BulkDMI(magnet, 3e-3),
        "dmi": tm.DMI(magnet, torch.linspace(-1e-3, 1e-3, 27).reshape(3, 3, 3).to(magnet.reference)),
        "fourth": tm.UniaxialAnisotropy(magnet, 5e5, (1, 0, 0), Ku2=2e5),
        "zeeman": tm.Zeeman(magnet, (0, 0, 1e5)),
    }


def film(order=2, fraction=None):
    return tm.Magnet(MESH, 8e5, fraction, order=order)


def masked(order=2):
    fraction = torch.ones(MESH.cells)
    fraction[0, 0] = 0
    fraction[-1, -1] = 0.5
    return film(order, fraction)


def some(magnet):
    """Exchange, anisotropy and DMI with numbers."""
    every = uniform_terms(magnet)
    return tm.Sum(**{name: every[name] for name in ("exchange", "uniaxial", "interface")})


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("case", CASES)
def test_every_term_with_maps(case, order):
    mesh, axis = CASES[case]
    old = body(mesh, axis)
    magnet = tm.Magnet(mesh, old.Ms, old.fraction, order=order)
    check(tm.Sum(**terms(magnet, axis)), tm.random(mesh, seed=1))


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("case", ["1d", "2d", "2d, images along x", "3d, periodic everywhere"])
def test_every_term_with_numbers(case, order):
    mesh, _ = CASES[case]
    for fraction in (None, 0.5, torch.linspace(0, 1, mesh.cells[0]).reshape(-1, *(1,) * (mesh.dim - 1)).expand(mesh.cells)):
        magnet = tm.Magnet(mesh, 8e5, fraction, order=order)
        energy = tm.Sum(**uniform_terms(magnet))
        check(energy, tm.random(mesh, seed=1))
        check(energy, torch.stack([tm.random(mesh, seed=2), tm.random(mesh, seed=3)]))


@pytest.mark.parametrize("order", [2, 4, 6])
def test_overrides_and_batches_of_parameters(order):
    energy, m = some(masked(order)), tm.random(MESH, seed=1)
    batch = torch.tensor([1e-11, 2e-11]).reshape(2, 1, 1)
    axis = torch.tensor([[0.0, 0, 1], [1, 0, 0]]).reshape(2, 3, 1, 1)
    fraction = torch.rand(2, *MESH.cells, generator=torch.Generator().manual_seed(1))
    for params in (
        {"exchange.A": batch},
        {"exchange.A": batch, "uniaxial.axis": axis},
        {"uniaxial.Ku": 1e6 * fraction, "exchange.A": batch},
        {"magnet.fraction": fraction},
        {"magnet.fraction": batch * 1e10, "interface.D": 1e-3 * fraction[0]},
    ):
        values = energy.prepare(params)
        check(energy, m, values)
        check(energy, torch.stack([m, m.flip(-1)]), values)


@pytest.mark.parametrize("order", [2, 6])
def test_derivatives(order):
    for magnet in (film(order), masked(order)):
        energy, m = some(magnet), tm.random(MESH, seed=1).requires_grad_()
        params = {
            "exchange.A": torch.tensor(1e-11),
            "uniaxial.Ku": 1e6 * torch.ones(MESH.cells),
            "interface.D": torch.tensor(2e-3),
        }
        leaves = [m, *(value.requires_grad_() for value in params.values())]
        found = []
        for field in (energy.field, lambda m, values: one_by_one(energy, m, values)):  # noqa: B023
            loss = field(m, values=energy.prepare(params)).pow(2).sum()
            first = torch.autograd.grad(loss, leaves, create_graph=True)
            second = torch.autograd.grad(first[0].pow(2).sum(), leaves)
            found.append([*first, *second])
        for got, expected in zip(*found):
            require_close(got, expected, "a derivative", 1e-11)


def test_gradcheck_of_the_field():
    class Both(tm.LocalEnergy):
        @staticmethod
        def density(m, A: tm.forms.Scalar, K: tm.forms.Scalar, n: tm.forms.Vector):
            return A * tm.forms.dot(tm.forms.grad(m), tm.forms.grad(m)) + K * tm.forms.dot(m, n) ** 2

    check_derivatives(Both(film(), 1e-11, 1e6, (0.0, 0.6, 0.8)), tm.random(MESH, seed=1))


@pytest.mark.parametrize("order", [2, 6])
def test_compiled_vmap_and_jvp(order):
    for magnet in (film(order), masked(order)):
        energy, m, v = some(magnet), tm.random(MESH, seed=1), tm.random(MESH, seed=2)
        expected = one_by_one(energy, m)
        torch.compiler.reset()
        require_close(torch.compile(energy, fullgraph=True, backend="eager")(m), expected, "compiled", 1e-12)
        batch = torch.stack([m, v])
        require_close(torch.vmap(energy.field)(batch), energy.field(batch), "vmap", 1e-12)
        # The field is linear in m.
        require_close(torch.func.jvp(energy.field, (m,), (v,))[1], energy.field(v), "jvp", 1e-12)


def test_what_says_its_own_variation_is_asked():
    class Half(tm.Exchange):
        def _variation(self, m, values):
            return 0.5 * super()._variation(m, values)

    magnet, m = film(), tm.random(MESH, seed=1)
    terms = (tm.UniaxialAnisotropy(magnet, 1e6, (0, 0, 1)), tm.BulkDMI(magnet, 1e-3))
    half, whole = (tm.Sum(*terms, **{name: kind(magnet, 1e-11)}) for name, kind in (("scaled", Half), ("plain", tm.Exchange)))
    require_close(half.field(m), one_by_one(half, m), "a subclass", 1e-12)
    whole.plain.__dict__["_variation"] = half.scaled._variation
    require_close(whole.field(m), half.field(m), "of the object", 1e-12)


def test_hooks_of_the_terms_are_not_called():
    energy, called = some(film()), []
    energy.uniaxial.register_forward_hook(lambda *_: called.append(1))
    energy.field(tm.random(MESH, seed=1))
    assert not called


def test_nothing_is_kept():
    energy, m = some(film()), tm.random(MESH, seed=1)
    keys, names = set(energy.state_dict()), [name for name, _ in energy.named_modules()]
    field = energy.field(m)
    assert set(energy.state_dict()) == keys and [name for name, _ in energy.named_modules()] == names
    for other in (copy.deepcopy(energy), pickle.loads(pickle.dumps(energy))):
        assert torch.equal(other.field(m), field)
    called = torch.func.functional_call(energy, {"uniaxial.Ku": torch.tensor(0.0), "exchange.A": torch.tensor(0.0)}, (m,))
    require_close(called, energy.fields(m)["interface"], "functional_call", 1e-12)
    energy.uniaxial = tm.UniaxialAnisotropy(energy.magnet, 3e6, (1, 0, 0))
    check(energy, m)
    single = energy.float().field(m.float())
    assert single.dtype == torch.float32
    check(energy.double(), m)
    # Made in inference mode, used in a graph.
    fresh = some(film())
    with torch.inference_mode():
        fresh.field(m)
    fresh.field(m.clone().requires_grad_()).sum().backward()


def test_autocast_changes_nothing():
    magnet = tm.Magnet(MESH, 8e5, dtype=torch.float32)
    energy, m = some(magnet), tm.random(MESH, seed=1).float()
    with torch.autocast("cpu", torch.bfloat16):
        require_close(energy.field(m), one_by_one(some(magnet), m), "in autocast", 1e-6)


class Count(TorchDispatchMode):
    calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += 1
        return function(*args, **(kwargs or {}))


def test_operators_of_an_evaluation():
    # With the stray field, which adds 20 where it is compiled: 345 if each term is on its own.
    magnet = tm.Magnet(tm.Mesh((16, 16), (1e-9,) * 3), 5.8e5)
    energy = some(magnet) + tm.Zeeman(magnet, (0, 0, 1e4))
    m, values = tm.random(magnet.mesh, seed=1), energy.prepare()
    with torch.no_grad():
        energy.field(m, values=values)  # makes the tables of compiled code
        with Count() as count:
            energy.field(m, values=values)
    assert count.calls <= 70
