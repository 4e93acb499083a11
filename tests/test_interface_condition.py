"""m1 x B1 = m2 x B2 where A, K and D jump (Abert et al. 2024, Eq. 6), and m x B = 0 at the free ends: second order in h
with the elements, order = 2.

B = dw/d(d_x m) is taken from each side by one-sided differences over three nodes, of the state that the energy alone selects: the
condition is imposed nowhere.
"""

import math

import pytest
import torch

import torchmag as tm

LENGTH, MIDDLE = 64e-9, 0.5
CELLS = (32, 64, 128, 256)
A, K, D = (1.3e-11, 4e-12), (1.5e5, 4e5), (1.5e-3, -1e-3)


def flux(m, slope, A, D, kind):
    """B = 2 A d_x m + what the DMI adds."""
    mx, my, mz = m
    zero = torch.zeros_like(mx)
    dmi = {"bulk": (zero, mz, -my), "interface": (-mz, zero, mx), None: (zero, zero, zero)}[kind]
    return 2 * A * slope + D * torch.stack(dmi)


def residuals(cells, kind, jumps):
    """|m x (B1 - B2)| at the jump and |m x B| at the ends, over the largest of the parts that cancel."""
    h = LENGTH / cells
    magnet = tm.Magnet(tm.Mesh((cells,), (h, 1e-9, 1e-9)), 8e5, order=2)
    left = torch.arange(cells) < cells // 2

    def halves(name, pair):
        pair = pair if name in jumps else (pair[0], pair[0])
        return pair, torch.where(left, *(torch.tensor(v, dtype=torch.float64) for v in pair))

    a, k, d = halves("A", A), halves("K", K), halves("D", D)
    energy = tm.Exchange(magnet, a[1]) + tm.UniaxialAnisotropy(magnet, k[1], (0, 0, 1))
    if kind == "bulk":
        energy = energy + tm.BulkDMI(magnet, d[1])
    if kind == "interface":
        energy = energy + tm.InterfaceDMI(magnet, d[1], (0, 0, 1))
    # A transverse field curves the profile on both sides.
    energy = energy + tm.Zeeman(magnet, (2e5, 1e5, 5e4))
    x = tm.positions(magnet.mesh)[0] / LENGTH
    start = torch.stack([0.3 + 0 * x, 0.2 + 0 * x, torch.cos(math.pi * x)])
    m = tm.minimize(energy, start / start.norm(dim=0), tolerance=1e-9)
    c = cells // 2
    before = (3 * m[:, c] - 4 * m[:, c - 1] + m[:, c - 2]) / (2 * h)
    after = (-3 * m[:, c] + 4 * m[:, c + 1] - m[:, c + 2]) / (2 * h)
    at_end = (-3 * m[:, 0] + 4 * m[:, 1] - m[:, 2]) / (2 * h)
    B1, B2 = flux(m[:, c], before, a[0][0], d[0][0], kind), flux(m[:, c], after, a[0][1], d[0][1], kind)
    end = flux(m[:, 0], at_end, a[0][0], d[0][0], kind)
    scale = max(float((2 * a[0][0] * before).norm()), abs(d[0][0]) if kind else 0.0)
    jump = float(torch.linalg.cross(m[:, c], B1 - B2).norm()) / scale
    # What a scheme that knows nothing of the jump would keep continuous instead: d_x m.
    naive = float((before - after).norm() * 2 * a[0][0]) / scale
    return jump, float(torch.linalg.cross(m[:, 0], end).norm()) / scale, naive


@pytest.mark.parametrize(
    ("kind", "jumps"), [(None, "AK"), ("bulk", "D"), ("bulk", "AKD"), ("interface", "D"), ("interface", "AKD")]
)
def test_order_of_the_jump_and_of_the_boundary(kind, jumps):
    found = [residuals(cells, kind, jumps) for cells in CELLS]
    for name, errors in (("jump", [f[0] for f in found]), ("end", [f[1] for f in found])):
        orders = [math.log2(a / b) for a, b in zip(errors, errors[1:])]
        # Second order; the coarsest cells are half a wall width.
        assert orders[-1] > 1.9 and orders[-2] > 1.75, (name, errors, orders)
        assert errors[-1] < 3e-3, (name, errors)
    # The slope itself jumps, and does not go away.
    assert found[-1][2] > 10 * found[-1][0] and found[-1][2] > 0.05
