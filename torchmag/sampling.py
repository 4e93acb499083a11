"""Points that fill a box of parameters, for sweeps and data sets."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


class SpaceFilling(Sequence):
    """Points in a box, as mappings from names to numbers: what `tm.sweep` and `tm.dataset` take as their grid.

    Args:
        bounds: name -> (lowest, highest).
        count: of points.
        seed: another one gives other points.
        log: names whose logarithm is spread evenly.

    Attributes:
        table: name -> the values of all points, float64 (count,).
    Raises:
        TypeError, ValueError: bounds that are no two finite numbers in order, unknown names in `log`.
    """

    def __init__(self, bounds: Mapping[str, Sequence[float]], count: int, seed: int = 0, *, log: Sequence[str] = ()):
        name = type(self).__name__
        if not isinstance(bounds, Mapping) or not bounds:
            raise TypeError(f"{name}: bounds is {bounds!r}, expected a mapping from names to (lowest, highest)")
        for key, value in (("count", count), ("seed", seed)):
            if isinstance(value, bool) or not isinstance(value, int) or value < (key == "count"):
                raise ValueError(f"{name}: {key} = {value!r}, expected a whole number, at least {int(key == 'count')}")
        log = (log,) if isinstance(log, str) else tuple(log)
        if unknown := set(log) - set(bounds):
            raise ValueError(f"{name}: log names {', '.join(sorted(unknown))}, which have no bounds")
        self.bounds = {key: _interval(name, key, pair, key in log) for key, pair in bounds.items()}
        self.count, self.seed, self.log = count, seed, log
        unit = self._unit(len(self.bounds))
        self.table = {key: self._spread(unit[:, k], *pair, key in log) for k, (key, pair) in enumerate(self.bounds.items())}

    def _unit(self, dim: int) -> Tensor:
        """The points in the unit cube, float64 (count, dim)."""
        raise NotImplementedError

    @staticmethod
    def _spread(u, low, high, log):
        found = low * (high / low) ** u if log else low + (high - low) * u
        return found.clamp(low, high)  # against rounding

    def describe(self) -> dict:
        """What makes the points again, as plain values."""
        bounds = {key: list(pair) for key, pair in self.bounds.items()}
        return {"kind": type(self).__name__, "bounds": bounds, "count": self.count, "seed": self.seed, "log": list(self.log)}

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.count))]
        return {key: values[index].item() for key, values in self.table.items()}

    def __repr__(self):
        return f"{type(self).__name__}({self.bounds}, {self.count}, seed={self.seed}, log={self.log})"


class Sobol(SpaceFilling):
    """A scrambled Sobol sequence (torch.quasirandom; Owen, J. Complexity 14, 466 (1998)); a power of two is the best count."""

    def _unit(self, dim):
        return torch.quasirandom.SobolEngine(dim, scramble=True, seed=self.seed).draw(self.count, dtype=torch.float64)


class LatinHypercube(SpaceFilling):
    """One point in each of `count` slices of every parameter (McKay, Beckman, Conover, Technometrics 21, 239 (1979))."""

    def _unit(self, dim):
        draw = torch.Generator().manual_seed(self.seed)
        rows = torch.stack([torch.randperm(self.count, generator=draw) for _ in range(dim)], 1)
        return (rows + torch.rand(self.count, dim, generator=draw, dtype=torch.float64)) / self.count


def _interval(title, key, pair, log):
    try:
        low, high = (float(x) for x in pair)
    except (TypeError, ValueError):
        raise TypeError(f"{title}: bounds[{key!r}] is {pair!r}, expected (lowest, highest)") from None
    if not -math.inf < low < high < math.inf or (log and low <= 0):
        raise ValueError(f"{title}: bounds[{key!r}] is ({low:g}, {high:g}), expected finite numbers in order{', > 0' * log}")
    return low, high
