"""A vortex at rest in 100 x 100 x 10 nm, the start of muMAG standard problem 5, in one layer: energy, and moment of its core."""

import report
import torch
from cells import Cells, as_energy, centres

import torchmag as tm

MS, A, EDGE = 8e5, 1.3e-11, 100e-9
COUNTS = (10, 14, 20, 28, 40, 56)
FINE = (80, 112)


def film(scheme, n):
    """The energy of n x n cells, and a vortex to start from."""
    mesh = tm.Mesh((n, n), (EDGE / n, EDGE / n, 10e-9))
    if scheme == "cells":
        energy, points = as_energy(Cells(mesh, MS, A)), centres(mesh)
    else:
        magnet = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy, points = tm.Exchange(magnet, A) + tm.Demag(magnet), tm.positions(mesh)
    x, y = points[:2] - EDGE / 2
    start = torch.stack((-y, x, torch.full_like(x, 10e-9)))
    return energy, start / start.norm(dim=0)


def vortex(scheme, n):
    """Energy, J, and the mean m_z."""
    energy, start = film(scheme, n)
    m = tm.minimize(energy, start, tolerance=1e-7)
    return float(energy.energy(m)), float(tm.average(m, energy.magnet)[2])


def main(redraw):
    if not redraw:
        ratio = (FINE[1] / FINE[0]) ** 2
        limits = {}
        for scheme in {"cells", "order 2", "order 6"}.intersection(report.computed):
            pairs = zip(*(vortex(scheme, n) for n in FINE))
            limits[scheme] = [fine + (fine - coarse) / (ratio - 1) for coarse, fine in pairs]
            print(scheme, "limits of energy and <m_z>:", limits[scheme], flush=True)
        rows = []
        for n in COUNTS:
            for scheme in report.computed:
                for what, got, limit in zip(("energy", "<m_z>"), vortex(scheme, n), limits["order 6"]):
                    row = {"quantity": what, "h": 1e9 * EDGE / n, "scheme": scheme, "value": got, "limit": limit}
                    rows.append({**row, "error": 100 * (got / limit - 1)})
        report.save("vortex", rows)
    rows = report.load("vortex")
    report.figure("vortex", report.panels(rows, "quantity", "h"), "cells, nm", "error, %")
    report.pivot(rows, ["quantity", "h"])
