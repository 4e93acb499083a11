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
    _loops().multiply(spectrum, kernel, table.counts, table.rows, table.origins, table.signs, found)


@functools.cache
def _loops():
    # Not before the first product: numba takes half a second to import.
    return importlib.import_module("torchmag.energies.loops")
