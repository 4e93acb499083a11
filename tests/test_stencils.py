"""The compiled stencils: equal to those in torch on every shape, differentiable, one operator of a graph."""

import itertools

import pytest
import torch

import torchmag as tm
from torchmag import layout, local, stencils
from torchmag.bands import encode_terms
from torchmag.midpoints import MOMENT, SLOPE, VALUE, Midpoints, links
from torchmag.stencils import Stencils

pytestmark = pytest.mark.skipif(not stencils.available(), reason="there is no C++ compiler")

# (nodes, periodic): one axis and all; shorter than a stencil, and longer than the rows at its ends.
GRIDS = [
    ((30,), (False,)),
    ((31,), (True,)),
    ((2,), (False,)),
    ((1,), (True,)),
    ((4,), (True,)),
    ((5,), (False,)),
    ((12, 40), (False, True)),
    ((33, 7), (False, False)),
    ((6, 5, 31), (False, True, False)),
    ((3, 30, 4), (False, False, False)),
    ((27, 2, 29), (False, False, True)),
]
LOCAL = [(0, 0, SLOPE, SLOPE), (0, 2, VALUE, SLOPE), (2, 0, SLOPE, VALUE), (1, 1, SLOPE, SLOPE)]


def patterns(dim):
    """Values and slopes along any axes, moments along all."""
    yield from (p for p in itertools.product((None, VALUE, SLOPE), repeat=dim) if any(p))
    yield (MOMENT,) * dim


def bodies(nodes, periodic, dtype):
    """None, and maps with empty cells: one of all samples, one of each."""
    cells = [n - (not wraps) for n, wraps in zip(nodes, periodic)]
    generator = torch.Generator().manual_seed(0)
    yield None
    for batch in ((), (2,)):
        draw = lambda: torch.rand(*batch, *cells, generator=generator, dtype=dtype)  # noqa: B023
        yield links((draw() + 0.2) * (draw() > 0.3), nodes, periodic)


def there_at(body, pattern, like):
    """1 where a body has the links along the only axis of a pattern."""
    axes = [axis for axis, kind in enumerate(pattern) if kind]
    if body is None or MOMENT in pattern or len(axes) > 1:
        return torch.ones_like(like)
    weights = body.weights[axes[0]]
    batch = weights.ndim - len(pattern)
    return (
        (weights > 0)
        .to(like)
        .reshape(*weights.shape[:batch], *(1,) * (like.ndim - weights.ndim), *weights.shape[batch:])
        .expand_as(like)
    )


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize(("nodes", "periodic"), GRIDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_those_of_torch(order, nodes, periodic, dtype, tolerance):
    plain, fast = Midpoints(order, periodic), Stencils(order, periodic)
    x = torch.randn(2, 3, *nodes, generator=torch.Generator().manual_seed(1), dtype=dtype)
    for body, pattern in itertools.product(bodies(nodes, periodic, dtype), patterns(len(nodes))):
        expected = plain.there(x, pattern, body)
        there = there_at(body, pattern, expected)
        torch.testing.assert_close(there * fast.there(x, pattern, body), there * expected, rtol=0, atol=tolerance)
        y = there * torch.randn(there.shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
        torch.testing.assert_close(fast.back(y, pattern, body), plain.back(y, pattern, body), rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("nodes", "periodic"),
    [*GRIDS, ((9,), (False,)), ((10,), (True,)), ((3,), (True,)), ((2,), (True,)), ((2, 12), (True, False))],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_smoothing(nodes, periodic, dtype, tolerance):
    """That of torch, its transpose, and what is uniform as it was."""
    plain, fast = Midpoints(6, periodic), Stencils(6, periodic)
    x, y = torch.randn(2, 2, 3, *nodes, generator=torch.Generator().manual_seed(1), dtype=dtype)
    every = [axes for count in range(1, 1 + len(nodes)) for axes in itertools.combinations(range(len(nodes)), count)]
    for body, axes in itertools.product(bodies(nodes, periodic, dtype), every):
        there, back = fast.smooth(x, axes, body), fast.smooth(y, axes, body, transposed=True)
        torch.testing.assert_close(there, plain.smooth(x, axes, body), rtol=0, atol=tolerance)
        torch.testing.assert_close(back, plain.smooth(y, axes, body, transposed=True), rtol=0, atol=tolerance)
        torch.testing.assert_close((there * y).sum(), (x * back).sum(), rtol=0, atol=100 * tolerance)
        # What is uniform stays so, and so does its lumped mass.
        ones = torch.ones_like(x)
        assert torch.equal(fast.smooth(ones, axes, body), ones)
        if body is None:
            mass = layout.shares(nodes, periodic, x).expand(x.shape)
            torch.testing.assert_close(fast.smooth(mass, axes, transposed=True), mass, rtol=0, atol=tolerance)


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize(
    ("nodes", "periodic"),
    [((60,), (False,)), ((61,), (True,)), ((40, 33), (False, False)), ((40, 34), (False, True)), ((41, 8), (True, True))],
)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
@pytest.mark.parametrize("threads", [1, 3])
def test_moments_in_a_body_that_stays(order, nodes, periodic, dtype, tolerance, threads):
    """From some calls on only what differs from a full body is taken at its edges; not where all differs, and not of a new body there."""
    fast, plain, before = Stencils(order, periodic), Midpoints(order, periodic), torch.get_num_threads()
    cells = [n - (not wraps) for n, wraps in zip(nodes, periodic)]
    place = [(torch.arange(n, dtype=dtype) - n / 2) / (n / 2) for n in cells]
    round_ = (sum(x**2 for x in torch.meshgrid(*place, indexing="ij")) < 0.7).to(dtype)
    rough = round_ * (0.5 + torch.rand(cells, generator=torch.Generator().manual_seed(0), dtype=dtype))
    body, pattern = links(round_, nodes, periodic), (MOMENT,) * len(nodes)
    torch.set_num_threads(threads)
    try:
        for fraction in (round_, rough, round_.flip(0)):
            new = links(fraction, nodes, periodic)
            for old, other in zip((*body.weights, body.inverse), (*new.weights, new.inverse)):
                old.copy_(other)
            for seed in range(18):
                draw = torch.Generator().manual_seed(seed)
                x = torch.randn(2, 3, *nodes, generator=draw, dtype=dtype)
                y = fraction * torch.randn(2, 3, *cells, generator=draw, dtype=dtype)
                there, back = fast.there(x, pattern, body), fast.back(y, pattern, body)
                torch.testing.assert_close(fraction * there, fraction * plain.there(x, pattern, body), rtol=0, atol=tolerance)
                torch.testing.assert_close(back, plain.back(y, pattern, body), rtol=0, atol=tolerance)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize(("nodes", "periodic"), [*GRIDS, ((17,), (True,)), ((9, 8, 10), (True, True, False))])
@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("threads", [1, 3])
def test_moments_whose_weights_train(order, nodes, periodic, batch, threads):
    """The gradients of the links are those of torch's own operators, there and back, first and second."""
    plain, fast, before = Midpoints(order, periodic), Stencils(order, periodic), torch.get_num_threads()
    cells = [n - (not wraps) for n, wraps in zip(nodes, periodic)]
    draw, pattern = torch.Generator().manual_seed(0), (MOMENT,) * len(nodes)
    fraction = (torch.rand(*batch, *cells, generator=draw) + 0.2) * (torch.rand(*batch, *cells, generator=draw) > 0.2)
    x, y = (torch.randn(2, 3, *grid, generator=draw) for grid in (nodes, cells))
    torch.set_num_threads(threads)
    try:
        found = []
        for operators in (plain, fast):
            leaves = [tensor.clone().requires_grad_() for tensor in (fraction, x, y)]
            body = links(leaves[0], nodes, periodic)
            for result, like in ((operators.there(leaves[1], pattern, body), y), (operators.back(leaves[2], pattern, body), x)):
                weight = torch.cos(like)
                first = torch.autograd.grad(
                    (weight * result).sum(), leaves, create_graph=True, allow_unused=True, materialize_grads=True
                )
                once = torch.autograd.grad(
                    (weight * result).sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                second = torch.autograd.grad(
                    sum(g.square().sum() for g in first), leaves, retain_graph=True, allow_unused=True, materialize_grads=True
                )
                found.append([result.detach(), *once, *(g.detach() for g in first), *second])
    finally:
        torch.set_num_threads(before)
    for expected, own in zip(found[:2], found[2:]):
        for a, b in zip(expected, own):
            torch.testing.assert_close(b, a, rtol=0, atol=1e-11 * float(a.abs().max()) + 1e-13)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads(threads):
    """Fields large enough to be shared, and samples for each thread."""

    def found(batch, nodes, count):
        periodic, before = (False,) * len(nodes), torch.get_num_threads()
        operator = Stencils(6, periodic)
        x = torch.randn(*batch, 3, *nodes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert x.numel() > stencils.SMALL
        torch.set_num_threads(count)
        try:
            for body in itertools.islice(bodies(nodes, periodic, x.dtype), 2):
                for axes in ((0,), range(len(nodes))):
                    yield operator.smooth(x, axes, body)
                    yield operator.smooth(x, axes, body, transposed=True)
                for pattern in patterns(len(nodes)):
                    yield operator.there(x, pattern, body)
                    yield operator.back(torch.ones_like(operator.there(x, pattern, body)), pattern, body)
            yield local.apply(
                operator,
                x,
                [(*LOCAL[1][:2], 0, *LOCAL[1][2:], 0), (*LOCAL[3][:2], 1, *LOCAL[3][2:], 1)],
                x.new_tensor([2.0, 3.0]),
            )
        finally:
            torch.set_num_threads(before)

    for batch, nodes in (((), (90, 80)), ((4,), (40, 50)), ((), (20, 21, 22))):
        for several, one in zip(found(batch, nodes, threads), found(batch, nodes, 1)):
            torch.testing.assert_close(several, one, rtol=0, atol=1e-13)


@pytest.mark.parametrize("order", [4, 6])
@pytest.mark.parametrize(("nodes", "periodic"), GRIDS)
def test_local_terms_are_products(order, nodes, periodic):
    """The operator of linear terms beside its factors, and its derivatives with respect to both arguments."""
    pairs = itertools.product(range(len(nodes)), LOCAL)
    terms = [(target, origin, axis, outer, inner, number) for number, (axis, (target, origin, outer, inner)) in enumerate(pairs)]
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, *nodes, generator=generator, dtype=torch.float64)
    c = torch.randn(len(terms), generator=generator, dtype=torch.float64)
    apply = lambda x, c: local.apply(Stencils(order, periodic), x, terms, c)
    numbers = tuple(encode_terms(order, nodes, periodic, terms))
    torch.testing.assert_close(apply(x, c), local._by_torch(x, c, numbers), rtol=0, atol=1e-12)
    if x.numel() < 100:
        inputs = x.requires_grad_(), c.requires_grad_()
        assert torch.autograd.gradcheck(apply, inputs, check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(apply, inputs)


def test_any_order_in_memory():
    """Components last in memory: the fields of those that are side by side."""
    operator = Stencils(6, (False, True))
    x = torch.randn(7, 6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).permute(2, 0, 1)
    terms, one = [(0, 1, 0, SLOPE, SLOPE, 0)], x.new_ones(1)
    for apply in (
        lambda x: operator.smooth(x, (0,)),
        lambda x: operator.there(x, (SLOPE, None)),
        lambda x: operator.back(x, (None, SLOPE)),
        lambda x: local.apply(operator, x, terms, one),
    ):
        assert torch.equal(apply(x), apply(x.contiguous()))


def test_slopes_of_what_is_uniform_are_zero():
    for dtype in (torch.float32, torch.float64):
        x = torch.full((3, 40, 50), 0.123456789, dtype=dtype)
        operator = Stencils(6, (False, True))
        body = links((torch.rand(39, 50, generator=torch.Generator().manual_seed(0)) > 0.3).to(dtype), (40, 50), (False, True))
        for pattern, holes in itertools.product(((SLOPE, None), (None, SLOPE)), (None, body)):
            assert not operator.there(x, pattern, holes).count_nonzero()
        assert not local.apply(
            operator, x, [(0, 0, 0, SLOPE, SLOPE, 0), (1, 2, 1, VALUE, SLOPE, 0)], x.new_ones(1)
        ).count_nonzero()


@pytest.mark.parametrize("holes", [False, True])
def test_one_graph_and_its_derivatives(holes):
    """Compiled with and without gradients: values and gradients of eager code, no break."""
    mesh = tm.Mesh((9, 8), (2e-9, 3e-9, 4e-9))
    generator = torch.Generator().manual_seed(0)
    fraction = (torch.rand(9, 8, generator=generator) > 0.2).double() if holes else None
    magnet = tm.Magnet(mesh, 8e5, fraction, order=6, dtype=torch.float64)
    energy = tm.Exchange(magnet, 1e-11) + tm.InterfaceDMI(magnet, 1e-3, normal=(0, 0, 1)) + tm.Demag(magnet)
    values = energy.prepare()
    m = tm.random(mesh, seed=0, dtype=torch.float64)
    eager = lambda m: energy.field(m, values=values)
    compiled = torch.compile(eager, fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(m), eager(m), rtol=1e-10, atol=1e-6)
    m = m.requires_grad_()
    found, expected = (torch.autograd.grad(field(m).square().sum(), m)[0] for field in (compiled, eager))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


def test_without_compiled_code(monkeypatch):
    """The same fields from torch's operators."""
    mesh = tm.Mesh((9, 8), (2e-9, 3e-9, 4e-9))
    generator = torch.Generator().manual_seed(0)
    m = tm.random(mesh, seed=0, dtype=torch.float64)
    for fraction in (None, torch.rand(9, 8, generator=generator) > 0.2):
        magnet = tm.Magnet(mesh, 8e5, fraction, order=6, dtype=torch.float64)
        energy = tm.Exchange(magnet, 1e-11) + tm.BulkDMI(magnet, 1e-3) + tm.Demag(magnet)
        fields = [energy.field(m)]
        with monkeypatch.context() as patch:
            patch.setattr(stencils, "available", lambda: False)
            fields.append(energy.field(m))
        torch.testing.assert_close(*fields, rtol=1e-11, atol=1e-6)
