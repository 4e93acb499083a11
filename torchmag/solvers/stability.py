"""Whether an equilibrium is a minimum."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.energy import Energy
from torchmag.errors import ConvergenceError
from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.solvers.davidson import davidson
from torchmag.solvers.hessian import Hessian, hessian_at
from torchmag.solvers.landscape import make_landscape
from torchmag.solvers.sphere import Landscape
from torchmag.solvers.system import as_count
from torchmag.term import as_time, check_field

# Curvatures, and torques, of this part of max Ms count as none: the default tolerance of `minimize`.
NEUTRAL = {torch.float64: 1e-6, torch.float32: 1e-4}
# Torque over max Ms up to which m counts as an equilibrium that can be linearised about.
BOUND = {torch.float64: 1e-4, torch.float32: 1e-3}
# Relative residual of the eigenvectors, and the most steps to it.
ACCURACY = {torch.float64: 1e-7, torch.float32: 1e-3}
MAX_STEPS, EXTRA = 300, 2


@dataclass(frozen=True)
class Stability:
    """The softest directions of an equilibrium.

    Attributes:
        stable: whether no curvature is negative, bool (*batch); one within 1e-6 max Ms (1e-4 in float32) of zero counts as none.
        curvatures: lowest eigenvalues of the Hessian on the tangent planes, in A/m, ascending: (*batch, count).  The energy changes by
            1/2 mu_0 sum_n moment_n curvature |v_n|^2 along the turn v of its direction.
        directions: their eigenvectors, tangent to m, of mean square 1 over the moment that moves: (*batch, count, 3, *nodes).
        residuals: |A v - curvature v| / (|A v| + |curvature v|), of each: (*batch, count).
    """

    stable: Tensor
    curvatures: Tensor
    directions: Tensor
    residuals: Tensor


@torch.no_grad()
def stability(
    energy: Energy | LLG,
    m: Tensor,
    count: int = 1,
    *,
    t: float = 0.0,
    frozen: Tensor | None = None,
    params: Mapping[str, Tensor] | None = None,
) -> Stability:
    """The lowest eigenvalues of the energy's Hessian on the tangent planes at an equilibrium, and their directions.

    Hessian: A = P (m.H - dH/dm) P with the effective field H and P = 1 - m m^T at each node, in A/m, symmetric in the metric of the lumped
    moment.  Block Davidson method, preconditioned with the inverse of the exchange; no matrix is made.

    Args:
        energy: a term or a Sum; of an LLG its energy and its frozen nodes.
        m: an equilibrium, (*batch, 3, *nodes).
        count: how many, of each sample.
        t: time at which drives are held, s.
        frozen: nodes that stay as they are, bool (*nodes).
        params: values to use instead of the energy's, by full name.

    Returns:
        A `Stability`, without graph.
    Raises:
        ValueError: m is no equilibrium (max |m x H| / Ms above 1e-4, 1e-3 in float32), or count exceeds what moves.
        TypeError: an LLG with torques: the energy does not hold its equilibria; see `eigenmodes`.
        ConvergenceError: eigenvalues not found to their accuracy; carries m and what there is as `info`.
    """
    if isinstance(energy, LLG):
        if len(energy.torques):
            raise TypeError(
                "stability: the LLG has torques, whose equilibria no energy holds; use torchmag.eigenmodes, which finds growing modes"
            )
        energy, frozen = energy.energy, energy.frozen if frozen is None else frozen
    if not isinstance(energy, Energy):
        raise TypeError(
            f"stability: energy is a {type(energy).__name__}, expected an energy term, a torchmag.Sum or a torchmag.LLG"
        )
    check_field(m, energy.magnet, "stability")
    count = as_count("stability: count", count)
    values = energy.prepare(params)
    energy.check(values, m.shape[: component_dim(energy.mesh)])
    landscape, m = make_landscape(energy, values, m.detach(), as_time(t, "stability", m), frozen, "stability")
    require_equilibrium(landscape, m, "stability")
    require_freedom(landscape, m, count, 2, "stability")
    hessian = hessian_at(landscape, m)
    curvatures, x, left = softest(hessian, count)
    found = as_stability(hessian, curvatures, x, left)
    if not bool((left <= ACCURACY[m.dtype]).all() | (curvatures.abs() * left <= NEUTRAL[m.dtype]).all()):
        raise ConvergenceError(
            f"stability: eigenvectors with a relative residual of {float(left.max()):.1e} after {MAX_STEPS} steps", m, found
        )
    return found


def as_stability(hessian: Hessian, curvatures: Tensor, x: Tensor, left: Tensor) -> Stability:
    """Rows in units of max Ms as a record."""
    batch = hessian.tangent.batch
    shape = (*batch, curvatures.shape[1])
    stable = (curvatures[:, 0] >= -NEUTRAL[x.dtype]).reshape(batch)
    fields = hessian.tangent.fields(x).movedim(0, len(batch))
    return Stability(stable, curvatures.reshape(shape) * hessian.scale.reshape(*batch, 1), fields, left.reshape(shape))


def softest(hessian: Hessian, count: int, sign_only: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """The lowest eigenvalues in units of max Ms (B, count), their rows (B, count, n), and relative residuals.

    Args:
        sign_only: stop as soon as a sample's lowest is known to be negative, or is accurate to a tenth.
    """
    m, block = hessian.m, min(count + EXTRA, hessian.tangent.size)
    neutral, accuracy = NEUTRAL[m.dtype], ACCURACY[m.dtype]

    def choose(matrix, void):
        matrix = 0.5 * (matrix + matrix.mT)
        # Void directions come last.
        matrix = matrix + torch.diag_embed(void * 10 * matrix.abs().sum(-1).amax(-1, keepdim=True))
        theta, y = torch.linalg.eigh(matrix)
        return theta[:, :block], y[..., :block]

    def done(theta, left, which):
        theta, number = theta[:, which], torch.arange(block, device=theta.device)[which]
        absolute = 2 * theta.abs() * left
        enough = (left <= accuracy) | (absolute <= accuracy * neutral)
        if sign_only:
            enough = enough | (theta < -neutral) | (absolute <= (0.1 * theta.abs()).clamp(min=neutral))
        return enough | (number >= count)

    start = random_rows(hessian, block)
    theta, x, left, _ = davidson(None, hessian, hessian.precondition, start, choose, done, MAX_STEPS)
    return theta[:, :count], x[:, :count], left[:, :count]


def random_rows(hessian: Hessian, count: int) -> Tensor:
    """Smooth random turns, (B, count, n): the same ones at every call."""
    moving = hessian.tangent.moving()
    source = torch.Generator().manual_seed(1)
    noise = torch.randn(1, count, moving.shape[-1], generator=source, dtype=torch.float64).to(hessian.m)
    noise = noise.expand(math.prod(hessian.tangent.batch), -1, -1) * moving
    return hessian.precondition(hessian.precondition(noise)) + 1e-3 * noise


def require_equilibrium(landscape: Landscape, m: Tensor, title: str) -> None:
    """Raise unless the torque at m is below the bound."""
    worst = float(landscape.longest(landscape.tangent(m, landscape.field(m))).max())
    if not worst <= BOUND[m.dtype]:
        raise ValueError(
            f"{title}: m is no equilibrium: max |m x H| / Ms = {worst:.3g}, expected at most {BOUND[m.dtype]:g}; minimize or relax first"
        )


def require_freedom(landscape: Landscape, m: Tensor, count: int, each: int, title: str) -> None:
    """Raise unless every sample has that many degrees of freedom, `each` of a node that moves."""
    free = each * int(landscape.moving.sum(landscape.axes).min())
    if count > free:
        raise ValueError(f"{title}: count = {count}, but the nodes that move allow {free}; ask for at most as many")
