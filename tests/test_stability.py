"""Minima, saddles, and the way out of them."""

import pytest
import torch

import torchmag as tm


@pytest.fixture(autouse=True)
def double():
    torch.set_default_dtype(torch.float64)


def spin(H=(0, 0, -8e4), batch=None):
    body = tm.Magnet(tm.Mesh((1,), (5e-9, 5e-9, 5e-9)), 8e5)
    return tm.Exchange(body, 1.3e-11) + tm.Zeeman(body, H)


def searches(energy):
    llg = tm.LLG(energy, 0.1)
    return lambda m, **options: tm.minimize(energy, m, **options), lambda m, **options: tm.relax(llg, m, **options)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("which", [0, 1])
def test_a_tilted_spin_is_reported_unasked(which, dtype):
    torch.set_default_dtype(dtype)
    energy = spin()
    run = searches(energy)[which]
    m0 = tm.uniform(energy.mesh, (1e-6, 0, 1))
    with pytest.warns(tm.StabilityWarning, match="no step was made.*curvature -8e\\+04 A/m.*escape=True"):
        m, record = run(m0, info=True)
    assert record.converged and record.steps == 0 and record.stable is False
    m, record = run(m0, info=True, escape=True)
    assert record.stable is True and float(m[2].max()) == pytest.approx(-1, abs=1e-3)
    assert run(tm.uniform(energy.mesh, (0, 0, -1)), info=True)[1].stable is True
    assert run(tm.uniform(energy.mesh, (1, 0, 0)), info=True)[1].stable is None


def test_samples_of_a_batch():
    energy = spin()
    m0 = torch.stack([tm.uniform(energy.mesh, v) for v in ((0, 0, -1), (0, 0, 1), (1, 0, 1))])
    with pytest.warns(tm.StabilityWarning, match="sample 1, 1 in all"):
        m, record = tm.minimize(energy, m0, info=True, check_stability=True)
    assert record.stable is False and m[1, 2, 0] == 1
    m, record = tm.minimize(energy, m0, info=True, escape=True)
    assert record.stable is True and torch.allclose(m[:, 2], -torch.ones(3, 2))


def test_a_saddle_that_symmetry_leads_to():
    body = tm.Magnet(tm.Mesh((10, 5), (5e-9, 5e-9, 5e-9)), 8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.Demag(body)
    across = tm.uniform(body.mesh, (0, 1, 0))
    m, record = tm.minimize(energy, across, info=True)
    assert record.stable is None and abs(tm.average(m, body)[1]) > 0.9
    with pytest.warns(tm.StabilityWarning, match="the search ended at"):
        tm.minimize(energy, across, check_stability=True)
    m, record = tm.minimize(energy, across, escape=True, info=True)
    assert record.stable is True and abs(tm.average(m, body)[0]) > 0.9


def test_hysteresis_switches():
    energy = spin((0, 0, 0))
    fields = [(0, 0, 1e5), (0, 0, -2e5)]
    up = tm.uniform(energy.mesh, (0, 0, 1))
    with pytest.warns(tm.StabilityWarning):
        _, records = tm.hysteresis(energy, up, fields, info=True)
    assert [record.stable for record in records] == [True, False]
    m, records = tm.hysteresis(energy, up, fields, info=True, escape=True)
    assert [record.stable for record in records] == [True, True] and float(m[1, 2].max()) == pytest.approx(-1)


def test_curvatures_beside_the_matrix():
    body = tm.Magnet(tm.Mesh((5, 4), (5e-9, 6e-9, 8e-9)), 8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.Demag(body) + tm.CubicAnisotropy(body, 3e4, (1, 0, 0), (0, 1, 0))
    m = tm.minimize(energy, tm.uniform(body.mesh, (1, 0.2, 0.1)))
    found = tm.stability(energy, m, 4)
    assert found.directions.shape == (4, 3, 6, 5) and bool(found.stable)
    # A v from the field: P (m.H) v - P dH v.
    dH = lambda v: torch.func.jvp(energy.field, (m,), (v,))[1]
    for k, v in zip(found.curvatures, found.directions):
        Av = (m * energy.field(m)).sum(0) * v - dH(v)
        Av = Av - (m * Av).sum(0) * m
        torch.testing.assert_close(Av, k * v, rtol=0, atol=1e-6 * float(Av.abs().max() + 1e5))
    frozen = torch.zeros(6, 5, dtype=torch.bool)
    frozen[0] = True
    held = tm.stability(energy, m, 1, frozen=frozen)
    assert float(held.curvatures) > float(found.curvatures[0]) and float(held.directions[..., 0, :].abs().max()) == 0


def test_bad_input():
    energy = spin()
    m = tm.uniform(energy.mesh, (0, 0, 1))
    with pytest.raises(ValueError, match="no equilibrium"):
        tm.stability(energy, tm.uniform(energy.mesh, (1, 0, 0)))
    with pytest.raises(ValueError, match="allow 4"):
        tm.stability(energy, m, 5)
    with pytest.raises(TypeError, match="check_stability"):
        tm.minimize(energy, m, check_stability=1)
    torque = tm.SpinOrbit(energy.magnet, 1e10, (0, 1, 0), 0.1, 0.1, d=5e-9)
    with pytest.raises(TypeError, match="eigenmodes"):
        tm.stability(tm.LLG(energy, 0.1, torques=[torque]), m)
    with pytest.raises(TypeError, match="no torques"):
        tm.relax(tm.LLG(energy, 0.1, torques=[torque]), m, escape=True)
