"""What cuboids add to the stray field of a smooth texture, as a short kernel over the cells.

Magnetisation that varies along an axis a steps from cuboid to cuboid.  The steps are waves of the wave numbers G = 2 pi j / h_a, and
their charges have a field of their own: for slow variation, of sines s_a = sin(k_a h_a / 2), it adds

    C = sum_a 1/3 s_a^2 (1 + s_a^2 / 5) T_a

to the demagnetising tensor of the cells.  T_a is the demagnetising tensor of a wave G along a, the mean over j with weights j^-2.  In the
bulk that is a a^T.  Near a surface at right angles to b the field of such a wave falls off as exp(-G |b|): between cells n apart
along b

    p_0 = 1 - (1 - e^-x) / x,    p_n = (1 - e^-x)^2 / (2 x) e^-((n - 1) x),    x = G h_b,

and T_a = p_b p_c along a, (1 - p_b) (1 + p_c) / 2 along b, likewise along c: of trace 1, as every wave.  The term with s_a^4 belongs to order 6.
"""

import functools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Waves summed; the rest is put into a cell's own term.
WAVES = 400
# Smaller values of p are left out.
SMALL = 1e-7


@functools.cache
def alias_kernel(
    counts: tuple[int, ...], spacing: tuple[float, ...], periodic: tuple[bool, ...], order: int
) -> tuple[Tensor, Tensor, Tensor]:
    """C_xx, C_yy, C_zz at the offsets -r ... r of the three axes: (2 r_x + 1, 2 r_y + 1, 2 r_z + 1) each, float64; zero in sum along a."""
    with torch.device("cpu"):  # whatever the default device is: it is kept
        return _made(counts, spacing, periodic, order)


def _made(counts, spacing, periodic, order):
    j = torch.arange(1, WAVES + 1, dtype=torch.float64)
    weights = 6 / (math.pi * j) ** 2
    reach = []
    for b, (n, h) in enumerate(zip(counts, spacing)):
        waves = [_reach(h, spacing[a]) for a in range(3) if a != b and counts[a] > 1]
        longest = max([order // 2 - 1, *waves])
        reach.append(longest if periodic[b] else min(n - 1, longest))
    found = [torch.zeros([2 * r + 1 for r in reach], dtype=torch.float64) for _ in range(3)]
    for a in range(3):
        if counts[a] == 1:
            continue
        b, c = (axis for axis in range(3) if axis != a)
        along = _second_differences(order, reach[a])
        p = {axis: _decay(2 * math.pi * j * spacing[axis] / spacing[a], reach[axis]) for axis in (b, c)}
        own = {axis: torch.zeros(2 * reach[axis] + 1, dtype=torch.float64) for axis in (b, c)}
        for axis in (b, c):
            own[axis][reach[axis]] = 1
        across = {
            a: torch.einsum("j,jb,jc->bc", weights, p[b], p[c]) + (1 - weights.sum()) * torch.outer(own[b], own[c]),
            b: torch.einsum("j,jb,jc->bc", weights, own[b] - p[b], 0.5 * (own[c] + p[c])),
            c: torch.einsum("j,jb,jc->bc", weights, 0.5 * (own[b] + p[b]), own[c] - p[c]),
        }
        for component, plane in across.items():
            found[component] += (along[:, None, None] * plane).movedim((0, 1, 2), (a, b, c))
    return tuple(found)


def add_alias(row: Tensor, kernel: Tensor, periodic: Sequence[bool]) -> Tensor:
    """A row of a convolution kernel, at the offsets 0 ... n - 1, plus one that is even: (nx, ny, nz)."""
    for axis in range(3):
        n, reach = row.shape[axis], kernel.shape[axis] // 2
        folded = kernel.new_zeros([n if other == axis else size for other, size in enumerate(kernel.shape)])
        for offset in range(-reach if periodic[axis] else 0, reach + 1):
            folded.narrow(axis, offset % n, 1).add_(kernel.narrow(axis, reach + offset, 1))
        kernel = folded
    return row + kernel


def _reach(h, wave):
    """How many cells of this size a wave as long as `wave` reaches."""
    return 1 + math.ceil(-math.log(SMALL) / (2 * math.pi * h / wave))


def _second_differences(order, reach):
    """1/3 s^2 (1 + s^2 / 5) at the offsets -reach ... reach; what lies beyond never meets another cell."""
    square = {-1: -1 / 4, 0: 1 / 2, 1: -1 / 4}
    fourth = {-2: 1 / 16, -1: -1 / 4, 0: 3 / 8, 1: -1 / 4, 2: 1 / 16}
    value = lambda i: square.get(i, 0.0) / 3 + (fourth.get(i, 0.0) / 15 if order > 4 else 0.0)
    return torch.tensor([value(i) for i in range(-reach, reach + 1)], dtype=torch.float64)


def _decay(x, reach):
    """p at the offsets -reach ... reach: (waves, 2 reach + 1)."""
    x = x[:, None]
    n = torch.arange(-reach, reach + 1, dtype=torch.float64).abs()
    once = -torch.expm1(-x)
    return torch.where(n == 0, 1 - once / x, once**2 / (2 * x) * torch.exp(-(n - 1).clamp(min=0) * x))
