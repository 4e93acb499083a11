"""Explicit Runge-Kutta methods as constants."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tableau:
    """An embedded explicit Runge-Kutta method.

    Attributes:
        name: as in `tm.solve(method=...)`.
        order: of the solution.
        c: times of the stages, the first is 0.
        a: weights of the earlier stages, one row per stage after the first.
        b: weights of the solution.
        e: weights of the error estimate, one more than b where the last one is the rate at the new state.
        mid: weights of the solution at the middle of the step, for dense output; as many as e.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    e: tuple[float, ...]
    mid: tuple[float, ...]
