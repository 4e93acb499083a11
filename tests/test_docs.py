"""The Python blocks of the pages in docs/, run in order, and the numbers that the pages promise."""

import math
import operator
import re
from pathlib import Path

import pytest
import torch

import torchmag as tm

PAGES = Path(__file__).parent.parent / "docs"
NAMES = [path.stem for path in sorted(PAGES.glob("*.md")) if "```python" in path.read_text()]
ELSEWHERE = ("dynamic-attributes", "design", "getting-started", "extending")  # pages with tests of their own below


def run(page, folder=PAGES, suffix=".md"):
    """The names that a page's blocks leave behind."""
    text = (folder / f"{page}{suffix}").read_text()
    names = {}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], f"{page}{suffix}", "exec"), names)
    return names


@pytest.mark.parametrize("page", [name for name in NAMES if name not in ELSEWHERE and not name.startswith("migration")])
def test_page(page, tmp_path, monkeypatch):
    if page == "ubermag":
        pytest.importorskip("torchmag.ubermag")
    monkeypatch.chdir(tmp_path)  # pages write files
    run(page)


def test_dynamic_attributes():
    page = run("dynamic-attributes")
    # 1: uniform m along the axis has -Ku V and the demagnetising energy, Ku V ~ x^3, E_demag ~ x^2, no exchange.
    film, m, mesh = tm.Magnet(page["mesh"], 8e5), page["m"], page["mesh"]
    volume, demag = math.prod(mesh.size), float(tm.Demag(film).energy(m))

    def E(T):
        x = (1 - T / 400) ** 1.5
        return -1e5 * x**3 * volume + demag * x**2

    assert float(page["E300"].detach()) == pytest.approx(E(300), rel=1e-12)
    assert float(page["E200"].detach()) == pytest.approx(E(200), rel=1e-12)
    assert float(page["T"].grad) == pytest.approx((E(300.01) - E(299.99)) / 0.02, rel=1e-6)
    expected = [-1e5 * (1 - T / 400) ** 4.5 * volume for T in (100, 200, 300)]
    torch.testing.assert_close(page["E"], torch.tensor(expected), rtol=1e-12, atol=0)
    # 2 and 3: trajectories of unit length; at the pulse's maximum the field is that of the anisotropy at 525 and 375 K.
    for state in (page["trajectory"], page["last"].detach()):
        torch.testing.assert_close(state.norm(dim=-3), torch.ones(state.shape[:-3] + mesh.nodes), rtol=0, atol=1e-12)
    assert page["heating"].dichroism.grad.abs() > 1e-4
    t, law = torch.tensor(20e-12), page["law"]
    for mz in (1.0, -1.0):
        T = 300 + 150 * (1 + 0.5 * mz)
        H = law.field(tm.uniform(mesh, (0, 0, mz)), t)[2, 0, 0]
        assert float(H.detach()) == pytest.approx(mz * 2 * 1e5 * (1 - T / 600) ** 1.08 / (tm.mu_0 * 8e5), rel=1e-12)
    # 4 to 9
    assert float(page["regions"].energy(m).detach()) == pytest.approx(-1e5 * volume / 2, rel=1e-12)
    assert float(page["body"].prepare()["fraction"].detach().max()) == 0.125
    assert float(page["E_demag"]) == pytest.approx(demag, rel=1e-12) and set(page["parts"]) == {"exchange", "demag"}
    assert page["rho"].grad.any() and float(page["values"]["energy"]["exchange"]["A"]) == 2e-11
    assert torch.equal(page["m_left"], page["same"]) and page["log"][-1][0] == pytest.approx(10e-12)
    with pytest.raises(TypeError):
        page["energy"].exchange.a = 1.0
    assert page["llg64"].reference.dtype == torch.float64


def test_design():
    page = run("design")
    # Black and white, half of the domain, and a stronger field than that of the same volume spread evenly.
    density, domain, mesh = page["density"], page["domain"], page["mesh"]
    volume = float(density()[domain].mean().detach())
    even = tm.Demag(tm.Magnet(mesh, 8e5, fraction=volume * domain)).cell_field(page["m_cells"])[0, 18, 5] / 1e3
    assert float(density.grayness().detach()) < 0.05 and volume == pytest.approx(0.5, abs=0.1)
    assert float(page["H"].detach()) > 1.5 * float(even)
    assert page["level"].raw.grad.any() and page["pulse"].values.grad.any()
    m = tm.uniform(page["mesh"], (0, 0, 1))
    total = page["both"].field(m, 90e-12)
    parts = [tm.Zeeman(page["film"], page[name]).field(m, 90e-12) for name in ("signal", "ground")]
    torch.testing.assert_close(total, sum(parts), rtol=1e-13, atol=1e-12 * total.abs().max().item())
    expected = torch.tensor([[math.sin(0.1), math.sin(0.1), 0], [0, 0, 0]])
    # The default tolerance of solve, 1e-5 a step.
    torch.testing.assert_close(page["amplitude"], expected, rtol=0, atol=1e-3)
    assert float(page["intensity"]) == pytest.approx(math.sin(0.1) ** 2, abs=1e-4)
    assert page["per_node"].shape == (1, 3, *page["mesh"].nodes)
    assert float(page["packet"](50e-12)[0].detach()) == pytest.approx(1e3) and not page["tones"](1e-12).any()
    assert float(page["broad"](200e-12)[0].detach()) == pytest.approx(1e3)


def test_getting_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = run("getting-started")
    # OOMMF on cells of 5 nm: 138.5 ps; here 10 nm, and the time of the sample after the crossing.
    crossing = float(page["t"][tm.average(page["trajectory"], page["film"])[:, 0] < 0][0])
    assert crossing == pytest.approx(138.5e-12, rel=0.05)
    assert (tmp_path / "state.png").exists() and (tmp_path / "curve.png").exists()
    # The loop is a loop: it switches on both ways, at opposite fields.
    mx, B = page["mx"], page["B"]
    assert mx[0] > 0.9 and mx[12] < -0.9 and mx[-1] > 0.9
    assert float(B[13:][mx[13:] > 0][0]) == pytest.approx(-float(page["coercive"]), abs=1e-9)
    assert float(page["loss"].detach()) < 1e-2


def test_extending():
    page = run("extending")
    page["TestEasyPlane"]().test_field_is_minus_the_derivative_of_the_energy()
    H = page["plane"].field(tm.uniform(page["mesh"], (0, 0.6, 0.8)))[2, 0, 0]
    assert float(H) == pytest.approx(-2 * 2e5 * 0.8 / (tm.mu_0 * 8e5), rel=1e-12)


@pytest.mark.parametrize("cells", ["25, 6", pytest.param("100, 25", marks=pytest.mark.slow)])
def test_readme(cells, tmp_path, monkeypatch):
    # Fast: cells of 20 nm, which blur the curve, and its first 0.2 ns.
    text = (PAGES.parent / "README.md").read_text()
    if cells == "25, 6":
        assert "(100, 25)" in text and "dx=(5e-9, 5e-9," in text and "1e-9, 201)" in text
        text = (
            text.replace("(100, 25)", "(25, 6)")
            .replace("dx=(5e-9, 5e-9,", "dx=(20e-9, 20e-9,")
            .replace("1e-9, 201)", "2e-10, 41)")
        )
    (tmp_path / "README.md").write_text(text)
    page = run("README", tmp_path)
    assert float(page["mx"][0]) == pytest.approx(0.97, abs=0.02) and page["Ku"].grad.any()
    crossing = float(page["t"][page["mx"] < 0][0])
    assert crossing == pytest.approx(138.5e-12, rel=0.2 if cells == "25, 6" else 0.04)  # OOMMF; a sample every 5 ps


def test_llms(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (PAGES / "llms.txt").read_text()
    page = run("llms", suffix=".txt")
    assert page["states"].shape == (3, 3, 41, 11) and page["A"].raw.grad != 0
    for name in set(re.findall(r"\btm((?:\.[A-Za-z_]\w*)+)", text)):
        found = tm
        for part in name[1:].split("."):
            if name == ".X":  # any name, in help(tm.X)
                continue
            found = getattr(found, part)


def test_api_lists_every_public_name():
    listed = re.findall(r"^::: torchmag\.([\w.]+)$", (PAGES / "api.md").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    for name in listed:
        assert operator.attrgetter(name)(tm) is not None
    public = {name for name in dir(tm) if getattr(getattr(tm, name), "__module__", "").startswith("torchmag") and name[0] != "_"}
    assert public - set(listed) == set()


def test_links_between_pages():
    # MkDocs checks them too, where it is installed.
    for path in PAGES.glob("*.md"):
        for target in re.findall(
            r"\]\(([^)#:]+)(?:#[^)]*)?\)", re.sub(r"```.*?```|`[^`]*`", "", path.read_text(), flags=re.DOTALL)
        ):
            assert (PAGES / target).exists(), f"{path.name} links to {target}"
