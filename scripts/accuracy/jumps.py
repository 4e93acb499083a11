"""A wall held at the boundary of two materials: the largest field that holds it (Heistracher et al. 2022), against the formula."""

import report
import torch
from cells import Cells, as_energy, centres

import torchmag as tm
from torchmag.cases.depinning import HARD, JUMPS, LENGTH, LOOSE, SOFT, analytic

SIZES = (2e-9, 1e-9, 0.5e-9)
HALVINGS = 11


def wire(name, scheme, h):
    """The energy without field, and the positions of m."""
    n = round(LENGTH / h)
    mesh = tm.Mesh((n,), (h, 1e-9, 1e-9))
    left = torch.arange(n) < n // 2
    A, K, Ms = (torch.where(left & (letter in name), SOFT[letter], HARD[letter]) for letter in "akm")
    if scheme == "cells":
        return as_energy(Cells(mesh, HARD["m"], A, Ku=K, demag=False)), centres(mesh)[0]
    magnet = tm.Magnet(mesh, Ms, order=int(scheme[-1]))
    return tm.Exchange(magnet, A) + tm.UniaxialAnisotropy(magnet, K, (0, 0, 1)), tm.positions(mesh)[0]


def threshold(name, scheme, h):
    """T, by bisection."""
    energy, x = wire(name, scheme, h)
    u = (x - LENGTH / 2 + 2e-9) / 2e-9
    held = torch.stack((1 / torch.cosh(u), 0 * u, -torch.tanh(u)))
    exact = analytic(name)
    low, high = 0.9 * exact, 1.15 * exact
    for step in range(HALVINGS + 1):
        middle = (low + high) / 2 if step else low
        field = tm.Zeeman(energy.magnet, (0.0, 0.0, middle / tm.mu_0))
        m, record = tm.minimize(energy + field, held, tolerance=1e-6, info=True)
        if float(m[2].mean()) > LOOSE:
            if not step:
                return float("nan")
            high = middle
        else:
            low, held = middle, m
    return low


def main(redraw):
    if not redraw:
        rows = []
        for name in JUMPS:
            for h in SIZES:
                for scheme in report.computed:
                    if scheme == "cells" and "m" in name:
                        continue  # its ring of nodes has one Ms
                    found = threshold(name, scheme, h)
                    row = {"jump": name, "h": 1e9 * h, "scheme": scheme, "field": found, "exact": analytic(name)}
                    rows.append({**row, "error": 100 * (found / analytic(name) - 1)})
        report.save("jumps", rows)
    rows = report.load("jumps")
    held = [row for row in rows if row["error"] == row["error"]]
    report.figure("jumps", report.panels(held, "jump", "h"), "cells, nm", "error of the field, %")
    report.pivot(rows, ["jump", "h"])
