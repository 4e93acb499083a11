"""The command line."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

import torchmag as tm
from torchmag.cases import standard_problem_4
from torchmag.cli import main
from torchmag.io import hdf5

COARSE = ["sp4", "--cell", "25e-9", "--dtype", "float32"]


def test_sp4_writes_everything_and_judges_the_numbers(tmp_path, capsys):
    out = tmp_path / "results"
    # 25 nm cells are too coarse for the tolerances: the command says so by its exit code.
    assert main([*COARSE, "--field", "2", "--out", str(out)]) == 1
    printed = capsys.readouterr().out
    assert "OUT OF TOLERANCE" in printed and "s-state <mx>" in printed
    assert sorted(p.name for p in out.iterdir()) == ["sp4.h5", "sp4_field2.png", "sp4_field2_crossing.png", "table.csv"]
    arrays, attributes = hdf5.read(out / "sp4.h5")
    assert arrays["field2/m"].shape == (201, 3, 21, 6)
    assert arrays["field2/t"][-1] == pytest.approx(1e-9)
    assert list(attributes["n"]) == [20, 5] and attributes["order"] == tm.Magnet(tm.Mesh(1, (1e-9,) * 3), 1.0).order
    with h5py.File(out / "sp4.h5") as file:
        assert file["field2/t"].attrs["units"] == "s"
    assert (out / "table.csv").read_text().startswith("quantity,unit,got,reference")
    assert len(arrays["table/got"]) == len((out / "table.csv").read_text().splitlines()) - 1

    assert main([*COARSE, "--out", str(out)]) == 2
    assert "--force" in capsys.readouterr().err


@pytest.mark.parametrize("order", [2, 4, 6])
def test_sp4_takes_an_order(tmp_path, monkeypatch, order):
    seen = []
    monkeypatch.setattr(standard_problem_4, "run", lambda fields, options, *_, **__: seen.append(options) or True)
    assert main(["sp4", "--order", str(order), "--out", str(tmp_path)]) == 0
    assert standard_problem_4.film(seen[0]).order == order


def test_a_missing_device_is_an_error(tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    assert main(["sp4", "--device", "cuda", "--out", str(tmp_path / "x")]) == 2
    assert "no CUDA device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["sp4", "--cell", "5"], ["sp4", "--field", "3"], ["sp4", "--order", "3"], ["nonsense"], []]
)
def test_bad_arguments(arguments):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2


def test_module_is_the_command():
    shown = subprocess.run([sys.executable, "-m", "torchmag", "--help"], capture_output=True, text=True, check=True).stdout
    assert "sp4" in shown


def test_hdf5_round_trip(tmp_path):
    path = tmp_path / "x.h5"
    m = np.random.default_rng(0).normal(size=(5, 3, 20, 10))
    hdf5.write(path, {"m": (m, "1", "time, component, x, y"), "names": (["a", "b"], "1", "row")}, {"alpha": 0.02})
    arrays, attributes = hdf5.read(path)
    assert np.array_equal(arrays["m"], m) and list(arrays["names"]) == ["a", "b"] and attributes["alpha"] == 0.02
    with pytest.raises(FileExistsError, match="overwrite"):
        hdf5.write(path, {})
    with pytest.raises(TypeError):
        hdf5.write(path, {"bad": (object(), "1", "")}, overwrite=True)
    assert np.array_equal(hdf5.read(path)[0]["m"], m)  # the old file is intact
    assert [p.name for p in tmp_path.iterdir()] == ["x.h5"]


def test_bench(capsys):
    assert main(["bench", "6x4", "5", "--seconds", "0.01", "--batch", "2", "--dtype", "float32"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["6x4", "5"]
    assert all(0 < float(line.split()[3]) <= float(line.split()[4]) for line in lines[2:])
    for order in ("2", "6"):
        assert main(["bench", "5", "--seconds", "0.01", "--order", order]) == 0
        assert capsys.readouterr().out.split()[-1] == order
    for wrong in (["bench", "6by4"], ["bench", "0x4"], ["bench", "--batch", "0"]):
        with pytest.raises(SystemExit) as error:
            main(wrong)
        assert error.value.code == 2
