"""The kernels between cuboids: images summed term by term, symmetries, sum rules.  Open kernels: tests/physics/test_demag.py."""

import itertools
import math

import mpmath as mp
import pytest
import torch

from tests.physics.newell_mpmath import demag_tensor_exact
from torchmag.energies.cuboids import PAIRS, demag_tensor, oersted_kernel

INF = math.inf
SPACING = (1.0, 0.7, 0.4)
COMPONENTS = {  # whether each component is odd along x, y, z
    demag_tensor: [tuple(a != b and c in (a, b) for c in range(3)) for a, b in PAIRS],
    oersted_kernel: [tuple(c == axis for c in range(3)) for axis in range(3)],
}


def at(table, kernel, axis, offsets):
    """The kernel at offsets of either sign along an axis, from its table at non-negative ones."""
    found = table.index_select(axis + 1, offsets.abs())
    shape = [1, 1, 1]
    shape[axis] = len(offsets)
    signs = [torch.where(offsets < 0, -1.0, 1.0) if odd[axis] else torch.ones(len(offsets)) for odd in COMPONENTS[kernel]]
    return found * torch.stack([sign.reshape(shape) for sign in signs])


def image_sum(kernel, counts, images, axis, reach):
    """Sum over the images -reach ... reach along one axis, the outermost counted half; `images` act along the others."""
    n = counts[axis]
    longer = list(counts)
    longer[axis] = n * (reach + 1)
    others = [0 if a == axis else count for a, count in enumerate(images)]
    table = kernel(longer, SPACING, others)
    shifts = range(-reach, reach + 1)
    weights = [0.5 if abs(shift) == reach else 1.0 for shift in shifts]
    return sum(w * at(table, kernel, axis, torch.arange(n) + n * shift) for w, shift in zip(weights, shifts))


def extrapolate(sums, powers):
    """Richardson: the limit of sums to N, 2 N, 4 N ... whose remainders are series of these powers of 1/N."""
    for power in powers:
        sums = [(2**power * b - a) / (2**power - 1) for a, b in zip(sums, sums[1:])]
    assert len(sums) == 1
    return sums[0]


def test_one_periodic_axis_against_multiple_precision():
    # The remainder beyond image N, the outermost counted half, is a series of even powers of 1/N from N^-2 on.
    # It is cut at N^-8: with 32 images of 3 cells, below 1e-10.
    counts = (3, 2, 1)
    found = demag_tensor(counts, SPACING, (INF, 0, 0))
    for offset in [(0, 0, 0), (1, 1, 0), (2, 0, 0)]:
        sums, total = [], torch.zeros(6)
        for shift in range(33):
            images = {offset[0] + shift * counts[0], offset[0] - shift * counts[0]}
            terms = [demag_tensor_exact((x, *offset[1:]), SPACING) for x in images]
            terms = torch.tensor([[float(term[pair]) for pair in PAIRS] for term in terms]).sum(0)
            total = total + terms
            if shift in (4, 8, 16, 32):
                sums.append(total - 0.5 * terms)
        torch.testing.assert_close(found[(slice(None), *offset)], extrapolate(sums, (2, 4, 6)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_periodic_axis_of_the_oersted_kernel(axis):
    counts, images = (3, 2, 4), [INF if a == axis else 0 for a in range(3)]
    sums = [image_sum(oersted_kernel, counts, images, axis, reach) for reach in (8, 16, 32, 64, 128)]
    # Odd along the axis: K_axis falls as 1/r^2 and sums to a remainder of 1/N, even powers of 1/N for the others.
    found = oersted_kernel(counts, SPACING, images)
    for row in range(3):
        powers = (1, 2, 3, 4) if row == axis else (2, 4, 6, 8)
        limit = extrapolate([total[row] for total in sums], powers)
        torch.testing.assert_close(found[row], limit, rtol=0, atol=1e-9 if row == axis else 1e-12)


@pytest.mark.parametrize("kernel", [demag_tensor, oersted_kernel])
def test_two_periodic_axes_are_rows_of_one(kernel):
    # Rows of dipoles fall as 1/r^2 and rows of currents as 1/r: remainders of odd powers of 1/N.  Cut at N^-9: below 1e-12.
    counts = (3, 2, 4)
    sums = [image_sum(kernel, counts, (INF, INF, 0), 1, reach) for reach in (8, 16, 32, 64, 128)]
    found = kernel(counts, SPACING, (INF, INF, 0))
    rows = [row for row, odd in enumerate(COMPONENTS[kernel]) if not odd[1]]
    torch.testing.assert_close(found[rows], extrapolate(sums, (1, 3, 5, 7))[rows], rtol=0, atol=1e-12)


def test_three_periodic_axes_are_films_without_their_mean_field():
    # The field between films falls exponentially, but for the mean field N_zz = 1 of each, spread over its cells.
    counts = (3, 2, 4)
    found = demag_tensor(counts, SPACING, (INF, INF, INF))
    total = image_sum(demag_tensor, counts, (INF, INF, INF), 2, 12)
    total[2] -= 1 / math.prod(counts)
    torch.testing.assert_close(found, total, rtol=0, atol=1e-14)


@pytest.mark.parametrize("kernel", [demag_tensor, oersted_kernel])
@pytest.mark.parametrize(("counts", "images"), [((3, 2, 2), (2, 0, 0)), ((4, 3, 1), (1, 0, 3)), ((2, 3, 1), (0, 5, INF))])
def test_images_are_summed(kernel, counts, images):
    """N images: the mean of the sums over -N ... N at an offset and at the offset less a period."""
    axis = next(a for a, count in enumerate(images) if 0 < count < INF)
    N, n = images[axis], counts[axis]
    longer = list(counts)
    longer[axis] = n * (N + 2)
    table = kernel(longer, SPACING, [0 if a == axis else count for a, count in enumerate(images)])
    offset = torch.arange(n)
    direct = sum(at(table, kernel, axis, offset + n * p) for p in range(-N, N + 1))
    around = sum(at(table, kernel, axis, offset - n + n * p) for p in range(-N, N + 1))
    # The cell on itself is at offset 0 alone.
    alone = (offset == 0).reshape([n if a == axis else 1 for a in range(3)])
    expected = torch.where(alone, direct, 0.5 * (direct + around))
    torch.testing.assert_close(kernel(counts, SPACING, images), expected, rtol=0, atol=1e-14)


IMAGES = [(0, 0, 0), (2, 0, 0), (INF, 0, 0), (0, INF, 0), (INF, 3, 0), (INF, INF, 0), (0, INF, INF), (INF, INF, INF)]


@pytest.mark.parametrize("images", IMAGES)
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.01), (0.01, 1.0, 0.013)])
def test_trace(images, spacing):
    """Nxx + Nyy + Nzz is 1 for the cell on itself and 0 elsewhere, less the mean where that is taken out."""
    counts = (4, 3, 5)
    trace = demag_tensor(counts, spacing, images)[:3].sum(0)
    expected = torch.zeros(counts)
    expected[0, 0, 0] = 1
    if images == (INF, INF, INF):
        expected -= 1 / math.prod(counts)
    torch.testing.assert_close(trace, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kernel", [demag_tensor, oersted_kernel])
@pytest.mark.parametrize("images", IMAGES[1:])
def test_kernels_are_even_or_odd_around_the_grid(kernel, images):
    counts = (4, 3, 2)
    found = kernel(counts, SPACING, images)
    for axis, n in enumerate(counts):
        if images[axis]:
            turned = found.index_select(axis + 1, -torch.arange(n) % n)
            for component, mirrored, odd in zip(found, turned, COMPONENTS[kernel]):
                torch.testing.assert_close(component, -mirrored if odd[axis] else mirrored, rtol=0, atol=0)
                if odd[axis] and n % 2 == 0:
                    assert not component.select(axis, n // 2).any()


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 2.0, 0.01), (0.01, 1.0, 1.0)])
def test_mean_field_of_infinite_bodies(spacing):
    film = demag_tensor((4, 3, 2), spacing, (INF, INF, 0)).sum((1, 2))
    expected = torch.zeros(6, 2)
    expected[2, 0] = 1  # N_zz of a layer on itself; none on the other layer
    torch.testing.assert_close(film, expected, rtol=0, atol=1e-13)
    rod = demag_tensor((4, 1, 1), spacing, (INF, 0, 0)).sum(1).flatten()
    # Two-dimensional magnetostatics of a rectangle: its factor along y (W. F. Brown, Magnetostatic Principles (1962)).
    p = spacing[1] / spacing[2]
    along_y = ((1 - p * p) / (2 * p) * math.log1p(p * p) + p * math.log(p) + 2 * math.atan(1 / p)) / math.pi
    torch.testing.assert_close(rod, torch.tensor([0, along_y, 1 - along_y, 0, 0, 0]), rtol=0, atol=1e-13)
    torch.testing.assert_close(demag_tensor((4, 3, 2), spacing, (INF,) * 3).sum((1, 2, 3)), torch.zeros(6), rtol=0, atol=1e-13)


def test_alternating_sheets():
    # M_x = +1, -1 in turn along x and uniform along y and z: H = -M.
    N = demag_tensor((2, 1, 1), SPACING, (INF, INF, INF))[0].flatten()
    torch.testing.assert_close(N, torch.tensor([0.5, -0.5]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("offset", [(1, 0, 0), (1, 1, 0), (1, 1, 2)])
def test_oersted_kernel_is_the_integral_of_newells_tensor(offset):
    # K = -grad Phi and N = -grad grad Phi, so d K_x / dx = N_xx, and K_x = 0 at x = 0.
    with mp.workdps(20):
        integral = mp.quad(lambda x: demag_tensor_exact((x, *offset[1:]), SPACING)[0, 0], list(range(offset[0] + 1)), maxdegree=4)
    found = oersted_kernel([o + 1 for o in offset], SPACING)[(0, *offset)]
    assert float(found) == pytest.approx(float(integral) * SPACING[0], rel=1e-12)


def test_oersted_kernel_far_away():
    # V r / (4 pi r^3); the next multipole of a cube is smaller by (h/r)^4.
    K = oersted_kernel((31, 21, 1), (2.0, 2.0, 2.0))[:, 30, 20, 0]
    r = torch.tensor([60.0, 40.0, 0.0])
    torch.testing.assert_close(K, 8 * r / (4 * math.pi * r.norm() ** 3), rtol=(2 / 72) ** 4, atol=0)


@pytest.mark.parametrize("kernel", [demag_tensor, oersted_kernel])
def test_scale(kernel):
    for images in IMAGES:
        metres, nanometres = (kernel((3, 2, 2), [unit * h for h in SPACING], images) for unit in (1.0, 1e-9))
        torch.testing.assert_close(nanometres, metres * (1e-9 if kernel is oersted_kernel else 1), rtol=1e-9, atol=0)


@pytest.mark.parametrize("images", list(itertools.product((0, INF), repeat=3)))
def test_long_and_thin_grids(images):
    """Nothing overflows at extreme sizes, and periods much longer than a distance do not matter."""
    for counts, spacing in (((2000, 1, 1), (1e-9, 1e-6, 1e-10)), ((1, 1, 1), (1e-10, 1e-5, 1e-7))):
        found = demag_tensor(counts, spacing, images)
        assert bool(found.isfinite().all())
        mean = 1 / math.prod(counts) if images == (INF,) * 3 else 0.0
        assert float(found[:3, 0, 0, 0].sum()) == pytest.approx(1 - mean, abs=1e-13)
