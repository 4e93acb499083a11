"""Demag on periodic grids; open ones: tests/physics/test_demag.py."""

import itertools
import math

import pytest
import torch

import torchmag as tm
from torchmag.energies.cuboids import PAIRS, demag_tensor
from torchmag.testing import SPACING, EnergyContract

INF = math.inf
PERIODIC = [
    tm.Mesh((4,), SPACING, pbc=(INF, 0, 0)),
    tm.Mesh((4, 3), SPACING, pbc=(0, INF, 0)),
    tm.Mesh((3, 4), SPACING, pbc=(INF, INF, 2)),
    tm.Mesh((3, 2, 4), SPACING, pbc=(INF, 4, 0)),
    tm.Mesh((2, 3, 4), SPACING, pbc=(1, 0, 2)),
    tm.Mesh((2, 1, 4), SPACING, pbc=(0, INF, INF)),
    tm.Mesh((2, 3, 4), SPACING, pbc=(INF, INF, INF)),
]


class TestDemagPeriodic(EnergyContract):
    meshes = PERIODIC

    def term(self, magnet):
        return tm.Demag(magnet)


def heterogeneous(mesh):
    Ms = 8e5 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(1))
    Ms.view(-1)[0] = 0
    return tm.Magnet(mesh, Ms)


@pytest.mark.parametrize("mesh", PERIODIC)
def test_convolution_equals_direct_sum(mesh):
    demag = tm.Demag(heterogeneous(mesh))
    m = torch.randn(3, *mesh.cells, generator=torch.Generator().manual_seed(2))
    M = (demag.magnet.Ms * m).reshape(3, *(*mesh.cells, 1, 1)[:3])
    counts = M.shape[1:]
    table = demag_tensor(counts, mesh.dx, mesh.pbc)
    H = torch.zeros_like(M)
    cells = list(itertools.product(*map(range, counts)))
    for target, source in itertools.product(cells, cells):
        offset = [t - s for t, s in zip(target, source)]
        for (a, b), component in zip(PAIRS, table):
            sign = 1 if a == b else math.copysign(1, offset[a]) * math.copysign(1, offset[b])
            N = sign * component[tuple(abs(o) for o in offset)]
            for row, column in {(a, b), (b, a)}:
                H[(row, *target)] -= N * M[(column, *source)]
    found = demag.cell_field(m).reshape(H.shape)
    torch.testing.assert_close(found, H, rtol=0, atol=1e-12 * float(H.abs().max()))


@pytest.mark.parametrize("mesh", PERIODIC)
def test_field_moves_with_the_body(mesh):
    axes = [axis for axis in range(mesh.dim) if mesh.periodic(axis)]
    shifts, dims = [1 + axis for axis in axes], [axis - mesh.dim for axis in axes]
    magnet = heterogeneous(mesh)
    m = tm.random(mesh, seed=3)
    moved = tm.Demag(tm.Magnet(mesh, magnet.Ms.roll(shifts, dims)))
    H = tm.Demag(magnet).field(m).roll(shifts, dims)
    torch.testing.assert_close(moved.field(m.roll(shifts, dims)), H, rtol=0, atol=1e-12 * float(H.abs().max()))


@pytest.mark.parametrize("cells", [(3,), (4,), (3, 4), (4, 3, 2)])
def test_interaction_is_symmetric(cells):
    # dH_i/dM_j = dH_j/dM_i: the matrix of the field over all cells, Nyquist frequencies included.
    for pbc in itertools.product((0, 2, INF), repeat=len(cells)):
        mesh = tm.Mesh(cells, SPACING, pbc=(*pbc, 0, 0)[:3])
        basis = torch.eye(3 * math.prod(cells)).reshape(-1, 3, *cells)
        matrix = tm.Demag(tm.Magnet(mesh, 1.0)).cell_field(basis).flatten(1)
        torch.testing.assert_close(matrix, matrix.mT, rtol=0, atol=1e-14)
        # No state has a negative energy.
        assert float(torch.linalg.eigvalsh(matrix).max()) < 1e-13


def test_energy_does_not_depend_on_the_choice_of_the_cell():
    # One period, and two periods as one grid.
    once, twice = (tm.Mesh((n, 3, 2), SPACING, pbc=(INF, 0, 0)) for n in (4, 8))
    m = tm.random(once, seed=4)
    E = [tm.Demag(tm.Magnet(mesh, 8e5)).energy(x) for mesh, x in ((once, m), (twice, torch.cat((m, m), 1)))]
    torch.testing.assert_close(E[1], 2 * E[0], rtol=1e-12, atol=0)


@pytest.mark.parametrize("pbc", [(INF, 0, 0), (INF, INF, 0)])
def test_many_images_approach_infinitely_many(pbc):
    # The remainder falls as N^-2 along one axis, as N^-1 along two.
    n = (3, 2, 2)
    m = torch.randn(3, *n, generator=torch.Generator().manual_seed(5))

    def field(pbc):
        return tm.Demag(tm.Magnet(tm.Mesh(n, SPACING, pbc=pbc), 1.0)).cell_field(m)

    exact = field(pbc)
    errors = [(field([N if p else 0 for p in pbc]) - exact).abs().max() for N in (20, 40)]
    rate = math.log2(float(errors[0] / errors[1]))
    assert rate == pytest.approx(3 - sum(map(math.isinf, pbc)), abs=0.1)


def test_kernel_is_rebuilt_in_float64_and_on_the_cpu():
    mesh = PERIODIC[3]
    m = tm.random(mesh, seed=6)
    expected = tm.Demag(heterogeneous(mesh)).field(m)
    demag = tm.Demag(heterogeneous(mesh)).float().double()
    demag.magnet.Ms = heterogeneous(mesh).Ms
    torch.testing.assert_close(demag.field(m), expected, rtol=1e-12, atol=0)
    assert "kernel" not in demag.state_dict()


def test_kernel_follows_from_the_mesh_on_meta():
    mesh = PERIODIC[2]
    with torch.device("meta"):
        demag = tm.Demag(tm.Magnet(mesh, 8e5, dtype=torch.float64))
    assert demag.kernel.device.type == "meta"
    demag.to_empty(device="cpu")
    torch.testing.assert_close(demag.kernel, tm.Demag(tm.Magnet(mesh, 8e5)).kernel)
