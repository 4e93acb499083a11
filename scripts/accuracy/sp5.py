"""Standard problem 5: the largest distance of a component of the mean m over 2 ns from the limit; one layer, and OOMMF's cubes of 5 nm as "cells"."""

import report
import torch
from torch.nn.functional import normalize

import torchmag as tm
from torchmag.cases.bodies import published

EDGE, THICKNESS = 100e-9, 10e-9
COUNTS, FINE = (10, 15, 20, 30, 40), (50, 60)
GAMMA = 2.211e5


def oommf():
    """Times, s, and mean m of OOMMF, every 50 ps to 2 ns."""
    found = published("sp5_xi0.05.csv")
    found = found[found[:, 0] < 2.001e-9]
    return found[:, 0], found[:, 1:]


def means(order, n, times):
    """Mean m at the times."""
    mesh = tm.Mesh((n, n), (EDGE / n, EDGE / n, THICKNESS), origin=(-EDGE / 2, -EDGE / 2, 0.0))
    magnet = tm.Magnet(mesh, 8e5, order=order)
    energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
    x, y, _ = tm.positions(mesh)
    x, y = torch.broadcast_tensors(x, y)
    m = tm.minimize(energy, normalize(torch.stack((-y, x, torch.full_like(x, 10e-9))), dim=0))
    current = tm.ZhangLi(magnet, (1e12, 0, 0), P=1, xi=0.05)
    with torch.no_grad():
        states = tm.solve(tm.LLG(energy, 0.1, gamma=GAMMA, torques=[current]), m, [0.0, *times.tolist()], method="gyro5")
    return tm.average(states, magnet)[1:]


def main(redraw):
    if not redraw:
        times, of_cells = oommf()
        coarse, fine = (means(6, n, times) for n in FINE)
        # The error is of second order where m meets an edge.
        share = (1 / FINE[1]) ** 2 / ((1 / FINE[0]) ** 2 - (1 / FINE[1]) ** 2)
        limit = fine + share * (fine - coarse)
        print("the limit is from that of the smallest cells by", float((limit - fine).abs().max()), flush=True)
        rows = []
        for n in COUNTS:
            for scheme in report.computed:
                if scheme == "cells" and n != 20:
                    continue
                found = of_cells if scheme == "cells" else means(int(scheme[-1]), n, times)
                rows.append({"h": 1e9 * EDGE / n, "scheme": scheme, "error": float((found - limit).abs().max())})
                print(rows[-1], flush=True)
        report.save("sp5", rows)
    rows = report.load("sp5")
    report.pivot(rows, ["h"])
    report.figure("sp5", {"standard problem 5": report.curves(rows, "h")}, "cell size (nm)", "largest |d<m>|")
