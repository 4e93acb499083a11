"""How the coefficients of torchmag/solvers/gyro5.py were found: prints better and better pairs, other ones for each seed.

    python scripts/design_gyro5.py --seconds 3600

The pair in use came from the same search with derivatives compiled by JAX in ten minutes.

1. The two free coefficients of a stability polynomial of degree 7 and order 5 that stay bounded farthest along h lambda, for
   precession with damping 0.005, 0.02 and 0.1.
2. Weights that have this polynomial and order 5 (conditions of Butcher's trees), with the simplifying assumption
   sum_j a_ij c_j = c_i^2 / 2, and the least error of sixth order: from random starts, by least squares, then SLSQP.
"""

import argparse
import functools
import math
import time

import numpy as np
import torch
from scipy.optimize import least_squares, minimize

STAGES, ORDER, DAMPING = 7, 5, (0.005, 0.02, 0.1)
LOWER = [(i, j) for i in range(1, STAGES) for j in range(i)]


@functools.cache
def trees(order):
    """Rooted trees with so many nodes, each a sorted tuple of subtrees."""
    if order == 1:
        return [()]
    found = set()

    def branch(left, largest, chosen):
        if not left:
            found.add(tuple(sorted(chosen, key=repr)))
        for size in range(min(left, largest), 0, -1):
            for tree in trees(size):
                branch(left - size, size, [*chosen, tree])

    branch(order - 1, order - 1, [])
    return sorted(found, key=repr)


def size(tree):
    return 1 + sum(map(size, tree))


def density(tree):
    return size(tree) * math.prod(map(density, tree))


def symmetry(tree):
    return math.prod(math.factorial(tree.count(t)) * symmetry(t) ** tree.count(t) for t in set(tree))


def weights_of(tree, A):
    """Butcher's elementary weights of the stages."""
    return functools.reduce(lambda v, t: v * (A @ weights_of(t, A)), tree, torch.ones(len(A), dtype=A.dtype))


def defect(tree, A, b):
    return b @ weights_of(tree, A) - 1 / density(tree)


def taken_apart(x):
    A = torch.zeros(STAGES, STAGES, dtype=x.dtype).index_put(tuple(torch.tensor(LOWER).T), x[: len(LOWER)])
    return A, x[len(LOWER) :]


def reach(polynomial):
    """How far |R(h lambda)| <= 1 holds for every damping."""
    h, found = np.linspace(0, 8, 4001)[1:], []
    for alpha in DAMPING:
        grows = np.abs(np.polyval(polynomial[::-1], -complex(alpha, 1) / math.hypot(alpha, 1) * h)) > 1 + 1e-9
        found.append(h[np.argmax(grows)] if grows.any() else h[-1])
    return min(found)


def polynomial(free):
    """Coefficients of R; `free` are the last ones times their factorials."""
    last = [f / math.factorial(ORDER + 1 + i) for i, f in enumerate(free)]
    return np.array([1 / math.factorial(k) for k in range(ORDER + 1)] + last)


def best_polynomial():
    """The free coefficients of the best one: a grid, then a finer one around its best point."""
    center, width = np.array([0.7, 0.7]), 0.4
    for _ in range(6):
        grid = [center + width * np.array([x, y]) for x in np.linspace(-1, 1, 21) for y in np.linspace(-1, 1, 21)]
        center, width = max(grid, key=lambda free: reach(polynomial(free))), width / 4
    return center


def conditions(x, free):
    A, b = taken_apart(x)
    c = A.sum(1)
    found = [defect(tree, A, b) for order in range(1, ORDER + 1) for tree in trees(order)]
    for k, f in enumerate(free, ORDER + 1):
        tall = functools.reduce(lambda v, _: A @ v, range(k - 1), torch.ones(STAGES, dtype=x.dtype))
        found.append((b @ tall - f / math.factorial(k)) * 30)
    found += [*(A @ c - c * c / 2)[2:], b[1], b @ A[:, 1], (b * c) @ A[:, 1], b @ (A @ A[:, 1])]
    return torch.stack(found)


def error(x):
    """Squared norm of the coefficients of the error of sixth order."""
    A, b = taken_apart(x)
    return sum((defect(tree, A, b) / symmetry(tree)) ** 2 for tree in trees(ORDER + 1))


def cost(x):
    """The error, with large coefficients and stages outside of the step made costly."""
    c = taken_apart(x)[0].sum(1)
    outside = ((0.05 - c[1:]).clamp(min=0) ** 2).sum() + ((c - 1).clamp(min=0) ** 2).sum()
    return 1e6 * error(x) + ((x.abs() - 4).clamp(min=0) ** 2).sum() + 10 * outside


def numpy_of(function):
    return lambda x: function(torch.tensor(x)).detach().numpy()


def search(free, seconds, seed):
    """The best weights found in the time."""
    holds = lambda x: conditions(x, free)
    values, slopes = numpy_of(holds), numpy_of(torch.func.jacrev(holds))
    goal, downhill = numpy_of(cost), numpy_of(torch.func.grad(cost))
    equal = {"type": "eq", "fun": values, "jac": slopes}
    rng, best, stop = np.random.default_rng(seed), (math.inf, None), time.monotonic() + seconds
    while time.monotonic() < stop:
        start = np.concatenate([0.5 * rng.normal(size=len(LOWER)), 0.3 * rng.normal(size=STAGES)])
        met = least_squares(values, start, jac=slopes, max_nfev=200)
        if met.cost > 1e-16 or np.abs(met.x).max() > 20:
            continue
        found = minimize(goal, met.x, jac=downhill, method="SLSQP", constraints=equal, options={"maxiter": 400, "ftol": 1e-14})
        if np.abs(values(found.x)).max() < 1e-8 and found.fun < best[0]:
            best = found.fun, found.x
            print(f"error of sixth order {math.sqrt(error(torch.tensor(found.x))):.3e}", flush=True)
    return best[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    free = best_polynomial()
    print(f"free coefficients {free}, stable to |h lambda| = {reach(polynomial(free)):.2f}")
    x = search(free, options.seconds, options.seed)
    for _ in range(4):  # to rounding
        values, slopes = (
            f(torch.tensor(x)).numpy() for f in (lambda x: conditions(x, free), torch.func.jacrev(lambda x: conditions(x, free)))
        )
        x = x - np.linalg.lstsq(slopes, values, rcond=1e-12)[0]
    A, b = taken_apart(torch.tensor(x))
    print("a", [row[:i].tolist() for i, row in enumerate(A) if i], "\nb", b.tolist())
    # The embedded method: the one direction in which the stages leave the fourth order.
    stages = torch.cat([torch.cat([A, torch.zeros(STAGES, 1, dtype=A.dtype)], 1), torch.cat([b, b.new_zeros(1)])[None]])
    rows = torch.stack([weights_of(tree, stages) for order in range(1, ORDER) for tree in trees(order)])
    print("e, up to a factor", torch.linalg.svd(rows).Vh[-1].tolist())


if __name__ == "__main__":
    main()
