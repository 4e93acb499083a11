"""Stray-field energy of four textures in a film 200 x 200 x 10 nm, given by formulas."""

import math

import report
import torch
from cells import Cells, centres

import torchmag as tm

MS, WIDTH, THICKNESS = 8e5, 200e-9, 10e-9
COUNTS = (10, 14, 20, 28, 40, 56, 80)


def vortex(x, y, core=0.12):
    """Core of Gaussian shape; m meets the edges with a slope."""
    r = torch.hypot(x, y)
    mz = torch.exp(-((r / core) ** 2))
    s = (1 - mz**2).clamp(min=0).sqrt() / (r + (r == 0))
    return torch.stack((-y * s, x * s, mz))


def wave(x, y):
    a, b = math.pi * 5 * x + 0.3, math.pi * 1.2 * y
    return torch.stack((a.cos() * b.cos(), a.cos() * b.sin(), a.sin()))


def wall(x, y):
    """A Neel wall across the film, m_x from edge to edge."""
    return torch.stack((1 / torch.cosh(x / 0.06), 0 * x, torch.tanh(x / 0.06)))


def spiral(x, y):
    """In the plane, along (1, 0.7)."""
    a = 2 * math.pi * (x + 0.7 * y)
    return torch.stack((a.cos(), a.sin(), 0 * a))


TEXTURES = {"vortex": vortex, "wave": wave, "Neel wall": wall, "spiral": spiral}


def energies(n):
    """{(texture, scheme): J}."""
    h = WIDTH / n
    mesh = tm.Mesh((n, n), (h, h, THICKNESS))
    found = {}
    cells = Cells(mesh, MS)
    for name, texture in TEXTURES.items():
        found[name, "cells"] = float(cells.parts(texture(*(centres(mesh)[:2] / WIDTH - 0.5)))["demag"])
    for order in (2, 4, 6):
        demag = tm.Demag(tm.Magnet(mesh, MS, order=order))
        for name, texture in TEXTURES.items():
            found[name, f"order {order}"] = float(demag.energy(texture(*(tm.positions(mesh)[:2] / WIDTH - 0.5))))
    return found


def main(redraw):
    if not redraw:
        coarse, fine = energies(200), energies(400)
        rows = []
        # The cuboids' sum over the means of a smooth texture converges with h^2.
        limits = {name: fine[name, "cells"] + (fine[name, "cells"] - coarse[name, "cells"]) / 3 for name in TEXTURES}
        for name, limit in limits.items():
            print(name, limit, {scheme: f"{100 * (fine[name, scheme] / limit - 1):.5f} %" for scheme in report.SCHEMES})
        for n in COUNTS:
            for (name, scheme), energy in energies(n).items():
                row = {"texture": name, "h": WIDTH / n * 1e9, "scheme": scheme, "limit": limits[name]}
                rows.append({**row, "error": 100 * (energy / limits[name] - 1)})
        report.save("film", rows)
    rows = report.load("film")
    report.figure("film", report.panels(rows, "texture", "h"), "cells, nm", "error of the energy, %", columns=4)
    report.pivot([row for row in rows if row["h"] in (2.5, 5, 10)], ["texture", "h"])
