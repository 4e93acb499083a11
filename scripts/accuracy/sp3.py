"""muMAG standard problem 3: the edge at which flower and vortex of a cube have the same energy, in exchange lengths."""

import report
import torch
from cells import Cells, as_energy, centres

import torchmag as tm

MS, COUNTS, CELLS_UP_TO = 8e5, (8, 10, 12, 16, 20, 24, 32), 24
KM = tm.mu_0 * MS**2 / 2
PUBLISHED = 8.4687  # extrapolated, arXiv 2107.07855; 8.47, Rave et al., J. Magn. Magn. Mater. 190, 332
EDGE = 1e-7


def crossing(scheme, n):
    """The edge in exchange lengths, by secants; it is set through A, so that mesh and kernel stay."""
    mesh = tm.Mesh((n, n, n), (EDGE / n,) * 3)
    if scheme == "cells":
        cells = Cells(mesh, MS, 1e-11, Ku=0.1 * KM)
        energy, points = as_energy(cells), centres(mesh)
    else:
        cube = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy = tm.Exchange(cube, 1e-11) + tm.UniaxialAnisotropy(cube, 0.1 * KM, axis=(0, 0, 1)) + tm.Demag(cube)
        points = tm.positions(mesh)
    x, y, z = points / EDGE - 0.5
    core = torch.exp(-(y * y + z * z) / 0.03)
    vortex = torch.stack((core, -z + 0 * x, y + 0 * x))
    flower = torch.stack((0.1 * x * z, 0.1 * y * z, torch.ones_like(x)))
    states = [m / m.norm(dim=0) for m in (flower, vortex)]

    def difference(L):
        A = KM * (EDGE / L) ** 2
        if scheme == "cells":
            cells.A = A
        else:
            energy.exchange.A = A
        for i, m in enumerate(states):
            states[i], record = tm.minimize(energy, m, tolerance=1e-6, info=True)
            assert record.residual < 1e-4, record
        return float(energy.energy(states[0]) - energy.energy(states[1])) / (KM * EDGE**3)

    L = [8.4, 8.5]
    D = [difference(each) for each in L]
    while abs(L[-1] - L[-2]) > 1e-5 and len(L) < 8:
        L.append(L[-1] - D[-1] * (L[-1] - L[-2]) / (D[-1] - D[-2]))
        D.append(difference(L[-1]))
    return L[-1]


def main(redraw):
    if not redraw:
        rows = []
        for n in COUNTS:
            for scheme in report.computed:
                if scheme == "cells" and n > CELLS_UP_TO:
                    continue
                rows.append({"n": n, "scheme": scheme, "L": crossing(scheme, n)})
                print(rows[-1], flush=True)
        report.save("sp3", rows)
    rows = report.load("sp3")
    limits = {}
    for scheme in report.SCHEMES:
        (n0, L0), (n1, L1) = [(row["n"], row["L"]) for row in rows if row["scheme"] == scheme][-2:]
        limits[scheme] = L1 + (L1 - L0) / ((n1 / n0) ** 2 - 1)
        print(f"{scheme}: limit {limits[scheme]:.5f} from {n0:g} and {n1:g}; published: {PUBLISHED}")
    for row in rows:
        row["error"] = 100 * (row["L"] / limits["order 6"] - 1)
    report.figure("sp3", {"flower and vortex": report.curves(rows, "n")}, "cells an edge", "error of the edge, %")
    lines = {}
    for row in rows:
        lines.setdefault(row["n"], {})[row["scheme"]] = f"{row['L']:.4f}"
    report.table(
        ["cells an edge", *report.SCHEMES], [[n, *(line.get(s, "") for s in report.SCHEMES)] for n, line in lines.items()]
    )
