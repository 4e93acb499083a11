"""What minimisation takes: evaluations of the field, beside `relax`.  The states themselves are cases of torchmag.cases."""

import sys

import pytest
import torch

import torchmag as tm
from torchmag.solvers.bosh3 import BOSH3


def box(cell):
    mesh = tm.Mesh(tuple(round(side / cell) for side in (60e-9, 60e-9, 20e-9)), (cell,) * 3)
    body = tm.Magnet(mesh, 8e5)
    return tm.Exchange(body, 1.3e-11) + tm.UniaxialAnisotropy(body, 5e4, (0, 1, 0)) + tm.Demag(body)


def s_state(n, dx):
    film = tm.Magnet(tm.Mesh(n, dx), Ms=8e5)
    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
    m, record = tm.minimize(energy, tm.uniform(film.mesh, (1, 0.25, 0.1)), info=True)
    return energy, m, record


class Idle(torch.nn.Module):
    def forward(self, m):
        return torch.zeros_like(m)


def test_evaluations():
    """The s-state of standard problem 4 and MIN-01 at a residual of 1e-6, on small cells too."""
    for n, h in (((100, 25), 5e-9), ((200, 50), 2.5e-9)):
        _, _, record = s_state(n, (h, h, 3e-9))
        assert record.evaluations < 100
    for cell in (5e-9, 2.5e-9):
        energy = box(cell)
        _, record = tm.minimize(energy, tm.uniform(energy.mesh, (0.3, 1, 0.1)), tolerance=0.1 / 8e5, info=True)
        assert record.evaluations < 50


@pytest.mark.slow
def test_same_states_as_relax_and_as_the_overdamped_flow(monkeypatch):
    """SP4-01 and MIN-01 at a residual of 1e-6: states within 1e-4, in a tenth of the flow's evaluations and fewer than `relax` takes."""
    # The flow by an ordinary Runge-Kutta method; `relax` takes a stabilised one, in a third of its evaluations.
    monkeypatch.setattr(sys.modules["torchmag.solvers.relax"], "RKC2", BOSH3)
    energy, m, _ = s_state((100, 25), (5e-9, 5e-9, 3e-9))
    cases = [(energy, (1, 0.25, 0.1)), (box(5e-9), (0.3, 1, 0.1))]
    for energy, direction in cases:
        m0 = tm.uniform(energy.mesh, direction)
        with torch.no_grad():
            # A torque of nothing: the flow is integrated.
            expected, slow = tm.relax(tm.LLG(energy, alpha=1, torques=[Idle()]), m0, info=True)
            relaxed, record = tm.relax(tm.LLG(energy, alpha=1), m0, info=True)
        assert float((relaxed - expected).abs().max()) < 1e-4
        assert 10 * record.evaluations < slow.evaluations
        for method in ("lbfgs", "bb"):
            m, fast = tm.minimize(energy, m0, method=method, info=True)
            assert float((m - expected).abs().max()) < 1e-4
            assert 3 * fast.evaluations < slow.evaluations
            assert method == "bb" or fast.evaluations < record.evaluations
