"""The demagnetising tensor between cells: near, far, and summed by the Fourier transform."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.cases.bodies import NM, body
from torchmag.cases.table import Case, Row, relative
from torchmag.energies.cuboids import PAIRS, demag_tensor

# Offset in cells, N_xx, N_xy between cubes.
CUBES = (
    ((1, 0, 0), -0.13501718054449527, 0.0),
    ((0, 1, 0), 0.06750859027224763, 0.0),
    ((1, 1, 0), -0.013785762048348117, -0.04556482263891464),
    ((1, 2, 3), 0.0011942199310796997, -0.0006497752984295435),
    ((5, 3, 1), -0.0004393211545929725, -0.0004941084396338007),
    ((20, 10, 3), -9.407495751111386e-6, -8.168580231735792e-6),
)


@torch.no_grad()
def newell() -> list[Row]:
    """N between cubes: near to 1e-12, 20 cells away to 1e-6 of the value."""
    N = demag_tensor((1, 1, 1), (NM,) * 3)[:, 0, 0, 0]
    rows = [Row("N_xx of a cube on itself", float(N[PAIRS.index((0, 0))]), 1 / 3, 1e-12)]
    for offset, Nxx, Nxy in CUBES:
        N = demag_tensor([o + 1 for o in offset], (NM,) * 3)[(slice(None), *offset)]
        for name, pair, expected in (("N_xx", (0, 0), Nxx), ("N_xy", (0, 1), Nxy)):
            tolerance = 1e-6 * abs(expected) if offset == (20, 10, 3) else 1e-12
            rows.append(Row(f"{name} at {offset}", float(N[PAIRS.index(pair)]), expected, tolerance))
    return rows


def direct_sum(M: Tensor, dx) -> Tensor:
    """H = -sum_c' N(c - c') M_c' pair by pair: (3, *cells) -> (3, *cells)."""
    counts = M.shape[1:]
    N = demag_tensor(counts, dx)  # (6, *cells), offsets >= 0
    index = torch.cartesian_prod(*(torch.arange(n) for n in counts))  # (c, 3)
    offset = index[:, None] - index  # (c, c, 3)
    near, sign = offset.abs(), torch.where(offset < 0, -1.0, 1.0).double()
    M = M.flatten(1)
    H = torch.zeros_like(M)
    for row, (a, b) in enumerate(PAIRS):
        pairs = N[row][near[..., 0], near[..., 1], near[..., 2]]
        # N_ab is odd along a and along b.
        pairs = pairs if a == b else pairs * sign[..., a] * sign[..., b]
        H[a] -= pairs @ M[b]
        if a != b:
            H[b] -= pairs @ M[a]
    return H.reshape(3, *counts)


@torch.no_grad()
def convolution() -> list[Row]:
    """Random m at the nodes, random Ms with empty cells: field and energy of the convolution beside the sum over pairs of cells, of order 2."""
    n, dx = (6, 5, 4), (1.0 * NM, 1.5 * NM, 2.0 * NM)
    generator = torch.Generator().manual_seed(15)
    u, v = torch.rand(2, *n, dtype=torch.float64, generator=generator)
    Ms = (2e5 + 1e6 * u) * (v > 0.3)
    m = tm.random(tm.Mesh(n, dx), seed=15, dtype=torch.float64)
    mean = torch.nn.functional.avg_pool3d(m, 2, stride=1)
    H = direct_sum(Ms * mean, dx)
    E = -0.5 * tm.mu_0 * math.prod(dx) * float((Ms * mean * H).sum())
    rows = []
    for dtype, part in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        demag, name = tm.Demag(tm.Magnet(tm.Mesh(n, dx), Ms.to(dtype), order=2, dtype=dtype)), str(dtype)[6:]
        error = float((demag.cell_field(mean.to(dtype)).double() - H).abs().max() / H.abs().max())
        rows.append(Row(f"largest error of the field over the largest field, {name}", error, 0.0, part))
        rows.append(relative(f"energy, {name}", demag.energy(m.to(dtype)), E, part, "J"))
    return rows


@torch.no_grad()
def dipole() -> list[Row]:
    """One cell at the end of a chain: 4 pi r^3 H / (Ms V) is 2 along the moment and -1 across it."""
    Ms = torch.zeros(1, 1, 100, dtype=torch.float64)
    Ms[..., 0] = 8e5
    magnet = body((1, 1, 100), (NM,) * 3, Ms)
    demag = tm.Demag(magnet)
    r = torch.arange(20, 100, dtype=torch.float64) * NM
    rows = []
    for name, axis, expected in (("along", 2, 2.0), ("across", 0, -1.0)):
        m = torch.zeros(3, 1, 1, 100, dtype=torch.float64)
        m[axis] = 1
        scaled = demag.cell_field(m)[axis, 0, 0, 20:] * 4 * math.pi * r**3 / (8e5 * magnet.mesh.cell_volume)
        for i in (0, 79):
            rows.append(relative(f"4 pi r^3 H / (Ms V) {name} the moment, {20 + i} cells away", scaled[i], expected, 1e-2))
        rows.append(Row(f"largest error {name} the moment", float((scaled - expected).abs().max()), 0.0, 1e-2 * abs(expected)))
    return rows


CASES = (
    Case("DEM-06", "tensor between cubes", "exact; mumax+ test (1024 bits), re-derived in multiple precision", newell),
    Case("DEM-15", "convolution and direct sum", "exact; mumax+ test/test_strayfield.py", convolution),
    Case("DEM-16", "dipole limit", "exact; magnum.np demag tests", dipole),
)
