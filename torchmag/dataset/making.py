"""Making a data set: each shard is a job, in this process, in processes, or through an executor."""

import functools
import math
import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.bar import told
from torchmag.dataset import manifest
from torchmag.dataset.reading import Dataset
from torchmag.errors import SweepError

# How often in a row the processes may die without a single shard between.
DEATHS = 5


def dataset(
    function: Callable,
    grid: Mapping[str, Sequence] | Sequence[Mapping],
    path,
    executor: Executor | None = None,
    *,
    batch: int = 64,
    shard: int | None = None,
    processes: int | None = None,
    seed: int | None = None,
    progress: bool | None = None,
) -> Dataset:
    """Evaluate a function at many points and keep parameters and results in files, to be read by `tm.Dataset`.

    A folder gets a manifest.json and shards, HDF5 files that appear whole or not at all.  Called again, also after the program
    was killed, it computes what is missing and nothing else.

    Args:
        function: called with the values of several points by keyword, tensors (B,) or (B, n) of torch's default dtype; returns
            a mapping from names to tensors (B, ...), the same names and shapes at every call.
        grid: name -> values, of which all combinations are made, the last name fastest; the points as mappings; or `tm.Sobol`,
            `tm.LatinHypercube`.  Values are numbers or vectors of equal length.
        path: of the folder.
        executor: anything with `submit(function, *args)` whose result has `result()`, as in `tm.sweep`.  The function must then
            pickle, and the workers must see the folder.
        batch: points per call of the function.
        shard: points per file and job, a multiple of `batch`; what a kill can cost each worker.  Default: 8 batches.
        processes: as many processes of this machine instead of an executor.  They are replaced if they die.
        seed: gives the function a `seed`, int64 (B,), too: this number plus the number of each point.
        progress: a bar with what is left on standard error: True, False, or None: on a terminal after two seconds.

    Returns:
        The data set, complete.
    Raises:
        SweepError: some shards failed; `errors` has their first point and its exception.  The others are kept.
        ValueError: the folder holds a data set of other points or of a function with another source.
        FileFormatError: a shard is cut off or damaged; the message says what to do.
        TypeError: arguments of a wrong kind.
    """
    _require(function, executor, batch, shard, processes, seed)
    table, kind = manifest.table_of(grid)
    if seed is not None and "seed" in table:
        raise ValueError("dataset: seed is given, but the points have a value of that name; leave one of them out")
    folder, shard = Path(path), 8 * batch if shard is None else shard
    known = manifest.opened(folder, manifest.described(function, table, kind, shard, batch, seed))
    jobs = [_Job(function, str(folder), number, table, known) for number in range(math.ceil(known["count"] / shard))]
    missing = _missing(folder, jobs)
    if processes is None:
        errors = _run(missing, executor, progress)
    else:
        errors = _run_processes(missing, folder, processes, progress)
    if errors:
        first = next(iter(errors))
        raise SweepError(
            f"dataset: {len(errors)} of {len(missing)} missing shards failed, the first at point {first}: {errors[first]!r}; what was "
            f"computed is kept in {folder}, run again for the rest", None, errors,
        ) from errors[first]  # fmt: skip
    for left in folder.glob("*.part"):  # of workers that were killed
        left.unlink(missing_ok=True)
    return Dataset(folder)


class _Job:
    """The points of a shard, and what becomes of them."""

    def __init__(self, function, folder, number, table, known):
        rows = slice(number * known["shard"], min((number + 1) * known["shard"], known["count"]))
        self.function, self.folder, self.number, self.first = function, folder, number, rows.start
        # Copies: a slice would pickle the whole table.
        self.points = {name: column[rows].clone() for name, column in table.items()}
        self.batch, self.seed, self.dtype = known["batch"], known["seed"], getattr(torch, known["dtype"].removeprefix("torch."))
        self.about = {"number": number, "first": rows.start, "points": known["points"]["sha256"]}

    def __call__(self) -> None:
        """Compute the shard and write it."""
        from torchmag.io.shard import write_shard

        start, before = time.perf_counter(), torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            count = len(next(iter(self.points.values())))
            found = [self._results(slice(row, min(row + self.batch, count))) for row in range(0, count, self.batch)]
        finally:
            torch.set_default_dtype(before)
        results = {name: torch.cat([part[name] for part in found]) for name in found[0]}
        seeds = {} if self.seed is None else {"seed": self.seed + self.first + torch.arange(count)}
        columns = {name: column.to(self.dtype) for name, column in self.points.items()} | seeds | results
        about = self.about | {"versions": manifest.versions(), "seconds": time.perf_counter() - start}
        try:
            write_shard(manifest.shard_path(Path(self.folder), self.number), columns, about)
        except FileExistsError:
            pass  # another worker was given the same job, and has made the same numbers

    def _results(self, rows):
        given = {name: column[rows].to(self.dtype) for name, column in self.points.items()}
        count = rows.stop - rows.start
        if self.seed is not None:
            given["seed"] = self.seed + self.first + rows.start + torch.arange(count)
        found = self.function(**given)
        if not isinstance(found, Mapping) or not found:
            raise TypeError(f"dataset: the function returned a {type(found).__name__}, expected a mapping from names to tensors")
        if both := set(found) & set(given):
            raise ValueError(f"dataset: the function returned {', '.join(sorted(both))}, which are names of parameters")
        return {name: _as_rows(name, value, count) for name, value in found.items()}


def _as_rows(name, value, count):
    value = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
    if value.shape[:1] != (count,):
        raise ValueError(
            f"dataset: the function's {name!r} has shape {tuple(value.shape)}, expected ({count}, ...): a row per point"
        )
    if "/" in name:
        raise ValueError(f"dataset: the function's {name!r} is no name for a column: it holds a slash")
    return value


def _missing(folder, jobs):
    """The jobs without a shard; those that are there are looked at."""
    from torchmag.io.shard import Shard

    missing = []
    for job in jobs:
        path = manifest.shard_path(folder, job.number)
        if not path.exists():
            missing.append(job)
            continue
        shard = Shard(path)
        shard.close()
        if {key: shard.about.get(key) for key in job.about} != job.about:
            raise ValueError(f"{path} belongs to another data set; delete it and run again")
    return missing


def _run(jobs, executor, progress):
    futures = [None if executor is None else executor.submit(job) for job in jobs]
    errors = {}
    for job, future in told(list(zip(jobs, futures)), "dataset", progress):
        try:
            job() if future is None else future.result()
        except Exception as error:  # whatever a job dies of, the others count
            errors[job.first] = error
    return errors


def _run_processes(jobs, folder, processes, progress):
    """Jobs in processes; those that a death took with it are given to new ones."""
    try:
        pickle.dumps(jobs[:1])
    except Exception as error:
        raise TypeError(
            f"dataset: the function does not pickle, which processes= needs ({error}); define it in a module"
        ) from None
    threads = max(1, (os.cpu_count() or 1) // processes)
    # Not a fork of this process, whose threads it would lack: of one that has only imported torchmag, where the system knows that.
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:
        context.set_forkserver_preload(["torchmag"])
    make = functools.partial(ProcessPoolExecutor, processes, context, _set_threads, (threads,))
    errors, deaths, last, bar = {}, 0, None, told(jobs, "dataset", progress)
    while jobs and deaths < DEATHS:
        with make() as pool:
            broken = _submit_all(pool, jobs, errors, bar)
        left = [job for job in jobs if job.first not in errors and not manifest.shard_path(folder, job.number).exists()]
        deaths = deaths + 1 if len(left) == len(jobs) else 0
        jobs, last = left, broken
    return errors | {job.first: last for job in jobs}


def _set_threads(count):
    torch.set_num_threads(count)


def _submit_all(pool, jobs, errors, bar):
    broken = None
    try:
        futures = [(job, pool.submit(job)) for job in jobs]
    except BrokenProcessPool as error:
        return error
    for job, future in futures:
        try:
            future.result()
            next(bar, None)
        except BrokenProcessPool as error:
            broken = error
        except Exception as error:
            errors[job.first] = error
    return broken


def _require(function, executor, batch, shard, processes, seed):
    if not callable(function):
        raise TypeError(f"dataset: function is a {type(function).__name__}, expected a callable of the points' names")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"dataset: executor is a {type(executor).__name__}, expected one with submit(function, ...); for processes of "
                        f"this machine give processes=")  # fmt: skip
    if executor is not None and processes is not None:
        raise ValueError("dataset: executor and processes are both given; leave one of them out")
    for name, value, least in (("batch", batch, 1), ("shard", shard, 1), ("processes", processes, 1), ("seed", seed, 0)):
        optional = value is None and name != "batch"
        if not optional and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(f"dataset: {name} = {value!r}, expected a whole number, at least {least}")
    if shard is not None and shard % batch:
        raise ValueError(f"dataset: shard = {shard} is no multiple of batch = {batch}")
