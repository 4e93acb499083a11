"""Material parameters and excitations: a value for each region, which may be a function of time; masks on top."""

from collections.abc import Callable

import torch
from torch import Tensor

from torchmag.mx3.kinds import convert
from torchmag.mx3.quantity import Quantity
from torchmag.mx3.values import Slice, Thunk, method

REGIONS = 256


class Parameter(Quantity):
    """A number or a vector for each region.

    Args:
        change: what of the world a new value makes stale, "body" or "terms".
    """

    def __init__(self, world, name: str, unit: str, components: int = 1, default: float = 0.0, change: str = "terms"):
        super().__init__(world, name, unit, components, self._on_cells)
        self.change, self.kind = change, "float" if components == 1 else "vector"
        self.table = torch.full((REGIONS, components), default, dtype=torch.float64)
        self.functions: dict[int, Thunk] = {}
        self.masks: list[tuple[Tensor, Thunk]] = []

    def assign(self, thunk: Thunk) -> None:
        """Set all regions."""
        self._set(range(REGIONS), thunk)

    @method("int", "thunk", name="setregion")
    def set_region(self, number, thunk):
        if not 0 <= number <= REGIONS:
            raise ValueError(f"region {number}, expected 0 to 255")
        self._set([number % REGIONS], thunk)

    @method("thunk", name="set")
    def set_everywhere(self, thunk):
        self.assign(thunk)

    @method("int", name="getregion")
    def get_region(self, number):
        if not 0 <= number < REGIONS:
            raise ValueError(f"region {number}, expected 0 to 255")
        return self.as_value(self.at_time().tolist()[number])

    @method(name="isuniform")
    def is_uniform(self):
        return bool((self.at_time() == self.at_time()[0]).all())

    def _set(self, numbers, thunk):
        value = self._value_of(thunk)
        for number in numbers:
            self.functions.pop(number, None)
            if thunk.live:
                self.functions[number] = thunk
        self.table[list(numbers)] = value
        self.world.changed(self.change)

    def _value_of(self, thunk):
        value = convert(thunk(), self.kind)
        found = torch.tensor([value] if self.components == 1 else value.xyz, dtype=torch.float64)
        if not bool(torch.isfinite(found).all()):
            raise ValueError(f"{self.name} is not finite")
        return found

    @property
    def depends_on_time(self) -> bool:
        return bool(self.functions) or any(thunk.live for _, thunk in self.masks)

    @property
    def is_zero(self) -> bool:
        return not self.functions and not self.masks and not bool(self.table.any())

    def at_time(self) -> Tensor:
        """(256, C) at the world's time."""
        if self.functions:
            known = {}
            for number, thunk in self.functions.items():
                if id(thunk) not in known:
                    known[id(thunk)] = self._value_of(thunk)
                self.table[number] = known[id(thunk)]
        return self.table

    def present(self) -> Tensor:
        """The rows of the regions that have cells, as they are now."""
        return self.at_time()[self.world.regions.ids.unique().cpu()]

    def uniform(self) -> list[float] | None:
        """The value everywhere, or None if it differs from place to place."""
        rows = self.present()
        same = not self.masks and bool((rows == rows[0]).all())
        return rows[0].tolist() if same else None

    def _on_cells(self):
        reference = self.world.reference
        found = self.at_time().to(reference)[self.world.regions.ids].movedim(-1, 0)
        for mask, thunk in self.masks:
            if mask.shape[1:] == found.shape[1:]:
                found = found + mask.to(reference) * convert(thunk(), "float")
        return found

    def value(self, map_of: Callable[[Tensor], Tensor]):
        """The parameter as torchmag takes it: a number or tuple, a map, or a function of t of either.

        Args:
            map_of: a map on the cells, (C, nx, ny, nz), as it is needed.
        """

        def now():
            same = self.uniform()
            if same is None:
                return map_of(self._on_cells())
            return same[0] if self.components == 1 else tuple(same)

        if not self.depends_on_time:
            return now()

        def of_time(t):
            with self.world.at_time(float(t)):
                found = now()
            return found if isinstance(found, Tensor) else torch.tensor(found).to(self.world.reference)

        return of_time


class Excitation(Parameter):
    """A parameter that masks may be added to, each times a function of time."""

    @method("slice", "thunk")
    def add(self, mask: Slice, thunk: Thunk):
        if len(mask.data) != self.components:
            raise ValueError(f"a mask of {len(mask.data)} components; {self.name} has {self.components}")
        convert(thunk(), "float")
        self.masks.append((mask.data.clone(), thunk))
        self.world.changed(self.change)

    @method(name="removeextraterms")
    def remove_masks(self):
        self.masks.clear()
        self.world.changed(self.change)
