"""Spin waves in a film of one layer: frequency against that of a film with uniform profile (Kalinikos and Slavin 1986, n = 0)."""

import math

import report
import torch
from cells import Cells

import torchmag as tm

MS, A, THICKNESS, B0, GAMMA = 140e3, 3.65e-12, 20e-9, 60e-3, 1.7595e11
RATIOS = (0.2, 0.4, 1, 2, 5)
COUNTS = (4, 5, 6, 8, 10, 12, 16, 20, 28, 40)
# Angle between the wave and m; forward volume: m along the normal.
MODES = {"Damon-Eshbach": 90, "backward volume": 0, "forward volume": None, "30 degrees": 30, "45 degrees": 45}


def symbols(scheme, n, h, diagonal):
    """-H / (Ms m) of a wave of n cells along x, or with this component on both axes: a tensor (3, 3); and its wave number."""
    mesh = tm.Mesh((n, n if diagonal else 1), (h, h, THICKNESS), pbc=(math.inf, math.inf, 0))
    if scheme == "cells":
        cells = Cells(mesh, MS, A)
        field = lambda m: -torch.func.grad(cells)(m) / (tm.mu_0 * MS * mesh.cell_volume)
    else:
        film = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        field = tm.Exchange(film, A) + tm.Demag(film)
    x = 2 * math.pi * torch.arange(n) / n
    wave = torch.cos(x[:, None] + (x if diagonal else 0.0))
    columns = []
    for axis in range(3):
        m = torch.zeros(3, *wave.shape)
        m[axis] = wave
        columns.append(-(field(m) * wave).sum((1, 2)) / (wave.square().sum() * MS))
    return torch.stack(columns, 1), 2 * math.pi / (n * h) * (math.sqrt(2) if diagonal else 1)


def exact(k, diagonal):
    P = 1 - (1 - math.exp(-k * THICKNESS)) / (k * THICKNESS)
    along = torch.tensor([1.0, 1.0, 0.0] if diagonal else [1.0, 0.0, 0.0])
    along = along / along.norm()
    dipolar = P * torch.outer(along, along) + (1 - P) * torch.diag(torch.tensor([0.0, 0.0, 1.0]))
    return dipolar + 2 * A / (tm.mu_0 * MS**2) * k * k * torch.eye(3)


def frequency(N, mode, diagonal):
    """Hz; B0 is the field inside."""
    if MODES[mode] is None:
        axes = torch.eye(3)[:2]
    else:
        angle = math.radians(MODES[mode] + (45 if diagonal else 0))
        axes = torch.tensor([[-math.sin(angle), math.cos(angle), 0.0], [0.0, 0.0, 1.0]])
    stiffness = B0 * torch.eye(2) + tm.mu_0 * MS * axes @ N @ axes.T
    return GAMMA / (2 * math.pi) * math.sqrt(float(torch.det(stiffness)))


def waves():
    """Rows with the error of the frequency in percent."""
    rows = []
    for diagonal in (False, True):
        for ratio in RATIOS if not diagonal else (1, 5):
            for n in COUNTS:
                for scheme in report.SCHEMES:
                    N, k = symbols(scheme, n, THICKNESS / ratio, diagonal)
                    for mode in MODES:
                        error = frequency(N, mode, diagonal) / frequency(exact(k, diagonal), mode, diagonal) - 1
                        rows.append(
                            {
                                "direction": "diagonal" if diagonal else "axis",
                                "mode": mode,
                                "d/h": ratio,
                                "cells": n / math.sqrt(2) if diagonal else n,
                                "scheme": scheme,
                                "error": 100 * error,
                            }
                        )
    return rows


def main(redraw):
    if not redraw:
        report.save("dispersion", waves())
    rows = report.load("dispersion")
    along = [row for row in rows if row["direction"] == "axis"]
    panels = {
        f"{mode}, d/h = {ratio:g}": report.curves([row for row in along if row["mode"] == mode and row["d/h"] == ratio], "cells")
        for ratio in (0.2, 1, 5)
        for mode in ("Damon-Eshbach", "backward volume", "forward volume")
    }
    report.figure("dispersion", panels, "cells a wavelength", "error of the frequency, %")
    report.pivot([row for row in along if row["cells"] == 8], ["mode", "d/h"])
    report.pivot([row for row in rows if row["direction"] == "diagonal" and row["cells"] == 8.48528], ["mode", "d/h"])
    worst = [[scheme, *(x for limit in (1, 0.1) for x in median_and_worst(along, scheme, limit))] for scheme in report.SCHEMES]
    report.table(["scheme", "cells a wavelength for 1 %: median", "worst", "for 0.1 %: median", "worst"], worst)


def median_and_worst(along, scheme, limit):
    """Cells a wavelength that keep the error below the limit, over modes and thicknesses, as texts."""
    values = sorted(
        report.needed([row for row in along if (row["mode"], row["d/h"], row["scheme"]) == (mode, ratio, scheme)], limit)
        for mode in MODES
        for ratio in RATIOS
    )
    return [f"{x:.{0 if x >= 10 else 1}f}".replace("inf", "> 40") for x in (values[len(values) // 2], values[-1])]
