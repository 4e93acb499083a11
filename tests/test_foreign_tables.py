"""Tables of OOMMF (ODT) and mumax3 (table.txt), written as their programs write them."""

import math
from pathlib import Path

import numpy as np
import pytest

import torchmag as tm
from torchmag.cli import main

# OOMMF User's Guide, "Data Table File Format (ODT)": the sample.
SAMPLE = """# ODT 1.0
# Table Start
# Title: This is a small sample ODT file.
#
## This is a sample comment.  You can put anything you want
## on comment lines.
#
# Columns: Iteration "Applied Field"  {Total Energy}    Mx
# Units:      {}          "mT"           "J/m^3"       "A/m"
              103          50            0.00636      787840
             1000          32            0.00603      781120
            10300       -5000            0.00640     -800e3
# Table End
"""
MUMAX = "# t (s)\tmx ()\tmy ()\tmz ()\tB_extx (T)\n0\t1\t0\t-2.5e-09\t0.1\n# a comment of TablePrint\n1e-12\t0.9\t0.1\t0\tNaN\n"


def oommf(rows, title="a"):
    """One block as mmArchive writes it."""
    lines = ["# Table Start", f"# Title: mmArchive Data Table, {title}"]
    lines += ["# Columns: {Oxs_RungeKuttaEvolve::Total energy} Oxs_TimeDriver::mx Oxs_TimeDriver::my Oxs_TimeDriver::mz \\"]
    lines += ["#   {Oxs_TimeDriver::Simulation time}", "# Units: J {} {} {} s"]
    return "\n".join(lines + [" ".join(row) for row in rows] + ["# Table End", ""])


ROWS = [["-1.5e-18", "0.99", "0.1", "0", "0"], ["{}", "0.5", "-0.5", "0.7", "1e-10"]]


def write(tmp_path, text, name="table.odt"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_the_sample_of_the_format(tmp_path):
    table = tm.io.read_table(write(tmp_path, SAMPLE))
    assert table.units == {"Iteration": "", "Applied Field": "mT", "Total Energy": "J/m^3", "Mx": "A/m"} and len(table) == 3
    assert table["Mx"].tolist() == [787840, 781120, -800000] and table["Total Energy"][2] == 0.0064


def test_blocks_lines_that_go_on_and_missing_values(tmp_path):
    table = tm.io.read_table(write(tmp_path, "# ODT 1.0\n" + oommf(ROWS) + "#\n" + oommf(ROWS[:1], "b")))
    assert len(table) == 3 and table.units["Oxs_TimeDriver::Simulation time"] == "s"
    assert table["Oxs_TimeDriver::mx"].tolist() == [0.99, 0.5, 0.99]
    assert math.isnan(table["Oxs_RungeKuttaEvolve::Total energy"][1])
    # Units before columns, a space before the colon, no Table End, Windows' line ends: mmSolve, and a run that was killed.
    text = "# ODT 1.0\r\n# Table Start\r\n# Units : \\\r\n#  nm {}\r\n# Columns: \\\r\n#  Cellsize Mx/Ms\r\n 5 0.5\r\n"
    found = tm.io.read_table(write(tmp_path, text))
    assert found.units == {"Cellsize": "nm", "Mx/Ms": ""} and found["Mx/Ms"].tolist() == [0.5]
    # Units are optional; a file may end with its last comment.
    assert tm.io.read_table(write(tmp_path, "# ODT 1.0\n# Columns: a\n1\n# Table End")).units == {"a": ""}


def test_mumax(tmp_path):
    table = tm.io.read_table(write(tmp_path, MUMAX, "table.txt"))
    assert table.units == {"t": "s", "mx": "", "my": "", "mz": "", "B_extx": "T"} and len(table) == 2
    assert table["mz"][0] == -2.5e-9 and table["t"][1] == 1e-12 and math.isnan(table["B_extx"][1])
    unfinished = write(tmp_path, MUMAX + "2e-12\t0.8", "cut.txt")
    with pytest.raises(tm.TableError, match="drop_unfinished=True"):
        tm.io.read_table(unfinished)
    assert len(tm.io.read_table(unfinished, drop_unfinished=True)) == 2


@pytest.mark.parametrize(
    "text, message",
    [
        (SAMPLE.replace("32 ", "x  "), "line 11 is .* expected 4 numbers"),
        (SAMPLE.replace("781120", "781120 3"), "expected 4 numbers"),
        (SAMPLE.replace("# Columns", "# Colums"), "line 10 has numbers, with 0 columns"),
        (SAMPLE.replace('"A/m"', ""), "with 4 columns and 3 units"),
        (SAMPLE.replace("{Total Energy}", "{Total Energy"), "no list of names"),
        (SAMPLE.replace(" Mx", " Iteration"), "a name given twice"),
        (SAMPLE + SAMPLE.replace("mT", "T"), "a second table, of other columns"),
        ("# ODT 1.0\n# Columns: a \\\n", "is no list|nothing follows|no columns|given twice"),
        ("# ODT 1.0\n", "no columns"),
        (MUMAX.replace("mx ()", "mx"), "names with units"),
        (MUMAX.replace("\t0.9", "\t0.9x"), "line 4 is"),
        (MUMAX.replace("\t0.9", ""), "expected 5 numbers"),
    ],
)
def test_malformed(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(tm.TableError, match=message):
        tm.io.read_table(path)


def test_every_cut_and_flipped_byte_is_read_or_refused(tmp_path):
    generator, path = np.random.default_rng(1), tmp_path / "t"
    for whole in (SAMPLE.encode(), MUMAX.encode()):
        for _ in range(200):
            data = bytearray(whole)
            data[generator.integers(len(data))] = generator.integers(256)
            path.write_bytes(data[: generator.integers(1, len(data) + 1)])
            try:
                tm.io.read_table(path)
            except tm.TableError:
                pass


def test_commands(tmp_path, capsys):
    odt = write(tmp_path, "# ODT 1.0\n" + oommf(ROWS))
    txt = write(tmp_path, MUMAX, "table.txt")
    for path in (odt, txt):
        assert main(["info", str(path)]) == 0
        assert main(["plot", str(path), "-o", str(tmp_path / "m.png"), "--force"]) == 0
        assert main(["convert", str(path), str(tmp_path / "m.csv"), "--force"]) == 0
        read, csv = tm.io.read_table(path), tm.io.read_table(tmp_path / "m.csv")
        for a, b in zip(read.columns.values(), csv.columns.values()):
            np.testing.assert_array_equal(a, b)
    assert "2 rows" in capsys.readouterr().out
    assert main(["convert", str(odt), str(tmp_path / "m.ovf")]) == 2
    assert "written as .csv only" in capsys.readouterr().err


def test_a_table_of_a_run():
    table = tm.io.read_table(Path(__file__).parent / "data" / "oommf_hysteresis.odt")
    assert len(table.columns) == 25 and {len(column) for column in table.columns.values()} == {9}
    assert table.columns["Oxs_CGEvolve:ev:Total energy"][0] == 2.7558701299572729e-19
    assert table.units["Oxs_UZeeman::B"] == "mT"
    assert table.columns["Oxs_CGEvolve:ev:Energy calc count"].tolist()[:3] == [1, 7, 13]
