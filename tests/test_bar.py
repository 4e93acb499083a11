"""Bars of long calls: on a terminal, after two seconds, with what is left; nothing into files and logs."""

import io
import sys

import pytest
import torch

import torchmag as tm
from torchmag import bar

MESH = tm.Mesh((5, 4), (3e-9, 3e-9, 2e-9))


def equation():
    magnet = tm.Magnet(MESH, 8e5)
    return tm.LLG(tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, (1e4, 0, 2e4)), 0.2)


CALLS = {
    "solve": lambda **o: tm.solve(equation(), tm.random(MESH, seed=1), [0.0, 2e-12], **o),
    "solve, a gradient": lambda **o: (
        tm.solve(equation(), tm.random(MESH, seed=1).requires_grad_(), [0.0, 2e-12], **o).sum().backward()
    ),
    "relax": lambda **o: tm.relax(equation(), tm.random(MESH, seed=1), **o),
    "minimize": lambda **o: tm.minimize(equation().energy, tm.random(MESH, seed=1), **o),
    "hysteresis": lambda **o: tm.hysteresis(equation().energy, tm.random(MESH, seed=1), [(1e5, 1e3, 0.0), (0.0, 1e3, 0.0)], **o),
    "sweep": lambda **o: tm.sweep(lambda x: x, {"x": [1, 2, 3]}, **o),
}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", CALLS)
def test_of_each_call(name, monkeypatch):
    for stream, progress, shown in (
        (io.StringIO(), None, False),
        (io.StringIO(), True, True),
        (Terminal(), False, False),
        (Terminal(), None, False),  # over before two seconds
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        CALLS[name](progress=progress)
        text = stream.getvalue()
        assert bool(text) == shown
        if shown:
            assert name.partition(",")[0] in text and "100%" in text and "left 00:00" in text


def test_after_two_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    with bar.Bar("solve", 0.0, 1e-9, None) as shown:
        shown.at(1e-10)
        assert sys.stderr.getvalue() == ""
        now[0] = 2.5
        shown.at(torch.tensor([5e-10, 2.5e-10]))
    assert "solve  25%" in sys.stderr.getvalue() and "left 00:07" in sys.stderr.getvalue()


@pytest.mark.parametrize("name", CALLS)
def test_no_other_choice(name):
    with pytest.raises(ValueError, match=rf"{name.partition(',')[0]}: progress = 'yes', expected None, True or False"):
        CALLS[name](progress="yes")
