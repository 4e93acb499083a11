"""scripts/gpu_report: one file whatever becomes of its parts."""

import importlib
import importlib.util
import json
import pathlib
import sys
import time

import pytest

SCRIPTS = pathlib.Path(__file__).parent.parent / "scripts"


@pytest.fixture
def report(monkeypatch):
    """Its modules."""
    monkeypatch.syspath_prepend(str(SCRIPTS / "gpu_report"))
    return importlib.import_module("parts"), importlib.import_module("pages")


def test_a_report_survives_its_parts(report, tmp_path):
    parts, pages = report
    python = [sys.executable, "-c"]
    # What hangs has started a process of its own, which writes a file as long as it lives.
    alive = tmp_path / "alive"
    child = f"import time\nwhile True: open({str(alive)!r}, 'a').write('.'); time.sleep(0.02)"
    hang = f"import subprocess, sys, time; print('before it hangs', flush=True); subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    chosen = [
        parts.Part("fails", "A part that fails", [*python, "print('so far'); raise SystemError('on purpose')"], 30),
        parts.Part("hangs", "A part that hangs", [*python, hang], 2, alone=True),
        parts.Part("missing", "A program that is not there", [str(tmp_path / "nothing")], 30),
        parts.Part("nonsense", "A part with numbers that are none", [*python, "print('{\"check\": 1}')"], 30, show=pages.checks),
        parts.Part(
            "works",
            "A part that works",
            [*python, "import sys; open(sys.argv[1], 'w').write('[1]'); print('fine')", "{out}"],
            30,
            alone=True,
        ),
    ]
    said, pages_so_far = [], []
    write = lambda results: pages_so_far.append(pages.page({"machine": "here"}, results, {part.name: part for part in chosen}))
    begin = time.monotonic()
    results = parts.run_all(chosen, 60, write, said.append)
    assert time.monotonic() - begin < 30
    outcomes = {result["name"]: result["outcome"] for result in results}
    assert list(outcomes) == [part.name for part in chosen]
    assert outcomes["fails"] == "failed with code 1" and outcomes["hangs"] == "stopped after 2 s" and outcomes["works"] == "done"
    assert outcomes["missing"].startswith("failed: ") and results[-1]["json"] == [1]
    page = pages_so_far[-1]
    for text in (
        "SystemError: on purpose",
        "so far",
        "before it hangs",
        "fine",
        "| A part that hangs | stopped after 2 s | 2 |",
        "not readable: ",
    ):
        assert text in page
    assert "SystemError: on purpose" in pages_so_far[0]  # written before what hangs
    assert any(text.startswith("[") and "hangs: stopped" in text for text in said)
    size = alive.stat().st_size
    time.sleep(0.2)
    assert alive.stat().st_size == size, "what the part started lives on"


def test_a_budget_that_is_spent(report):
    parts, _ = report
    sleep = [sys.executable, "-c", "import time; time.sleep(30)"]
    results = parts.run_all(
        [parts.Part(name, name, sleep, 30, alone=True) for name in "ab"], 6, lambda results: None, lambda text: None
    )
    assert [result["outcome"] for result in results] == ["stopped after 6 s", "left out: the budget of 6 s is spent"]


def test_pages(report):
    _, pages = report
    lines = [
        "tests/test_device.py::test_torques[<lambda>0] PASSED      [ 50%]",
        "tests/test_device.py::test_solvers[a | b] FAILED  [100%]",
        "FAILED tests/test_device.py::test_solvers[a | b] - AssertionError: 3 | 4",
    ]
    assert pages.tests(lines, None).splitlines() == [
        "1 passed, 1 failed, 0 skipped",
        "",
        "- FAILED tests/test_device.py::test_solvers[a | b]: AssertionError: 3 \\| 4",
    ]
    lines = [
        '{"check": "a", "bound": 1e-9, "difference": 2e-9, "seconds": 1}',
        '{"check": "b", "bound": 1e-9, "failed": "x", "seconds": 1}',
        "noise",
    ]
    shown = pages.checks(lines, None)
    assert "| a | 2.0e-09 | 1e-09 | 1 | **out** |" in shown and "| b | **failed** | 1e-09 | 1 | x |" in shown
    rows = [{"cells": "5", "dtype": "float32", "mode": "eager", "skipped": "no | memory"}]
    assert "| 5 | float32 | eager | no \\| memory |" in pages.bench([], {"counted": "so", "rows": rows})


@pytest.fixture
def command(report, monkeypatch, tmp_path):
    """Calls the command; its code."""
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("gpu_report_main", SCRIPTS / "gpu_report" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["gpu_report", *map(str, arguments)])
        return module.main()

    return call


def test_arguments_of_the_command(command, capsys):
    for wrong, said in (
        (["--only", "nothing"], "--only nothing: there is no such part; there are tests, tests-compiled"),
        (["--out", "no/report.md"], "--out no/report.md: there is no folder no"),
        (["--device", "gpu"], "--device gpu: expected a device of torch"),
    ):
        assert command("--device", "cpu", *wrong) == 2
        found = capsys.readouterr().err
        assert said in found and found.count("\n") == 1


@pytest.mark.slow
def test_the_command(command, tmp_path, capsys):
    assert command("--device", "cpu", "--quick", "--only", "checks-eager", "--out", "report.md") == 0
    assert "checks-eager: done" in capsys.readouterr().out
    page = (tmp_path / "report.md").read_text()
    assert "| gradient | 0.0e+00 | 1e-08 |" in page and "| minimize | 0.0e+00 |" in page
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["parts"][0]["name"] == "checks-eager" and written["head"]["machine"]
