"""The problems, without a package."""

# The protocol of runs: so many steps of so many s.
STEPS, STEP = 20, 1e-15
# A and D in J/m and J/m^2, Ku in J/m^3, H in A/m along z.
MATERIAL = {"Ms": 1e6, "A": 1.3e-11, "Ku": 8e5, "D": 3e-3, "H": 8e4, "alpha": 0.1}
PROBLEMS = ("exchange", "film", "disk", "disk-maps")


def material(n, problem):
    """Cell size, which cells are magnetic or None, and the parameters, numpy arrays where they are maps."""
    import numpy as np

    if problem == "exchange":
        return (5e-9, 5e-9, 3e-9), None, {"Ms": 8e5, "A": 1.3e-11, "alpha": 0.02}
    found, inside = dict(MATERIAL), None
    if problem != "film":
        x, y = (np.arange(count) + 0.5 - count / 2 for count in n[:2])
        inside = np.broadcast_to(((x[:, None] / n[0]) ** 2 + (y / n[1]) ** 2 < 0.25)[..., None], n)
    if problem == "disk-maps":
        draw = np.random.default_rng(0)
        found |= {name: found[name] * (1 + 0.1 * draw.uniform(-1, 1, n)) for name in ("A", "Ku", "D")}
    return (1e-9,) * 3, inside, found
