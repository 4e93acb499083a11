"""All modes of a small body, as a matrix."""

import torch
from torch import Tensor

from torchmag.modes.found import Found, lowest, paired
from torchmag.modes.motion import Motion

# Numbers of a tangent row up to which a body is small.
DENSE = 400


def dense_modes(motion: Motion, count: int, around: Tensor | None, with_left: bool, zero: dict[torch.dtype, float]) -> Found:
    """Eigenvalues of -D^-1 A, the rate of a turn."""
    hessian, moving = motion.hessian, motion.hessian.tangent.moving()
    like = hessian.m
    batch, size = motion.unit.numel(), hessian.tangent.size
    eye = torch.eye(size, dtype=like.dtype, device=like.device)
    rate = -motion.undrag(hessian(eye.expand(batch, -1, -1))).mT
    # What does not move: eigenvalues beyond all others.
    outside = 10 * rate.abs().sum(-1).amax(-1, keepdim=True) + 1
    rate = rate - torch.diag_embed(torch.where(moving, 0, outside.unsqueeze(-1)).squeeze(1).expand(batch, -1))
    omega, right = _sorted(*torch.linalg.eig(rate), outside)
    order, none = lowest(omega, count + 1, around, zero[like.dtype])
    order, beyond = order[:, :count], omega.gather(1, order)[:, count:]
    take = lambda rows: rows.gather(1, order.unsqueeze(-1).expand(-1, -1, size))
    mine, x = omega.gather(1, order), take(right)
    if motion.symmetric and not motion.damped:
        # To rounding they neither decay nor grow, but at saddles.
        flat = mine.imag.abs() <= {torch.float64: 1e-6, torch.float32: 1e-3}[like.dtype] * mine.real.abs()
        mine = torch.complex(mine.real, torch.where(flat, 0, mine.imag))
    left = None
    if with_left:
        theirs, rows = _sorted(*torch.linalg.eig(rate.mT), outside)
        left = motion.undrag(paired(mine, theirs, rows), -1.0)
    return Found(mine, x, left, motion.residual(mine, x), (none + 1) // 2, beyond)


def _sorted(value, vectors, outside):
    """omega of what moves (infinite for the rest), and rows."""
    omega = -1j * value
    return torch.where(omega.abs() > 0.5 * outside, torch.inf, omega), vectors.mT
