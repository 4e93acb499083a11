"""Fields between equal cuboids as sums over Gaussians, with any axis open, with images or truly periodic.

The kernels of the demagnetising and the Oersted field are derivatives of one function of the offset R of two cells,

    Phi(R) = V mean of 1 / (4 pi |R + u|),

u being the difference of two points, one in each cell, whose density is a product of hat functions.  With
1/r = 2 / sqrt(pi) int_0^inf exp(-s^2 r^2) ds the integrand is a product of functions of x, y and z, and the trapezoidal
rule in ln s converges exponentially at every distance (W. Hackbusch, B. N. Khoromskij, Computing 76, 177 (2006); for the
stray field L. Exl et al., J. Comput. Phys. 231, 2840 (2012)).  Large terms do not cancel: the error is 1e-13 of the tensor's
norm near and far, for cells of any shape, where Newell's formula (J. Geophys. Res. 98, 9551 (1993)) loses digits.

Images are summed in the functions of one axis.  Infinitely many are summed directly for narrow Gaussians and by Poisson's
formula for wide ones, as Ewald does (Ann. Phys. 369, 253 (1921)).  The integral over s fixes the order of summation: along
one or two periodic axes the mean field is that of an infinite prism or film; along three it vanishes.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
# Of ln s.  The integrand is analytic for |Im ln s| < pi/4: an error of exp(-2 pi (pi/4) / STEP) = 7e-18 times a constant.
STEP = 0.125
# Cut-off of the integral, relative.
TOLERANCE = 1e-15
# Gaussians wider than two cells are integrated by the Gauss rule, the others in closed form.
WIDE = 0.5
# exp(-REACH^2) = 5e-22.
REACH = 7.0
# Values tabulated at a time.
BLOCK = 2**18
# Gaussians wider than 0.4 periods are summed in Fourier space: there and here the sixth term is below 1e-20.
PERIODIC, TERMS = 2.5, 5


def demag_tensor(counts: Sequence[int], spacing: Sequence[float], images: Sequence[float] = (0, 0, 0)) -> Tensor:
    """N at all offsets (i, j, k), 0 <= i < counts[0] ...: (6, *counts), float64, components xx yy zz xy xz yz.

    N(R) is the mean over a cell of the field of a homogeneously magnetised cell at offset R, H = -N M, summed over images
    with a period of `counts` cells: none, N on each side, or infinitely many.  Diagonal components are even in every
    offset, N_ab is odd along a and along b.
    """
    return torch.stack(list(demag_components(PAIRS, counts, spacing, images)))


def demag_components(
    pairs, counts: Sequence[int], spacing: Sequence[float], images: Sequence[float] = (0, 0, 0)
) -> Iterator[Tensor]:
    """N_ab of `demag_tensor` for each of the pairs (a, b): (*counts)."""
    orders = [[(a == c) + (b == c) for c in range(3)] for a, b in pairs]
    return (-found for found in potential_derivatives(orders, counts, spacing, images))


def oersted_kernel(counts: Sequence[int], spacing: Sequence[float], images: Sequence[float] = (0, 0, 0)) -> Tensor:
    """K at all offsets (i, j, k), 0 <= i < counts[0] ...: (3, *counts), float64, m; K_c is odd along c, even along the others.

    K(R) = V mean of r / (4 pi r^3), r = R + u, summed over images like `demag_tensor`: the field of a current density j is
    H = j x K.
    """
    return torch.stack(list(oersted_components(range(3), counts, spacing, images)))


def oersted_components(
    axes, counts: Sequence[int], spacing: Sequence[float], images: Sequence[float] = (0, 0, 0)
) -> Iterator[Tensor]:
    """K_c of `oersted_kernel` for each of the axes c: (*counts)."""
    orders = [[int(a == c) for a in range(3)] for c in axes]
    return (-found for found in potential_derivatives(orders, counts, spacing, images))


def potential_derivatives(orders, counts: Sequence[int], spacing: Sequence[float], images: Sequence[float]) -> Iterator[Tensor]:
    """Derivatives of Phi of each of the given orders, one or two in all: (*counts), float64, m to the power 2 - order."""
    longest = max(spacing)
    h = [edge / longest for edge in spacing]
    s = _widths(counts, h, images)
    axes = [_axis(s * edge, n, count) for edge, n, count in zip(h, counts, images)]
    weight = s * (STEP * math.prod(h) / (2 * math.pi**1.5))
    for order in orders:
        x, y, z = (axis[d] / edge**d for axis, d, edge in zip(axes, order, h))
        yield _contract(x * (weight[:, None] * longest ** (2 - sum(order))), y, z)


def _widths(counts, h, images):
    """The nodes s of the trapezoidal rule, increasing, in units of the inverse longest edge."""
    infinite = sum(math.isinf(count) for count in images)
    reach = max(n * edge * (1 if math.isinf(count) else 1 + count) for n, edge, count in zip(counts, h, images))
    # Towards s = 0 the integrand over ln s falls as s^3, and as s less for each infinite axis; for three as exp(-(pi / s L)^2).
    lower = 0.4 if infinite == 3 else TOLERANCE ** (1 / (3 - infinite))
    # Towards infinity it falls as 1/s, between cells that touch.
    upper = 0.1 / TOLERANCE / min(h)
    return torch.arange(math.log(lower / reach), math.log(upper), STEP, dtype=torch.float64).exp()


def _contract(x, y, z):
    """sum_s x[s, i] y[s, j] z[s, k]: (i, j, k), as products of matrices, one for each index of the shortest axis."""
    order = sorted(range(3), key=lambda axis: (x, y, z)[axis].shape[1])
    first, second, third = ((x, y, z)[axis] for axis in order)
    planes = [(column[:, None] * second).mT @ third for column in first.unbind(1)]
    return torch.stack(planes).permute(*(order.index(axis) for axis in range(3)))


def _axis(y: Tensor, n: int, images: float) -> Tensor:
    """The hat average of exp(-y^2 j^2) at the offsets j = 0 ... n - 1 in cells, its first and second derivative, images
    summed: y (S) -> (3, S, n)."""
    if images == 0:
        return _hat_averages(y, n)
    if math.isinf(images):
        wide = y * n < PERIODIC
        found = torch.cat((_fourier_sum(y[wide], n), _image_sum(y[~wide], n, TERMS - 1)), 1)
    else:
        found = _image_sum(y, n, images)
    # j and j - n are one offset of a cyclic grid: the mean of both image sums is even, or odd.
    return 0.5 * (found + _parity(found) * found[..., -torch.arange(n) % n])


def _image_sum(y, n, images):
    table = _hat_averages(y, n * (images + 1))
    total = table[..., :n].clone()
    for shift in range(n, n * images + 1, n):
        total += table[..., shift : shift + n]
        total += _parity(table) * table[..., shift - n + 1 : shift + 1].flip(-1)
    return total


def _parity(table):
    return table.new_tensor([1, -1, 1]).reshape(3, 1, 1)


def _fourier_sum(y, n):
    """Infinitely many images by Poisson's formula."""
    y, j = y[:, None], torch.arange(n, dtype=torch.float64)
    height = math.sqrt(math.pi) / (y * n)
    even, slope, bend = height.expand(-1, n).clone(), torch.zeros(len(y), n).double(), torch.zeros(len(y), n).double()
    for m in range(1, TERMS + 1):
        k = 2 * math.pi * m / n
        hat = (2 / k * math.sin(k / 2)) ** 2
        amplitude = 2 * hat * height * torch.exp(-((k / (2 * y)) ** 2))
        even += amplitude * torch.cos(k * j)
        slope -= amplitude * k * torch.sin(k * j)
        bend -= amplitude * k**2 * torch.cos(k * j)
    return torch.stack((even, slope, bend))


def _hat_averages(y: Tensor, count: int) -> Tensor:
    """Hat average of exp(-y^2 j^2) at j = 0 ... count - 1, its first and second derivative: y (S), increasing -> (3, S, count)."""
    found = []
    # Blocks bound the memory; narrow Gaussians need few offsets, very wide ones few points of the rule.
    for block in y.split(max(1, BLOCK // count)):
        near = min(count, math.ceil(REACH / float(block[0])) + 2)
        wide = block < WIDE
        part = torch.cat((_by_rule(block[wide], near), _in_closed_form(block[~wide], near)), 1)
        found.append(torch.nn.functional.pad(part, (0, count - near)))
    return torch.cat(found, 1)


def _by_rule(y, count):
    """Legendre's rule on each half of the hat: no cancellation for wide Gaussians."""
    found = torch.zeros(3, len(y), count, dtype=torch.float64)
    if not len(y):
        return found
    # The error of n points is below (y / 5)^(2 n).
    needed = math.ceil(math.log(0.1 * TOLERANCE) / (2 * math.log(float(y[-1]) / 5)))
    points, weights = np.polynomial.legendre.leggauss(needed)
    y, j = y[:, None], torch.arange(count, dtype=torch.float64)
    for point, weight in zip(points.tolist(), weights.tolist()):
        u = 0.5 * (1 + point)
        for shifted in (j + u, j - u):
            t = y * shifted
            gauss = 0.5 * weight * (1 - u) * torch.exp(-t * t)
            found[0] += gauss
            found[1] -= 2 * y * t * gauss
            found[2] += 2 * y * y * (2 * t * t - 1) * gauss
    found[1, :, 0] = 0
    return found


def _in_closed_form(y, count):
    """Second differences of the Gaussian and of its first and second integral, whose linear parts are taken out."""
    y = y[:, None]
    t = y * torch.arange(count + 1, dtype=torch.float64)
    gauss, tail = torch.exp(-t * t), torch.erfc(t)
    root = math.sqrt(math.pi)
    average = _second_difference(gauss / root - t * tail) / y
    average[:, 0] += 2
    slope = -_second_difference(tail)
    slope[:, 0] = 0
    return torch.stack((root / (2 * y) * average, root / (2 * y) * slope, _second_difference(gauss)))


def _second_difference(f):
    """Of an even function at 0, 1 ... n: (S, n + 1) -> (S, n)."""
    f = torch.cat((f[:, 1:2], f), 1)
    return f[:, 2:] - 2 * f[:, 1:-1] + f[:, :-2]
