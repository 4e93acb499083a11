"""What solvers of modes hand over."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Found:
    """Modes in units of a `Motion`.

    Attributes:
        omega: (B, p), complex.
        right: rows that ring, (B, p, n).
        left: rows of the transposed equation, for gradients; None where they were not asked for.
        residual: |A v + i omega D v| / (|A v| + |omega D v|), (B, p).
        zero: modes with omega = 0, which are left out, (B).
        beyond: omega of the next modes, as far as they are known, (B, any).
    """

    omega: Tensor
    right: Tensor
    left: Tensor | None
    residual: Tensor
    zero: Tensor
    beyond: Tensor


def paired(mine: Tensor, theirs: Tensor, rows: Tensor) -> Tensor:
    """Of rows (B, q, n) with eigenvalues `theirs` (B, q) those nearest to `mine` (B, p), each used once: (B, p, n)."""
    distance = (mine.unsqueeze(-1) - theirs.unsqueeze(-2)).abs()
    found = []
    for k in range(mine.shape[-1]):
        best = distance[:, k].argmin(-1)
        found.append(best)
        distance.scatter_(2, best.reshape(-1, 1, 1).expand(-1, distance.shape[1], 1), torch.inf)
    return rows.gather(1, torch.stack(found, 1).unsqueeze(-1).expand(-1, -1, rows.shape[-1]))


def lowest(omega: Tensor, count: int, around: Tensor | None, zero: float) -> tuple[Tensor, Tensor]:
    """Positions of the modes that are wanted, (B, count), of all omega (B, q), and the number of zero modes of each sample.

    One of each pair omega, -conj(omega): that with Re omega >= 0.  Sorted by |omega|, or by the distance from `around`.
    """
    size = omega.abs()
    none = size <= zero
    key = size if around is None else (omega - around).abs()
    key = torch.where(none | (omega.real < -1e-9 * size), torch.inf, key)
    return key.argsort(-1)[:, :count], none.sum(-1)
