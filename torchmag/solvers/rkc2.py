"""Runge-Kutta-Chebyshev of second order with a fixed number of stages, as a tableau: Sommeijer, Shampine and Verwer, J. Comput. Appl. Math. 88,
315 (1998).

Its region of stability stretches along the negative real axis, where the eigenvalues of overdamped motion lie, to 2/3 of the number of
stages squared: with seven stages to 31, 4.5 for each evaluation, where Bogacki and Shampine's method reaches 0.84.
"""

import math

from torchmag.solvers.tableau import Tableau

# Widens the region around the axis, as published.
DAMPING = 2 / 13


def rkc2(stages: int) -> Tableau:
    """The tableau with some stages."""
    # Chebyshev polynomials at w0 = cosh(x), and their first and second derivatives.
    w0 = 1 + DAMPING / stages**2
    x, root = math.acosh(w0), math.sqrt(w0**2 - 1)
    value = [math.cosh(j * x) for j in range(stages + 1)]
    slope = [j * math.sinh(j * x) / root for j in range(stages + 1)]
    curve = [(j**2 * value[j] - w0 * slope[j]) / root**2 for j in range(stages + 1)]
    w1 = slope[-1] / curve[-1]
    b = [curve[j] / slope[j] ** 2 for j in range(2, stages + 1)]
    b = [b[0], b[0], *b]
    # Of the rates in the state of each stage, by the recursion of the polynomials.
    weights = [[0.0] * stages for _ in range(stages + 1)]
    weights[1][0] = b[1] * w1
    for j in range(2, stages + 1):
        mu, nu, rate = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        weights[j] = [mu * one + nu * two for one, two in zip(weights[j - 1], weights[j - 2])]
        weights[j][j - 1] += rate
        weights[j][0] -= rate * (1 - b[j - 1] * value[j - 1])
    end = weights[-1]
    # 4/5 (m0 - m1) + 2/5 dt (k0 + k1), as published.
    error = [-0.8 * weight for weight in end]
    error[0] += 0.4
    return Tableau(
        name=f"rkc2-{stages}",
        order=2,
        c=tuple(sum(row) for row in weights[:-1]),
        a=tuple(tuple(row[:j]) for j, row in enumerate(weights) if 0 < j < stages),
        b=tuple(end),
        e=(*error, 0.4),
        # Cubic Hermite interpolation at the middle: (m0 + m1) / 2 + dt (k0 - k1) / 8.
        mid=(end[0] / 2 + 1 / 8, *(weight / 2 for weight in end[1:]), -1 / 8),
    )


RKC2 = rkc2(7)
