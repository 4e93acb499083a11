"""Quantities: what scripts average, save, tabulate and combine; on cells (C, nx, ny, nz), or at nodes for fields of their own."""

from collections.abc import Callable

import torch
from torch import Tensor

from torchmag.mx3.values import Scriptable, Slice, Vector, method, shown


class Quantity(Scriptable):
    """A field over the cells.

    Args:
        world: the state that it is taken from.
        name, unit: as mumax3 writes them into files.
        components: 1 or 3.
        values: () -> (C, nx, ny, nz).
        nodes: m (3, *nodes), t -> (C, *nodes), with three grid axes; by default from the cells.
        over_body: whether the average is over the body instead of the box.
    """

    is_number = False

    def __init__(
        self,
        world,
        name: str,
        unit: str,
        components: int,
        values: Callable,
        nodes: Callable | None = None,
        over_body: bool = False,
    ):
        self.world, self.name, self.unit, self.components = world, name, unit, components
        self._values, self._nodes, self.over_body = values, nodes, over_body

    def values(self) -> Tensor:
        """Values now."""
        return self._values()

    def nodes(self, m: Tensor, t: float) -> Tensor:
        """Values at the nodes for an m and a time."""
        return self.world.grid.to_nodes(self.values()) if self._nodes is None else self._nodes(m, t)

    def mean(self) -> list[float]:
        """The average of each component."""
        found = self.values().double()
        if not self.over_body:
            return [float(plane.mean()) for plane in found]
        body = self.world.geometry.fill.double()
        return [float((plane * body).sum() / body.sum()) for plane in found]

    def number(self) -> float:
        """The value, of a quantity that is one number."""
        return self.mean()[0]

    def as_value(self, numbers):
        """A number or a Vector."""
        return numbers[0] if self.components == 1 else Vector(*numbers)

    @method()
    def average(self):
        return self.as_value(self.mean())

    @method()
    def get(self):
        return self.average()

    @method("int")
    def comp(self, i):
        if not 0 <= i < self.components:
            raise ValueError(f"component {i} of {self.name}, which has {self.components}")
        name = f"{self.name}_{'xyz'[i]}"
        return Quantity(
            self.world,
            name,
            self.unit,
            1,
            lambda: self.values()[i : i + 1],
            lambda m, t: self.nodes(m, t)[i : i + 1],
            self.over_body,
        )

    @method("int")
    def region(self, number):
        return InRegion(self, number)

    @method("int", "int", "int", name="getcell")
    def get_cell(self, x, y, z):
        # Single precision, as mumax3's cells.
        return self.as_value([float(v) for v in self.values()[(slice(None), *self.world.grid.place(x, y, z))].float()])

    @method(name="hostcopy")
    def host_copy(self):
        return Slice(self.values().double().cpu().clone())

    def __str__(self):
        found = self.mean()
        return shown(found[0] if len(found) == 1 else found)


class InRegion(Quantity):
    """A quantity in one region, zero elsewhere; its average is over the cells of the region."""

    def __init__(self, whole: Quantity, number: int):
        super().__init__(whole.world, f"{whole.name}.region{number}", whole.unit, whole.components, self._masked)
        self.whole, self.number_of_region = whole, number

    def _mask(self):
        return (self.world.regions.ids == self.number_of_region).to(self.world.reference)

    def _masked(self):
        return self.whole.values() * self._mask()

    def mean(self):
        mask = self._mask().double()
        if not bool(mask.any()):
            raise ValueError(f"region {self.number_of_region} has no cells")
        return [float((plane * mask).sum() / mask.sum()) for plane in self.whole.values().double()]

    @method("int")
    def comp(self, i):
        return InRegion(self.whole.comp(i), self.number_of_region)


class Number(Quantity):
    """A quantity that is one number."""

    is_number = True

    def __init__(self, world, name: str, unit: str, value: Callable[[], float]):
        super().__init__(world, name, unit, 1, lambda: world.grid.full([value()]))
        self.value = value

    def mean(self):
        return [float(self.value())]

    def number(self):
        return float(self.value())

    def __float__(self):
        return self.number()


class Triple(Quantity):
    """A quantity that is three numbers."""

    def __init__(self, world, name: str, unit: str, value: Callable[[], tuple]):
        super().__init__(world, name, unit, 3, lambda: world.grid.full(list(value())))
        self.value = value

    def mean(self):
        return [float(v) for v in self.value()]


def combined(name: str, unit: str, components: int, apply: Callable, *parts: Quantity) -> Quantity:
    """A quantity made from others point by point: apply(*(C, *grid)) -> (components, *grid)."""
    world = parts[0].world
    return Quantity(
        world, name, unit, components,
        lambda: apply(*(part.values() for part in parts)),
        lambda m, t: apply(*(part.nodes(m, t) for part in parts)),
    )  # fmt: skip


class Cropped(Quantity):
    """Part of a quantity: cells low to high, the high ones outside."""

    def __init__(self, whole: Quantity, low: tuple[int, int, int], high: tuple[int, int, int]):
        for axis, (first, last, n) in enumerate(zip(low, high, whole.world.grid.n)):
            if not 0 <= first < last <= n:
                raise ValueError(f"crop from {first} to {last} along {'xyz'[axis]}, which has {n} cells")
        part = tuple(slice(a, b) for a, b in zip(low, high))
        super().__init__(
            whole.world, f"{whole.name}_cropped", whole.unit, whole.components, lambda: whole.values()[(slice(None), *part)]
        )
        self.origin = low

    def get_cell(self, x, y, z):
        return self.as_value([float(v) for v in self.values()[:, x, y, z]])


class RunningAverage(Quantity):
    """The mean of a quantity over time, from when it was made, each step weighted by its length."""

    def __init__(self, whole: Quantity):
        super().__init__(whole.world, f"RunningAverage_{whole.name}", whole.unit, whole.components, lambda: self.kept)
        self.whole, self.kept, self.start, self.last = whole, whole.values().clone(), whole.world.t, whole.world.t
        whole.world.after_step.append(self.take)

    def take(self):
        """Take in the state after a step."""
        t = self.world.t
        if t > self.last:
            self.kept = self.kept + (self.whole.values() - self.kept) * ((t - self.last) / (t - self.start))
            self.last = t


def shifted(x: Tensor, by: tuple[int, int, int]) -> Tensor:
    """(C, nx, ny, nz) moved by whole cells, zeros coming in."""
    for axis, step in enumerate(by, start=1):
        n = x.shape[axis]
        if abs(step) >= n:
            return torch.zeros_like(x)
        if step:
            x = x.roll(step, axis)
            x.narrow(axis, 0 if step > 0 else n + step, abs(step)).zero_()
    return x
