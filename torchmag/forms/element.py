"""The multilinear element on a cuboid: modes, their integrals, Gauss points.

In the reference cell xi in [-1/2, 1/2]^dim a node field is the sum over modes s in {0, 1}^dim of c_s * prod_a xi_a^s_a, where
c_s is mean or difference along each axis.  The modes are orthogonal, which makes the matrix of every quadratic form
diagonal in them: the sum factorisation of the element.
"""

import itertools
import math

import numpy as np
import sympy as sp

Mode = tuple[int, ...]


def modes(dim: int) -> tuple[Mode, ...]:
    """All modes of the element, the mean first."""
    return tuple(itertools.product((0, 1), repeat=dim))


def mean_product(a: Mode, b: Mode) -> sp.Rational:
    """Mean over the cell of prod xi^a xi^b: 1 or 1/12 along each axis, 0 where the powers differ."""
    if a != b:
        return sp.Integer(0)
    return sp.Rational(1, 12 ** sum(a))


def derivative(mode: Mode, axis: int) -> Mode | None:
    """The mode whose shape function is d/dxi_axis of this one's; None if that is zero."""
    if not mode[axis]:
        return None
    return (*mode[:axis], 0, *mode[axis + 1 :])


def nodal(mode: Mode) -> dict[Mode, sp.Rational]:
    """What gathering a mode of the cells back to the nodes, over the lumped mass, makes of a node field that is uniform in its coefficient.

    Products of second differences, {axes that are differenced: factor}: along each axis a mean gives 1 + d^2/4, a difference -d^2.
    """
    found = {}
    for differenced in itertools.product((0, 1), repeat=len(mode)):
        factors = [-d if s else sp.Rational(1, 4) ** d for s, d in zip(mode, differenced)]
        found[differenced] = sp.Mul(*factors)
    return {key: factor for key, factor in found.items() if factor}


def gauss(counts: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Tensor-product Gauss-Legendre rule on the reference cell: points (Q, dim) and weights (Q,) of sum 1."""
    rules = [np.polynomial.legendre.leggauss(count) for count in counts]
    points = np.array(list(itertools.product(*(rule[0] / 2 for rule in rules))))
    weights = np.array([math.prod(w) for w in itertools.product(*(rule[1] / 2 for rule in rules))])
    return points, weights


def shape_values(points: np.ndarray, mode: Mode) -> np.ndarray:
    """prod_a xi_a^s_a at the points: (Q, dim) -> (Q,)."""
    return np.prod(points ** np.array(mode), axis=1)
