"""Parameter sweeps: one function over a grid of points, in this process or in jobs."""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor

import torch

from torchmag.bar import told
from torchmag.errors import SweepError


def sweep(
    function: Callable,
    grid: Mapping[str, Sequence] | Sequence[Mapping],
    executor: Executor | None = None,
    *,
    batch: int | None = None,
    progress: bool | None = None,
) -> list:
    """Call a function at every point of a grid.

    Args:
        function: called with a point's values by keyword.  With `batch` it is called with several points at once: each keyword
            holds one value per point, a tensor (B,) if they are numbers, else a list; it returns a sequence or tensor of B
            results.  Give such values to torchmag with grid axes: `Ku.reshape(-1, 1, 1)` for a film.
        grid: name -> values, of which all combinations are made, the last name fastest; or the points, as mappings (`tm.Sobol`,
            `tm.LatinHypercube`).
        executor: anything with `submit(function, *args)` whose result has `result()`: concurrent.futures' executors, a
            dask.distributed Client, submitit's executors.  The function, its points and results must then pickle.
            Default: in this process, one after another.
        batch: points per call.
        progress: a bar with what is left on standard error: True, False, or None: on a terminal after two seconds.

    Returns:
        The results, in the order of the points.
    Raises:
        SweepError: some points failed; it carries the results of the others and the errors.
        TypeError, ValueError: arguments that make no grid.
    """
    points = list(points_of(grid, "sweep"))
    if not callable(function):
        raise TypeError(f"sweep: function is a {type(function).__name__}, expected a callable of the grid's names")
    if executor is not None and not hasattr(executor, "submit"):
        raise TypeError(f"sweep: executor is a {type(executor).__name__}, expected one with submit(function, ...), such as "
                        f"concurrent.futures.ProcessPoolExecutor()")  # fmt: skip
    if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
        raise ValueError(f"sweep: batch = {batch!r}, expected a number of points, at least 1")
    jobs = [points[start : start + (batch or 1)] for start in range(0, len(points), batch or 1)]
    call = functools.partial(_run, function)
    # In this process each job is done when its turn comes.
    futures = [None if executor is None else executor.submit(call, job, batch is not None) for job in jobs]
    results, errors = [], {}
    for job, future in told(list(zip(jobs, futures)), "sweep", progress):
        try:
            results += call(job, batch is not None) if future is None else future.result()
        except Exception as error:  # whatever a job dies of, the others count
            errors |= dict.fromkeys(range(len(results), len(results) + len(job)), error)
            results += [None] * len(job)
    if errors:
        first = next(iter(errors))
        raise SweepError(
            f"sweep: {len(errors)} of {len(points)} points failed, the first at {points[first]}: {errors[first]!r}; the other results "
            f"are in the error's `results`", results, errors,
        ) from errors[first]  # fmt: skip
    return results


def points_of(grid: Mapping[str, Sequence] | Sequence[Mapping], title: str) -> Iterator[dict]:
    """The points of a grid: all combinations of the values, the last name fastest, or the mappings themselves."""
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str) or not hasattr(values, "__len__"):
                raise TypeError(f"{title}: grid[{name!r}] is a {type(values).__name__}, expected a sequence of values")
        for values in itertools.product(*(_numbers(values) for values in grid.values())):
            yield dict(zip(grid, values))
        return
    for point in grid:
        if not isinstance(point, Mapping):
            raise TypeError(f"{title}: the grid holds a {type(point).__name__}, expected mappings from names to values")
        yield dict(point)


def _numbers(values):
    """A tensor's or array's rows, those of one axis as numbers."""
    return values.tolist() if hasattr(values, "tolist") and values.ndim == 1 else values


def _run(function, points, together) -> list:
    """The results of one job."""
    if not together:
        return [function(**point) for point in points]
    given = {name: _stacked([point[name] for point in points]) for name in points[0]}
    found = list(function(**given))
    if len(found) != len(points):
        raise ValueError(f"sweep: the function returned {len(found)} results for {len(points)} points")
    return found


def _stacked(values):
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return torch.tensor(values, dtype=torch.get_default_dtype()) if numbers else values
