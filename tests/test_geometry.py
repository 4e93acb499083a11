"""Shapes: signed distances, masks, volume fractions, set algebra, motions, gradients, wrong calls."""

import copy
import itertools
import math
import pickle

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.geometry import (
    Box,
    Capsule,
    Cone,
    Cylinder,
    Ellipsoid,
    Fraction,
    HalfSpace,
    Polygon,
    RegularPolygon,
    Ring,
    Shape,
    Sphere,
    Torus,
    center,
)
from torchmag.geometry.fraction import plane_cut

nm = 1e-9
MESH = tm.Mesh((26, 24, 22), (2 * nm, 2 * nm, 2 * nm))
# Off the lattice, so that no symmetry helps.
C = tuple(v + e for v, e in zip(center(MESH), (0.13 * nm, 0.31 * nm, -0.22 * nm)))
L_SHAPE = [
    [-15 * nm, -15 * nm],
    [16 * nm, -15 * nm],
    [16 * nm, -3 * nm],
    [-4 * nm, -3 * nm],
    [-4 * nm, 14 * nm],
    [-15 * nm, 14 * nm],
]

# Shape, volume (nm^3), length of its edges (nm), integral of the sum of its principal curvatures (nm).
VOLUMES = {
    "sphere": (Sphere(18 * nm, C), 4 / 3 * math.pi * 18**3, 0, 8 * math.pi * 18),
    "ellipsoid": (Ellipsoid((22 * nm, 15 * nm, 10 * nm), C), 4 / 3 * math.pi * 22 * 15 * 10, 0, 8 * math.pi * 22),
    "box": (Box((31 * nm, 27 * nm, 19.3 * nm), C), 31 * 27 * 19.3, 4 * (31 + 27 + 19.3), 0),
    "turned box": (Box((31 * nm, 27 * nm, 19.3 * nm), C).rotate(0.5, (1, 2, 3), C), 31 * 27 * 19.3, 4 * (31 + 27 + 19.3), 0),
    "disk": (Cylinder(17 * nm, 21 * nm, center=C), math.pi * 17**2 * 21, 4 * math.pi * 17, 2 * math.pi * 21),
    "tilted disk": (Cylinder(14 * nm, 20 * nm, (1, 0.4, 0.2), C), math.pi * 14**2 * 20, 4 * math.pi * 14, 2 * math.pi * 20),
    "ring": (Ring(20 * nm, 10 * nm, 21 * nm, center=C), math.pi * 300 * 21, 4 * math.pi * 30, 4 * math.pi * 21),
    "torus": (Torus(14 * nm, 7 * nm, center=C), 2 * math.pi**2 * 14 * 49, 0, 4 * math.pi**2 * 14),
    "cone": (Cone(18 * nm, 9 * nm, 24 * nm, center=C), math.pi * 8 * (324 + 162 + 81), 2 * math.pi * 27, 2 * math.pi * 24),
    "capsule": (
        Capsule((15 * nm, 20 * nm, 22 * nm), (35 * nm, 20 * nm, 22 * nm), 13 * nm),
        math.pi * 169 * 20 + 4 / 3 * math.pi * 13**3,
        0,
        8 * math.pi * 13 + 2 * math.pi * 20,
    ),
    "hexagon": (RegularPolygon(6, 18 * nm, 22 * nm, C), 1.5 * math.sqrt(3) * 18**2 * 22, 12 * 18 + 6 * 22, 0),
    "L": (Polygon(L_SHAPE, 22 * nm, C), (31 * 12 + 11 * 17) * 22, 2 * 120 + 6 * 22, 0),
}
EXACT = sorted(set(VOLUMES) - {"ellipsoid", "cone"})


def volume(shape, mesh=MESH, samples=1):
    """nm^3."""
    return float(shape.fraction(mesh, samples).sum()) * mesh.cell_volume * 1e27


@pytest.mark.parametrize("name", VOLUMES)
def test_volume(name):
    shape, expected, edges, curvature = VOLUMES[name]
    # A cell at an edge is off by at most a quarter of itself; the tangent planes of a curved surface by h^2/24 times the
    # curvature, which the fraction corrects, so that this bounds what is left.
    bound = MESH.dx[0] ** 2 * 1e18 * (edges / 4 + curvature / 24)
    assert abs(volume(shape) - expected) < bound
    assert abs(volume(shape, samples=2) - expected) < bound / 4


def errors(shape, expected, cells, count=6):
    """Root mean square over places of the relative error of the volume: smooth fraction, mask."""
    generator = torch.Generator().manual_seed(3)
    h = 3.0 / cells
    mesh = tm.Mesh((cells,) * 3, (h,) * 3, origin=(-1.5,) * 3)
    found = []
    for _ in range(count):
        moved = shape.translate((torch.rand(3, generator=generator) - 0.5) * h)
        found.append([float(f.sum()) * h**3 / expected - 1 for f in (moved.fraction(mesh), moved.mask(mesh))])
    return torch.tensor(found).square().mean(0).sqrt().tolist()


@pytest.mark.parametrize(
    ("shape", "expected", "order"),
    [
        (Sphere(1.0), 4 / 3 * math.pi, 3),
        (Torus(0.9, 0.4, (1, 0.4, 0.2)), 2 * math.pi**2 * 0.9 * 0.16, 2.5),
        # Edges: each cell along them is wrong by a part of itself.
        (Box((1.7, 1.3, 1.1)).rotate(0.5, (1, 2, 3)), 1.7 * 1.3 * 1.1, 2),
        (Cylinder(0.9, 1.5, (1, 0.4, 0.2)), math.pi * 0.81 * 1.5, 2),
    ],
)
def test_volume_converges(shape, expected, order):
    coarse, fine = errors(shape, expected, 12)[0], errors(shape, expected, 36)[0]
    assert math.log(coarse / fine, 3) > order - 0.25


def test_accuracy_that_is_documented():
    # R = 10 h: volume to 1e-4, each cell to 0.5 %, where a mask of cells is off by 1e-2.
    sphere, expected = Sphere(10 / 12).translate((0.013, 0.027, 0.051)), 4 / 3 * math.pi * (10 / 12) ** 3
    smooth, mask = errors(Sphere(10 / 12), expected, 36)
    assert smooth < 1e-4 < 1e-3 < mask < 1e-2
    mesh = tm.Mesh((24,) * 3, (1 / 12,) * 3, origin=(-1.0,) * 3)
    assert (sphere.fraction(mesh) - sphere.fraction(mesh, 4)).abs().max() < 5e-3


@pytest.mark.parametrize("widths", [(1.0, 0.7, 0.4), (1.0, 0.9, 0.05), (0.5, 0.5, 0.5), (0.2, 1.0, 0.3)])
def test_plane_cut_by_inclusion_and_exclusion(widths):
    # V = sum over the corners of (-1)^(corners passed) (b - ...)+^3 / (6 m1 m2 m3).
    b = torch.linspace(-0.1, 1.1, 101) * sum(widths)
    expected = 0.0
    for corner in itertools.product((0, 1), repeat=3):
        rest = (b - sum(w * c for w, c in zip(widths, corner))).clamp_min(0)
        expected = expected + (-1) ** sum(corner) * rest**3 / (6 * math.prod(widths))
    got = plane_cut(0.5 * sum(widths) - b, [torch.tensor(w) for w in widths], 1e-6)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("small", [0.0, 1e-12, 1e-6, 1e-3])
def test_plane_cut_along_an_axis_and_an_edge(small):
    d = torch.linspace(-0.7, 0.7, 57)
    one, tiny = torch.tensor(1.0), torch.tensor(small)
    ramp = (0.5 - d).clamp(0, 1)
    assert (plane_cut(d, [tiny, one, tiny], 1e-6) - ramp).abs().max() <= 2 * small + 1e-8
    triangle = torch.where(d < 0, 1 - (1 + d).clamp(0, 1) ** 2 / 2, (1 - d).clamp(0, 1) ** 2 / 2)
    assert (plane_cut(d, [one, tiny, one], 1e-6) - triangle).abs().max() <= 2 * small + 1e-8


@pytest.mark.parametrize("dx", [(5 * nm, 5 * nm, 5 * nm), (5 * nm, 4 * nm, 3 * nm)])
def test_box_between_cells_is_exact(dx):
    # Rounding must not leave traces of magnet in vacuum, nor holes in the body.
    n = (300, 9, 8)
    size, place = [8 * dx[0], 5 * dx[1], 3 * dx[2]], [291 * dx[0], 4.5 * dx[1], 4.5 * dx[2]]
    fraction = Box(size, place).fraction(tm.Mesh(n, dx))
    expected = torch.zeros(n)
    expected[287:295, 2:7, 3:6] = 1
    assert torch.equal(fraction, expected)


@pytest.mark.parametrize("name", EXACT)
def test_distance_is_exact(name):
    # |grad d| = 1 almost everywhere, and from x the surface is reached at x - d grad d.
    shape = VOLUMES[name][0]
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(3, 500, generator=generator) * torch.tensor(MESH.size)[:, None]).requires_grad_()
    d = shape(x)
    (slope,) = torch.autograd.grad(d.sum(), x)
    torch.testing.assert_close(torch.linalg.vector_norm(slope, dim=0), torch.ones(500), rtol=0, atol=1e-9)
    assert shape(x - d * slope).abs().max() < 1e-9 * nm**0.5  # 3e-14 m; a ray may end at a rounded edge
    assert torch.equal(shape.mask(MESH), shape(tm.positions(MESH, "cells")) < 0)


def test_ellipsoid_distance_near_the_surface():
    # Exact to first order: d true + O(kappa d^2), kappa <= a_max / a_min^2.
    a = torch.tensor([22 * nm, 15 * nm, 10 * nm])
    shape = Ellipsoid(a)
    u = tm.geometry.random_axes(200, seed=0).T
    normal = u / a[:, None]
    normal = normal / torch.linalg.vector_norm(normal, dim=0)
    for d in (-0.5 * nm, 0.25 * nm, 0.5 * nm):
        got = shape(a[:, None] * u + d * normal)
        assert (got - d).abs().max() < 22 / 100 / nm * d * d
    assert shape(torch.zeros(3, 1)).isfinite().all()


def test_set_algebra():
    a, b = Sphere(12 * nm, C), Box((30 * nm, 14 * nm, 60 * nm), C).rotate(0.3, about=C)
    A, B = a.mask(MESH), b.mask(MESH)
    for shape, expected in ((a | b, A | B), (a & b, A & B), (a - b, A & ~B), (~a, ~A), (~(~a), A), (b - a, B & ~A)):
        assert torch.equal(shape.mask(MESH), expected)
    assert len((a | b | Sphere(1 * nm)).shapes) == 3
    # Volumes add up: cells on curves where surfaces meet count twice as wrong, of order h^2.
    assert volume(a | b) + volume(a & b) == pytest.approx(volume(a) + volume(b), rel=1e-2)
    assert volume(~a) + volume(a) == pytest.approx(math.prod(MESH.size) * 1e27, rel=1e-9)


def test_rotation_is_counterclockwise_and_about_a_point():
    box = Box((30 * nm, 8 * nm, 12 * nm))
    point = torch.tensor([[0.0], [13 * nm], [0.0]])
    assert box(point) > 0 > box.rotate(math.pi / 2)(point)
    turned = Sphere(1 * nm, (5 * nm, 0, 0)).rotate(math.pi / 2)
    assert turned(torch.tensor([0, 5 * nm, 0])) == pytest.approx(-1 * nm)
    swapped = box.translate(C).rotate(math.pi / 2, (1, 0, 0), C)
    torch.testing.assert_close(swapped.fraction(MESH), Box((30 * nm, 12 * nm, 8 * nm), C).fraction(MESH), rtol=0, atol=1e-6)
    about = box.translate(C).rotate(0.3, (1, 2, 3), C).rotate(-0.3, (2, 4, 6), C)
    torch.testing.assert_close(about.fraction(MESH), box.translate(C).fraction(MESH), rtol=0, atol=1e-6)


def test_translate_scale_grow_shell():
    x = tm.positions(MESH, "cells")
    torch.testing.assert_close(Sphere(9 * nm).translate(C)(x), Sphere(9 * nm, C)(x))
    torch.testing.assert_close(Box((3 * nm, 4 * nm, 5 * nm)).scale(3.0)(x), Box((9 * nm, 12 * nm, 15 * nm))(x))
    torch.testing.assert_close(Sphere(9 * nm, C).grow(2 * nm)(x), Sphere(11 * nm, C)(x))
    assert volume(Sphere(14 * nm, C).shell(6 * nm)) == pytest.approx(4 / 3 * math.pi * (17**3 - 11**3), rel=1e-3)


def test_repeat():
    dot = Box((5 * nm, 3 * nm, 50 * nm), (2 * nm, 1 * nm, 0)).rotate(0.4)
    lattice = dot.repeat((8 * nm, 9 * nm, None), (3, 2, 1))
    copies = None
    for i, j in itertools.product(range(3), range(2)):
        one = dot.translate((8 * nm * i, 9 * nm * j, 0))
        copies = one if copies is None else copies | one
    x = tm.positions(MESH, "cells") - 8 * nm
    torch.testing.assert_close(lattice(x), copies(x))
    endless = dot.repeat((8 * nm, math.inf, math.inf))
    torch.testing.assert_close(
        endless(x), endless(x + torch.tensor([800 * nm, 0, 0]).reshape(3, 1, 1, 1)), rtol=0, atol=1e-12 * nm
    )
    # A dot over the end of a periodic mesh: its volume is complete.
    mesh = tm.Mesh((20, 20), (1 * nm, 1 * nm, 1 * nm), pbc=(1, 1, 0))
    wrapped = Cylinder(6 * nm).repeat((mesh.size[0], mesh.size[1], None))
    assert volume(wrapped, mesh) == pytest.approx(math.pi * 36, rel=1e-3)
    assert wrapped.mask(mesh)[0, 0] and wrapped.mask(mesh)[-1, -1] and not wrapped.mask(mesh)[10, 10]


def test_smooth_union_fills_a_corner_with_a_circle():
    # Two half planes at a right angle: their concave corner loses (1 - pi/4) r^2 of vacuum.
    mesh = tm.Mesh((40, 40), (0.5 * nm, 0.5 * nm, 1 * nm))
    a, b = HalfSpace((1, 0, 0), (5 * nm, 0, 0)), HalfSpace((0, 1, 0), (0, 5 * nm, 0))
    filled = volume(a.smooth_union(b, 8 * nm), mesh) - volume(a | b, mesh)
    assert filled == pytest.approx((1 - math.pi / 4) * 64, rel=5e-3)
    far = Sphere(3 * nm, (5 * nm, 10 * nm, 0)).smooth_union(Sphere(3 * nm, (15 * nm, 10 * nm, 0)), 1 * nm)
    assert volume(far, mesh) == pytest.approx(2 * volume(Sphere(3 * nm, (5 * nm, 10 * nm, 0)), mesh), rel=1e-9)


def test_films_and_wires():
    film = tm.Mesh((30, 30), (1 * nm, 1 * nm, 3 * nm))
    middle = center(film)
    assert middle == pytest.approx((15 * nm, 15 * nm, 1.5 * nm))
    assert volume(Cylinder(9.7 * nm, center=middle), film) == pytest.approx(math.pi * 9.7**2 * 3, rel=1e-3)
    # A layer that fills a third of the thickness.
    assert volume(Box((math.inf, math.inf, 1 * nm), middle), film, (1, 1, 3)) == pytest.approx(900)
    wire = tm.Mesh((30,), (1 * nm, 2 * nm, 3 * nm))
    assert volume(HalfSpace((1, 0, 0), (11.25 * nm, 0, 0)), wire) == pytest.approx(11.25 * 6)
    assert tuple(Sphere(9 * nm).mask(wire).shape) == (30,)


SIZES = (1.013, 1.02, 0.97, 1.01)


def scaled_sphere(s):
    return Sphere(5.3 * nm * s[0], torch.stack([12 * nm * s[1], 13 * nm * s[2], 11 * nm * s[3]]))


def scaled_box(s):
    return Box((9 * nm * s[0], 7 * nm * s[1], 5 * nm * s[2])).rotate(0.4 * s[3], (1, 1, 0)).translate((12 * nm, 12 * nm, 11 * nm))


def scaled_cylinder(s):
    return Cylinder(5 * nm * s[0], 9 * nm * s[1], torch.stack([s[2], s[3], s[0]]), (12 * nm, 12 * nm, 11 * nm)) - Sphere(
        4 * nm * s[2], (13 * nm, 12 * nm, 11 * nm)
    )


def scaled_polygon(s):
    corners = torch.tensor([[4.0, 3.0], [21.0, 5.0], [17.0, 19.0], [9.0, 9.0]]) * nm
    return Polygon(corners * s[:, None], 15 * nm, (0, 0, 11 * nm))


def scaled_ellipsoid(s):
    return Ellipsoid((9 * nm * s[0], 6 * nm * s[1], 5 * nm * s[2]), (12 * nm, 12 * nm, 11 * nm)).smooth_union(
        Torus(7 * nm * s[3], 2 * nm, center=(12 * nm, 12 * nm, 15 * nm)), 2 * nm
    )


@pytest.mark.parametrize("build", [scaled_sphere, scaled_box, scaled_cylinder, scaled_polygon, scaled_ellipsoid])
def test_fraction_is_differentiable_twice(build):
    # Dimensionless: sizes relative to the nominal ones, volumes in cells.
    mesh = tm.Mesh((4, 4, 4), (6 * nm, 6 * nm, 6 * nm))
    s = torch.tensor(SIZES, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: build(s).fraction(mesh), (s,), fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda s: build(s).fraction(mesh).square().sum(), (s,), torch.tensor(1.0), fast_mode=True)


def test_gradient_of_the_volume_is_the_surface():
    s = torch.tensor(1.0, requires_grad=True)
    cells = Sphere(15 * nm * s, C).fraction(MESH).sum()
    (slope,) = torch.autograd.grad(cells, s)
    assert float(slope) * MESH.cell_volume == pytest.approx(4 * math.pi * (15 * nm) ** 3, rel=5e-3)


def test_gradient_where_a_cell_centre_is_special():
    # At the centre of a sphere, on an axis, in a corner and on an edge derivatives do not exist; they must stay finite.
    mesh = tm.Mesh((4, 4, 4), (1 * nm, 1 * nm, 1 * nm), origin=(-2.5 * nm, -2.5 * nm, -2.5 * nm))
    for build in (
        lambda s: Sphere(s),
        lambda s: Cylinder(s, 2 * s),
        lambda s: Torus(s, 0.5 * s),
        lambda s: Box(torch.stack([2 * s, 2 * s, 2 * s])),
        lambda s: Ellipsoid(torch.stack([s, 2 * s, s])),
        lambda s: RegularPolygon(4, s, 2 * s),
        lambda s: Capsule((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), s),
    ):
        s = torch.tensor(1 * nm, requires_grad=True)
        fraction = build(s).fraction(mesh)
        (slope,) = torch.autograd.grad(fraction.sum(), s, create_graph=True)
        (bend,) = torch.autograd.grad(slope, s, allow_unused=True)
        assert fraction.isfinite().all() and slope.isfinite() and (bend is None or bend.isfinite())
        assert slope > 0


def test_batched_sizes_equal_a_loop():
    radius, place = torch.tensor([3 * nm, 5 * nm]), torch.tensor([C, (20 * nm, 21 * nm, 19 * nm)])
    angle = torch.tensor([0.2, 0.7])
    both = (Sphere(radius, place) | Box((30 * nm, 4 * nm, 6 * nm)).rotate(angle).translate(place)) - Cylinder(1 * nm, center=C)
    for x in (lambda s: s.fraction(MESH), lambda s: s.mask(MESH), lambda s: s(tm.positions(MESH, "cells"))):
        loop = [
            x((Sphere(r, p) | Box((30 * nm, 4 * nm, 6 * nm)).rotate(a).translate(p)) - Cylinder(1 * nm, center=C))
            for r, p, a in zip(radius, place, angle)
        ]
        torch.testing.assert_close(x(both), torch.stack(loop))
    magnet = tm.Magnet(MESH, 8e5, both.fraction(MESH))
    assert tm.Exchange(magnet, 1e-11).energy(tm.uniform(MESH, (0, 0, 1)).expand(2, -1, -1, -1, -1)).shape == (2,)


def test_trainable_sizes_of_every_kind():
    mesh = tm.Mesh((8, 7, 6), (1 * nm, 1 * nm, 1 * nm))
    radius, length = nn.Parameter(torch.tensor(2.2 * nm)), nn.Parameter(torch.tensor(5 * nm))
    width = tm.Positive(1.5 * nm)
    shape = Sphere(radius, center(mesh)) | Box((length, width, 2 * nm), center(mesh)).rotate(0.3)
    shape = shape - Sphere(tm.Derived(lambda r: 0.4 * r, radius), center(mesh))
    magnet = tm.Magnet(mesh, 8e5, fraction=Fraction(shape, mesh))
    assert list(magnet.parameters()) == [radius, length, width.raw]
    energy = tm.UniaxialAnisotropy(magnet, 1e5, (0, 0, 1)) + tm.Demag(magnet)
    m = tm.uniform(mesh, (1, 0, 1))
    for _ in range(2):  # the graph is built anew each time
        energy.energy(m).backward()
    assert all(p.grad.isfinite() and p.grad != 0 for p in magnet.parameters())


def test_module_habits():
    mesh = tm.Mesh((8, 7, 6), (1 * nm, 1 * nm, 1 * nm))
    module = Fraction(
        Sphere(nn.Parameter(torch.tensor(2.2 * nm)), center(mesh)) - HalfSpace((1, 0, 0), center(mesh)), mesh, (2, 1, 1)
    )
    before = module()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        torch.testing.assert_close(other(), before)
    with torch.no_grad():
        other.shape.shapes[0].radius *= 0.9
    other.load_state_dict(module.state_dict())
    torch.testing.assert_close(other(), before)
    assert "radius=2.2e-09" in repr(module)
    module.compile(fullgraph=True, backend="eager")
    torch.testing.assert_close(module(), before)
    module().sum().backward()
    assert module.shape.shapes[0].radius.grad > 0


@pytest.mark.parametrize("name", ["turned box", "ring", pytest.param("L", marks=pytest.mark.slow)])
def test_compile(name):
    mesh = tm.Mesh((6, 5, 4), (8 * nm, 8 * nm, 8 * nm))
    module = Fraction(VOLUMES[name][0].scale(0.9), mesh)
    expected = module()
    torch._dynamo.reset()
    module.compile(fullgraph=True, backend="eager")
    torch.testing.assert_close(module(), expected)


def test_dtypes():
    shape = Sphere(15 * nm, C)
    half = shape.fraction(MESH, dtype=torch.float32)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, shape.fraction(MESH).float())
    x = tm.positions(MESH, "cells", dtype=torch.float32)
    assert shape(x).dtype == torch.float32
    # Cancellation of |x| and R: relative to R, not to the distance.
    torch.testing.assert_close(shape(x).double(), shape(x.double()), rtol=0, atol=1e-6 * 50 * nm)
    torch.testing.assert_close(copy.deepcopy(shape).float().fraction(MESH), shape.fraction(MESH), rtol=0, atol=1e-5)


class Egg(Shape):
    """A shape of a user's own."""

    def __init__(self, radius):
        super().__init__()
        self.take("radius", radius, lower=0.0)

    def distance(self, x, y, z):
        return (x * x + y * y + (z * (1 + z / (80 * nm))) ** 2).sqrt() - self.scalar("radius", x)


def test_shape_of_ones_own():
    egg = Egg(torch.tensor([10 * nm, 12 * nm])).translate(C)
    fraction = egg.fraction(MESH)
    assert fraction.shape == (2, *MESH.cells)
    cells = fraction.sum((1, 2, 3)) * 8
    counted = egg.fraction(MESH, 3).sum((1, 2, 3)) * 8
    torch.testing.assert_close(cells, counted, rtol=1e-3, atol=0)


WRONG = [
    (lambda: Sphere(0.0), ValueError, "Sphere: radius spans 0 to 0, expected > 0"),
    (lambda: Sphere(-nm), ValueError, "expected > 0"),
    (lambda: Sphere(math.nan), ValueError, "expected > 0"),
    (lambda: Sphere(math.inf), ValueError, "finite"),
    (lambda: Sphere("5 nm"), TypeError, "Sphere: radius is a str, expected a number in metres"),
    (lambda: Sphere(True), TypeError, "bool"),
    (lambda: Sphere(None), TypeError, "NoneType"),
    (lambda: Sphere(torch.tensor(5)), TypeError, "torch.int64, expected a floating-point tensor"),
    (lambda: Sphere(nm, (0, 0)), ValueError, r"Sphere: center has shape \(2,\), expected \(\*batch, 3\)"),
    (lambda: Sphere(nm, (0, 0, math.nan)), ValueError, "center"),
    (lambda: Sphere(nn.Linear(1, 1)), TypeError, "takes input"),
    (lambda: Box((nm, nm)), ValueError, "Box: size has shape"),
    (lambda: Box((nm, torch.tensor(-nm), nm)), ValueError, "Box: size spans"),
    (lambda: Box((nm, "a", nm)), TypeError, "Box: size"),
    (lambda: Box((torch.tensor(nm), "a", nm)), TypeError, r"Box: size\[1\]"),
    (lambda: Ellipsoid((nm, nm, 0.0)), ValueError, "semi_axes"),
    (lambda: Cylinder(nm, axis=(0, 0, 0)), ValueError, "Cylinder: axis = .* has no direction"),
    (lambda: HalfSpace((0.0, 0.0, 0.0)), ValueError, "HalfSpace: normal"),
    (lambda: Ring(nm, 2 * nm), ValueError, "outer radius"),
    (lambda: Polygon([[0, 0], [nm, 0]]), ValueError, "at least 3"),
    (lambda: Polygon([0, 0, nm]), ValueError, r"expected \(\*batch, n, 2\)"),
    (lambda: RegularPolygon(2, nm), ValueError, "expected an integer >= 3"),
    (lambda: Sphere(nm).scale(0.0), ValueError, "Scale: s"),
    (lambda: Sphere(nm).rotate(1.0, (0, 0, 0)), ValueError, "Rotate: axis"),
    (lambda: Sphere(nm).translate(nm), ValueError, "Translate: v"),
    (lambda: Sphere(nm).repeat((nm, 0.0, nm)), ValueError, "Repeat: period"),
    (lambda: Sphere(nm).repeat((nm, nm, nm), (1, 0, 1)), ValueError, "Repeat: count"),
    (lambda: Sphere(nm) | MESH, TypeError, None),
    (lambda: Sphere(nm).smooth_union(Sphere(nm), 0.0), ValueError, "SmoothUnion: radius"),
    (lambda: Sphere(nm).smooth_union(1.0, nm), TypeError, "expected a torchmag.geometry shape"),
    (lambda: Sphere(nm).mask((4, 4)), TypeError, "mask: mesh is a tuple, expected a torchmag.Mesh"),
    (lambda: Sphere(nm).fraction(MESH, 0), ValueError, "samples = 0"),
    (lambda: Sphere(nm).fraction(MESH, (2, 2)), ValueError, "samples"),
    (lambda: Sphere(nm).fraction(MESH, 1.5), ValueError, "samples"),
    (lambda: Sphere(nm)(torch.zeros(2, 5)), ValueError, r"x is torch.float64 \(2, 5\)"),
    (lambda: Sphere(nm)(torch.zeros(3, 5, dtype=torch.int64)), ValueError, "floating-point"),
    (lambda: Fraction(MESH, Sphere(nm)), TypeError, "Fraction: got a Mesh"),
    (lambda: Shape()(torch.zeros(3, 1)), NotImplementedError, "defines distance"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
