"""The torch side of a form compiled to fourth or sixth order in space: node fields in, densities and variations out."""

import functools
import inspect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from torchmag import dense, fluxes, layout, local, quadrature
from torchmag.device import counts_calls
from torchmag.forms import Form
from torchmag.forms.compiler import SPACING, Product, Source, emit
from torchmag.kernel import FUNCTIONS, Kernel
from torchmag.midpoints import SLOPE, VALUE, Links, nodal
from torchmag.stencils import Stencils

_SPACINGS = tuple(symbol.name for symbol in SPACING)


@dataclass(frozen=True, eq=False)
class _Code:
    """The compiled functions of one `Product`: each returns its values in the order of `slots`."""

    product: Product
    prefactor: tuple
    energy: tuple
    variation: tuple
    vectors: tuple
    slots: tuple
    pairs: tuple
    linear: tuple
    terms: tuple

    def sources(self) -> list[Source]:
        """Of all but the prefactor."""
        return [source for _, sources in (self.energy, self.variation, self.vectors) for source in sources]

    @property
    def axis(self) -> int | None:
        """The only axis of midpoints along which a linear variation is taken."""
        axes = [axis for axis, midpoints in enumerate(self.product.midpoints) if midpoints]
        return axes[0] if len(axes) == 1 and self.terms else None


@functools.cache
def _emit(form: Form) -> tuple[_Code, ...]:
    codes = []
    for product in form.blocks:
        written = lambda expressions: emit(product.sources, list(expressions), FUNCTIONS)  # noqa: B023
        codes.append(
            _Code(
                product,
                written([product.prefactor]),
                written([product.energy]),
                written(product.variation.values()),
                written(coefficient for coefficient, _ in product.vectors.values()),
                tuple(product.variation),
                tuple((*slot, *origin) for slot, (_, origin) in product.vectors.items()),
                written((product.linear or {}).values()),
                tuple(product.linear or ()),
            )
        )
    return tuple(codes)


class StaggeredKernel(nn.Module):
    """Evaluates a Form of order 4 or 6 on a grid, per unit of cell volume.

    A term with derivatives along some axes is summed over the midpoints between nodes along these, and over the nodes, as often as
    they are corners of cells, along the others.

    Args: as of `Kernel`.
    """

    def __init__(
        self, form: Form, spacing: tuple[float, float, float], nodes: Sequence[int], periodic: Sequence[bool], like: Tensor
    ):
        super().__init__()
        self.form, self.nodes, self.periodic = form, tuple(nodes), tuple(periodic)
        self.spacing = dict(zip(_SPACINGS, spacing))
        self.steps = [self.spacing[_SPACINGS[axis]] for axis in form.axes]
        self.midpoints = Stencils(form.order, periodic)
        fluxes.define_operators()
        local.define_operators()
        self.codes = _emit(form)
        self._register_tables(like)

    def _register_tables(self, like):
        """Along each axis the share of cells that each node has, against the grid."""
        dim = len(self.nodes)
        for axis, (n, wraps) in enumerate(zip(self.nodes, self.periodic)):
            share = layout.shares((n,), (wraps,), like).reshape(*(1,) * axis, n, *(1,) * (dim - 1 - axis))
            self.register_buffer(f"shares{axis}", share, persistent=False)

    def _apply(self, fn, recurse=True):
        # The tables are derived: made anew, they survive float32 and the meta device.
        super()._apply(fn, recurse)
        like = next(self.buffers(), None)
        if like is not None:
            self._register_tables(like)
        return self

    def density(self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor], body: Links | None = None) -> Tensor:
        """Mean density of each cell: (*batch, *cells)."""
        inputs, found = _Inputs(self, fields, parameters, body), 0.0
        for code in self.codes:
            function, sources = code.energy
            if inputs.are_uniform(code.sources()):
                (value,) = function(*inputs.gather(sources, code))
                found = found + inputs.at_cells(value, code)
            else:
                corners = inputs.corners(code)
                value = sum(function(*inputs.gather(sources, code, corner))[0] for corner in corners) / len(corners)
                found = found + inputs.prefactor(code) * value
        return found.expand(torch.broadcast_shapes(found.shape, inputs.cells))

    def variation(
        self, fields: Mapping[str, Tensor], parameters: Mapping[str, Tensor], body: Links | None = None
    ) -> dict[str, Tensor]:
        """Derivative of the summed densities with respect to the varied node fields: {name: (*batch, 3, *nodes)}."""
        return self._variations([_Inputs(self, fields, parameters, body)])

    @staticmethod
    def together(terms: Sequence[tuple["StaggeredKernel", Mapping[str, Tensor]]], m: Tensor, body: Links | None = None) -> Tensor:
        """The sum of the variations of kernels with one field, on one grid: m is brought to each grid once, and back once.

        Shape: m (*batch, 3, *nodes) -> same.
        """
        every = []
        for kernel, parameters in terms:
            (name,) = kernel.form.fields
            inputs = _Inputs(kernel, {name: m}, parameters, body)
            if every:
                inputs.varied = every[0].varied
            every.append(inputs)
        (found,) = every[0].kernel._variations(every).values()
        return found

    def _variations(self, every):
        """The summed variations of several kernels, by the names that the first one gives its fields."""
        total, linear = {}, []  # fluxes by (field, pattern); terms
        for inputs in every:
            names = dict(zip(inputs.kernel.form.fields, self.form.fields))
            for (name, pattern), flux in inputs.kernel._fluxes(inputs, linear).items():
                key = names[name], pattern
                total[key] = total[key] + flux if key in total else flux
        parts = self._linear(linear) if linear else []
        return {name: self._at_nodes(name, total, every[0], parts) for name in self.form.fields}

    def _fluxes(self, inputs, linear):
        """{(field, pattern): flux}; what `_linear` can take is added to that list instead."""
        found = {}
        for code in self.codes:
            if inputs.are_linear(code):
                linear.append((inputs, code))
            elif inputs.are_uniform(code.sources()):
                self._add_fluxes(code, inputs, found, inputs.lumped_prefactor(code))
            else:
                corners = inputs.corners(code)
                for corner in corners:
                    self._add_fluxes(code, inputs, found, inputs.prefactor(code) / len(corners), corner)
        return found

    def _linear(self, linear):
        """The variation of terms that are linear along one axis, as they are taken together: [(*batch, 3, *nodes)]."""
        first, _ = linear[0]
        x, found = first.like, []
        uniform = [(inputs, code) for inputs, code in linear if inputs.have_numbers(code)]
        if uniform:
            terms, scales, _ = self._terms(uniform, lambda inputs, code: (inputs.prefactor(code), None))
            found.append(local.apply(self.midpoints, x, terms, scales))
        mapped = [pair for pair in linear if pair not in uniform]
        if mapped:
            terms, scales, maps = self._terms(mapped, lambda inputs, code: inputs.on_links(code))
            found.append(fluxes.apply(self.midpoints, x, terms, scales, maps, first.body))
        return found

    def _terms(self, linear, prefactor_of):
        """The terms of linear products, and of each the coefficient: a number, and a map times which it is taken."""
        terms, values, prefactors, lengths, maps = [], [], [], [], []
        for inputs, code in linear:
            kinds = {None: VALUE, code.axis: SLOPE}
            (prefactor, map_of), per_length = prefactor_of(inputs, code), (1.0, inputs.per_length(code.axis))
            if code.slots:
                slots, found = code.terms, inputs.call(code.linear, code)
            else:
                # One coefficient of all components.
                slots, found = [(None, axis, None, of) for _, axis, _, of in code.pairs], inputs.call(code.vectors, code)
            for (target, outer, origin, inner), value in zip(slots, found):
                pairs = [(target, origin)] if target is not None else [(c, c) for c in range(3)]
                terms += [(*pair, code.axis, kinds[outer], kinds[inner], len(values)) for pair in pairs]
                # What differs from sample to sample is part of the map.
                is_number = map_of is None or not isinstance(value, Tensor) or value.numel() == 1
                values.append(value if is_number else 1.0)
                prefactors.append(prefactor)
                lengths.append(per_length[outer is not None] * per_length[inner is not None])
                maps.append(map_of if is_number else map_of * value)
        if local.takes_numbers(linear[0][0].like):
            one = lambda value: value.reshape(()) if isinstance(value, Tensor) else value
            return terms, [one(a) * one(b) * c for a, b, c in zip(values, prefactors, lengths)], maps
        numbers = linear[0][0].numbers
        return terms, numbers(values) * numbers(prefactors) * numbers(lengths), maps

    def _add_fluxes(self, code, inputs, total, prefactor, corner=None):
        """Add the fluxes on the grid of a product, or at one corner of each cell, times a prefactor."""

        def add(name, axis, flux):
            inputs.add(total, name, code, axis, flux if corner is None else inputs.to_corner(flux, code, corner))

        for (name, axis, origin, of), coefficient in zip(code.pairs, inputs.call(code.vectors, code, corner)):
            scale = inputs.per_component(coefficient * prefactor * (inputs.per_length(axis) * inputs.per_length(of)))
            add(name, axis, scale * inputs.difference(origin, code, of, corner))
        slots = dict(zip(code.slots, inputs.call(code.variation, code, corner)))
        for name, axis in dict.fromkeys((slot[0], slot[2]) for slot in slots):
            planes = [slots.get((name, component, axis), 0.0) for component in range(3)]
            add(name, axis, inputs.per_component(prefactor * inputs.per_length(axis)) * inputs.vector(planes, code, corner))

    def _at_nodes(self, name, found, inputs, linear):
        values = []
        for (of, pattern), flux in found.items():
            if of == name:
                x = self.midpoints.back(flux, pattern, inputs.body)
                if SLOPE in pattern:
                    x = self.midpoints.smooth(x, nodal(pattern), inputs.body, transposed=True)
                values.append(x)
        values += linear
        return sum(values[1:], start=values[0]) if values else inputs.zeros()

    def source(self) -> str:
        """The generated code."""
        texts = []
        for code in self.codes:
            grid = ", ".join(
                f"{'midpoints' if midpoints else 'nodes'} along {'xyz'[axis]}"
                for axis, midpoints in zip(self.form.axes, code.product.midpoints)
            )
            texts.append(f"# {self.form.name} at {grid or 'the node'}; prefactor {code.product.prefactor}")
            for name, (function, _) in (("density", code.energy), ("variation", code.variation), ("vectors", code.vectors)):
                texts.append(inspect.getsource(function).replace("_lambdifygenerated", name, 1))
        return "\n".join(texts)

    def __getstate__(self):
        # Functions made by lambdify do not pickle; they follow from the form.
        return {name: value for name, value in self.__dict__.items() if name != "codes"}

    def __setstate__(self, state):
        super().__setstate__(state)
        fluxes.define_operators()
        local.define_operators()
        self.codes = _emit(self.form)


def vary_together(
    terms: Sequence[tuple[Kernel | StaggeredKernel, Mapping[str, Tensor]]], m: Tensor, body: Links | None
) -> Tensor:
    """The sum of the variations of kernels of one field and one order on one grid, each with its parameters: (*batch, 3, *nodes)."""
    return type(terms[0][0]).together(terms, m, body)


def make_kernel(form: Form, spacing, nodes, periodic, like: Tensor) -> Kernel | StaggeredKernel:
    """The kernel of a form, by its order."""
    return (Kernel if form.order == 2 else StaggeredKernel)(form, spacing, nodes, periodic, like)


class _Inputs:
    """The arguments of one evaluation, each brought to each grid once."""

    def __init__(self, kernel, fields, parameters, body):
        self.kernel, self.parameters, self.body = kernel, parameters, body
        self.dim = len(kernel.periodic)
        self.like = next(iter(fields.values()))
        nodal = {name: parameters[name] for name, kind in kernel.form.parameters.items() if kind.nodal}
        nodes = self.like.shape[self.like.ndim - self.dim :]
        self.fields = dict(fields) | {name: x.expand(*x.shape[: max(x.ndim - self.dim, 0)], *nodes) for name, x in nodal.items()}
        self.cells = tuple(n if wraps else n - 1 for n, wraps in zip(nodes, kernel.periodic))
        self.components = {name: kind.shape for name, kind in kernel.form.parameters.items() if kind.nodal}
        self.found, self.varied = {}, {}

    def call(self, function, code, corner=None) -> list:
        call, sources = function
        return call(*self.gather(sources, code, corner))

    def gather(self, sources: Sequence[Source], code, corner=None) -> list:
        """The values of the sources on the grid of a product, or at one corner of each cell."""
        return [self._value(source, code, corner) for source in sources]

    def field(self, name: str, code, axis: int | None, corner=None) -> Tensor:
        """A node field, or its derivative along an axis, on the grid of a product."""
        x = self.difference(name, code, axis, corner)
        return x if axis is None else x * self.per_length(axis)

    def difference(self, name: str, code, axis: int | None, corner=None) -> Tensor:
        """A node field, or its derivative along an axis times the spacing."""
        pattern = self.pattern(code, axis)
        found = self.varied if name in self.kernel.form.fields else self.found
        if (name, pattern) not in found:
            components = len(self.components.get(name, (3,)))
            x = self._smoothed(name, pattern) if SLOPE in pattern else self.fields[name]
            found[name, pattern] = self._there(x, pattern, components)
        x = found[name, pattern]
        for axis, upper in corner or ():
            x = layout.neighbours(x, axis - self.dim, self.kernel.periodic[axis])[upper]
        return x

    def per_length(self, axis: int | None) -> float:
        """1 / spacing for a derivative, 1 for a value."""
        return 1.0 if axis is None else 1 / self.kernel.steps[axis]

    def _smoothed(self, name, pattern):
        """What a slope of a field is taken of: of what is varied, smoothed along the axes of nodes."""
        x = self.fields[name]
        if name not in self.kernel.form.fields:
            return x
        return self.kernel.midpoints.smooth(x, nodal(pattern), self.body)

    def _there(self, x, pattern, components):
        there = self.kernel.midpoints.there
        if self.body is None or components == 1:
            return there(x, pattern, self.body)
        shape = x.shape[: x.ndim - self.dim]
        split = len(shape) - components
        x = there(x.reshape(*shape[:split], -1, *x.shape[len(shape) :]), pattern, self.body)
        return x.reshape(*x.shape[: -self.dim - 1], *shape[split:], *x.shape[x.ndim - self.dim :])

    def pattern(self, code, axis):
        """What of a field, or its derivative along an axis, is taken where."""
        kinds = [VALUE if midpoints else None for midpoints in code.product.midpoints]
        if axis is not None:
            kinds[axis] = SLOPE
        return tuple(kinds)

    def corners(self, code) -> list:
        """The corners of a cell that lie on the grid: ((axis, whether the upper one), ...)."""
        axes = [axis for axis, midpoints in enumerate(code.product.midpoints) if not midpoints]
        return [tuple(zip(axes, upper)) for upper in itertools.product((0, 1), repeat=len(axes))]

    def to_corner(self, x, code, corner):
        """The transpose of taking that corner: (..., *cells) to the grid of the product."""
        for axis, upper in corner:
            none = torch.zeros_like(x)
            low, high = (none, x) if upper else (x, none)
            x = layout.scatter(low, high, axis - self.dim, self.kernel.periodic[axis])
        return x

    def prefactor(self, code):
        """Of each cell, with the fraction: a number or (*batch, *cells)."""
        (value,) = self.call(code.prefactor, code)
        return value * self.parameters["fraction"]

    def _nodal_map(self, code):
        """The prefactor and the fraction, each (*batch, *cells), where the former is a map and all is taken at the nodes; else None.

        A map of Ms is left to the trapezoidal rule, as it is in the masses of the nodes.
        """
        (value,) = self.call(code.prefactor, code)
        of_Ms = any(source.name == "Ms" for source in code.prefactor[1])
        if of_Ms or any(code.product.midpoints) or not isinstance(value, Tensor) or layout.is_uniform(value, self.dim):
            return None
        return tuple(x.expand(*x.shape[: max(x.ndim - self.dim, 0)], *self.cells) for x in (value, self.parameters["fraction"]))

    def lumped_prefactor(self, code):
        """The prefactor at the points of the grid, each cell's lumped along the axes of nodes."""
        found = self._nodal_map(code)
        if found is not None:
            return quadrature.at_nodes(*found, self.kernel.periodic)
        value = self.prefactor(code)
        along = [axis for axis, midpoints in enumerate(code.product.midpoints) if not midpoints]
        if layout.is_uniform(value, self.dim):
            for axis in along:
                value = value * getattr(self.kernel, f"shares{axis}").to(self.like.dtype)
            return value
        value = value.expand(*value.shape[: max(value.ndim - self.dim, 0)], *self.cells)
        for axis in along:
            value = layout.lumped(value, axis - self.dim, self.kernel.periodic[axis])
        return value

    def at_cells(self, value, code):
        """A density, of what is found on the grid of a product: the mean of the corners of each cell that lie there, times the prefactor."""
        value, found = self._tensor(value), self._nodal_map(code)
        if value.ndim < self.dim:
            return self.prefactor(code) * value
        if found is not None:
            return quadrature.at_cells(value, *found, self.kernel.periodic)
        for axis, midpoints in enumerate(code.product.midpoints):
            if not midpoints:
                low, high = layout.neighbours(value, axis - self.dim, self.kernel.periodic[axis])
                value = 0.5 * (low + high)
        return self.prefactor(code) * value

    def add(self, total, name, code, axis, flux):
        """Add a flux with respect to a field, or to its derivative along an axis times the spacing."""
        key = name, self.pattern(code, axis)
        total[key] = total[key] + flux if key in total else flux

    def are_uniform(self, sources: Sequence[Source]) -> bool:
        """Whether these parameters are the same in all cells, as their shapes tell."""
        names = {source.name for source in sources} & self.parameters.keys() - self.fields.keys()
        return all(layout.is_uniform(self.parameters[name], self.dim) for name in names)

    def are_linear(self, code) -> bool:
        """Whether compiled code can take a term at once: it is linear along one axis."""
        if code.axis is None:
            return False
        names = self._coefficients(code)
        if names is None:
            return False
        own = self.like.shape[: self.like.ndim - self.dim - 1]
        if not all(math.prod(batch) == 1 or batch == own for batch in map(self._batch_of, names)):
            return False
        if self.have_numbers(code):
            return local.takes(self.kernel.midpoints, self.like)
        of_linear = {source.name for source in code.linear[1]} & self.parameters.keys()
        uniform = all(layout.is_uniform(self.parameters[name], self.dim) for name in of_linear)
        return uniform and fluxes.takes(self.kernel.midpoints, self.like, self.body)

    def have_numbers(self, code) -> bool:
        """Whether the coefficients of a linear term are numbers, on a body without empty cells."""
        return self.body is None and all(
            layout.is_uniform(self.parameters[name], self.dim) and math.prod(self._batch_of(name)) == 1
            for name in self._coefficients(code)
        )

    def _coefficients(self, code):
        """The names of the parameters in the coefficients of a linear term; None where these are node fields."""
        names = {source.name for source in (*code.linear[1], *code.prefactor[1])} & self.parameters.keys() | {"fraction"}
        return None if names & self.fields.keys() else names

    def _batch_of(self, name):
        """The batch axes of a parameter."""
        value, kind = self.parameters[name], self.kernel.form.parameters.get(name)
        return value.shape[: max(value.ndim - self.dim - len(kind.shape if kind else ()), 0)]

    def on_links(self, code) -> tuple[float | Tensor, Tensor]:
        """The prefactor at the midpoints along the axis of a linear term, lumped along the others: a number and a map (*batch, *grid)."""
        (value,) = self.call(code.prefactor, code)
        if self.body is not None and (not isinstance(value, Tensor) or value.numel() == 1):
            # The links of a body are its fraction, lumped.
            return value, self.body.weights[code.axis]
        value = self.lumped_prefactor(code)
        grid = [cells if at else nodes for at, cells, nodes in zip(code.product.midpoints, self.cells, self.kernel.nodes)]
        return 1.0, value.expand(*value.shape[: max(value.ndim - self.dim, 0)], *grid)

    def numbers(self, values: Sequence[float | Tensor]) -> Tensor:
        """Numbers in one tensor like the field's."""
        if counts_calls(self.like):
            return dense.numbers(values, self.like)
        shapes = [value.shape for value in values if isinstance(value, Tensor)]
        if not shapes:
            return self.like.new_tensor(values)
        alike = [value if isinstance(value, Tensor) else self.like.new_full(shapes[0], value) for value in values]
        alike = [value if value.shape == shapes[0] else value.reshape(shapes[0]) for value in alike]
        return torch.stack(alike).reshape(-1).to(self.like.dtype)

    def per_component(self, value):
        """A number or (*batch, *grid) against the components of a vector field."""
        return value.unsqueeze(-self.dim - 1) if isinstance(value, Tensor) and value.ndim else value

    def vector(self, planes: Sequence, code, corner=None) -> Tensor:
        """Three component planes, tensors or numbers, to (*batch, 3, *grid)."""
        at_cells = [corner is not None or midpoints for midpoints in code.product.midpoints]
        grid = [cells if at else nodes for at, cells, nodes in zip(at_cells, self.cells, self.kernel.nodes)]
        planes = [self._tensor(plane) for plane in planes]
        shape = torch.broadcast_shapes(grid, *(plane.shape for plane in planes))
        return torch.stack([plane.expand(shape) for plane in planes], -self.dim - 1)

    def zeros(self):
        return torch.zeros_like(self.like)

    def _tensor(self, value):
        return value if isinstance(value, Tensor) else self.like.new_full((), value)

    def _value(self, source, code, corner):
        if source.name in self.kernel.spacing:
            return self.kernel.spacing[source.name]
        if source.name in self.fields:
            value = self.field(source.name, code, source.axis, corner)
        else:
            value = self.parameters[source.name]
        return value[(..., *source.index, *(slice(None),) * self.dim)] if source.index else value
