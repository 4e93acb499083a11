"""Relaxation: the basin of the overdamped flow, in a number of steps that does not depend on the cells."""

import math

import pytest
import torch

import torchmag as tm

NM = 1e-9


def disk(n, h, thickness, Ms):
    at = torch.arange(n) + 0.5 - n / 2
    inside = at[:, None] ** 2 + at**2 < (n / 2) ** 2
    return tm.Magnet(tm.Mesh((n, n), (h, h, thickness)), Ms, fraction=inside)


def skyrmion(n, h, radius):
    """A Neel skyrmion of an ultrathin film, in a dot."""
    magnet = disk(n, h, NM, 5.8e5)
    energy = (
        tm.Exchange(magnet, 15e-12)
        + tm.UniaxialAnisotropy(magnet, 0.8e6, (0, 0, 1))
        + tm.InterfaceDMI(magnet, 3e-3)
        + tm.Demag(magnet)
    )
    x, y = (p - p.mean() for p in tm.positions(magnet.mesh)[:2])
    x, y = torch.broadcast_tensors(x, y)
    theta = 2 * torch.atan(math.sinh(radius / (3 * NM)) / torch.sinh(torch.hypot(x, y).clamp(min=1e-12) / (3 * NM)))
    phi = torch.atan2(y, x)
    return energy, torch.stack([-theta.sin() * phi.cos(), -theta.sin() * phi.sin(), theta.cos()])


def wall():
    magnet = tm.Magnet(tm.Mesh((40, 8), (4 * NM, 4 * NM, NM)), 5.8e5)
    energy = tm.Exchange(magnet, 15e-12) + tm.UniaxialAnisotropy(magnet, 0.8e6, (0, 0, 1)) + tm.Demag(magnet)
    theta = (2 * torch.atan(torch.exp((tm.positions(magnet.mesh)[0] - 80 * NM) / (8 * NM)))).expand(magnet.mesh.nodes)
    return energy, torch.stack([theta.sin() * math.cos(1.2), theta.sin() * math.sin(1.2), theta.cos()])


def vortex():
    magnet = disk(20, 5 * NM, 10 * NM, 8e5)
    x, y = torch.broadcast_tensors(*(p - p.mean() for p in tm.positions(magnet.mesh)[:2]))
    m = torch.stack([-(y - 15 * NM), x, torch.full_like(x, 10 * NM)])
    return tm.Exchange(magnet, 13e-12) + tm.Demag(magnet), torch.nn.functional.normalize(m, dim=0)


def maze():
    """Domains of a random start, of which `minimize` finds another one."""
    magnet = tm.Magnet(tm.Mesh((30, 30), (4 * NM, 4 * NM, 2 * NM)), 8e5)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 5e5, (0, 0, 1))
    return energy, tm.random(magnet.mesh, seed=1)


def flower():
    magnet = tm.Magnet(tm.Mesh((8, 8, 8), (6 * NM,) * 3), 8e5)
    x, y, z = torch.broadcast_tensors(*(p / (24 * NM) - 1 for p in tm.positions(magnet.mesh)))
    m = torch.nn.functional.normalize(torch.stack([0.3 * x * z, 0.3 * y * z, torch.ones_like(x)]), dim=0)
    return tm.Exchange(magnet, 13e-12) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 4e4, (0, 0, 1)), m


TEXTURES = {
    "skyrmion": lambda: skyrmion(30, 2 * NM, 6 * NM), "large skyrmion": lambda: skyrmion(30, 2 * NM, 14 * NM), "wall": wall, "vortex": vortex, "flower": flower,
    "maze": maze,
}  # fmt: skip


class Idle(torch.nn.Module):
    """A torque of nothing, with which the flow is integrated."""

    def forward(self, m):
        return torch.zeros_like(m)


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name == "maze" else []) for name in TEXTURES])
def test_the_basin_of_the_overdamped_flow(name):
    energy, m0 = TEXTURES[name]()
    flow = tm.relax(tm.LLG(energy, 1.0, torques=[Idle()]), m0, tolerance=2e-3)
    expected = tm.minimize(energy, flow)  # to the bottom of it
    found, record = tm.relax(tm.LLG(energy, 1.0), m0, info=True)
    assert record.converged
    assert float(energy.energy(found)) == pytest.approx(float(energy.energy(expected)), rel=1e-6)
    assert float(tm.max_angle(found, energy.magnet)) == pytest.approx(float(tm.max_angle(expected, energy.magnet)), abs=0.1)


@pytest.mark.parametrize(("n", "h"), [(40, 2 * NM), (80, NM), (160, 0.5 * NM)])
def test_small_cells_take_no_more_steps(n, h):
    energy, m0 = skyrmion(n, h, 10 * NM)
    m, record = tm.relax(tm.LLG(energy, 0.1), m0, info=True)
    assert record.converged and record.evaluations <= 250
    assert float(energy.energy(m)) == pytest.approx(float(energy.energy(tm.minimize(energy, m0))), rel=1e-6)


def test_energy_never_rises_and_steps_are_short():
    energy, m0 = vortex()
    states = [m0]
    tm.relax(tm.LLG(energy, 0.1), m0, callback=lambda step, residual, m: states.append(m))
    energies = torch.stack([energy.energy(m) for m in states])
    assert bool((energies.diff() <= 1e-12 * energies[0].abs()).all())
    cosines = torch.stack([(a * b).sum(0) for a, b in zip(states, states[1:])])
    inside = energy.prepare()["magnet"]["mass"] > 0
    assert float(cosines[:, inside].amin().acos()) < 0.26


def test_what_has_no_energy_flows():
    """A parameter that depends on m, and a torque: downhill leads elsewhere, or nowhere."""
    magnet = tm.Magnet(tm.Mesh((4, 4), (5 * NM, 5 * NM, 3 * NM)), 8e5)
    turned = tm.Zeeman(magnet, lambda m: 2e5 * torch.stack([m[1] * 0 + 1, -m[0], 0 * m[2]]))
    m = tm.relax(tm.LLG(tm.Exchange(magnet, 1e-11) + turned, 0.1), tm.uniform(magnet.mesh, (1, 1, 0.5)))
    H = turned.field(m)
    assert float(torch.linalg.cross(m, H, dim=0).norm(dim=0).max()) < 2 * 8e5 * 1e-6
    torque = tm.SpinOrbit(magnet, 1e11, (0, 1, 0), 0.0, 0.5)
    energy = tm.Exchange(magnet, 1e-11) + tm.UniaxialAnisotropy(magnet, 1e4, (1, 0, 0))
    llg = tm.LLG(energy, 0.1, torques=[torque])
    m = tm.relax(llg, tm.uniform(magnet.mesh, (1, 0.1, 0.1)))
    assert float(torch.linalg.cross(m, llg.effective_field(m), dim=0).norm(dim=0).max()) < 2 * 8e5 * 1e-6
    assert float(torch.linalg.cross(m, energy.field(m), dim=0).norm(dim=0).max()) > 1e3


def test_the_stabilised_method():
    """Second order, and stable along the negative real axis to 2/3 of its stages squared (Sommeijer et al. 1998)."""
    from torchmag.solvers.rkc2 import rkc2

    def factor(tableau, z):
        rates = []
        for row in ((), *tableau.a):
            rates.append(1 + z * sum(weight * rate for weight, rate in zip(row, rates)))
        return 1 + z * sum(weight * rate for weight, rate in zip(tableau.b, rates))

    for stages in (6, 7, 12):
        tableau = rkc2(stages)
        assert sum(tableau.b) == pytest.approx(1) and sum(b * c for b, c in zip(tableau.b, tableau.c)) == pytest.approx(1 / 2)
        assert abs(sum(tableau.e)) < 1e-12
        limit = 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * 2 / 13)
        assert all(abs(factor(tableau, -limit * part / 200)) <= 1 + 1e-9 for part in range(1, 199))
        assert abs(factor(tableau, -1.1 * limit)) > 1
        error = [abs(factor(tableau, -z) - math.exp(-z)) for z in (0.1, 0.05)]
        assert 6 < error[0] / error[1] < 10


def test_torques_take_few_steps():
    energy, m0 = vortex()
    llg = tm.LLG(energy, 0.1, torques=[tm.ZhangLi(energy.magnet, (5e11, 0, 0), 1.0, 0.05)])
    m, record = tm.relax(llg, m0, tolerance=1e-3, info=True)
    assert record.converged and record.evaluations < 1000
