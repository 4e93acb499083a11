"""Blocked transforms: equal to those of the whole spectrum, differentiable in every way, in and out of a graph."""

import math

import pytest
import torch

import torchmag as tm
from torchmag import layout
from torchmag.convolution import CELLS_TO_EXTENDED, NODES_TO_EXTENDED, plans, torch_fft
from torchmag.testing import SPACING

MESHES = [(5,), (4, 3), (3, 1, 2), (3, 2, 3)]


def fields(n, pbc=(0, 0, 0), dtype=torch.float64, **options):
    """An even and an odd kernel: cell field of Demag, alone and with what adjoins it, and of Oersted."""
    magnet = tm.Magnet(tm.Mesh(n, SPACING, pbc=pbc), 1.0, dtype=dtype, **options)
    demag = tm.Demag(magnet)
    return {
        "demag": demag.cell_field,
        "extended": lambda x: demag._convolve(x, demag.kernel, CELLS_TO_EXTENDED),
        "nodal": lambda x: demag._convolve(of_nodes(x, n, pbc), demag.kernel, NODES_TO_EXTENDED),
        "oersted": tm.Oersted(magnet, (0, 0, 0)).cell_field,
    }


def of_nodes(x, n, pbc):
    """A field at the nodes, (..., 3, *nodes), made of one at the cells."""
    extended = layout.extended(x, [images > 0 for images in pbc[: len(n)]])
    return extended[(..., *(slice(-1),) * len(n))]


def sample(n, *batch):
    return torch.randn(*batch, 3, *n, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True, params=["torch", "compiled"])
def library(request, monkeypatch):
    """The FFT in use."""
    if request.param == "torch":
        monkeypatch.setattr(plans, "available", lambda: False)
    elif not plans.available():
        pytest.skip("there is no C++ compiler")
    return request.param


def set_blocks(monkeypatch, size):
    monkeypatch.setattr(torch_fft, "BLOCK", size)


@pytest.fixture
def small_blocks(monkeypatch):
    set_blocks(monkeypatch, 200)
    monkeypatch.setattr(torch_fft, "MOST_COMPILED", 2)


@pytest.mark.parametrize("pbc", [(0, 0, 0), (math.inf, 0, 0)])
@pytest.mark.parametrize("n", [*MESHES, (12, 10), (6, 5, 8)])
def test_blocks_equal_the_whole(n, pbc, monkeypatch):
    x = sample(n, 2, 2)
    whole = {name: field(x) for name, field in fields(n, pbc).items()}
    for size in (1, 300, 3000):
        set_blocks(monkeypatch, size)
        for name, field in fields(n, pbc).items():
            torch.testing.assert_close(field(x), whole[name], rtol=0, atol=1e-14 * n[0] * float(whole[name].abs().max()))


@pytest.mark.parametrize("name", ["demag", "extended", "nodal", "oersted"])
@pytest.mark.parametrize("n", MESHES)
def test_derivatives(n, name, small_blocks):
    field, x = fields(n)[name], sample(n).requires_grad_()
    assert torch.autograd.gradcheck(field, (x,), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: field(x).sin(), (x,), check_fwd_over_rev=True)


@pytest.mark.parametrize("name", ["demag", "extended", "nodal", "oersted"])
def test_function_transforms(name, small_blocks):
    n = (3, 2, 3)
    field, x = fields(n)[name], sample(n, 4)
    torch.testing.assert_close(torch.func.vmap(field, 1, 2)(x.unsqueeze(0)), field(x).unsqueeze(0).movedim(1, 2))

    def cost(x):
        return field(x).pow(4).sum()

    H = torch.func.hessian(cost)(x[0])
    torch.testing.assert_close(H, torch.func.jacrev(torch.func.jacrev(cost))(x[0]))
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(cost))(x)[1], torch.func.grad(cost)(x[1]))


def compiled(function):
    torch._dynamo.reset()
    return torch.compile(function, fullgraph=True, backend="aot_eager")


@pytest.mark.parametrize("name", ["demag", "extended", "nodal", "oersted"])
def test_compiled(name, small_blocks):
    field, x = fields((3, 2, 3))[name], sample((3, 2, 3), 2).requires_grad_()
    found, expected = compiled(field)(x), field(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*(torch.autograd.grad(y.pow(3).sum(), x)[0] for y in (found, expected)))


@pytest.mark.parametrize("name", ["demag", "extended", "nodal", "oersted"])
def test_compiled_transforms(name, small_blocks):
    # torch 2.13: torch.addcmul in a compiled jvp ends the process.
    field, x = fields((3, 2, 3))[name], sample((3, 2, 3), 2)
    torch.testing.assert_close(compiled(lambda a, b: torch.func.jvp(field, (a,), (b,)))(x, x)[1], field(x))
    torch.testing.assert_close(compiled(torch.func.vmap(field))(x), field(x))


def test_compiled_moves(monkeypatch):
    """A graph holds the library that the module's device has."""
    field, x = fields((4, 3))["demag"], sample((4, 3))
    field.__self__.float().double()
    torch.testing.assert_close(compiled(field)(x), field(x))


def test_nothing_is_kept_for_the_backward():
    n = (8, 8, 8)
    x, kept = sample(n).requires_grad_(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        fields(n)["demag"](x).backward(x.detach())
    assert sum(t.numel() for t in kept) <= 2 * x.numel()


@pytest.mark.parametrize("n", [(33, 20), (12, 9, 10)])
def test_single_precision(n, monkeypatch):
    x = sample(n)
    for name, expected in {name: field(x) for name, field in fields(n).items()}.items():
        set_blocks(monkeypatch, 10_000)
        found = fields(n, dtype=torch.float32)[name](x.float())
        assert found.dtype == torch.float32
        assert float((found - expected).norm() / expected.norm()) < 5e-7


@pytest.mark.parametrize("n", [*MESHES, (12, 10), (6, 5, 8)])
def test_without_the_library_that_made_the_kernel(n, library, monkeypatch):
    # A kernel that was made for compiled code, such as that of an unpickled module, where there is none.
    set_blocks(monkeypatch, 1000)
    made, x = fields(n), sample(n, 2)
    expected = {name: field(x) for name, field in made.items()}
    monkeypatch.setattr(plans, "available", lambda: False)
    for name, field in made.items():
        torch.testing.assert_close(field(x), expected[name])
        torch.testing.assert_close(compiled(field)(x), expected[name])


@pytest.mark.parametrize("batch", [(), (7,)])
def test_threads(batch, library, monkeypatch):
    if library == "torch":
        pytest.skip("torch's own threads round as they like")
    n = (6, 5, 8)
    x, before = sample(n, *batch), torch.get_num_threads()
    set_blocks(monkeypatch, 1000)
    monkeypatch.setattr(plans, "SMALL", 0)
    try:
        found = {}
        for threads in (1, 3):
            torch.set_num_threads(threads)
            # What order 4 and 6 take off the cell field has torch's threads.
            found[threads] = [field(x) for field in fields(n, order=2).values()]
    finally:
        torch.set_num_threads(before)
    assert all(map(torch.equal, found[1], found[3]))
