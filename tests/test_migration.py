"""The migration pages: every row's line runs, and what the rows say of signs and units holds."""

import html
import math
import re
from pathlib import Path

import pytest
import torch

import torchmag as tm
from torchmag.layout import to_cells

PAGES = Path(__file__).parent.parent / "docs"
ROWS = {"migration-mumax3": 60, "migration-neuralmag": 20, "migration-oommf": 20}


def rows(page):
    """(line number, command, torchmag code) of every table row of a page that has code in both columns."""
    for number, line in enumerate((PAGES / f"{page}.md").read_text().splitlines(), 1):
        # At bars outside of code spans.
        cells = re.split(r"\|(?=(?:[^`]*`[^`]*`)*[^`]*$)", line)[1:-1] if line.startswith("| ") else []
        if len(cells) < 3 or "`" not in cells[0]:
            continue
        code = re.findall(r"`([^`]+)`|<code>(.+?)</code>", cells[1])
        if code:
            yield number, cells[0].strip(), "\n".join(html.unescape(a or b) for a, b in code)


def run(page):
    """The names that the page's block and then its rows leave behind, and the number of rows."""
    text = (PAGES / f"{page}.md").read_text()
    names, count = {}, 0
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], f"docs/{page}.md", "exec"), names)
    for number, _, code in rows(page):
        exec(compile("\n" * (number - 1) + code, f"docs/{page}.md", "exec"), names)
        count += 1
    return names, count


@pytest.fixture
def page(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, count = run(request.param)
    assert count >= ROWS[request.param]
    return names


def commands(page):
    return [command for _, command, _ in rows(page)]


@pytest.mark.parametrize("page", ROWS)
def test_no_command_twice(page):
    found = commands(page)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("page", ["migration-mumax3"], indirect=True)
def test_mumax3(page):
    mesh, film = page["mesh"], page["film"]
    # Geometry: volumes of the bodies in 2D, m^2, from fractions of 8 nm cells.
    area = lambda shape: float(shape.fraction(mesh).sum()) * 64e-18
    assert area(page["ellipse"]) == pytest.approx(math.pi * 40e-9 * 20e-9, rel=0.01)
    assert area(page["bar"]) == pytest.approx(80e-9 * 20e-9, rel=1e-6)
    assert area(page["half"]) == pytest.approx(area(page["bar"]) / 2, rel=1e-6)
    assert page["tape"].nodes == (16, 9) and bool(page["picture"].all())
    assert int((page["ids"] == 1).sum()) == 16 * 8 // 2 + 1
    # Interface DMI as mumax3 defines it, w = Dind [mz dx mx - mx dx mz + ...] (Vansteenkiste et al., AIP Adv. 4, 107133 (2014)):
    # a cycloid (sin kx, 0, cos kx) has w = Dind k, here (k h small) to the order of (k h)^2.
    k = 2 * math.pi / 500e-9
    x = tm.positions(mesh)[0]
    cycloid = torch.stack((torch.sin(k * x), 0 * x, torch.cos(k * x)))
    volume = math.prod(mesh.size)
    assert float(page["dind"].energy(cycloid)) == pytest.approx(1e-3 * k * volume, rel=5e-3)
    # Bulk DMI, w = Dbulk m.(curl m): the helix (0, sin kx, cos kx) has m.curl m = -m_y dx m_z + m_z dx m_y = k.
    helix = torch.stack((0 * x, torch.sin(k * x), torch.cos(k * x)))
    assert float(page["dbulk"].energy(helix)) == pytest.approx(1e-3 * k * volume, rel=5e-3)
    # Fields: 100 mT, 10 mT at a quarter of a nanosecond, the mask at that time.
    up = tm.uniform(mesh, (0, 0, 1))
    field = lambda term, t=0.0: tm.mu_0 * term.field(up, t).flatten(1)[:, 0]
    torch.testing.assert_close(field(page["zeeman"]), torch.tensor([0, 0, 0.1]), rtol=1e-12, atol=0)
    torch.testing.assert_close(field(page["ac"], 0.25e-9), torch.tensor([0.01, 0, 0]), rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(page["source"].field(up, 0.25e-9), page["mask"], rtol=1e-12, atol=0)
    torch.testing.assert_close(field(page["custom"]), torch.tensor([0, 0, -0.1]), rtol=1e-12, atol=0)
    region = tm.average(page["local"].field(up), film, region=page["ids"] == 1) * tm.mu_0
    assert float(region[0]) == pytest.approx(0.1, rel=0.05)
    # Torques: as OOMMF and mumax3 have them, in the tests of the torques; the layer below turns the sign.
    over, under = (page[name]._field(up, values) for name, values in _complete(page, up))
    torch.testing.assert_close(over, -under)
    assert float(page["as_mumax"].gamma) == pytest.approx(1.7595e11 * tm.mu_0)
    # States and results.
    torch.testing.assert_close(page["wall"].norm(dim=0), torch.ones(mesh.nodes))
    assert page["loop"].shape == (3, 3, *mesh.nodes) and page["ten"].shape == page["m"].shape
    assert float(page["E"]) == pytest.approx(float(page["w"].sum()) * mesh.cell_volume, rel=1e-10)
    assert page["held"].frozen.sum() == 9 * 9 + 4  # the right half with its rim, and the corner cell
    torch.testing.assert_close(page["B_eff"], tm.mu_0 * page["llg"].energy.field(page["m"]))
    assert float(page["angle"]) < 0.5 and abs(float(page["Q"])) < 0.1
    assert to_cells(page["m_z"], mesh).shape == mesh.cells
    # Files: the cells' means come back.
    torch.testing.assert_close(page["B_cells"], to_cells(page["B_demag"], mesh), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(page["m_file"].norm(dim=0), torch.ones(mesh.nodes))
    assert tm.io.read_table("table.csv")["E_total"][0] == float(page["E"])
    with tm.io.Trajectory.open("auto.vtkhdf") as file:
        # At 0, 1, ... ps after the logger was added.
        assert len(file) == len(tm.io.read_table("auto.csv")) == 4 and page["ended"].ended_by == "until"


def _complete(page, m):
    for side in (1, -1):
        term = page["slonczewski"]
        term.side = side
        llg = tm.LLG(page["exchange"], alpha=0.1, torques=[term])
        yield "slonczewski", llg.complete(0.0, m)["torques"]["0"]


@pytest.mark.parametrize("page", ["migration-neuralmag"], indirect=True)
def test_neuralmag(page):
    mesh, film, m = page["mesh"], page["film"], tm.random(page["mesh"], seed=3)
    volume = math.prod(mesh.size)
    # Cubic, E = -Kc int (a^2 b^2 + b^2 c^2 + c^2 a^2): uniform along (1, 1, 1) / sqrt(3) that is -Kc V / 3, Kc = 1e4.
    diagonal = tm.uniform(mesh, (1, 1, 1))
    assert float(page["cubic"].energy(diagonal)) == pytest.approx(-1e4 * volume / 3, rel=1e-12)
    # The invariant "xyz" along z vanishes in a film; along x, "xyx", it is m_x d_x m_y - m_y d_x m_x, k for a turn in the plane.
    D = torch.zeros(3, 3, 3)
    D[0, 0, 1], D[0, 1, 0] = 1e-3, -1e-3
    k = 2 * math.pi / 500e-9
    x = tm.positions(mesh)[0]
    turn = torch.stack((torch.cos(k * x), torch.sin(k * x), 0 * x))
    assert float(tm.DMI(film, D).energy(turn)) == pytest.approx(1e-3 * k * volume, rel=2e-3)
    assert float(page["li"].energy(turn)) == 0
    assert float(page["bulk"].energy(m)) == pytest.approx(float(tm.BulkDMI(film, 1e-3).energy(m)))
    torch.testing.assert_close(page["f"](torch.ones(mesh.cells)), page["demag"].field(page["m"]))
    assert page["trajectory"].shape == (3, 3, *mesh.nodes) and page["m_cells"].shape == (3, *mesh.cells)
    assert float(page["hot"].prepare()["Ms"]) == pytest.approx(5e5)


@pytest.mark.parametrize("page", ["migration-oommf"], indirect=True)
def test_oommf(page):
    mesh, film = page["mesh"], page["film"]
    volume = math.prod(mesh.size)
    hard = tm.uniform(mesh, (1, 0, 0))
    easy = tm.uniform(mesh, (0, 0, 1))
    # OOMMF: K1 (1 - (m.u)^2) is 0 along u and K1 V across; the difference is the same.
    assert float(page["uniaxial"].energy(hard) - page["uniaxial"].energy(easy)) == pytest.approx(1e5 * volume, rel=1e-12)
    # sigma (1 - m1.m2) with sigma < 0: parallel layers are higher by 2 |sigma| times the area than antiparallel ones.
    stack = page["stack"]
    up = tm.uniform(stack, (1, 0, 0))
    down = torch.where(tm.positions(stack)[2] > 1.5e-9, -up, up)
    gap = float(page["rkky"].energy(up) - page["rkky"].energy(down))
    assert gap == pytest.approx(2 * 1e-4 * 20e-9 * 20e-9, rel=1e-12)
    # u = 50 m/s, beta = 0.05 without damping: dm/dt = -u dm/dx + beta u m x dm/dx, which moves a pattern along +x.
    k = 2 * math.pi / 500e-9
    x = tm.positions(mesh)[0]
    turn = torch.stack((torch.cos(k * x), torch.sin(k * x), 0 * x))
    slope = k * torch.stack((-torch.sin(k * x), torch.cos(k * x), 0 * x))
    rate = tm.LLG(tm.Zeeman(film, (0, 0, 0)), alpha=0, torques=[page["zl"]])(0.0, turn)
    expected = -50 * slope + 0.05 * 50 * torch.linalg.cross(turn, slope, dim=0)
    # Inside, where the difference is central: (k h)^2 / 6 = 7e-4 to order 2.  Its stencil reaches order / 2 nodes.
    inside = slice(film.order // 2, -(film.order // 2))
    torch.testing.assert_close(rate[:, inside], expected[:, inside], rtol=2e-3, atol=2e-3 * 50 * k)
    assert page["loop"].shape == (5, 3, *mesh.nodes) and page["picture"].all() and int(page["inside"].sum()) > 50
    assert float(page["residual"]) < 1e-4 * 8e5
