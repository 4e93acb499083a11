"""Energies of three textures given by formulas, on 20 cells an edge: a cube of 100 nm, three layers of it, a cube of two materials."""

import functools
import math

import film
import numpy as np
import report
import torch
from cells import Cells, centres

import torchmag as tm

EDGE, MS, A = 100e-9, 8e5, 1.3e-11
COUNTS = (10, 20, 40)
# Layers over cells an edge, and Ms of the right half over that of the left one.
BODIES = {"cube": (1, 1), "three layers": (0.15, 1), "two materials": (1, 0.5)}


def flower(x, y, z):
    m = torch.stack((1.5 * x * z, 1.5 * y * z, torch.ones_like(x)))
    return m / m.norm(dim=0)


def hopfion(x, y, z, ring=0.22, tube=0.2):
    """A closed twisted ring, m = z outside its tube (mumax3's HopfionCompactSupport)."""
    psi, across = torch.atan2(y, x), torch.hypot(x, y) - ring
    square = (across**2 + z**2) / tube**2
    inside = square < 0.999
    polar = torch.where(inside, math.pi * torch.exp(1 - 1 / (1 - torch.where(inside, square, 0.0))), 0.0)
    azimuth = psi - torch.atan2(z, across)
    return torch.stack([azimuth.cos() * polar.sin(), azimuth.sin() * polar.sin(), polar.cos()])


TEXTURES = {"vortex": lambda x, y, z: film.vortex(x, y, core=0.2), "flower": flower, "hopfion": hopfion}


def reduced(points, height):
    """From -1/2 to 1/2 along x and y, and around 0 along z."""
    x, y, z = points / EDGE
    return x - 0.5, y - 0.5, z - height / 2


def energies(body, n, schemes=report.SCHEMES):
    """{(texture, scheme): (exchange, demag)}, J."""
    height, jump = BODIES[body]
    h = EDGE / n
    mesh = tm.Mesh((n, n, round(n * height)), (h, h, h))
    height = mesh.n[2] / n
    Ms = MS
    if jump != 1:
        Ms = torch.full(mesh.cells, MS)
        Ms[n // 2 :] *= jump
    found = {}
    cells = Cells(mesh, Ms, A)
    for name, texture in TEXTURES.items() if "cells" in schemes else ():
        parts = cells.parts(texture(*reduced(centres(mesh), height)))
        found[name, "cells"] = float(parts["exchange"]), float(parts["demag"])
    for scheme in filter(lambda scheme: scheme != "cells", schemes):
        magnet = tm.Magnet(mesh, Ms, order=int(scheme[-1]))
        terms = [(term, term.prepare()) for term in (tm.Exchange(magnet, A), tm.Demag(magnet))]
        for name, texture in TEXTURES.items():
            m = texture(*reduced(tm.positions(mesh), height))
            found[name, scheme] = tuple(float(term.energy(m, values=values)) for term, values in terms)
    return found


def extrapolated(coarse, fine, ratio):
    """By second order."""
    return fine + (fine - coarse) / (ratio**2 - 1)


@functools.cache
def exchange(texture, height, boxes=80):
    """int A (grad m)^2 dx by Gauss's three points in 80 parts of each axis."""
    nodes, weights = (torch.tensor(each) for each in np.polynomial.legendre.leggauss(3))
    part = (torch.arange(boxes)[:, None] + (nodes + 1) / 2).reshape(-1) / boxes - 0.5
    weight = (weights / 2 / boxes).repeat(boxes)
    x, y = torch.meshgrid(part, part, indexing="ij")
    total = 0.0
    for z, w in zip(part * height, weight * height):
        here = (x.clone(), y.clone(), torch.full_like(x, float(z)))
        for axis in range(3):
            along = tuple(torch.full_like(x, float(axis == each)) for each in range(3))
            slope = torch.func.jvp(texture, here, along)[1]
            total += float((slope.square().sum(0) * weight[:, None] * weight).sum() * w)
    return A * EDGE * total


def study():
    rows = []
    for body, (height, _) in BODIES.items():
        if "cells" in report.computed:
            coarse, fine = (energies(body, n, ("cells",)) for n in (80, 120))
        check = [energies(body, n, ("order 6",)) for n in (40, 60)]
        limits = {}
        for name, texture in TEXTURES.items():
            if "cells" in report.computed:
                demag = extrapolated(coarse[name, "cells"][1], fine[name, "cells"][1], 1.5)
            else:
                chosen = (body, name, "demag")
                demag = next(r["limit"] for r in report.load("cube") if (r["body"], r["texture"], r["term"]) == chosen)
            limits[name] = exchange(texture, height), demag
            other = [extrapolated(far, near, 1.5) for far, near in zip(*(each[name, "order 6"] for each in check))]
            differences = [f"{100 * (got / limit - 1):.4f} %" for got, limit in zip(other, limits[name])]
            print(body, name, "exchange, demag: limit of order 6 against the limits used:", *differences, flush=True)
        for n in COUNTS:
            if round(n * height) / n != height:
                continue
            for (name, scheme), found in energies(body, n, report.computed).items():
                for term, got, limit in zip(
                    ("exchange", "demag", "sum"), (*found, sum(found)), (*limits[name], sum(limits[name]))
                ):
                    row = {"body": body, "texture": name, "term": term, "h": EDGE / n * 1e9, "scheme": scheme}
                    rows.append({**row, "limit": limit, "error": 100 * (got / limit - 1)})
    return rows


def main(redraw):
    if not redraw:
        report.save("cube", study())
    rows = report.load("cube")
    chosen = lambda body, name, term: [r for r in rows if (r["body"], r["texture"], r["term"]) == (body, name, term)]
    shown = (("cube", "exchange"), ("cube", "demag"), ("two materials", "demag"))
    panels = {
        f"{body}, {name}, {term}": report.curves(chosen(body, name, term), "h") for body, term in shown for name in TEXTURES
    }
    report.figure("cube", panels, "cells, nm", "error of the energy, %")
    report.pivot([row for row in rows if row["h"] == 5], ["term", "body", "texture"])
