"""The commands convert, info and plot."""

import os

import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.cli import main
from torchmag.io import Trajectory, hdf5, read_npz, read_ovf, read_table, write_npz, write_ovf

mesh = tm.Mesh((6, 4), dx=(1e-9, 2e-9, 3e-9))


@pytest.fixture
def files(tmp_path):
    """A folder with a file of each kind; the states in them."""
    states = torch.stack([tm.random(mesh, seed=seed) for seed in range(3)])
    Ms = torch.full(mesh.cells, 8e5)
    Ms[0] = 0
    with Trajectory(tmp_path / "run.vtkhdf", tm.Magnet(mesh, Ms), scalars={"E": "J"}) as trajectory:
        for i, m in enumerate(states):
            trajectory.append(i * 1e-12, m, E=-i)
    write_ovf(tmp_path / "m.ovf", states[2], tm.Magnet(mesh, Ms))
    write_npz(tmp_path / "all.npz", {"m": states, "t": 1e-12 * torch.arange(3)}, mesh)
    return tmp_path, states, tm.Magnet(mesh, Ms)


def run(*arguments):
    return main([str(argument) for argument in arguments])


def test_a_trajectory_to_everything_and_back(files, capsys):
    folder, states, film = files
    assert run("convert", folder / "run.vtkhdf", folder / "series", "--format", "binary8") == 0
    assert sorted(os.listdir(folder / "series")) == ["frames.csv", "m000000.ovf", "m000001.ovf", "m000002.ovf"]
    for i in range(3):
        read = read_ovf(folder / "series" / f"m{i:06d}.ovf")
        assert torch.equal(read.data, read_ovf(write_ovf(folder / "x.ovf", states[i], film, overwrite=True)).data)
        assert read.t == i * 1e-12
    assert read_table(folder / "series" / "frames.csv")["t"].tolist() == [0, 1e-12, 2e-12]
    assert run("convert", folder / "run.vtkhdf", folder / "back.npz") == 0
    arrays, read_mesh = read_npz(folder / "back.npz")
    assert np.array_equal(arrays["m"], states.numpy()) and read_mesh == mesh and arrays["E"].tolist() == [0, -1, -2]
    assert run("convert", folder / "back.npz", folder / "back.h5") == 0
    with Trajectory.open(folder / "back.h5") as trajectory:
        assert torch.equal(trajectory[:], states) and torch.equal(trajectory.Ms, film.Ms)
    assert run("convert", folder / "run.vtkhdf", folder / "mean.csv") == 0
    table = read_table(folder / "mean.csv")
    assert list(table.units.items()) == [("t", "s"), ("mx", ""), ("my", ""), ("mz", ""), ("E", "J")]
    np.testing.assert_allclose(table["my"], tm.average(states, film)[:, 1].numpy(), rtol=1e-13)
    assert run("convert", folder / "run.vtkhdf", folder / "first.ovf", "--frame", 0, "--format", "text", "--ovf-version", 1) == 0
    first = read_ovf(folder / "first.ovf")
    assert first.version == 1 and torch.equal(first.data, read_ovf(folder / "series" / "m000000.ovf").data)
    assert capsys.readouterr().err == ""


def test_ovf_to_ovf_keeps_the_cells(files):
    folder, _, _ = files
    original = read_ovf(folder / "m.ovf")
    assert run("convert", folder / "m.ovf", folder / "t.omf", "--format", "text", "--ovf-version", 1) == 0
    assert run("convert", folder / "t.omf", folder / "b.ovf") == 0
    back = read_ovf(folder / "b.ovf")
    assert torch.equal(back.data, original.data) and back.title == "m"
    assert run("convert", folder / "m.ovf", folder / "m.vtkhdf") == 0
    with Trajectory.open(folder / "m.vtkhdf") as trajectory:
        assert torch.equal(trajectory[0], original.as_nodes())
    assert run("convert", folder / "m.ovf", folder / "m.npz") == 0
    assert np.array_equal(read_npz(folder / "m.npz")[0]["cells"], original.data.numpy())
    map = write_ovf(folder / "Ku.ovf", torch.rand(mesh.cells), mesh, at="cells", title="Ku", unit="J/m^3")
    assert run("convert", map, folder / "Ku.omf", "--format", "binary4") == 0
    assert read_ovf(folder / "Ku.omf").units == ("J/m^3",)
    assert run("convert", map, folder / "Ku.h5") == 2 and not (folder / "Ku.h5").exists()


def test_the_order_goes_along(tmp_path, capsys):
    film, state = tm.Magnet(mesh, 8e5, order=6), tm.random(mesh, seed=0)
    with Trajectory(tmp_path / "run.vtkhdf", film) as trajectory:
        trajectory.append(0, state)
    assert run("convert", tmp_path / "run.vtkhdf", tmp_path / "m.npz") == 0
    assert run("convert", tmp_path / "m.npz", tmp_path / "back.vtkhdf") == 0
    assert run("convert", tmp_path / "back.vtkhdf", tmp_path / "m.ovf", "--ovf-version", 1) == 0
    assert read_npz(tmp_path / "m.npz")[0]["magnet_order"] == 6 and read_ovf(tmp_path / "m.ovf").order == 6
    with Trajectory.open(tmp_path / "back.vtkhdf") as trajectory:
        assert trajectory.order == 6
    capsys.readouterr()
    for name, line in (("run.vtkhdf", "order:       6\n"), ("m.ovf", "order:       6\n"), ("m.npz", "int64 (), 6\n")):
        assert run("info", tmp_path / name) == 0 and line in capsys.readouterr().out
    # Nothing is said of a mesh alone, and files that say nothing are of order 2.
    write_ovf(tmp_path / "mesh.ovf", state, mesh)
    write_npz(tmp_path / "mesh.npz", {"m": state, "Ms": film.Ms.expand(mesh.cells)}, mesh)
    assert read_ovf(tmp_path / "mesh.ovf").order is None
    assert run("info", tmp_path / "mesh.ovf") == 0 and "order" not in capsys.readouterr().out
    assert run("convert", tmp_path / "mesh.npz", tmp_path / "mesh.vtkhdf") == 0
    with Trajectory.open(tmp_path / "mesh.vtkhdf") as trajectory:
        assert trajectory.order == 2
    write_npz(tmp_path / "bad.npz", {"m": state, "magnet_order": [4, 6]}, mesh)
    assert run("convert", tmp_path / "bad.npz", tmp_path / "bad.vtkhdf") == 2 and "magnet_order" in capsys.readouterr().err


TARGETS = ["x.vtkhdf", "x.ovf", "x.npz", "x.csv", "folder"]


@pytest.mark.parametrize("target", TARGETS)
def test_no_silent_overwrite(files, capsys, target):
    folder, _, _ = files
    assert run("convert", folder / "run.vtkhdf", folder / target) == 0
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run("convert", folder / "all.npz", folder / target) == 2
    assert "exists" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert run("convert", folder / "all.npz", folder / target, "--force") == 0


def test_plot_and_info(files, capsys):
    folder, _, _ = files
    run("convert", folder / "run.vtkhdf", folder / "mean.csv")
    capsys.readouterr()
    for name, arguments, words in [
        ("run.vtkhdf", (), ("3 frames", "6 x 4 of", "800000 A/m", "0 to 2e-12")),
        ("run.vtkhdf", ("--verify",), ("are what was written",)),
        ("m.ovf", (), ("2.0, binary8", "6 x 4 of")),
        ("all.npz", (), ("float64 (3, 3, 7, 5)",)),
        ("mean.csv", (), ("3 rows", "E:")),
    ]:
        assert run("info", folder / name, *arguments) == 0
        shown = capsys.readouterr().out
        assert all(word in shown for word in words), shown
    for name, arguments in [
        ("run.vtkhdf", ()),
        ("run.vtkhdf", ("--averages",)),
        ("m.ovf", ("--frame", 0)),
        ("mean.csv", ()),
        ("all.npz", ()),
    ]:
        out = folder / f"{name}{len(arguments)}.png"
        assert run("plot", folder / name, "-o", out, *arguments) == 0
        assert out.read_bytes().startswith(b"\x89PNG") and run("plot", folder / name, "-o", out, *arguments) == 2
    assert run("plot", folder / "m.ovf") == 0 and (folder / "m.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [("info", "none"), ("info", "junk"), ("info", "."), ("plot", "junk"), ("plot", "m.ovf", "--averages"), ("plot", "m.ovf", "-o", "m.pdf")]
    + [("convert", "junk", "x.ovf"), ("convert", "run.vtkhdf", "x.exe"), ("convert", "run.vtkhdf", "run.vtkhdf", "--force")]
    + [("convert", "run.vtkhdf", "x.ovf", "--frame", "7"), ("convert", "m.ovf", "folder"), ("convert", "none", "x.ovf")]
    + [("convert", "run.vtkhdf", "no/such/x.ovf"), ("convert", "cut.vtkhdf", "x.npz"), ("info", "cut.vtkhdf"), ("info", "cut.ovf")]
    + [("plot", "run.vtkhdf", "-o", "x.png", "--frame", "-9")],
)  # fmt: skip
def test_errors_are_one_line_and_exit_code_2(files, monkeypatch, capsys, arguments):
    folder, _, _ = files
    monkeypatch.chdir(folder)
    (folder / "junk").write_bytes(os.urandom(10) + bytes(100))
    for name in ("run.vtkhdf", "m.ovf"):
        content = (folder / name).read_bytes()
        (folder / f"cut{os.path.splitext(name)[1]}").write_bytes(content[: len(content) // 2])
    before = sorted(folder.iterdir())
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"torchmag {arguments[0]}: ") and said.err.count("\n") == 1 and "Traceback" not in said.err
    assert sorted(folder.iterdir()) == before


def test_info_of_plain_arrays(tmp_path, capsys):
    hdf5.write(tmp_path / "a.h5", {"m": (np.eye(3), "", "x"), "group/names": (["a", "b"], "", "")}, {"title": "test"})
    assert run("info", tmp_path / "a.h5") == 0
    said = capsys.readouterr().out
    assert "2 arrays" in said and "3x3 float64, 0 to 1" in said and "title" in said
