"""Vacuum anywhere: fields, energies, rates and their gradients stay finite, and nothing acts where nothing is magnetic."""

import pytest
import torch
from every_term import CASES, SPACER, body, rand, terms

import torchmag as tm


def mask(mesh, axis, seed):
    """Cells that are magnetic: from nearly all to a few, at least one, none in the spacer."""
    share = 0.05 + 0.9 * float(rand(1, seed=seed))
    found = (rand(*mesh.cells, seed=10_000 + seed) < share).double()
    found[(0,) * mesh.dim] = 1
    found.select(axis, SPACER).fill_(0)
    return found


def check(case, seeds):
    mesh, axis = CASES[case]
    magnet = body(mesh, axis)
    every = terms(magnet, axis)
    llg = tm.LLG(tm.Sum(**every), alpha=0.1)
    m0 = tm.random(mesh, seed=3)
    for seed in seeds:
        magnetic = mask(mesh, axis, seed)
        Ms = (8e5 * magnetic).requires_grad_()
        values = llg.prepare({"energy.magnet.Ms": Ms, "energy.magnet.fraction": magnetic})
        m = m0.clone().requires_grad_()
        energies, fields = llg.energy.energies(m, 0.0, values["energy"]), llg.energy.fields(m, 0.0, values["energy"])
        rate = llg(torch.zeros(()).double(), m, values)
        empty = values["energy"]["magnet"]["mass"] == 0
        for name, field in fields.items():
            assert bool(torch.isfinite(field).all()) and bool(torch.isfinite(energies[name])), f"{case}, mask {seed}: {name}"
            assert not bool(field[:, empty].any()), f"{case}, mask {seed}: {name} acts in vacuum"
        assert not bool(rate[:, empty].any())
        loss = rate.pow(2).mean() * 1e-24 + sum(energies.values()) * 1e18
        for gradient in torch.autograd.grad(loss, [m, Ms, *llg.parameters()], allow_unused=True):
            assert gradient is None or bool(torch.isfinite(gradient).all()), f"{case}, mask {seed}: a gradient"


@pytest.mark.parametrize("case", CASES)
def test_some_masks(case):
    check(case, range(4))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_five_hundred_masks(case):
    check(case, range(100, 163))
