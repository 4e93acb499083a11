"""A Bloch wall in one dimension: energy 4 sqrt(A K) and width sqrt(A / K) against the cell size."""

import math

import report
import torch
from cells import Cells, as_energy, centres

import torchmag as tm

A, K, MS = 1.3e-11, 4e5, 8e5
DELTA = math.sqrt(A / K)
LENGTH = 48 * DELTA
SIZES = (0.05, 0.1, 0.14, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7, 1.0, 1.4, 2.0)


def wall(scheme, size):
    """Relative errors of energy and width; the width from int (1 - m_z^2) dx = 2 sqrt(A / K)."""
    n = round(LENGTH / (size * DELTA))
    h = LENGTH / n
    mesh = tm.Mesh((n,), (h, 1e-9, 1e-9))
    if scheme == "cells":
        cells = Cells(mesh, MS, A, Ku=K, demag=False)
        energy, x, volumes = as_energy(cells), centres(mesh)[0], torch.full((n,), h)
    else:
        wire = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy = tm.Exchange(wire, A) + tm.UniaxialAnisotropy(wire, K, axis=(0, 0, 1))
        x, volumes = tm.positions(mesh)[0], torch.full((n + 1,), h)
        volumes[0] = volumes[-1] = h / 2
    u = (x - LENGTH / 2 - 0.3 * h) / DELTA
    m, record = tm.minimize(
        energy, torch.stack((0 * u, 1 / torch.cosh(u), torch.tanh(u))), tolerance=1e-9, max_steps=2000, info=True
    )
    assert record.residual < 1e-7, record
    above = float(energy.energy(m)) / 1e-18 + K * LENGTH
    width = float((volumes * (1 - m[2].square())).sum()) / 2
    return h / DELTA, above / (4 * math.sqrt(A * K)) - 1, width / DELTA - 1


def main(redraw):
    if not redraw:
        rows = []
        for size in SIZES:
            for scheme in report.SCHEMES:
                h, energy, width = wall(scheme, size)
                for what, error in (("energy", energy), ("width", width)):
                    rows.append({"quantity": what, "cells": math.pi / h, "h/Delta": h, "scheme": scheme, "error": 100 * error})
        report.save("walls", rows)
    rows = report.load("walls")
    held = [row for row in rows if row["h/Delta"] < 1.2]
    panels = report.panels(held, "quantity", "h/Delta")
    report.figure("walls", panels, "cell size over sqrt(A/K)", "error, %")
    report.pivot(rows, ["quantity", "h/Delta"])
    report.table(
        ["scheme", "quantity", "cells in pi sqrt(A/K) for 1 %", "for 0.1 %"],
        [
            [
                scheme,
                what,
                *(
                    f"{report.needed([r for r in rows if (r['scheme'], r['quantity']) == (scheme, what)], p):.1f}"
                    for p in (1, 0.1)
                ),
            ]
            for what in panels
            for scheme in report.SCHEMES
        ],
    )
