"""The Python blocks of the pages in docs/, run in order, and the numbers that the pages promise."""

import math
import re
from pathlib import Path

import pytest
import torch

import torchmag as tm

PAGES = Path(__file__).parent.parent / "docs"
NAMES = [path.stem for path in sorted(PAGES.glob("*.md")) if "```python" in path.read_text()]


def run(page):
    """The names that a page's blocks leave behind."""
    text = (PAGES / f"{page}.md").read_text()
    names = {}
    for block in re.finditer(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], f"docs/{page}.md", "exec"), names)
    return names


@pytest.mark.parametrize("page", [name for name in NAMES if name not in ("dynamic-attributes", "design")])
def test_page(page, tmp_path, monkeypatch):
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
