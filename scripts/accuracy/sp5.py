"""muMAG standard problem 5: where a current leaves the vortex of a square 100 x 100 x 10 nm, in one layer; at rest, so for any damping."""

import report
import torch

import torchmag as tm

MS, A, EDGE, GAMMA = 8e5, 1.3e-11, 100e-9, 2.211e5
COUNTS = (10, 14, 20, 28, 40)
SCHEMES = ("order 2", "order 4", "order 6")


def means(scheme, n):
    """The mean m at rest, before and with the current."""
    mesh = tm.Mesh((n, n), (EDGE / n, EDGE / n, 10e-9))
    film = tm.Magnet(mesh, MS, order=int(scheme[-1]))
    energy = tm.Exchange(film, A) + tm.Demag(film)
    x, y = tm.positions(mesh)[:2] - EDGE / 2
    start = torch.stack((-y, x, torch.full_like(x, 10e-9)))
    m = tm.minimize(energy, start / start.norm(dim=0))
    rest = tm.average(m, film)
    # Damping of 1: what is at rest does not depend on it.
    llg = tm.LLG(energy, 1.0, gamma=GAMMA, torques=[tm.ZhangLi(film, (1e12, 0, 0), P=1, xi=0.05)])
    with torch.no_grad():
        states = tm.solve(llg, m, [0, 5e-9, 6e-9], method="gyro5", rtol=1e-5, atol=1e-5)
    found = tm.average(states, film)
    assert float((found[2] - found[1]).abs().max()) < 1e-5, found
    return rest, found[2]


def main(redraw):
    if not redraw:
        found = {(scheme, n): means(scheme, n) for n in COUNTS for scheme in SCHEMES}
        (far, far_on), (near, near_on) = (found["order 6", n] for n in COUNTS[-2:])
        ratio = COUNTS[-1] / COUNTS[-2]
        extrapolated = lambda a, b: b + (b - a) / (ratio**2 - 1)
        core, moved = extrapolated(far, near), extrapolated(far_on, near_on)
        rows = []
        for (scheme, n), (rest, on) in found.items():
            values = {"core": (float(rest[2]), float(core[2]))}
            values |= {f"<m_{axis}>": (float(on[i]), float(moved[i])) for i, axis in enumerate("xy")}
            for what, (got, limit) in values.items():
                row = {"quantity": what, "h": 1e9 * EDGE / n, "scheme": scheme, "value": got, "limit": limit}
                rows.append({**row, "error": got - limit})
        report.save("sp5", rows)
    rows = report.load("sp5")
    names = list(dict.fromkeys(row["quantity"] for row in rows))
    panels = {name: report.curves([row for row in rows if row["quantity"] == name], "h") for name in names}
    report.figure("sp5", panels, "cells, nm", "error")
    print({row["quantity"]: row["limit"] for row in rows})
    report.pivot(rows, ["quantity", "h"])
    report.pivot(rows, ["quantity", "h"], "value")
