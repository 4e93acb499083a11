"""Names in files and arguments cannot lead out of the folder that is written to."""

import json
import os

import h5py
import numpy as np
import pytest

import torchmag as tm
from torchmag.errors import FileFormatError
from torchmag.io import (
    Table,
    Trajectory,
    convert,
    file_name,
    journal,
    read_npz,
    read_ovf,
    read_table,
    vtkhdf,
    write_npz,
    write_ovf,
)

NAMES = [
    "../x", "..", ".", "/etc/passwd", "/tmp/x", "a/b", "a/../../x", "./x", "~/x", "~root", "$HOME/x", "`id`", "$(id)", "%TEMP%", "x;id",
    "x|id", "x&id", "x\nid", "x\rid", "x\x00.npy", "\x00", "", " ", " x", "-rf", "--force", "C:\\x", "C:x", "\\\\host\\x", "..\\x", "CON:",
    "x" * 300, "\u202ex", "\uff0e\uff0e\uff0fx", "é/x", "file:///x", "http://h/x", "=1+1", "@x", ".bashrc", "x\x1b[2J", "*", "?", "x>y",
]  # fmt: skip
mesh = tm.Mesh((3, 2), dx=(1e-9, 1e-9, 1e-9))


@pytest.fixture
def inside(tmp_path):
    """A folder, and around it a check that nothing else appeared."""
    folder = tmp_path / "outer" / "inside"
    folder.mkdir(parents=True)
    before = os.getcwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)
    assert sorted(tmp_path.rglob("*")) == sorted([tmp_path / "outer", folder, *folder.rglob("*")])


def test_there_are_enough():
    assert len(set(NAMES)) >= 40


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_hostile_names(inside, name):
    m = tm.random(mesh, seed=0)
    with pytest.raises(ValueError):
        file_name(inside, name)
    for write in (
        lambda: Trajectory("x.vtkhdf", mesh, scalars={name: "J"}),
        lambda: write_npz("x.npz", {name: m}),
        lambda: write_ovf("x.ovf", m, mesh, labels=(name + " y", "y", "z")),
    ):
        with pytest.raises(ValueError):
            write()
    assert not list(inside.iterdir())
    try:
        # A column may be called a/b: it is a word in a row, not a file.
        Table("x.csv", {name: ""}).close()
        assert list(read_table("x.csv").units) == [name] and set(name) <= set("abcdefghijklmnopqrstuvwxyz./|>")
        os.remove("x.csv")
    except ValueError:
        assert not list(inside.iterdir())
    forge_trajectory("run.vtkhdf", m, name)
    with pytest.raises(FileFormatError, match="run.vtkhdf"):
        convert("run.vtkhdf", "out")
    with open("run.csv", "w", newline="", encoding="utf-8") as file:
        file.write(f'"{name}",t\n,s\n1,2\n')
    with pytest.raises(FileFormatError, match="run.csv"):
        read_table("run.csv")
    forge_ovf("m.ovf", m, name)
    try:
        title = read_ovf("m.ovf").title
        assert title in name or name.startswith(title.split("\ufffd")[0])
        for target in ("n.ovf", "n.npz", "n.vtkhdf"):
            convert("m.ovf", target)
    except FileFormatError:
        pass  # a line break in the middle of the title
    assert {path.name for path in inside.iterdir()} <= {"run.vtkhdf", "run.csv", "m.ovf", "n.ovf", "n.npz", "n.vtkhdf"}


def forge_trajectory(path, m, name):
    """A file that is whole in itself and has a scalar of this name."""
    with Trajectory(path, mesh, scalars={"E": "J"}) as trajectory:
        trajectory.append(0, m, E=0)
    with h5py.File(path, "r+") as file:
        header = json.loads(file["torchmag"].attrs["header"].tobytes())
        header["scalars"] = [[name, "J"]]
        forged = json.dumps(header).encode()
        file["torchmag"].attrs["header"] = np.void(forged)
        file["torchmag"].attrs["sha256"] = np.void(vtkhdf.hashlib.sha256(forged).digest())
    assert not journal.journal_path(path).exists()


def forge_ovf(path, m, name):
    write_ovf(path, m, mesh, format="text", title="TITLE")
    with open(path, "rb") as file:
        content = file.read()
    with open(path, "wb") as file:
        file.write(content[: content.index(b"## torchmag")].replace(b"TITLE", name.encode("utf-8", "surrogatepass")))


def test_members_of_an_archive(inside):
    import zipfile

    for name in NAMES:
        with zipfile.ZipFile("x.npz", "w") as archive:
            archive.writestr(zipfile.ZipInfo(name + ".npy"), b"")
        with pytest.raises(FileFormatError, match="x.npz"):
            read_npz("x.npz")
        with pytest.raises(FileFormatError, match="x.npz"):
            convert("x.npz", "out")
    assert [path.name for path in inside.iterdir()] == ["x.npz"]


def test_links_are_not_followed(inside, tmp_path):
    """A link that waits under the name of a new file: refused, or replaced; what it points to stays as it was."""
    m, secret = tm.random(mesh, seed=0), inside / "secret"
    secret.write_text("secret")
    writers = {
        "x.vtkhdf": lambda force: Trajectory("x.vtkhdf", mesh, overwrite=force).close(),
        "x.ovf": lambda force: write_ovf("x.ovf", m, mesh, overwrite=force),
        "x.npz": lambda force: write_npz("x.npz", {"m": m}, overwrite=force),
        "x.csv": lambda force: Table("x.csv", {"t": "s"}, overwrite=force).close(),
    }
    for name, write in writers.items():
        for target in (secret, inside / "nothing"):
            os.symlink(target, name)
            with pytest.raises(FileExistsError):
                write(False)
            write(True)
            assert not os.path.islink(name) and secret.read_text() == "secret" and not (inside / "nothing").exists()
            os.remove(name)
