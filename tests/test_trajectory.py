"""Trajectory files: what is written is what is read, here and in the programs that open them."""

import json
import math

import h5py
import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.errors import FileFormatError, TrajectoryError
from torchmag.io import Trajectory, vtkhdf

MESHES = {
    "1D": tm.Mesh(6, dx=(1e-9, 2e-9, 3e-9)),
    "2D": tm.Mesh((4, 3), dx=(1e-9, 2e-9, 3e-9), origin=(5e-9, 0, -1e-9)),
    "periodic": tm.Mesh((4, 3), dx=(1e-9, 2e-9, 3e-9), pbc=(math.inf, 2, 1)),
    "3D": tm.Mesh((4, 3, 2), dx=(1e-9, 2e-9, 3e-9)),
    "one periodic cell": tm.Mesh((4, 1, 2), dx=(1e-9, 2e-9, 3e-9), pbc=(0, 1, 0)),
}
mesh = MESHES["2D"]


def make(path, frames=4, mesh=mesh, **options):
    """A trajectory file and its frames."""
    states = torch.stack([tm.random(mesh, seed=seed) for seed in range(frames)])
    with Trajectory(path, tm.Magnet(mesh, 8e5), scalars={"E": "J", "steps": ""}, sync=False, **options) as trajectory:
        for i, m in enumerate(states):
            trajectory.append(i * 1e-12, m, E=-1e-18 * i, steps=10 * i)
    return states


@pytest.mark.parametrize("name", MESHES)
def test_round_trip(tmp_path, name):
    mesh = MESHES[name]
    states = make(tmp_path / "x.vtkhdf", mesh=mesh)
    with Trajectory.open(tmp_path / "x.vtkhdf") as trajectory:
        assert len(trajectory) == 4 and trajectory.mesh == mesh and trajectory.dtype == torch.float64
        assert torch.equal(trajectory[:], states) and torch.equal(trajectory[-1], states[-1]) and trajectory[4:].shape[0] == 0
        assert torch.equal(trajectory.times, 1e-12 * torch.arange(4)) and trajectory.units == {"E": "J", "steps": ""}
        assert torch.equal(trajectory.scalars["E"], -1e-18 * torch.arange(4)) and trajectory.Ms.shape == mesh.cells
        with pytest.raises(IndexError):
            trajectory[4]
    assert [path.name for path in tmp_path.iterdir()] == ["x.vtkhdf"]


@pytest.mark.parametrize("order", [2, 4, 6])
def test_the_order_of_the_magnet(tmp_path, order):
    path = tmp_path / "x.vtkhdf"
    with Trajectory(path, tm.Magnet(mesh, 8e5, order=order), sync=False) as trajectory:
        trajectory.append(0, tm.random(mesh, seed=0))
    for mode in ("read", "append"):
        with Trajectory.open(path, mode=mode) as trajectory:
            assert trajectory.order == order and f"order={order}" in repr(trajectory)


def test_a_file_that_says_no_order(tmp_path, monkeypatch):
    with Trajectory(tmp_path / "mesh.vtkhdf", mesh, sync=False) as trajectory:
        assert trajectory.order is None
    current = vtkhdf.header_of

    def without_order(*arguments):
        content = json.loads(current(*arguments))
        del content["order"]
        return json.dumps(content).encode()

    # As files were written before there were other orders.
    monkeypatch.setattr(vtkhdf, "header_of", without_order)
    Trajectory(tmp_path / "old.vtkhdf", tm.Magnet(mesh, 8e5, order=6), sync=False).close()
    with Trajectory.open(tmp_path / "old.vtkhdf") as trajectory:
        assert trajectory.order == 2


@pytest.mark.parametrize("size", [200, 600, 1300])
def test_frames_in_several_pieces(tmp_path, monkeypatch, size):
    monkeypatch.setattr(vtkhdf, "CHUNK_BYTES", size)
    states = make(tmp_path / "x.vtkhdf", mesh=MESHES["3D"])
    with Trajectory.open(tmp_path / "x.vtkhdf", mode="append", frames=3, sync=False) as trajectory:
        trajectory.append(1, states[3], E=0, steps=0)
        assert trajectory._file["m"].chunks[1:] != (3, 4, 5, 3) and torch.equal(trajectory[:], states)


def test_append_after_a_restart(tmp_path):
    path = tmp_path / "x.vtkhdf"
    states = make(path)
    with Trajectory.open(path, mode="append", frames=2) as trajectory:
        assert len(trajectory) == 2 and torch.equal(trajectory[1], states[1])
        trajectory.append(7e-12, states[3], E=1, steps=2)
    with Trajectory.open(path) as trajectory:
        assert torch.equal(trajectory[:], states[[0, 1, 3]]) and trajectory.times[-1] == 7e-12
    with pytest.raises(TrajectoryError, match="3 frames"):
        Trajectory.open(path, mode="append", frames=4)
    with Trajectory.open(path, mode="append") as trajectory, pytest.raises(BlockingIOError, match="another process"):
        Trajectory.open(path, mode="append")
    assert [file.name for file in tmp_path.iterdir()] == ["x.vtkhdf"]


def test_a_file_opens_while_it_is_written(tmp_path):
    path = tmp_path / "x.vtkhdf"
    with Trajectory(path, mesh, sync=False) as trajectory:
        for i in range(70):  # more than a chunk of digests
            trajectory.append(i, tm.random(mesh, seed=i))
            if i % 13 == 0:
                with Trajectory.open(path) as seen, h5py.File(path) as plain:
                    assert len(seen) == i + 1 == len(plain["m"]) and torch.equal(seen[i], trajectory[i])


def test_no_silent_overwrite(tmp_path):
    path = tmp_path / "x.vtkhdf"
    states = make(path)
    with pytest.raises(FileExistsError, match="overwrite"):
        make(path)
    with Trajectory.open(path) as trajectory:
        assert torch.equal(trajectory[:], states)
    make(path, frames=1, overwrite=True)
    with Trajectory.open(path) as trajectory:
        assert len(trajectory) == 1


def test_float32_and_the_body(tmp_path):
    path, Ms = tmp_path / "x.vtkhdf", torch.zeros(mesh.cells)
    Ms[1:, :] = 8e5
    film = tm.Magnet(mesh, Ms.float(), fraction=torch.rand(mesh.cells).float())
    with Trajectory(path, film) as trajectory:
        trajectory.append(0, tm.random(mesh, seed=0))
    with Trajectory.open(path) as trajectory:
        assert trajectory[0].dtype == torch.float32 == trajectory.dtype
        assert torch.equal(trajectory.Ms, film.Ms) and torch.equal(trajectory.fraction, film.fraction)


def test_bad_frames_leave_the_file_as_it_was(tmp_path):
    path, m = tmp_path / "x.vtkhdf", tm.random(mesh, seed=0)
    with Trajectory(path, mesh, scalars={"E": "J"}) as trajectory:
        trajectory.append(0, m, E=0)
        for error, arguments, scalars in [
            (ValueError, (1, m[None].expand(2, *m.shape)), {"E": 0}),
            (ValueError, (1, m[:, :-1]), {"E": 0}),
            (ValueError, (1, m * math.nan), {"E": 0}),
            (ValueError, (1, m), {"E": math.inf}),
            (ValueError, (0, m), {"E": 0}),
            (ValueError, (math.nan, m), {"E": 0}),
            (TypeError, (1, m), {}),
            (TypeError, (1, m), {"E": 0, "F": 0}),
        ]:
            with pytest.raises(error):
                trajectory.append(*arguments, **scalars)
    with Trajectory.open(path) as trajectory:
        assert len(trajectory) == 1
        with pytest.raises(TypeError, match="append"):
            trajectory.append(1, m, E=0)
    batch = tm.Magnet(mesh, torch.tensor([1e5, 2e5]).reshape(2, 1, 1))
    for where, options, error in [
        (batch, {}, ValueError),
        ("film", {}, TypeError),
        (mesh, {"scalars": {"../x": "J"}}, ValueError),
        (mesh, {"scalars": {"m": "J"}}, ValueError),
        (mesh, {"scalars": {"E": "J\n"}}, ValueError),
        (mesh, {"dtype": torch.float16}, TypeError),
        (mesh, {"compression": 11}, ValueError),
    ]:
        with pytest.raises(error):
            Trajectory(tmp_path / "y.vtkhdf", where, **options)
    assert [file.name for file in tmp_path.iterdir()] == ["x.vtkhdf"]


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        Trajectory.open(tmp_path / "none.vtkhdf")
    for name, content in [("empty", b""), ("text", b"# OOMMF OVF 2.0\n"), ("start", b"\x89HDF\r\n\x1a\n" + bytes(100))]:
        (tmp_path / name).write_bytes(content)
        for mode in ("read", "append"):
            with pytest.raises(TrajectoryError, match=name):
                Trajectory.open(tmp_path / name, mode=mode)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["VTKHDF/PointData/m"] = np.zeros((2, 3))
    with pytest.raises(FileFormatError, match="other.h5"):
        Trajectory.open(tmp_path / "other.h5")
