"""Evaluations that the methods of torchmag take over the error they make, on three problems: prints a table, draws a picture.

    python scripts/work_precision.py --plot work-precision.png

Standard problem 4, field 1, with cells of 5 nm (1 ns) and 2.5 nm (0.2 ns), and a vortex that starts beside the centre of a disk, 100 nm wide
and 20 nm thick, in cells of 2.5 nm (0.2 ns, damping 0.02).  The error is the root mean square over the nodes of the length of the
difference in m at the end, to tsit5 with a tolerance of 1e-10.  Evaluations do not depend on the machine.
"""

import argparse
import math

import torch

import torchmag as tm

METHODS = ("gyro5", "dopri5", "tsit5", "bosh3")
TOLERANCES = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7)


class Counted(tm.LLG):
    """Counts its evaluations."""

    count = 0

    def forward(self, t, m, values=None):
        Counted.count += 1
        return super().forward(t, m, values)


def standard_problem_4(cell):
    mesh = tm.Mesh((round(500e-9 / cell), round(125e-9 / cell)), (cell, cell, 3e-9))
    film = tm.Magnet(mesh, Ms=8e5)
    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
    m0 = tm.minimize(energy, tm.uniform(mesh, (1, 0.25, 0.1)))
    field = torch.tensor([-24.6e-3, 4.3e-3, 0.0]) / (4e-7 * math.pi)
    return Counted(energy + tm.Zeeman(film, field), alpha=0.02, gamma=2.211e5), m0


def vortex(cell):
    mesh = tm.Mesh((round(100e-9 / cell),) * 2 + (round(20e-9 / cell),), (cell,) * 3)
    x, y, _ = tm.positions(mesh, "cells") - 50e-9
    disk = tm.Magnet(mesh, Ms=8e5 * (x**2 + y**2 < (50e-9) ** 2))
    llg = Counted(tm.Exchange(disk, 1.3e-11) + tm.Demag(disk), alpha=0.02)
    return llg, tm.vortex(mesh, center=(60e-9, 50e-9, 10e-9))


PROBLEMS = {
    "SP4, 5 nm, 1 ns": (standard_problem_4, 5e-9, 1e-9),
    "SP4, 2.5 nm, 0.2 ns": (standard_problem_4, 2.5e-9, 2e-10),
    "vortex in 3D, 2.5 nm, 0.2 ns": (vortex, 2.5e-9, 2e-10),
}


def measure(llg, m0, span):
    """{method: [(evaluations, error)]}."""

    def run(method, tolerance):
        Counted.count = 0
        m = tm.solve(llg, m0, [0.0, span], method=method, rtol=tolerance, atol=tolerance)[-1]
        return m, Counted.count

    exact, _ = run("tsit5", 1e-10)
    inside = exact.square().sum(0) > 0.5
    found = {}
    for method in METHODS:
        for tolerance in TOLERANCES:
            m, evaluations = run(method, tolerance)
            error = float((m - exact).square().sum(0)[inside].mean().sqrt())
            found.setdefault(method, []).append((tolerance, evaluations, error))
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=list(PROBLEMS), metavar="NAME")
    parser.add_argument("--plot", help="a picture of them")
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    print(
        "| problem | method | "
        + " | ".join(f"{tolerance:g}" for tolerance in TOLERANCES)
        + " |\n|"
        + "---|" * (2 + len(TOLERANCES))
    )
    found = {}
    for name in options.problems:
        make, cell, span = PROBLEMS[name]
        found[name] = measure(*make(cell), span)
        for method, points in found[name].items():
            print(
                f"| {name} | {method} | " + " | ".join(f"{count}: {error:.0e}" for _, count, error in points) + " |", flush=True
            )
    if options.plot:
        plot(found, options.plot)


def plot(found, path):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(found), figsize=(4 * len(found), 4), layout="constrained", sharex=True, squeeze=False)
    for ax, (name, methods) in zip(axes[0], found.items()):
        for method, points in methods.items():
            _, counts, errors = zip(*points)
            ax.loglog(errors, counts, "o-", label=method, linewidth=2.5 if method == "gyro5" else 1)
        ax.set(title=name, xlabel="rms error of m")
    axes[0, 0].set_ylabel("evaluations")
    axes[0, -1].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
