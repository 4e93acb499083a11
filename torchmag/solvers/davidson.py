"""Extreme eigenpairs of large pencils by the block Davidson method, a batch at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

# Vectors of the search space, as a multiple of the block that it grows by, before it is restarted.
ROOM = 4
# Directions shorter than this part of the longest, in the square, are rounding.
LOST = 1e-13

Map = Callable[[Tensor], Tensor]
Choice = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class Indefinite(ArithmeticError):
    """The metric is not positive."""


def davidson(
    metric: Map | None, operator: Map, precondition: Map, start: Tensor, choose: Choice, done: Callable[[Tensor, Tensor, Tensor], Tensor],
    max_steps: int,
) -> tuple[Tensor, Tensor, Tensor, int]:  # fmt: skip
    """Eigenpairs K x = theta B x, with B symmetric and positive, at an end of the spectrum.

    The search space is real, orthonormal in B, grows by the preconditioned residuals (Davidson, J. Comput. Phys. 17, 87 (1975)) and is
    restarted with the Ritz vectors of now and of the step before (Stathopoulos and Saad, ETNA 7, 163 (1998)), which is what makes it as
    fast as conjugate gradients.  All maps take and give rows (B, K, n).

    Args:
        metric: B; None for 1.
        operator: K, real, of any symmetry.
        precondition: what makes a correction of a residual.
        start: (B, k, n), with at least as many rows as there are pairs.
        choose: (S^T K S (B, k, k), which basis vectors are void (B, k)) -> theta (B, p) and coefficients (B, k, p), real or complex.
        done: (theta (B, p), relative residual of q of the pairs, (B, q), which these are, bool (p)) -> whether they are accurate
            enough, bool (B, q).
        max_steps: steps at most.

    Returns:
        theta (B, p), x (B, p, n) of length 1 in B, |K x - theta B x| / (|K x| + |theta B x|) (B, p), and the steps made.
    Raises:
        Indefinite: the metric is not positive on the search space.
    """
    basis = _Basis(metric, operator, start)
    before, room, accurate = None, ROOM * start.shape[1], None
    for step in range(max_steps + 1):
        theta, y = choose(basis.matrix, basis.void)
        if accurate is None or bool(accurate.all()) or step == max_steps:
            accurate = torch.zeros_like(theta, dtype=torch.bool)
        # Pairs that are accurate are looked at again at the end.
        open_ = ~accurate.all(0)
        r, left = _residual(basis, theta[:, open_], y[..., open_])
        found = torch.zeros_like(accurate)
        found[:, open_] = done(theta, left, open_)
        every = bool(open_.all())
        accurate = found if every else accurate | found
        if step == max_steps or (every and bool(accurate.all())):
            return theta, combine(basis.S, y), left, step
        r = r[:, ~accurate.all(0)[open_]]
        if not r.shape[1]:
            before = None
            continue
        new = precondition(torch.cat([r.real, r.imag], 1) if r.is_complex() else r)
        if len(basis.matrix[0]) + new.shape[1] > room:
            basis.take(_orthonormal(y, before))
            before = None
        else:
            before = y
        basis.grow(new)
    raise AssertionError("unreachable")


def _residual(basis, theta, y):
    """Of the Ritz pairs, and its relative size."""
    image, other = combine(basis.KS, y), theta.unsqueeze(-1) * combine(basis.BS, y)
    length = lambda v: torch.linalg.vector_norm(v, dim=-1)
    r, size = image - other, length(image) + length(other)
    return r, length(r) / torch.where(size > 0, size, 1)


class _Basis:
    """An orthonormal search space with its images, S, B S and K S, each (B, k, n), and the matrix S^T K S."""

    def __init__(self, metric, operator, start):
        self.metric, self.operator = metric, operator
        self.S = self.BS = self.KS = start[:, :0]
        self.matrix = start.new_zeros(len(start), 0, 0)
        self.void = torch.zeros(len(start), 0, dtype=torch.bool, device=start.device)
        self.grow(start)

    def take(self, y):
        """Go on with these combinations of the vectors alone."""
        self.S, self.BS, self.KS = (combine(v, y) for v in (self.S, self.BS, self.KS))
        self.matrix = y.mT @ self.matrix @ y
        self.void = (self.S == 0).all(-1)

    def grow(self, new):
        """Add rows."""
        new = new / torch.linalg.vector_norm(new, dim=-1, keepdim=True).clamp(min=torch.finfo(new.dtype).tiny)
        new = new - (new @ self.BS.mT) @ self.S
        new, image = self._normal(new, new if self.metric is None else self.metric(new))
        along = new @ self.BS.mT  # once more, against rounding
        new, image = self._normal(new - along @ self.S, image - along @ self.BS)
        self.void = torch.cat([self.void, (new == 0).all(-1)], 1)
        operated = self.operator(new)
        above, below = self.S @ operated.mT, new @ torch.cat([self.KS, operated], 1).mT
        self.matrix = torch.cat([torch.cat([self.matrix, above], 2), below], 1)
        self.S, self.BS = torch.cat([self.S, new], 1), torch.cat([self.BS, image], 1)
        self.KS = torch.cat([self.KS, operated], 1)

    def _normal(self, new, image):
        gram = new @ image.mT
        square, turn = torch.linalg.eigh(0.5 * (gram + gram.mT))
        if bool((square[:, 0] < -1e3 * LOST * square[:, -1].abs()).any()):
            raise Indefinite
        factor = torch.where(square > LOST * square[:, -1:], square, torch.inf).rsqrt()
        turn = turn * factor.unsqueeze(-2)
        return combine(new, turn), combine(image, turn)


def combine(v: Tensor, y: Tensor) -> Tensor:
    """Rows (B, k, n) with coefficients (B, k, p): (B, p, n)."""
    if y.is_complex() and not v.is_complex():
        return torch.complex(y.real.mT @ v, y.imag.mT @ v)
    return y.mT @ v


def _orthonormal(y, before):
    """Real orthonormal coefficients of the Ritz vectors of now and of the step before."""
    parts = (
        [y]
        if before is None
        else [y, torch.cat([before, before.new_zeros(len(y), y.shape[1] - before.shape[1], before.shape[2])], 1)]
    )
    parts = [part for z in parts for part in ((z.real, z.imag) if z.is_complex() else (z,))]
    every = torch.cat(parts, 2)
    u, size, _ = torch.linalg.svd(every, full_matrices=False)
    return u * (size > 1e-10 * size[:, :1]).unsqueeze(1)
