"""OVF files: round trips, files of OOMMF, files that lie."""

import math
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.errors import OVFError
from torchmag.io import read_ovf, write_ovf

DATA = Path(__file__).parent / "data"
SAMPLES = sorted(DATA.glob("sp4_ovf[12]_*.ovf"))
mesh = tm.Mesh((5, 4, 3), dx=(1e-9, 2e-9, 3e-9), origin=(1e-9, -2e-9, 0))


def field(mesh=mesh, seed=0, components=3):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((components, *mesh.n), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("format", ["text", "binary4", "binary8"])
def test_round_trip(tmp_path, format, version):
    cells = field()
    path = write_ovf(tmp_path / "m.ovf", cells, mesh, at="cells", format=format, version=version, title="M", unit="A/m", t=1.5e-9)
    back = read_ovf(path)
    if format == "binary4":
        assert torch.equal(back.data, cells.float()) and float((back.data - cells).abs().max()) < 1e-7 * float(cells.abs().max())
    else:
        assert torch.equal(back.data, cells)
    assert back.mesh.n == mesh.n and back.mesh.dx == mesh.dx and back.mesh.origin == mesh.origin
    assert (back.title, back.units, back.t, back.version, back.format) == ("M", ("A/m",) * 3, 1.5e-9, version, format)
    assert back.labels == (("M_x", "M_y", "M_z") if version == 2 else ("", "", ""))
    with pytest.raises(FileExistsError, match="overwrite"):
        write_ovf(path, cells, mesh, at="cells")
    write_ovf(path, -cells, mesh, at="cells", overwrite=True)
    assert torch.equal(read_ovf(path).data, -cells) and [file.name for file in tmp_path.iterdir()] == ["m.ovf"]


@pytest.mark.parametrize("n", [(5,), (5, 4), (5, 4, 3), (5, 1), (1,)])
def test_a_scalar_map(tmp_path, n):
    mesh = tm.Mesh(n, dx=(1e-9, 2e-9, 3e-9))
    Ku = field(mesh, components=1)[0].abs()
    path = write_ovf(tmp_path / "Ku.ovf", Ku, mesh, at="cells", title="Ku", unit="J/m^3")
    assert torch.equal(read_ovf(path, dim=len(n)).as_cells(), Ku) and torch.equal(read_ovf(path).as_cells(mesh), Ku)
    assert read_ovf(path).labels == ("Ku",)
    film = tm.Magnet(mesh, 8e5)
    tm.UniaxialAnisotropy(film, read_ovf(path).as_cells(mesh), (0, 0, 1)).energy(tm.random(mesh, seed=0))


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, math.inf)])
def test_nodes_and_cells(tmp_path, pbc):
    mesh = tm.Mesh((5, 4, 3), dx=(1e-9, 2e-9, 3e-9), pbc=pbc)
    Ms = torch.full(mesh.n, 8e5)
    Ms[0] = 0
    film, m = tm.Magnet(mesh, Ms), tm.random(mesh, seed=0)
    back = read_ovf(write_ovf(tmp_path / "m.ovf", m, film))
    # The file has the same mean, and nothing outside the body.
    torch.testing.assert_close(back.data[:, 1:].mean((1, 2, 3)), tm.average(m, film), rtol=1e-13, atol=0)
    assert not back.data[:, 0].any()
    nodes = back.as_nodes(mesh)
    torch.testing.assert_close(nodes.norm(dim=0), torch.ones(mesh.nodes))
    if not pbc[0]:
        assert (nodes[:, 0] == torch.tensor([0.0, 0, 1]).reshape(3, 1, 1)).all()
    # A uniform state comes back as it was, up to rounding; an even node between two cells is their mean.
    up = tm.uniform(mesh, (1, 2, 3))
    torch.testing.assert_close(read_ovf(write_ovf(tmp_path / "u.ovf", up, mesh)).as_nodes(mesh), up, rtol=1e-14, atol=0)
    mean = back.as_nodes(mesh, normalize=False)[:, 2, 2, 1]
    torch.testing.assert_close(mean, back.data[:, 1:3, 1:3, 0:2].mean((1, 2, 3)), rtol=1e-13, atol=0)
    with pytest.raises(ValueError, match="cells of"):
        back.as_nodes(tm.Mesh((5, 4, 3), dx=(1e-9, 2e-9, 3.1e-9)))


def test_a_body_that_depends_on_time(tmp_path):
    mesh = tm.Mesh((3,), (1e-9,) * 3)
    film = tm.Magnet(mesh, lambda t: 8e5 * torch.tensor([1.0, 1.0, 0.0]).roll(int(t)))
    m = tm.uniform(mesh, (1, 0, 0))
    for t, expected in ((None, [1, 1, 0]), (1.0, [0, 1, 1])):
        back = read_ovf(write_ovf(tmp_path / f"{t}.ovf", m, film, t=t))
        assert back.data[0].flatten().tolist() == expected


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_files_of_oommf(path):
    read, reference = read_ovf(path), read_ovf(DATA / "sp4_ovf2_b8.ovf").data
    assert read.mesh == tm.Mesh((7, 4), dx=(5e-9, 5e-9, 3e-9)) and read.t is None
    if "mag" in path.stem:
        torch.testing.assert_close(read.as_cells(), torch.ones(7, 4), rtol=0, atol=1e-15)
        return
    # OOMMF's text has 17 digits.
    assert read.data.sub(reference).abs().max() <= (6e-8 if path.stem.endswith("b4") else 0)
    torch.testing.assert_close(read.data.double().norm(dim=0), torch.ones(7, 4), rtol=0, atol=1e-7)
    assert read.data[:, 0, 0].tolist() == pytest.approx([0.76663153213379631, 0.64208729464005743, 0], abs=6e-8)


MUMAX = """# OOMMF OVF 2.0
# Segment count: 1
# Begin: Segment
# Begin: Header
# Title: m
# meshtype: rectangular
# meshunit: m
# xmin: 0
# ymin: 0
# zmin: 0
# xmax: 8e-09
# ymax: 4e-09
# zmax: 3e-09
# valuedim: 3
# valuelabels: m_x m_y m_z
# valueunits: 1 1 1
# Desc: Total simulation time:  2.5e-10  s
# xbase: 2e-09
# ybase: 2e-09
# zbase: 1.5e-09
# xnodes: 2
# ynodes: 1
# znodes: 1
# xstepsize: 4e-09
# ystepsize: 4e-09
# zstepsize: 3e-09
# End: Header
# Begin: Data Text
1 0 0
0 -0.6 0.8
# End: Data Text
# End: Segment
"""


def test_the_conventions_of_mumax(tmp_path):
    (tmp_path / "m.ovf").write_text(MUMAX)
    read = read_ovf(tmp_path / "m.ovf")
    assert read.t == 2.5e-10 and read.mesh == tm.Mesh(2, dx=(4e-9, 4e-9, 3e-9)) and read.units == ("1", "1", "1")
    assert read.data.tolist() == [[1, 0], [0, -0.6], [0, 0.8]]
    assert read_ovf(tmp_path / "m.ovf", dim=3).mesh.n == (2, 1, 1)


def test_no_line_break_after_binary_numbers(tmp_path):
    # mumax3's binary files.
    path, mesh = tmp_path / "m.ovf", tm.Mesh((3, 2), (4e-9, 4e-9, 3e-9))
    data = torch.randn(3, *mesh.cells, dtype=torch.float64)
    write_ovf(path, data, mesh, at="cells", format="binary8")
    whole = path.read_bytes()[: path.read_bytes().rindex(b"\n", 0, -1) + 1]  # without the checksum
    assert whole.count(b"\n# End: Data") == 1
    path.write_bytes(whole.replace(b"\n# End: Data", b"# End: Data"))
    assert torch.equal(read_ovf(path).data, data)
    path.write_bytes(whole.replace(b"\n# End: Data", b"x# End: Data"))
    with pytest.raises(OVFError, match="expected a line break"):
        read_ovf(path)


LIES = {
    "nodes": ("xnodes: 2", "xnodes: 3"),
    "huge": ("xnodes: 2", "xnodes: 999999999999"),
    "negative": ("xnodes: 2", "xnodes: -2"),
    "fraction": ("xnodes: 2", "xnodes: 2.0"),
    "zero": ("xnodes: 2", "xnodes: 0"),
    "step": ("xstepsize: 4e-09", "xstepsize: 4e-08"),
    "small step": ("xstepsize: 4e-09", "xstepsize: 4.0001e-09"),
    "base": ("xbase: 2e-09", "xbase: 2.1e-09"),
    "max": ("xmax: 8e-09", "xmax: 9e-09"),
    "nan": ("xmax: 8e-09", "xmax: nan"),
    "inf": ("xbase: 2e-09", "xbase: 1e999"),
    "underscore": ("xnodes: 2", "xnodes: 0_2"),
    "valuedim": ("valuedim: 3", "valuedim: 2"),
    "no valuedim": ("# valuedim: 3\n", ""),
    "labels": ("m_x m_y m_z", "m_x m_y"),
    "units": ("valueunits: 1 1 1", "valueunits: 1 1"),
    "unit": ("meshunit: m", "meshunit: parsec"),
    "irregular": ("rectangular", "irregular"),
    "segments": ("count: 1", "count: 2"),
    "twice": ("# xnodes: 2\n", "# xnodes: 2\n# xnodes: 2\n"),
    "unknown": ("# Title: m", "# Titel: m"),
    "version 1 key": ("# Title: m", "# valuemultiplier: 2\n# Title: m"),
    "no header end": ("# End: Header\n", ""),
    "a word": ("0 -0.6", "0 minus"),
    "a nan": ("0 -0.6", "0 nan"),
    "two points": ("0 -0.6", "0 -0.6.1"),
    "overflow": ("0 -0.6", "0 -1e999"),
    "missing": ("1 0 0\n", "1 0\n"),
    "more": ("1 0 0\n", "1 0 0 0\n"),
    "no end": ("# End: Data Text\n", ""),
    "no segment end": ("# End: Segment\n", ""),
    "other end": ("# End: Data Text", "# End: Data Binary 4"),
    "binary": ("# Begin: Data Text", "# Begin: Data Binary 8"),
    "a second one": ("# End: Segment\n", "# End: Segment\n# Begin: Segment\n"),
    "first line": ("OOMMF OVF 2.0", "OOMMF OVF 3.0"),
    "dos": ("1 0 0\n", "1 0 0\x00\n"),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_found(tmp_path, lie):
    old, new = LIES[lie]
    assert MUMAX.count(old) >= 1
    path = tmp_path / "m.ovf"
    path.write_text(MUMAX.replace(old, new, 1))
    with pytest.raises(OVFError, match="m.ovf"):
        read_ovf(path)


def test_strict_is_a_choice(tmp_path):
    path = tmp_path / "m.ovf"
    path.write_text(MUMAX.replace("xmax: 8e-09", "xmax: 9e-09"))
    with pytest.raises(OVFError, match="strict=False"):
        read_ovf(path)
    assert read_ovf(path, strict=False).mesh == tm.Mesh(2, dx=(4e-9, 4e-9, 3e-9))


def test_wrong_control_numbers(tmp_path):
    for name in ("sp4_ovf2_b4", "sp4_ovf1_b8"):
        content = (DATA / f"{name}.ovf").read_bytes()
        start = content.index(b"\n", content.index(b"Begin: Data")) + 1
        size = int(name[-1])
        for swapped in (content[start : start + size][::-1], bytes(size), b"\xff" * size):
            (tmp_path / "x.ovf").write_bytes(content[:start] + swapped + content[start + size :])
            with pytest.raises(OVFError, match="control number"):
                read_ovf(tmp_path / "x.ovf")


def test_bad_arguments_write_nothing(tmp_path):
    m = tm.random(mesh, seed=0)
    for values, options in [
        (m[:, :-1], {}),
        (m[None], {}),
        (m[:2], {}),
        (field(), {}),
        (m, {"at": "cells"}),
        (field()[0], {"at": "cells", "version": 1}),
        (field() * math.nan, {"at": "cells"}),
        (field() * 1e300, {"at": "cells", "format": "binary4"}),
        (m, {"format": "binary"}),
        (m, {"version": 3}),
        (m, {"at": "faces"}),
        (m, {"title": "a\n# xnodes: 1"}),
        (m, {"unit": "A m"}),
        (m, {"labels": ("x", "y")}),
    ]:
        with pytest.raises(ValueError):
            write_ovf(tmp_path / "x.ovf", values, mesh, **options)
    batch = tm.Magnet(mesh, torch.tensor([1e5, 2e5]).reshape(2, 1, 1, 1))
    with pytest.raises(ValueError, match="each sample"):
        write_ovf(tmp_path / "x.ovf", m, batch)
    assert not list(tmp_path.iterdir())


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ovf(tmp_path / "none.ovf")
    for content in (
        b"",
        b"\n",
        b"t,mx\n",
        b"\x89HDF\r\n\x1a\n" + bytes(99),
        b"# OOMMF OVF 2.0",
        b"# OOMMF OVF 2.0\n" + b"#\n" * 20000,
        b"#" * 99999,
    ):
        (tmp_path / "x.ovf").write_bytes(content)
        with pytest.raises(OVFError, match="x.ovf"):
            read_ovf(tmp_path / "x.ovf")


def mutants(content: bytes, count: int, seed: int):
    """Seeded changes of a file: bits, bytes, pieces, cuts, numbers of the header."""
    rng = np.random.default_rng(seed)
    head = content.index(b"Begin: Data")
    for _ in range(count):
        new = bytearray(content)
        kind, at = rng.integers(7), int(rng.integers(len(new) if rng.random() < 0.4 else head))
        if kind == 0:
            new[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            new[at] = int(rng.integers(256))
        elif kind == 2:
            del new[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            new = new[:at]
        elif kind == 4:
            piece = new[at : at + int(rng.integers(1, 60))]
            to = int(rng.integers(len(new)))
            new[to:to] = piece
        elif kind == 5:
            digits = [i for i, byte in enumerate(content[:head]) if 48 <= byte < 58]
            new[digits[int(rng.integers(len(digits)))]] = int(rng.integers(48, 58))
        else:
            lines = content[:head].splitlines(keepends=True)
            i, j = rng.integers(len(lines), size=2)
            lines[i], lines[j] = lines[j], lines[i]
            new = bytearray(b"".join(lines) + content[head:])
        yield bytes(new)


def multiplier(content):
    return [line for line in content.splitlines() if b"valuemultiplier" in line.lower()]


def check_mutants(path, content, count, seed):
    """Every mutant is refused with OVFError, or gives the same cells: only the numbers in the data may differ."""
    path.write_bytes(content)
    original, accepted = read_ovf(path), 0
    for mutant in mutants(content, count, seed):
        path.write_bytes(mutant)
        try:
            read = read_ovf(path)
        except OVFError:
            continue
        accepted += 1
        assert read.mesh.n == original.mesh.n and read.data.shape == original.data.shape
        np.testing.assert_allclose(read.mesh.dx, original.mesh.dx, rtol=2e-6)
        np.testing.assert_allclose(read.mesh.origin, original.mesh.origin, rtol=0, atol=2e-6 * max(original.mesh.size))
        if not torch.equal(read.data, original.data):
            # The numbers themselves carry no redundancy, and neither does OVF 1's multiplier.
            start = content.index(b"Begin: Data")
            assert mutant[:start] == content[:start] or multiplier(mutant) != multiplier(content), (
                "a header's change changed the data"
            )
    return accepted


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_mutants(tmp_path, path):
    check_mutants(tmp_path / "x.ovf", path.read_bytes(), 100, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_ten_thousand_mutants(tmp_path, path):
    """10,000 over the seven files: only OVFError, at most 3 times the file's memory (and 256 KiB), none longer than a second."""
    target, content = tmp_path / "x.ovf", path.read_bytes()
    tracemalloc.start()
    try:
        for seed in range(1, 1431):
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.process_time()
            check_mutants(target, content, 1, seed)
            assert tracemalloc.get_traced_memory()[1] - before < 3 * target.stat().st_size + 2**18
            assert time.process_time() - start < 1
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("format", ["text", "binary4", "binary8"])
def test_memory(tmp_path, format):
    mesh = tm.Mesh((60, 50, 20), dx=(1e-9, 1e-9, 1e-9))
    path = write_ovf(tmp_path / "x.ovf", field(mesh), mesh, at="cells", format=format)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        read_ovf(path)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    # What torch allocates for the result is not traced: once the data.
    assert peak + 60 * 50 * 20 * 3 * (4 if format == "binary4" else 8) < 3 * path.stat().st_size + 2**20


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("format", ["text", "binary4", "binary8"])
def test_our_own_files_show_every_change(tmp_path, format, version):
    path = write_ovf(tmp_path / "x.ovf", field(), mesh, at="cells", format=format, version=version)
    content, original = path.read_bytes(), read_ovf(path).data
    for mutant in mutants(content, 100, seed=1):
        path.write_bytes(mutant)
        try:
            assert torch.equal(read_ovf(path).data, original)  # only the last line was hit
            assert mutant.startswith(content[: content.index(b"## torchmag")])
        except OVFError:
            pass


def test_discretisedfield_reads_and_writes_the_same(tmp_path):
    df = pytest.importorskip("discretisedfield")
    cells = field()
    for format, representation in [("text", "txt"), ("binary4", "bin4"), ("binary8", "bin8")]:
        ours = df.Field.from_file(str(write_ovf(tmp_path / f"{format}.ovf", cells, mesh, at="cells", format=format)))
        theirs = tmp_path / f"df_{format}.ovf"
        df.Field(ours.mesh, nvdim=3, value=cells.permute(1, 2, 3, 0).numpy()).to_file(str(theirs), representation=representation)
        for got in (torch.from_numpy(ours.array.copy()).permute(3, 0, 1, 2), read_ovf(theirs).data):
            if format == "binary4":
                torch.testing.assert_close(got.double(), cells, rtol=1e-7, atol=0)
            else:
                assert torch.equal(got, cells)
        np.testing.assert_allclose(ours.mesh.region.pmin, mesh.origin, rtol=0, atol=1e-22)
        np.testing.assert_allclose(ours.mesh.cell, mesh.dx, rtol=1e-14)
        np.testing.assert_allclose(read_ovf(theirs).mesh.dx, mesh.dx, rtol=1e-14)


def test_exchanged_arguments(tmp_path):
    mesh = tm.Mesh((3, 2), (5e-9, 5e-9, 3e-9))
    with pytest.raises(TypeError, match=r"expected \(path, values, where\).*got Mesh, Tensor"):
        write_ovf(tmp_path / "m.ovf", mesh, tm.uniform(mesh, (1, 0, 0)))
    assert not list(tmp_path.iterdir())
