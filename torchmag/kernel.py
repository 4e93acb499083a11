"""The torch side of a compiled form: node fields in, densities and variations out."""

import functools
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from torchmag import layout
from torchmag.assembly import Assembly, by_matrix
from torchmag.forms import Form, element
from torchmag.forms.compiler import SPACING, Block, Source, emit

# With more maps than these the modes take less time.
MOST_MATRICES = 3
_SPACINGS = tuple(symbol.name for symbol in SPACING)


def _tensors(*values):
    """Numbers among tensors as tensors."""
    like = next(value for value in values if isinstance(value, Tensor))
    return [value if isinstance(value, Tensor) else torch.full_like(like, value) for value in values]


FUNCTIONS = {
    name: getattr(torch, name)
    for name in ("sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh")
} | {
    "Abs": torch.abs,
    "signum": torch.sign,
    "atan2": lambda y, x: torch.atan2(*_tensors(y, x)),
    "Max": lambda *x: functools.reduce(torch.maximum, _tensors(*x)),
    "Min": lambda *x: functools.reduce(torch.minimum, _tensors(*x)),
    "Heaviside": lambda x, at_zero=0.5: (x > 0).to(x.dtype) + at_zero * (x == 0),
}


@dataclass(frozen=True, eq=False)
class _Function:
    """A compiled function: the sources of its arguments, and the slots of its results."""

    call: Callable
    sources: Sequence[Source]
    slots: Sequence[tuple]

    def values(self, inputs: "_Inputs", number: int) -> dict:
        """{slot: result} in the block with this number."""
        return dict(zip(self.slots, self.call(*inputs.gather(self.sources, number))))


@dataclass(frozen=True, eq=False)
class _Code:
    """The compiled functions of one block of a form.

    Of a slot (field, None, mode) in `variation` the result is a coefficient, and `vectors` tells the mode that it multiplies.
    Where coefficients are uniform, `stencil` and `rest` take its place: the coefficients of second differences at the nodes, with
    slots (field, node field, axes), and what is not in `vectors`.  `matrix` tells whether the block has a `linear` variation.
    """

    counts: tuple[int, ...] | None
    density: _Function
    variation: _Function
    vectors: Mapping[tuple, tuple]
    stencil: _Function
    rest: _Function
    block: Block
    matrix: bool


def _function(block: Block, results: Mapping[tuple, object]) -> _Function:
    """Expressions by slot, compiled."""
    return _Function(*emit(block.sources, list(results.values()), FUNCTIONS), tuple(results))


@functools.cache
def _emit(form: Form) -> tuple[_Code, ...]:
    codes = []
    for block in form.blocks:
        slots = block.variation | {(name, None, mode): value for (name, mode), (value, _) in block.vectors.items()}
        vectors = {(name, None, mode): origin for (name, mode), (_, origin) in block.vectors.items()}
        stencil = {(*pair, axes): value for pair, sums in block.stencils().items() for axes, value in sums.items()}
        density, variation = _function(block, {(): block.energy}), _function(block, slots)
        second, rest = _function(block, stencil), _function(block, block.variation)
        matrix = len(form.fields) == 1 and len(form.axes) > 0 and _linear(block) is not None
        codes.append(_Code(block.counts, density, variation, vectors, second, rest, block, matrix))
    return tuple(codes)


@functools.cache
def _linear(block: Block) -> Mapping | None:
    return block.linear()


@dataclass(frozen=True, eq=False)
class _Groups:
    """The coefficients of a `linear` variation, by what of them is a map: `maps` has the values of these slots (None: nothing is),
    `uniform` the rest of each coefficient, and `rows` tells the coefficients of each group."""

    maps: _Function
    uniform: _Function
    rows: Sequence[Sequence[int]]


@functools.cache
def _grouped(block: Block, maps: frozenset[str]) -> _Groups:
    """The groups where these parameters are maps."""
    symbols = [s for s, source in block.sources.items() if source.name in maps]
    groups = {}
    for row, coefficient in enumerate(_linear(block)):
        uniform, factor = coefficient.as_independent(*symbols, as_Add=False)
        groups.setdefault(factor, {})[row] = uniform
    parts = {(row,): part for group in groups.values() for row, part in group.items()}
    factors = {(number,): factor for number, factor in enumerate(groups) if factor != 1}
    return _Groups(_function(block, factors), _function(block, parts), [list(group) for group in groups.values()])


def _basis(block: Block, spacing: Mapping[str, float], dim: int) -> list:
    """What each coefficient of a `linear` variation is multiplied by: (R * R, coefficients), from the sums that make up the modes of the
    field to values at the corners of a cell."""
    modes = layout.modes(dim)
    place = {mode: 3 * number for number, mode in enumerate(modes)}
    entries = [(k, *key, factor) for k, found in enumerate(_linear(block).values()) for key, factor in found.items()]
    call, sources = emit(block.sources, [factor for *_, factor in entries], FUNCTIONS)
    found = np.zeros((len(_linear(block)), 3 * len(modes), 3 * len(modes)))
    for (k, component, mode, of, of_mode, _), value in zip(entries, call(*(spacing[source.name] for source in sources))):
        found[k, place[mode] + component, place[of_mode] + of] += value * 0.5 ** of_mode.count(0)
    corners = np.array(
        [[math.prod(0.5 if not m else (1 if c else -1) for c, m in zip(corner, mode)) for mode in modes] for corner in modes]
    )
    return (np.kron(corners, np.eye(3)) @ found).reshape(len(found), -1).T.tolist()


def _variations(every: Sequence["_Inputs"]) -> list[Tensor]:
    """The summed variations of several kernels with respect to each of their fields: (*batch, 3, *nodes)."""
    first = every[0]
    names = first.kernel.form.fields
    found = [
        Assembly(first.fields[name], first.modes_of(name), first.parameters["fraction"], first.kernel.periodic) for name in names
    ]
    codes = [(inputs, number, code) for inputs in every for number, code in enumerate(inputs.kernel.codes)]
    # What needs modes anyway, or a matrix, takes the rest along; one coefficient of all components is faster without.
    modes = any(code.rest.slots for *_, code in codes)
    matrix = modes and by_matrix(first.like)
    for inputs, number, code in codes:
        if not (matrix and code.matrix and inputs.add_matrices(found[0], number)):
            uniform = inputs.is_uniform and bool(code.stencil.slots) and inputs.are_uniform(code.stencil.sources)
            inputs.add_parts(found, number, uniform and not modes)
    return [assembly.at_nodes() for assembly in found]


class Kernel(nn.Module):
    """Evaluates a Form on a grid, per unit of cell volume.

    Args:
        form: the compiled form.
        spacing: cell size along x, y, z, m.
        nodes, periodic: for each axis of the form, how many there are, and whether it wraps around.
        like: a tensor of the dtype and device to use.
    """

    def __init__(
        self, form: Form, spacing: tuple[float, float, float], nodes: Sequence[int], periodic: Sequence[bool], like: Tensor
    ):
        super().__init__()
        self.form, self.nodes, self.periodic = form, tuple(nodes), tuple(periodic)
        self.spacing = dict(zip(_SPACINGS, spacing))
        self.modes = element.modes(len(form.axes))
        self.codes = _emit(form)
        self._register_tables(like)

    def _register_tables(self, like):
        if any(code.stencil.slots for code in self.codes):
            self.register_buffer("shares", layout.shares(self.nodes, self.periodic, like), persistent=False)
        for number, code in enumerate(self.codes):
            if code.matrix:
                basis = _basis(code.block, self.spacing, len(self.periodic))
                self.register_buffer(f"basis{number}", like.new_tensor(basis), persistent=False)
            if code.counts is not None:
                shapes, weights = self._tabulate(code.counts, [self.spacing[_SPACINGS[axis]] for axis in self.form.axes])
                self.register_buffer(f"shapes{number}", like.new_tensor(shapes), persistent=False)
                self.register_buffer(f"weights{number}", like.new_tensor(weights), persistent=False)

    def _apply(self, fn, recurse=True):
        # The tables are derived: made anew, they survive float32 and the meta device.
        super()._apply(fn, recurse)
        like = next(self.buffers(), None)
        if like is not None:
            self._register_tables(like)
        return self

    def density(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor], body=None) -> Tensor:
        """Mean density of each cell: (*batch, *cells); elements need no links of the `body`."""
        inputs = self._inputs(fields, parameters)
        found = 0.0
        for number, code in enumerate(self.codes):
            density = code.density.values(inputs, number)[()]
            if code.counts is not None:
                density = inputs.expand(density, number) @ getattr(self, f"weights{number}")
            found = found + density
        return inputs.expand(found)

    def variation(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor], body=None) -> dict[str, Tensor]:
        """Derivative of the summed densities with respect to the varied node fields: {name: (*batch, 3, *nodes)}."""
        return dict(zip(self.form.fields, _variations([self._inputs(fields, parameters)])))

    @staticmethod
    def together(terms: Sequence[tuple["Kernel", Mapping[str, Tensor]]], m: Tensor, body=None) -> Tensor:
        """The sum of the variations of kernels with one field, on one grid: m is taken apart once, the result put together once.

        Shape: m (*batch, 3, *nodes) -> same.
        """
        every, modes = [], layout.Modes(m, terms[0][0].periodic)
        for kernel, parameters in terms:
            (name,) = kernel.form.fields
            inputs = kernel._inputs({name: m}, parameters)
            inputs.modes[name] = modes
            every.append(inputs)
        return _variations(every)[0]

    def source(self) -> str:
        """The generated code."""
        texts = []
        for code in self.codes:
            functions = {"density": code.density, "variation": code.variation}
            functions |= {"stencil": code.stencil} if code.stencil.slots else {}
            rule = "integrated exactly on the modes of the element" if code.counts is None else f"at Gauss points {code.counts}"
            for name, function in functions.items():
                text = inspect.getsource(function.call).replace("_lambdifygenerated", name, 1)
                texts.append(f"# {name} of {self.form.name}, {rule}\n{text}")
        return "\n".join(texts)

    def _inputs(self, fields, parameters):
        field = next(iter(fields.values()))
        nodes = field.shape[field.ndim - len(self.periodic) :]
        nodal = {name: parameters[name] for name, kind in self.form.parameters.items() if kind.nodal}
        nodal = {name: x.expand(*x.shape[: max(x.ndim - len(nodes), 0)], *nodes) for name, x in nodal.items()}
        return _Inputs(self, dict(fields) | nodal, parameters)

    def _tabulate(self, counts, spacing):
        """Shape functions (row 0) and their derivatives per axis at the Gauss points (1 + dim, modes, Q); weights (Q)."""
        points, weights = element.gauss(counts)
        rows = [[element.shape_values(points, mode) for mode in self.modes]]
        for axis, h in enumerate(spacing):
            lowered = [element.derivative(mode, axis) for mode in self.modes]
            rows.append([0 * weights if low is None else element.shape_values(points, low) / h for low in lowered])
        return [[row.tolist() for row in rows_] for rows_ in rows], weights.tolist()

    def __getstate__(self):
        # Functions made by lambdify do not pickle; they follow from the form.
        return {name: value for name, value in self.__dict__.items() if name != "codes"}

    def __setstate__(self, state):
        super().__setstate__(state)
        self.codes = _emit(self.form)


class _Inputs:
    """The arguments of one evaluation of a kernel, each taken apart once."""

    def __init__(self, kernel: Kernel, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]):
        self.kernel, self.fields, self.parameters = kernel, fields, parameters
        self.dim = len(kernel.periodic)
        first = next(iter(fields.values()))
        sizes = first.shape[first.ndim - self.dim :]
        self.cells = tuple(n if wraps else n - 1 for n, wraps in zip(sizes, kernel.periodic))
        self.like = first
        self.modes, self.found, self.flat = {}, {}, {}

    @property
    def is_uniform(self) -> bool:
        """Whether the magnetic fraction is."""
        return layout.is_uniform(self.parameters["fraction"], self.dim)

    def add_parts(self, totals: Sequence[Assembly], number: int, uniform: bool) -> None:
        """Add the variation of one block with respect to each field; by second differences at the nodes where all is `uniform`."""
        code, names = self.kernel.codes[number], self.kernel.form.fields
        slots = (code.rest if uniform else code.variation).values(self, number)
        stencils = {}
        for (name, origin, axes), value in code.stencil.values(self, number).items() if uniform else ():
            stencils.setdefault((name, origin), {})[axes] = self.per_component(value)
        for (name, origin), sums in stencils.items():
            totals[names.index(name)].add_stencil(self.fields[origin], sums, self.kernel.shares)
        for name, total in zip(names, totals):
            on_modes = code.counts is None
            total.add_modes(self._on_modes(slots, name, code.vectors) if on_modes else self._on_points(slots, name, number))

    def add_matrices(self, total: Assembly, number: int) -> bool:
        """Add the variation of one block as matrices, if few enough maps are in it."""
        code = self.kernel.codes[number]
        names = {s.name for s in code.variation.sources} & self.parameters.keys() - self.fields.keys()
        maps = frozenset(name for name in names if not layout.is_uniform(self.parameters[name], self.dim))
        groups = _grouped(code.block, maps)
        if len(groups.rows) > MOST_MATRICES:
            return False
        factors = groups.maps.values(self, number)
        uniform = {
            row: value
            for (row,), value in zip(groups.uniform.slots, groups.uniform.call(*map(self._flat, groups.uniform.sources)))
        }
        basis = getattr(self.kernel, f"basis{number}")
        for group, rows in enumerate(groups.rows):
            values = [self._tensor(uniform[row]) for row in rows]
            if len({value.shape for value in values}) > 1:
                values = torch.broadcast_tensors(*values)
            table = basis if len(rows) == basis.shape[1] else basis[:, rows]
            coefficients = torch.stack(values, -1)
            total.add_matrix(factors.get((group,)), table @ coefficients if coefficients.ndim == 1 else coefficients @ table.mT)
        return True

    def _on_modes(self, slots, name, vectors):
        """{mode: (*batch, 3, *cells)} from the components of each mode, or from one coefficient of all."""
        found = {}
        for mode in self.kernel.modes:
            if (name, None, mode) in slots:
                found[mode] = self.scaled(slots[name, None, mode], *vectors[name, None, mode])
                continue
            planes = [slots.get((name, component, mode), 0.0) for component in range(3)]
            if any(isinstance(plane, Tensor) or plane for plane in planes):
                found[mode] = self.vector(planes)
        return found

    def _on_points(self, slots, name, number):
        """The fluxes at the Gauss points times shape functions and weights, summed."""
        shapes, weights = getattr(self.kernel, f"shapes{number}"), getattr(self.kernel, f"weights{number}")
        total = None
        for row, axis in enumerate((None, *range(self.dim))):
            planes = [slots.get((name, component, axis), 0.0) for component in range(3)]
            if any(isinstance(plane, Tensor) or plane for plane in planes):
                part = self.vector(planes, number) @ (shapes[row] * weights).mT
                total = part if total is None else total + part
        return {} if total is None else dict(zip(self.kernel.modes, total.unbind(-1)))

    def _flat(self, source):
        """The value of a source that is uniform, without the axes of the grid."""
        if source.name in self.kernel.spacing:
            return self.kernel.spacing[source.name]
        value, components = self.parameters[source.name], len(source.index)
        if not value.ndim:
            return value
        if source.name not in self.flat:
            shape = value.shape[: max(value.ndim - self.dim, 0)]
            batch = shape[: len(shape) - components]
            flat = value.reshape(*batch, math.prod(shape[len(batch) :])) if components else value.reshape(shape)
            self.flat[source.name] = flat.unbind(-1) if components else flat
        if not components:
            return self.flat[source.name]
        shape = value.shape[value.ndim - self.dim - components : value.ndim - self.dim]
        return self.flat[source.name][np.ravel_multi_index(source.index, shape)]

    def _tensor(self, value):
        return value if isinstance(value, Tensor) else self.like.new_full((), value)

    def gather(self, sources: Sequence[Source], number: int) -> list:
        """The values of the sources, for the block with this number."""
        counts = self.kernel.codes[number].counts
        return [self._value(source, None if counts is None else number) for source in sources]

    def scaled(self, coefficient, name: str, mode: element.Mode) -> Tensor:
        """A coefficient, number or (*batch, *cells), times a mode of a node field: (*batch, 3, *cells)."""
        return self.per_component(coefficient) * self.modes_of(name)[mode]

    def per_component(self, coefficient):
        """A number or (*batch, *cells) against the components of a vector field."""
        return coefficient.unsqueeze(-self.dim - 1) if isinstance(coefficient, Tensor) and coefficient.ndim else coefficient

    def are_uniform(self, sources: Sequence[Source]) -> bool:
        """Whether these parameters are the same in all cells, as their shapes tell."""
        values = [self.parameters[source.name] for source in sources if source.name in self.parameters]
        return all(layout.is_uniform(value, self.dim) for value in values)

    def vector(self, planes: Sequence, number: int | None = None) -> Tensor:
        """Three component planes, tensors or numbers, to (*batch, 3, *cells[, Q])."""
        planes = [plane if isinstance(plane, Tensor) else self.like.new_full((), plane) for plane in planes]
        grid = self._grid(number)
        shape = torch.broadcast_shapes(grid, *(plane.shape for plane in planes))
        return torch.stack([plane.expand(shape) for plane in planes], -len(grid) - 1)

    def expand(self, value, number: int | None = None) -> Tensor:
        """A density, tensor or number, to (*batch, *cells[, Q])."""
        value = value if isinstance(value, Tensor) else self.like.new_full((), value)
        return value.expand(torch.broadcast_shapes(value.shape, self._grid(number)))

    def _grid(self, number):
        return self.cells if number is None else (*self.cells, getattr(self.kernel, f"weights{number}").shape[0])

    def _value(self, source, number):
        if source.name in self.kernel.spacing:
            return self.kernel.spacing[source.name]
        if source.name in self.fields:
            key = (source.name, source.mode, source.axis, number)
            if key not in self.found:
                self.found[key] = self._node_field(source, number)
            return self._component(self.found[key], source.index, number)
        value = self.parameters[source.name]
        if value.ndim and number is not None:
            value = value.unsqueeze(-1)
        return self._component(value, source.index, number)

    def _component(self, value, index, number):
        if not index:
            return value
        grid = (slice(None),) * (self.dim + (number is not None))
        return value[(..., *index, *grid)]

    def _node_field(self, source, number):
        modes = self.modes_of(source.name)
        if number is None:
            return modes[source.mode]
        row = 0 if source.axis is None else 1 + source.axis
        stacked = torch.stack([modes[mode] for mode in self.kernel.modes], -1)
        return stacked @ getattr(self.kernel, f"shapes{number}")[row]

    def modes_of(self, name: str) -> layout.Modes:
        """The modes of a node field."""
        if name not in self.modes:
            self.modes[name] = layout.Modes(self.fields[name], self.kernel.periodic)
        return self.modes[name]
