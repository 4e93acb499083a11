import copy
import math
import pickle

import numpy as np
import pytest
import torch
import torch._dynamo.testing
from torch import nn

import torchmag as tm

MESH = tm.Mesh((3, 2), dx=(5e-9, 4e-9, 3e-9))
CELLS, NODES = MESH.cells, MESH.nodes
A0 = 1.3e-11


def film(Ms=8e5, fraction=None, **options):
    return tm.Magnet(MESH, Ms, fraction, **options)


def m0():
    return tm.random(MESH, seed=0)


def names(magnet, prefix="magnet."):
    """What a body without a fraction writes: its order where it is not 2."""
    return [f"{prefix}Ms", *([f"{prefix}order"] if magnet.order > 2 else [])]


class Law(nn.Module):
    """A material law: a number that trains, times one that does not."""

    def __init__(self, scale):
        super().__init__()
        self.s = nn.Parameter(torch.tensor(1.0))
        self.scale = scale

    def forward(self):
        return self.scale * self.s


class Pulse(nn.Module):
    def __init__(self):
        super().__init__()
        self.amplitude = nn.Parameter(torch.tensor(1e4))

    def forward(self, t):
        return self.amplitude * torch.stack([torch.sin(1e9 * t), torch.cos(1e9 * t), torch.zeros_like(t)])


SAME = {
    "float": lambda: A0,
    "numpy-scalar": lambda: np.float64(A0),
    "0-d": lambda: torch.tensor(A0),
    "map": lambda: torch.full(CELLS, A0),
    "one-axis": lambda: torch.full((3, 1), A0),
    "list": lambda: [[A0, A0]] * 3,
    "array": lambda: np.full(CELLS, A0, dtype=np.float64),
    "parameter": lambda: nn.Parameter(torch.full(CELLS, A0)),
    "module": lambda: Law(A0),
    "callable": lambda: lambda: A0,
    "callable-of-t": lambda: lambda t: torch.full(CELLS, A0) + 0 * t,
    "callable-of-m": lambda: lambda m: A0 * torch.ones_like(m[0, :-1, :-1]),
    "callable-of-both": lambda: lambda m, t: torch.tensor(A0),
    "callable-to-number": lambda: lambda t: A0,
    "derived": lambda: tm.Derived(lambda a, b: a * b, torch.tensor(A0), 1.0),
    "derived-of-t": lambda: tm.Derived(lambda a, b: a * b, torch.tensor(A0), lambda t: 1.0 + 0 * t),
    "positive": lambda: tm.Positive(A0),
    "bounded": lambda: tm.Bounded(A0, 0.0, 1e-10),
    "by-region": lambda: tm.by_region([[0, 1], [1, 2], [0, 2]], {0: A0, 1: A0, 2: A0}),
}


@pytest.mark.parametrize("kind", SAME)
def test_every_kind_of_parameter_gives_the_same_field(kind):
    magnet = film()
    energy = tm.Exchange(magnet, SAME[kind]())
    expected = tm.Exchange(magnet, A0).field(m0())
    # Softplus and sigmoid of their inverses: a few roundings.
    torch.testing.assert_close(energy.field(m0()), expected, rtol=1e-13, atol=0)
    assert energy.field(m0()).dtype == torch.float64
    repr(energy)


# The others are resolved like one of these.
COMPILED = [
    "float",
    "parameter",
    "module",
    "callable-of-t",
    "callable-of-m",
    "callable-to-number",
    "derived-of-t",
    "positive",
    "by-region",
]


@pytest.mark.parametrize("kind", COMPILED)
def test_every_kind_compiles_in_full(kind):
    torch._dynamo.reset()
    llg = tm.LLG(tm.Exchange(film(), SAME[kind]()), 0.1)
    expected = llg(torch.tensor(1e-12), m0())
    llg.compile(fullgraph=True, backend="eager")
    torch.testing.assert_close(llg(torch.tensor(1e-12), m0()), expected, rtol=1e-14, atol=0)


def test_numbers_are_buffers_and_parameters_train():
    magnet = film()
    energy = tm.Exchange(magnet, A0) + tm.UniaxialAnisotropy(magnet, nn.Parameter(torch.tensor(1e4)), (0, 0, 1))
    assert [name for name, _ in energy.named_parameters()] == ["uniaxial_anisotropy.Ku"]
    energy.energy(m0()).backward()
    assert energy.uniaxial_anisotropy.Ku.grad.abs() > 0


def test_an_llg_names_each_tensor_once():
    magnet = film(fraction=torch.full(CELLS, 0.5))
    terms = tm.Exchange(magnet, Law(A0)), tm.Demag(magnet), tm.Zeeman(magnet, (0, 0, 1e4)), tm.Zeeman(magnet, Pulse())
    llg = tm.LLG(tm.Sum(*terms), tm.Positive(0.1))
    assert sorted(llg.state_dict()) == sorted(
        [
            "alpha.raw",
            "gamma",
            *names(magnet, "energy.magnet."),
            "energy.magnet.fraction",
            "energy.exchange.A.s",
            "energy.zeeman.H",
            "energy.zeeman_2.H.amplitude",
        ]
    )
    trained = ["alpha.raw", "energy.exchange.A.s", "energy.zeeman_2.H.amplitude"]
    assert sorted(name for name, _ in llg.named_parameters()) == trained
    assert len({id(module) for module in llg.modules()}) == len(list(llg.modules()))
    assert llg.magnet is magnet and llg.energy.exchange.magnet is magnet


def test_state_dict_round_trip():
    def build(scale):
        magnet = film(scale * 8e5)
        return tm.LLG(tm.Exchange(magnet, tm.Positive(scale * A0, scale=A0)) + tm.Demag(magnet), scale * 0.1)

    one, two = build(1.0), build(2.0)
    two.load_state_dict(one.state_dict())
    assert torch.equal(one(0.0, m0()), two(0.0, m0()))


def test_deepcopy_and_pickle_keep_one_body():
    magnet = film()
    llg = tm.LLG(tm.Exchange(magnet, Law(A0)) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 1e4, (0, 0, 1), 1e3), 0.1)
    for other in (copy.deepcopy(llg), pickle.loads(pickle.dumps(llg))):
        assert torch.equal(other(0.0, m0()), llg(0.0, m0()))
        assert other.magnet is not magnet
        assert all(term.magnet is other.magnet for _, term in other.energy.named_terms())
        other.magnet.Ms = 4e5
        assert not torch.equal(other(0.0, m0()), llg(0.0, m0()))


def test_float32_and_back():
    # Tables and kernels are made anew; what is stored was rounded to 24 bits once.
    magnet = film()
    energy = tm.Sum(tm.Exchange(magnet, A0), tm.UniaxialAnisotropy(magnet, 1e4, (0, 0.6, 0.8), 1e3), tm.Demag(magnet))
    expected = energy.field(m0())
    energy.to(torch.float32)
    assert energy.field(m0().float()).dtype == torch.float32
    assert {buffer.dtype for buffer in energy.buffers()} == {torch.float32}
    energy.to(torch.float64)
    # Four numbers (A, Ms, Ku2, axis) of relative error 2^-24 multiply.
    torch.testing.assert_close(energy.field(m0()), expected, rtol=0, atol=8 * 2.0**-24 * expected.abs().max().item())
    quartic = tm.UniaxialAnisotropy(film(2.0**19), 0.0, (0, 0, 1), 2.0**10)
    expected = quartic.field(m0())
    # Powers of two survive, so nothing but the tables could differ.
    torch.testing.assert_close(quartic.float().double().field(m0()), expected, rtol=1e-14, atol=0)


def test_meta_device():
    magnet = tm.Magnet(MESH, 8e5, device="meta")
    terms = [
        tm.Exchange(magnet, A0),
        tm.Demag(magnet),
        tm.Zeeman(magnet, (0, 0, 1)),
        tm.UniaxialAnisotropy(magnet, 1, (0, 0, 1), 1),
    ]
    llg = tm.LLG(tm.Sum(*terms), 0.1)
    m = tm.uniform(MESH, (0, 0, 1), device="meta")
    assert llg(0.0, m).shape == m.shape and llg.energy.energy(m).shape == ()
    assert "meta" in repr(llg)
    real = tm.LLG(tm.Sum(*(copy.deepcopy(terms))), 0.1)
    on_cpu = film()
    terms = [
        tm.Exchange(on_cpu, A0),
        tm.Demag(on_cpu),
        tm.Zeeman(on_cpu, (0, 0, 1.0)),
        tm.UniaxialAnisotropy(on_cpu, 1, (0, 0, 1), 1),
    ]
    expected = tm.LLG(tm.Sum(*terms), 0.1)
    real = real.to_empty(device="cpu")
    real.load_state_dict(expected.state_dict())
    torch.testing.assert_close(real(0.0, m0()), expected(0.0, m0()), rtol=1e-14, atol=0)


def test_another_default_device_does_not_matter():
    torch.set_default_device("meta")
    try:
        magnet = film(device="cpu")
        energy = tm.Exchange(magnet, A0) + tm.Demag(magnet)
        m = tm.random(MESH, 0, device="cpu")
    finally:
        torch.set_default_device(None)
    assert torch.equal(m, m0())
    magnet = film()
    assert torch.equal(energy.field(m), (tm.Exchange(magnet, A0) + tm.Demag(magnet)).field(m))


def test_no_other_precision():
    with pytest.raises(TypeError, match=r"Magnet: cannot become torch\.float16"):
        tm.Exchange(film(), A0).half()


def test_assignment_replaces_whatever_kind_it_was():
    magnet = film()
    energy = tm.Sum(tm.Exchange(magnet, A0))
    field = energy.field(m0())
    for value in (2 * A0, nn.Parameter(torch.tensor(2 * A0)), Law(2 * A0), lambda t: 2 * A0, torch.full(CELLS, 2 * A0)):
        energy.exchange.A = value
        torch.testing.assert_close(energy.field(m0()), 2 * field, rtol=0, atol=1e-14 * float(field.abs().max()))
    assert list(energy.state_dict()) == [*names(magnet), "exchange.A"]
    energy.exchange.A = lambda: 2 * A0
    assert list(energy.state_dict()) == names(magnet)
    energy.magnet.Ms = 4e5
    torch.testing.assert_close(energy.field(m0()), 4 * field, rtol=0, atol=1e-14 * float(field.abs().max()))


def test_fraction_can_be_assigned_and_taken_away():
    magnet = film()
    energy = tm.Exchange(magnet, A0)
    full = energy.energy(m0())
    magnet.fraction = 0.25
    torch.testing.assert_close(energy.energy(m0()), 0.25 * full, rtol=1e-14, atol=0)
    magnet.fraction = nn.Parameter(torch.full(CELLS, 0.5))
    torch.testing.assert_close(energy.energy(m0()), 0.5 * full, rtol=1e-14, atol=0)
    magnet.fraction = None
    assert torch.equal(energy.energy(m0()), full)
    assert list(magnet.state_dict()) == names(magnet, "")


def test_fraction_multiplies_every_local_density_and_the_moment():
    half, full = film(fraction=0.5), film()
    for make in (lambda x: tm.Exchange(x, A0), lambda x: tm.BulkDMI(x, 1e-3), lambda x: tm.Zeeman(x, (0, 0, 1e5))):
        a, b = make(half), make(full)
        torch.testing.assert_close(a.energy(m0()), 0.5 * b.energy(m0()), rtol=1e-14, atol=0)
        torch.testing.assert_close(a.field(m0()), b.field(m0()), rtol=0, atol=1e-14 * b.field(m0()).abs().max().item())


def test_derived_inputs_that_are_shared_are_evaluated_once():
    calls = []

    def temperature(T):
        calls.append(1)
        return 1 - T / 1000

    T = nn.Parameter(torch.tensor(300.0))
    order = tm.Derived(temperature, T)
    magnet = film(tm.Derived(lambda x: 8e5 * x, order))
    anisotropy = tm.UniaxialAnisotropy(magnet, tm.Derived(lambda x: 1e4 * x**3, order), (0, 0, 1))
    llg = tm.LLG(tm.Exchange(magnet, tm.Derived(lambda x: A0 * x**2, order)) + anisotropy, tm.Derived(lambda x: 0.1 / x, order))
    calls.clear()
    values = llg.prepare()
    assert len(calls) == 1
    llg(0.0, m0(), values).sum().backward()
    assert len(calls) == 1
    assert math.isfinite(T.grad)
    torch.testing.assert_close(values["energy"]["magnet"]["Ms"], torch.tensor(0.7 * 8e5))
    torch.testing.assert_close(values["energy"]["exchange"]["A"], torch.tensor(0.49 * A0), rtol=1e-14, atol=0)


def test_derived_drives_that_are_shared_are_evaluated_once_per_time():
    calls = []

    def heating(t):
        calls.append(float(t))
        return 1 - 1e8 * t

    # The same callable in two Derived, and one of them in two parameters.
    order = tm.Derived(lambda x: x, heating)
    magnet = film(tm.Derived(lambda x: 8e5 * x, order))
    llg = tm.LLG(tm.Exchange(magnet, tm.Derived(lambda x, y: A0 * x * y, order, heating)) + tm.Demag(magnet), 0.1)
    values = llg.prepare()
    assert not calls
    rate = llg(1e-9, m0(), values)
    assert calls == [1e-9]
    fixed = film(0.9 * 8e5)
    expected = tm.LLG(tm.Exchange(fixed, 0.81 * A0) + tm.Demag(fixed), 0.1)(0.0, m0())
    torch.testing.assert_close(rate, expected, rtol=0, atol=1e-13 * expected.abs().max().item())


def test_derived_keeps_numbers_in_full_precision():
    torch.set_default_dtype(torch.float32)
    magnet = film(dtype=torch.float64)
    assert float(tm.Exchange(magnet, tm.Derived(lambda a: a, A0)).prepare()["A"]) == A0


def test_drives():
    magnet = film()
    H = torch.tensor([0.0, 0.0, 1e5])
    for drive in (
        lambda t: H * torch.cos(1e9 * t),
        lambda t, m: H[:, None, None] * torch.cos(1e9 * t) + 0 * m,
        lambda m, t: H * torch.cos(1e9 * t),
    ):
        zeeman = tm.Zeeman(magnet, drive)
        for t in (0.0, 1e-9, torch.tensor(1e-9), torch.tensor(1e-9, dtype=torch.float32), 1):
            expected = H[:, None, None] * math.cos(1e9 * float(t))
            torch.testing.assert_close(zeeman.field(m0(), t), expected.expand(3, *NODES), rtol=1e-14, atol=0)


def test_a_drive_may_return_its_components():
    w = torch.tensor(2.0, requires_grad=True)
    magnet = film()
    plane = 1e3 * torch.rand(NODES)
    for components in (lambda t: (0, w * torch.sin(1e9 * t), 1e4), lambda t: [plane * w, 0.0, t]):
        zeeman = tm.Zeeman(magnet, components)
        expected = torch.stack([torch.as_tensor(c).expand(NODES) for c in components(torch.tensor(1e-9))])
        torch.testing.assert_close(zeeman.field(m0(), 1e-9), expected, rtol=1e-15, atol=0)
        (slope,) = torch.autograd.grad(zeeman.field(m0(), 1e-9).sum(), w)
        assert slope.abs() > 0
        torch._dynamo.reset()
        compiled = torch.compile(zeeman.field, fullgraph=True, backend="eager")
        torch.testing.assert_close(compiled(m0(), torch.tensor(1e-9)), expected, rtol=1e-15, atol=0)


def test_time_reaches_drives_in_float64_whatever_the_magnet():
    seen = []
    magnet = film(dtype=torch.float32)
    llg = tm.LLG(tm.Zeeman(magnet, lambda t: seen.append(t) or (0.0, 0.0, 1.0)), 0.1)
    t = 1 + 1e-12  # lost in float32
    assert llg(t, m0().float()).dtype == torch.float32
    assert (seen[0].dtype, seen[0].ndim, float(seen[0])) == (torch.float64, 0, t)


def test_prepare_overrides_by_full_name():
    magnet = film(fraction=1.0)
    llg = tm.LLG(tm.Exchange(magnet, A0) + tm.Zeeman(magnet, lambda t: (0.0, 0.0, 1e5)), 0.1)
    before = llg(0.0, m0())
    A = torch.full((2, 1, 1), A0) * torch.tensor([1.0, 2.0])[:, None, None]
    params = {"energy.exchange.A": A.requires_grad_(), "alpha": torch.tensor(0.2), "energy.zeeman.H": torch.zeros(3)}
    found = llg(0.0, m0(), llg.prepare(params | {"energy.magnet.Ms": 4e5, "energy.magnet.fraction": torch.ones(CELLS)}))
    other = film(4e5)
    for sample in range(2):
        expected = tm.LLG(tm.Exchange(other, A[sample].detach()), 0.2)(0.0, m0())
        torch.testing.assert_close(found[sample], expected, rtol=0, atol=1e-13 * expected.abs().max().item())
    found.square().sum().backward()
    assert A.grad.abs().min() > 0
    # Nothing stays behind.
    assert torch.equal(llg(0.0, m0()), before)


def test_an_override_of_a_drive_is_constant():
    calls = []
    zeeman = tm.Zeeman(film(), lambda t: calls.append(t) or (0.0, 0.0, 1.0))
    values = zeeman.prepare({"H": torch.tensor([0.0, 0.0, 2.0])})
    assert float(zeeman.field(m0(), 0.0, values)[2, 0, 0]) == 2.0 and not calls


def test_positive():
    p = tm.Positive([[1e-11, 2e-11], [3e-11, 4e-11], [5e-11, 6e-11]])
    torch.testing.assert_close(p(), torch.arange(1, 7).reshape(CELLS) * 1e-11, rtol=1e-14, atol=0)
    assert p.scale == 6e-11
    # A step of size 1 in raw is a step of size scale, and nothing gets to zero.
    before = tm.Positive(A0)
    with torch.no_grad():
        before.raw -= 20
    assert 0 < before().item() < 1e-8 * A0
    assert tm.Positive(A0, scale=1e-11).scale == 1e-11


def test_bounded():
    b = tm.Bounded([0.1, 0.5, 0.9], 0.0, 1.0)
    torch.testing.assert_close(b(), torch.tensor([0.1, 0.5, 0.9]), rtol=1e-14, atol=0)
    with torch.no_grad():
        b.raw += torch.tensor([-1e4, 0.0, 1e4])
    assert b().tolist() == [0.0, 0.5, 1.0]


def test_unit_vector():
    u = tm.UnitVector((0, 3, 4))
    torch.testing.assert_close(u(), torch.tensor([0, 0.6, 0.8]), rtol=1e-15, atol=0)
    field = tm.UnitVector(torch.ones(3, *CELLS), dim=-3)
    torch.testing.assert_close(field().norm(dim=0), torch.ones(CELLS), rtol=1e-15, atol=0)
    (grad,) = torch.autograd.grad(u()[0], u.raw)
    assert abs(float(grad @ u().detach())) < 1e-15  # tangent to the sphere
    tm.UniaxialAnisotropy(film(), 1e4, field).energy(m0()).backward()
    assert field.raw.grad.shape == (3, *CELLS)


@pytest.mark.parametrize(
    "make", [lambda: tm.Positive(A0), lambda: tm.Bounded(0.5, 0, 1), lambda: tm.UnitVector((1, 2, 3)), lambda: Law(2)]
)
def test_constraints_pickle(make):
    module = make()
    assert torch.equal(pickle.loads(pickle.dumps(module))(), module())


WRONG = {
    "positive-zero": (lambda: tm.Positive(0.0), ValueError, "spans 0 to 0, expected > 0"),
    "positive-nan": (lambda: tm.Positive(math.nan), ValueError, "expected > 0 and finite"),
    "positive-text": (lambda: tm.Positive("1"), TypeError, "Positive: value is a str"),
    "positive-scale": (lambda: tm.Positive(1.0, scale=math.inf), ValueError, "scale is inf"),
    "positive-negative-scale": (lambda: tm.Positive(1.0, scale=-1.0), ValueError, "scale is -1.0"),
    "positive-complex": (lambda: tm.Positive(torch.tensor(1j)), TypeError, "expected real numbers"),
    "bounded-at-the-end": (lambda: tm.Bounded(0.0, 0, 1), ValueError, r"expected within \(0, 1\)"),
    "bounded-order": (lambda: tm.Bounded(0.5, 1, 0), ValueError, "lo < hi"),
    "bounded-infinite": (lambda: tm.Bounded(0.5, 0, math.inf), ValueError, "finite bounds"),
    "unit-zero": (lambda: tm.UnitVector((0, 0, 0)), ValueError, "no direction"),
    "unit-nan": (lambda: tm.UnitVector((0, 0, math.nan)), ValueError, "not finite"),
    "unit-two": (lambda: tm.UnitVector((0, 1)), ValueError, "expected 3 along axis"),
    "unit-no-dim": (lambda: tm.UnitVector(torch.ones(3, 2)), ValueError, "say which axis"),
    "unit-far-dim": (lambda: tm.UnitVector(torch.ones(3, 2), dim=5), ValueError, "expected 3 along axis 5"),
    "region-floats": (lambda: tm.by_region([0.5], {0: 1.0}), TypeError, "expected integers"),
    "region-missing": (lambda: tm.by_region([0, 1], {0: 1.0, 2: 1.0}), ValueError, r"without a value: \[1\]; not in ids: \[2\]"),
    "region-text": (lambda: tm.by_region([0, 1], {0: tm.Positive(1.0), 1: "x"}), TypeError, "input 1 is a str"),
    "derived-number": (lambda: tm.Derived(3.0), TypeError, "function is a float"),
    "derived-x": (lambda: tm.Derived(lambda a: a, lambda x: x), TypeError, "takes x"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_constraints_and_laws(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_bounded_never_leaves_its_interval():
    # 0.1 + (0.7 - 0.1) is above 0.7 in floating point.
    bounded = tm.Bounded(0.3, 0.1, 0.7)
    for raw in (-1e3, -40.0, 36.0, 40.0, 1e3):
        with torch.no_grad():
            bounded.raw.fill_(raw)
        for found in (bounded(), copy.deepcopy(bounded).float()()):
            lo, hi = (torch.tensor(x).to(found.dtype) for x in (0.1, 0.7))
            assert lo <= found <= hi


@pytest.mark.parametrize("make", [lambda **o: tm.Positive(3, **o), lambda **o: tm.Bounded(3, 0, 4, **o)])
def test_constraints_have_a_dtype_and_a_device(make):
    assert make().raw.dtype == torch.float64 and make(dtype=torch.float32)().dtype == torch.float32
    assert make(device="meta")().device.type == "meta"
    assert tm.UnitVector(torch.tensor([0, 3, 4]))().tolist() == [0.0, 0.6, 0.8]
    assert tm.UnitVector((0, 3, 4), device="meta")().shape == (3,)
    given = torch.tensor(2.0)
    for constraint in (tm.Positive(given), tm.Bounded(given, 0, 4)):
        with torch.no_grad():
            constraint.raw += 1
        assert float(given) == 2.0


@pytest.mark.parametrize(
    "module",
    [lambda: tm.Positive([0.5, 2.0], scale=0.7), lambda: tm.Bounded([0.5, 2.0], -1, 3), lambda: tm.UnitVector((1, 2, 3))],
)
def test_gradients_of_constraints(module):
    module = module()
    function = lambda raw: torch.func.functional_call(module, {"raw": raw}, ())
    assert torch.autograd.gradcheck(function, (module.raw,)) and torch.autograd.gradgradcheck(function, (module.raw,))


def test_constraints_train_with_one_learning_rate():
    # A in 1e-11, a number near one and a direction, by the same Adam, to their targets.
    A, P, u = tm.Positive(1e-11), tm.Bounded(0.5, 0, 1), tm.UnitVector((1, 0, 0))
    target = torch.tensor([0.0, 0.6, 0.8])
    optimizer = torch.optim.Adam([*A.parameters(), *P.parameters(), *u.parameters()], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (torch.log(A() / 3e-11) ** 2 + (P() - 0.8) ** 2 + (u() - target).square().sum()).backward()
        optimizer.step()
    assert float(A().detach()) == pytest.approx(3e-11, rel=1e-3) and float(P().detach()) == pytest.approx(0.8, rel=1e-3)
    torch.testing.assert_close(u().detach(), target, rtol=0, atol=1e-3)


def test_by_region_of_drives_and_batches():
    ids = torch.tensor([[0, 1], [1, 2], [2, 0]])
    values = torch.tensor([1.0, 2.0]).reshape(2, 1, 1)
    found = tm.by_region(ids, {0: values, 1: 5.0, 2: lambda t: 1e9 * t})
    assert found.depends_on == ("t",)
    expected = [[[a, 5.0], [5.0, 3.0], [3.0, a]] for a in (1.0, 2.0)]
    torch.testing.assert_close(found(torch.tensor(3e-9)), torch.tensor(expected))
    drive = tm.by_region(ids, {0: 1.0, 1: lambda t: 1e9 * t, 2: lambda: 2.0})
    assert drive(torch.tensor(3e-9)).tolist() == [[1.0, 3.0], [3.0, 2.0], [2.0, 1.0]]
    tm.Exchange(film(), tm.by_region(ids, {0: A0, 1: lambda t: A0 * (1 + 1e9 * t), 2: A0})).field(m0(), 1e-10)


def test_directions_are_normalised():
    magnet = film()
    a, b = (tm.UniaxialAnisotropy(magnet, 1e4, axis) for axis in ((0, 0.6, 0.8), (0, 6e-9, 8e-9)))
    torch.testing.assert_close(a.field(m0()), b.field(m0()), rtol=1e-14, atol=0)


def test_by_region():
    ids = torch.tensor([[7, 7], [-1, 3], [3, 7]])
    found = tm.by_region(ids, {-1: 1.0, 3: 2.0, 7: 3.0})
    assert found.tolist() == [[3.0, 3.0], [1.0, 2.0], [2.0, 3.0]]
    assert tm.by_region(ids.numpy(), {-1: 1.0, 3: 2.0, 7: 3.0}, dtype=torch.float32).dtype == torch.float32
    assert tm.by_region(ids > 0, {False: 0.0, True: 1.0}).tolist() == [[1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]


def test_by_region_trains():
    p = nn.Parameter(torch.tensor(A0))
    derived = tm.by_region([[0, 1], [0, 1], [1, 0]], {0: p, 1: tm.Positive(2 * A0)})
    energy = tm.Exchange(film(), derived)
    assert len(list(energy.parameters())) == 2
    energy.energy(m0()).backward()
    ones = torch.tensor([[0, 1], [0, 1], [1, 0]]) * 1.0
    # dE/dp: E is linear in A.
    parts = [float(tm.Exchange(film(), weight).energy(m0())) for weight in (1 - ones, ones)]
    assert float(p.grad) == pytest.approx(parts[0], rel=1e-13)
    assert pickle.loads(pickle.dumps(energy)).energy(m0()) == energy.energy(m0())


BATCHED = {
    "magnet.Ms": lambda: 4e5 + 4e5 * torch.rand(4, *CELLS),
    "magnet.fraction": lambda: torch.rand(4, *CELLS),
    "exchange.A": lambda: A0 * (1 + torch.rand(4, 1, 1)),
    "uniaxial_anisotropy.Ku": lambda: 1e4 * torch.rand(4, 3, 1),
    "uniaxial_anisotropy.axis": lambda: torch.randn(4, 3, 1, 1),
    "bulk_dmi.D": lambda: 1e-3 * torch.rand(4, *CELLS),
    "zeeman.H": lambda: 1e5 * torch.randn(4, 3, *NODES),
}


def everything():
    magnet = film(fraction=1.0)
    local = tm.Exchange(magnet, A0), tm.UniaxialAnisotropy(magnet, 1e4, (0, 0, 1)), tm.BulkDMI(magnet, 1e-3)
    return tm.Sum(*local, tm.Demag(magnet), tm.Zeeman(magnet, (0, 0, 1e5)))


@pytest.mark.parametrize("batched_m", [False, True])
@pytest.mark.parametrize("name", BATCHED)
def test_batched_parameters_are_a_loop(name, batched_m):
    torch.manual_seed(0)
    energy, batch = everything(), BATCHED[name]()
    m = torch.stack([tm.random(MESH, seed) for seed in range(4)]) if batched_m else m0()
    values = energy.prepare({name: batch})
    found = energy.energy(m, 0.0, values), energy.field(m, 0.0, values), energy.density_map(m, 0.0, values)
    assert [x.shape for x in found] == [(4,), (4, 3, *NODES), (4, *CELLS)]
    assert energy.gradient(m, 0.0, values).shape == (4, 3, *NODES)
    for sample in range(4):
        one = energy.prepare({name: batch[sample]})
        x = m[sample] if batched_m else m
        expected = energy.energy(x, 0.0, one), energy.field(x, 0.0, one), energy.density_map(x, 0.0, one)
        for a, b in zip(found, expected):
            torch.testing.assert_close(a[sample], b, rtol=0, atol=1e-13 * b.abs().max().item())


def test_two_batches_broadcast():
    energy = everything()
    values = energy.prepare({"exchange.A": A0 * torch.rand(2, 1, 1, 1), "zeeman.H": torch.randn(5, 3, 1, 1)})
    assert energy.energy(m0(), 0.0, values).shape == (2, 5)
    assert tm.LLG(energy, torch.rand(3, 1, 1, 1, 1))(0.0, m0()).shape == (3, 1, 1, 3, *NODES)


def test_fields_of_the_terms_have_the_batch_of_m():
    energy = everything()
    m = torch.stack([m0(), m0()])
    assert {x.shape for x in energy.fields(m).values()} == {m.shape}
    assert {x.shape for x in energy.energies(m).values()} == {(2,)}
    torch.testing.assert_close(sum(energy.fields(m).values()), energy.field(m))
    torch.testing.assert_close(sum(energy.energies(m).values()), energy.energy(m))


def test_vmap_is_a_loop_too():
    llg = tm.LLG(everything(), 0.1)
    m = torch.stack([tm.random(MESH, seed) for seed in range(3)])
    expected = llg(0.0, m)
    atol = 1e-13 * expected.abs().max().item()
    torch.testing.assert_close(torch.func.vmap(lambda x: llg(0.0, x))(m), expected, rtol=0, atol=atol)
    one = m0()
    A = A0 * torch.rand(3, *CELLS)
    over_A = torch.func.vmap(lambda a: llg(0.0, one, llg.prepare({"energy.exchange.A": a})))(A)
    torch.testing.assert_close(over_A, llg(0.0, one, llg.prepare({"energy.exchange.A": A})), rtol=0, atol=atol)
    t = torch.linspace(0, 1e-9, 3)
    driven = tm.LLG(tm.Zeeman(film(), Pulse()), 0.1)
    over_t = torch.func.vmap(driven, in_dims=(0, None))(t, one)
    torch.testing.assert_close(over_t, torch.stack([driven(s, one) for s in t]), rtol=0, atol=atol)


def test_forward_mode():
    energy = everything()
    v = torch.randn(3, *NODES, generator=torch.Generator().manual_seed(0))
    value, slope = torch.func.jvp(energy.energy, (m0(),), (v,))
    assert float(slope) == pytest.approx(float((energy.gradient(m0()) * v).sum()), rel=1e-12)


# Sizes of one unit, so that gradcheck sees numbers of order one; E in units of 1e-19 J, H of 1e5 A/m.
SCALE = {
    "magnet.Ms": 8e5,
    "magnet.fraction": 1.0,
    "exchange.A": A0,
    "uniaxial_anisotropy.Ku": 1e5,
    "uniaxial_anisotropy.axis": 1.0,
    "bulk_dmi.D": 3e-3,
    "zeeman.H": 1e5,
}


@pytest.mark.parametrize("name", SCALE)
def test_gradients_in_every_parameter(name):
    mesh = tm.Mesh((2, 1), dx=(5e-9, 4e-9, 3e-9))
    magnet = tm.Magnet(mesh, 8e5, 1.0)
    local = tm.Exchange(magnet, A0), tm.UniaxialAnisotropy(magnet, 1e5, (0, 0, 1)), tm.BulkDMI(magnet, 3e-3)
    energy = tm.Sum(*local, tm.Demag(magnet), tm.Zeeman(magnet, (0, 0, 1e5)))
    shape = {"uniaxial_anisotropy.axis": (3, *mesh.cells), "zeeman.H": (3, *mesh.nodes)}.get(name, mesh.cells)
    s = (0.4 + 0.5 * torch.rand(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()
    m = tm.random(mesh, 0).requires_grad_()

    def both(s, m):
        values = energy.prepare({name: s * SCALE[name]})
        return energy.energy(m, 0.0, values) / 1e-19, energy.field(m, 0.0, values) / 1e5

    # Projected on random directions: every entry would cost seconds a parameter.
    assert torch.autograd.gradcheck(both, (s, m), fast_mode=True)
    assert torch.autograd.gradgradcheck(both, (s, m), fast_mode=True)


def test_gradients_in_alpha():
    mesh = tm.Mesh((2, 1), dx=(5e-9, 4e-9, 3e-9))
    llg = tm.LLG(tm.Zeeman(tm.Magnet(mesh, [[8e5], [4e5]]), (0, 0, 1e5)), 0.1)
    alpha, m = torch.tensor([[0.2], [0.7]], requires_grad=True), tm.random(mesh, 0).requires_grad_()

    def rate(alpha, m):
        return llg(0.0, m, llg.prepare({"alpha": alpha})) / 1e10

    assert torch.autograd.gradcheck(rate, (alpha, m)) and torch.autograd.gradgradcheck(rate, (alpha, m))


def test_vacuum_has_zero_field_and_finite_gradients():
    Ms = torch.tensor([[0.0, 0.0], [0.0, 8e5], [8e5, 8e5]])
    for body in (lambda: tm.Magnet(MESH, Ms), lambda: tm.Magnet(MESH, 8e5, (Ms > 0).double())):
        magnet = body()
        local = tm.Exchange(magnet, A0), tm.UniaxialAnisotropy(magnet, 1e4, (0, 0, 1), 1e3), tm.BulkDMI(magnet, 1e-3)
        llg = tm.LLG(tm.Sum(*local, tm.Demag(magnet), tm.Zeeman(magnet, (0, 0, 1e5))), torch.full(CELLS, 0.1))
        empty = torch.zeros(NODES, dtype=torch.bool)
        empty[:2, 0] = empty[0] = True
        m = torch.where(empty, 0.0, m0()).requires_grad_()
        sizes = {f"energy.{name}": size for name, size in SCALE.items() if name != "uniaxial_anisotropy.axis"} | {"alpha": 0.1}
        sizes = {name: size for name, size in sizes.items() if magnet.fraction is not None or name != "energy.magnet.fraction"}
        shapes = {"energy.zeeman.H": (3, *NODES)}
        params = {n: torch.full(shapes.get(n, CELLS), size, requires_grad=True) for n, size in sizes.items()}
        present = (Ms > 0).double()
        for name in ("energy.magnet.fraction",) if magnet.fraction is not None else ("energy.magnet.Ms",):
            params[name] = (present * sizes[name]).requires_grad_()
        rate = llg(0.0, m, llg.prepare(params))
        assert not rate[:, empty].any() and rate[:, ~empty].any()
        for term in llg.energy.fields(m).values():
            assert not term[:, empty].any()
        (rate / 1e10).square().sum().backward()
        assert torch.isfinite(m.grad).all()
        for name, value in params.items():
            assert torch.isfinite(value.grad).all(), name


def test_float_times_do_not_recompile():
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    llg = tm.LLG(tm.Zeeman(film(), Pulse()), 0.1)
    llg.compile(fullgraph=True, backend=counter)
    for number in range(12):
        llg(number * 1e-12, m0())
    # The first time as a constant, then any.
    assert counter.frame_count <= 2
    for number in range(12):
        llg(torch.tensor(number * 1e-12), m0())
    assert counter.frame_count <= 3


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_llg_with_every_kind_of_drive(backend):
    torch._dynamo.reset()
    T = tm.Derived(lambda x: 1 - x, nn.Parameter(torch.tensor(0.3)))
    magnet = film(tm.Derived(lambda x, y: 8e5 * x * y, T, lambda t: 1 - 1e8 * t))
    local = (
        tm.Exchange(magnet, tm.Derived(lambda x: A0 * x**2, T)),
        tm.UniaxialAnisotropy(magnet, tm.Positive(1e4), tm.UnitVector((0, 1, 1))),
    )
    field = tm.Zeeman(magnet, Pulse()), tm.Zeeman(magnet, lambda t, m: 1e3 * m * torch.cos(1e9 * t))
    llg = tm.LLG(tm.Sum(*local, *field, tm.Demag(magnet)), tm.Bounded(0.1, 0, 1))
    t = torch.tensor(1e-9)
    expected = llg(t, m0())
    slopes = torch.autograd.grad(expected.square().sum(), list(llg.parameters()))
    llg.compile(fullgraph=True, backend=backend)
    found = llg(t, m0())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-13 * expected.abs().max().item())
    for a, b in zip(torch.autograd.grad(found.square().sum(), list(llg.parameters())), slopes):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=0)


def test_a_default_fraction_can_be_overridden():
    energy = tm.Exchange(film(), A0)
    half = energy.energy(m0(), 0.0, energy.prepare({"magnet.fraction": torch.full(CELLS, 0.5)}))
    torch.testing.assert_close(half, 0.5 * energy.energy(m0()))


def test_batches_that_do_not_broadcast_are_named():
    energy = tm.Exchange(film(torch.full((2, *CELLS), 8e5)), torch.full((4, 1, 1), A0))
    with pytest.raises(ValueError, match=r"the batch of magnet.Ms, \(2,\), does not broadcast against .* \(A \(4,\)\)"):
        energy.energy(m0())
    llg = tm.LLG(tm.Exchange(film(), torch.full((3, 1, 1), A0)), torch.full((2, 1, 1), 0.1))
    with pytest.raises(ValueError, match=r"the batch of energy.exchange.A, \(3,\), .* \(alpha \(2,\)\)"):
        tm.solve(llg, m0(), [0.0, 1e-12])


def test_a_term_on_another_body_cannot_replace_one():
    energy = tm.Sum(tm.Exchange(film(), A0))
    with pytest.raises(ValueError, match="another Magnet"):
        energy.exchange = tm.Exchange(film(1e5), A0)


CONVERTS_THE_BODY = pytest.mark.xfail(
    strict=True, raises=RuntimeError, reason="it converts the shared body and leaves the other terms as they were"
)


@pytest.mark.parametrize("order", [pytest.param(2, marks=CONVERTS_THE_BODY), 6])
def test_conversion_of_one_term_of_several(order):
    magnet = film(order=order)
    energy = tm.Exchange(magnet, A0) + tm.UniaxialAnisotropy(magnet, 1.0, (0, 0, 1), 1.0)
    energy.exchange.float()
    assert energy.field(m0().float()).dtype == torch.float32


def test_what_is_remembered_follows_every_change():
    magnet = film(torch.full(CELLS, 8e5))
    llg = tm.LLG(tm.Exchange(magnet, A0) + tm.Demag(magnet) + tm.Zeeman(magnet, (0, 0, 1e4)), torch.full(CELLS, 0.1))

    def require_fresh():
        found = llg(0.0, m0())
        assert torch.equal(found, llg(0.0, m0()))
        assert torch.equal(found, llg(0.0, m0(), llg.prepare()))
        assert torch.equal(llg.energy.field(m0()), llg.energy.field(m0(), values=llg.energy.prepare()))
        return found

    seen = [require_fresh()]
    for change in (
        lambda: llg.energy.exchange.A.mul_(2),
        lambda: setattr(llg.energy.exchange, "A", 3e-11),
        lambda: magnet.Ms[0, 0].mul_(0.5),
        lambda: setattr(magnet, "fraction", torch.rand(CELLS, generator=torch.Generator().manual_seed(0))),
        lambda: setattr(llg, "alpha", 0.5),
        lambda: setattr(llg.energy.zeeman, "H", lambda t: torch.tensor([0.0, 1e5, 0.0])),
        lambda: setattr(llg.energy.zeeman, "H", lambda t: torch.tensor([1e5, 0.0, 0.0])),
        lambda: setattr(llg.energy.exchange, "A", tm.Derived(lambda A: 2 * A, nn.Parameter(torch.tensor(1e-11)))),
        lambda: setattr(llg.energy.exchange, "A", nn.Parameter(torch.tensor(1e-11))),
        lambda: llg.energy.exchange.A.data.mul_(2),
        lambda: setattr(llg.energy.exchange, "A", torch.tensor(5e-11)),
        lambda: llg.load_state_dict({name: 1.5 * x if "A" in name else x for name, x in llg.state_dict().items()}),
    ):
        with torch.no_grad():
            change()
        seen.append(require_fresh().detach())
        assert not torch.equal(seen[-1], seen[-2])
    with torch.inference_mode():
        llg(0.0, m0())
    llg(0.0, m0().requires_grad_()).sum().backward()
    replaced = torch.func.functional_call(llg, {"energy.exchange.A": torch.tensor(1e-12)}, (0.0, m0()))
    assert not torch.equal(replaced, seen[-1]) and torch.equal(require_fresh(), seen[-1])
    llg.energy.zeeman.H = (0, 0, 1e4)
    require_fresh()
    assert "_remembered" not in pickle.loads(pickle.dumps(llg)).__dict__
    llg.float()
    assert llg(0.0, m0().float()).dtype == torch.float32
