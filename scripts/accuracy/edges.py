"""Edges: a tilt at one, a curved one, and modes of a cube, which have no slope there."""

import math

import film
import report
import torch
from cells import Cells, as_energy

import torchmag as tm
from torchmag.geometry import Cylinder, center

MS, A = 8e5, 1.3e-11
WIDTH, THICKNESS, CORE = 100e-9, 10e-9, 12e-9  # of the disk and its vortex


def tilt(scheme, n):
    """m_x at the edge of a strip 100 nm wide with interface DMI; exact: D / (2 sqrt(A K)) (Rohart and Thiaville 2013)."""
    K, D, width = 4e5, 2e-3, 100e-9
    mesh = tm.Mesh((n,), (width / n, 1e-9, 1e-9))
    if scheme == "cells":
        # Neighbours beyond the edge do not count; m at the edge by extrapolation from three cells.
        energy = as_energy(Cells(mesh, MS, A, Ku=K, D=D, demag=False))
    else:
        strip = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy = tm.Exchange(strip, A) + tm.UniaxialAnisotropy(strip, K, (0, 0, 1)) + tm.InterfaceDMI(strip, D, normal=(0, 0, 1))
    m = tm.minimize(energy, tm.uniform(energy.magnet.mesh, (0.01, 0, 1)), tolerance=1e-9)
    edge = float(m[0, 0])
    if scheme == "cells":
        angles = torch.atan2(m[0, :3], m[2, :3])
        edge = math.sin(float(15 * angles[0] - 10 * angles[1] + 3 * angles[2]) / 8)
    exact = D / (2 * math.sqrt(A * K))
    return abs(edge) / exact - 1


def modes(scheme, n):
    """Rayleigh's quotient of an exchange mode of a cube, cos(2 pi x) cos(pi y) cos(pi z) over the edge; exact: A k^2."""
    edge, waves = 50e-9, (2, 1, 1)
    mesh = tm.Mesh((n, n, n), (edge / n,) * 3)
    cells = scheme == "cells"
    points = tm.positions(mesh, "cells" if cells else "nodes") / edge
    m = torch.zeros_like(points)
    m[0] = math.prod(torch.cos(w * math.pi * x) for w, x in zip(waves, points))
    k2 = sum(w * w for w in waves) * (math.pi / edge) ** 2
    if cells:
        energy = float(Cells(mesh, MS, A, demag=False).exchange(m))
        norm = float(m[0].square().mean())
    else:
        magnet = tm.Magnet(mesh, MS, order=int(scheme[-1]))
        energy = float(tm.Exchange(magnet, A).energy(m))
        norm = float(tm.average(m * m, magnet)[0])
    return energy / (A * k2 * norm * edge**3) - 1


def disk(scheme, n):
    """Errors of exchange and stray-field energy of a vortex, m_z = exp(-r^2 / R^2), in a disk 100 nm wide and 10 nm thick, n cells wide.

    The edge cuts cells; for `cells` those with their centre inside are full, the others empty.
    """
    h = WIDTH / n
    mesh = tm.Mesh((n + 2, n + 2), (h, h, THICKNESS))
    cylinder = Cylinder(WIDTH / 2, center=center(mesh))
    points = tm.positions(mesh, "cells" if scheme == "cells" else "nodes")
    x, y = (p - c for p, c in zip(points[:2], center(mesh)))
    m = film.vortex(x, y, CORE)
    if scheme == "cells":
        inside = cylinder.mask(mesh).double()
        found = Cells(mesh, MS * inside, A * inside).parts(m)
        found = found["exchange"], found["demag"]
    else:
        body = tm.Magnet(mesh, MS, fraction=cylinder.fraction(mesh), order=int(scheme[-1]))
        found = tm.Exchange(body, A).energy(m), tm.Demag(body).energy(m)
    return [float(got) / true - 1 for got, true in zip(found, exact_disk())]


def exact_disk(parts=200_000):
    """J.  Only the two faces are charged; of the stray field in terms of Hankel's transform of m_z, R^2 / 2 exp(-k^2 R^2 / 4)."""
    r = (torch.arange(parts) + 0.5) * (WIDTH / 2 / parts)
    mz = torch.exp(-((r / CORE) ** 2))
    slope = 2 * r / CORE**2 * mz / (1 - mz**2).sqrt()
    exchange = 2 * math.pi * A * THICKNESS * float(((slope**2 + (1 - mz**2) / r**2) * r).sum()) * (WIDTH / 2 / parts)
    k = (torch.arange(parts) + 0.5) * (12 / CORE / parts)
    F = CORE**2 / 2 * torch.exp(-((k * CORE) ** 2) / 4)
    return exchange, tm.mu_0 * MS**2 * math.pi * float(((1 - torch.exp(-k * THICKNESS)) * F**2).sum()) * (12 / CORE / parts)


STUDIES = {
    "tilt at an edge": (tilt, 100e-9, (25, 50, 100, 200)),
    "modes of a cube": (modes, 50e-9, (6, 8, 10, 16, 24, 32)),
    "disk": (disk, WIDTH, (10, 16, 20, 32, 40, 64, 80)),
}


def main(redraw):
    if not redraw:
        rows = []
        for name, (study, width, counts) in STUDIES.items():
            for n in counts:
                for scheme in report.computed:
                    found = study(scheme, n)
                    titles = ("vortex in a disk, exchange", "vortex in a disk, stray field") if name == "disk" else (name,)
                    for title, error in zip(titles, found if name == "disk" else (found,)):
                        rows.append({"study": title, "h": 1e9 * width / n, "scheme": scheme, "error": 100 * error})
        report.save("edges", rows)
    rows = report.load("edges")
    report.figure("edges", report.panels(rows, "study", "h"), "cells, nm", "error, %", columns=4)
    report.pivot(rows, ["study", "h"])
