"""mumax3, timed by a script of its own: fixed steps of 1 fs, over their evaluations.  It needs CUDA and computes in single precision."""

import re
import subprocess
import tempfile
from math import pi, prod
from pathlib import Path

from peers.problem import STEP, material

PROBLEMS = ("exchange", "film", "disk")  # maps would need a region for each cell, of which there are 256
EVALUATIONS = 6  # of a step of its Dormand-Prince method: the last is the first of the next step
SCRIPT = """SetGridSize({n})
SetCellSize({dx})
{geometry}
Msat = {Ms!r}
Aex = {A!r}
alpha = {alpha!r}
{terms}
m = RandomMagSeed(1)
SetSolver(5)
FixDt = {step!r}
Steps(20)
start := now()
Steps({steps})
print("SECONDS", since(start).Seconds())
"""


def script(n, problem: str, steps: int) -> str:
    """The problem on a mesh of n cells.  Its interface DMI has the opposite sign of D, its field is in tesla."""
    dx, inside, given = material(n, problem)
    geometry, terms = "", []
    if inside is not None:
        geometry = f"SetGeom(Ellipse({n[0] * dx[0]!r}, {n[1] * dx[1]!r}))"
    if "Ku" in given:
        terms = [
            f"Ku1 = {given['Ku']!r}",
            "anisU = vector(0, 0, 1)",
            f"Dind = {-given['D']!r}",
            f"B_ext = vector(0, 0, {4e-7 * pi * given['H']!r})",
        ]
    rows = lambda values: ", ".join(map(repr, values))
    return SCRIPT.format(
        n=rows(n),
        dx=rows(dx),
        geometry=geometry,
        terms="\n".join(terms),
        step=STEP,
        steps=steps,
        **{name: given[name] for name in ("Ms", "A", "alpha")},
    )


def time_mumax3(mesh, options):
    """Seconds per evaluation."""
    n = tuple(map(int, mesh.split("x")))
    steps = max(20, min(2000, int(2e8 / prod(n))))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.mx3")
        path.write_text(script(n, options.problem, steps))
        command = [options.mumax3, "-http", "", "-o", str(Path(folder, "out")), str(path)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder
        )
    return seconds(done.stdout) / (EVALUATIONS * steps)


def seconds(printed: str) -> float:
    """What the script measured; a RuntimeError with its last lines if it did not come so far."""
    found = re.findall(r"SECONDS\s+([0-9.]+(?:[eE][-+]?[0-9]+)?)", printed)
    if not found:
        raise RuntimeError(
            "mumax3 did not end its run: " + "; ".join(line.strip() for line in printed.splitlines()[-5:] if line.strip())
        )
    return float(found[-1])
