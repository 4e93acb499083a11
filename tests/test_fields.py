"""States and maps from files of any format; NumPy's files without pickle."""

import io
import math
import pickle
import zipfile

import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.errors import FileFormatError
from torchmag.io import Trajectory, kind_of, read_field, read_map, read_npy, read_npz, read_state, write_npz, write_ovf

mesh = tm.Mesh((5, 4), dx=(1e-9, 2e-9, 3e-9), origin=(1e-9, 0, 0), pbc=(0, math.inf, 2))


def test_a_state_from_every_format(tmp_path):
    film, m = tm.Magnet(mesh, 8e5), tm.random(mesh, seed=0)
    with Trajectory(tmp_path / "run.vtkhdf", film) as trajectory:
        trajectory.append(0, -m)
        trajectory.append(1e-12, m)
    write_npz(tmp_path / "m.npz", {"m": torch.stack((-m, m)), "t": [0, 1e-12]}, mesh)
    np.save(tmp_path / "m.npy", m.numpy())
    np.savez(tmp_path / "theirs.npz", m=m.numpy())
    np.save(tmp_path / "fortran.npy", np.asfortranarray(m.numpy()))
    np.save(tmp_path / "big.npy", m.numpy().astype(">f8"))
    for name in ("run.vtkhdf", "m.npz", "m.npy", "theirs.npz", "fortran.npy", "big.npy"):
        assert torch.equal(read_state(tmp_path / name, mesh), m), name
        assert read_state(tmp_path / name, mesh, dtype=torch.float32).dtype == torch.float32
        with pytest.raises(ValueError, match=name):
            read_state(tmp_path / name, tm.Mesh((5, 5), dx=(1e-9, 2e-9, 3e-9)))
    for name in ("run.vtkhdf", "m.npz"):
        assert torch.equal(read_state(tmp_path / name, mesh, frame=0), -m) and read_field(tmp_path / name).t == 1e-12
        assert read_field(tmp_path / name).mesh == mesh
        with pytest.raises(IndexError):
            read_state(tmp_path / name, mesh, frame=2)
    up = tm.uniform(mesh, (0, 1, 1))
    write_ovf(tmp_path / "up.ovf", up, film)
    torch.testing.assert_close(read_state(tmp_path / "up.ovf", mesh), up, rtol=1e-14, atol=0)
    assert [kind_of(tmp_path / name) for name in ("run.vtkhdf", "up.ovf", "m.npz", "m.npy")] == [
        "trajectory",
        "ovf",
        "npz",
        "npy",
    ]


def test_a_map_from_every_format(tmp_path):
    Ms = 8e5 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(0))
    with Trajectory(tmp_path / "run.vtkhdf", tm.Magnet(mesh, Ms)):
        pass
    write_npz(tmp_path / "Ms.npz", {"Ms": Ms}, mesh)
    np.save(tmp_path / "Ms.npy", Ms.numpy())
    write_ovf(tmp_path / "Ms.ovf", Ms, mesh, at="cells", title="Ms", unit="A/m")
    for name in ("run.vtkhdf", "Ms.npz", "Ms.npy", "Ms.ovf"):
        assert torch.equal(read_map(tmp_path / name, mesh), Ms), name
        with pytest.raises(ValueError):
            read_map(tmp_path / name, tm.Mesh((4, 5), dx=mesh.dx))
    np.save(tmp_path / "ids.npy", np.ones(mesh.cells, int))
    assert read_map(tmp_path / "ids.npy", mesh).is_floating_point()
    axis = torch.rand((3, *mesh.cells))
    assert torch.equal(read_map(write_ovf(tmp_path / "axis.ovf", axis, mesh, at="cells"), mesh), axis)
    with pytest.raises(FileFormatError, match="Ku"):
        read_map(tmp_path / "Ms.npz", mesh, name="Ku")


class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_no_pickle_is_read(tmp_path):
    sentinel = tmp_path / "sentinel"
    objects = np.array([Payload(sentinel)], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "b.npz", m=objects)
    (tmp_path / "c.npz").write_bytes(pickle.dumps(Payload(sentinel)))
    (tmp_path / "d.npy").write_bytes(b"\x93NUMPY" + pickle.dumps(Payload(sentinel)))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (__import__('os').system('touch %s'),), }" % bytes(sentinel)
    (tmp_path / "e.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    for name in "abcde":
        for file in tmp_path.glob(f"{name}.np?"):
            for read in (read_npy, read_npz, lambda file: read_state(file, mesh)):
                with pytest.raises(FileFormatError, match=file.name):
                    read(file)
    assert not sentinel.exists()


def bomb(shape, descr="<f8", data=b""):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": descr, "fortran_order": False, "shape": shape})
    return head.getvalue() + data


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", bomb((10**12,)), bomb((2**62, 2**62)), bomb((-1,)), bomb((3,), data=bytes(23)), bomb((3,), data=bytes(25))]
    + [bomb((1,), "|O", bytes(8)), bomb((1,), "<U4", bytes(16)), bomb((1,), "<c16", bytes(16))]
    + [b"\x93NUMPY\x01\x00\x05\x00[[[[[", b"\x93NUMPY\x02\x00\xff\xff\xff\xff", b"\x93NUMPY\x01\x00\x80\x00" + b"(" * 128],
)  # fmt: skip
def test_malformed_arrays(tmp_path, content):
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(FileFormatError, match="x.npy"):
        read_npy(tmp_path / "x.npy")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("m.npy", content)
    with pytest.raises(FileFormatError, match="x.npz"):
        read_npz(tmp_path / "x.npz")


def test_a_zip_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("m.npy", bomb((10**6,), data=bytes(8 * 10**6)))
    with pytest.raises(FileFormatError, match="claims"):
        read_npz(tmp_path / "x.npz")


@pytest.mark.parametrize("count", [150, pytest.param(3000, marks=pytest.mark.slow)])
def test_flipped_bytes_and_cuts(tmp_path, count):
    path = write_npz(tmp_path / "x.npz", {"m": tm.random(mesh, seed=0), "t": 1e-12}, mesh)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    expected, _ = read_npz(path)
    for i in range(count):
        new = bytearray(content)
        if i % 3:
            new[rng.integers(len(new))] ^= int(rng.integers(1, 256))
        else:
            new = new[: rng.integers(len(new))]
        path.write_bytes(new)
        try:
            arrays, _ = read_npz(path)
        except FileFormatError:
            continue
        assert all(np.array_equal(expected[name], values) for name, values in arrays.items() if name in expected)


def test_bad_arguments_write_nothing(tmp_path):
    for arrays, error in [({"../m": 1}, ValueError), ({"m": "text"}, TypeError), ({"m": np.array([object()])}, TypeError)]:
        with pytest.raises(error):
            write_npz(tmp_path / "x.npz", arrays)
    assert not list(tmp_path.iterdir())
    write_npz(tmp_path / "x.npz", {"m": 1})
    with pytest.raises(FileExistsError, match="overwrite"):
        write_npz(tmp_path / "x.npz", {"m": 2})
    assert read_npz(tmp_path / "x.npz")[0]["m"] == 1
