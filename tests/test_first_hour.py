"""What a new user gets wrong, and what the package says."""

import traceback

import pytest
import torch

import torchmag as tm

mesh = tm.Mesh((4, 2), (5e-9, 5e-9, 3e-9))


@pytest.mark.parametrize(
    "name, hint",
    [
        ("Exchnge", "Exchange"), ("exchange", "Exchange"), ("mu0", "mu_0"), ("gamma", "gamma_0"), ("minimise", "minimize"),
        ("Anisotropy", "CubicAnisotropy"),
    ],
)  # fmt: skip
def test_a_misspelled_name(name, hint):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; did you mean .*{hint}"):
        getattr(tm, name)


def test_a_name_like_no_other():
    with pytest.raises(AttributeError, match="^module 'torchmag' has no attribute 'xyzzy'$"):
        tm.xyzzy  # noqa: B018
    assert not hasattr(tm, "__wrapped__")


def test_python_adds_no_guess_of_its_own():
    with pytest.raises(AttributeError) as caught:
        tm.Exchnge  # noqa: B018
    (line,) = traceback.format_exception_only(caught.value)
    assert line.rstrip().endswith("did you mean Exchange?")


@pytest.mark.parametrize(
    "call, error, match",
    [
        (lambda film, energy, llg, m: tm.average(m, mesh), TypeError, "average: magnet is a Mesh, expected a torchmag.Magnet"),
        (lambda film, energy, llg, m: tm.average(film, m), TypeError, "average: magnet is a Tensor"),
        (lambda film, energy, llg, m: tm.max_angle(m, mesh), TypeError, "max_angle: magnet is a Mesh"),
        (lambda film, energy, llg, m: tm.hysteresis(llg, m, [(1e5, 0, 0)]), TypeError, "is a LLG, .*; give llg.energy"),
        (lambda film, energy, llg, m: tm.solve(energy, m, [0, 1e-12]), TypeError, r"is a Sum, .*wrap it: tm.LLG\(energy, alpha\)"),
        (
            lambda film, energy, llg, m: tm.Exchange(film, torch.rand(7)), ValueError,
            r"Exchange: A has shape \(7,\), cells are \(4, 2\): .*; one for each sample: \(7, 1, 1\)",
        ),
        (
            lambda film, energy, llg, m: tm.LLG(energy, 0.1, torques=tm.ZhangLi(film, (1e12, 0, 0))), TypeError,
            r"torques is a ZhangLi, expected a list: torques=\[...\]",
        ),
        (lambda film, energy, llg, m: tm.Zeeman(film, torch.rand(7, 3)), ValueError, r"one for each sample: \(7, 3, 1, 1\)"),
    ],
)  # fmt: skip
def test_errors_that_say_what_to_do(call, error, match):
    film = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(film, 1e-11) + tm.UniaxialAnisotropy(film, 1e4, (0, 0, 1))
    with pytest.raises(error, match=match):
        call(film, energy, tm.LLG(energy, 0.1), tm.uniform(mesh, (1, 0, 0)))


@pytest.mark.parametrize(
    "solver",
    [
        lambda llg, m: tm.minimize(llg.energy, m), lambda llg, m: tm.relax(llg, m), lambda llg, m: tm.solve(llg, m, [0, 1e-12]),
        lambda llg, m: tm.Simulation(llg, m).run(1e-12),
    ],
)  # fmt: skip
def test_a_batch_of_m_that_is_not_that_of_the_parameters(solver):
    film = tm.Magnet(mesh, 8e5)
    llg = tm.LLG(tm.Exchange(film, torch.full((5, 1, 1), 1e-11)), 0.1)
    with pytest.raises(
        ValueError,
        match=r"the batch of \S*exchange.A, \(5,\), does not broadcast against .*m \(4,\)|"
        r"the batch of A, \(5,\), .* \(m \(4,\)\)",
    ):
        solver(llg, tm.uniform(mesh, (1, 0, 0)).expand(4, 3, 5, 3))


def test_ovf_is_shown_without_its_numbers(tmp_path):
    tm.io.write_ovf(tmp_path / "m.ovf", tm.uniform(mesh, (1, 0, 0)), mesh)
    shown = repr(tm.io.read_ovf(tmp_path / "m.ovf"))
    assert "(3, 4, 2)" in shown and "m_x/m_y/m_z" in shown and "tensor(" not in shown
