"""Mesh, geometry, shapes, regions, initial states."""

import math

import torch

import torchmag as tm
from torchmag.mx3 import configurations, shapes
from torchmag.mx3.kinds import Setting, convert
from torchmag.mx3.shapes import Shape
from torchmag.mx3.values import Function, Vector

F, N = "float", "int"


def names(world) -> dict[str, object]:
    """What this room adds."""
    return _mesh(world) | _shapes(world) | _regions(world) | _states(world)


def _functions(*rows):
    return {name: Function(name, call, kinds) for name, call, kinds in rows}


def _mesh(world):
    grid = world.grid

    def set_mesh(nx, ny, nz, dx, dy, dz, px, py, pz):
        world.set_mesh((nx, ny, nz), (dx, dy, dz), (px, py, pz))

    def set_smooth(thunk):
        world.geometry.smooth = convert(thunk(), "int")
        if not 0 <= world.geometry.smooth <= 32:
            raise ValueError(f"EdgeSmooth = {world.geometry.smooth}, expected 0 to 32 samples along an edge")

    def index_to_coord(x, y, z):
        h, n = grid.size, grid.mesh and grid.n
        shift = (*grid.shift, 0.0)
        return Vector(*((i - 0.5 * (count - 1)) * d - s for i, count, d, s in zip((x, y, z), n, h, shift)))

    return _functions(
        ("SetGridSize", lambda *n: world.set_mesh(n=n), (N, N, N)),
        ("SetCellSize", lambda *h: world.set_mesh(size=h), (F, F, F)),
        ("SetPBC", lambda *images: world.set_mesh(pbc=images), (N, N, N)),
        ("SetMesh", set_mesh, (N, N, N, F, F, F, N, N, N)),
        ("SetGeom", world.set_geometry, ("shape",)),
        ("Index2Coord", index_to_coord, (N, N, N)),
    ) | {
        "EdgeSmooth": Setting(lambda: world.geometry.smooth, set_smooth),
        "geom": Setting(lambda: world.geometry, None, live=True),
    }


def _shapes(world):
    grid = world.grid

    def layers(low, high):
        h, n = grid.size[2], (grid.mesh and grid.n)[2]
        return shapes.between(2, (low - n / 2) * h, (high - n / 2) * h)

    def cell(x, y, z):
        grid.place(x, y, z)
        low = [(i - n / 2) * h for i, n, h in zip((x, y, z), grid.n, grid.size)]
        return Shape(lambda *r: (r[0] >= low[0]) & (r[0] < low[0] + grid.size[0]) & (r[1] >= low[1]) & (r[1] < low[1] + grid.size[1])
                     & (r[2] >= low[2]) & (r[2] < low[2] + grid.size[2]))  # fmt: skip

    inf = math.inf
    return _functions(
        ("Universe", shapes.universe, ()),
        ("Ellipsoid", shapes.ellipsoid, (F, F, F)),
        ("Ellipse", lambda x, y: shapes.ellipsoid(x, y, inf), (F, F)),
        ("Circle", lambda d: shapes.ellipsoid(d, d, inf), (F,)),
        ("Cone", shapes.cone, (F, F)),
        ("Cylinder", shapes.cylinder, (F, F)),
        ("Cuboid", shapes.cuboid, (F, F, F)),
        ("Rect", lambda x, y: shapes.cuboid(x, y, inf), (F, F)),
        ("Square", lambda d: shapes.cuboid(d, d, inf), (F,)),
        ("Triangle", lambda *p: shapes.triangle([p[i : i + 2] for i in (0, 2, 4)]), (F,) * 6),
        ("Superball", shapes.superball, (F, F)),
        ("XRange", lambda a, b: shapes.between(0, a, b), (F, F)),
        ("YRange", lambda a, b: shapes.between(1, a, b), (F, F)),
        ("ZRange", lambda a, b: shapes.between(2, a, b), (F, F)),
        ("Layers", layers, (N, N)),
        ("Layer", lambda i: layers(i, i + 1), (N,)),
        ("Cell", cell, (N, N, N)),
        ("ImageShape", lambda name: _image(world, name), ("string",)),
        ("GrainRoughness", lambda *given: _roughness(world, *given), (F, F, F, N)),
    )


def _image(world, name):
    n, h = world.grid.mesh and world.grid.n, world.grid.size
    path = world.files.source(name)
    if not path.is_file():
        raise ValueError(f"{name}: no such file beside the script")
    plane = tm.Mesh(n[:2], dx=h, origin=(-0.5 * n[0] * h[0], -0.5 * n[1] * h[1], 0))
    mask = tm.geometry.from_image(path, plane, resize=True)
    return shapes.masked(mask.reshape(n[0], n[1], 1).bool(), (n[0] * h[0], n[1] * h[1], math.inf))


def _roughness(world, size, low, high, seed):
    """Columns over the grains of a plane, each up to a height of its own."""
    grid = world.grid
    grains = tm.geometry.voronoi(_plane(grid), size, seed=seed)
    heights = torch.rand(int(grains.max()) + 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    heights = (low + (high - low) * heights)[grains]
    extent = [n * h for n, h in zip(grid.n, grid.size)]

    def inside(x, y, z):
        i, j = ((torch.floor((r / d + 0.5) * n).long()).clamp(0, n - 1) for r, d, n in zip((x, y), extent, grid.n))
        return z < heights[i, j]

    return Shape(inside)


def _plane(grid):
    n, h = grid.mesh and grid.n, grid.size
    return tm.Mesh(n[:2], dx=h, origin=(-0.5 * n[0] * h[0], -0.5 * n[1] * h[1], 0.0), pbc=(*grid.pbc[:2], 0))


def _regions(world):
    def define_cell(number, x, y, z):
        world.regions.methods["setcell"][0](world.regions, x, y, z, number)

    return _functions(
        ("DefRegion", world.regions.define, (N, "shape")),
        ("RedefRegion", world.regions.redefine, (N, N)),
        ("DefRegionCell", define_cell, (N, N, N, N)),
    ) | {"regions": Setting(lambda: world.regions, None, live=True), "m": Setting(lambda: world.m, world.m.assign, live=True)}


def _states(world):
    size = lambda: world.grid.mesh and world.grid.size
    core = lambda: math.sqrt(2) * size()[0]
    wall = lambda *v: configurations.vortex_wall(*v, core(), world.grid.n[1] * size()[1])
    return _functions(
        ("Uniform", configurations.uniform, (F, F, F)),
        ("Vortex", lambda c, p: configurations.vortex(c, p, core()), (N, N)),
        ("AntiVortex", lambda c, p: configurations.vortex(c, p, core(), -1), (N, N)),
        ("VortexWall", wall, (F, F, N, N)),
        ("TwoDomain", lambda *v: configurations.two_domain(v, 2 * size()[0]), (F,) * 9),
        ("NeelSkyrmion", lambda c, p: configurations.skyrmion(c, p, 8 * size()[0], True), (N, N)),
        ("BlochSkyrmion", lambda c, p: configurations.skyrmion(c, p, 8 * size()[0], False), (N, N)),
        ("Conical", lambda q, axis, angle: configurations.conical(q.xyz, axis.xyz, angle), ("vector", "vector", F)),
        ("Helical", lambda q: configurations.helical(q.xyz), ("vector",)),
        ("HopfionCompactSupport", configurations.hopfion, (F, F)),
        ("RandomMag", lambda: configurations.random(None, world.noise), ()),
        ("RandomMagSeed", lambda seed: configurations.random(seed, world.noise), (N,)),
    )
