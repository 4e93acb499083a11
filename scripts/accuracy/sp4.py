"""muMAG standard problem 4: the mean m over 1 ns, from the s-state of the same scheme, against the limit of small cells."""

import report
import torch
from cells import Cells, as_energy

import torchmag as tm

MS, A, SIDES, GAMMA = 8e5, 1.3e-11, (500e-9, 125e-9, 3e-9), 2.211e5
FIELDS = {1: (-24.6e-3, 4.3e-3, 0.0), 2: (-35.5e-3, -6.3e-3, 0.0)}
COUNTS = (40, 60, 80, 100)
FINE = (160, 200)


def reversals(scheme, n):
    """The mean m over 1 ns in each field, (101, 3), on n x n / 4 cells."""
    mesh = tm.Mesh((n, n // 4), (SIDES[0] / n, SIDES[1] / (n // 4), SIDES[2]))
    if scheme == "cells":
        energy = as_energy(Cells(mesh, MS, A))
        film = energy.magnet
    else:
        film = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy = tm.Exchange(film, A) + tm.Demag(film)
    start = tm.minimize(energy, tm.uniform(film.mesh, (1, 0.25, 0.1)), tolerance=1e-6)
    found = {}
    for name, B in FIELDS.items():
        llg = tm.LLG(energy + tm.Zeeman(film, torch.tensor(B) / tm.mu_0), alpha=0.02, gamma=GAMMA)
        with torch.no_grad():
            found[name] = tm.average(
                tm.solve(llg, start, torch.linspace(0, 1e-9, 101), method="gyro5", rtol=1e-5, atol=1e-5), film
            )
    print(scheme, n, flush=True)
    return found


def main(redraw):
    if not redraw:
        coarse, fine = (reversals("order 6", n) for n in FINE)
        # The edges make the limit one of second order.
        limit = {name: fine[name] + (fine[name] - coarse[name]) / ((FINE[1] / FINE[0]) ** 2 - 1) for name in FIELDS}
        rows = []
        for n, found in zip(FINE, (coarse, fine)):
            rows += distances("order 6", n, found, limit)
        if "order 2" in report.computed:
            rows += distances("order 2", 160, reversals("order 2", 160), limit)
        for n in COUNTS:
            for scheme in report.computed:
                rows += distances(scheme, n, reversals(scheme, n), limit)
        report.save("sp4", rows)
    rows = report.load("sp4")
    panels = {f"field {name}": report.curves([row for row in rows if row["field"] == name], "h") for name in FIELDS}
    report.figure("sp4", panels, "cells, nm", "largest |d<m>| over 1 ns")
    report.pivot(rows, ["field", "h"])
    report.pivot(rows, ["field", "h"], "half")


def distances(scheme, n, found, limit):
    """Rows with the largest distance of a component of the mean m, over 1 ns and over its first half."""
    rows = []
    for name in FIELDS:
        apart = (found[name] - limit[name]).abs()
        row = {"field": name, "h": 1e9 * SIDES[0] / n, "scheme": scheme, "half": float(apart[:51].max())}
        rows.append({**row, "error": float(apart.max())})
    return rows
