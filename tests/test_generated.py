"""What the compiler makes on a device: few kernels, no complex arithmetic, the same numbers (see `generated`)."""

import math

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag import banded, local, midpoints

# What both are built on is new in torch, and not yet settled.
emulated = pytest.importorskip("emulated", exc_type=ImportError)
generated = pytest.importorskip("generated", exc_type=ImportError)
DEVICE = emulated.DEVICE

NM = 1e-9
TRANSFORMS = {"_fft_r2c": 1, "_fft_c2c": 2, "_fft_c2r": 1}
FILM = tm.Mesh((48, 40), (4 * NM, 5 * NM, 3 * NM))
BLOCK = tm.Mesh((20, 18, 19), (4 * NM, 5 * NM, 3 * NM))


def equation(mesh, order, five=False, device=DEVICE):
    magnet = tm.Magnet(mesh, 8e5, order=order, device=device)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet)
    if five:
        energy = energy + tm.UniaxialAnisotropy(magnet, 2e4, (0.0, 0.0, 1.0)) + tm.InterfaceDMI(magnet, 1e-3)
        energy = energy + tm.Zeeman(magnet, (1e4, 0.0, 0.0))
    return tm.LLG(energy, 0.1)


def start(mesh, *batch):
    noise = torch.randn(*batch, 3, *mesh.nodes, generator=torch.Generator().manual_seed(1))
    return nn.functional.normalize(tm.uniform(mesh, (1, 0.3, 0.2)) + 0.1 * noise, dim=-mesh.dim - 1)


def made(llg, m):
    """What became of the graphs of one right-hand side."""
    found = []
    torch._dynamo.reset()
    llg.compile(backend=generated.counting(found), fullgraph=True)
    with torch.no_grad():
        llg(torch.zeros((), dtype=torch.float64, device=DEVICE), m, llg.prepare())
    return found


# What is averaged and padded, the same along the other axis, the product, what is cut off: four kernels; the rest are of local terms and the equation.
FILMS = [(2, True), (6, True), pytest.param(4, True, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("order", "five"), FILMS)
def test_kernels_of_a_film(order, five):
    (graph,) = made(equation(FILM, order, five), start(FILM).to(DEVICE))
    assert dict(graph.libraries) == TRANSFORMS
    assert graph.launches <= 12


@pytest.mark.slow
def test_kernels_of_a_block():
    (graph,) = made(equation(BLOCK, 6), start(BLOCK).to(DEVICE))
    assert dict(graph.libraries) == TRANSFORMS | {"_fft_c2c": 4} and len(graph.generated) <= 12


MORE = [((5, 1, 4), (0, 0, 0), 6), ((6, 5, 4), (0, 0, 0), 4), ((7, 6), (0, math.inf, 0), 2), ((6, 5, 4), (math.inf, 0, 0), 2)]
CASES = [
    ((9,), (2, 0, 0), 6),
    ((12, 10), (0, 0, 0), 2),
    ((12, 10), (0, 0, 0), 6),
    ((11, 4), (math.inf, 0, 0), 6),
    ((6, 5, 4), (0, 0, 2), 6),
]


@pytest.mark.parametrize(("n", "pbc", "order"), [*CASES, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)])
def test_compiled_code_of_a_device(n, pbc, order):
    """The graph and its derivative beside the CPU."""
    mesh = tm.Mesh(n, (4 * NM, 5 * NM, 3 * NM), pbc=pbc)
    m, there = start(mesh, 2), equation(mesh, order)
    torch._dynamo.reset()
    there.compile(backend=emulated.compile_backend, fullgraph=True)

    def run(llg, m):
        m = m.requires_grad_()
        rate = llg(0.0, m)
        return torch.stack([rate, torch.autograd.grad((rate * rate.detach()).sum(), m)[0] / 1e12]).detach()

    expected, found = run(equation(mesh, order, device="cpu"), m.clone()), run(there, m.to(DEVICE)).cpu()
    for mine, theirs in zip(found, expected):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-13 * float(theirs.abs().max()))


@pytest.mark.slow
def test_blocks_in_a_graph(monkeypatch):
    monkeypatch.setattr("torchmag.convolution.wide_fft.LARGE_BLOCK", 3 * 12 * 10 * 14 * 8 // 3)
    test_compiled_code_of_a_device((6, 5, 7), (0, 0, 0), 6)


@pytest.mark.parametrize("n", [2, 3, 9, 64, 65, 150])
@pytest.mark.parametrize("wraps", [False, True])
def test_bands(n, wraps):
    x = torch.randn(3, n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(n))
    operators = [midpoints.moment_lines(order, wraps)[0] for order in (2, 4, 6)]
    operators += [
        (midpoints._smooth, (6, wraps, True)),
        (local._beside, (6, wraps, 2)),
        (local._along, (6, wraps, "slope", "value")),
    ]
    for operator, options in operators:
        matrix = operator(torch.eye(n, dtype=torch.float64), *options)
        expected = torch.einsum("cnk,nm->cmk", x, matrix)
        found = banded.apply(operator, options, x, -2)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-14 * float(matrix.abs().sum(0).amax() * x.abs().max()))
