"""The terms of a system's dynamics: gyromagnetic ratio, damping, torques, temperature."""

import math

import micromagneticmodel as mm
import torch
from torch import Tensor

from torchmag.constants import e, mu_0, mu_B
from torchmag.energies import Exchange
from torchmag.energy import Energy
from torchmag.llg import LLG
from torchmag.thermal import ThermalField
from torchmag.torques import Slonczewski, ZhangLi
from torchmag.ubermag.energy_terms import Body
from torchmag.ubermag.parameters import direction, given, scalar, title, vector
from torchmag.ubermag.time_functions import time_function

GAMMA = 2.211e5  # m/(A s), OOMMF's, of a dynamics without Precession
KNOWN = (mm.Precession, mm.Damping, mm.ZhangLi, mm.Slonczewski)


def equation(body: Body, energy: Energy, dynamics: mm.Dynamics, frozen: Tensor | None, default_alpha: float = 0.0) -> LLG:
    """The LLG equation of a system's dynamics.

    Without Precession m precesses neither about the field nor about that of torques, as in OOMMF.

    Args:
        frozen: nodes that stay, bool (*nodes).
        default_alpha: of a dynamics without Damping.

    Raises:
        ValueError: a term that torchmag does not have, or two of one kind where one is meant.
    """
    for term in dynamics:
        if type(term) not in KNOWN:
            raise ValueError(
                f"{type(term).__name__} {term.name!r}: torchmag.ubermag has no such term of the dynamics; "
                f"it has {', '.join(known.__name__ for known in KNOWN)}"
            )
    grid = body.grid
    precession, damping = (_only(dynamics, kind) for kind in (mm.Precession, mm.Damping))
    torques = [_zhang_li(body, term) for term in dynamics if isinstance(term, mm.ZhangLi)]
    torques += [_slonczewski(body, term) for term in dynamics if isinstance(term, mm.Slonczewski)]
    alpha = default_alpha if damping is None else scalar(grid, damping, "alpha")
    gamma = GAMMA if precession is None else scalar(grid, precession, "gamma0")
    return LLG(energy, alpha, gamma=gamma, torques=torques, frozen=frozen, precession=precession is not None)


def thermal_field(body: Body, llg: LLG, T: float, seed: int) -> ThermalField:
    """The fluctuating field of a temperature, K."""
    return ThermalField(body.magnet, T, seed)


def thermal_step(llg: LLG) -> float:
    """A step that resolves the fastest mode of the exchange, s: gamma H step = 0.2, and at most 0.1 ps."""
    mesh, values = llg.mesh, llg.prepare()
    A = max(
        (float(values["energy"][name]["A"].max()) for name, term in llg.energy.named_terms() if isinstance(term, Exchange)),
        default=0.0,
    )
    M = (
        values["energy"]["magnet"]["M"]
        if "M" in values["energy"]["magnet"]
        else llg.magnet.complete(values["energy"]["magnet"])["M"]
    )
    least = float(M[M > 0].min())
    # The largest wave number that nodes carry has k^2 = 4 / dx^2 to second order, 2.5 times that to sixth.
    fastest = 2 * A / (mu_0 * least) * sum(10 / h**2 for h in mesh.dx[: mesh.dim])
    limit = 0.2 / (float(values["gamma"].max()) * fastest) if fastest else math.inf
    return min(1e-13, limit)


def _only(dynamics, kind):
    found = [term for term in dynamics if isinstance(term, kind)]
    if len(found) > 1:
        raise ValueError(f"system.dynamics has {len(found)} terms {kind.__name__}, expected one")
    return found[0] if found else None


def _zhang_li(body, term):
    grid, beta = body.grid, float(given(term, "beta") or 0.0)
    u = given(term, "u")
    if u is None:
        raise ValueError(f"{title(term, 'u')} is not set")
    along_x = torch.tensor(grid.vector((1.0, 0.0, 0.0)), dtype=grid.dtype, device=grid.device).reshape(3, *(1,) * grid.mesh.dim)
    if _is_scalar(u):
        u = scalar(grid, term, "u") * along_x
    else:
        u = torch.as_tensor(vector(grid, term, "u"), dtype=grid.dtype, device=grid.device)
        u = u.reshape(3, *(1,) * grid.mesh.dim) if u.ndim == 1 else u
    # |u| = mu_B P j / (e Ms (1 + beta^2)), P = 1.  Patterns move along u, as in OOMMF's Anv_SpinTEvolve, and against j.
    j = -u * body.Ms * (e * (1 + beta**2) / mu_B)
    return ZhangLi(body.magnet, _times(j, time_function(grid, term, body.duration, (1,))), 1, beta)


def _is_scalar(u):
    if isinstance(u, dict):
        u = next(iter(u.values()))
    return u.nvdim == 1 if hasattr(u, "nvdim") else isinstance(u, int | float)


def _slonczewski(body, term):
    grid = body.grid
    J = torch.as_tensor(scalar(grid, term, "J"), dtype=grid.dtype, device=grid.device)
    return Slonczewski(
        body.magnet,
        _times(J, time_function(grid, term, body.duration, (1,))),
        direction(grid, term, "mp", body.inside),
        scalar(grid, term, "P"),
        scalar(grid, term, "Lambda", outside=1.0),
        scalar(grid, term, "eps_prime", 0.0),
        # As in OOMMF: every layer of cells has the torque of a film as thick as it.
        d=float(grid.given.cell[2]),
    )


def _times(value, factor):
    return value if factor is None else lambda t: factor(t).to(value.dtype) * value
