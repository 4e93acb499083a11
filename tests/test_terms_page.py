"""docs/terms.md: its code runs, and it names every energy and torque."""

import inspect
import pathlib
import re

import torch

import torchmag as tm

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "terms.md").read_text()


def test_the_code_runs(capsys):
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(snippet, "terms.md", "exec"), names)
    m, energy, llg = names["m"], names["energy"], names["llg"]
    assert float(energy.exchange.A) == 1.1e-11 and float(names["both"].in_plane.Ku) == -2e5
    assert set(names["coupled"].terms) == {"lower", "upper", "cap"}
    for term in ("jump", "d2d", "cubic", "elastic", "oersted", "own", "both"):
        assert bool(names[term].field(m).isfinite().all()) and bool(names[term].field(m).any()), term
    rate = llg(0.0, m)
    assert bool(rate.isfinite().all()) and not rate[:, 0].any() and set(llg.fields(m)) >= {f"torques.{i}" for i in range(4)}
    assert names["samples"].shape == (3, *m.shape)
    printed = capsys.readouterr().out
    assert "tensor(0.)" in printed  # a sample alone and in the batch: the same bits


def test_every_energy_and_torque_is_on_the_page():
    for name in (*tm.energies.__all__, *tm.torques.__all__, "ThermalField"):
        assert re.search(rf"`{name}\(magnet", PAGE), name
        arguments = re.search(rf"`{name}\(([^`]*)\)`", PAGE).group(1)
        written = [part.split("=")[0].strip() for part in re.split(r",(?![^(]*\))", arguments)]
        term = getattr(tm, name)
        known = set(inspect.signature(term.__init__).parameters)
        if issubclass(term, tm.LocalEnergy):
            known |= set(inspect.signature(term.density).parameters)
        assert set(written) <= known, (name, written)


def test_docstrings_state_formula_units_and_shape():
    for name in (*tm.energies.__all__, *tm.torques.__all__):
        text = inspect.getdoc(getattr(tm, name))
        assert "magnet: the body" in text, name
        if name != "EnergyModule":
            assert "Shape: m (*batch, 3, *nodes) -> field, A/m" in text, name
            assert re.search(r"mumax|OOMMF", text), f"{name} does not say how other codes differ"
        if name not in ("EnergyModule", "Demag"):
            assert re.search(r"J/m|A/m", text), name


def test_double_precision_is_not_needed():
    torch.set_default_dtype(torch.float32)
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[:4]:
        exec(compile(snippet, "terms.md", "exec"), names)
    assert names["jump"].field(names["m"]).dtype == torch.float32
