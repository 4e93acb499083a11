"""Checkpoint files: what goes in comes out, and whatever happens to the disk, a valid one is found."""

import hashlib
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag.checkpoint import load, load_newest, save
from torchmag.checkpoint.file import MAGIC, previous

DTYPES = (torch.float32, torch.float64, torch.int64, torch.uint8, torch.bool, torch.bfloat16, torch.complex128)


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or a != a and b != b)


def test_content_comes_back_bit_by_bit(tmp_path):
    content = {
        "tensors": [torch.randn(3, 2).mul(9).to(dtype) for dtype in DTYPES],
        "none": torch.empty(0, 3), "one": torch.tensor(2**62), "array": np.arange(6, dtype=np.uint32).reshape(2, 3),
        "numbers": [1, -(2**80), 0.1, 1e-320, float("inf"), float("nan"), True, None, "m\n\u00b5", b"\0abc"],
        3: {"$tensor": 1, ("a", 2): (torch.ones(1), [()])}, "random": random.getstate(), "empty": {},
    }  # fmt: skip
    assert same(load(save(tmp_path / "c", content)), content)
    parameter = torch.nn.Parameter(torch.ones(2))
    assert same(load(save(tmp_path / "c", [parameter]))[0], parameter.detach())


def test_the_order_in_memory_comes_back(tmp_path):
    x = torch.randn(4, 3, 5, 2)
    for order in ((0, 1, 2, 3), (3, 1, 0, 2), (2, 0, 3, 1)):
        y = load(save(tmp_path / "c", x.permute(order)))
        assert torch.equal(y, x.permute(order)) and y.stride() == x.permute(order).stride()
    assert torch.equal(load(save(tmp_path / "c", x[:1, :1].expand(4, 3, 5, 2))), x[:1, :1].expand(4, 3, 5, 2))
    assert torch.equal(load(save(tmp_path / "c", x[:, ::2])), x[:, ::2])


@pytest.mark.parametrize("value", [object(), {1, 2}, torch.nn.Linear(1, 1), torch.float32, torch.eye(2).to_sparse()])
def test_what_a_checkpoint_cannot_hold_is_named(tmp_path, value):
    with pytest.raises(TypeError, match=r"content\['a'\]\[1\]"):
        save(tmp_path / "c", {"a": [1, value]})
    assert not list(tmp_path.iterdir())


def test_any_byte_that_is_lost_or_changed_is_found(tmp_path):
    path = save(tmp_path / "c", {"m": torch.randn(20), "t": 1e-9})
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :])
        with pytest.raises(tm.CheckpointError):
            load(path)
        path.write_bytes(data[:position])
        with pytest.raises(tm.CheckpointError):
            load(path)


def test_a_forged_file_is_refused(tmp_path):
    for header in (
        {"tree": {"$tensor": 5}, "tensors": []},
        {"tree": {"$tensor": 0}, "tensors": [{"dtype": "float64", "shape": [2**60], "order": [0], "offset": 0, "bytes": 2**63}]},
        {"tree": {"$tensor": 0}, "tensors": [{"dtype": "float64", "shape": [2], "order": [0], "offset": -64, "bytes": 16}]},
        {"tree": {"$tensor": 0}, "tensors": [{"dtype": "float64", "shape": [2], "order": [1], "offset": 0, "bytes": 16}]},
        {"tree": {"$tensor": 0}, "tensors": [{"dtype": "object", "shape": [2], "order": [0], "offset": 0, "bytes": 16}]},
        {"tree": {"$tensor": 0}, "tensors": [{"dtype": "float64", "shape": [-2], "order": [0], "offset": 0, "bytes": -16}]},
        [], 3, {"tree": {"$dict": 3}, "tensors": []},
    ):  # fmt: skip
        text = json.dumps(header).encode()
        data = MAGIC + len(text).to_bytes(8, "little") + text + b"\0" * 64
        (tmp_path / "c").write_bytes(data + hashlib.sha256(data).digest())
        with pytest.raises(tm.CheckpointError):
            load(tmp_path / "c")
    for data in (b"", b"PK\x03\x04", b"torchmag checkpoint 2\nxx"):
        (tmp_path / "c").write_bytes(data)
        with pytest.raises(tm.CheckpointError, match="empty|not a checkpoint|newer"):
            load(tmp_path / "c")


def test_the_one_before_is_kept_and_taken_up(tmp_path):
    path = tmp_path / "c"
    with pytest.raises(FileNotFoundError):
        load_newest(path)
    save(path, 1)
    save(path, 2)
    assert load_newest(path) == 2 and load(previous(path)) == 1
    path.write_bytes(path.read_bytes()[:-5])
    (tmp_path / "c.123.part").write_bytes(b"left by a killed writer")
    with pytest.warns(RuntimeWarning, match="going on from the one before"):
        assert load_newest(path) == 1
    # The damaged one is out of the way of the next, which would else put it in the place of the good one.
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c.bad", "c.previous"]
    save(path, 3)
    assert load_newest(path) == 3 and load(previous(path)) == 1
    path.write_bytes(b"")
    previous(path).write_bytes(b"")
    with pytest.raises(tm.CheckpointError):
        load_newest(path)


def _fork_writer(path):
    torch.set_num_threads(1)
    number = 0
    while True:
        number += 1
        save(path, {"number": number, "m": torch.full((200_000,), float(number))})
        (Path(path).parent / "written").write_text(str(number))


def killed(path, draw):
    """(number of the last checkpoint that was surely written, number of the one that is found)."""
    process = multiprocessing.get_context("fork").Process(target=_fork_writer, args=(path,))
    process.start()
    log = path.parent / "written"
    while not log.exists():
        time.sleep(0.001)
    time.sleep(draw.random() * 0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    text = log.read_text()
    found = load_newest(path)
    assert bool((found["m"] == found["number"]).all())
    return int(text or found["number"]), found["number"]


def kills(folder, count):
    draw = random.Random(7)
    for number in range(count):
        path = folder / str(number)
        path.mkdir()
        written, found = killed(path / "c", draw)
        # One interval at most is lost: that of the one being written.
        assert found >= written, (number, written, found)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_while_writing(tmp_path):
    kills(tmp_path, 5)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_while_writing_two_hundred_times(tmp_path):
    kills(tmp_path, 200)


def full_disk(folder, sizes):
    path, soft_hard = folder / "c", resource.getrlimit(resource.RLIMIT_FSIZE)
    content = {"m": torch.randn(5000), "number": 1}
    size = save(path, content).stat().st_size
    whole = 0
    for limit in sizes(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, soft_hard[1]))
        try:
            save(path, content | {"number": 2})
            whole += 1
        except OSError as error:
            assert "the one before is kept" in str(error) and limit < size
            assert load(path)["number"] == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, soft_hard)
        assert same(load_newest(path)["m"], content["m"])
        assert {file.name for file in folder.iterdir()} <= {"c", "c.previous"}
        save(path, content)
    return whole


def test_a_full_disk_leaves_the_one_before(tmp_path):
    draw = random.Random(3)
    assert full_disk(tmp_path, lambda size: [0, 1, size - 1, size, *(draw.randrange(size) for _ in range(8))]) == 1


@pytest.mark.slow
def test_a_full_disk_at_a_hundred_sizes(tmp_path):
    assert full_disk(tmp_path, lambda size: [size * k // 100 for k in range(100)]) == 0
