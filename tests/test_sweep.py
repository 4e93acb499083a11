"""Sweeps: points, batches, executors, failures."""

import math
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import torch

import torchmag as tm


def product(a, b):
    return (a, b)


def failing(a):
    if a == 2:
        raise ValueError("two is bad")
    return 10 * a


def angle(H, Ku):
    """Of a macrospin in a field H across its easy axis: sin = H / H_k.  One value or (B,) of each."""
    H, Ku = (torch.as_tensor(x, dtype=torch.float64).reshape(-1, 1) for x in (H, Ku))
    mesh = tm.Mesh((1,), (5e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5, dtype=torch.float64)
    field = torch.stack([H, torch.zeros_like(H), torch.zeros_like(H)], 1)
    energy = tm.UniaxialAnisotropy(magnet, Ku, (0, 0, 1)) + tm.Zeeman(magnet, field)
    m = tm.minimize(energy, tm.uniform(mesh, (0.1, 0, 1), dtype=torch.float64), tolerance=1e-9)
    return m[:, 0, 0]


GRID = {"H": [1e4, 2e4, 3e4], "Ku": [2e4, 4e4]}


def expected():
    return [tm.mu_0 * 8e5 * H / (2 * Ku) for H in GRID["H"] for Ku in GRID["Ku"]]


def test_the_last_name_is_fastest():
    assert tm.sweep(product, {"a": [1, 2], "b": "x y".split()}) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert tm.sweep(product, [{"a": 1, "b": 2}, {"b": 3, "a": 4}]) == [(1, 2), (4, 3)]
    assert tm.sweep(product, {"a": torch.tensor([1.5, 2.0]), "b": range(2)}) == [(1.5, 0), (1.5, 1), (2.0, 0), (2.0, 1)]


@pytest.mark.parametrize("batch", [1, 4, 100])
def test_batches(batch):
    found = tm.sweep(angle, GRID, batch=batch)
    assert [x.item() for x in found] == pytest.approx(expected(), abs=1e-8)


@pytest.mark.parametrize("make", [lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2)])
def test_executors(make):
    with make() as executor:
        found = tm.sweep(angle, GRID, executor, batch=3)
    assert [x.item() for x in found] == pytest.approx(expected(), abs=1e-8)


@pytest.mark.parametrize("make", [lambda: None, lambda: ThreadPoolExecutor(2)])
def test_what_failed_does_not_lose_the_rest(make):
    with pytest.raises(tm.SweepError, match=r"1 of 4 points failed, the first at {'a': 2}: ValueError\('two is bad'\)") as caught:
        tm.sweep(failing, {"a": [1, 2, 3, 4]}, make())
    assert caught.value.results == [10, None, 30, 40]
    assert list(caught.value.errors) == [1]
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.results == [10, None, 30, 40]


def test_bad_arguments():
    with pytest.raises(TypeError, match=r"grid\['a'\] is a float, expected a sequence"):
        tm.sweep(product, {"a": 1.0})
    with pytest.raises(TypeError, match="the grid holds a int, expected mappings"):
        tm.sweep(product, [1])
    with pytest.raises(TypeError, match="executor is a int, expected one with submit"):
        tm.sweep(product, {"a": [1]}, 4)
    with pytest.raises(ValueError, match="batch = 0"):
        tm.sweep(product, {"a": [1]}, batch=0)
    with pytest.raises(tm.SweepError, match="returned 1 results for 2 points"):
        tm.sweep(lambda a: [a], {"a": [1.0, math.pi]}, batch=2)
