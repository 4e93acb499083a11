import itertools
import math

import pytest
import torch

import torchmag as tm
from torchmag import layout
from torchmag.forms import element

DX = (5e-9, 4e-9, 3e-9)
MESHES = [
    tm.Mesh((4,), DX),
    tm.Mesh((1,), DX),
    tm.Mesh((4,), DX, pbc=(1, 0, 0)),
    tm.Mesh((1,), DX, pbc=(1, 0, 0)),
    tm.Mesh((3, 2), DX),
    tm.Mesh((3, 2), DX, pbc=(0, math.inf, 0)),
    tm.Mesh((3, 1), DX, pbc=(2, 2, 0)),
    tm.Mesh((1, 1), DX),
    tm.Mesh((3, 2, 2), DX),
    tm.Mesh((3, 2, 2), DX, pbc=(1, 0, 1)),
    tm.Mesh((1, 2, 1), DX, pbc=(1, 1, 1)),
]
EPS = torch.finfo(torch.float64).eps


def name(mesh):
    return f"{mesh.n}-{mesh.pbc}"


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def corner(mesh, cell, offset):
    """The node at a corner of a cell, by hand."""
    return tuple((c + o) % n for c, o, n in zip(cell, offset, mesh.nodes))


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_modes_are_means_and_differences_of_the_corners(mesh):
    x = normal(2, *mesh.nodes)
    modes = element.modes(mesh.dim)
    found = layout.to_modes(x, layout.periodic_axes(mesh), modes)
    assert set(found) == set(modes)
    for mode, cell in itertools.product(modes, itertools.product(*map(range, mesh.cells))):
        expected = torch.zeros(2)
        for offset in itertools.product((0, 1), repeat=mesh.dim):
            weight = math.prod((2 * o - 1) if s else 0.5 for s, o in zip(mode, offset))
            expected += weight * x[(..., *corner(mesh, cell, offset))]
        # 2^dim terms of size one, each rounded.
        torch.testing.assert_close(found[mode][(..., *cell)], expected, rtol=0, atol=32 * EPS)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_from_modes_is_the_transpose_of_to_modes(mesh):
    periodic = layout.periodic_axes(mesh)
    modes = element.modes(mesh.dim)
    x = normal(2, *mesh.nodes)
    y = {mode: normal(2, *mesh.cells, seed=1 + number) for number, mode in enumerate(modes)}
    there = sum((layout.to_modes(x, periodic, modes)[mode] * y[mode]).sum() for mode in modes)
    back = (x * layout.from_modes(y, periodic)).sum()
    size = sum(part.abs().sum() for part in y.values()) * x.abs().max()
    assert abs(there - back) < 16 * EPS * size


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_each_mode_alone_is_transposed_too(mesh):
    # Missing modes take another path through from_modes.
    periodic = layout.periodic_axes(mesh)
    x, y = normal(*mesh.nodes), normal(*mesh.cells, seed=1)
    for mode in element.modes(mesh.dim):
        found = layout.to_modes(x, periodic, (mode,))
        assert set(found) == {mode}
        there = (found[mode] * y).sum()
        back = (x * layout.from_modes({mode: y}, periodic)).sum()
        assert abs(there - back) < 16 * EPS * 2**mesh.dim * x.abs().max() * y.abs().sum()


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_second_differences_are_each_mode_gathered_back(mesh):
    periodic = layout.periodic_axes(mesh)
    x = normal(2, *mesh.nodes)
    shares = layout.shares(mesh.nodes, periodic, x)
    assert shares.sum() == math.prod(mesh.cells)
    for mode, there in layout.to_modes(x, periodic, element.modes(mesh.dim)).items():
        expected = layout.from_modes({mode: there}, periodic)
        found = shares * layout.differences(x, periodic, {axes: float(factor) for axes, factor in element.nodal(mode).items()})
        # A second difference of each axis is at most four times the field, and shares are at most one.
        torch.testing.assert_close(found, expected, rtol=0, atol=8 * EPS * 4**mesh.dim * x.abs().max().item())


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_to_cells_of_a_constant_and_to_nodes_conserve(mesh):
    ones = torch.ones(3, *mesh.nodes)
    assert torch.equal(layout.to_cells(ones, mesh), torch.ones(3, *mesh.cells))
    y = normal(2, *mesh.cells)
    spread = layout.to_nodes(y, mesh)
    assert spread.shape == (2, *mesh.nodes)
    torch.testing.assert_close(layout.total(spread, mesh), layout.total(y, mesh), rtol=0, atol=32 * EPS * y.abs().sum().item())


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_nodes_are_means_of_the_extended_field(mesh):
    x, periodic = normal(2, *mesh.cells), layout.periodic_axes(mesh)
    extended = layout.extended(x, periodic)
    assert extended.shape == (2, *(n + 1 for n in mesh.nodes))
    expected = layout.to_nodes(x, mesh)
    torch.testing.assert_close(
        layout.extended_to_nodes(extended, mesh.dim), expected, rtol=0, atol=4 * EPS * x.abs().max().item()
    )
    # <extended(x), y> = <x, restricted(y)>.
    y = normal(*extended.shape)
    torch.testing.assert_close((extended * y).sum(), (x * layout.restricted(y, periodic)).sum())


def test_lumped_shares_of_one_cell():
    # Each corner of a single open cell gets 1 / 2^dim.
    for dim in (1, 2, 3):
        mesh = tm.Mesh((1,) * dim, DX)
        assert torch.equal(layout.to_nodes(torch.ones(mesh.cells), mesh), torch.full(mesh.nodes, 0.5**dim))


def test_periodic_axis_of_one_cell_has_no_differences():
    mesh = tm.Mesh((3, 1), DX, pbc=(0, 1, 0))
    found = layout.to_modes(normal(*mesh.nodes), layout.periodic_axes(mesh), element.modes(2))
    assert not found[0, 1].any() and not found[1, 1].any()


def test_cross_and_dot_are_those_of_torch():
    mesh = tm.Mesh((3, 2), DX)
    a, b = normal(2, 3, *mesh.nodes), normal(3, *mesh.nodes, seed=1)
    # Two products of size |a||b|, each rounded (torch may fuse one).
    atol = (4 * EPS * a.abs().max() * b.abs().max()).item()
    torch.testing.assert_close(layout.cross(a, b, mesh), torch.linalg.cross(a, b.expand_as(a), dim=-3), rtol=0, atol=atol)
    torch.testing.assert_close(layout.dot(a, b, mesh), (a * b).sum(1), rtol=0, atol=0)


def test_positions_of_nodes():
    mesh = tm.Mesh((2, 1), DX, origin=(1e-9, 2e-9, -1e-9))
    x = tm.positions(mesh)
    assert x.shape == (3, 3, 2)
    torch.testing.assert_close(x[0, :, 0], torch.tensor([1e-9, 6e-9, 11e-9]), rtol=1e-15, atol=0)
    torch.testing.assert_close(x[1, 0], torch.tensor([2e-9, 6e-9]), rtol=1e-15, atol=0)
    # The middle of the one layer of a missing axis.
    torch.testing.assert_close(x[2], torch.full((3, 2), 0.5e-9), rtol=1e-15, atol=0)


def test_positions_of_cells_are_the_means_of_their_corners():
    mesh = tm.Mesh((3, 2, 2), DX, origin=(1e-9, 0, 0))
    torch.testing.assert_close(tm.positions(mesh, "cells"), layout.to_cells(tm.positions(mesh), mesh), rtol=8 * EPS, atol=0)


def test_positions_of_a_periodic_axis_end_before_the_first_repeats():
    mesh = tm.Mesh((3,), DX, pbc=(1, 0, 0))
    torch.testing.assert_close(tm.positions(mesh)[0], torch.tensor([0.0, 5e-9, 10e-9]), rtol=1e-15, atol=0)


def test_positions_take_dtype_and_device():
    x = tm.positions(tm.Mesh((3,), DX), dtype=torch.float32, device="meta")
    assert (x.dtype, x.device.type) == (torch.float32, "meta")


@pytest.mark.parametrize(
    "shape, components, fits",
    [
        ((), (), True),
        ((3, 2), (), True),
        ((1, 1), (), True),
        ((5, 3, 1), (), True),
        ((5,), (), False),
        ((2, 3), (), False),
        ((3,), (3,), True),
        ((3, 3, 2), (3,), True),
        ((5, 3, 1, 1), (3,), True),
        ((5, 3), (3,), False),
        ((3, 2), (3,), False),
        ((), (3,), False),
        ((2, 2), (2, 2), True),
        ((4, 2, 2, 1, 2), (2, 2), True),
    ],
)
def test_shapes_of_parameters(shape, components, fits):
    x = torch.ones(shape)
    if not fits:
        with pytest.raises(ValueError, match="A has shape .*, cells are \\(3, 2\\)"):
            layout.to_grid(x, components, (3, 2), "A", "cells")
        return
    found = layout.to_grid(x, components, (3, 2), "A", "cells")
    assert found.shape == (shape + (1, 1) if components and shape == components else shape)
