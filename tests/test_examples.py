"""The examples, at small size, with one number each."""

import importlib.util
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_standard_problem_4():
    # 10 nm cells: 138.5 ps (OOMMF) to within 2 %, four times the deviation of the 5 nm cells (0.4 %).
    with torch.no_grad():
        assert load("standard_problem_4").main(n=(50, 12), T=2e-10) == pytest.approx(138.5e-12, rel=0.02)


def test_field_angle():
    # INV-02: the angles of a macrospin integrated by an ODE solver, to 0.005 rad; LBFGS on one cell.
    example = load("field_angle")
    path, distance = example.main("LBFGS", steps=5, n=1)
    assert torch.deg2rad(path[-1] - example.SOLUTIONS).abs().max() < 0.005
    assert distance.max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "steps"), [("Adam", 50), ("LBFGS", 8)])
def test_field_angle_of_the_paper(optimizer, steps):
    example = load("field_angle")
    path, distance = example.main(optimizer, steps, n=2)
    assert torch.deg2rad(path[-1] - example.SOLUTIONS).abs().max() < 0.005
    assert distance.max() < 1e-3
