"""Every case of `torchmag validate` within its tolerances, and the command itself."""

import csv

import pytest
import torch

from torchmag import cases
from torchmag.cases import depinning, walls
from torchmag.cases.table import Case, Row
from torchmag.cli import main

PARAMETERS = [pytest.param(case, id=case.id, marks=[pytest.mark.slow] if case.slow else []) for case in cases.every()]


@pytest.mark.parametrize("case", PARAMETERS)
def test_case(case):
    # As on the command line: no case may lean on the default dtype of the tests.
    torch.set_default_dtype(torch.float32)
    rows = case.rows()
    assert not [
        f"{row.name}: {row.got:.6g}, expected {row.expected:.6g} +- {row.tolerance:.2g}" for row in rows if not row.passed
    ]
    assert any(row.tolerance is not None for row in rows), "nothing is judged"
    assert len({row.name for row in rows}) == len(rows)


def test_ids_are_unique():
    ids = [case.id for case in cases.every()]
    assert len(set(ids)) == len(ids)
    assert not {name.lower() for name in ids} & {*cases.groups(), "all", "fast", "slow"}
    assert not {*cases.groups()} & {"all", "fast", "slow"}


def test_list(capsys):
    assert main(["validate"]) == 0
    printed = capsys.readouterr().out
    for case in cases.every():
        line = next(line for line in printed.splitlines() if line.split()[:1] == [case.id])
        assert case.title in line and case.source in line
        assert line.split()[1:4] == ["slow" if case.slow else "fast", f"{case.seconds:g}", "s"]


def test_one_case(capsys, tmp_path):
    table, page = tmp_path / "numbers.csv", tmp_path / "page.md"
    assert main(["validate", "exc-04", "--csv", str(table), "--markdown", str(page)]) == 0
    printed = capsys.readouterr().out
    assert "EXC-04: exchange energy of a spiral" in printed and "DMI" not in printed and " 0 out" in printed
    with open(table) as file:
        rows = list(csv.DictReader(file))
    assert {row["case"] for row in rows} == {"EXC-04"} and all(row["passed"] == "True" for row in rows)
    text = page.read_text()
    assert "## EXC-04" in text and "torch " in text and "| w, 10 degrees per cell (J/m^3) | 151922.4" in text


def test_groups_and_repetitions(monkeypatch):
    everything = cases.every()
    assert cases.choose(["all"]) == everything
    assert cases.choose(["fast", "walls", "ANI-07"]) == tuple(case for case in everything if not case.slow)
    assert cases.choose(["dmi"]) == cases.groups()["dmi"]
    assert cases.choose(["fast", "slow"]) == everything
    assert {case.id for case in cases.choose(["thermal", "DEM-01"])} == {case.id for case in cases.groups()["thermal"]} | {
        "DEM-01"
    }


@pytest.mark.parametrize("arguments", [["DMI-99"], ["walls", "nonsense"]])
def test_unknown_case(arguments, capsys):
    assert main(["validate", *arguments]) == 2
    assert "no case is called" in capsys.readouterr().err


def test_files_need_a_folder_and_a_case(tmp_path, capsys):
    assert main(["validate", "walls", "--csv", str(tmp_path / "no" / "x.csv")]) == 2
    assert "no folder" in capsys.readouterr().err
    assert main(["validate", "--markdown", str(tmp_path / "x.md")]) == 2
    assert "name cases" in capsys.readouterr().err


def right():
    return [Row("y", 1.0, 1.0, 0.5), Row("shown", 1.0, 2.0, None)]


def failing():
    raise RuntimeError("no equilibrium")


@pytest.mark.parametrize("rows", [lambda: [Row("x", 1.0, 2.0, 0.5)], lambda: [Row("x", float("nan"), 2.0, 0.5)], failing])
def test_a_number_out_of_tolerance_is_exit_code_1(rows, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(walls, "CASES", (Case("X-1", "wrong", "nowhere", rows), Case("X-2", "right", "here", right)))
    page = tmp_path / "page.md"
    assert main(["validate", "walls", "--markdown", str(page)]) == 1
    printed = capsys.readouterr().out
    assert "OUT OF TOLERANCE: X-1" in printed and "X-2" in printed
    text = page.read_text()
    assert "**OUT**" in text or "**Did not finish.**" in text
    assert "2 cases, " in text and "1 out of tolerance" in text
    assert "| y | 1 | 1 | 0.5 | < 1 % | ok |" in text and "| shown | 1 | 2 | | | |" in text


def test_analytic_depinning_fields():
    # Heistracher et al., in T; without a jump, or one of Js alone, there is no pinning.
    expected = {"akm": 1.568, "ak": 1.089, "am": 1.206, "a": 0.838, "km": 1.005, "k": 0.565, "m": 0.0, "": 0.0}
    for jumps, field in expected.items():
        assert depinning.analytic(jumps) == pytest.approx(field, abs=5e-4)
