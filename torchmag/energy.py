"""Energy terms: the interface, terms made from a density or weak form, and their sum."""

import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from torchmag import layout
from torchmag.compiled import Compiled
from torchmag.errors import FormError
from torchmag.forms import Scalar, compile_form
from torchmag.forms.compiler import signature
from torchmag.magnet import Magnet
from torchmag.parameters import Role, Values
from torchmag.staggered import make_kernel, vary_together
from torchmag.term import Term, match_batch


class Energy(Compiled, Term):
    """An energy of the magnetisation on one Magnet.

    A subclass gives `_density_map(m, values)` in J/m^3 per cell and `_variation(m, values)`, dE/dm at the nodes divided by the
    cell volume, J/m^3; `values` holds its own parameters and, under "magnet", those of the body.  Field, gradient and
    energy follow.

    Shape: m (*batch, 3, *nodes), any vector field; t in s.
    """

    # Whether the field is that of an energy: False for a weak form.
    has_energy = True

    def forward(self, m: Tensor, t=0.0) -> Tensor:
        return self.field(m, t)

    def energy(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """Total energy, J: (*batch)."""
        return self._energy(m, self.complete(m, t, values))

    def density_map(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """Mean energy density of each cell, J/m^3: (*batch, *cells)."""
        values = self.complete(m, t, values)
        return self._full_map(m, values)

    def gradient(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """dE/dm at the nodes, J: (*batch, 3, *nodes)."""
        return match_batch(m, self._variation(m, self.complete(m, t, values)) * self.mesh.cell_volume)

    def field(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """Effective field -dE/dm / (mu_0 lumped Ms), A/m: (*batch, 3, *nodes); zero at nodes without magnetic cells."""
        return match_batch(m, self._field(m, self.complete(m, t, values)))

    def _energy(self, m, values):
        return layout.total(self._full_map(m, values), self.mesh) * self.mesh.cell_volume

    def _full_map(self, m, values):
        density = self._density_map(m, values)
        return density.expand(torch.broadcast_shapes(density.shape, self.mesh.cells))

    def _field(self, m, values):
        inverse_mass = values["magnet"]["inverse_mass"].unsqueeze(layout.component_dim(self.mesh))
        return -self._variation(m, values) * inverse_mass

    def _density_map(self, m: Tensor, values: Values) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no energy, only a field: it was given as a weak form")

    def _variation(self, m: Tensor, values: Values) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no _variation(m, values)")

    def __add__(self, other: "Energy") -> "Sum":
        if not isinstance(other, Energy):
            return NotImplemented
        return Sum(self, other)

    def __radd__(self, other):
        # sum(terms) starts from 0.
        return self if _is_zero(other) else NotImplemented


class LocalEnergy(Energy):
    """A term from a density per volume, stated once as a static method of SymPy symbols.

    Subclass it with `density(m, parameters)` in J/m^3, or with `weak(m, v, parameters)`, the variation dE[v] linear in v, when
    no energy exists.  Parameters carry a kind from torchmag.forms as annotation (`Ms` is the magnet's); one with default
    0 that is left at the number 0 is not compiled in, and has no value to train or override.  A density that is not
    polynomial in m states its Gauss points per axis as `quadrature`, for magnets of order 2.

    Args:
        magnet: the body.
        parameters: in the order of the density or by keyword.

    Raises:
        TypeError: missing or unknown parameter.
        FormError: a density that cannot be compiled.

    Example::

        class EasyPlane(tm.LocalEnergy):
            @staticmethod
            def density(m, Kp: tm.forms.Scalar, n: tm.forms.Direction):
                return Kp * tm.forms.dot(m, n) ** 2
    """

    quadrature: int | None = None
    bounds: Mapping[str, tuple[float, float]] = {}

    def __init__(self, magnet: Magnet, *args, **kwargs):
        super().__init__(magnet)
        self._compile(args, kwargs, tuple(range(self.mesh.dim)))

    def _compile(self, args, kwargs, axes: tuple[int, ...], *, fields: int = 1, normal: int | None = None):
        """Register the parameters and compile the form on an element with these axes."""
        function, weak = self._form()
        _, kinds, optional = signature(function, fields * (1 + weak))
        if kinds.get("Ms", Scalar) != Scalar or "Ms" in optional:
            raise FormError(f"{function.__name__}: 'Ms' is the magnet's; annotate it as Scalar, without a default")
        given = self._bind([name for name in kinds if name != "Ms"], optional, args, kwargs)
        for name in given:
            if hasattr(self, name) or name == "kernel":
                raise FormError(f"{function.__name__}: the parameter name {name!r} is taken by the term itself; choose another")
        absent = frozenset(name for name in optional if _is_zero(given[name]))
        rule = {"quadrature": self.quadrature, "order": self.magnet.order}
        form = compile_form(function, axes, fields, weak=weak, normal=normal, absent=absent, **rule)
        for name, value in given.items():
            if name in absent:
                self.__dict__[name] = 0
                continue
            lower, upper = self.bounds.get(name, (-float("inf"), float("inf")))
            grid = self.mesh.nodes if kinds[name].nodal else self.mesh.cells
            if normal is not None:
                grid = (*grid[:normal], 1, *grid[normal + 1 :])
            self._register(name, value, Role(kinds[name], grid, lower, upper))
        self._absent = absent
        nodes = [self.mesh.nodes[axis] for axis in axes]
        periodic = [self.mesh.periodic(axis) for axis in axes]
        self.kernel = make_kernel(form, self.mesh.dx, nodes, periodic, self.reference)

    def __setattr__(self, name, value):
        if name in self.__dict__.get("_absent", ()):
            raise TypeError(f"{type(self).__name__}: {name} was left at 0 and is not compiled in; give it to the constructor")
        super().__setattr__(name, value)

    def source(self) -> str:
        """The generated tensor code of the density and of its variation (cf. Abert et al. 2024, Listing 2)."""
        return self.kernel.source()

    @property
    def has_energy(self) -> bool:
        return self.kernel.form.has_energy

    def _density_map(self, m, values):
        if not self.has_energy:
            return super()._density_map(m, values)
        return self.kernel.density({self.kernel.form.fields[0]: m}, self._arguments(values), self.magnet.links(values["magnet"]))

    def _variation(self, m, values):
        name = self.kernel.form.fields[0]
        return self.kernel.variation({name: m}, self._arguments(values), self.magnet.links(values["magnet"]))[name]

    @property
    def _joins(self) -> bool:
        """Whether a Sum may evaluate the form of this term together with others: it is on the whole body, and no subclass or user says
        how its variation is made."""
        own = type(self)._variation is LocalEnergy._variation and type(self)._arguments is LocalEnergy._arguments
        return own and "_variation" not in self.__dict__

    def _arguments(self, values):
        body = values["magnet"]
        return values | {"Ms": body["Ms"], "fraction": body["fraction"]}

    @classmethod
    def _form(cls) -> tuple[Callable, bool]:
        found = [(name, getattr(cls, name, None)) for name in ("density", "weak")]
        found = [(function, name == "weak") for name, function in found if function is not None]
        if len(found) != 1:
            raise TypeError(f"{cls.__name__} must define either density(m, ...) or weak(m, v, ...) as a static method")
        return found[0]

    def _bind(self, names, optional, args, kwargs):
        title = type(self).__name__
        if len(args) > len(names):
            raise TypeError(f"{title} takes {len(names)} parameters after the magnet ({', '.join(names)}), got {len(args)}")
        given = dict(zip(names, args))
        for name, value in kwargs.items():
            if name not in names:
                raise TypeError(f"{title} has no parameter {name!r}; its parameters are {', '.join(names)}")
            if name in given:
                raise TypeError(f"{title}: {name!r} is given twice")
            given[name] = value
        missing = [name for name in names if name not in given and name not in optional]
        if missing:
            raise TypeError(f"{title}: missing {', '.join(missing)}; its parameters are {', '.join(names)}")
        return {name: given.get(name, 0) for name in names}


class Sum(Energy):
    """Several terms on one Magnet, added; the terms are its children, the body is registered once.

    The field of all is more than the fields of each added up: terms from a density on the body take m apart once, together.

    Children are named by their class in snake_case (a second Zeeman is `zeeman_2`), or by keyword:
    `tm.Sum(film=exchange_1, cap=exchange_2)`.  `a + b` makes a Sum; Sums in it are flattened.

    Raises:
        TypeError: something that is no Energy.
        ValueError: terms on different Magnets, the same term twice, a name that is taken.
    """

    def __init__(self, *terms: Energy, **named: Energy):
        every = list(terms) + list(named.values())
        for term in every:
            if not isinstance(term, Energy):
                raise TypeError(f"Sum: got a {type(term).__name__}, expected energy terms")
        if not every:
            raise ValueError("Sum: no terms given")
        magnet = every[0].magnet
        super().__init__(magnet)
        del self.__dict__["magnet"]
        self.add_module("magnet", magnet)
        self.terms: dict[str, str] = {}
        for term in terms:
            for name, child in term.named_terms() if isinstance(term, Sum) else ((snake_case(type(term).__name__), term),):
                self._add(self._free_name(name), child)
        for name, term in named.items():
            if isinstance(term, Sum):
                raise TypeError(f"Sum: {name} is a Sum; add it with + or give its terms one by one")
            self._add(name, term)

    def __setattr__(self, name, value):
        if name in self.__dict__.get("terms", ()):
            if not isinstance(value, Energy) or isinstance(value, Sum):
                raise TypeError(f"Sum: {name} = {type(value).__name__}, expected an energy term; build a new Sum to remove one")
            if value.magnet is not self.magnet:
                raise ValueError(self._elsewhere(name, value))
        super().__setattr__(name, value)

    def _refuse(self, name):
        raise TypeError(
            f"Sum has no term {name!r} to replace; its terms are {', '.join(self.terms)}: add one with + or as Sum({name}=...)"
        )

    def named_terms(self):
        """(name, term) of every child."""
        return tuple((name, getattr(self, name)) for name in self.terms)

    def _add(self, name, term):
        if term.magnet is not self.magnet:
            raise ValueError(self._elsewhere(name, term))
        if any(term is other for _, other in self.named_terms()):
            raise ValueError(f"Sum: {name} is given twice; the same term cannot be added to itself")
        if not name.isidentifier():
            raise ValueError(f"Sum: the name {name!r} is no Python identifier; choose another")
        if hasattr(self, name):
            raise ValueError(f"Sum: the name {name!r} is taken; choose another by keyword")
        self.add_module(name, term)
        self.terms[name] = name

    def _elsewhere(self, name, term):
        orders = (term.magnet.order, self.magnet.order)
        what = "" if orders[0] == orders[1] else f", of order {orders[0]} where this Sum's is of order {orders[1]}"
        return f"Sum: {name} belongs to another Magnet object{what}; build all terms on one Magnet"

    def _free_name(self, name):
        stem = re.sub(r"_\d+$", "", name) if name in self.terms else name
        number = 2
        while name in self.terms:
            name = f"{stem}_{number}"
            number += 1
        return name

    def _density_map(self, m, values):
        return sum(term._density_map(m, values[name]) for name, term in self.named_terms())

    def _energy(self, m, values):
        return sum(term._energy(m, values[name]) for name, term in self.named_terms())

    def _variation(self, m, values):
        joined = [name for name, term in self.named_terms() if isinstance(term, LocalEnergy) and term._joins]
        if len(joined) < 2:
            joined = []
        found = [term._variation(m, values[name]) for name, term in self.named_terms() if name not in joined]
        if joined:
            terms = [(term.kernel, term._arguments(values[name])) for name, term in self.named_terms() if name in joined]
            found.append(vary_together(terms, m, self.magnet.links(values["magnet"])))
        return sum(found[1:], start=found[0])

    def fields(self, m: Tensor, t=0.0, values: Values | None = None) -> dict[str, Tensor]:
        """The field of each term by name, A/m."""
        values = self.complete(m, t, values)
        return {name: match_batch(m, term._field(m, values[name])) for name, term in self.named_terms()}

    def energies(self, m: Tensor, t=0.0, values: Values | None = None) -> dict[str, Tensor]:
        """The energy of each term by name, J: (*batch)."""
        values = self.complete(m, t, values)
        return {name: term._energy(m, values[name]) for name, term in self.named_terms()}

    def at(self, values, t, m, cache):
        body = self.magnet.at(values["magnet"], t, m, cache)
        found = {"magnet": body}
        for name, term in self.named_terms():
            found[name] = term._at_own(values[name], t, m, cache) | {"magnet": body}
        return found

    def _resolved(self, values, prefix):
        yield from self.magnet._resolved(values["magnet"], f"{prefix}magnet.")
        for name, term in self.named_terms():
            yield from term._resolved_own(values[name], f"{prefix}{name}.")

    def _parametrics(self):
        return [self.magnet, *(term for _, term in self.named_terms())]

    def _prepare_own(self, overrides, prefix, cache):
        return {name: term._prepare_own(overrides, f"{prefix}{name}.", cache) for name, term in self.named_terms()}

    def _names(self, prefix):
        own = [f"{prefix}{name}.{role}" for name, term in self.named_terms() for role in term._roles]
        return own + self.magnet._names(f"{prefix}magnet.")


def snake_case(name: str) -> str:
    """UniaxialAnisotropy -> uniaxial_anisotropy, BulkDMI -> bulk_dmi."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _is_zero(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0
