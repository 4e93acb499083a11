"""Eigenmodes: the frequencies at which an equilibrium rings."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from torchmag.energy import Energy
from torchmag.errors import ConvergenceError, StabilityWarning
from torchmag.llg import LLG
from torchmag.modes.gradient import attach
from torchmag.modes.motion import make_motion, make_setting
from torchmag.modes.spectrum import find_modes
from torchmag.solvers.stability import require_freedom
from torchmag.solvers.system import as_count
from torchmag.solvers.tangent import quarter_turn

# Relative residual above which a mode is an error.
WORST = {torch.float64: 1e-6, torch.float32: 1e-2}


@dataclass(frozen=True)
class Modes:
    """Eigenmodes of an equilibrium: m + Re(a v exp(2 pi i f t)), with any small number a.

    Attributes:
        frequencies: f in Hz, complex, ascending in |f|: (*batch, count).  The real part is the frequency, >= 0; the imaginary part is the
            decay rate over 2 pi (amplitudes fall as exp(-2 pi Im f t)), zero without damping, negative where the mode grows.
        vectors: v, complex and tangent to m: (*batch, count, 3, *nodes).  Normalised by the symplectic product, sum_n p_n i m.(v* x v) = 1
            with p_n the share of a node in the moment that moves: a circular precession has |v| = 1.  Phase: the largest number is real
            and positive.  A mode that does not precess (Re f = 0) has mean square 1 instead.
        residuals: |A v + i omega D v| / (|A v| + |omega D v|), (*batch, count).
        zero_modes: modes without frequency and decay, of motions that cost no energy (|f| below 3e-6 gamma Ms / 2 pi, 3e-3 in float32), which
            are left out: (*batch).
    """

    frequencies: Tensor
    vectors: Tensor
    residuals: Tensor
    zero_modes: Tensor

    @property
    def growing(self) -> Tensor:
        """Which modes grow: Im f < 0 beyond rounding; bool (*batch, count)."""
        return grows(self.frequencies)

    @property
    def decay_rates(self) -> Tensor:
        """2 pi Im f, 1/s."""
        return 2 * math.pi * self.frequencies.imag


def eigenmodes(
    llg: LLG | Energy,
    m: Tensor,
    count: int = 10,
    *,
    around: float | None = None,
    t: float = 0.0,
    params: Mapping[str, Tensor] | None = None,
) -> Modes:
    """The lowest eigenmodes of an equilibrium.

    Solves the linearised LLG equation A v = -2 pi i f (J + alpha) / gamma v on the tangent planes, with A = P (m.H) - P (dH/dm) P,
    J v = m x v and H the field of energy and torques.  Bodies of up to 200 nodes are solved as a matrix.  Larger ones without matrix:
    at a minimum by the block Davidson method in the metric A (the minimisation principle of Bai and Li, SIAM J. Matrix Anal. 33, 1075
    (2012)), preconditioned with the inverse of the exchange; with torques, at saddles and around a frequency by Krylov-Schur with
    inverses by GMRES, which is slower.

    Args:
        llg: an LLG, or an energy for undamped modes with gamma_0.  Its torques act, its frozen nodes have no part, its temperature is
            ignored.
        m: an equilibrium, (*batch, 3, *nodes); expanded to the batch of the parameters.
        count: modes of each sample, at most one for each node that moves.
        around: frequency in Hz; the modes nearest to it instead of those of lowest |f|.
        t: time at which drives are held, s.
        params: values to use instead, by full name (see `prepare`).

    Returns:
        `Modes`.  The frequencies have exact gradients with respect to all parameters and to m; an m from `minimize` or `relax` passes
        them on to the parameters that hold it.
    Raises:
        ValueError: m is no equilibrium (max |m x H| / Ms above 1e-4, 1e-3 in float32), count exceeds the nodes, no precession.
        ConvergenceError: modes not found to a relative residual of 1e-6 (1e-2 in float32); carries m and what there is as `info`.
        GradientError: in the backward pass: frequencies that coincide, with different weights in the loss (give them the same: their sum
            has a gradient), or a loss of the vectors.
    Warns:
        StabilityWarning: modes that grow.  Only those among the modes found are known.
    """
    count = as_count("eigenmodes: count", count)
    if around is not None and (isinstance(around, bool) or not isinstance(around, Real) or not 0 <= around < math.inf):
        raise ValueError(f"eigenmodes: around = {around!r}, expected a frequency in Hz, at least 0")
    setting = make_setting(llg, m, t, params, "eigenmodes")
    require_freedom(setting.landscape, setting.m, count, 1, "eigenmodes")
    needs = setting.needs_gradient(m)
    with torch.no_grad():
        motion = make_motion(setting)
        shift = None if around is None else 2 * math.pi * around / motion.unit.unsqueeze(-1)
        found = find_modes(motion, count, shift, needs)
        vectors = normalised(motion, found.right)
    batch = setting.m.shape[: setting.m.ndim + setting.landscape.axes[0]]
    omega = found.omega
    omega = torch.complex(torch.where(omega.real.abs() <= 1e-9 * omega.abs(), 0, omega.real), omega.imag)
    frequencies = (omega * motion.unit.unsqueeze(-1) / (2 * math.pi)).reshape(*batch, -1)
    if needs:
        frequencies, vectors = attach(setting, motion, found, frequencies, vectors, m)
    modes = Modes(frequencies, vectors, found.residual.reshape(*batch, -1), found.zero.reshape(batch))
    worst = float(modes.residuals.max())
    if modes.frequencies.shape[-1] < count or not worst <= WORST[m.dtype]:
        raise ConvergenceError(
            f"eigenmodes: {modes.frequencies.shape[-1]} of {count} modes, with a relative residual of up to {worst:.1e}; ask for fewer",
            m,
            modes,
        )
    if bool(modes.growing.any()):
        fastest = float(-modes.decay_rates.detach().min())
        warnings.warn(
            f"eigenmodes: {int(modes.growing.sum())} of the modes found grow, by up to {fastest:.3g} 1/s: m is not stable; with torques "
            f"it may be a state that oscillates, without it is no minimum (minimize(..., escape=True) leaves it)",
            StabilityWarning, stacklevel=2,
        )  # fmt: skip
    return modes


def grows(frequencies: Tensor) -> Tensor:
    """Im f < 0 beyond rounding."""
    f = frequencies.detach()
    return f.imag < -1e-7 * f.abs() if f.dtype == torch.complex128 else f.imag < -1e-3 * f.abs()


def normalised(motion, x: Tensor) -> Tensor:
    """Rows (B, p, n) as vector fields (*batch, p, 3, *nodes) of symplectic norm 1, their largest number real and positive."""
    square = (x.abs() ** 2).sum(-1, keepdim=True)
    product = (x.conj() * -1j * quarter_turn(x)).sum(-1, keepdim=True).real
    x = x / torch.where(product.abs() > 1e-6 * square, product.abs(), square).sqrt()
    tangent = motion.hessian.tangent
    v = torch.complex(tangent.fields(x.real), tangent.fields(x.imag)).movedim(0, len(tangent.batch))
    flat = v.flatten(len(tangent.batch) + 1)
    largest = flat.gather(-1, flat.abs().argmax(-1, keepdim=True))
    phase = largest.conj() / largest.abs()
    return (flat * phase).reshape(v.shape)
