"""Systems (A + i omega D) x = b at many frequencies, from one search space."""

import torch
from torch import Tensor

from torchmag.modes.motion import Motion
from torchmag.solvers.davidson import combine

# Residuals that make the space grow in a step, and the most steps.
WORST, MAX_STEPS = 6, 300
# Vectors of the space before it is reduced to what the solutions span.
ROOM = 360
# Directions this much shorter than the longest, in the square, are rounding.
LOST = 1e-13


def solve_family(motion: Motion, omega: Tensor, b: Tensor, tolerance: float, transposed: bool = False) -> tuple[Tensor, Tensor]:
    """Solve (A + i omega_f D) x_f = b_f for all f: x (B, F, n), and |b - ...| / |b| (B, F).

    The space is real, the same for all frequencies, and holds solutions by Galerkin's condition; it grows by the preconditioned
    residuals of the worst of them.  So neighbouring frequencies, and both sides of a resonance, share the work.

    Args:
        omega: in units of the motion, (B, F).
        b: complex, (B, F, n).
        tolerance: of the relative residual.
        transposed: solve with the transposed of the matrix instead.
    """
    sign = -1.0 if transposed else 1.0
    size = torch.linalg.vector_norm(b, dim=-1)
    scale = torch.where(size > 0, size, 1)
    S = AS = DS = b.real[:, :0]
    x, r, left = torch.zeros_like(b), b, (size > 0).to(size)
    best, stuck = float("inf"), 0
    for _ in range(MAX_STEPS):
        worst = left.amax(0)
        if not bool((worst > tolerance).any()) or stuck > 30:
            break
        chosen = worst.argsort(descending=True)[:WORST]
        chosen = chosen[worst[chosen] > tolerance]
        z = motion.precondition(r[:, chosen])
        new = _orthonormal(torch.cat([z.real, z.imag], 1), S)
        S = torch.cat([S, new], 1)
        AS = torch.cat([AS, motion.stiff(new, transposed)], 1)
        DS = torch.cat([DS, motion.drag(new, sign)], 1)
        y = _galerkin(S, AS, DS, omega, b)
        x = combine(S, y.mT)
        r = b - combine(AS, y.mT) - 1j * omega.unsqueeze(-1) * combine(DS, y.mT)
        left = torch.linalg.vector_norm(r, dim=-1) / scale
        stuck = 0 if float(left.max()) < 0.9 * best else stuck + 1
        best = min(best, float(left.max()))
        if S.shape[1] > ROOM:
            u, _, _ = torch.linalg.svd(torch.cat([y.real, y.imag], 1).mT, full_matrices=False)
            u = u[..., : ROOM // 2]
            S, AS, DS = (u.mT @ part for part in (S, AS, DS))
    return x, left


def _galerkin(S, AS, DS, omega, b):
    """Coefficients (B, F, k) of the solutions on the space: by the eigenvalues of A^-1 D on it, for all omega at once."""
    A, D = S @ AS.mT, S @ DS.mT
    # Vectors that rounding took are zero.
    A = A + torch.diag_embed((S == 0).all(-1).to(A))
    theta, y = torch.linalg.eig(torch.linalg.solve(A, D))
    right = torch.linalg.solve(A.to(b), (b @ S.mT.to(b)).mT)  # (B, k, F)
    parts = torch.linalg.solve(y, right) / (1 + 1j * omega.unsqueeze(1) * theta.unsqueeze(-1))
    return (y @ parts).mT


def _orthonormal(new, S):
    """The part of rows beyond S, orthonormal, and zeros."""
    new = new / torch.linalg.vector_norm(new, dim=-1, keepdim=True).clamp(min=torch.finfo(new.dtype).tiny)
    for _ in range(2):
        new = new - (new @ S.mT) @ S
        square, turn = torch.linalg.eigh(new @ new.mT)
        factor = torch.where(square > LOST * square[:, -1:].clamp(min=1e-300), square, torch.inf).rsqrt()
        new = (turn * factor.unsqueeze(-2)).mT @ new
    return new
