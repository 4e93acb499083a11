"""Tables: CSV with units."""

import math
import os
import signal
import time

import numpy as np
import pytest

from torchmag.errors import TableError
from torchmag.io import Table, read_table

UNITS = {"t": "s", "mx": "", "E_total": "J", "dE/dt": "J/s"}


def make(path, rows=5, **options):
    rng = np.random.default_rng(0)
    values = np.concatenate((1e-12 * np.arange(rows)[:, None], rng.normal(size=(rows, 3)) * [1, 1e-18, 1e-9]), 1)
    with Table(path, UNITS, **options) as table:
        for row in values:
            table.append(**dict(zip(UNITS, row)))
    return values


def test_round_trip(tmp_path):
    path = tmp_path / "run.csv"
    values = make(path)
    table = read_table(path)
    assert table.units == UNITS and len(table) == 5 and list(table.columns) == list(UNITS)
    for column, name in zip(values.T, UNITS):
        assert np.array_equal(table[name], column)
    assert path.read_text().splitlines()[:2] == ["t,mx,E_total,dE/dt", "s,,J,J/s"]
    with pytest.raises(FileExistsError, match="overwrite"):
        make(path)
    make(path, rows=0, overwrite=True)
    assert len(read_table(path)) == 0


def test_special_values(tmp_path):
    with Table(tmp_path / "x.csv", {"a": ""}) as table:
        for value in (math.nan, math.inf, -math.inf, 5e-324, -0.0, 1.7976931348623157e308):
            table.append(a=value)
    column = read_table(tmp_path / "x.csv")["a"]
    assert np.isnan(column[0]) and column[1:].tolist() == [math.inf, -math.inf, 5e-324, 0, 1.7976931348623157e308]
    assert math.copysign(1, column[4]) == -1


def test_going_on(tmp_path):
    path = tmp_path / "run.csv"
    values = make(path)
    with Table.open(path, rows=3, units=UNITS) as table:
        assert len(table) == 3
        table.append(**dict(zip(UNITS, values[4])))
    assert np.array_equal(read_table(path)["E_total"], values[[0, 1, 2, 4], 2])
    with pytest.raises(TableError, match="4 rows"):
        Table.open(path, rows=5)
    with pytest.raises(TableError, match="columns"):
        Table.open(path, units={"t": "s"})
    with Table.open(path) as table, pytest.raises(TypeError, match="each of them"):
        table.append(t=1)
    assert len(read_table(path)) == 4


def test_every_cut(tmp_path):
    """A file cut at any byte: refused, or whole rows of it; with drop_unfinished, and after `open`, never a number changed."""
    path = tmp_path / "run.csv"
    values = make(path, rows=3)
    content = path.read_bytes()
    head = content.index(b"\n", content.index(b"\n") + 1) + 1
    for size in range(len(content)):
        path.write_bytes(content[:size])
        if not content[:size].endswith(b"\n") or size < head:
            with pytest.raises(TableError, match="run.csv"):
                read_table(path)
        if size < head:
            with pytest.raises(TableError, match="run.csv"):
                Table.open(path)
            continue
        whole = content[head:size].count(b"\n")
        table = read_table(path, drop_unfinished=True)
        assert len(table) == whole and np.array_equal(table["mx"], values[:whole, 1])
        with Table.open(path) as again:
            assert len(again) == whole
            again.append(**dict(zip(UNITS, values[0])))
        assert np.array_equal(read_table(path)["E_total"], [*values[:whole, 2], values[0, 2]])


@pytest.mark.parametrize(
    "content",
    ["", "t\n", "t,t\ns,s\n1,2\n", "t,mx\ns\n1,2\n", "t\ns\n1,2\n", "t\ns\none\n", "t\ns\n1_0\n", "t\ns\n0x1\n", "t\ns\n\n", "1\n2\n3\n"]
    + ["t\ns\n1;2\n", "=cmd\ns\n1\n", '"t"\ns\n1\n', "t\n\x00\n1\n", "t\ns\n1\x00\n", "té\ns\n1\n", "t\ns\n" + "1" * 2_000_000 + "\n"],
)  # fmt: skip
def test_malformed(tmp_path, content):
    (tmp_path / "x.csv").write_text(content, encoding="utf-8")
    with pytest.raises(TableError, match="x.csv"):
        read_table(tmp_path / "x.csv")
    with pytest.raises(TableError, match="x.csv"):
        Table.open(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text(encoding="utf-8") == content


def test_mutants(tmp_path):
    path = tmp_path / "run.csv"
    make(path)
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(500):
        new = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            new[rng.integers(len(new))] = rng.integers(256)
        path.write_bytes(new)
        try:
            read_table(path)
        except TableError:
            pass


def test_bad_names(tmp_path):
    for name, unit in [("a,b", ""), ("a\nb", ""), ("=1", ""), ("", ""), ("a", "s,m"), ("a", "\n"), ('"a"', ""), ("a", "=1")]:
        with pytest.raises(ValueError, match="column"):
            Table(tmp_path / "x.csv", {name: unit})
    with pytest.raises(ValueError, match="no columns"):
        Table(tmp_path / "x.csv", {})
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "x.csv")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_killed_process_leaves_every_row_but_the_last_whole(tmp_path):
    path = tmp_path / "x.csv"
    for attempt in range(10):
        source, sink = os.pipe()
        child = os.fork()
        if child == 0:
            with Table(path, {"a": "", "b": ""}, overwrite=True) as table:
                while True:
                    table.append(a=len(table), b=len(table) / 7)
                    if len(table) == 50:
                        os.write(sink, b"1")
        os.read(source, 1)
        time.sleep(0.002 * attempt)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(source)
        os.close(sink)
        # At most the last row is cut: the system may stop a write at the end of a page.
        table = read_table(path, drop_unfinished=True)
        assert len(table) >= 50 and np.array_equal(table["b"], np.arange(len(table)) / 7)
