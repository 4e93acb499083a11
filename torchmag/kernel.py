"""The torch side of a compiled form: node fields in, densities and variations out."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torchmag import layout
from torchmag.forms import Form, element
from torchmag.forms.compiler import SPACING, Block, Source, emit

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
    slots (field, node field, axes), and what is not in `vectors`.
    """

    counts: tuple[int, ...] | None
    density: _Function
    variation: _Function
    vectors: Mapping[tuple, tuple]
    stencil: _Function
    rest: _Function


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
        codes.append(
            _Code(block.counts, density, variation, vectors, _function(block, stencil), _function(block, block.variation))
        )
    return tuple(codes)


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
        inputs = self._inputs(fields, parameters)
        parts = {name: {} for name in self.form.fields}
        stencils = {name: {} for name in self.form.fields}
        for number, code in enumerate(self.codes):
            uniform = bool(code.stencil.slots) and inputs.are_uniform(code.stencil.sources)
            slots = (code.rest if uniform else code.variation).values(inputs, number)
            for (name, origin, axes), value in code.stencil.values(inputs, number).items() if uniform else ():
                stencils[name].setdefault(origin, {})[axes] = inputs.per_component(value)
            for name in self.form.fields:
                if code.counts is None:
                    found = self._on_modes(slots, name, inputs, code.vectors)
                else:
                    found = self._on_points(slots, name, inputs, number)
                for mode, part in found.items():
                    parts[name][mode] = parts[name][mode] + part if mode in parts[name] else part
        return {name: self._at_nodes(parts[name], stencils[name], inputs) for name in self.form.fields}

    def _at_nodes(self, modes, stencils, inputs):
        """Modes, and coefficients of second differences {node field: {axes: coefficient}}: (*batch, 3, *nodes)."""
        found = [
            self.shares * layout.differences(inputs.fields[origin], self.periodic, sums) for origin, sums in stencils.items()
        ]
        if modes or not found:
            found.append(layout.from_modes(modes or {self.modes[0]: inputs.vector([0.0, 0.0, 0.0])}, self.periodic))
        return sum(found[1:], start=found[0])

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

    def _on_modes(self, slots, name, inputs, vectors):
        """{mode: (*batch, 3, *cells)} from the components of each mode, or from one coefficient of all."""
        found = {}
        for mode in self.modes:
            if (name, None, mode) in slots:
                found[mode] = inputs.scaled(slots[name, None, mode], *vectors[name, None, mode])
                continue
            planes = [slots.get((name, component, mode), 0.0) for component in range(3)]
            if any(isinstance(plane, Tensor) or plane for plane in planes):
                found[mode] = inputs.vector(planes)
        return found

    def _on_points(self, slots, name, inputs, number):
        """The fluxes at the Gauss points times shape functions and weights, summed."""
        shapes, weights = getattr(self, f"shapes{number}"), getattr(self, f"weights{number}")
        total = None
        for row, axis in enumerate((None, *range(len(self.periodic)))):
            planes = [slots.get((name, component, axis), 0.0) for component in range(3)]
            if any(isinstance(plane, Tensor) or plane for plane in planes):
                part = inputs.vector(planes, number) @ (shapes[row] * weights).mT
                total = part if total is None else total + part
        return {} if total is None else dict(zip(self.modes, total.unbind(-1)))

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
    """The arguments of one evaluation, each taken apart once."""

    def __init__(self, kernel: Kernel, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor]):
        self.kernel, self.fields, self.parameters = kernel, fields, parameters
        self.dim = len(kernel.periodic)
        first = next(iter(fields.values()))
        sizes = first.shape[first.ndim - self.dim :]
        self.cells = tuple(n if wraps else n - 1 for n, wraps in zip(sizes, kernel.periodic))
        self.like = first
        self.modes, self.found = {}, {}

    def gather(self, sources: Sequence[Source], number: int) -> list:
        """The values of the sources, for the block with this number."""
        counts = self.kernel.codes[number].counts
        return [self._value(source, None if counts is None else number) for source in sources]

    def scaled(self, coefficient, name: str, mode: element.Mode) -> Tensor:
        """A coefficient, number or (*batch, *cells), times a mode of a node field: (*batch, 3, *cells)."""
        return self.per_component(coefficient) * self._modes_of(name)[mode]

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
        modes = self._modes_of(source.name)
        if number is None:
            return modes[source.mode]
        row = 0 if source.axis is None else 1 + source.axis
        stacked = torch.stack([modes[mode] for mode in self.kernel.modes], -1)
        return stacked @ getattr(self.kernel, f"shapes{number}")[row]

    def _modes_of(self, name):
        if name not in self.modes:
            self.modes[name] = layout.to_modes(self.fields[name], self.kernel.periodic, self._wanted(name))
        return self.modes[name]

    def _wanted(self, name):
        """The modes of a node field that any block uses."""
        if any(code.counts is not None for code in self.kernel.codes):
            return self.kernel.modes
        sources = [s for code in self.kernel.codes for s in (*code.density.sources, *code.variation.sources)]
        found = [(s.name, s.mode) for s in sources if s.mode is not None]
        found += [origin for code in self.kernel.codes for origin in code.vectors.values()]
        return tuple(dict.fromkeys(mode for origin, mode in found if origin == name))
