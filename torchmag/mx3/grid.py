"""The mesh of a script, the body on it, its regions."""

import torch
from torch import Tensor

import torchmag as tm
from torchmag import layout
from torchmag.mx3.quantity import Quantity
from torchmag.mx3.shapes import Shape, universe
from torchmag.mx3.values import method

MOST_CELLS = 2**28


class Grid:
    """Cells, their size, images; three axes always.

    Attributes:
        n, size, pbc: None until they are set.
        thin_is_closed: whether an axis of one cell is closed to a ring where the mesh cannot leave it out (without a stray field).
        shift: by how much the window has moved, m: positions are those of the sample.
    """

    def __init__(self, reference: Tensor):
        self.reference, self.n, self.size, self.pbc, self.shift = reference, None, None, (0, 0, 0), [0.0, 0.0]
        self._mesh, self._closed = None, False

    @property
    def thin_is_closed(self) -> bool:
        return self._closed

    @thin_is_closed.setter
    def thin_is_closed(self, closed: bool):
        if closed != self._closed:
            self._closed, self._mesh = closed, None

    def set(self, n=None, size=None, pbc=None) -> None:
        """Change what is given.

        Raises:
            ValueError: numbers that make no mesh.
        """
        if n is not None and (min(n) < 1 or n[0] * n[1] * n[2] > MOST_CELLS):
            raise ValueError(f"{' x '.join(map(str, n))} cells, expected at least one along each axis and at most 2^28")
        if size is not None and not all(0 < h < float("inf") for h in size):
            raise ValueError(f"cells of {size} m, expected positive sizes")
        if pbc is not None and not all(0 <= images <= 100_000 for images in pbc):
            raise ValueError(f"{pbc} images, expected 0 or more")
        self.n, self.size, self.pbc = n or self.n, size or self.size, pbc or self.pbc
        self._mesh = None

    @property
    def ready(self) -> bool:
        return self.n is not None and self.size is not None

    @property
    def mesh(self) -> tm.Mesh:
        if self._mesh is None:
            if not self.ready:
                raise ValueError("the mesh is not set; use SetGridSize and SetCellSize first")
            n = self.n if self.n[2] > 1 else self.n[:2] if self.n[1] > 1 else self.n[:1]
            origin = tuple(-0.5 * count * h for count, h in zip(self.n, self.size))
            # One cell along an axis in front: m is constant along it, as on a closed one; images would count for the stray field.
            images = [1 if a < len(n) - 1 and n[a] == 1 and self.thin_is_closed and not p else p for a, p in enumerate(self.pbc)]
            self._mesh = tm.Mesh(n, dx=self.size, origin=origin, pbc=tuple(images))
        return self._mesh

    @property
    def nodes(self) -> tuple[int, int, int]:
        """Nodes along the three axes, 1 along one that the mesh does not have."""
        return (*self.mesh.nodes, 1, 1)[:3]

    def place(self, x: int, y: int, z: int) -> tuple[int, int, int]:
        """A cell's index; raise if there is no such cell."""
        if not all(0 <= i < n for i, n in zip((x, y, z), self.mesh and self.n)):
            raise ValueError(f"cell {x}, {y}, {z}, but there are {' x '.join(map(str, self.n))} cells")
        return x, y, z

    def positions(self, at: str = "cells") -> Tensor:
        """Coordinates in the sample, (3, nx, ny, nz), float64."""
        mesh = self.mesh
        found = layout.positions(mesh, at, dtype=torch.float64, device=self.reference.device)
        found = found.reshape(3, *(self.n if at == "cells" else self.nodes))
        return found - torch.tensor([*self.shift, 0.0], dtype=found.dtype, device=found.device).reshape(3, 1, 1, 1)

    def full(self, numbers: list[float]) -> Tensor:
        """The same everywhere: (C, nx, ny, nz)."""
        mesh = self.mesh and self.n
        return (
            torch.tensor(numbers, dtype=self.reference.dtype, device=self.reference.device).reshape(-1, 1, 1, 1).expand(-1, *mesh)
        )

    def cells_of(self, nodes: Tensor) -> Tensor:
        """Means over the nodes of each cell: (C, *nodes) -> (C, nx, ny, nz)."""
        flat = nodes.reshape(len(nodes), *self.mesh.nodes)
        return layout.to_cells(flat, self.mesh).reshape(len(nodes), *self.n)

    def to_nodes(self, cells: Tensor, weight: Tensor | None = None) -> Tensor:
        """Means over the cells around each node, by weight (nx, ny, nz): (C, nx, ny, nz) -> (C, *nodes)."""
        mesh = self.mesh
        weight = torch.ones_like(cells[0]) if weight is None else weight
        share = layout.to_nodes(weight.reshape(mesh.cells), mesh)
        found = layout.to_nodes((cells * weight).reshape(len(cells), *mesh.cells), mesh)
        return (found / (share + (share == 0))).reshape(len(cells), *self.nodes)


class Geometry(Quantity):
    """The fill of each cell, 0 to 1, by a shape."""

    def __init__(self, world):
        super().__init__(world, "geom", "", 1, lambda: self.fill.unsqueeze(0))
        self.shape, self.smooth, self._fill = universe(), 0, None
        self.whole = True

    def set(self, shape: Shape) -> None:
        """Cut the body out.

        Raises:
            ValueError: no cell inside.
        """
        before = (self.shape, self._fill)
        self.shape, self._fill = shape, None
        if not bool(self.fill.any()):
            self.shape, self._fill = before
            raise ValueError("the shape has no cell of the mesh inside; sizes are in metres, about the middle of the mesh")

    def renew(self) -> None:
        """After a change of the mesh or of the window."""
        self._fill = None

    @property
    def fill(self) -> Tensor:
        """(nx, ny, nz)."""
        if self._fill is None:
            self._fill = self._measured().to(self.world.reference)
            self.whole = bool((self._fill == 1).all())
        return self._fill

    def _measured(self):
        x = self.world.grid.positions()
        if self.smooth < 2:
            return self.shape.inside(*x).double()
        total, s, size = 0, self.smooth, self.world.grid.size
        for i in range(s**3):
            offset = [((i // s**axis) % s + 0.5) / s - 0.5 for axis in range(3)]
            total = total + self.shape.inside(*(r + o * h for r, o, h in zip(x, offset, size))).double()
        return total / s**3


class Regions(Quantity):
    """The number of each cell's material, 0 to 255."""

    def __init__(self, world):
        super().__init__(world, "regions", "", 1, lambda: self.ids.unsqueeze(0).to(world.reference))
        self.history, self._ids = [], None

    def define(self, number: int, shape: Shape) -> None:
        """Give the cells inside a shape a number."""
        self._do(lambda ids, x: torch.where(shape.inside(*x), self._checked(number), ids))

    def redefine(self, old: int, new: int) -> None:
        """Give one region's cells to another."""
        self._do(lambda ids, x: torch.where(ids == self._checked(old), self._checked(new), ids))

    def replace(self, function) -> None:
        """Give cells numbers by their place: (ids, positions) -> ids."""
        self._do(function)

    def _do(self, function):
        self._ids = function(self.ids, self.world.grid.positions())
        self.history.append(function)
        self.world.changed("body")

    def _checked(self, number):
        if not 0 <= number <= 256:
            raise ValueError(f"region {number}, expected 0 to 255")
        return number % 256

    def renew(self) -> None:
        """After a change of the mesh or of the window: all definitions once more."""
        self._ids = None

    @property
    def ids(self) -> Tensor:
        """(nx, ny, nz), int64."""
        if self._ids is None:
            x = self.world.grid.positions()
            ids = torch.zeros(x.shape[1:], dtype=torch.int64, device=x.device)
            for function in self.history:
                ids = function(ids, x)
            self._ids = ids
        return self._ids

    @method("int", "int", "int", name="getcell")
    def get_cell(self, x, y, z):
        return int(self.ids[self.world.grid.place(x, y, z)])

    @method("int", "int", "int", "int", name="setcell")
    def set_cell(self, x, y, z, number):
        place, value = self.world.grid.place(x, y, z), self._checked(number)

        def function(ids, positions):
            ids = ids.clone()
            if all(i < n for i, n in zip(place, ids.shape)):
                ids[place] = value
            return ids

        self._do(function)

    @method("string", name="loadfile")
    def load_file(self, name):
        data = self.world.read(name).data
        if tuple(data.shape) != (1, *self.world.grid.n):
            raise ValueError(f"{name} has {tuple(data.shape)} values, expected {(1, *self.world.grid.n)}")
        ids = data[0].long().to(self.world.reference.device)
        self._do(lambda old, x: ids if old.shape == ids.shape else old)

    def mean(self):
        return [float(self.ids.double().mean())]
