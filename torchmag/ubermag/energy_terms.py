"""One entry for each energy term of micromagneticmodel: its torchmag module, and OOMMF's name for its columns."""

import micromagneticmodel as mm
import numpy as np
import torch
from torch import Tensor

from torchmag.energies import (
    DMI,
    BulkDMI,
    CubicAnisotropy,
    Demag,
    Exchange,
    InterfaceDMI,
    Magnetoelastic,
    UniaxialAnisotropy,
    Zeeman,
)
from torchmag.energy import Energy
from torchmag.forms import Scalar, dot
from torchmag.magnet import Magnet
from torchmag.surface import SurfaceEnergy
from torchmag.ubermag.grid import Grid
from torchmag.ubermag.parameters import direction, given, scalar, title, vector
from torchmag.ubermag.time_functions import scripted_field, time_function


class Body:
    """What terms are built on.

    Args:
        grid: of the system's mesh.
        magnet: the body.
        Ms: of the cells, A/m: (*cells).
        duration: of the drive, s; None for one without time.
    """

    def __init__(self, grid: Grid, magnet: Magnet, Ms: Tensor, duration: float | None):
        self.grid, self.magnet, self.Ms, self.duration = grid, magnet, Ms, duration
        self.inside = Ms > 0


def energy_term(body: Body, term: mm.EnergyTerm) -> Energy:
    """The torchmag module of a term.

    Raises:
        ValueError: a term that torchmag does not have, or parameters that it cannot take; each names the term.
    """
    make = TERMS.get(type(term))
    if make is None:
        raise ValueError(
            f"{type(term).__name__} {term.name!r}: torchmag.ubermag has no such energy term; "
            f"it has {', '.join(known.__name__ for known in TERMS)}"
        )
    return make(body, term)


def _exchange(body, term):
    return Exchange(body.magnet, scalar(body.grid, term, "A"))


def _uniaxial(body, term):
    grid = body.grid
    name = "K" if given(term, "K1") is None else "K1"
    axis = direction(grid, term, "u", body.inside)
    return UniaxialAnisotropy(body.magnet, scalar(grid, term, name), axis, scalar(grid, term, "K2", 0.0))


def _cubic(body, term):
    grid = body.grid
    axes = [direction(grid, term, name, body.inside) for name in ("u1", "u2")]
    if isinstance(axes[0], Tensor) or isinstance(axes[1], Tensor):
        # Any frame will do outside the body.
        axes = [_as_map(axis, grid, body.Ms) for axis in axes]
        for axis, along in zip(axes, (0, 1)):
            axis[:, ~body.inside] = 0
            axis[along, ~body.inside] = 1
    return CubicAnisotropy(body.magnet, scalar(grid, term, "K"), *axes)


def _dmi(body, term):
    grid, crystal = body.grid, given(term, "crystalclass")
    if crystal is None:
        raise ValueError(f"{title(term, 'crystalclass')} is not set")
    D = scalar(grid, term, "D")
    if crystal in ("T", "O"):
        return BulkDMI(body.magnet, D)
    axis = "xyz".index((crystal + "_z").split("_")[1])
    normal = np.eye(3)[axis]
    if crystal.startswith("Cnv"):
        return InterfaceDMI(body.magnet, D, grid.vector(normal))
    # w = D m.(d_a m x a - d_b m x b), a and b the axes after the normal: D_ijk (m_j d_i m_k - m_k d_i m_j) / 2.
    first, second = (axis + 1) % 3, (axis + 2) % 3
    tensor = np.zeros((3, 3, 3))
    for derivative, sign in ((first, 1.0), (second, -1.0)):
        j, k = (derivative + 1) % 3, (derivative + 2) % 3
        tensor[derivative, j, k], tensor[derivative, k, j] = sign, -sign
    tensor = torch.tensor(tensor[np.ix_(grid.axes, grid.axes, grid.axes)], dtype=grid.dtype, device=grid.device)
    whole = tensor.reshape(3, 3, 3, *(1,) * grid.mesh.dim) * D if isinstance(D, Tensor) else tensor * D
    return DMI(body.magnet, whole)


def _zeeman(body, term):
    scripted = scripted_field(body.grid, term)
    if scripted is not None:
        return Zeeman(body.magnet, scripted)
    grid = body.grid
    H = vector(grid, term, "H")
    if isinstance(H, Tensor):
        H = grid.to_nodes(H, body.Ms)
    factor = time_function(grid, term, body.duration, (1, 9))
    if factor is None:
        return Zeeman(body.magnet, H)
    H = torch.as_tensor(H, dtype=grid.dtype, device=grid.device)

    def field(t):
        by = factor(t).to(H.dtype)
        return torch.tensordot(by, H, 1) if by.ndim else by * H

    return Zeeman(body.magnet, field)


def _demag(body, term):
    return Demag(body.magnet)


def _magnetoelastic(body, term):
    grid = body.grid
    parts = [vector(grid, term, name) for name in ("e_diag", "e_offdiag")]
    if any(isinstance(part, Tensor) for part in parts):
        strain = torch.cat([_as_map(part, grid, body.Ms) for part in parts])
    else:
        strain = (*parts[0], *parts[1])
    return Magnetoelastic(body.magnet, strain, scalar(grid, term, "B1"), scalar(grid, term, "B2"))


class FacingSurfaces(SurfaceEnergy):
    """Bilinear and biquadratic coupling of two planes, w = -J m1.m2 - J2 (m1.m2)^2 per area, whatever lies between them."""

    @staticmethod
    def density(m1, m2, J: Scalar, J2: Scalar = 0):
        along = dot(m1, m2)
        return -J * along - J2 * along**2


def _rkky(body, term):
    grid, names = body.grid, list(given(term, "subregions") or ())
    regions = grid.given.subregions
    if len(names) != 2 or any(name not in regions for name in names):
        raise ValueError(f"{title(term, 'subregions')} = {names}, expected two of the mesh's: {', '.join(regions) or 'none'}")
    dim, first, second = regions[names[0]].facing_surface(regions[names[1]])
    axis = grid.axes.index(grid.given.region.dims.index(dim))
    if axis >= grid.mesh.dim:
        raise ValueError(f"{title(term, 'subregions')} = {names} face each other along {dim}, where the mesh has one cell")
    at = lambda position: round((position - grid.mesh.origin[axis]) / grid.mesh.dx[axis])
    own = grid.axes[axis]
    planes = (at(first.pmax[own]), at(second.pmin[own]))
    if planes[0] == planes[1]:
        raise ValueError(f"{title(term, 'subregions')} = {names} touch and share their nodes; put at least one cell between them")
    shared = [grid.given.region2slices(region) for region in (first, second)]
    over = np.zeros([1 if a == own else n for a, n in enumerate(grid.given.n)], dtype=bool)
    lateral = [
        slice(0, 1) if a == own else slice(max(s[a].start for s in shared), min(s[a].stop for s in shared)) for a in range(3)
    ]
    over[tuple(lateral)] = True
    mask = _lateral_map(grid, over, axis)
    J = (given(term, "sigma") or 0.0) * mask
    J2 = (given(term, "sigma2") or 0.0) * mask
    return FacingSurfaces(body.magnet, J, J2, axis=axis, planes=planes)


def _lateral_map(grid, over, axis):
    """A mask with one entry along the normal, (nx, ny, nz) of ubermag's axes, in torchmag's: 1 where it holds."""
    turned = np.transpose(over, grid.axes)
    shape = [1 if a == axis else n for a, n in enumerate(grid.mesh.cells)]
    return torch.tensor(turned.reshape(shape), dtype=grid.dtype, device=grid.device)


def _as_map(value, grid, like):
    """A vector, uniform or not, as a map of its own: (3, *cells)."""
    value = torch.as_tensor(value, dtype=grid.dtype, device=grid.device)
    return (value if value.ndim > 1 else value.reshape(3, *(1,) * grid.mesh.dim)).expand(3, *like.shape).clone()


TERMS = {
    mm.Exchange: _exchange,
    mm.UniaxialAnisotropy: _uniaxial,
    mm.CubicAnisotropy: _cubic,
    mm.DMI: _dmi,
    mm.Demag: _demag,
    mm.Zeeman: _zeeman,
    mm.MagnetoElastic: _magnetoelastic,
    mm.RKKY: _rkky,
}


def oommf_name(term: mm.EnergyTerm) -> str:
    """OOMMF's class of a term, by which ubermagtable finds the name of a column."""
    if isinstance(term, mm.Zeeman):
        uniform = not isinstance(given(term, "H"), dict) and not hasattr(given(term, "H"), "mesh")
        changing = any(given(term, name) is not None for name in ("func", "wave", "tcl_strings"))
        return ("ScriptUZeeman" if uniform else "TransformZeeman") if changing else "FixedZeeman"
    if isinstance(term, mm.Exchange):
        A = given(term, "A")
        return "Exchange6Ngbr" if isinstance(A, dict) else "ExchangePtwise" if hasattr(A, "mesh") else "UniformExchange"
    if isinstance(term, mm.UniaxialAnisotropy):
        return "UniaxialAnisotropy" if given(term, "K2") is None else "UniaxialAnisotropy4"
    if isinstance(term, mm.DMI):
        crystal = given(term, "crystalclass")
        return "DMI_T" if crystal in ("T", "O") else f"DMI_{crystal.split('_')[0]}"
    return {mm.CubicAnisotropy: "CubicAnisotropy", mm.MagnetoElastic: "FixedMEL", mm.RKKY: "TwoSurfaceExchange"}.get(
        type(term), type(term).__name__
    )
