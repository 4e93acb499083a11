"""The body: where it is, how much moment each cell holds."""

import math

import numpy as np
import torch
from torch import Tensor

from torchmag.alias import alias_kernel
from torchmag.allocator import keep_memory
from torchmag.constants import mu_0
from torchmag.convolution import convolved
from torchmag.device import instant
from torchmag.forms import Scalar, Vector
from torchmag.layout import expand_to_cells, is_uniform, periodic_axes, to_nodes
from torchmag.mesh import Mesh
from torchmag.midpoints import MOMENT, Links, Midpoints, as_order, links
from torchmag.parameters import Parametric, Role, Values
from torchmag.sealed import Sealed


class Magnet(Sealed, Parametric):
    """A ferromagnetic body on a mesh.

    Args:
        mesh: the grid.
        Ms: saturation magnetisation, A/m; number or cells (*batch, *cells), >= 0.
        fraction: magnetic volume fraction of each cell, in [0, 1], or a mask (bool); multiplies Ms and every local energy density.
            Default: 1 where Ms > 0 and 0 elsewhere.
        order: of accuracy in space, of every term on this body: 6 or 4 (values at the nodes, derivatives at the midpoints between
            them; see docs/theory.md), or 2 (multilinear elements, Abert et al. 2024).
        dtype, device: of the buffers made here and of every term on this body; torch's defaults, or those of a tensor Ms.

    Raises:
        ValueError: negative or non-finite Ms, fraction outside [0, 1], a shape that does not fit the cells, a body that is
            vacuum everywhere.
    """

    # Whether a ResolutionWarning was given.
    _told_coarse = False

    def __init__(self, mesh: Mesh, Ms, fraction=None, *, order: int = 6, dtype: torch.dtype | None = None, device=None):
        super().__init__()
        if not isinstance(mesh, Mesh):
            raise TypeError(f"Magnet: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
        self.mesh, self._order = mesh, as_order(order, "Magnet")
        given = Ms if isinstance(Ms, Tensor) and Ms.is_floating_point() else torch.empty((), dtype=dtype, device=device)
        dtype, device = dtype or given.dtype, torch.device(device or given.device)
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"Magnet: dtype is {dtype}, expected torch.float32 or torch.float64")
        self.register_buffer("_reference", torch.empty((), dtype=dtype, device=device), persistent=False)
        self._register_alias(self.reference)
        if device.type == "cpu":
            keep_memory()
        self._register("Ms", Ms, Role(Scalar, mesh.cells, lower=0.0))
        self.fraction = fraction
        factors = [self.Ms] if fraction is None else [self.Ms, self.fraction]
        known = all(isinstance(factor, Tensor) and factor.device.type != "meta" for factor in factors)
        if known and not bool(math.prod(factor.detach() for factor in factors).count_nonzero()):
            what = "Ms" if fraction is None else "fraction * Ms"
            raise ValueError(f"Magnet: {what} is zero everywhere; a body needs at least one magnetic cell")

    def _apply(self, fn, recurse=True):
        dtype = fn(self._reference).dtype
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"Magnet: cannot become {dtype}, expected torch.float32 or torch.float64")
        super()._apply(fn, recurse)
        self._register_alias(self.reference)
        return self

    def _register_alias(self, like):
        """The short kernel of the stray field to order 4 and 6: (3, *offsets)."""
        if self.order > 2:
            periodic = (*periodic_axes(self.mesh), False, False)[:3]
            kernel = alias_kernel((*self.mesh.cells, 1, 1)[:3], self.mesh.dx, periodic, self.order)
            self.register_buffer("_alias", torch.stack(kernel).to(like), persistent=False)

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.order > 2:
            destination[f"{prefix}order"] = torch.tensor(self.order)

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs):
        # Written without an order: of order 2.
        stored = int(state_dict.get(f"{prefix}order", 2))
        if stored != self.order:
            error_msgs.append(
                f"{prefix}order is {stored} in the state_dict, {self.order} here; build the Magnet with order={stored}"
            )
        rest = {name: value for name, value in state_dict.items() if name != f"{prefix}order"}
        super()._load_from_state_dict(rest, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

    def __setattr__(self, name, value):
        if name != "fraction":
            super().__setattr__(name, value)
        else:
            role = Role(Scalar, self.mesh.cells, lower=0.0, upper=1.0)
            if value is not None:
                self._register(name, self._as_fraction(value), role)
                return
            self._forget(name)
            self.__dict__[name] = None
            self._roles[name] = role  # known by name, so that `prepare` can override the default

    def _as_fraction(self, value):
        """A mask, bool (*cells), as it comes from a shape or a picture, to the numbers 0 and 1."""
        if isinstance(value, np.ndarray) and value.dtype == bool:
            value = torch.from_numpy(value)
        masks = isinstance(value, Tensor) and value.dtype == torch.bool
        return value.to(self.reference) if masks else value

    @property
    def order(self) -> int:
        """Of accuracy in space."""
        return self._order

    @property
    def reference(self) -> Tensor:
        return self._reference

    def complete(self, values: Values) -> Values:
        """Add what follows from Ms and fraction, per cell volume:

        fraction (given or Ms > 0), M = fraction Ms in A/m per cell, its lumped mass at the nodes in A/m, and mu_0 times
        that, inverted (0 where nothing is magnetic).
        """
        values = _material(values)
        mass = to_nodes(expand_to_cells(values["M"], self.mesh), self.mesh)
        magnetic = (mass > 0).to(mass.dtype)
        return self._for_high_order(values["fraction"], values["M"]) | {
            **values,
            "mass": mass,
            "inverse_mass": magnetic / (mu_0 * (mass + (1 - magnetic))),
        }

    def material(self, m: Tensor, t: float = 0.0) -> Values:
        """Ms, fraction and M of the cells (see `complete`) at m and time t: what measuring needs, without the cost of `prepare`."""
        return _material(super().at(super()._prepare({}, "", {}), instant(t, m), m, {}))

    def _for_high_order(self, fraction, M):
        if self.order == 2:
            return {}
        found = self._linked("", fraction) | self._linked("moment_", M)
        return found if is_uniform(M, self.mesh.dim) else found | {"ends": self.ends(M, self.links(found, "moment"))}

    def ends(self, M: Tensor, links: Links | None) -> Tensor:
        """The `alias_kernel` of the moment of the cells (*batch, *cells), at the nodes over their mass, A/m: (*batch, 3, *nodes)."""
        mesh, periodic = self.mesh, periodic_axes(self.mesh)
        M = expand_to_cells(M, mesh)
        moments = M.unsqueeze(-mesh.dim - 1)
        found = moments * self.alias_field(moments.expand(*M.shape[: M.ndim - mesh.dim], 3, *mesh.cells))
        found = Midpoints(self.order, periodic).back(found, (MOMENT,) * mesh.dim, links)
        mass = to_nodes(M, mesh).unsqueeze(-mesh.dim - 1)
        return found / (mass + (mass == 0))

    def alias_field(self, M: Tensor) -> Tensor:
        """What the `alias_kernel` makes of a magnetisation in the cells, A/m: (*batch, 3, *cells) -> same."""
        return convolved(self._alias, M, periodic_axes(self.mesh))

    def _linked(self, prefix, cells):
        """The links of a map, unless it is uniform, by name."""
        if is_uniform(cells, self.mesh.dim):
            return {}
        found = links(cells, self.mesh.nodes, periodic_axes(self.mesh))
        return dict(zip(self._link_roles(prefix), (*found.weights, found.inverse)))

    def _link_roles(self, prefix):
        """{name: Role} of what `_linked` gives."""
        mesh = self.mesh
        grids = [(*mesh.nodes[:a], mesh.cells[a], *mesh.nodes[a + 1 :]) for a in range(mesh.dim)]
        names = [f"{prefix}links_{axis}" for axis in "xyz"[: mesh.dim]]
        return dict(zip((*names, f"{prefix}inverse"), (Role(Scalar, grid) for grid in (*grids, mesh.nodes))))

    def links(self, values: Values, of: str = "fraction") -> Links | None:
        """The links between the nodes, weighted by the `fraction` or by the "moment" M of the cells; None if it is uniform."""
        *weights, inverse = self._link_roles("moment_" if of == "moment" else "")
        if inverse not in values:
            return None
        return Links(tuple(values[name] for name in weights), values[inverse])

    def at(self, values: Values, t: Tensor, m: Tensor, cache: dict) -> Values:
        if "mass" in values:
            return values
        return self.complete(super().at(values, t, m, cache))

    def _resolved_own(self, values, prefix):
        yield from super()._resolved_own(values, prefix)
        nodes = Role(Scalar, self.mesh.nodes)
        derived = {"M": Role(Scalar, self.mesh.cells), "mass": nodes, "inverse_mass": nodes}
        derived |= self._link_roles("") | self._link_roles("moment_") | {"ends": Role(Vector, self.mesh.nodes)}
        yield from ((prefix + name, role, values[name]) for name, role in derived.items() if name in values)

    def _prepare(self, overrides, prefix, cache):
        values = super()._prepare(overrides, prefix, cache)
        missing = [name for name in self._drivers if name not in values]
        return values if missing else self.complete(values)

    def extra_repr(self) -> str:
        cells = "x".join(map(str, self.mesh.cells))
        size = " x ".join(f"{v * 1e9:g}" for v in self.mesh.size)
        return f"cells={cells}, size={size} nm, order={self.order}, {super().extra_repr()}"


def _material(values):
    Ms = values["Ms"]
    fraction = values["fraction"] if "fraction" in values else (Ms > 0).to(Ms.dtype)
    return {"Ms": Ms, "fraction": fraction, "M": fraction * Ms}


def require_magnet(magnet: Magnet, title: str) -> Magnet:
    """The body; raise if it is something else."""
    if not isinstance(magnet, Magnet):
        raise TypeError(f"{title}: magnet is a {type(magnet).__name__}, expected a torchmag.Magnet")
    return magnet
