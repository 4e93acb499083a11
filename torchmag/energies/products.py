"""The product of a spectrum and a kernel in one pass, compiled by numba (an extra, as ducc0 is): numpy would take fifteen passes."""

import functools
import importlib
import importlib.util
from dataclasses import dataclass

import numpy as np


def available() -> bool:
    """Whether numba is installed; it takes too long to import to be asked itself."""
    return importlib.util.find_spec("numba") is not None


@dataclass(frozen=True, eq=False)
class Table:
    """Which of a kernel's rows times which component adds to which, as arrays (3, 3): target, and each of its terms.

    Attributes:
        counts: terms of each target (3).
        rows, origins: row of the kernel and component that it multiplies.
        signs: of the frequencies that are kept, and of those that mirror them (2, 3, 3).
    """

    counts: np.ndarray
    rows: np.ndarray
    origins: np.ndarray
    signs: np.ndarray

    @classmethod
    def of(cls, terms: tuple[tuple[int, int, int, int], ...], mirror: tuple[int, ...]) -> "Table":
        """From (target, origin, row, sign) of each term and the sign of each row under reflection."""
        counts, rows, origins = np.zeros(3, np.int64), np.zeros((3, 3), np.int64), np.zeros((3, 3), np.int64)
        signs = np.zeros((2, 3, 3), np.int64)
        for target, origin, row, sign in terms:
            number = counts[target]
            rows[target, number], origins[target, number] = row, origin
            signs[:, target, number] = sign, sign * mirror[row]
            counts[target] += 1
        return cls(counts, rows, origins, signs)


def multiply(spectrum: np.ndarray, kernel: np.ndarray, table: Table, found: np.ndarray) -> None:
    """Write the product to `found`: (samples, 3, length, columns) complex, with a kernel (rows, kept, columns) real.

    Of the first axis the kernel keeps frequencies 0 ... kept - 1; the others are their mirror images.
    """
    if kernel.shape[1] == spectrum.shape[2]:
        # Nothing is mirrored: one long row.
        shape, kernel = (*spectrum.shape[:2], 1, -1), kernel.reshape(len(kernel), 1, -1)
        spectrum, found = spectrum.reshape(shape), found.reshape(shape)
    _compiled()(spectrum, kernel, table.counts, table.rows, table.origins, table.signs, found)


@functools.cache
def _compiled():
    numba = importlib.import_module("numba")

    def compile(function):
        try:
            return numba.njit(function, nogil=True, fastmath={"contract"}, cache=True)
        except RuntimeError:  # there is no folder to keep it in
            return numba.njit(function, nogil=True, fastmath={"contract"})

    one, two, three = compile(_one), compile(_two), compile(_three)

    def multiply(spectrum, kernel, counts, rows, origins, signs, found):
        kept, length, real = kernel.shape[1], spectrum.shape[2], kernel.dtype.type
        for sample in range(spectrum.shape[0]):
            x = spectrum[sample]
            for i in range(length):
                mirrored = int(i >= kept)
                j = length - i if mirrored else i
                for target in range(3):
                    out, r, o, s = found[sample, target, i], rows[target], origins[target], signs[mirrored, target]
                    if counts[target] == 0:
                        out[:] = 0
                        continue
                    a, b, c = real(s[0]), real(s[1]), real(s[2])
                    if counts[target] == 1:
                        one(out, a, kernel[r[0], j], x[o[0], i])
                    elif counts[target] == 2:
                        two(out, a, kernel[r[0], j], x[o[0], i], b, kernel[r[1], j], x[o[1], i])
                    else:
                        f, g, h = kernel[r[0], j], kernel[r[1], j], kernel[r[2], j]
                        three(out, a, f, x[o[0], i], b, g, x[o[1], i], c, h, x[o[2], i])

    return compile(multiply)


def _one(out, a, f, x):
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i]


def _two(out, a, f, x, b, g, y):
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i] + (b * g[i]) * y[i]


def _three(out, a, f, x, b, g, y, c, h, z):
    for i in range(len(out)):
        out[i] = (a * f[i]) * x[i] + (b * g[i]) * y[i] + (c * h[i]) * z[i]
