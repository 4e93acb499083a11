"""Sweeps on executors that other packages bring: dask.distributed, with a worker that is killed, and submitit."""

import os
import signal
from pathlib import Path

import pytest
import torch

import torchmag as tm

FIELDS = [2e4, 5e4, 1e5, 2e5, 3e5, 4e5]


def tilt(folder, H):
    """<m_z> after 20 ps in a field along z; the first process that takes up the third field is killed."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    Path(folder, f"begun-{H:g}-{os.getpid()}").touch()
    if H == FIELDS[2] and len(list(Path(folder).glob(f"begun-{H:g}-*"))) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    film = tm.Magnet(tm.Mesh((4, 3), dx=(5e-9, 5e-9, 3e-9)), Ms=8e5)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, (0, 0, H)), alpha=0.1)
    found = float(tm.average(tm.solve(llg, tm.uniform(film.mesh, (1, 0, 0)), [0.0, 2e-11])[-1], film)[2])
    Path(folder, f"done-{H:g}-{os.getpid()}").touch()
    return found


def tilts(folder, H):
    """The same of a batch."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    film = tm.Magnet(tm.Mesh((4, 3), dx=(5e-9, 5e-9, 3e-9)), Ms=8e5)
    applied = H.double().reshape(-1, 1, 1, 1) * torch.tensor([0.0, 0.0, 1.0]).reshape(3, 1, 1)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, applied), alpha=0.1)
    return tm.average(tm.solve(llg, tm.uniform(film.mesh, (1, 0, 0)), [0.0, 2e-11])[-1], film)[..., 2].tolist()


@pytest.fixture
def expected(tmp_path):
    folder = tmp_path / "expected"
    folder.mkdir()
    (folder / f"begun-{FIELDS[2]:g}-0").touch()
    return [tilt(str(folder), H) for H in FIELDS]


def test_dask_gives_the_work_of_a_killed_worker_to_another(tmp_path, expected):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": str(tmp_path / "dask")}
    folder = tmp_path / "runs"
    folder.mkdir()
    with distributed.LocalCluster(**options) as cluster, distributed.Client(cluster) as client:
        found = tm.sweep(tilt, {"folder": [str(folder)], "H": FIELDS}, client)
    assert found == expected
    processes = {path.name.split("-")[-1] for path in folder.glob("begun-*")}
    assert len(processes) >= 2, "no worker took over"
    assert len(list(folder.glob(f"begun-{FIELDS[2]:g}-*"))) == 2
    assert len(list(folder.glob(f"done-{FIELDS[2]:g}-*"))) == 1
    # What the killed worker had finished was handed over, or is made again; what the other one had is not.
    assert all(len(list(folder.glob(f"done-{H:g}-*"))) in (1, 2) for H in FIELDS)


def test_submitit_runs_batches_as_jobs(tmp_path, expected, monkeypatch):
    submitit = pytest.importorskip("submitit")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # a job imports this module
    executor = submitit.AutoExecutor(folder=str(tmp_path / "jobs"), cluster="local")
    executor.update_parameters(timeout_min=5)
    found = tm.sweep(tilts, {"folder": [""], "H": FIELDS}, executor, batch=4)
    assert found == pytest.approx(expected, rel=1e-5)
    assert len(list((tmp_path / "jobs").glob("*_submitted.pkl"))) == 2
