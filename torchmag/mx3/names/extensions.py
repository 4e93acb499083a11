"""mumax3's extensions (ext_...): grains, walls, bubbles, cores, topology."""

import math

import numpy as np
import torch

import torchmag as tm
from torchmag.mx3 import shapes
from torchmag.mx3.kinds import Setting, convert
from torchmag.mx3.quantity import Number, Quantity, Triple
from torchmag.mx3.script_error import Unsupported
from torchmag.mx3.surface_charge import compensation
from torchmag.mx3.values import Function

F, N, S = "float", "int", "string"


def names(world) -> dict[str, object]:
    """What this room adds."""
    found = {
        q.name: Setting(lambda q=q: q, None, live=True)
        for q in (*_texture(world), *_angles(world), *_positions(world), *_force(world))
    }
    return found | _grains(world) | _following(world) | _files(world) | _microscope(world)


def _grains(world):
    cut = {"shape": False}

    def grains(size, count, seed):
        if not size > 0 or not 1 <= count <= 256:
            raise ValueError(f"grains of {size} m in {count} regions, expected a positive size and 1 to 256 regions")

        def numbers(ids, x):
            grid = world.grid
            if size < 2 * max(grid.size[:2]):
                # Grains below two cells: a number drawn for each cell.
                found = torch.arange(grid.n[0] * grid.n[1], device=x.device)
            else:
                found = tm.geometry.voronoi(tm.Mesh(grid.n[:2], dx=grid.size, pbc=(*grid.pbc[:2], 0)), size, seed=seed)
            return _mixed(found.reshape(*grid.n[:2], 1), count, seed).expand(grid.n).contiguous()

        world.regions.replace(numbers)

    def grains_3d(size, first, count, shape, seed):
        if not size > 0 or count < 1 or not 0 <= first or first + count > 256:
            raise ValueError(f"grains of {size} m in regions {first} to {first + count - 1}, expected within 0 to 255")

        def numbers(ids, x):
            found = tm.geometry.voronoi(world.grid.mesh, size, seed=seed).reshape(world.grid.n)
            return torch.where(shape.inside(*x), first + _mixed(found, count, seed), ids)

        world.regions.replace(numbers)

    def assign(thunk):
        cut["shape"] = convert(thunk(), "bool")

    return {
        "ext_makegrains": Function("ext_makegrains", grains, (F, N, N)),
        "ext_make3dgrains": Function("ext_make3dgrains", grains_3d, (F, N, N, "shape", N)),
        "ext_grainCutShape": Setting(lambda: cut["shape"], assign),
    }


def _mixed(found, count, seed):
    """Numbers of grains to numbers of regions, drawn by seed."""
    drawn = torch.randint(count, (int(found.max()) + 1,), generator=torch.Generator().manual_seed(seed))
    return drawn[found.cpu()].to(found.device)


def _following(world):
    window = world.window
    bubble = world.bubble = {"mz": 1.0, "tilt": 0.25, "x": True, "y": True}

    def component(c):
        if not 0 <= c < 3:
            raise ValueError(f"component {c}, expected 0, 1 or 2")
        return c

    mean_of = lambda values: float(values.double().mean())

    def wall(c):
        window.follow(component(c), lambda: mean_of(world.m.values()[c]))

    def wall_in_region(c, number):
        window.follow(component(c), lambda: world.m.methods["region"][0](world.m, number).mean()[c])

    def wall_in_layer(c, layer):
        window.follow(component(c), lambda: mean_of(world.m.values()[c, :, :, layer]))

    def center_bubble():
        world.post_steps.append(lambda: _center_bubble(world))

    def clear():
        world.post_steps.clear()

    def remove_charge(region, left, right):
        world.parameters["b_ext"].masks.append((compensation(world, region, left, right), _Always()))
        world.changed("terms")

    def setting(key, kind):
        def assign(thunk):
            bubble[key] = convert(thunk(), kind)

        return Setting(lambda: bubble[key], assign)

    return {
        "ext_centerWall": Function("ext_centerWall", wall, (N,)),
        "ext_centerWallInRegion": Function("ext_centerWallInRegion", lambda number, c: wall_in_region(c, number), (N, N)),
        "ext_centerWallInLayer": Function("ext_centerWallInLayer", lambda layer, c: wall_in_layer(c, layer), (N, N)),
        "ext_centerBubble": Function("ext_centerBubble", center_bubble, ()),
        "ClearPostSteps": Function("ClearPostSteps", clear, ()),
        "ext_rmSurfaceCharge": Function("ext_rmSurfaceCharge", remove_charge, (N, F, F)),
        "ext_BubbleMz": setting("mz", F),
        "ext_BackGroundTilt": setting("tilt", F),
        "ext_enableCenterBubbleX": setting("x", "bool"),
        "ext_enableCenterBubbleY": setting("y", "bool"),
    }


class _Always:
    live = False

    def __call__(self):
        return 1.0


def _center_bubble(world):
    """Move the window so that the bubble is in its middle; whether it moved."""
    x, y, _ = _bubble(world)
    moved = False
    for axis, offset in enumerate((x + world.grid.shift[0], y + world.grid.shift[1])):
        cells = -round(offset / world.grid.size[axis])
        if cells and world.bubble["xy"[axis]]:
            world.window.shift(cells, axis)
            moved = True
    return moved


def _bubble(world):
    """The middle of the cells with m_z towards that of the bubble, weighted by how far; along a periodic axis on a circle."""
    m, bubble = world.m.values()[2].double(), world.bubble
    weight = (
        (m * bubble["mz"] + 1 - 2 * bubble["tilt"]).clamp(min=0)
        * (m * bubble["mz"] > -1 + 2 * bubble["tilt"])
        * (world.geometry.fill > 0)
    )
    grid, found = world.grid, []
    if not bool(weight.any()):
        return (0.0, 0.0, 0.0)
    for axis in (0, 1):
        n, h = grid.n[axis], grid.size[axis]
        along = weight.sum([a for a in range(3) if a != axis])
        place = torch.arange(n, dtype=torch.float64, device=along.device) + 0.5
        if grid.pbc[axis]:
            angle = 2 * math.pi * place / n
            turn = math.atan2(float((along * angle.sin()).sum()), float((along * angle.cos()).sum()))
            middle = (turn / (2 * math.pi)) % 1 * n
        else:
            middle = float((along * place).sum() / along.sum())
        found.append((middle - n / 2) * h - grid.shift[axis])
    return (*found, 0.0)


def _core(world):
    """Of the vortex: where |m_z| is largest in the middle layer, by a parabola; and m_z there."""
    m, grid = world.m.values()[2].double(), world.grid
    plane = m[:, :, grid.n[2] // 2]
    inner = torch.zeros_like(plane)
    inner[1:-1, 1:-1] = plane[1:-1, 1:-1].abs()
    if not bool(inner.any()):
        return (0.0, 0.0, 0.0)
    i, j = divmod(int(inner.argmax()), grid.n[1])
    place = []
    for axis, (low, high) in enumerate(((plane[i - 1, j], plane[i + 1, j]), (plane[i, j - 1], plane[i, j + 1]))):
        low, high, top = abs(float(low)), abs(float(high)), abs(float(plane[i, j]))
        curve = low - 2 * top + high
        offset = 0.5 * (low - high) / curve if curve else 0.0
        place.append(((i, j)[axis] + offset - 0.5 * (grid.n[axis] - 1)) * grid.size[axis] - grid.shift[axis])
    return (*place, float(plane[i, j]))


def _positions(world):
    window = world.window
    yield Triple(world, "ext_corepos", "m", lambda: _core(world))
    yield Triple(world, "ext_bubblepos", "m", lambda: _bubble(world))
    yield Number(world, "ext_bubbledist", "m", lambda: math.hypot(window.position(0), window.position(1)))
    yield Number(world, "ext_bubblespeed", "m/s", window.velocity)
    yield Number(world, "ext_dwpos", "m", window.position)
    yield Number(world, "ext_dwxpos", "m", window.position)
    yield Number(world, "ext_dwspeed", "m/s", window.velocity)
    yield Number(world, "ext_dwtilt", "rad", lambda: _tilt(world))


def _tilt(world):
    """The angle of a wall's line to y: of a straight line through the zeros of m_z, the first one in each row of the lowest layer."""
    m, (hx, hy, _) = world.m.values()[2, :, :, 0].double().cpu().numpy(), world.grid.size
    points = []
    for j, row in enumerate(m.T):
        turns = np.nonzero(row[:-1] * row[1:] < 0)[0]
        if len(turns):
            i = turns[0]
            points.append((j * hy, (i + row[i] / (row[i] - row[i + 1])) * hx))
    if len(points) < 2:
        return 0.0
    y, x = np.array(points).T
    y = y - y.mean()
    return math.atan(float((y * (x - x.mean())).sum() / (y * y).sum()))


def _angles(world):
    m = lambda: world.m.values()
    yield Quantity(world, "ext_phi", "rad", 1, lambda: torch.atan2(m()[1], m()[0]).unsqueeze(0))
    yield Quantity(world, "ext_theta", "rad", 1, lambda: torch.acos(m()[2].clamp(-1, 1)).unsqueeze(0))


def _gradient(world, axis):
    """dm / dx on the cells: of sixth or fourth order where three or two cells on each side are magnetic, of second at the ends of the body."""
    m, n, h = world.m.values().double(), world.grid.n[axis], world.grid.size[axis]
    body = m.norm(dim=0) > 0

    def beside(step):
        """m of the cell `step` further on, and whether there is one."""
        there, known = m.roll(-step, axis + 1), body.roll(-step, axis)
        if not world.grid.pbc[axis]:
            known.narrow(axis, n - step if step > 0 else 0, min(abs(step), n)).fill_(False) if abs(step) < n else known.fill_(
                False
            )
        return there, known & body

    (a, has_a), (b, has_b), (c, has_c), (d, has_d) = (beside(step) for step in (-2, -1, 1, 2))
    (e, has_e), (f, has_f) = beside(-3), beside(3)
    two = has_a & has_b & has_c & has_d
    found = torch.zeros_like(m)
    choices = (
        (has_c, c - m), (has_b, m - b),
        (has_c & has_d, (4 * c - 3 * m - d) / 2), (has_b & has_a, (3 * m - 4 * b + a) / 2),
        (has_b & has_c, (c - b) / 2), (two, (8 * (c - b) - (d - a)) / 12),
        (two & has_e & has_f, (45 * (c - b) - 9 * (d - a) + f - e) / 60),
    )  # fmt: skip
    for where, value in choices:
        found = torch.where(where, value, found)
    return found / h


def _texture(world):
    def density():
        m = world.m.values().double()
        return (m * torch.linalg.cross(_gradient(world, 0), _gradient(world, 1), dim=0)).sum(0, keepdim=True) / (4 * math.pi)

    def charge():
        nx, ny, _ = world.grid.n
        return float(density().mean()) * nx * ny * world.grid.size[0] * world.grid.size[1]

    def lattice():
        magnet, m, mesh = world.whole_body(), world.nodal_m(), world.grid.mesh
        if mesh.dim < 3:
            return float(tm.topological_charge(m, magnet)) if mesh.dim == 2 else 0.0
        planes = [float(tm.topological_charge(m, magnet, plane=k)) for k in range(mesh.nodes[2])]
        return sum(planes) / len(planes)

    def emergent():
        m, d = world.m.values().double(), [_gradient(world, axis) for axis in range(3)]
        return torch.stack([(m * torch.linalg.cross(d[(a + 1) % 3], d[(a + 2) % 3], dim=0)).sum(0) for a in range(3)])

    hopf = lambda: float(tm.hopf_index(world.nodal_m(), world.whole_body()))
    yield Quantity(world, "ext_topologicalchargedensity", "1/m2", 1, density)
    yield Number(world, "ext_topologicalcharge", "", charge)
    yield Number(world, "ext_topologicalchargelattice", "", lattice)
    yield Quantity(world, "ext_topologicalchargedensitylattice", "1/m2", 1, density)
    for name in ("fivepointstencil", "solidangle", "solidanglefourier", "twopointstencil"):
        yield Number(world, f"ext_hopfindex_{name}", "", hopf)
        yield Quantity(world, f"ext_emergentmagneticfield_{name}", "1/m2", 3, emergent)


def _force(world):
    """F_mel: the divergence of the magnetoelastic stress, by central differences on the cells, N/m^3."""

    def force():
        m, p = world.m.values().double(), world.parameters
        B1, B2 = p["b1"].values()[0].double(), p["b2"].values()[0].double()
        d = [_gradient(world, axis) for axis in range(3)]
        parts = []
        for i in range(3):
            total = 2 * B1 * m[i] * d[i][i]
            for j in range(3):
                if j != i:
                    total = total + B2 * (m[i] * d[j][j] + m[j] * d[j][i])
            parts.append(total)
        return torch.stack(parts)

    yield Quantity(world, "F_mel", "N/m3", 3, force)


def _files(world):
    def geometry_from(name):
        path = world.files.source(name)
        data = world.read(name).data[0]
        found = tm.io.read_ovf(path, dim=3, strict=False)
        size = tuple(n * h for n, h in zip(data.shape, found.mesh.dx))
        if not world.grid.ready:
            world.set_mesh(n=tuple(data.shape), size=found.mesh.dx)
        world.set_geometry(shapes.masked(data > 0, size))

    return {"ext_InitGeomFromOVF": Function("ext_InitGeomFromOVF", geometry_from, (S,))}


def _microscope(world):
    settings = {"lift": 50e-9, "dipole": 0.0}

    def setting(key):
        def assign(thunk):
            settings[key] = convert(thunk(), F)

        return Setting(lambda: settings[key], assign)

    def image():
        raise Unsupported(
            "a picture of the stray field above the body: torchmag would need that field outside of the mesh", name="MFM"
        )

    picture = Quantity(world, "MFM", "arb.", 1, image)
    return {"MFM": Setting(lambda: picture, None, live=True), "MFMLift": setting("lift"), "MFMDipole": setting("dipole")}
