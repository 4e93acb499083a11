"""The demagnetising tensor in multiple precision, and the brute-force demagnetising energy made from it.

Independent of torchmag: Newell, Williams, Dunlop, J. Geophys. Res. 98, 9551 (1993), Eqs. 27 and 32, in their logarithmic
form, with the sum over the 8 x 8 pairs of corners of the two cells written out by second differences.
"""

import itertools
from functools import cache

import mpmath as mp
import numpy as np

DIGITS = 80
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def demag_tensor_exact(offset, spacing):
    """N_ab between equal cells with edges `spacing`, `offset` cells apart: dict {(a, b): mpf}."""
    with mp.workdps(DIGITS):
        h = tuple(mp.mpf(repr(s)) for s in spacing)
        scale = 4 * mp.pi * h[0] * h[1] * h[2]
        return {(a, b): _sixth_difference(a, b, tuple(offset), h) / scale for a, b in PAIRS}


def demag_tensor_table(counts, spacing):
    """N between all pairs of cells of a grid as float64: (3, 3, 2 n_x - 1, 2 n_y - 1, 2 n_z - 1), centre at offset 0."""
    table = np.zeros((3, 3, *(2 * n - 1 for n in counts)))
    for offset in itertools.product(*map(range, counts)):
        exact = demag_tensor_exact(offset, spacing)
        for signs in itertools.product((1, -1), repeat=3):
            where = tuple(n - 1 + s * o for n, s, o in zip(counts, signs, offset))
            for (a, b), value in exact.items():
                # N_ab is odd along a and along b, even along the third axis.
                parity = 1 if a == b else signs[a] * signs[b]
                table[(a, b, *where)] = table[(b, a, *where)] = parity * float(value)
    return table


def cell_field_brute_force(M, spacing):
    """H = -sum_c' N(c - c') M_c', one pair of cells at a time: (3, nx, ny, nz) -> same."""
    counts = M.shape[1:]
    table = demag_tensor_table(counts, spacing)
    H = np.zeros_like(M)
    cells = list(itertools.product(*map(range, counts)))
    for target in cells:
        for source in cells:
            where = tuple(n - 1 + t - s for n, t, s in zip(counts, target, source))
            H[(slice(None), *target)] -= table[(slice(None), slice(None), *where)] @ M[(slice(None), *source)]
    return H


def _sixth_difference(a, b, offset, h):
    c = (a + 1) % 3 if a == b else 3 - a - b
    total = mp.mpf(0)
    for shift in itertools.product((-1, 0, 1), repeat=3):
        weight = 1
        for s in shift:
            weight *= 2 if s == 0 else -1
        r = [(o + s) * edge for o, s, edge in zip(offset, shift, h)]
        if a == b:
            total += weight * _f(abs(r[a]), abs(r[c]), abs(r[3 - a - c]))
        else:
            total += weight * mp.sign(r[a] * r[b]) * _g(abs(r[a]), abs(r[b]), abs(r[c]))
    return total


@cache
def _f(x, y, z):
    R = mp.sqrt(x * x + y * y + z * z)
    total = (2 * x * x - y * y - z * z) * R / 6
    if x or z:
        total += y / 2 * (z * z - x * x) * mp.log((y + R) / mp.sqrt(x * x + z * z))
    if x or y:
        total += z / 2 * (y * y - x * x) * mp.log((z + R) / mp.sqrt(x * x + y * y))
    if x:
        total -= x * y * z * mp.atan2(y * z, x * R)
    return total


@cache
def _g(x, y, z):
    # Only for x, y >= 0; the sign is put back by the caller.
    if not (x and y):
        return mp.mpf(0)
    R = mp.sqrt(x * x + y * y + z * z)
    total = x * y * z * mp.log((z + R) / mp.sqrt(x * x + y * y))
    total += y / 6 * (3 * z * z - y * y) * mp.log((x + R) / mp.sqrt(y * y + z * z))
    total += x / 6 * (3 * z * z - x * x) * mp.log((y + R) / mp.sqrt(x * x + z * z))
    total -= z * y * y / 2 * mp.atan2(x * z, y * R) + z * x * x / 2 * mp.atan2(y * z, x * R)
    if z:
        total -= z**3 / 6 * mp.atan2(x * y, z * R)
    return total - x * y * R / 3
