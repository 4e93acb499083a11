"""Parameters of ubermag's terms: a number or vector, a dict of subregions, or a field."""

import warnings
from collections.abc import Mapping
from numbers import Real

import discretisedfield as df
import numpy as np
import ubermagutil.typesystem as ts
from torch import Tensor

from torchmag.ubermag.grid import Grid


def given(term, name: str):
    """The value of an attribute of a term, None where it was not set."""
    value = getattr(term, name, None)
    return None if isinstance(value, ts.Descriptor) else value


def title(term, name: str) -> str:
    """How errors call a parameter."""
    return f"{type(term).__name__} {term.name!r}: {name}"


def scalar(grid: Grid, term, name: str, default: float | None = None, outside: float = 0.0) -> float | Tensor:
    """A scalar parameter as a number, or a map (*cells).

    Args:
        default: where the term does not have it; None: it must.
        outside: of the subregions that a dict does not name, where it has no "default".
    """
    value = given(term, name)
    if value is None:
        if default is None:
            raise ValueError(f"{title(term, name)} is not set")
        return default
    if isinstance(value, Real):
        return float(value)
    return _uniform(grid.cells(cell_values(grid.given, value, title(term, name), outside)[..., 0]), 0)


def vector(grid: Grid, term, name: str) -> tuple[float, ...] | Tensor:
    """A vector parameter as three numbers, or a map (3, *cells)."""
    value = given(term, name)
    if value is None:
        raise ValueError(f"{title(term, name)} is not set")
    if not isinstance(value, Mapping | df.Field):
        return grid.vector(value)
    return _uniform(grid.cells(cell_values(grid.given, value, title(term, name), (0.0, 0.0, 0.0))), 1)


def direction(grid: Grid, term, name: str, body: Tensor) -> tuple[float, ...] | Tensor:
    """A direction; zero vectors outside the body, which have none, become one along z."""
    found = vector(grid, term, name)
    if isinstance(found, Tensor):
        empty = (found == 0).all(0) & ~body
        found = found.clone()
        found[grid.axes.index(2)] += empty.to(found.dtype)
    return found


def cell_values(mesh: df.Mesh, value, title: str, outside) -> np.ndarray:
    """A dict of subregions or a field on the cells of a mesh: (nx, ny, nz, C)."""
    if isinstance(value, df.Field):
        same = value.mesh.region == mesh.region and tuple(value.mesh.n) == tuple(mesh.n)
        return value.array if same else df.Field(mesh, nvdim=value.nvdim, value=value).array
    unknown = [key for key in value if key != "default" and any(part not in mesh.subregions for part in key.split(":"))]
    if unknown:
        raise ValueError(
            f"{title}: no subregion {', '.join(map(repr, unknown))} in the mesh; it has {', '.join(mesh.subregions) or 'none'}"
        )
    _warn_of_pairs(value, title)
    outside = np.asarray(value.get("default", outside), dtype=float).reshape(-1)
    found = np.empty((*mesh.n, len(outside)))
    found[...] = outside
    for name, region in reversed(mesh.subregions.items()):  # the first of overlapping ones holds, as in OOMMF
        found[mesh.region2slices(region)] = np.asarray(value[name], dtype=float).reshape(-1) if name in value else outside
    return found


def _warn_of_pairs(value, title):
    pairs = {key: number for key, number in value.items() if ":" in key}
    negative = [key for key, number in pairs.items() if number <= 0 and "Exchange" in title]
    if negative:
        raise ValueError(
            f"{title}[{negative[0]!r}] = {pairs[negative[0]]:g}: touching subregions share the nodes between them and are coupled by "
            f"the exchange of both; put an empty layer of cells between them and use RKKY"
        )
    if pairs:
        warnings.warn(
            f"{title}: {', '.join(map(repr, pairs))} not used: at the nodes that two subregions share the values of both act",
            UserWarning,
            stacklevel=2,
        )


def _uniform(found: Tensor, components: int):
    """Numbers, where a map is the same everywhere."""
    flat = found.flatten(components)
    if not bool((flat == flat[..., :1]).all()):
        return found
    return tuple(flat[:, 0].tolist()) if components else float(flat[0])
