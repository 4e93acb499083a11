"""LLG-04, all terms on: the energy falls as dE/dt = -mu_0 sum_n alpha gamma / (1 + alpha^2) (Ms V)_n |m x H|^2."""

import pytest
import torch
from every_term import CASES, everything, rand

import torchmag as tm
from torchmag import layout


def dissipation(llg, m):
    """The right-hand side, from the nodes: lumped moments, damping taken to the nodes by moment."""
    mesh = llg.mesh
    values = llg.complete(0.0, m)
    H = sum(llg.fields(m).values())
    torque = layout.cross(m, H, mesh)
    alpha = values["alpha"]
    alpha = alpha.squeeze(layout.component_dim(mesh)) if alpha.ndim else alpha
    moment = values["energy"]["magnet"]["mass"] * mesh.cell_volume
    return -tm.mu_0 * (alpha * values["gamma"] / (1 + alpha**2) * moment * layout.dot(torque, torque, mesh)).sum()


@pytest.mark.parametrize("alpha", ["number", "map"])
@pytest.mark.parametrize("name", CASES)
def test_rate_of_energy(name, alpha):
    """Exactly, at a random state: dE/dm . dm/dt."""
    energy = everything(name)
    llg = tm.LLG(energy, 0.1 if alpha == "number" else 0.05 + rand(*energy.mesh.cells, seed=30))
    m = tm.random(energy.mesh, seed=31)
    _, rate = torch.func.jvp(energy.energy, (m,), (llg(0.0, m),))
    torch.testing.assert_close(rate, dissipation(llg, m), rtol=1e-10, atol=0)
    # Every term takes part, beyond the tolerance.
    for term, H in energy.fields(m).items():
        assert float(H.abs().max()) > 1e-5 * float(energy.field(m).abs().max()), term


@pytest.mark.parametrize("name", CASES)
def test_energy_along_a_solution(name):
    """By central differences of the energy of what `solve` returns."""
    energy = everything(name)
    llg, h = tm.LLG(energy, 0.1), 1e-15
    start = tm.solve(llg, tm.random(energy.mesh, seed=32), (0.0, 2e-13), rtol=1e-9, atol=1e-9)[-1]
    # Five points in time: the difference formula errs by h^4.
    E = energy.energy(tm.solve(llg, start, [k * h for k in range(5)], rtol=1e-12, atol=1e-13, step=h))
    rate = (E[0] - 8 * E[1] + 8 * E[3] - E[4]) / (12 * h)
    m = tm.solve(llg, start, (0.0, 2 * h), step=h)[-1]
    torch.testing.assert_close(rate, dissipation(llg, m), rtol=1e-4, atol=0)
    assert bool((E.diff() < 0).all())


def test_energy_is_conserved_without_damping():
    energy = everything("3d, periodic in the layers")
    m = tm.solve(tm.LLG(energy, 0.0), tm.random(energy.mesh, seed=33), (0.0, 1e-12), rtol=1e-9, atol=1e-9)
    E = energy.energy(m)
    scale = sum(abs(part) for part in energy.energies(m[0]).values())
    assert abs(float(E[1] - E[0])) < 1e-6 * float(scale)
