"""A Neel skyrmion in a film 1 nm thick, infinite by periodicity: energy above the uniform state, radius of the disk of its moment."""

import math

import report
import torch
from cells import Cells, as_energy, centres

import torchmag as tm

PERIOD, MS, A, KU, D = 72e-9, 5.8e5, 1.5e-11, 8e5, 3.3e-3
COUNTS = (24, 30, 36, 48, 72, 96)


def skyrmion(scheme, n):
    """Radius, m, and energy, J."""
    mesh = tm.Mesh((n, n), (PERIOD / n, PERIOD / n, 1e-9), pbc=(math.inf, math.inf, 0))
    if scheme == "cells":
        energy, (x, y) = as_energy(Cells(mesh, MS, A, Ku=KU, D=D)), centres(mesh)[:2]
    else:
        film = tm.Magnet(mesh, Ms=MS, order=int(scheme[-1]))
        energy = tm.Exchange(film, A) + tm.UniaxialAnisotropy(film, KU, axis=(0, 0, 1))
        energy += tm.InterfaceDMI(film, D, normal=(0, 0, 1)) + tm.Demag(film)
        x, y = tm.positions(mesh)[:2]
    x, y = x - PERIOD / 2, y - PERIOD / 2
    r, phi = torch.hypot(x, y), torch.atan2(y, x)
    theta = 2 * torch.atan2(torch.sinh(torch.tensor(11 / 5)), torch.sinh(r / 5e-9))
    start = torch.stack((-torch.sin(theta) * torch.cos(phi), -torch.sin(theta) * torch.sin(phi), torch.cos(theta)))
    m, record = tm.minimize(energy, start, info=True)
    assert record.residual < 1e-5, record
    up = torch.zeros_like(m)
    up[2] = 1
    return PERIOD * math.sqrt(float(((1 - m[2]) / 2).mean()) / math.pi), float(energy.energy(m) - energy.energy(up))


def main(redraw):
    if not redraw:
        limit = skyrmion("order 6", 144)
        rows = []
        for n in COUNTS:
            for scheme in report.computed:
                found = skyrmion(scheme, n)
                for what, got, true in zip(("radius", "energy"), found, limit):
                    row = {"quantity": what, "h": PERIOD / n * 1e9, "scheme": scheme, "value": got, "limit": true}
                    rows.append({**row, "error": 100 * (got / true - 1)})
        report.save("skyrmion", rows)
    rows = report.load("skyrmion")
    report.figure("skyrmion", report.panels(rows, "quantity", "h"), "cells, nm", "error, %")
    print({row["quantity"]: row["limit"] for row in rows})
    report.pivot(rows, ["quantity", "h"])
    report.pivot(rows, ["quantity", "h"], "value")
