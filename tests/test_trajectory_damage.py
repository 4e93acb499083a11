"""Trajectory files that were cut, changed, forged or left by a killed process."""

import errno
import os
import shutil
import signal
import time

import h5py
import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.errors import TrajectoryError
from torchmag.io import Trajectory, journal

mesh = tm.Mesh((6, 5, 2), dx=(1e-9, 1e-9, 1e-9))
FRAMES = 6


def states():
    return torch.stack([tm.random(mesh, seed=seed) for seed in range(16)])


@pytest.fixture
def path(tmp_path):
    """A trajectory with FRAMES frames."""
    path = tmp_path / "x.vtkhdf"
    with Trajectory(path, tm.Magnet(mesh, 8e5), scalars={"E": "J"}, sync=False) as trajectory:
        for i, m in enumerate(states()[:FRAMES]):
            trajectory.append(i * 1e-12, m, E=i)
    return path


def survives(path, mode="read"):
    """True: all of it is what was written.  False: the reader refused.  Anything else fails."""
    try:
        with Trajectory.open(path, mode=mode, **({"sync": False} if mode == "append" else {})) as trajectory:
            frames, t, E = trajectory[:], trajectory.times, trajectory.scalars["E"]
            assert torch.equal(frames, states()[:FRAMES]) and trajectory.mesh == mesh
            assert torch.equal(t, 1e-12 * torch.arange(FRAMES)) and torch.equal(E, torch.arange(FRAMES) * 1.0)
            assert torch.equal(trajectory.Ms, torch.full(mesh.cells, 8e5))
            return True
    except TrajectoryError as error:
        assert path.name in str(error)
        return False


def flips(path, count, seed, mode="read"):
    content, rng, kept = path.read_bytes(), np.random.default_rng(seed), 0
    for _ in range(count):
        new = bytearray(content)
        new[rng.integers(len(new))] ^= int(rng.integers(1, 256))
        path.write_bytes(new)
        kept += survives(path, mode)
    return kept


def cuts(path, count, seed):
    content, rng = path.read_bytes(), np.random.default_rng(seed)
    for size in rng.integers(len(content), size=count):
        path.write_bytes(content[:size])
        assert not survives(path)


def test_flipped_bytes_are_found_or_harmless(path):
    assert flips(path, 60, seed=0) < 30  # harmless: places that nothing uses


def test_cut_files_are_refused(path):
    cuts(path, 60, seed=0)


@pytest.mark.slow
def test_a_thousand_flipped_bytes(path):
    flips(path, 1000, seed=1)


@pytest.mark.slow
def test_a_thousand_flipped_bytes_of_a_file_to_go_on_with(path):
    flips(path, 1000, seed=2, mode="append")


@pytest.mark.slow
def test_a_thousand_cuts(path):
    cuts(path, 1000, seed=1)


def test_wiped_blocks_are_found(path):
    content = path.read_bytes()
    for start in range(0, len(content), 2048):
        path.write_bytes(content[:start] + bytes(len(content[start : start + 2048])) + content[start + 2048 :])
        survives(path)


def crash_points(path, monkeypatch, tmp_path, every, keep):
    """The folder as it is at each write of a writer of three frames, before it and half done: [(file, frames known to be written)]."""
    write, points, calls = journal._write, [], 0

    def snapshot():
        folder = tmp_path / f"crash{len(points)}"
        shutil.copytree(path.parent, folder, ignore=shutil.ignore_patterns("crash*"))
        points.append((folder / path.name, len(trajectory)))

    def watched(file, data, offset):
        nonlocal calls
        for part in (0, len(data) // 2):
            calls += 1
            write(file, data[:part], offset)
            if calls % every == 0:
                snapshot()
        write(file, data, offset)

    with Trajectory.open(path, mode="append", frames=keep, sync=False) as trajectory:
        monkeypatch.setattr(journal, "_write", watched)
        for state in (13, 14, 15):
            trajectory.append(1e-9 * state, states()[state], E=state)
        snapshot()
        monkeypatch.undo()
    return points


@pytest.mark.parametrize("keep", [0, 3])
@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.slow)])
def test_killed_at_any_write(path, monkeypatch, tmp_path, every, keep):
    expected = torch.cat((states()[:keep], states()[13:16]))
    points = crash_points(path, monkeypatch, tmp_path, every, keep)
    assert len(points) > 60 / every
    for file, done in points:
        with Trajectory.open(file) as trajectory:
            assert done <= len(trajectory) <= min(done + 1, keep + 3)
            assert torch.equal(trajectory[:], expected[: len(trajectory)])
        with Trajectory.open(file, mode="append", sync=False) as trajectory:
            count = len(trajectory)
            trajectory.append(1, states()[0], E=0)
        with h5py.File(file) as plain, Trajectory.open(file) as trajectory:
            assert len(plain["m"]) == count + 1 and torch.equal(trajectory[count], states()[0])
        assert not journal.journal_path(file).exists()


def test_a_full_disk_leaves_the_file_as_it_was(path, monkeypatch):
    write = journal._write
    for fail_at in range(1, 8):
        left = iter(range(fail_at, 0, -1))

        def limited(file, data, offset, left=left):
            if next(left) == 1:
                write(file, data[: len(data) // 3], offset)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(file, data, offset)

        trajectory = Trajectory.open(path, mode="append", sync=False)
        monkeypatch.setattr(journal, "_write", limited)
        with pytest.raises(OSError, match="space"):
            trajectory.append(1.0, states()[8], E=1)
        monkeypatch.undo()
        with pytest.raises(TypeError, match="not open"):
            trajectory.append(2.0, states()[8], E=1)
        trajectory.close()
        with Trajectory.open(path) as after:
            # A failure while the decided changes are made: they are in the journal.
            assert len(after) in (FRAMES, FRAMES + 1) and torch.equal(after[:FRAMES], states()[:FRAMES])
        with Trajectory.open(path, mode="append", frames=FRAMES, sync=False):
            pass
    assert survives(path) and [file.name for file in path.parent.iterdir()] == [path.name]


def killed(path, delay):
    """Append in another process until it is killed after `delay` seconds; the number of frames that it knew were written."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        known = states()
        with Trajectory.open(path, mode="append", sync=False) as trajectory:
            while True:
                trajectory.append(1.0 + len(trajectory), known[len(trajectory) % 16], E=len(trajectory))
                os.write(sink, b"%d\n" % len(trajectory))
    os.close(sink)
    with open(source) as said:
        first = said.readline()
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return int(([first] + said.read().splitlines())[-1])


def check_killed(path, count, seed):
    rng, known = np.random.default_rng(seed), states()
    for _ in range(count):
        with Trajectory.open(path, mode="append", frames=FRAMES, sync=False):
            pass
        done = killed(path, 0.05 * rng.random())
        with Trajectory.open(path) as trajectory:
            assert done <= len(trajectory) <= done + 1
            assert torch.equal(trajectory[FRAMES:], known[[i % 16 for i in range(FRAMES, len(trajectory))]])
    with Trajectory.open(path, mode="append", sync=False):
        pass
    with h5py.File(path) as plain:
        assert len(plain["VTKHDF/PointData/m"]) > FRAMES


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("count", [8, pytest.param(300, marks=pytest.mark.slow)])
def test_killed_processes(path, count):
    check_killed(path, count, seed=count)


def forge(path, change):
    with h5py.File(path, "r+") as file:
        change(file)


def replace(name, make):
    """A forgery: the dataset of that name is made anew by `make(file, values)`."""

    def change(file):
        values = file[name][...]
        del file[name]
        make(file, name, values)

    return change


def external_link(file, name, values):
    file[name] = h5py.ExternalLink("secret.h5", "/data")


def soft_link(file, name, values):
    file["elsewhere"] = values
    file[name] = h5py.SoftLink("/elsewhere")


def virtual(file, name, values):
    layout = h5py.VirtualLayout(values.shape, values.dtype)
    layout[...] = h5py.VirtualSource("secret.h5", "data", values.shape)
    file.create_virtual_dataset(name, layout)


def external_storage(file, name, values):
    file.create_dataset(name, values.shape, values.dtype, external=[("secret.bin", 0, h5py.h5f.UNLIMITED)])


def other_filter(file, name, values):
    file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="lzf")


def huge(file, name, values):
    file.create_dataset(name, (10**9, *values.shape[1:]), values.dtype, chunks=(1, *values.shape[1:]))


FORGERIES = {
    "external link": replace("m", external_link),
    "soft link": replace("m", soft_link),
    "virtual": replace("m", virtual),
    "external storage": replace("m", external_storage),
    "filter": replace("m", other_filter),
    "huge": replace("m", huge),
    "huge times": replace("t", huge),
    "other data for VTK": replace("VTKHDF/PointData/m", lambda file, name, values: file.create_dataset(name, data=-values)),
    "a group": replace("m", lambda file, name, values: file.create_group(name)),
    "integers": replace("m", lambda file, name, values: file.create_dataset(name, data=values.astype(int))),
    "objects": replace("m", lambda file, name, values: file.create_dataset(name, data=["x"], dtype=h5py.string_dtype())),
    "scalar missing": replace("E", lambda file, name, values: None),
    "steps": lambda file: file["VTKHDF/Steps"].attrs.modify("NSteps", np.int64(FRAMES - 1)),
    "negative steps": lambda file: file["VTKHDF/Steps"].attrs.modify("NSteps", np.int64(-1)),
    "many steps": lambda file: file["VTKHDF/Steps"].attrs.modify("NSteps", np.int64(2**62)),
    "spacing": lambda file: file["VTKHDF"].attrs.modify("Spacing", np.array((1e-9, 1e-9, 2e-9))),
    "extent": lambda file: file["VTKHDF"].attrs.modify("WholeExtent", np.array((0, 5, 0, 6, 0, 2))),
    "time": lambda file: file["t"].__setitem__(2, 2.5e-12),
    "scalar": lambda file: file["E"].__setitem__(2, 2.5),
    "m": lambda file: file["m"].__setitem__((2, 0, 0, 0), 0.5),
    "Ms": lambda file: file["torchmag/Ms"].__setitem__((0, 0, 0), 1.0),
    "frames swapped": lambda file: file["m"].__setitem__(slice(0, 2), file["m"][:2][::-1]),
    "header": lambda file: file["torchmag"].attrs.modify("header", np.void(b"{}")),
    "no header": lambda file: file["torchmag"].attrs.__delitem__("header"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_are_refused(path, name):
    secret = path.parent / "secret.bin"
    secret.write_bytes(b"secret" * 1000)
    with h5py.File(path.parent / "secret.h5", "w") as file:
        file["data"] = np.zeros((FRAMES, 3, 6, 7, 3))
    forge(path, FORGERIES[name])
    for mode in ("read", "append"):
        assert not survives(path, mode)
    assert not journal.journal_path(path).exists()


def test_a_journal_of_something_else_is_not_believed(path):
    content = path.read_bytes()
    for other in (b"", b"torchmag journal 1\n", os.urandom(500), journal.MAGIC + os.urandom(500)):
        journal.journal_path(path).write_bytes(other)
        assert survives(path)
        path.write_bytes(content)
