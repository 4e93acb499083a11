"""Field evaluations to equilibrium, relax beside minimize: prints the table of docs/minimize.md.

python scripts/count_evaluations.py [--small]
"""

import argparse

import torch

import torchmag as tm


def standard_problem_4(cell):
    """500 x 125 x 3 nm of permalloy from (1, .25, .1) to the s-state."""
    mesh = tm.Mesh((round(500e-9 / cell), round(125e-9 / cell)), (cell, cell, 3e-9))
    film = tm.Magnet(mesh, Ms=8e5)
    return tm.Exchange(film, 1.3e-11) + tm.Demag(film), tm.uniform(mesh, (1, 0.25, 0.1))


def box(cell):
    """60 x 60 x 20 nm with a uniaxial anisotropy along y."""
    mesh = tm.Mesh(tuple(round(side / cell) for side in (60e-9, 60e-9, 20e-9)), (cell,) * 3)
    body = tm.Magnet(mesh, Ms=8e5)
    energy = tm.Exchange(body, 1.3e-11) + tm.UniaxialAnisotropy(body, 5e4, (0, 1, 0)) + tm.Demag(body)
    return energy, tm.uniform(mesh, (0.3, 1, 0.1))


def vortex(cell):
    """A disk of 200 nm, 10 nm thick, from a vortex beside the centre."""
    mesh = tm.Mesh((round(200e-9 / cell),) * 2, (cell, cell, 10e-9))
    x, y = tm.positions(mesh, "cells")[:2] - 100e-9
    disk = tm.Magnet(mesh, Ms=8e5 * (x**2 + y**2 < 100e-9**2))
    return tm.Exchange(disk, 1.3e-11) + tm.Demag(disk), tm.vortex(mesh, center=(110e-9, 90e-9, 5e-9))


def skyrmion(cell):
    """A square of 64 nm of Co/Pt, 0.4 nm thick, from a reversed disk of 20 nm."""
    mesh = tm.Mesh((round(64e-9 / cell),) * 2, (cell, cell, 0.4e-9))
    film = tm.Magnet(mesh, Ms=5.8e5)
    energy = tm.Exchange(film, 1.5e-11) + tm.InterfaceDMI(film, 3e-3, (0, 0, 1))
    energy = energy + tm.UniaxialAnisotropy(film, 8e5, (0, 0, 1)) + tm.Demag(film)
    x, y = tm.positions(mesh)[:2] - 32e-9
    m = tm.uniform(mesh, (0, 0, 1))
    m[2, x**2 + y**2 < 10e-9**2] = -1
    return energy, m


CASES = {
    "standard problem 4, 5 nm": (standard_problem_4, 5e-9),
    "box with anisotropy, 5 nm": (box, 5e-9),
    "vortex in a disk, 5 nm": (vortex, 5e-9),
    "skyrmion, 2 nm": (skyrmion, 2e-9),
    "standard problem 4, 2.5 nm": (standard_problem_4, 2.5e-9),
    "box with anisotropy, 2.5 nm": (box, 2.5e-9),
}


def count(case, cell):
    """Evaluations of relax, bb and lbfgs, and how far apart the states of relax and lbfgs are."""
    energy, m0 = case(cell)
    with torch.no_grad():
        slow, by_relax = tm.relax(tm.LLG(energy, alpha=1), m0, info=True)
    _, by_bb = tm.minimize(energy, m0, method="bb", info=True)
    fast, by_lbfgs = tm.minimize(energy, m0, method="lbfgs", info=True)
    return [r.evaluations for r in (by_relax, by_bb, by_lbfgs)], float((slow - fast).abs().max())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the first four cases only")
    small = parser.parse_args(arguments).small
    torch.set_default_dtype(torch.float64)
    print('| case | `relax` | `minimize`, "bb" | `minimize`, "lbfgs" | largest difference in m |')
    print("|---|---|---|---|---|")
    for name, (case, cell) in list(CASES.items())[: 4 if small else None]:
        counts, apart = count(case, cell)
        print(f"| {name} | {' | '.join(map(str, counts))} | {apart:.0e} |", flush=True)


if __name__ == "__main__":
    main()
