"""The cuboid grid: a frozen value without data."""

import math
from dataclasses import dataclass
from numbers import Integral, Real


@dataclass(frozen=True)
class Mesh:
    """A regular grid of cuboid cells in one, two or three dimensions.

    A 1D or 2D mesh keeps the physical size of its missing axes (width, thickness): the magnetisation is constant along them.

    Args:
        n: number of cells along x[, y[, z]]; one to three positive integers.
        dx: cell size in m along x, y and z; always three.
        origin: position of the lower corner, m.
        pbc: periodic boundary of each axis: 0 is open, an integer N >= 1 adds N images on each side,
            math.inf is truly periodic.  Always three; an axis that the mesh does not have cannot be truly periodic.

    Raises:
        TypeError: n or pbc of a wrong kind (a bool in pbc among them).
        ValueError: wrong lengths, sizes that are not positive and finite.
    """

    n: tuple[int, ...]
    dx: tuple[float, float, float]
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pbc: tuple[float, float, float] = (0, 0, 0)

    def __post_init__(self):
        n = (self.n,) if isinstance(self.n, Integral) else self.n
        object.__setattr__(self, "n", tuple(_cells(count) for count in _sequence("n", n)))
        if not 1 <= len(self.n) <= 3:
            raise ValueError(f"Mesh: n has {len(self.n)} entries, expected 1, 2 or 3")
        for name in ("dx", "origin"):
            object.__setattr__(self, name, tuple(_length(name, v) for v in _three(name, getattr(self, name))))
        if min(self.dx) <= 0:
            raise ValueError(f"Mesh: dx = {self.dx} must be positive, in metres")
        object.__setattr__(self, "pbc", tuple(_images(v) for v in _three("pbc", self.pbc)))
        for axis in range(self.dim, 3):
            if math.isinf(self.pbc[axis]):
                raise ValueError(
                    f"Mesh: pbc[{axis}] is infinite but the mesh has no {'xyz'[axis]} axis; "
                    f"give n an entry for it (one cell is enough) or use a number of images"
                )

    @property
    def dim(self) -> int:
        """Number of axes, 1 to 3."""
        return len(self.n)

    @property
    def cells(self) -> tuple[int, ...]:
        """Number of cells along each axis."""
        return self.n

    @property
    def nodes(self) -> tuple[int, ...]:
        """Number of nodes along each axis: n + 1 where it is open, n where it is periodic."""
        return tuple(n if self.periodic(axis) else n + 1 for axis, n in enumerate(self.n))

    @property
    def cell_volume(self) -> float:
        """Volume of a cell, m^3."""
        return math.prod(self.dx)

    @property
    def size(self) -> tuple[float, float, float]:
        """Extent along x, y and z, m; a missing axis counts one cell."""
        return tuple(n * h for n, h in zip((*self.n, 1, 1), self.dx))

    def periodic(self, axis: int) -> bool:
        """Whether the last cell of this axis shares its nodes with the first."""
        return self.pbc[axis] != 0


def _sequence(name, value):
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"Mesh: {name} = {value!r} is a {type(value).__name__}, expected a tuple of numbers") from None


def _three(name, value):
    value = _sequence(name, value)
    if len(value) != 3:
        raise ValueError(f"Mesh: {name} has {len(value)} entries, expected 3 (x, y, z) for a mesh of any dimension")
    return value


def _cells(count):
    if isinstance(count, bool) or not isinstance(count, Integral):
        raise TypeError(f"Mesh: n holds {count!r} ({type(count).__name__}), expected integers: cells along each axis")
    if count < 1:
        raise ValueError(f"Mesh: n holds {count}, expected at least one cell along each axis")
    return int(count)


def _length(name, value):
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"Mesh: {name} holds {value!r} ({type(value).__name__}), expected numbers in metres")
    if not math.isfinite(value):
        raise ValueError(f"Mesh: {name} holds {value}, expected finite numbers in metres")
    return float(value)


def _images(value):
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"Mesh: pbc holds {value!r} ({type(value).__name__}), expected 0, a number of images or math.inf")
    if value == math.inf:
        return math.inf
    if not math.isfinite(value) or value < 0 or value != int(value):
        raise ValueError(f"Mesh: pbc holds {value}, expected 0 (open), N >= 1 images on each side, or math.inf (truly periodic)")
    return int(value)
