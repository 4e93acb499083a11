"""scripts/compare_peers.py: the problems in the words of other programs, and how these are timed.  The programs themselves are not needed."""

import pathlib
import re
import sys
import types

import pytest

SCRIPTS = pathlib.Path(__file__).parent.parent / "scripts"
N = (8, 6, 1)


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def program(path, code):
    """A program that stands for another."""
    path.write_text(f"#!{sys.executable}\n{code}")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("problem", ["exchange", "film", "disk", "disk-maps"])
def test_a_problem_for_oommf(problem):
    from peers import oommf

    text = oommf.mif(N, problem)
    assert text.startswith("# MIF 2.1\n") and text.count("{") == text.count("}")
    specified = re.findall(r"^Specify (Oxs_\w+)", text, re.MULTILINE)
    more = [] if problem == "exchange" else ["Oxs_UniaxialAnisotropy", "Oxs_DMI_Cnv_z", "Oxs_FixedZeeman"]
    exchange = "Oxs_ExchangePtwise" if problem == "disk-maps" else "Oxs_UniformExchange"
    assert sorted(specified) == sorted(
        ["Oxs_BoxAtlas", "Oxs_RectangularMesh", "Oxs_Demag", exchange, *more, "Oxs_RungeKuttaEvolve", "Oxs_TimeDriver"]
    )
    if problem == "exchange":
        assert "cellsize {5e-09 5e-09 3e-09}" in text and "A 1.3e-11" in text and "alpha 0.02" in text and " Ms 800000.0 " in text
    else:
        assert "cellsize {1e-09 1e-09 1e-09}" in text and "field { 0 0 80000.0 }" in text and "D { body body 0.003 }" in text
    assert ("proc Disk" in text) == problem.startswith("disk") == ("Oxs_ScriptScalarField" in text)
    random = [float(end) for pair in re.findall(r"range_min (\S+) range_max (\S+)", text) for end in pair]
    assert random == pytest.approx([1.17e-11, 1.43e-11, 7.2e5, 8.8e5]) if problem == "disk-maps" else not random


# Takes 1 ms for an evaluation, of which a step makes two, and ten for what comes before.
OOMMF = """
import sys, time
given = sys.argv[sys.argv.index("-parameters") + 1]
limit = int(given.split()[1])
time.sleep(0.01 + 0.002 * limit)
open("out.odt", "w").write("# Columns: {Oxs_RungeKuttaEvolve:ev:Energy calc count} Oxs_Demag::Energy\\n%d 1e-18\\n" % (2 * limit))
"""


def test_oommf_is_timed(tmp_path):
    from peers import oommf

    options = types.SimpleNamespace(oommf=[program(tmp_path / "oommf", OOMMF)], threads=1, problem="disk")
    oommf.require_terms(options)
    assert oommf.time_oommf("8x6x1", options) == pytest.approx(1e-3, rel=0.5)


def test_an_oommf_without_the_extension(tmp_path):
    from peers import oommf

    code = "print('Error loading run.mif:\\nUnrecognized Specify Block:\\n    Oxs_DMI_Cnv_z:\\n')"
    options = types.SimpleNamespace(oommf=[program(tmp_path / "oommf", code)], threads=1, problem="film")
    with pytest.raises(SystemExit, match="cannot run the problem film: it has no Oxs_DMI_Cnv_z; build it with the extensions"):
        oommf.require_terms(options)


def test_a_problem_for_mumax3(tmp_path):
    from peers import mumax3

    text = mumax3.script((8, 6, 2), "exchange", 50)
    for line in (
        "SetGridSize(8, 6, 2)",
        "SetCellSize(5e-09, 5e-09, 3e-09)",
        "Msat = 800000.0",
        "Aex = 1.3e-11",
        "FixDt = 1e-15",
        "Steps(50)",
    ):
        assert line in text.splitlines()
    assert "Ku1" not in text and "SetGeom" not in text
    text = mumax3.script(N, "disk", 50)
    # Fields in tesla, the other sign of D.
    assert [float(axis) for axis in re.search(r"SetGeom\(Ellipse\((\S+), (\S+)\)\)", text).groups()] == pytest.approx(
        [8e-9, 6e-9]
    )
    assert "Dind = -0.003" in text
    assert float(re.search(r"B_ext = vector\(0, 0, (\S+)\)", text)[1]) == pytest.approx(0.10053, rel=1e-4)
    code = """
import sys
assert "-o" in sys.argv
text = open(sys.argv[-1]).read()
print("//mumax 3.11")
print("//SECONDS", 0.012 * int([line for line in text.splitlines() if line.startswith("Steps")][1][6:-1]))
"""
    options = types.SimpleNamespace(mumax3=program(tmp_path / "mumax3", code), problem="exchange")
    assert mumax3.time_mumax3("8x6x1", options) == pytest.approx(0.002)
    options.mumax3 = program(tmp_path / "broken", "print('no CUDA device')")
    with pytest.raises(RuntimeError, match="mumax3 did not end its run: no CUDA device"):
        mumax3.time_mumax3("8x6x1", options)


def test_arguments(monkeypatch):
    import compare_peers

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["compare_peers.py", *arguments])
        with pytest.raises(SystemExit) as stop:
            compare_peers.main()
        return str(stop.value)

    assert run("--mumax3", "mumax3") == (
        "compare_peers: mumax3 needs --device cuda --dtype float32 and one of --problem exchange film disk; leave --mumax3 out for others"
    )

    def none(name, what):
        raise ValueError(f"{what}: no CUDA device: on purpose; or use cpu")

    monkeypatch.setattr("torchmag.device.require_device", none)
    assert run("--device", "cuda") == "compare_peers: --device cuda: no CUDA device: on purpose; or use cpu"


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_environment_of_a_package(monkeypatch, device):
    """Which device the other packages take is said by variables of theirs."""
    import compare_peers

    made = []

    class Process:
        def __init__(self, command, **options):
            made.append((command, options["env"]))

    monkeypatch.setattr(compare_peers.subprocess, "Popen", Process)
    options = types.SimpleNamespace(threads=1, device=device, dtype="float32", peers=pathlib.Path("peers"))
    compare_peers.start_worker("neuralmag jax", "script.py", [], options)
    (command, variables), cuda = made[0], device == "cuda"
    assert (command[0] == "taskset") != cuda and "peers/bin/python" in map(str, command)
    wanted = {"NM_BACKEND": "jax", "NM_DTYPE": "float32", "NM_DEVICE": "cuda:0" if cuda else "cpu", "JAX_PLATFORMS": device}
    wanted |= {"CUDA_DEVICE": "0" if cuda else "-1", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert {name: variables[name] for name in wanted} == wanted
