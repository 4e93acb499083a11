"""Bodies that repeat: factors of infinite prisms and films, a wire in a field, an array of dots."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, body, uniform
from torchmag.cases.table import Case, Row, components

INF = math.inf


def factors(n, dx, pbc) -> list[float]:
    """N_xx, N_yy, N_zz of the uniformly magnetised grid."""
    magnet = body(n, dx, 8e5, pbc=pbc)
    demag, basis = tm.Demag(magnet), torch.eye(3, dtype=torch.float64)
    basis = basis.reshape(3, 3, *(1,) * magnet.mesh.dim).expand(3, 3, *magnet.mesh.cells)
    return (-demag.cell_field(basis) / 8e5).flatten(2).mean(2).diagonal().tolist()


# Edges across the prism, cells along them, and N (two-dimensional magnetostatics of a rectangle).
PRISMS = (
    ((10, 50), (2, 5), (0.8018365016523258, 0.1981634983476741)),
    ((50, 10), (25, 4), (0.1981634983476741, 0.8018365016523258)),
    ((5, 10), (1, 1), (0.6477865634, 0.3522134366)),
    ((5, 10), (5, 4), (0.6477865634, 0.3522134366)),
    ((30, 30), (6, 10), (0.5, 0.5)),
)


@torch.no_grad()
def limits() -> list[Row]:
    """True periods to 1e-6 (films 1e-10); finite images to what their number leaves."""
    rows = []
    for edges, cells, N in PRISMS:
        dx = [edge * NM / n for edge, n in zip(edges, cells)]
        name = f"N_{{}}, prism {edges[0]}:{edges[1]} of {cells[0]}x{cells[1]} cells"
        rows += components(f"{name} along x", factors((4, *cells), (3 * NM, *dx), (INF, 0, 0)), (0, *N), 1e-6)
        rows += components(f"{name} along z", factors((*cells, 1), (*dx, 3 * NM), (0, 0, INF)), (*N, 0), 1e-6)
    edges, _, N = PRISMS[0]
    for n in ((3,), (3, 7)):
        dx = (NM, edges[0] * NM / (*n, 1)[1], edges[1] * NM)
        rows += components(f"N_{{}}, prism 10:50 on a {len(n)}D mesh", factors(n, dx, (INF, 0, 0)), (0, *N), 1e-6)
    for n in ((8, 4), (1, 1, 1), (8, 4, 3)):
        for dx in ((NM, 5 * NM, 10 * NM), (10 * NM, 10 * NM, 0.1 * NM)):
            name = f"N_{{}}, film of {'x'.join(map(str, n))} cells of {dx[0] / NM:g}x{dx[1] / NM:g}x{dx[2] / NM:g} nm"
            rows += components(name, factors(n, dx, (INF, INF, 0)), (0, 0, 1), 1e-10)
    rows += components("N_{}, three periods", factors((8, 4, 3), (NM, 5 * NM, 10 * NM), (INF, INF, INF)), (0, 0, 0), 1e-10)
    for n in ((1,), (1, 1), (1, 1, 1)):
        name = f"N_{{}}, chain of cubes on a {len(n)}D mesh, 500 images on each side"
        rows += components(name, factors(n, (2 * NM,) * 3, (500, 0, 0)), (0, 0.5, 0.5), 1e-6)
    rod = factors((2, 2, 2), (NM, NM, 2 * NM), (0, 0, 16))
    rows += components("N_{}, rod, 16 images on each side", rod[:2], (0.496, 0.496), 1e-2)
    film = factors((16, 16, 1), (NM, NM, 0.5 * NM), (8, 8, 0))
    return [*rows, Row("N_z, film, 8 images on each side", film[2], 1.0, 0.02)]


# B_y in mT: <m_y> by OOMMF on cells of 2.5 and of 5 nm.
WIRE = {20: (0.104429, 0.104199), 60: (0.312298, 0.311674), 100: (0.516582, 0.515779), 200: (0.962320, 0.962526)}


@torch.no_grad()
def hard_axis() -> list[Row]:
    """A truly infinite wire of 50 x 10 nm turns into a field across it.

    Cells of 2.5 nm are held to both of OOMMF's; on 5 nm, two cells across the thickness, 0.0023 are missed and shown.
    """
    rows = []
    for nm, n in ((2.5, (1, 20, 4)), (5, (1, 10, 2))):
        magnet = body(n, (nm * NM,) * 3, 8e5, pbc=(INF, 0, 0))
        energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
        H = torch.tensor([(0, B * 1e-3 / tm.mu_0, 0) for B in WIRE], dtype=torch.float64)
        m = tm.hysteresis(energy, uniform(magnet, (1, 0.1, 0)), H)
        for B, got in zip(WIRE, tm.average(m, magnet)[:, 1].tolist()):
            for cells, value in zip((2.5, 5), WIRE[B]):
                if nm <= cells:
                    name = f"<m_y> at {B} mT, cells of {nm:g} nm, OOMMF {cells:g} nm"
                    rows.append(Row(name, got, value, 2e-3 if nm == 2.5 else None))
    return rows


@torch.no_grad()
def array() -> list[Row]:
    """A rectangle of 64 x 32 cells in a period of 128 x 64, two images, 1 ns at alpha 1: the same wherever the period begins.

    1e-2 from mumax3: the nodes on the rim of the rectangle.
    """
    Ms = torch.zeros(128, 64, dtype=torch.float64)
    Ms[32:96, 16:48] = 1e6
    found = []
    for shifts in ((0, 0), (64, 32)):
        magnet = body((128, 64), (5 * NM,) * 3, Ms.roll(shifts, (0, 1)), pbc=(2, 2, 0))
        llg = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Demag(magnet), alpha=1.0)
        m = tm.solve(llg, uniform(magnet, (1, 0.1, 0.01)), [0.0, 1e-9], method="bosh3")[-1]
        found.append(tm.average(m, magnet))
    rows = components("<m_{}> at 1 ns", found[0], (0.899480, 0.233522, -0.000103), 1e-2)
    return [*rows, Row("largest change of <m> with the origin", float((found[0] - found[1]).abs().max()), 0.0, 1e-6)]


CASES = (
    Case(
        "DEM-12",
        "prisms, films and rods without ends",
        "exact; mumax3 test/demagrodpbc.mx3, demag2D.mx3; MicroMagnetic.jl test/test_demag.jl; fidimag tests/test_2dpbc_cube.py",
        limits,
    ),
    Case("MIN-04", "infinite wire in a field across it", "OOMMF, truly periodic, run for torchmag", hard_axis, seconds=2),
    Case("LLG-10", "array of rectangles", "mumax3 test/pbc1.mx3; mumax+ test/test_PBC.py", array, seconds=4),
)
