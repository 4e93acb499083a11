"""Linear systems by restarted GMRES, a batch at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

RESTART = 40


def gmres(
    apply: Callable[[Tensor], Tensor], b: Tensor, precondition: Callable[[Tensor], Tensor], tolerance: float, max_steps: int
) -> tuple[Tensor, Tensor]:
    """Solve A x = b, each row of b a system of its own (Saad and Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986)).

    Preconditioned from the right, so that the residual is the true one; it never grows.  A may be singular if b is in its range.

    Args:
        apply: x -> A x, (B, n) -> (B, n).
        b: (B, n), real or complex.
        precondition: an approximation of the inverse of A.
        tolerance: of the residual, relative to b.
        max_steps: applications of A at most.

    Returns:
        x (B, n), and the relative residual (B), 0 where b is.
    """
    size = torch.linalg.vector_norm(b, dim=-1)
    scale = torch.where(size > 0, size, 1)
    x, r, steps = torch.zeros_like(b), b, 0
    while True:
        residual = torch.linalg.vector_norm(r, dim=-1) / scale
        if steps >= max_steps or not bool((residual > tolerance).any()):
            return x, residual
        step, used = _cycle(apply, r, precondition, tolerance * scale, min(RESTART, max_steps - steps))
        moved = x + step
        left = b - apply(moved)
        steps += used + 1
        if not bool((torch.linalg.vector_norm(left, dim=-1) < 0.999 * residual * scale).any()):
            return x, residual
        x, r = moved, left


def _cycle(apply, r, precondition, target, count):
    """The change of x that leaves the least residual in the Krylov space of r, and its dimension."""
    beta = torch.linalg.vector_norm(r, dim=-1)
    basis = [r / torch.where(beta > 0, beta, 1).unsqueeze(-1)]
    H = r.new_zeros((len(r), count + 1, count))
    for k in range(count):
        w = apply(precondition(basis[k]))
        V = torch.stack(basis, 1)
        for _ in range(2):  # once more, against rounding
            along = torch.einsum("bkn,bn->bk", V.conj(), w)
            w = w - torch.einsum("bkn,bk->bn", V, along)
            H[:, : k + 1, k] += along
        norm = torch.linalg.vector_norm(w, dim=-1)
        H[:, k + 1, k] = norm
        y, left = _least_squares(H[:, : k + 2, : k + 1], beta)
        if k + 1 == count or not bool((left > target).any()):
            break
        # A sample whose space is complete adds zeros from here on.
        found = norm > 1e-14 * torch.linalg.vector_norm(H[:, : k + 1, k], dim=-1)
        H[:, k + 1, k] = torch.where(found, norm, 0)
        basis.append(torch.where(found, 1 / torch.where(norm > 0, norm, 1), 0).unsqueeze(-1) * w)
    return precondition(torch.einsum("bkn,bk->bn", V, y)), k + 1


def _least_squares(H, beta):
    """y that minimises |beta e_1 - H y|, and that minimum."""
    target = torch.zeros_like(H[:, :, :1])
    target[:, 0, 0] = beta
    # On the CPU: small, and rank deficient for a sample that is done.
    y = (torch.linalg.pinv(H.cpu(), rtol=1e-13) @ target.cpu()).to(H.device)
    return y.squeeze(-1), torch.linalg.vector_norm(target - H @ y, dim=(-2, -1))
