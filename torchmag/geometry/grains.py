"""Polycrystals: Voronoi grains, values per grain, grain boundaries."""

import itertools
import math
from collections.abc import Callable, Sequence
from numbers import Real

import torch
from torch import Tensor

from torchmag.mesh import Mesh

# Distances computed at a time: small enough for the cache, large enough to outweigh Python.
BLOCK = 1 << 16


def voronoi(
    mesh: Mesh,
    size: float,
    seed: int | None = None,
    *,
    periodic: bool | Sequence[bool] | None = None,
    columnar: bool = False,
    device=None,
) -> Tensor:
    """Voronoi grains: each cell belongs to the nearest of random points, by its centre.

    The points are independent and uniform; their number is the volume (2D: area, 1D: length) over size^dim, rounded, so that
    `size` is the edge of a square or cube as large as the mean grain.  Drawn on the CPU: a seed gives the same grains everywhere.

    Args:
        mesh: 1D, 2D or 3D.
        size: of the grains, m.
        seed: of the points; random without.
        periodic: for each axis of the mesh (or one for all) whether grains continue across its ends; by default where the mesh is
            periodic.
        columnar: on a 3D mesh, grains as columns along z.
        device: of the result.

    Returns:
        grain numbers 0 ... G - 1, int64 (*cells); each is there.
    Raises:
        ValueError: a size that is not positive and finite, `columnar` on a mesh that is not 3D, more points than cells x 8.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"voronoi: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
    if isinstance(size, bool) or not isinstance(size, Real):
        raise TypeError(f"voronoi: size = {size!r}, expected a number, in metres")
    if not 0 < size < math.inf:
        raise ValueError(f"voronoi: size = {size}, expected > 0 and finite, in metres")
    if columnar and mesh.dim != 3:
        raise ValueError(f"voronoi: columnar grains need a 3D mesh, this one is {mesh.dim}D")
    dim = 2 if columnar else mesh.dim
    wraps = tuple(mesh.periodic(a) for a in range(mesh.dim)) if periodic is None else _flags("voronoi", periodic, mesh.dim)
    cells = mesh.cells[:dim]
    extent = torch.tensor(mesh.size[:dim], dtype=torch.float64)
    count = max(1, round(math.prod(mesh.size[:dim]) / size**dim))
    if count > 8 * math.prod(cells):
        raise ValueError(f"voronoi: size = {size:g} m asks for {count} grains on {math.prod(cells)} cells; grains span cells")
    points = torch.rand((count, dim), dtype=torch.float64, generator=_generator(seed), device="cpu") * extent
    ids = _number_in_order(nearest_point(points, cells, mesh.dx[:dim], wraps[:dim]))
    if columnar:
        ids = ids.unsqueeze(-1).expand(mesh.cells).clone()
    return ids.to(device=device)


def grain_values(ids: Tensor, values: Tensor | Callable[[int], Tensor]) -> Tensor:
    """A map over the cells from one value per grain.

    Args:
        ids: grain numbers, integers (*cells).
        values: (G, ...), the first axis being the grains; or a function of their number G that gives it.  May carry a graph.

    Returns:
        (..., *cells): values (G,) give a scalar map, (G, 3) a vector map (3, *cells).
    Raises:
        ValueError: fewer values than grains, negative grain numbers.
    """
    count = _count("grain_values", ids)
    values = values(count) if callable(values) and not isinstance(values, Tensor) else values
    if not isinstance(values, Tensor):
        values = torch.as_tensor(values, dtype=torch.get_default_dtype(), device=ids.device)
    if values.ndim < 1 or values.shape[0] < count:
        raise ValueError(f"grain_values: values have shape {tuple(values.shape)}, expected ({count}, ...), one for each grain")
    chosen = values[ids.to(values.device)]  # (*cells, ...)
    return chosen.permute(*range(ids.ndim, chosen.ndim), *range(ids.ndim)).contiguous()


def random_axes(count: int, seed: int | None = None, *, dtype: torch.dtype | None = None, device=None) -> Tensor:
    """Directions uniform on the sphere, one for each grain: (count, 3)."""
    v = torch.randn((count, 3), dtype=torch.float64, generator=_generator(seed), device="cpu")
    v = v / torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    return v.to(dtype=dtype or torch.get_default_dtype(), device=device)


def random_normal(
    count: int, mean: float, spread: float, seed: int | None = None, *, dtype: torch.dtype | None = None, device=None
) -> Tensor:
    """Normally distributed values mean (1 + spread xi), one for each grain: (count,).

    `spread` is the relative standard deviation; nothing is cut off, so that a large one gives both signs.
    """
    if not 0 <= spread < math.inf:
        raise ValueError(f"random_normal: spread = {spread}, expected >= 0 and finite, relative to the mean")
    xi = torch.randn(count, dtype=torch.float64, generator=_generator(seed), device="cpu")
    return (mean * (1 + spread * xi)).to(dtype=dtype or torch.get_default_dtype(), device=device)


def grain_boundaries(ids: Tensor, periodic: bool | Sequence[bool] = False, *, both: bool = True) -> Tensor:
    """Which cells share a face with a cell of another grain: bool (*cells).

    Args:
        ids: grain numbers, integers (*cells).
        periodic: for each axis (or one for all) whether the last cell touches the first.
        both: the cells on both sides of a boundary, a layer of two cells; False: on the lower side only, of one cell.
    """
    _count("grain_boundaries", ids)
    boundary = torch.zeros(ids.shape, dtype=torch.bool, device=ids.device)
    for axis, wraps in enumerate(_flags("grain_boundaries", periodic, ids.ndim)):
        differs = ids != ids.roll(-1, axis)
        if not wraps:
            differs.narrow(axis, ids.shape[axis] - 1, 1).fill_(False)
        boundary |= differs
        if both:
            boundary |= differs.roll(1, axis)
    return boundary


def scale_boundaries(value, boundary: Tensor, factor) -> Tensor:
    """A map that is `factor` times its value at the boundaries, value * (1 - (1 - factor) * boundary): (..., *cells).

    Args:
        value: number or (..., *cells), such as A in J/m.
        boundary: bool (*cells), or a fraction of each cell.
        factor: number or tensor; may carry a graph.
    """
    if boundary.dtype == torch.bool:
        like = next((v for v in (value, factor) if isinstance(v, Tensor)), None)
        boundary = boundary.to(torch.get_default_dtype() if like is None else like.dtype)
    return value * (1 - (1 - factor) * boundary)


def nearest_point(points: Tensor, cells: Sequence[int], dx: Sequence[float], wraps: Sequence[bool]) -> Tensor:
    """Which point (count, dim), m, is nearest to the centre of each cell of a grid at the origin; exact: int64 (*cells).

    Blocks of cells are halved together with the points that can be nearest in them, until few enough distances are left: a
    point is out if even its least distance to the block exceeds another point's largest.
    """
    dim = len(cells)
    number = torch.arange(len(points))
    shifts = [(-n * h, 0.0, n * h) if w else (0.0,) for n, h, w in zip(cells, dx, wraps)]
    images = [points + torch.tensor(shift, dtype=points.dtype) for shift in itertools.product(*shifts)]
    points, number = torch.cat(images), number.repeat(len(images))
    centers = [(torch.arange(n, dtype=torch.float64) + 0.5) * h for n, h in zip(cells, dx)]
    ids = torch.empty(cells, dtype=torch.int64)
    stack = [(tuple((0, n) for n in cells), torch.arange(len(points)))]
    while stack:
        block, near = stack.pop()
        sizes = [stop - start for start, stop in block]
        low = torch.tensor([float(c[start]) for c, (start, _) in zip(centers, block)], dtype=points.dtype)
        high = torch.tensor([float(c[stop - 1]) for c, (_, stop) in zip(centers, block)], dtype=points.dtype)
        near = near[_candidates(points[near], low, high)]
        if math.prod(sizes) * len(near) <= BLOCK or max(sizes) == 1 or len(near) == 1:
            ids[tuple(slice(*span) for span in block)] = number[near[_closest(points[near], centers, block)]]
            continue
        axis = max(range(dim), key=lambda a: sizes[a] * dx[a] if sizes[a] > 1 else 0.0)
        start, stop = block[axis]
        middle = (start + stop) // 2
        for span in ((start, middle), (middle, stop)):
            stack.append(((*block[:axis], span, *block[axis + 1 :]), near))
    return ids


def _candidates(points, low, high):
    """Which points can be the nearest of some position in a box."""
    outside = torch.maximum(low - points, points - high)
    least = outside.clamp_min(0).square().sum(-1)
    farthest = torch.maximum(points - low, high - points).square().sum(-1)
    return least <= farthest.min() * (1 + 1e-12)


def _closest(points, centers, block):
    """Index of the nearest point at each cell of a block: (*block)."""
    if len(points) == 1:
        return torch.zeros([stop - start for start, stop in block], dtype=torch.int64)
    distance = 0.0
    for axis, (start, stop) in enumerate(block):
        square = (centers[axis][start:stop, None] - points[:, axis]).square()
        distance = distance + square.reshape([-1 if a == axis else 1 for a in range(len(block))] + [len(points)])
    return distance.argmin(-1)


def _number_in_order(ids):
    """Points without a cell have no number."""
    present = torch.bincount(ids.flatten()) > 0
    return (torch.cumsum(present, 0) - 1)[ids]


def _flags(title, periodic, dim):
    flags = tuple(periodic) if isinstance(periodic, Sequence) else (periodic,) * dim
    if len(flags) != dim or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError(f"{title}: periodic = {periodic!r}, expected a bool, or {dim} of them")
    return flags


def _generator(seed):
    generator = torch.Generator("cpu")
    generator.seed() if seed is None else generator.manual_seed(seed)
    return generator


def _count(title, ids):
    if not isinstance(ids, Tensor) or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool or ids.numel() == 0:
        got = f"{ids.dtype} {tuple(ids.shape)}" if isinstance(ids, Tensor) else type(ids).__name__
        raise TypeError(f"{title}: ids are {got}, expected an integer tensor (*cells)")
    if int(ids.min()) < 0:
        raise ValueError(f"{title}: ids hold {int(ids.min())}, expected grain numbers >= 0")
    return int(ids.max()) + 1
