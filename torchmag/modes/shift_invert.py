"""Modes near a shift, of any equilibrium."""

import torch
from torch import Tensor

from torchmag.errors import ConvergenceError
from torchmag.modes.found import Found, lowest, paired
from torchmag.modes.motion import Motion
from torchmag.solvers.gmres import gmres
from torchmag.solvers.stability import random_rows

RESTARTS = 30


def nearest(
    motion: Motion, count: int, around: Tensor | None, with_left: bool, accuracy: float, zero: dict[torch.dtype, float], shift: float
) -> Found:  # fmt: skip
    """The modes nearest to `around`, or of lowest |omega|: Krylov-Schur on (A + s D)^-1 D, whose eigenvalues are -1 / (i omega - s).

    With s = i around; or s > 0, where no mode that does not grow lies, so that the systems are regular at zero modes too.
    """
    s = torch.full_like(motion.unit, shift).unsqueeze(-1) if around is None else 1j * around
    omega, x, none, beyond = _krylov(motion, s, count, around, accuracy, zero, False)
    left = None
    if with_left:
        theirs, y, *_ = _krylov(motion, s, count, around, accuracy, zero, True)
        left = paired(omega, theirs, y)
    return Found(omega, x, left, motion.residual(omega, x), (none + 1) // 2, beyond)


def _krylov(motion, s, count, around, accuracy, zero, transposed):
    sign = -1.0 if transposed else 1.0
    like = motion.hessian.m
    dtype = torch.complex128 if like.dtype == torch.float64 else torch.complex64
    start = random_rows(motion.hessian, 1).expand(motion.unit.numel(), -1, -1)[:, 0]
    start = start.to(dtype) if s.is_complex() else start
    rows = lambda map: lambda x: map(x.unsqueeze(1)).squeeze(1)
    shifted = rows(lambda x: motion.stiff(x, transposed) + s.unsqueeze(-1) * motion.drag(x, sign))

    def apply(x):
        b = rows(lambda x: motion.drag(x, sign))(x)
        found, left = gmres(shifted, b, rows(motion.precondition), 0.1 * accuracy, 2000)
        if not bool((left <= 10 * accuracy).all()):
            raise ConvergenceError(
                f"eigenmodes: the linear systems of the general solver are left with {float(left.max()):.1e}; ask for modes elsewhere "
                f"(around=), or hold m by a field"
            )
        return found

    # Modes come in pairs; the conjugate ones and zero modes are found too.
    wanted = min(2 * count + 4, like.numel())
    free = int(motion.hessian.tangent.moving().expand(len(start), -1, -1).sum((-2, -1)).min())
    room = min(2 * wanted + 20, free)
    wanted = min(wanted, room - 2)
    V = (start / torch.linalg.vector_norm(start, dim=-1, keepdim=True)).unsqueeze(1)
    H = V.new_zeros((len(V), 0, 0))
    for _ in range(RESTARTS):
        V, H, row = _extend(apply, V, H, room)
        theta, y = torch.linalg.eig(H)
        omega = -1j * (s - 1 / torch.where(theta == 0, 1e-300, theta))
        order = theta.abs().argsort(-1, descending=True)
        omega, y = omega.gather(1, order), y.gather(2, order.unsqueeze(1).expand_as(y))
        best, none = lowest(omega[:, :wanted], count + 1, around, zero[like.dtype])
        best, beyond = best[:, :count], omega.gather(1, best)[:, count:]
        left = ((row.to(y).unsqueeze(-1) * y).sum(1).abs() / theta.gather(1, order).abs()).gather(1, best)
        if bool((left <= accuracy).all()) and bool(torch.isfinite(omega.gather(1, best)).all()):
            break
        Q = _basis(y[:, :, :wanted], V.is_complex())
        V = torch.cat([Q.mT @ V[:, :-1], V[:, -1:]], 1)
        H = torch.cat([Q.mH @ H @ Q, row.unsqueeze(1) @ Q], 1)
    y = y.gather(2, best.unsqueeze(1).expand(-1, y.shape[1], -1))
    return omega.gather(1, best), y.mT @ V[:, :-1].to(y), none, beyond


def _extend(apply, V, H, room):
    """Arnoldi from k + 1 rows and H (k + 1, k) to room + 1 rows: they, H (room, room), and its row beyond."""
    for k in range(V.shape[1] - 1, room):
        w, along = apply(V[:, -1]), 0
        for _ in range(2):  # once more, against rounding
            part = (V.conj() @ w.unsqueeze(-1)).squeeze(-1)
            w, along = w - (part.unsqueeze(1) @ V).squeeze(1), along + part
        norm = torch.linalg.vector_norm(w, dim=-1)
        found = norm > 1e-14 * torch.linalg.vector_norm(along, dim=-1)
        column = torch.cat([along, torch.where(found, norm, 0).unsqueeze(-1).to(w.dtype)], -1).unsqueeze(-1)
        H = torch.cat([torch.cat([H, H.new_zeros(len(H), k + 2 - H.shape[1], k)], 1), column], 2)
        V = torch.cat([V, (w * torch.where(found, 1 / norm, 0).unsqueeze(-1)).unsqueeze(1)], 1)
    return V, H[:, :-1], H[:, -1]


def _basis(y, is_complex):
    """Orthonormal coefficients that span the vectors y (B, k, p): real ones of both parts if need be."""
    u, size, _ = torch.linalg.svd(y if is_complex else torch.cat([y.real, y.imag], 2), full_matrices=False)
    good = size > 1e-8 * size[:, :1]
    return u[..., : int(good.sum(-1).max())] * good[:, : int(good.sum(-1).max())].unsqueeze(1)
