"""Data sets: points, shards, kills, damage, reading."""

import json
import math
import multiprocessing
import os
import pickle
import random
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
import torch

import torchmag as tm

GRID = {"H": [1e4, 2e4, 3e4, 4e4, 5e4], "alpha": [0.1, 0.2, 0.3]}


def product(H, alpha, seed=None):
    assert H.shape == alpha.shape and H.ndim == 1
    found = {"product": H * alpha, "field": torch.stack([H, alpha], 1)}
    return found if seed is None else found | {"double": 2 * seed}


def other(H, alpha):
    return {"product": H * alpha, "field": torch.stack([H, alpha], 1)}


def failing(H, alpha):
    if (H == 3e4).any():
        raise ValueError("three is bad")
    return other(H, alpha)


def slow(x, seed):
    time.sleep(0.004)
    return {"y": x**2, "noise": torch.stack([torch.randn(3, generator=torch.Generator().manual_seed(s)) for s in seed.tolist()])}


def switched(H, alpha):
    """<m_x> after 20 ps of small films in fields along -x."""
    mesh = tm.Mesh((6, 3), dx=(10e-9, 10e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    field = torch.stack([-H, 0.1 * H, 0 * H], 1).reshape(-1, 3, 1, 1)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Zeeman(film, field), alpha.reshape(-1, 1, 1))
    m = tm.solve(llg, tm.uniform(mesh, (1, 0.1, 0)), [0, 2e-11])[-1]
    return {"m": m, "mean": tm.average(m, film)}


def require_products(data):
    H, alpha = (torch.tensor(x) for x in zip(*((H, alpha) for H in GRID["H"] for alpha in GRID["alpha"])))
    assert len(data) == 15 and torch.equal(data.numbers, torch.arange(15))
    assert torch.equal(data.read("H"), H) and torch.equal(data.read("alpha"), alpha)
    assert torch.equal(data.read("product"), H * alpha)
    for i in (0, 7, 14, -1):
        assert torch.equal(data[i]["field"], torch.stack([H[i], alpha[i]])) and data[i]["H"] == H[i]


@pytest.mark.parametrize("make", [lambda: None, lambda: ThreadPoolExecutor(2), lambda: ProcessPoolExecutor(2)])
def test_a_grid(make, tmp_path):
    data = tm.dataset(product, GRID, tmp_path / "set", make(), batch=2, shard=4)
    require_products(data)
    assert data.names == ("H", "alpha", "field", "product")
    assert sorted(os.listdir(tmp_path / "set")) == ["manifest.json", *(f"shard-{k:06d}.h5" for k in range(4))]
    require_products(tm.Dataset(tmp_path / "set"))
    about = json.loads((tmp_path / "set/manifest.json").read_text())
    assert about["points"]["values"] == GRID and about["function"]["name"].endswith("test_dataset.product")
    assert about["versions"]["torch"] == torch.__version__ and len(about["function"]["source_sha256"]) == 64


def test_simulations(tmp_path):
    points = tm.LatinHypercube({"H": (1e4, 5e4), "alpha": (0.01, 0.1)}, 5, seed=3, log="alpha")
    data = tm.dataset(switched, points, tmp_path / "set", batch=2)
    assert data[0]["m"].shape == (3, 7, 4) and data.read("mean").shape == (5, 3)
    for k, point in enumerate(points):
        one = switched(*(torch.tensor([point[name]]) for name in ("H", "alpha")))
        torch.testing.assert_close(data[k]["m"], one["m"][0], rtol=0, atol=1e-13)


def test_seeds_do_not_depend_on_batches(tmp_path):
    found = [tm.dataset(slow, {"x": torch.arange(9.0)}, tmp_path / f"{batch}", batch=batch, seed=7) for batch in (2, 3)]
    assert torch.equal(found[0].read("noise"), found[1].read("noise"))
    assert torch.equal(found[0].read("seed"), 7 + torch.arange(9)) and found[0].names[:2] == ("x", "seed")
    assert not torch.equal(found[0].read("noise")[0], found[0].read("noise")[1])


def test_single_precision_reaches_the_workers(tmp_path):
    torch.set_default_dtype(torch.float32)
    data = tm.dataset(product, GRID, tmp_path / "set", ProcessPoolExecutor(1), batch=4)
    assert data[0]["H"].dtype == data[0]["product"].dtype == torch.float32


POINTS = 400.0


def _make(path):
    torch.set_num_threads(1)
    tm.dataset(slow, {"x": torch.arange(POINTS)}, path, batch=2, shard=4, seed=0)


def test_twenty_kills_lose_nothing(tmp_path):
    # Two workers at the same shards; one of them is killed at a random moment, twenty times.
    random.seed(0)
    path, complete, kills, started = tmp_path / "set", {}, 0, {}
    context = multiprocessing.get_context("fork")
    while kills < 20:
        while len(started) < 2:
            worker = context.Process(target=_make, args=(path,))
            worker.start()
            started[worker.pid] = worker
        some = len(complete) + random.randint(0, 3)
        while len(list(path.glob("shard-*.h5"))) < some and all(worker.is_alive() for worker in started.values()):
            time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.01))
        worker = started.pop(random.choice(list(started)))
        if worker.is_alive():
            os.kill(worker.pid, signal.SIGKILL)
            kills += 1
        worker.join()
        now = {file.name: file.stat() for file in path.glob("shard-*.h5")}
        # What was complete stays as it is: the same files, never written again.
        assert {name: (now[name].st_ino, now[name].st_mtime_ns) for name in complete} == complete
        complete = {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in now.items()}
    assert 20 < len(complete) < 100  # the kills met it at work
    for worker in started.values():
        worker.join()
        assert worker.exitcode == 0
    before = {file.name: file.stat().st_mtime_ns for file in path.glob("shard-*.h5")}
    data = tm.dataset(slow, {"x": torch.arange(POINTS)}, path, batch=2, shard=4, seed=0)
    assert all((path / name).stat().st_mtime_ns == when for name, when in before.items())
    assert torch.equal(data.read("x"), torch.arange(POINTS)) and torch.equal(data.read("y"), torch.arange(POINTS) ** 2)
    fresh = tm.dataset(slow, {"x": torch.arange(POINTS)}, tmp_path / "fresh", batch=2, shard=4, seed=0)
    assert torch.equal(data.read("noise"), fresh.read("noise"))
    assert not list(path.glob("*.part"))


def _die_once(x, folder):
    if not os.path.exists(folder_name := os.path.join(os.environ["DIED"], str(int(folder[0])))):
        open(folder_name, "x").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"y": x + folder}


@pytest.mark.slow
def test_processes_that_die_are_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("DIED", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    data = tm.dataset(_die_once, {"folder": [1, 2], "x": [0.5, 1.5]}, tmp_path / "set", batch=2, processes=2, shard=2)
    assert data.read("y").tolist() == [1.5, 2.5, 2.5, 3.5]


def test_what_failed_does_not_lose_the_rest(tmp_path):
    with pytest.raises(
        tm.SweepError, match=r"1 of 5 missing shards failed, the first at point 6: ValueError\('three is bad'\); what was"
    ):
        tm.dataset(failing, GRID, tmp_path / "set", batch=3, shard=3)
    with pytest.raises(tm.FileFormatError, match="1 of 5 shards are missing; run tm.dataset again"):
        tm.Dataset(tmp_path / "set")
    rest = tm.Dataset(tmp_path / "set", partial=True)
    assert rest.numbers.tolist() == [0, 1, 2, 3, 4, 5, 9, 10, 11, 12, 13, 14] and rest[6]["H"] == 4e4


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "text"])
def test_a_damaged_shard_is_named(damage, tmp_path):
    path = tmp_path / "set"
    tm.dataset(product, GRID, path, batch=2, shard=4)
    file = path / "shard-000002.h5"
    content = bytearray(file.read_bytes())
    if damage == "flipped":
        place = content.index(torch.tensor([3e4, 0.3]).numpy().tobytes())
        content[place] ^= 1
    file.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "text": b"no" * 9999, "flipped": content}[damage])
    with pytest.raises(tm.FileFormatError, match=r"shard-000002.h5: cut off or changed .* delete it and run tm.dataset again"):
        tm.Dataset(path)[8]
    data = tm.Dataset(path)
    assert data[7]["H"] == 3e4 and data[12]["H"] == 5e4  # the others are there
    if damage != "flipped":
        with pytest.raises(tm.FileFormatError, match="shard-000002.h5"):
            tm.dataset(product, GRID, path, batch=2, shard=4)
    times = {f.name: f.stat().st_mtime_ns for f in path.glob("*.h5") if f != file}
    file.unlink()
    require_products(tm.dataset(product, GRID, path, batch=2, shard=4))
    assert times == {f.name: f.stat().st_mtime_ns for f in path.glob("*.h5") if f != file}


def test_another_data_set_is_refused(tmp_path):
    tm.dataset(product, GRID, tmp_path / "set", batch=2, shard=4)
    for message, function, grid, options in (
        ("another function", other, GRID, {}),
        ("another points", product, GRID | {"H": [1, 2, 3, 4, 6]}, {}),
        ("another shard", product, GRID, {"shard": 2}),
        ("another seed", product, GRID, {"seed": 1}),
    ):
        with pytest.raises(ValueError, match=message):
            tm.dataset(function, grid, tmp_path / "set", **({"batch": 2, "shard": 4} | options))
    (tmp_path / "set/manifest.json").write_text('{"kind"')
    with pytest.raises(tm.FileFormatError, match="manifest.json: not the manifest of a data set, or cut off"):
        tm.Dataset(tmp_path / "set")
    (tmp_path / "set/manifest.json").unlink()
    with pytest.raises(FileNotFoundError, match="holds no data set"):
        tm.Dataset(tmp_path / "set")
    with pytest.raises(tm.FileFormatError, match="shards without manifest.json"):
        tm.dataset(product, GRID, tmp_path / "set")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader(workers, tmp_path):
    data = tm.dataset(product, GRID, tmp_path / "set", batch=2, shard=4)
    data[0]  # a file that is open when the workers fork
    loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True, num_workers=workers)
    rows = [row for batch in loader for row in zip(batch["H"], batch["alpha"], batch["field"], batch["product"])]
    assert len(rows) == 15 and len({(float(H), float(a)) for H, a, *_ in rows}) == 15
    for H, alpha, field, found in rows:
        assert torch.equal(field, torch.stack([H, alpha])) and found == H * alpha
    again = pickle.loads(pickle.dumps(data))
    require_products(again)
    assert "15 points, H (), alpha (), field (2,), product ()" in repr(again)


def test_many_shards_are_open_one_after_another(tmp_path):
    data = tm.dataset(product, {"H": torch.arange(40.0), "alpha": [1.0]}, tmp_path / "set", batch=1, shard=1)
    found = data.__getitems__(list(range(39, -1, -1)) + [3])
    assert [float(row["H"]) for row in found] == [*range(39, -1, -1), 3] and len(data._shards) <= 16


def test_bad_results(tmp_path):
    for number, (message, result) in enumerate(
        {
            "returned a Tensor, expected a mapping": lambda H, alpha: H,
            r"'y' has shape \(3,\), expected \(2, ...\)": lambda H, alpha: {"y": torch.ones(3)},
            "returned H, which are names of parameters": lambda H, alpha: {"H": H},
            "holds a slash": lambda H, alpha: {"a/b": H},
        }.items()
    ):
        with pytest.raises(tm.SweepError, match=message):
            tm.dataset(result, GRID, tmp_path / str(number), batch=2)


def test_bad_arguments(tmp_path):
    for error, message, options in (
        (TypeError, "function is a int", {"function": 3}),
        (TypeError, "executor is a int.* give processes=", {"executor": 4}),
        (ValueError, "shard = 5 is no multiple of batch = 2", {"batch": 2, "shard": 5}),
        (ValueError, "batch = 0", {"batch": 0}),
        (ValueError, "executor and processes are both given", {"executor": ThreadPoolExecutor(1), "processes": 2}),
        (ValueError, "the grid has no points", {"grid": []}),
        (TypeError, "values of 'a' are no numbers", {"grid": {"a": ["x", "y"]}}),
        (ValueError, "values of 'a' are not finite", {"grid": {"a": [1.0, math.nan]}}),
        (ValueError, "point 1 has the names b, the first has a", {"grid": [{"a": 1}, {"b": 2}]}),
        (ValueError, "seed is given, but the points have", {"grid": {"seed": [1]}, "seed": 1}),
        (TypeError, "does not pickle", {"function": lambda H, alpha: {}, "processes": 1}),
    ):
        with pytest.raises(error, match=message):
            tm.dataset(**({"function": product, "grid": GRID, "path": tmp_path / "set"} | options))


@pytest.mark.parametrize("kind", [tm.Sobol, tm.LatinHypercube])
def test_space_filling(kind):
    points = kind({"a": (-1.0, 3.0), "b": (1e-3, 1e1)}, 64, seed=5, log=["b"])
    assert len(points) == 64 and set(points[0]) == {"a", "b"} and points[-1] == points[63] and len(points[2:4]) == 2
    a, b = points.table["a"], points.table["b"].log10()
    for values, low, high in ((a, -1, 3), (b, -3, 1)):
        # One in each of 64 slices: by construction of a Latin hypercube, and of a (0, m, s)-net in base 2 in each axis.
        slices = ((values - low) / (high - low) * 64).floor()
        assert sorted(slices.tolist()) == list(range(64))
    assert torch.equal(kind({"a": (-1.0, 3.0), "b": (1e-3, 1e1)}, 64, seed=5, log="b").table["a"], a)
    assert not torch.equal(kind({"a": (-1.0, 3.0), "b": (1e-3, 1e1)}, 64, seed=6, log="b").table["a"], a)
    assert tm.sweep(lambda a, b: a, points) == a.tolist()
    with pytest.raises(ValueError, match=r"bounds\['a'\] is \(2, 1\), expected finite numbers in order"):
        kind({"a": (2, 1)}, 4)
    with pytest.raises(ValueError, match="in order, > 0"):
        kind({"a": (0, 1)}, 4, log="a")
    with pytest.raises(ValueError, match="log names c"):
        kind({"a": (0, 1)}, 4, log="c")
    with pytest.raises(TypeError, match="expected a mapping"):
        kind([(0, 1)], 4)
    with pytest.raises(ValueError, match="count = 0"):
        kind({"a": (0, 1)}, 0)
