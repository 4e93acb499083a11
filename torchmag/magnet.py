"""The body: where it is, how much moment each cell holds."""

import math

import numpy as np
import torch
from torch import Tensor

from torchmag.allocator import keep_memory
from torchmag.constants import mu_0
from torchmag.forms import Scalar
from torchmag.layout import expand_to_cells, to_nodes
from torchmag.mesh import Mesh
from torchmag.parameters import Parametric, Role, Values
from torchmag.sealed import Sealed


class Magnet(Sealed, Parametric):
    """A ferromagnetic body on a mesh.

    Args:
        mesh: the grid.
        Ms: saturation magnetisation, A/m; number or cells (*batch, *cells), >= 0.
        fraction: magnetic volume fraction of each cell, in [0, 1], or a mask (bool); multiplies Ms and every local energy density.
            Default: 1 where Ms > 0 and 0 elsewhere.
        dtype, device: of the buffers made here and of every term on this body; torch's defaults, or those of a tensor Ms.

    Raises:
        ValueError: negative or non-finite Ms, fraction outside [0, 1], a shape that does not fit the cells, a body that is
            vacuum everywhere.
    """

    def __init__(self, mesh: Mesh, Ms, fraction=None, *, dtype: torch.dtype | None = None, device=None):
        super().__init__()
        if not isinstance(mesh, Mesh):
            raise TypeError(f"Magnet: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
        self.mesh = mesh
        given = Ms if isinstance(Ms, Tensor) and Ms.is_floating_point() else torch.empty((), dtype=dtype, device=device)
        dtype, device = dtype or given.dtype, torch.device(device or given.device)
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"Magnet: dtype is {dtype}, expected torch.float32 or torch.float64")
        self.register_buffer("_reference", torch.empty((), dtype=dtype, device=device), persistent=False)
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
        return super()._apply(fn, recurse)

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
    def reference(self) -> Tensor:
        return self._reference

    def complete(self, values: Values) -> Values:
        """Add what follows from Ms and fraction, per cell volume:

        fraction (given or Ms > 0), M = fraction Ms in A/m per cell, its lumped mass at the nodes in A/m, and mu_0 times
        that, inverted (0 where nothing is magnetic).
        """
        Ms = values["Ms"]
        fraction = values["fraction"] if "fraction" in values else (Ms > 0).to(Ms.dtype)
        M = fraction * Ms
        mass = to_nodes(expand_to_cells(M, self.mesh), self.mesh)
        magnetic = (mass > 0).to(mass.dtype)
        return {
            "Ms": Ms,
            "fraction": fraction,
            "M": M,
            "mass": mass,
            "inverse_mass": magnetic / (mu_0 * (mass + (1 - magnetic))),
        }

    def at(self, values: Values, t: Tensor, m: Tensor, cache: dict) -> Values:
        if "mass" in values:
            return values
        return self.complete(super().at(values, t, m, cache))

    def _resolved_own(self, values, prefix):
        yield from super()._resolved_own(values, prefix)
        derived = {"M": self.mesh.cells, "mass": self.mesh.nodes, "inverse_mass": self.mesh.nodes}
        yield from ((prefix + name, Role(Scalar, grid), values[name]) for name, grid in derived.items() if name in values)

    def _prepare(self, overrides, prefix, cache):
        values = super()._prepare(overrides, prefix, cache)
        missing = [name for name in self._drivers if name not in values]
        return values if missing else self.complete(values)

    def extra_repr(self) -> str:
        cells = "x".join(map(str, self.mesh.cells))
        size = " x ".join(f"{v * 1e9:g}" for v in self.mesh.size)
        return f"cells={cells}, size={size} nm, {super().extra_repr()}"


def require_magnet(magnet: Magnet, title: str) -> Magnet:
    """The body; raise if it is something else."""
    if not isinstance(magnet, Magnet):
        raise TypeError(f"{title}: magnet is a {type(magnet).__name__}, expected a torchmag.Magnet")
    return magnet
