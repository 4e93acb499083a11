"""Derivatives by differences, with an estimate of their error."""

from collections.abc import Sequence


def ridders(steps: Sequence[float], slopes: Sequence[float], noise: float) -> tuple[float, float]:
    """The best of Richardson's extrapolations of central differences, and an estimate of its error (Ridders 1982).

    Args:
        steps: falling by a constant factor.
        slopes: (f(h) - f(-h)) / 2h of each.
        noise: of f, at least.

    Each column of the table removes the next even power of h; where rounding takes over, neighbours drift apart again.
    The error is the larger distance to the two neighbours that an entry is made of plus noise / h, since neighbours may agree by
    chance; the best entry is the one where it is least.
    """
    best, error, column = slopes[-1], float("inf"), list(slopes)
    ratio = (steps[0] / steps[1]) ** 2
    power = ratio
    while len(column) > 1:
        following = [fine + (fine - coarse) / (power - 1) for coarse, fine in zip(column, column[1:])]
        for number, value in enumerate(following):
            h = steps[number + len(slopes) - len(following)]
            apart = max(abs(value - column[number]), abs(value - column[number + 1])) + noise / h
            if apart < error:
                best, error = value, apart
        column, power = following, power * ratio
    return best, error
