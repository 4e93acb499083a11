"""The demagnetising tensor between equal cuboids: exact near, multipole-exact Gauss rule far.

N(R) is the mean over the target cell of the field of a homogeneously magnetised source cell at offset R, H = -N M.
Near: Newell, Williams, Dunlop, J. Geophys. Res. 98, 9551 (1993).  Its sixth difference loses digits as R^6, so it is
evaluated in extended precision (where NumPy's longdouble has it) and only near.
Far: N is the dipole tensor averaged over the difference of two points, one in each cell, whose density is a product of hat
functions.  A p-point Gauss rule for the hat matches all its moments below 2p: it sums the asymptotic expansion in 1/R
up to the order R^-(2p+2), with positive weights and without its cancellations.
"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
# Beyond this many times the longest cell edge the Gauss rule takes over.
NEAR = 4.0
# Moments are matched until (edge / 2R)^(2p) is below this.
TOLERANCE = 1e-14


def demag_tensor(counts: Sequence[int], spacing: Sequence[float]) -> Tensor:
    """N for all offsets (i, j, k) with 0 <= i < counts[0] ...: (6, *counts), float64, components xx yy zz xy xz yz.

    Diagonal components are even in every offset, N_ab is odd along a and along b.
    """
    # Lengths in units of the longest edge: N is dimensionless.
    longest = max(spacing)
    h = [s / longest for s in spacing]
    axes = [torch.arange(n, dtype=torch.float64) * s for n, s in zip(counts, h)]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij")).reshape(3, -1)
    distance = torch.linalg.vector_norm(offsets, dim=0)
    found = torch.empty(6, offsets.shape[1], dtype=torch.float64)
    near = distance < NEAR
    found[:, near] = torch.from_numpy(_newell(offsets[:, near].numpy(), h))
    points = torch.stack([_points_needed(s / distance) for s in h], -1)
    for needed in points[~near].unique(dim=0).tolist():
        chosen = ~near & (points == torch.tensor(needed)).all(-1)
        found[:, chosen] = _far(offsets[:, chosen], h, needed)
    return found.reshape(6, *counts)


def _points_needed(ratio: Tensor) -> Tensor:
    """Points of the Gauss rule for an edge / distance ratio."""
    return torch.ceil(math.log(TOLERANCE) / (2 * torch.log(ratio.clamp(max=0.9) / 2))).long().clamp(min=1)


def _far(offsets: Tensor, h: Sequence[float], needed: Sequence[int]) -> Tensor:
    """The mean of the dipole tensor over the hat functions: offsets (3, n) -> (6, n)."""
    total = torch.zeros(6, offsets.shape[1], dtype=torch.float64)
    rules = [hat_rule(count) for count in needed]
    for points in itertools.product(*(zip(*rule) for rule in rules)):
        x, y, z = (offset + u * s for offset, (u, _), s in zip(offsets, points, h))
        weight = math.prod(w for _, w in points) * math.prod(h) / (4 * math.pi)
        xx, yy, zz = x * x, y * y, z * z
        r2 = xx + yy + zz
        f = weight / (r2 * r2 * r2.sqrt())
        total[0].addcmul_(f, r2 - 3 * xx)
        total[1].addcmul_(f, r2 - 3 * yy)
        total[2].addcmul_(f, r2 - 3 * zz)
        f *= -3
        total[3].addcmul_(f, x * y)
        total[4].addcmul_(f, x * z)
        total[5].addcmul_(f, y * z)
    return total


def hat_rule(count: int) -> tuple[list[float], list[float]]:
    """Gauss rule for the weight 1 - |u| on [-1, 1]: points and weights of sum 1 (Golub and Welsch 1969)."""
    # A Legendre rule on each half integrates the hat times polynomials of degree 2 count exactly.
    x, w = np.polynomial.legendre.leggauss(count + 2)
    x = np.concatenate(((x - 1) / 2, (x + 1) / 2))
    w = np.concatenate((w, w)) / 2 * (1 - np.abs(x))
    # Stieltjes: recurrence coefficients of the orthonormal polynomials; the diagonal vanishes by symmetry.
    off_diagonal = []
    previous, current = np.zeros_like(x), np.ones_like(x) / math.sqrt(w.sum())
    for _ in range(count - 1):
        following = x * current - (off_diagonal[-1] if off_diagonal else 0.0) * previous
        off_diagonal.append(math.sqrt((w * following**2).sum()))
        previous, current = current, following / off_diagonal[-1]
    points, vectors = np.linalg.eigh(np.diag(off_diagonal, 1) + np.diag(off_diagonal, -1))
    return points.tolist(), (vectors[0] ** 2).tolist()


def _newell(offsets: np.ndarray, h: Sequence[float]) -> np.ndarray:
    """Newell's tensor: offsets (3, n) -> (6, n)."""
    offsets, h = offsets.astype(np.longdouble), np.asarray(h, dtype=np.longdouble)
    total = np.zeros((6, offsets.shape[1]), dtype=np.longdouble)
    for shift in itertools.product((-1, 0, 1), repeat=3):
        weight = math.prod(2 if s == 0 else -1 for s in shift)
        r = offsets + (np.array(shift) * h)[:, None]
        for row, (a, b) in enumerate(PAIRS):
            c = 3 - a - b if a != b else (a + 1) % 3
            total[row] += weight * (_f(r[a], r[(a + 1) % 3], r[(a + 2) % 3]) if a == b else _g(r[a], r[b], r[c]))
    return (total / (4 * np.longdouble(math.pi) * h.prod())).astype(np.float64)


def _f(x, y, z):
    """Newell's f, even in each argument (his Eq. 27)."""
    xx, yy, zz = x * x, y * y, z * z
    r = np.sqrt(xx + yy + zz)
    return (
        y / 2 * (zz - xx) * _asinh(y, xx + zz)
        + z / 2 * (yy - xx) * _asinh(z, xx + yy)
        - x * y * z * _atan(y * z, x * r)
        + (2 * xx - yy - zz) * r / 6
    )


def _g(x, y, z):
    """Newell's g, odd in x and y (his Eq. 32)."""
    xx, yy, zz = x * x, y * y, z * z
    r = np.sqrt(xx + yy + zz)
    return (
        x * y * z * _asinh(z, xx + yy)
        + y / 6 * (3 * zz - yy) * _asinh(x, yy + zz)
        + x / 6 * (3 * zz - xx) * _asinh(y, xx + zz)
        - z * zz / 6 * _atan(x * y, z * r)
        - z * yy / 2 * _atan(x * z, y * r)
        - z * xx / 2 * _atan(y * z, x * r)
        - x * y * r / 3
    )


def _asinh(a, square):
    """asinh(a / sqrt(square)), 0 where the square vanishes: every prefactor vanishes there too."""
    zero = square == 0
    return np.where(zero, 0, np.arcsinh(a / np.sqrt(np.where(zero, 1, square))))


def _atan(a, b):
    """atan(a / b), 0 where b vanishes: every prefactor vanishes there too."""
    zero = b == 0
    return np.where(zero, 0, np.arctan(a / np.where(zero, 1, b)))
