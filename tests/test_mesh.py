import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest

import torchmag as tm

DX = (5e-9, 4e-9, 3e-9)


@pytest.mark.parametrize("n, dim", [((4,), 1), ((4, 3), 2), ((4, 3, 2), 3)])
def test_cells_and_nodes(n, dim):
    mesh = tm.Mesh(n, DX)
    assert (mesh.dim, mesh.cells) == (dim, n)
    assert mesh.nodes == tuple(count + 1 for count in n)
    assert mesh.cell_volume == pytest.approx(60e-27, rel=1e-15)


def test_missing_axes_count_one_cell():
    assert tm.Mesh((4, 3), DX).size == pytest.approx((20e-9, 12e-9, 3e-9), rel=1e-15)
    assert tm.Mesh((4,), DX).size == pytest.approx((20e-9, 4e-9, 3e-9), rel=1e-15)


def test_a_number_is_a_1d_mesh():
    assert tm.Mesh(4, DX) == tm.Mesh((4,), DX)


def test_periodic_axes_share_their_last_nodes():
    mesh = tm.Mesh((4, 3, 1), DX, pbc=(2, 0, math.inf))
    assert mesh.nodes == (4, 4, 1)
    assert [mesh.periodic(axis) for axis in range(3)] == [True, False, True]


def test_images_along_a_missing_axis_leave_the_nodes_alone():
    assert tm.Mesh((4, 3), DX, pbc=(0, 0, 5)).nodes == (5, 4)


def test_entries_become_plain_numbers():
    mesh = tm.Mesh(np.array([4, 3]), dx=np.array(DX), origin=[0, 1, 2], pbc=np.array([0.0, 2.0, 0.0]))
    assert mesh == tm.Mesh((4, 3), DX, (0.0, 1.0, 2.0), (0, 2, 0))
    assert {type(v) for v in (*mesh.n, *mesh.pbc)} == {int}
    assert {type(v) for v in (*mesh.dx, *mesh.origin)} == {float}


def test_equal_meshes_hash_alike():
    a, b = tm.Mesh([4, 3], list(DX)), tm.Mesh((4, 3), DX, pbc=(0.0, 0.0, 0.0))
    assert a == b and hash(a) == hash(b)
    assert a != tm.Mesh((3, 4), DX)


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        tm.Mesh((4, 3), DX).n = (1, 1)


def test_pickle_and_copy():
    mesh = tm.Mesh((4, 3), DX, pbc=(math.inf, 1, 0))
    assert pickle.loads(pickle.dumps(mesh)) == mesh == copy.deepcopy(mesh)
    assert eval(repr(mesh), {"Mesh": tm.Mesh, "inf": math.inf}) == mesh
