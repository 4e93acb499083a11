"""Magnetoelastic field at a given strain."""

import math

import torch

import torchmag as tm
from torchmag.cases.bodies import NM, at_nodes, body, reals, uniform, wire
from torchmag.cases.table import Case, Row, components

MS = 1.2e6


def uniform_strain() -> list[Row]:
    """mu_0 H_i = -2 / Ms (B1 m_i e_ii + B2 sum_{j != i} m_j e_ij), numbers drawn at random."""
    generator = torch.Generator().manual_seed(2)
    magnet = body((3, 2, 2), (2 * NM, NM, 3 * NM), MS)
    rows = []
    for draw in range(3):
        strain = 1e-3 * torch.randn(6, dtype=torch.float64, generator=generator)
        B1, B2 = (1e7 * torch.randn(2, dtype=torch.float64, generator=generator)).tolist()
        m = uniform(magnet, torch.randn(3, dtype=torch.float64, generator=generator))
        H = tm.Magnetoelastic(magnet, strain, B1, B2).field(m)
        xx, yy, zz, yz, xz, xy = strain.tolist()
        e = reals([[B1 * xx, B2 * xy, B2 * xz], [B2 * xy, B1 * yy, B2 * yz], [B2 * xz, B2 * yz, B1 * zz]])
        expected = -2 / (tm.mu_0 * MS) * e @ m[:, 0, 0, 0]
        size = float(expected.norm())
        rows += components(f"H_{{}}, draw {draw + 1}", H[:, 0, 0, 0], expected, 1e-5 * size, "A/m")
        spread = float((H - expected.reshape(3, 1, 1, 1)).abs().max())
        rows.append(Row(f"largest error at the nodes, draw {draw + 1}", spread, 0.0, 1e-5 * size, "A/m"))
    return rows


def wave_field(cells: int, B1: float) -> tuple[torch.Tensor, torch.Tensor]:
    """H_x and its exact value at the nodes of two periods of u = a sin kx, e_xx the mean over each cell, m = x; over the largest."""
    length, a = 128 * NM, 1e-11
    k = 4 * math.pi / length
    magnet = wire(cells, length / cells, MS, periodic=True)
    x = at_nodes(magnet)[0]
    u = a * torch.sin(k * x)
    strain = torch.zeros(6, cells, dtype=torch.float64)
    strain[0] = (u.roll(-1) - u) / (length / cells)
    H = tm.Magnetoelastic(magnet, strain, B1, 0.0).field(uniform(magnet, (1, 0, 0)))[0]
    scale = 2 * abs(B1) * a * k / (tm.mu_0 * MS)
    return H / scale, -math.copysign(1, B1) * torch.cos(k * x)


def displacement() -> list[Row]:
    """mu_0 H = -2 B1 / Ms a k cos kx.  Nodes err by 1 - sin(kh) / kh: extrapolated from 128 and 256 cells."""
    (coarse, exact), (fine, _) = (wave_field(cells, -8e6) for cells in (128, 256))
    limit = (4 * fine[::2] - coarse) / 3
    kh = 4 * math.pi / 128
    error = float((coarse - exact).abs().max())
    # The mean of the strain of the cells beside a node is the central difference of u.
    discrete = 1 - math.sin(kh) / kh
    return [
        Row("sine: largest error over the largest field, extrapolated", float((limit - exact).abs().max()), 0.0, 1e-4),
        Row("sine: the same, 128 cells, of the scheme", error, discrete, 1e-10),
    ]


@torch.no_grad()
def field() -> list[Row]:
    """Uniform strain and a sine of the displacement."""
    return [*uniform_strain(), *displacement()]


CASES = (Case("MEL-01", "field of a strain", "exact; mumax3 test/mel-field.mx3, mumax+ test/test_magnetoelasticfield.py", field),)
