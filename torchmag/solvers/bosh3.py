"""Bogacki and Shampine 3(2), Appl. Math. Lett. 2, 321 (1989)."""

from torchmag.solvers.tableau import Tableau

BOSH3 = Tableau(
    name="bosh3",
    order=3,
    c=(0, 1 / 2, 3 / 4),
    a=((1 / 2,), (0, 3 / 4)),
    b=(2 / 9, 1 / 3, 4 / 9),
    e=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    # Cubic Hermite interpolation at the middle: (m0 + m1) / 2 + dt (k0 - k1) / 8.
    mid=(1 / 9 + 1 / 8, 1 / 6, 2 / 9, -1 / 8),
)
