"""Rotations by 90 degrees, mirrors and inversion of the body with everything on it: every energy and field goes along.

m and fields are axial vectors; currents and surface normals are polar ones, D_ijk a polar tensor, the strain a tensor, the bulk
DMI constant a pseudoscalar.  Each term states below how its parameters turn, by physics and not by what the code does.
"""

import itertools

import pytest
import torch
from every_term import CASES, PLANES, body, terms

import torchmag as tm

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


class Turn:
    """x'_a = sign_a x_perm(a), on positions, grids and components."""

    def __init__(self, perm, signs):
        self.perm, self.signs = perm, signs
        self.matrix = torch.zeros(3, 3, dtype=torch.float64)
        for a, (b, sign) in enumerate(zip(perm, signs)):
            self.matrix[a, b] = sign
        self.parity = float(torch.linalg.det(self.matrix))

    def mesh(self, mesh):
        n = tuple(mesh.n[b] for b in self.perm[: mesh.dim])
        return tm.Mesh(n, tuple(mesh.dx[b] for b in self.perm), pbc=tuple(mesh.pbc[b] for b in self.perm))

    def scalar(self, x, mesh, at="cells"):
        """(..., *grid) of the mesh to that of the turned one."""
        lead = x.ndim - mesh.dim
        x = x.permute(*range(lead), *(lead + b for b in self.perm[: mesh.dim]))
        for a in range(mesh.dim):
            if self.signs[a] < 0:
                x = x.flip(lead + a)
                if at == "nodes" and mesh.periodic(self.perm[a]):
                    x = x.roll(1, lead + a)  # node 0 stays where it is
        return x.contiguous()

    def vector(self, x, mesh, at="cells", axial=False):
        turned = torch.tensordot(self.matrix, self.scalar(x, mesh, at), 1)
        return self.parity * turned if axial else turned

    def tensor(self, x, mesh):
        return torch.einsum("ai,bj,ck,ijk...->abc...", self.matrix, self.matrix, self.matrix, self.scalar(x, mesh))

    def strain(self, x, mesh):
        x = self.scalar(x, mesh)
        full = torch.zeros(3, 3, *x.shape[1:])
        for value, (a, b) in zip(x, VOIGT):
            full[a, b] = full[b, a] = value
        full = torch.einsum("ai,bj,ij...->ab...", self.matrix, self.matrix, full)
        return torch.stack([full[a, b] for a, b in VOIGT])


ALL = [Turn(perm, signs) for perm in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)]
ROTATION_X, ROTATION_Y = Turn((0, 2, 1), (1, -1, 1)), Turn((2, 1, 0), (1, 1, -1))
ROTATION_Z, DIAGONAL = Turn((1, 0, 2), (-1, 1, 1)), Turn((1, 2, 0), (1, 1, 1))
INVERSION, MIRROR = Turn((0, 1, 2), (-1, -1, -1)), Turn((0, 1, 2), (-1, 1, 1))
SOME = {"x": ROTATION_X, "y": ROTATION_Y, "z": ROTATION_Z, "111": DIAGONAL, "inversion": INVERSION, "mirror": MIRROR}


def turned_terms(term, magnet, g, axis):
    """The same terms on the turned body, their parameters turned."""
    mesh = term["exchange"].mesh

    def s(x):
        return g.scalar(x, mesh)

    def polar(x):
        return g.vector(x, mesh)

    cubic, uniaxial, interface = term["cubic"], term["uniaxial"], term["interface_dmi"]
    elastic, layers = term["magnetoelastic"], term["interlayer"]
    normal = g.perm.index(axis)
    planes = PLANES if g.signs[normal] > 0 else tuple(mesh.cells[axis] - p for p in PLANES)
    return {
        "exchange": tm.Exchange(magnet, s(term["exchange"].A)),
        "uniaxial": tm.UniaxialAnisotropy(magnet, s(uniaxial.Ku), polar(uniaxial.axis), Ku2=s(uniaxial.Ku2)),
        "cubic": tm.CubicAnisotropy(
            magnet, s(cubic.Kc1), polar(cubic.axis1), polar(cubic.axis2), Kc2=s(cubic.Kc2), Kc3=s(cubic.Kc3)
        ),
        "bulk_dmi": tm.BulkDMI(magnet, g.parity * s(term["bulk_dmi"].D)),
        "interface_dmi": tm.InterfaceDMI(magnet, s(interface.D), polar(interface.normal)),
        "dmi": tm.DMI(magnet, g.tensor(term["dmi"].D, mesh)),
        "magnetoelastic": tm.Magnetoelastic(magnet, g.strain(elastic.strain, mesh), s(elastic.B1), s(elastic.B2)),
        "interlayer": tm.InterlayerExchange(magnet, s(layers.J), J2=s(layers.J2), axis=normal, planes=planes),
        "oersted": tm.Oersted(magnet, polar(term["oersted"].j)),
        "zeeman": tm.Zeeman(magnet, g.vector(term["zeeman"].H, mesh, "nodes", axial=True)),
        "demag": tm.Demag(magnet),
    }


def check(case, turns):
    mesh, axis = CASES[case]
    magnet = body(mesh, axis)
    before = terms(magnet, axis)
    m = tm.random(mesh, seed=40)
    for g in turns:
        if any(g.perm[a] != a for a in range(mesh.dim, 3)):
            continue  # a missing axis stays where it is
        new = g.mesh(mesh)
        after = turned_terms(before, tm.Magnet(new, g.scalar(magnet.Ms, mesh), g.scalar(magnet.fraction, mesh)), g, axis)
        turned = g.vector(m, mesh, "nodes", axial=True)
        for name, term in before.items():
            w = term.density_map(m)
            scale = float(w.abs().sum()) * mesh.cell_volume
            assert abs(float(after[name].energy(turned) - term.energy(m))) < 1e-12 * scale, name
            for got, expected in (
                (after[name].density_map(turned), g.scalar(w, mesh)),
                (after[name].field(turned), g.vector(term.field(m), mesh, "nodes", axial=True)),
            ):
                torch.testing.assert_close(
                    got, expected, rtol=0, atol=1e-12 * float(expected.abs().max()), msg=lambda s, name=name: f"{name}: {s}"
                )


@pytest.mark.parametrize("turn", SOME)
@pytest.mark.parametrize("case", CASES)
def test_terms_turn_with_their_parameters(case, turn):
    check(case, [SOME[turn]])


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_all_48_operations_of_the_cube(case):
    check(case, ALL)


@pytest.mark.parametrize("case", CASES)
def test_time_reversal(case):
    """m, applied fields and currents turn over: no energy changes.  Of the energies only those two are odd in m."""
    mesh, axis = CASES[case]
    m = tm.random(mesh, seed=41)
    for name, term in terms(body(mesh, axis), axis).items():
        sign = -1 if name in ("zeeman", "oersted") else 1
        scale = float(term.density_map(m).abs().max())
        torch.testing.assert_close(term.density_map(-m), sign * term.density_map(m), rtol=0, atol=1e-13 * scale)


def test_what_a_chiral_term_must_not_do():
    """The test can fail: a bulk DMI constant that is taken along unchanged changes the energy in a mirror."""
    mesh, axis = CASES["3d"]
    magnet = body(mesh, axis)
    term, m = terms(magnet, axis)["bulk_dmi"], tm.random(mesh, seed=42)
    after = tm.BulkDMI(
        tm.Magnet(mesh, MIRROR.scalar(magnet.Ms, mesh), MIRROR.scalar(magnet.fraction, mesh)), MIRROR.scalar(term.D, mesh)
    )
    mirrored = MIRROR.vector(m, mesh, "nodes", axial=True)
    torch.testing.assert_close(after.energy(mirrored), -term.energy(m), rtol=1e-12, atol=0)
