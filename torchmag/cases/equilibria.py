"""States of least energy: a box, vortices, flower and vortex of a cube (muMAG standard problem 3)."""

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, at_cells, body, reals, uniform
from torchmag.cases.table import Case, Row, components, relative

# Cells in nm: <m_y>, E, its exchange, anisotropy and demagnetising parts by OOMMF, and the tolerance of E.
BOX = {
    5: (0.989379, 5.62006e-18, (1.85630e-19, 7.52084e-20, 5.35922e-18), 5e-3),
    2.5: (0.989244, 5.61272e-18, None, 1.5e-3),
}


@torch.no_grad()
def box() -> list[Row]:
    """60 x 60 x 20 nm with an easy axis along y, relaxed from (0.3, 1, 0.1); OOMMF's anisotropy is K (1 - m_y^2)."""
    rows, Ms, K = [], 8e5, 5e4
    for nm, (my, E, parts, part) in BOX.items():
        magnet = body([round(side / nm) for side in (60, 60, 20)], (nm * NM,) * 3, Ms)
        energy = tm.Exchange(magnet, 13e-12) + tm.UniaxialAnisotropy(magnet, K, (0, 1, 0)) + tm.Demag(magnet)
        m = tm.minimize(energy, uniform(magnet, (0.3, 1, 0.1)), tolerance=0.1 / Ms)
        energies = [float(value) for value in energy.energies(m).values()]
        energies[1] += K * 60 * 60 * 20 * NM**3
        cells = f"cells of {nm:g} nm"
        rows.append(Row(f"<m_y>, {cells}", float(tm.average(m, magnet)[1]), my, 5e-4))
        rows.append(relative(f"E, {cells}", sum(energies), E, part, "J"))
        for name, got, value in zip(("exchange", "anisotropy", "demag"), energies, parts or ()):
            rows.append(Row(f"E {name}, {cells}", got, value, None, "J"))
    return rows


# Densities in J/m^3 at 0 and at 100 mT.
ELLIPSE = {
    "exchange": (5038.693945, 71.438905, 4e-2),
    "uniaxial_anisotropy": (19.517039, 0.271210, 1.5e-2),
    "demag": (7216.038345, 29186.031229, 1.5e-2),
    "zeeman": (0.0, -85765.386961, 1.5e-2),
    "total": (12274.249330, -56507.645615, 1.5e-2),
}


@torch.no_grad()
def ellipse() -> list[Row]:
    """512 x 256 x 40 nm: differences of the energies between a vortex and the state in 100 mT along x."""
    cells, dx = (128, 64, 1), (4 * NM, 4 * NM, 40 * NM)
    x, y = at_cells(body(cells, dx, 860e3))[:2]
    inside = (x / (256 * NM) - 1) ** 2 + (y / (128 * NM) - 1) ** 2 <= 1
    magnet = body(cells, dx, 860e3 * inside.double())
    energy = tm.Exchange(magnet, 13e-12) + tm.UniaxialAnisotropy(magnet, 50.0, (1, 0, 0)) + tm.Demag(magnet)
    energy = energy + tm.Zeeman(magnet, (0.0, 0.0, 0.0))
    H = reals([[0, 0, 0], [0.1 / tm.mu_0, 0, 0]])
    m = tm.hysteresis(energy, tm.vortex(magnet.mesh, 10 * NM, dtype=torch.float64), H, term="zeeman")
    parts = [energy.energies(state, values=energy.prepare({"zeeman.H": field})) for state, field in zip(m, H)]
    volume = int(inside.sum()) * magnet.mesh.cell_volume
    change = {name: float(parts[1][name] - parts[0][name]) / volume for name in parts[0]}
    change["total"] = sum(change.values())
    return [
        relative(f"change of E {name} / V", change[name], high - low, part, "J/m^3")
        for name, (low, high, part) in ELLIPSE.items()
    ]


@torch.no_grad()
def slab() -> list[Row]:
    """A vortex in 100 x 100 x 25 nm, on 32 x 32 x 8 cells and on a quarter more."""
    rows = []
    for n in ((32, 32, 8), (40, 40, 10)):
        magnet = body(n, (100 * NM / n[0], 100 * NM / n[1], 25 * NM / n[2]), 8e5)
        energy = tm.Exchange(magnet, 13e-12) + tm.Demag(magnet)
        m = tm.minimize(energy, tm.vortex(magnet.mesh, 10 * NM, dtype=torch.float64))
        name = f"<m_{{}}>, {'x'.join(map(str, n))} cells"
        rows += components(name, tm.average(m, magnet), (0, 0, 0.02785073), 1.5e-3 if n[0] == 32 else None)
    return rows


def flower_vortex_limit(N: int) -> tuple[float, float]:
    """Edge in exchange lengths at which flower and vortex of a cube of N^3 cells have the same energy, and that over Km V."""
    Ms, edge = 8e5, N * NM
    Km = tm.mu_0 * Ms**2 / 2
    cube = body((N, N, N), (NM,) * 3, Ms)
    energy = tm.Exchange(cube, 1e-11) + tm.UniaxialAnisotropy(cube, 0.1 * Km, (0, 0, 1)) + tm.Demag(cube)
    states = [uniform(cube, (0, 0, 1)), tm.vortex(cube.mesh, edge / 6, axis=0, dtype=torch.float64)]

    def energies(L):
        # The edge in exchange lengths is set through A, so that mesh and kernel stay.
        params = {"exchange.A": reals(Km * (edge / L) ** 2)}
        states[:] = [tm.minimize(energy, m, params=params) for m in states]
        values = energy.prepare(params)
        return [float(energy.energy(m, values=values)) / (Km * edge**3) + 0.1 for m in states]

    (low, *at_low), (high, *at_high) = ((L, *energies(L)) for L in (8.2, 8.6))
    below, above = at_low[0] - at_low[1], at_high[0] - at_high[1]
    for _ in range(2):
        # False position: the difference, nearly linear in L, falls by 0.02 per unit; two steps leave 3e-4 of L.
        L = low - below * (high - low) / (above - below)
        flower, vortex = energies(L)
        low, below, high, above = (L, flower - vortex, high, above) if flower < vortex else (low, below, L, flower - vortex)
    return (L, flower) if abs(flower - vortex) < 5e-6 else (float("nan"), flower)


@torch.no_grad()
def coarse_cubes() -> list[Row]:
    """N = 10 and 16 lie below the limit by an error that falls as 1 / N^2."""
    (L10, _), (L16, e) = flower_vortex_limit(10), flower_vortex_limit(16)
    limit = L16 - (L16 - L10) / (16**-2 - 10**-2) * 16**-2
    return [
        Row("L / l_ex, N = 16, of the interval 8.41 to 8.50", L16, 8.455, 0.045),
        Row("L / l_ex, N = 16, OOMMF", L16, 8.446, None),
        Row("L / l_ex, limit of N = 10 and 16", limit, 8.4687, 0.02),
        Row("energy over Km V, N = 16", e, 0.3027, 1e-3),
    ]


@torch.no_grad()
def fine_cube() -> list[Row]:
    """N = 32."""
    L, e = flower_vortex_limit(32)
    return [
        Row("L / l_ex, N = 32, of the interval 8.45 to 8.49", L, 8.47, 0.02),
        Row("L / l_ex, N = 32, OOMMF", L, 8.466, None),
        Row("energy over Km V, N = 32", e, 0.3027, 1e-3),
    ]


SP3 = "Rave et al., J. Magn. Magn. Mater. 190, 332 (8.47); extrapolated 8.4687, arXiv 2107.07855"
CASES = (
    Case("MIN-01", "box with an easy axis", "OOMMF on the same cells, run for torchmag", box),
    Case("MIN-05", "energies of a vortex in an ellipse", "OOMMF via mumax3 test/energy.mx3", ellipse, seconds=4),
    Case("MIN-06", "vortex in a slab", "mumax3 test/exchange3d.mx3", slab),
    Case("SP3-01", "muMAG standard problem 3: flower and vortex", SP3, coarse_cubes, seconds=2),
    Case("SP3-01h", "muMAG standard problem 3 on 32 cells", SP3, fine_cube, seconds=7),
)
