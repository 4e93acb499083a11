"""The form compiler: a density or weak form in, straight-line code for its element integrals out.

Stages:
    1. `_Symbols`   call the user's function with typed symbols; fields become functions of the coordinates, so that SymPy's
                    own derivative rules give gradients, products and all.
    2. `_variation` derive the fluxes dw/dm_i and dw/d(d_a m_i) (Abert et al. 2024, Eqs. 7-9); a weak form has them already.
    3. `_split`     sort the additive terms by the rule that integrates them exactly: terms at most quadratic in the node
                    fields go to the modes of the element, where their matrix is diagonal; terms of higher degree get the
                    fewest Gauss points per axis that are exact; other terms the stated number.
    4. `_on_modes`, `_on_points`   write the element integrals per unit of cell volume as expressions.
    5. `emit`       print them with common subexpressions shared.

To order 4 and 6 in space nothing is integrated over elements: `_products` takes each additive term at the midpoints between nodes along
the axes in which it has a derivative, and at the nodes along the others.
"""

import functools
import inspect
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.utilities.lambdify import lambdify

from torchmag.errors import FormError
from torchmag.forms import element
from torchmag.forms.symbols import COORDINATES, Kind

FUNCTIONS = (
    "sqrt", "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh",
    "Abs", "sign", "Max", "Min", "Heaviside",
)  # fmt: skip
SPACING = sp.symbols("hx hy hz", positive=True)
# Of a `Block.linear`: as many numbers as a general interaction of three components with their derivatives along three axes.
MOST_COEFFICIENTS = 27
RESERVED = frozenset((*FUNCTIONS, *(symbol.name for symbol in (*SPACING, *COORDINATES))))


@dataclass(frozen=True)
class Source:
    """Where the value of a symbol comes from: the spacing of an axis, a component of a parameter, or a component of a node
    field: one of its modes, or (`mode` None) its value or derivative (`axis`) at a Gauss point."""

    name: str
    index: tuple[int, ...] = ()
    mode: element.Mode | None = None
    axis: int | None = None


@dataclass(frozen=True, eq=False)
class Block:
    """Some expressions and the sources of their symbols.

    `variation`, which is to be multiplied by the magnetic fraction of each cell, maps (field, component, slot) to dE/d(slot): on modes
    a slot is a mode, on points it is None (the value) or the axis of a derivative.  `counts` holds the Gauss points per axis, None for a block on modes.

    `vectors` maps (field, mode) to (coefficient, (node field, mode)) where dE/d(slot) is one coefficient times a mode of a node
    field, component by component: exchange, say.  These are not in `variation`.
    """

    energy: sp.Expr
    variation: Mapping[tuple, sp.Expr]
    sources: Mapping[sp.Symbol, Source]
    counts: tuple[int, ...] | None
    vectors: Mapping[tuple, tuple[sp.Expr, tuple]] = field(default_factory=dict)

    def stencils(self) -> dict[tuple, dict[element.Mode, sp.Expr]]:
        """`vectors` at the nodes, where coefficients are uniform: {(field, node field): {axes of second differences: coefficient}}.

        Empty where a mode depends on another one, or there is no axis.
        """
        found = {}
        for (name, mode), (coefficient, (origin, of)) in self.vectors.items():
            if mode != of or not mode:
                return {}
            sums = found.setdefault((name, origin), {})
            for key, factor in element.nodal(mode).items():
                sums[key] = sums.get(key, 0) + factor * coefficient
        return {pair: _nonzero({key: sp.expand(e) for key, e in sums.items()}) for pair, sums in found.items()}

    def linear(self) -> dict[sp.Expr, dict[tuple, sp.Expr]] | None:
        """The variation of the only node field on modes as a matrix, {coefficient: {(component, mode, of component, of mode): factor}}.

        Coefficients hold parameters only, factors the spacing only.  None if the variation is not linear in that field, or there are
        too many coefficients.
        """
        if self.counts is not None:
            return None
        fields = {s: source for s, source in self.sources.items() if source.mode is not None}
        slots = {slot: sp.expand(e) for slot, e in self.variation.items()}
        symbol_of = {source: s for s, source in fields.items()}
        for (name, mode), (coefficient, (origin, of)) in self.vectors.items():
            for component in range(3):
                slots[name, component, mode] = sp.expand(coefficient * symbol_of[Source(origin, (component,), mode=of)])
        found = {}
        for (name, component, mode), expression in slots.items():
            for term in sp.Add.make_args(expression):
                rest, origin = term.as_independent(*fields, as_Add=False)
                if origin not in fields or fields[origin].name != name:
                    return None
                coefficient, factor = rest.as_independent(*SPACING, as_Add=False)
                number, coefficient = coefficient.as_coeff_Mul()
                key = component, mode, *fields[origin].index, fields[origin].mode
                entries = found.setdefault(coefficient, {})
                entries[key] = entries.get(key, 0) + number * factor
        return found if len({name for name, *_ in slots}) == 1 and len(found) <= MOST_COEFFICIENTS else None


@dataclass(frozen=True, eq=False)
class Product:
    """Terms `prefactor` times `energy` that are evaluated on one staggered grid.

    `midpoints` tells for each axis whether the grid has the midpoints there (else the nodes).  The prefactor holds parameters only.
    `variation` maps (field, component, axis of a derivative or None) to the derivative of `energy`; `vectors` maps (field, axis) to
    (coefficient, (node field, axis)) where that is one coefficient times a node field or its derivative, component by component, and
    is then not in `variation`.  Of a `linear` variation of the only field each coefficient is given, by (component, axis, component of
    the origin, axis of the origin), free of node fields.
    """

    midpoints: tuple[bool, ...]
    prefactor: sp.Expr
    energy: sp.Expr
    variation: Mapping[tuple, sp.Expr]
    vectors: Mapping[tuple, tuple[sp.Expr, tuple]]
    sources: Mapping[sp.Symbol, Source]
    linear: Mapping[tuple, sp.Expr] | None


def emit(
    sources: Mapping[sp.Symbol, Source], expressions: list[sp.Expr], functions: Mapping[str, Callable]
) -> tuple[Callable, list[Source]]:
    """A function that returns the list of the expressions' values, and the sources of its arguments."""
    used = set().union(*(e.free_symbols for e in expressions))
    arguments = [s for s in sources if s in used]
    expressions = [_printable(e) for e in expressions]
    compiled = lambdify(arguments, expressions, modules=[dict(functions)], cse=True)
    return compiled, [sources[s] for s in arguments]


@dataclass(frozen=True, eq=False)
class Form:
    """A compiled form on an element with the given axes.

    Attributes:
        name: of the function it came from.
        fields: names of the varied node fields, in order.
        parameters: name -> Kind of every parameter.
        blocks: what to evaluate, one per integration rule; to order 4 and 6 `Product`s.
        has_energy: False for a weak form.
        order: in space.
    """

    name: str
    axes: tuple[int, ...]
    fields: tuple[str, ...]
    parameters: Mapping[str, Kind]
    blocks: tuple[Block, ...] | tuple[Product, ...]
    has_energy: bool
    order: int
    recipe: tuple = field(repr=False)

    def __reduce__(self):
        # SymPy's compiled functions do not pickle; the recipe does.
        return _compile, self.recipe


def signature(function: Callable, fields: int) -> tuple[tuple[str, ...], dict[str, Kind], frozenset[str]]:
    """Names of the leading node fields, kinds of the parameters, and which of those may be left out (default 0)."""
    arguments = list(inspect.signature(function).parameters.values())
    if len(arguments) < fields:
        raise FormError(f"{function.__name__}: expected {fields} leading node fields, got {len(arguments)} arguments")
    kinds, optional = {}, set()
    for argument in arguments[fields:]:
        kind = _annotation(function, argument)
        if not isinstance(kind, Kind):
            raise FormError(
                f"{function.__name__}: parameter {argument.name!r} is annotated with {argument.annotation!r}, "
                f"expected a kind such as torchmag.forms.Scalar or torchmag.forms.Vector"
            )
        kinds[argument.name] = kind
        if argument.default is not inspect.Parameter.empty:
            if argument.default != 0:
                raise FormError(f"{function.__name__}: default of {argument.name!r} is {argument.default!r}, only 0 is allowed")
            optional.add(argument.name)
    return tuple(a.name for a in arguments[:fields]), kinds, frozenset(optional)


def compile_form(
    function: Callable,
    axes: tuple[int, ...],
    fields: int = 1,
    *,
    weak: bool = False,
    normal: int | None = None,
    absent: frozenset[str] = frozenset(),
    quadrature: int | None = None,
    order: int = 2,
) -> Form:
    """Compile a density w(m, parameters) or a weak form W(m, v, parameters) for an element with the given axes.

    Args:
        function: of `fields` magnetisations (several for a surface term on several planes), for a weak form the test
            functions to as many, and parameters annotated with their Kind.  Every result is scaled by the symbol `fraction`.
        axes: the axes along which node fields vary.
        weak: the function is linear in its test functions and stands for the variation itself.
        normal: the axis along which no derivative exists, for a form on a plane.
        absent: parameters left at 0, whose terms are not compiled.
        quadrature: Gauss points per axis for terms that are not polynomial in the node fields, to order 2.
        order: in space, 2, 4 or 6.

    Raises:
        FormError: names the symbol at fault.
    """
    return _compile(function, tuple(axes), fields, weak, normal, absent, quadrature, order)


@functools.cache
def _compile(function, axes, fields, weak, normal, absent, quadrature, order):
    if quadrature is not None and (not isinstance(quadrature, int) or quadrature < 1):
        raise FormError(
            f"{function.__name__}: quadrature = {quadrature!r}, expected a number of Gauss points per axis, at least 1"
        )
    names, kinds, _ = signature(function, fields * (1 + weak))
    symbols = _Symbols(function.__name__, names, kinds, axes, normal, absent)
    density = symbols.apply(function)
    varied = names[fields:] if weak else names
    fluxes = _variation(symbols, density, varied, linear=weak)
    blocks = []
    if order > 2:
        blocks = _products(symbols, density, fluxes, weak)
    else:
        for counts, part in _split(symbols, density, quadrature).items():
            part_fluxes = fluxes(part)
            build = _on_modes if counts is None else _on_points
            blocks.append(build(symbols, sp.Integer(0) if weak else part, part_fluxes, counts))
    recipe = (function, axes, fields, weak, normal, absent, quadrature, order)
    kept = {name: kind for name, kind in kinds.items() if name not in absent}
    return Form(function.__name__, axes, names[:fields], kept, tuple(blocks), not weak, order, recipe)


class _Symbols:
    """The symbols of one form, and the user's function applied to them (stage 1)."""

    def __init__(self, name, fields, kinds, axes, normal, absent):
        if "fraction" in kinds:
            raise FormError(f"{name}: 'fraction' is the magnet's and scales every density; name the parameter otherwise")
        self.name, self.axes, self.fields = name, axes, fields
        self.sources = {s: Source(s.name, axis=a) for a, s in enumerate(SPACING)}
        self.points = {}  # node field value or derivative -> Source
        self._values, self._replace = {}, {}
        self._coordinates = [COORDINATES[a] for a in axes]
        if normal is not None:
            self._coordinates.append(COORDINATES[normal])
        nodal = {f: Kind((3,), nodal=True) for f in fields} | {n: k for n, k in kinds.items() if k.nodal}
        self.nodal = tuple(nodal)
        self.values = dict.fromkeys([*fields, *kinds])
        for argument, kind in ({f: nodal[f] for f in fields} | kinds).items():
            if argument in absent:
                make = lambda index, argument=argument: sp.Integer(0)
            else:
                make = functools.partial(self._node_field if kind.nodal else self._parameter, argument)
            self.values[argument] = _array(kind.shape, make)
        self.fraction = self._parameter("fraction", ())

    def apply(self, function):
        """The user's expression, with values and derivatives of node fields replaced by symbols."""
        try:
            expression = sp.sympify(function(*self.values.values()))
        except FormError:
            raise
        except Exception as error:
            raise FormError(f"{self.name}: {type(error).__name__} while evaluating the form on symbols: {error}") from error
        if not isinstance(expression, sp.Expr) or isinstance(expression, sp.MatrixBase):
            raise FormError(f"{self.name}: the form returns a {type(expression).__name__}, expected a scalar expression")
        expression = expression.doit()
        for derivative in expression.atoms(sp.Derivative):
            if derivative not in self._replace:
                raise FormError(f"{self.name}: {derivative} is not available: only first derivatives within the body or plane")
        expression = expression.xreplace(self._replace)
        self._check(expression)
        return expression

    def _check(self, expression):
        known = {*self.sources, *self.points} - set(SPACING) - {self.fraction}
        for symbol in sorted(expression.free_symbols - known, key=str):
            hint = ""
            if symbol in COORDINATES:
                hint = ": pass functions of position as NodalScalar or NodalVector"
            raise FormError(f"{self.name}: unknown symbol {symbol}{hint}")
        self.check_functions(expression, "")
        if expression.has(sp.zoo, sp.nan, sp.oo, sp.I):
            raise FormError(f"{self.name}: the form holds a value that is not a finite real number: {expression}")

    def check_functions(self, expression, where):
        """Raise a FormError that names a function without a tensor counterpart."""
        for applied in sorted(expression.atoms(AppliedUndef, sp.Function, sp.Piecewise, sp.Derivative), key=str):
            if type(applied).__name__ not in FUNCTIONS:
                raise FormError(
                    f"{self.name}: function {type(applied).__name__} in {where}{applied} is not supported; known: {FUNCTIONS}"
                )

    def _parameter(self, name, index):
        return self._add(Source(name, index), self.sources)

    def _node_field(self, name, index):
        function = sp.Function(_label(Source(name, index)), real=True)(*self._coordinates)
        # Derivatives first: xreplace would otherwise rewrite the function inside them.
        for position, axis in enumerate(self.axes):
            self._replace[sp.Derivative(function, COORDINATES[axis])] = self._add(Source(name, index, axis=position), self.points)
        self._replace[function] = self._add(Source(name, index), self.points)
        return function

    def mode(self, source, mode):
        """The symbol of one mode of a node field's component."""
        return self._add(Source(source.name, source.index, mode=mode), self.sources)

    def _add(self, source, table):
        symbol = sp.Symbol(_label(source), real=True)
        known = (self.sources.get(symbol, source), self.points.get(symbol, source))
        if known != (source, source) or symbol.name in RESERVED:
            raise FormError(f"{self.name}: the name {source.name!r} gives the symbol {symbol}, which is taken; choose another")
        table[symbol] = source
        return symbol


def _variation(symbols, density, varied, linear):
    """Stage 2: a function that gives the fluxes {(field, component, axis or None): expression} of a part of the density."""
    slots = {s: source for s, source in symbols.points.items() if source.name in varied}
    magnetisation = dict(zip(varied, symbols.fields))

    def fluxes(part):
        derived = {(magnetisation[source.name], source.index[0], source.axis): sp.diff(part, s) for s, source in slots.items()}
        for flux in derived.values():
            symbols.check_functions(flux, "the derivative ")
        return {slot: flux for slot, flux in derived.items() if flux != 0}

    if linear:
        rest = density - sum(sp.diff(density, s) * s for s in slots)
        remaining = set().union(*(sp.expand(f).free_symbols for f in fluxes(density).values())) & set(slots)
        if sp.expand(rest) != 0 or remaining:
            raise FormError(f"{symbols.name}: the weak form is not linear in its test function {', '.join(varied)}")
    return fluxes


def _split(symbols, density, quadrature):
    """Stage 3: {Gauss points per axis, or None for modes: sum of the terms that this rule integrates exactly}."""
    points = list(symbols.points)
    # Degrees do not depend on the parameters: integers in their place keep SymPy's polynomials small.
    sample = {s: sp.prime(100 + 7 * i) for i, s in enumerate(symbols.sources)}
    parts = {}
    for term in sp.Add.make_args(sp.sympify(density)):
        used = [s for s in points if s in term.free_symbols]
        shape = term.xreplace(sample)
        if not used:
            counts = None
        elif shape.is_polynomial(*used):
            monomials = sp.Poly(shape, *used).monoms()
            counts = None
            if max(map(sum, monomials)) > 2:
                varying = [[symbols.points[s].axis != a for s in used] for a in range(len(symbols.axes))]
                degrees = [max(sum(itertools.compress(m, keep)) for m in monomials) for keep in varying]
                counts = tuple(degree // 2 + 1 for degree in degrees)
        elif quadrature is None:
            raise FormError(
                f"{symbols.name}: the term {term} is not polynomial in {', '.join(map(str, used))}: "
                f"state the Gauss points per axis in the class attribute `quadrature`"
            )
        else:
            counts = (quadrature,) * len(symbols.axes)
        parts[counts] = parts.get(counts, 0) + term
    return parts


def _on_modes(symbols, part, fluxes, _):
    """Stage 4a: exact mean over the cell of an at most quadratic density, and of its fluxes times shape functions.

    Fluxes are affine in the node fields, so their mode s is the same expression with every node field replaced by its own
    mode s; modes are orthogonal with norm 1/12 per differing axis, so nothing else contributes.
    """
    dim = len(symbols.axes)
    zero = dict.fromkeys(symbols.points, sp.Integer(0))

    def amplitude(expression, mode):
        found = expression.xreplace({s: _amplitude(symbols, source, mode) for s, source in symbols.points.items()})
        return found - expression.xreplace(zero) if any(mode) else found

    mirrored = part.xreplace({s: -s for s in symbols.points})
    even = part if sp.expand(part - mirrored) == 0 else (part + mirrored) / 2
    means = (amplitude(even if any(s) else part, s) * element.mean_product(s, s) for s in element.modes(dim))
    energy = sp.factor_terms(symbols.fraction * sum(means))
    variation = {}
    for (name, component, axis), flux in fluxes.items():
        for mode in element.modes(dim):
            on = mode if axis is None else element.derivative(mode, axis)
            if on is None:
                continue
            value = element.mean_product(on, on) * amplitude(flux, on)
            if axis is not None:
                value = value / SPACING[symbols.axes[axis]]
            slot = (name, component, mode)
            variation[slot] = variation.get(slot, 0) + value
    variation = _nonzero(variation)
    vectors = _vectors({s: source for s, source in symbols.sources.items() if source.mode is not None}, variation)
    planes = {slot: value for slot, value in variation.items() if (slot[0], slot[2]) not in vectors}
    return Block(energy, planes, dict(symbols.sources), None, vectors)


def _vectors(fields, variation):
    """See `Block.vectors` and `Product.vectors`; `fields` are the sources of the symbols of node fields."""
    symbol_of, found = {source: s for s, source in fields.items()}, {}
    for name, place in dict.fromkeys((slot[0], slot[2]) for slot in variation):
        planes = [variation.get((name, component, place), sp.Integer(0)) for component in range(3)]
        for first in (fields[s] for s in planes[0].free_symbols & fields.keys()):
            likewise = [symbol_of.get(replace(first, index=(component,))) for component in range(3)]
            if None in likewise or first.index != (0,):
                continue
            coefficient = sp.factor_terms(sp.diff(planes[0], likewise[0]))
            rest = (plane - coefficient * s for plane, s in zip(planes, likewise))
            if not coefficient.free_symbols & fields.keys() and all(sp.expand(r) == 0 for r in rest):
                found[name, place] = coefficient, (first.name, first.axis if first.mode is None else first.mode)
    return found


def _on_points(symbols, part, fluxes, counts):
    """Stage 4b: density and fluxes at a Gauss point."""
    return Block(symbols.fraction * part, fluxes, symbols.sources | symbols.points, counts)


def _products(symbols, density, fluxes, weak):
    """Stages 3 and 4 to order 4 and 6: the terms by the axes along which they have a derivative, and by their prefactor."""
    parts = {}
    for term in _terms(symbols, sp.sympify(density)):
        midpoints = tuple(axis in _differentiated(symbols, term) for axis in range(len(symbols.axes)))
        prefactor, rest = term.as_independent(*symbols.points, as_Add=False)
        number, prefactor = prefactor.as_coeff_Mul()
        key = midpoints, prefactor
        parts[key] = parts.get(key, 0) + number * rest
    blocks = []
    for (midpoints, prefactor), part in parts.items():
        variation = _nonzero(fluxes(part))
        vectors = _vectors(symbols.points, variation)
        rest = {slot: value for slot, value in variation.items() if (slot[0], slot[2]) not in vectors}
        energy = sp.Integer(0) if weak else part
        sources = symbols.sources | symbols.points
        blocks.append(Product(midpoints, prefactor, energy, rest, vectors, sources, _linear(symbols, midpoints, variation)))
    return blocks


def _linear(symbols, midpoints, variation):
    """See `Product.linear`; None if it is not, or not along one axis."""
    if len(symbols.fields) > 1 or sum(midpoints) != 1:
        return None
    found = {}
    for (_, component, axis), flux in variation.items():
        rest = flux
        for s in sorted(flux.free_symbols & symbols.points.keys(), key=str):
            coefficient, source = sp.diff(flux, s), symbols.points[s]
            if source.name != symbols.fields[0] or coefficient.free_symbols & symbols.points.keys():
                return None
            rest = rest - coefficient * s
            found[component, axis, source.index[0], source.axis] = sp.factor_terms(coefficient)
        if sp.expand(rest) != 0:
            return None
    return found


def _differentiated(symbols, expression):
    """The axes along which an expression has derivatives of node fields."""
    return {symbols.points[s].axis for s in expression.free_symbols & symbols.points.keys()} - {None}


def _terms(symbols, expression):
    """The additive terms, products multiplied out where their terms differ in the axes of their derivatives."""
    if expression.is_Add:
        return [term for part in expression.args for term in _terms(symbols, part)]
    mixed = lambda e: e.is_Add and len({frozenset(_differentiated(symbols, part)) for part in e.args}) > 1
    if expression.is_Pow and expression.exp.is_Integer and expression.exp > 1 and mixed(expression.base):
        return _terms(symbols, sp.expand_multinomial(expression))
    if expression.is_Mul:
        for factor in expression.args:
            parts = factor.args if mixed(factor) else _terms(symbols, factor) if factor.is_Pow else [factor]
            if len(parts) > 1:
                others = sp.Mul(*(other for other in expression.args if other is not factor))
                return [term for part in parts for term in _terms(symbols, others * part)]
    return [expression]


def _amplitude(symbols, source, mode):
    """The coefficient of prod xi^mode in a node field or in its derivative."""
    if source.axis is None:
        return symbols.mode(source, mode)
    if mode[source.axis]:
        return sp.Integer(0)
    raised = (*mode[: source.axis], 1, *mode[source.axis + 1 :])
    return symbols.mode(source, raised) / SPACING[symbols.axes[source.axis]]


def _nonzero(expressions):
    return {slot: sp.factor_terms(e) for slot, e in expressions.items() if e != 0}


def _printable(expression):
    """Constants such as sqrt(2) as numbers, which torch's functions do not take; sign under a name that is not printed inline."""
    constants = {e: e.evalf(17) for e in expression.atoms(sp.Function, sp.Pow) if e.is_number and not e.is_Rational}
    return expression.xreplace(constants).replace(sp.sign, sp.Function("signum"))


def _label(source):
    """A readable symbol: u_x component, u_x_dy derivative, u_x_Dxy mode of differences along x and y."""
    letters = "xyz"
    if len(source.index) == 1:
        parts = [source.name, letters[source.index[0]] if source.index[0] < 3 else str(source.index[0])]
    else:
        parts = [source.name, *map(str, source.index)]
    if source.axis is not None:
        parts.append(f"d{letters[source.axis]}")
    if source.mode is not None:
        parts.append("D" + "".join(letter for letter, on in zip(letters, source.mode) if on) if any(source.mode) else "mean")
    return "_".join(parts)


def _array(shape, make):
    """Symbols in the shape of a kind: a scalar, a column vector, or a nested array."""
    if not shape:
        return make(())
    if len(shape) == 1 and shape[0] == 3:
        return sp.ImmutableMatrix([make((i,)) for i in range(3)])
    entries = [make(index) for index in itertools.product(*map(range, shape))]
    return sp.ImmutableDenseNDimArray(entries, shape)


def _annotation(function, argument):
    """The annotation of an argument; a string (postponed evaluation) is looked up by its dotted name, never evaluated.

    `Tensor(3, 3)` is such a name too: the integers are passed on.
    """
    if not isinstance(argument.annotation, str):
        return argument.annotation
    name = re.fullmatch(r"([\w.]+)(\([\d, ]+\))?", argument.annotation)
    if not name:
        return None
    first, *rest = name[1].split(".")
    found = function.__globals__.get(first)
    for attribute in rest:
        found = getattr(found, attribute, None)
    return found(*map(int, re.findall(r"\d+", name[2]))) if name[2] and callable(found) else found
