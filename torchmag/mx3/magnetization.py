"""m of a script: cells as it sets and reads them, nodes as torchmag moves them."""

import torch
from torch import Tensor

from torchmag.mx3.configurations import Configuration
from torchmag.mx3.kinds import convert
from torchmag.mx3.quantity import Quantity
from torchmag.mx3.shapes import Shape
from torchmag.mx3.values import Slice, Thunk, Vector, method


class Magnetization(Quantity):
    """The reduced magnetisation.

    A configuration is evaluated both at the cells' centres and at the nodes; what is given per cell goes to the nodes as the mean of
    the cells around, made a unit vector.  After a run cells are the means of their nodes.
    """

    def __init__(self, world):
        super().__init__(world, "m", "", 3, self._in_body, lambda m, t: m, over_body=True)
        self._on_cells = self._at_nodes = None

    def assign(self, thunk: Thunk) -> None:
        """m = configuration."""
        self.set(thunk())

    @method("configuration")
    def set(self, configuration):
        configuration = convert(configuration, "configuration")
        self._put(configuration, torch.ones(self.world.grid.mesh and self.world.grid.n, dtype=torch.bool))
        self.world.record.state(configuration)

    @method("int", "configuration", name="setregion")
    def set_region(self, number, configuration):
        self._put(configuration, self.world.regions.ids == number % 256)

    @method("shape", "configuration", name="setinshape")
    def set_in_shape(self, shape: Shape, configuration: Configuration):
        self._put(configuration, shape.inside(*self.world.grid.positions()))

    @method("int", "int", "int", "vector", name="setcell")
    def set_cell(self, x, y, z, v: Vector):
        mask = torch.zeros(self.world.grid.n, dtype=torch.bool, device=self.world.reference.device)
        mask[self.world.grid.place(x, y, z)] = True
        self._put(Configuration(lambda r: torch.tensor(v.xyz).to(r).reshape(3, 1, 1, 1).expand(r.shape), by_place=False), mask)

    @method("slice", name="setarray")
    def set_array(self, array: Slice):
        n = self.world.grid.mesh and self.world.grid.n
        if tuple(array.data.shape) != (3, *n):
            raise ValueError(f"an array of {list(array.data.shape)}, expected {[3, *n]}")
        self._put(Configuration(lambda r: array.data.to(r), by_place=False), torch.ones(n, dtype=torch.bool))

    @method("string", name="loadfile")
    def load_file(self, name):
        data = self.world.read(name).data
        if len(data) != 3:
            raise ValueError(f"{name} has {len(data)} components, expected 3")
        self.set_array(Slice(_resampled(data, self.world.grid.mesh and self.world.grid.n)))

    def cells(self) -> Tensor:
        """m on all cells, those outside of the body too: (3, nx, ny, nz)."""
        if self._on_cells is None:
            if self._at_nodes is None:
                self.set(_start(self.world))
            else:
                self._on_cells = self.world.grid.cells_of(self._at_nodes)
        return self._on_cells

    def at_nodes(self) -> Tensor:
        """(3, *nodes), three grid axes."""
        if self._at_nodes is None:
            self._at_nodes = self._from_cells(self.cells())
        return self._at_nodes

    def put_nodes(self, m: Tensor) -> None:
        """After a step: (3, *nodes)."""
        self._at_nodes, self._on_cells = m.reshape(3, *self.world.grid.nodes), None

    def put(self, cells: Tensor, nodes: Tensor) -> None:
        """Both, after the window has moved."""
        self._on_cells, self._at_nodes = cells, nodes

    def renew(self, old_n) -> None:
        """After a change of the mesh: the same picture on the new cells."""
        n = self.world.grid.n
        if self._on_cells is not None or self._at_nodes is not None:
            if tuple(old_n) == tuple(n) and self._at_nodes is not None and self._at_nodes.shape[1:] == self.world.grid.nodes:
                return
            cells = self._on_cells
            self._on_cells, self._at_nodes = cells if tuple(old_n) == tuple(n) else _resampled(cells, n), None

    def before_renewal(self) -> None:
        """Have the cells at hand while the mesh is still the old one."""
        if self._at_nodes is not None:
            self.cells()

    def _in_body(self):
        return self.cells() * (self.world.geometry.fill > 0)

    def _put(self, configuration, mask):
        mask = mask.to(self.world.reference.device)
        whole = bool(mask.all())
        grid = self.world.grid
        new = _unit(configuration.at(grid.positions()).to(self.world.reference))
        old = None if whole else (self.cells(), self.at_nodes())
        cells = new if whole else torch.where(mask, new, old[0])
        if whole:
            nodes = self._at(configuration) if configuration.by_place else self._from_cells(cells)
        else:
            body = (self.world.geometry.fill > 0).to(cells)
            share = grid.to_nodes(mask.to(cells).unsqueeze(0), body if bool(body.any()) else None)
            within = self._at(configuration) if configuration.by_place else self._from_cells(cells)
            mixed = self._from_cells(cells)
            nodes = torch.where(share > 1 - 1e-6, within, torch.where(share > 0, mixed, old[1]))
        self._on_cells, self._at_nodes = cells, nodes

    def _at(self, configuration):
        return _unit(configuration.at(self.world.grid.positions("nodes")).to(self.world.reference))

    def _from_cells(self, cells):
        body = (self.world.geometry.fill > 0).to(cells)
        inside = self.world.grid.to_nodes(cells, body)
        around = self.world.grid.to_nodes(cells)
        return _unit(torch.where(inside.norm(dim=0) > 1e-6, inside, around))


def _start(world):
    """mumax3 begins with noise."""
    return Configuration(lambda r: torch.randn(r.shape, dtype=torch.float64, generator=world.noise).to(r), by_place=False)


def _unit(v):
    length = v.norm(dim=0)
    up = torch.zeros_like(v)
    up[2] = 1
    return torch.where(length > 1e-12, v / (length + (length == 0)), up)


def _resampled(x, n):
    """(C, nx, ny, nz) to other numbers of cells, the nearest one each."""
    for axis, count in enumerate(n, start=1):
        if x.shape[axis] != count:
            x = x.index_select(axis, (torch.arange(count, device=x.device) * x.shape[axis]) // count)
    return x
