"""Quantities and field terms of a script's own."""

import torch

from torchmag.mx3.quantity import Cropped, Quantity, RunningAverage, combined, shifted
from torchmag.mx3.values import Function, Vector

Q, F, N = "quantity", "float", "int"


def names(world) -> dict[str, object]:
    """What this room adds."""
    rows = (*_combinations(world), *_crops(world), *_terms(world))
    return {name: Function(name, call, kinds) for name, call, kinds in rows}


class Constant(Quantity):
    """The same number or vector everywhere."""

    def __init__(self, world, numbers):
        like = world.reference
        spread = lambda grid: torch.tensor(numbers).to(like).reshape(-1, 1, 1, 1).expand(-1, *grid)
        super().__init__(
            world, "const", "", len(numbers), lambda: world.grid.full(list(numbers)), lambda m, t: spread(world.grid.nodes)
        )


def _same(name, a, b):
    if a.components != b.components:
        raise ValueError(f"{name}: {a.components} and {b.components} components")


def _combinations(world):
    def add(a, b):
        _same("Add", a, b)
        return combined("add", a.unit, a.components, lambda x, y: x + y, a, b)

    def madd(a, b, p, q):
        _same("Madd", a, b)
        return combined("madd", a.unit, a.components, lambda x, y: p * x + q * y, a, b)

    def mul(a, b):
        if a.components != b.components and 1 not in (a.components, b.components):
            raise ValueError(f"Mul: {a.components} and {b.components} components")
        return combined("mul", "", max(a.components, b.components), lambda x, y: x * y, a, b)

    def div(a, b):
        if b.components not in (1, a.components):
            raise ValueError(f"Div: {a.components} and {b.components} components")
        return combined("div", "", a.components, lambda x, y: torch.where(y == 0, torch.zeros_like(x), x / (y + (y == 0))), a, b)

    def vectors(name, *parts):
        for part in parts:
            if part.components != 3:
                raise ValueError(f"{name}: {part.name} has {part.components} components, expected 3")

    def dot(a, b):
        _same("Dot", a, b)
        return combined("dot", "", 1, lambda x, y: (x * y).sum(0, keepdim=True), a, b)

    def cross(a, b):
        vectors("Cross", a, b)
        return combined("cross", "", 3, lambda x, y: torch.linalg.cross(*torch.broadcast_tensors(x, y), dim=0), a, b)

    def normalized(a):
        unit = lambda x: x / (x.norm(dim=0, keepdim=True) + (x.norm(dim=0, keepdim=True) == 0))
        return combined("normalized", "", a.components, unit, a)

    def matrix(x, y, z, v):
        vectors("MulMV", x, y, z, v)
        return combined("mulmv", "", 3, lambda a, b, c, m: torch.stack([(row * m).sum(0) for row in (a, b, c)]), x, y, z, v)

    def masked(a, shape):
        inside = lambda at: shape.inside(*world.grid.positions(at))
        return Quantity(
            world,
            "masked",
            a.unit,
            a.components,
            lambda: a.values() * inside("cells"),
            lambda m, t: a.nodes(m, t) * inside("nodes"),
        )

    def shift(a, *by):
        return Quantity(
            world, "shifted", a.unit, a.components, lambda: shifted(a.values(), by), lambda m, t: shifted(a.nodes(m, t), by)
        )

    total = lambda a: [v * world.grid.n[0] * world.grid.n[1] * world.grid.n[2] for v in a.mean()]

    def sum_scalar(a):
        if a.components != 1:
            raise ValueError(f"Sum: {a.name} has {a.components} components; use SumVector")
        return total(a)[0]

    def sum_vector(a):
        vectors("SumVector", a)
        return Vector(*total(a))

    return (
        ("Const", lambda x: Constant(world, [x]), (F,)),
        ("ConstVector", lambda *v: Constant(world, v), (F, F, F)),
        ("Add", add, (Q, Q)), ("Madd", madd, (Q, Q, F, F)), ("Mul", mul, (Q, Q)), ("Div", div, (Q, Q)), ("Dot", dot, (Q, Q)),
        ("Cross", cross, (Q, Q)), ("Normalized", normalized, (Q,)), ("MulMV", matrix, (Q, Q, Q, Q)), ("Masked", masked, (Q, "shape")),
        ("Shifted", shift, (Q, N, N, N)), ("RunningAverage", RunningAverage, (Q,)), ("Sum", sum_scalar, (Q,)),
        ("SumVector", sum_vector, (Q,)),
    )  # fmt: skip


def _crops(world):
    n = lambda: world.grid.mesh and world.grid.n

    def crop(a, x1, x2, y1, y2, z1, z2):
        return Cropped(a, (x1, y1, z1), (x2, y2, z2))

    def crop_region(a, number):
        where = (world.regions.ids == number).nonzero()
        if not len(where):
            raise ValueError(f"region {number} has no cells")
        return Cropped(a, tuple(where.amin(0).tolist()), tuple((where.amax(0) + 1).tolist()))

    return (
        ("Crop", crop, (Q, N, N, N, N, N, N)),
        ("CropX", lambda a, i, j: crop(a, i, j, 0, n()[1], 0, n()[2]), (Q, N, N)),
        ("CropY", lambda a, i, j: crop(a, 0, n()[0], i, j, 0, n()[2]), (Q, N, N)),
        ("CropZ", lambda a, i, j: crop(a, 0, n()[0], 0, n()[1], i, j), (Q, N, N)),
        ("CropLayer", lambda a, i: crop(a, 0, n()[0], 0, n()[1], i, i + 1), (Q, N)),
        ("CropRegion", crop_region, (Q, N)),
    )


def _terms(world):
    def add_field(a):
        if a.components != 3:
            raise ValueError(f"{a.name} has {a.components} components, a field has 3")
        world.custom_fields.append(a)
        world.changed("terms")

    def add_energy(a):
        if a.components != 1:
            raise ValueError(f"{a.name} has {a.components} components, an energy density has 1")
        world.custom_energies.append(a)

    def remove_fields():
        world.custom_fields.clear()
        world.changed("terms")

    return (
        ("AddFieldTerm", add_field, (Q,)),
        ("AddEdensTerm", add_energy, (Q,)),
        ("RemoveCustomFields", remove_fields, ()),
        ("RemoveCustomEnergies", world.custom_energies.clear, ()),
    )
