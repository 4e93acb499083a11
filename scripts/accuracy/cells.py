"""The cell-centred scheme of mumax3 and OOMMF: m at the centres of the cells, exchange by differences of neighbours, cuboids' stray field."""

import torch

import torchmag as tm


class Cells(torch.nn.Module):
    """Energy in J of m given per cell, (3, *cells).

    Args:
        mesh: the cells; along a periodic axis the last is a neighbour of the first.
        Ms, A: A/m, J/m; numbers or one per cell.  A between two cells is their harmonic mean.
        Ku: uniaxial anisotropy along z, J/m^3.
        D: interface DMI with normal z, J/m^2.
        demag: whether there is a stray field.
    """

    def __init__(self, mesh, Ms, A=0.0, Ku=0.0, D=0.0, demag=True):
        super().__init__()
        self.mesh, self.Ms, self.A, self.Ku, self.D = mesh, Ms, A, Ku, D
        self.demag = tm.Demag(tm.Magnet(mesh, Ms, order=2)) if demag else None

    def forward(self, m):
        return sum(self.parts(m).values())

    def parts(self, m):
        """Energy of each term, J."""
        found = {"exchange": self.exchange(m)}
        if self.demag is not None:
            found["demag"] = -0.5 * tm.mu_0 * self.mesh.cell_volume * (self.Ms * m * self.demag.cell_field(m)).sum()
        if torch.is_tensor(self.Ku) or self.Ku:
            found["anisotropy"] = -self.mesh.cell_volume * (self.Ku * m[2].square()).sum()
        if self.D:
            found["dmi"] = sum(self._dmi(m, axis) for axis in range(self.mesh.dim))
        return found

    def exchange(self, m):
        A = self.A if torch.is_tensor(self.A) else m.new_full(self.mesh.cells, self.A)
        total = 0.0
        for axis in range(self.mesh.dim):
            left, right = self._neighbours(m, axis)
            a, b = self._neighbours(A[None], axis)
            harmonic = 2 * a * b / (a + b + ((a + b) == 0))
            total = total + (harmonic * (right - left).square()).sum() / self.mesh.dx[axis] ** 2
        return total * self.mesh.cell_volume

    def _dmi(self, m, axis):
        left, right = self._neighbours(m, axis)
        return self.D * self.mesh.cell_volume / self.mesh.dx[axis] * (left[axis] * right[2] - left[2] * right[axis]).sum()

    def _neighbours(self, x, axis):
        dim = 1 + axis
        if self.mesh.periodic(axis):
            return x, x.roll(-1, dim)
        n = x.shape[dim]
        return x.narrow(dim, 0, n - 1), x.narrow(dim, 1, n - 1)


def as_energy(cells):
    """The same for `minimize` and `solve`: a ring of as many nodes as there are cells carries m."""
    ring = tm.Mesh(cells.mesh.cells, cells.mesh.dx, pbc=(1,) * cells.mesh.dim + (0,) * (3 - cells.mesh.dim))
    return tm.EnergyModule(tm.Magnet(ring, cells.Ms, order=2), cells)


def centres(mesh):
    """Coordinates of the centres of the cells, m: (dim, *cells)."""
    return tm.positions(mesh, "cells")
