"""Bodies from pictures, Voronoi grains, values per grain, grain boundaries, regions."""

import math
import pathlib
import re
import time

import numpy as np
import pytest
import torch
from matplotlib import image as pictures

import torchmag as tm
from torchmag.geometry import (
    Box,
    Sphere,
    from_image,
    grain_boundaries,
    grain_values,
    random_axes,
    random_normal,
    regions,
    scale_boundaries,
    voronoi,
)
from torchmag.geometry.grains import nearest_point

nm = 1e-9
MESH = tm.Mesh((4, 3), (5 * nm, 5 * nm, 3 * nm))
# An L: a dark column at the left, a dark row at the bottom. Rows from the top, as one sees it; 1 is white.
PICTURE = np.array([[0.0, 1.0, 1.0, 1.0], [0.2, 1.0, 0.9, 1.0], [0.0, 0.0, 0.4, 1.0]])
# The same by (x, y): y up.
EXPECTED = torch.tensor([[True, True, True], [True, False, False], [True, False, False], [False, False, False]])


def test_image_is_upright():
    assert torch.equal(from_image(PICTURE, MESH), EXPECTED)
    assert torch.equal(from_image(torch.tensor(PICTURE), MESH, dark=False), ~EXPECTED)
    assert from_image(PICTURE, MESH)[3, 0] == from_image(PICTURE, MESH)[1, 2] == 0


def test_image_levels_are_a_fraction():
    fraction = from_image(PICTURE, MESH, threshold=None)
    torch.testing.assert_close(fraction, torch.tensor(1 - PICTURE).flip(0).T)
    assert fraction.dtype == torch.get_default_dtype()
    assert tm.Magnet(MESH, 8e5, fraction).fraction[2, 0] == pytest.approx(0.6)
    assert from_image(PICTURE, MESH, None, dark=False, dtype=torch.float32)[2, 0] == pytest.approx(0.4)


@pytest.mark.parametrize("kind", ["grey", "rgb", "rgba", "uint8"])
def test_image_from_a_file(tmp_path, kind):
    path = tmp_path / "body.png"
    pixels = PICTURE
    if kind == "uint8":
        pixels = (PICTURE * 255).astype(np.uint8)
    if kind != "grey":
        pixels = np.stack([pixels] * 3, -1)
    if kind == "rgba":
        # Black where it is transparent: paper.
        alpha = np.where(PICTURE < 0.5, 1.0, 0.0)
        pixels = np.concatenate([np.zeros((3, 4, 3)), alpha[..., None]], -1)
    pictures.imsave(path, pixels, cmap="gray", vmin=0, vmax=1)
    assert torch.equal(from_image(path, MESH), EXPECTED)
    assert torch.equal(from_image(str(path), MESH), EXPECTED)


def test_image_of_another_size():
    double = np.kron(PICTURE, np.ones((2, 2)))
    with pytest.raises(ValueError, match="image is 8 x 6 pixels, the mesh 4 x 3 cells; resize=True"):
        from_image(double, MESH)
    assert torch.equal(from_image(double, MESH, resize=True), EXPECTED)
    fine = tm.Mesh((12, 9), (1 * nm, 1 * nm, 1 * nm))
    assert torch.equal(from_image(PICTURE, fine, resize=True)[1::3, 1::3], EXPECTED)
    # Columns and rows are not to be confused.
    with pytest.raises(ValueError, match="4 x 3 pixels"):
        from_image(PICTURE, tm.Mesh((3, 4), (nm, nm, nm)))


def test_image_in_three_dimensions():
    thick = from_image(PICTURE, tm.Mesh((4, 3, 2), (nm, nm, nm)))
    assert torch.equal(thick, torch.stack([EXPECTED, EXPECTED], -1)) and thick.is_contiguous()


@pytest.mark.parametrize(
    ("image", "options", "error", "message"),
    [
        (PICTURE > 0.5, {}, TypeError, "image holds bool"),
        ((PICTURE * 255).astype(np.int64), {}, TypeError, "image holds int64"),
        (PICTURE * 2, {}, ValueError, "image spans 0 to 2"),
        (PICTURE * np.nan, {}, ValueError, "levels in"),
        (np.zeros((3, 4, 2)), {}, ValueError, "image has shape"),
        (np.zeros((0, 4)), {}, ValueError, "image has shape"),
        (PICTURE, {"threshold": 128}, ValueError, "threshold = 128"),
        (PICTURE, {"mesh": tm.Mesh((4,), (nm, nm, nm))}, ValueError, "mesh is 1D"),
        (PICTURE, {"mesh": (4, 3)}, TypeError, "mesh is a tuple"),
        ("no/such/file.png", {}, FileNotFoundError, "file.png"),
    ],
)
def test_wrong_images(image, options, error, message):
    with pytest.raises(error, match=message):
        from_image(image, **({"mesh": MESH} | options))


@pytest.mark.parametrize("content", [b"no picture", b"\x89PNG\r\n\x1a\n broken", b""])
def test_file_that_is_no_picture(tmp_path, content):
    path = tmp_path / "body.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read as a picture"):
        from_image(path, MESH)


def brute_force(points, cells, dx, wraps):
    axes = torch.meshgrid(*[(torch.arange(n) + 0.5) * h for n, h in zip(cells, dx)], indexing="ij")
    total = 0.0
    for axis, (x, n, h) in enumerate(zip(axes, cells, dx)):
        away = (x[..., None] - points[:, axis]).abs()
        total = total + (torch.minimum(away, n * h - away) if wraps[axis] else away) ** 2
    return total.argmin(-1)


@pytest.mark.parametrize(
    ("cells", "count", "wraps"),
    [
        ((40, 30), 1, (False, False)),
        ((40, 30), 50, (False, False)),
        ((40, 30), 50, (True, False)),
        ((150, 220), 900, (True, True)),
        ((20, 15, 12), 200, (True, False, True)),
        ((20, 15, 12), 3000, (True, True, True)),
        ((500,), 60, (True,)),
    ],
)
def test_nearest_point_is_exact(cells, count, wraps):
    dx = (1.0, 1.3, 0.7)[: len(cells)]
    extent = torch.tensor([n * h for n, h in zip(cells, dx)])
    points = torch.rand(count, len(cells), generator=torch.Generator().manual_seed(count)) * extent
    # Clustered points leave large holes.
    points[: count // 2] *= 0.2
    assert torch.equal(nearest_point(points, cells, dx, wraps), brute_force(points, cells, dx, wraps))


def test_periodic_grains_wrap_around():
    # Shifting all points shifts the grains: a seam would stay where it is.
    cells, dx = (48, 36), (1.0, 1.0)
    points = torch.rand(40, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([48.0, 36.0])
    ids = nearest_point(points, cells, dx, (True, True))
    moved = nearest_point((points + torch.tensor([17.0, 5.0])) % torch.tensor([48.0, 36.0]), cells, dx, (True, True))
    assert torch.equal(moved, ids.roll((17, 5), (0, 1)))
    open_ends = nearest_point(points, cells, dx, (False, False))
    assert not torch.equal(open_ends, ids)


def test_grains_follow_the_mesh():
    dx = (2 * nm, 2 * nm, 2 * nm)
    open_mesh, periodic = tm.Mesh((64, 48), dx), tm.Mesh((64, 48), dx, pbc=(2, math.inf, 0))
    a, b = voronoi(open_mesh, 16 * nm, seed=1), voronoi(periodic, 16 * nm, seed=1)
    assert not torch.equal(a, b)
    assert torch.equal(a, voronoi(periodic, 16 * nm, seed=1, periodic=False))
    assert torch.equal(b, voronoi(open_mesh, 16 * nm, seed=1, periodic=(True, True)))
    assert not torch.equal(a, voronoi(open_mesh, 16 * nm, seed=2))
    columns = voronoi(tm.Mesh((64, 48, 3), dx), 16 * nm, seed=1, columnar=True)
    assert torch.equal(columns, a.unsqueeze(-1).expand(-1, -1, 3))
    assert voronoi(tm.Mesh((100,), dx), 10 * nm, seed=0).max() + 1 == 20
    assert voronoi(tm.Mesh((5, 5), dx), 1000 * nm, seed=0).unique().tolist() == [0]


# Variance of the size of a grain over the square of its mean, Poisson-Voronoi: Gilbert, Ann. Math. Stat. 33, 958 (1962).
@pytest.mark.parametrize(("cells", "size", "expected"), [((640, 640), 10, 0.280), ((80, 80, 80), 6, 0.179)])
def test_grain_sizes(cells, size, expected):
    mesh = tm.Mesh(cells, (1 * nm,) * 3, pbc=(1, 1, 1)[: len(cells)] + (0,) * (3 - len(cells)))
    ids = voronoi(mesh, size * nm, seed=0)
    volumes = torch.bincount(ids.flatten()).double()
    count = len(volumes)
    assert abs(count - ids.numel() / size**mesh.dim) <= 0.5
    assert volumes.min() > 0
    # The standard error of a variance: sqrt((kurtosis - 1) / count), kurtosis 3 + 6 / shape of the gamma law of that variance.
    relative = volumes.var() / volumes.mean() ** 2
    error = expected * math.sqrt((2 + 6 * expected) / count)
    assert abs(relative - expected) < 3 * error


@pytest.mark.parametrize(("cells", "size", "pbc"), [((1024, 1024), 10 * nm, (0, 0, 0)), ((128, 128, 128), 8 * nm, (1, 1, 1))])
def test_large_meshes(cells, size, pbc):
    mesh = tm.Mesh(cells, (1 * nm,) * 3, pbc=pbc)
    before = time.process_time()
    ids = voronoi(mesh, size, seed=0)
    assert int(ids.max()) + 1 == round(ids.numel() * nm**mesh.dim / size**mesh.dim) > 4000
    # About 1 s; a brute force of 1e10 distances takes minutes.
    assert time.process_time() - before < 20


def test_grain_values():
    ids = voronoi(tm.Mesh((20, 15, 5), (nm,) * 3), 5 * nm, seed=0)
    count = int(ids.max()) + 1
    Ku = random_normal(count, 5e5, 0.1, seed=1).requires_grad_()
    field = grain_values(ids, Ku)
    assert field.shape == ids.shape and field[3, 4, 1] == Ku[ids[3, 4, 1]]
    field.sum().backward()
    torch.testing.assert_close(Ku.grad, torch.bincount(ids.flatten()).double())
    axes = random_axes(count, seed=2)
    vectors = grain_values(ids, axes)
    assert vectors.shape == (3, *ids.shape) and vectors.is_contiguous()
    assert torch.equal(vectors[:, 7, 7, 2], axes[ids[7, 7, 2]])
    assert torch.equal(grain_values(ids, lambda n: torch.arange(n)), ids)
    assert grain_values(ids, list(range(count))).dtype == torch.get_default_dtype()
    assert grain_values(ids, torch.rand(count, 2, 3)).shape == (2, 3, *ids.shape)
    magnet = tm.Magnet(tm.Mesh((20, 15, 5), (nm,) * 3), 8e5)
    tm.UniaxialAnisotropy(magnet, field.detach(), vectors)


def test_random_values_per_grain():
    n = 40000
    axes = random_axes(n, seed=0)
    torch.testing.assert_close(torch.linalg.vector_norm(axes, dim=1), torch.ones(n))
    # Uniform: mean 0, <n n> = 1/3; standard errors 1/sqrt(3 n), 2/sqrt(45 n).
    assert axes.mean(0).abs().max() < 4 / math.sqrt(3 * n)
    assert (axes.T @ axes / n - torch.eye(3) / 3).abs().max() < 4 * 2 / math.sqrt(45 * n)
    values = random_normal(n, 5e5, 0.1, seed=0)
    assert values.mean() == pytest.approx(5e5, rel=4 * 0.1 / math.sqrt(n))
    assert values.std() == pytest.approx(5e4, rel=4 / math.sqrt(2 * n))
    assert torch.equal(values, random_normal(n, 5e5, 0.1, seed=0)) and not torch.equal(values, random_normal(n, 5e5, 0.1))


def test_grain_boundaries():
    ids = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]])
    both = grain_boundaries(ids)
    assert both.int().tolist() == [[0, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert grain_boundaries(ids, both=False).int().tolist() == [[0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]
    assert grain_boundaries(ids, (False, True)).int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert grain_boundaries(ids, (True, False)).int().tolist() == [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert not grain_boundaries(torch.zeros(4, 4, dtype=torch.int64), True).any()
    assert grain_boundaries(torch.arange(2).reshape(2, 1), True).all()


def test_exchange_across_boundaries():
    boundary = torch.tensor([[False, True], [True, False]])
    A = scale_boundaries(1.3e-11, boundary, 0.2)
    torch.testing.assert_close(A, torch.tensor([[1.3e-11, 2.6e-12], [2.6e-12, 1.3e-11]]))
    factor = torch.tensor(0.5, requires_grad=True)
    scale_boundaries(torch.ones(2, 2), boundary, factor).sum().backward()
    assert factor.grad == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: voronoi(MESH, 0.0), ValueError, "size = 0"),
        (lambda: voronoi(MESH, math.nan), ValueError, "size"),
        (lambda: voronoi(MESH, 20.0 * nm, periodic=(True,)), ValueError, "periodic"),
        (lambda: voronoi(MESH, 20 * nm, periodic=1), ValueError, "periodic"),
        (lambda: voronoi(MESH, 20 * nm, columnar=True), ValueError, "3D mesh"),
        (lambda: voronoi(MESH, nm), ValueError, "asks for 300 grains on 12 cells"),
        (lambda: voronoi((4, 3), nm), TypeError, "mesh is a tuple"),
        (lambda: grain_values(torch.zeros(2, 2), torch.ones(1)), TypeError, "integer tensor"),
        (lambda: grain_values([0, 1], torch.ones(2)), TypeError, "ids are list"),
        (lambda: grain_values(torch.tensor([-1, 0]), torch.ones(2)), ValueError, "ids hold -1"),
        (lambda: grain_values(torch.tensor([0, 2]), torch.ones(2)), ValueError, r"expected \(3, ...\)"),
        (lambda: grain_boundaries(torch.ones(2, 2, dtype=torch.bool)), TypeError, "torch.bool"),
        (lambda: grain_boundaries(torch.zeros(2, 2, dtype=torch.int64), (True,)), ValueError, "2 of them"),
        (lambda: random_normal(3, 1.0, -0.1), ValueError, "spread = -0.1"),
    ],
)
def test_wrong_grains(call, error, message):
    with pytest.raises(error, match=message):
        call()


LARGE, SMALL = Box((10 * nm, 15 * nm, nm), (5 * nm, 7.5 * nm, 1.5 * nm)), Sphere(3 * nm, (2.5 * nm, 2.5 * nm, 1.5 * nm))


def test_regions():
    right = torch.zeros(4, 3, dtype=torch.bool)
    right[3] = True
    ids = regions(MESH, {1: LARGE, 7: right})
    assert ids.tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0], [7, 7, 7]]
    Ms = tm.by_region(ids, {0: 0.0, 1: 8e5, 7: 5e5})
    assert tm.Magnet(MESH, Ms).Ms[3, 0] == 5e5
    last = regions(MESH, {1: LARGE, 2: SMALL}, overlap="last", background=-1)
    assert last.tolist() == [[2, 1, 1], [1, 1, 1], [-1, -1, -1], [-1, -1, -1]]
    first = regions(MESH, {2: SMALL, 1: LARGE - SMALL})
    assert first[0, 0] == 2


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: regions(MESH, {1: LARGE, 2: SMALL}), ValueError, r"shape 2 overlaps \[1\] in 1 cells; .*overlap='last'"),
        (lambda: regions(MESH, {1: LARGE}, overlap="first"), ValueError, "overlap = 'first'"),
        (lambda: regions(MESH, {0: LARGE}), ValueError, "0 is the background's number"),
        (lambda: regions(MESH, {1: LARGE.translate((1e-6, 0, 0))}), ValueError, "shape 1 holds no cell's centre"),
        (lambda: regions(MESH, {1: torch.ones(4, 3)}), ValueError, "expected bool over the cells"),
        (lambda: regions(MESH, {1: torch.ones(3, 4, dtype=torch.bool)}), ValueError, r"\(3, 4\)"),
        (lambda: regions(MESH, {1.0: LARGE}), TypeError, "expected an integer"),
        (lambda: regions(MESH, {1: "box"}), TypeError, "region 1 is a str"),
        (lambda: regions(MESH, [LARGE]), TypeError, "a mapping"),
    ],
)
def test_wrong_regions(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_snippets_of_the_documentation():
    page = pathlib.Path(__file__).parent.parent / "docs" / "geometry.md"
    names = {}
    for snippet in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(snippet, page.name, "exec"), names)
    assert names["disks"].fraction(names["mesh"]).shape == (3, 60, 40)
    assert names["radius"].raw.grad != 0
    assert names["energy"].field(tm.uniform(names["mesh"], (0, 0, 1))).isfinite().all()
