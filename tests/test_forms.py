import copy
import dataclasses
import itertools
import math
import pickle
import types

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn

import torchmag as tm
from torchmag import forms, layout
from torchmag.forms import (
    Direction,
    NodalScalar,
    NodalVector,
    Scalar,
    Tensor,
    Vector,
    compile_form,
    curl,
    div,
    dot,
    element,
    grad,
)
from torchmag.kernel import Kernel

EPS = torch.finfo(torch.float64).eps
# Sizes of order 1, so that a wrong power of a spacing shows.
DX = (0.7, 1.3, 0.9)
MESHES = [
    tm.Mesh((3,), DX),
    tm.Mesh((3, 2), DX),
    tm.Mesh((2, 2, 2), DX),
    tm.Mesh((3,), DX, pbc=(1, 0, 0)),
    tm.Mesh((3, 2), DX, pbc=(0, math.inf, 0)),
    tm.Mesh((2, 1, 2), DX, pbc=(1, 1, 0)),
]


def name(mesh):
    return f"{mesh.n}-{mesh.pbc}"


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def body(mesh, **options):
    fraction = 0.2 + 0.6 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(7))
    return tm.Magnet(mesh, Ms=1.5, fraction=fraction, **options)


def term(density, *parameters, mesh=MESHES[1], **attributes):
    """On the elements, whose integrals these tests know."""
    return type("Term", (tm.LocalEnergy,), {"density": staticmethod(density), **attributes})(body(mesh, order=2), *parameters)


def brute_force(mesh, density, nodal, cellwise, points=5):
    """Mean density of each cell by Gauss-Legendre quadrature of interpolated nodal fields, in plain loops.

    `density(fields, gradients, parameters)` gets (components,), (components, 3) and (components,) arrays.
    """
    x, w = np.polynomial.legendre.leggauss(points)
    x, w = (x + 1) / 2, w / 2
    found = np.zeros(mesh.cells)
    for cell in itertools.product(*map(range, mesh.cells)):
        parameters = {name: value[(..., *cell)] for name, value in cellwise.items()}
        for q in itertools.product(range(points), repeat=mesh.dim):
            fields = dict.fromkeys(nodal, 0.0)
            gradients = dict.fromkeys(nodal, 0.0)
            for corner in itertools.product((0, 1), repeat=mesh.dim):
                node = tuple((c + o) % n for c, o, n in zip(cell, corner, mesh.nodes))
                along = [x[k] if o else 1 - x[k] for k, o in zip(q, corner)]
                slope = np.zeros(3)
                for a, o in enumerate(corner):
                    slope[a] = (1 if o else -1) / mesh.dx[a] * math.prod(along[:a] + along[a + 1 :])
                for name, value in nodal.items():
                    fields[name] = fields[name] + math.prod(along) * value[(..., *node)]
                    gradients[name] = gradients[name] + np.multiply.outer(value[(..., *node)], slope)
            found[cell] += math.prod(w[k] for k in q) * density(fields, gradients, parameters)
    return found


def assert_variation_is_the_derivative(energy, m):
    m = m.clone().requires_grad_()
    (expected,) = torch.autograd.grad(energy.energy(m).sum(), m)
    # A few hundred terms of the size of the largest one are summed.
    torch.testing.assert_close(energy.gradient(m.detach()), expected, rtol=0, atol=300 * EPS * expected.abs().max().item())


def quadratic(m, A: Scalar, D: Scalar, n: Direction, h: Vector):
    return A * dot(grad(m), grad(m)) + D * dot(m, curl(m)) + dot(m, n) ** 2 + dot(m, h) + 3


def quartic(m, K: Scalar, D: Tensor(3, 3)):
    return K * dot(m, m) ** 2 + sum(D[i, j] * m[i] * grad(m)[j, 0] ** 2 for i in range(3) for j in range(3))


def nodal(m, k: NodalScalar, u: NodalVector):
    return k * dot(m, m) + dot(grad(k), m) * div(u) + dot(m, u) ** 2


def smooth(m, K: Scalar):
    return K * sp.exp(m[0] / 4) * sp.sqrt(4 + m[1] ** 2 / 9)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_quadratic_density(mesh):
    m, A = normal(3, *mesh.nodes), 1 + torch.rand(mesh.cells)
    D, n, h = normal(*mesh.cells, seed=1), normal(3, *mesh.cells, seed=2), normal(3, *mesh.cells, seed=3)
    energy = term(quadratic, A, D, n, h, mesh=mesh)
    assert [block.counts for block in energy.kernel.form.blocks] == [None]

    def density(fields, gradients, p):
        v, g = fields["m"], gradients["m"]
        rot = np.array([g[2, 1] - g[1, 2], g[0, 2] - g[2, 0], g[1, 0] - g[0, 1]])
        return p["A"] * (g * g).sum() + p["D"] * v @ rot + (v @ p["n"]) ** 2 + v @ p["h"] + 3

    cellwise = {"A": A.numpy(), "D": D.numpy(), "n": (n / n.norm(dim=0)).numpy(), "h": h.numpy()}
    expected = energy.magnet.fraction.numpy() * brute_force(mesh, density, {"m": m.numpy()}, cellwise)
    np.testing.assert_allclose(energy.density_map(m).numpy(), expected, rtol=0, atol=300 * EPS * abs(expected).max())
    assert_variation_is_the_derivative(energy, m)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_quartic_density(mesh):
    m, K, D = normal(3, *mesh.nodes), normal(*mesh.cells, seed=1), normal(3, 3, *mesh.cells, seed=2)
    energy = term(quartic, K, D, mesh=mesh)

    def density(fields, gradients, p):
        v, g = fields["m"], gradients["m"]
        return p["K"] * (v @ v) ** 2 + (p["D"] * np.multiply.outer(v, g[:, 0] ** 2)).sum()

    expected = brute_force(mesh, density, {"m": m.numpy()}, {"K": K.numpy(), "D": D.numpy()})
    expected = energy.magnet.fraction.numpy() * expected
    np.testing.assert_allclose(energy.density_map(m).numpy(), expected, rtol=0, atol=300 * EPS * abs(expected).max())
    assert_variation_is_the_derivative(energy, m)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_nodal_coefficients_are_interpolated(mesh):
    m, k, u = normal(3, *mesh.nodes), normal(*mesh.nodes, seed=1), normal(3, *mesh.nodes, seed=2)
    energy = term(nodal, k, u, mesh=mesh)

    def density(fields, gradients, p):
        v, h = fields["m"], fields["u"]
        return fields["k"] * v @ v + gradients["k"] @ v * np.trace(gradients["u"]) + (v @ h) ** 2

    expected = brute_force(mesh, density, {"m": m.numpy(), "k": k.numpy(), "u": u.numpy()}, {})
    expected = energy.magnet.fraction.numpy() * expected
    np.testing.assert_allclose(energy.density_map(m).numpy(), expected, rtol=0, atol=300 * EPS * abs(expected).max())
    assert_variation_is_the_derivative(energy, m)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_stated_quadrature(mesh):
    m, K = normal(3, *mesh.nodes), normal(*mesh.cells, seed=1)

    def density(fields, gradients, p):
        v = fields["m"]
        return p["K"] * math.exp(v[0] / 4) * math.sqrt(4 + v[1] ** 2 / 9)

    for points in (2, 5):
        energy = term(smooth, K, mesh=mesh, quadrature=points)
        assert [block.counts for block in energy.kernel.form.blocks] == [(points,) * mesh.dim]
        expected = brute_force(mesh, density, {"m": m.numpy()}, {"K": K.numpy()}, points=points)
        expected = energy.magnet.fraction.numpy() * expected
        np.testing.assert_allclose(energy.density_map(m).numpy(), expected, rtol=0, atol=300 * EPS * abs(expected).max())
        assert_variation_is_the_derivative(energy, m)


def test_stated_quadrature_leaves_polynomial_terms_exact():
    def mixed(m, K: Scalar):
        return K * dot(grad(m), grad(m)) + K * m[0] ** 4 + K * sp.cos(m[1])

    form = compile_form(mixed, (0, 1), quadrature=2)
    assert sorted(map(str, (block.counts for block in form.blocks))) == ["(2, 2)", "(3, 3)", "None"]


@pytest.mark.parametrize(
    "density, counts",
    [
        (lambda m: m[0] ** 3, (2, 2)),  # degree 3: 2 points are exact to degree 3
        (lambda m: m[0] ** 4, (3, 3)),  # degree 4 needs 3
        (lambda m: m[0] ** 5, (3, 3)),
        (lambda m: m[0] ** 6, (4, 4)),
        # d_x m is constant along x and linear along y.
        (lambda m: grad(m)[0, 0] ** 4, (1, 3)),
        (lambda m: m[0] * grad(m)[0, 1] ** 2, (2, 1)),
        (lambda m: m[0] ** 2 * grad(m)[0, 0] * grad(m)[1, 1], (2, 2)),
    ],
)
def test_fewest_exact_gauss_points(density, counts):
    form = compile_form(density, (0, 1))
    assert [block.counts for block in form.blocks] == [counts]
    # More points change nothing, one fewer along any axis does: far above rounding, 1e-13.
    mesh, m = MESHES[1], normal(3, *MESHES[1].nodes)

    def with_points(chosen):
        (block,) = form.blocks
        other = dataclasses.replace(form, blocks=(dataclasses.replace(block, counts=chosen),))
        return Kernel(other, mesh.dx, mesh.nodes, layout.periodic_axes(mesh), m).density({"m": m}, {"fraction": torch.ones(())})

    fewest = with_points(counts)
    size = fewest.abs().max().item()
    torch.testing.assert_close(with_points(tuple(c + 2 for c in counts)), fewest, rtol=0, atol=300 * EPS * size)
    for axis in (a for a in range(2) if counts[a] > 1):
        fewer = tuple(c - (a == axis) for a, c in enumerate(counts))
        assert (with_points(fewer) - fewest).abs().max() > 1e-6 * size


def test_gauss_rule():
    points, weights = element.gauss((2, 3))
    assert points.shape == (6, 2) and abs(points).max() < 0.5
    for power in itertools.product(range(4), range(6)):
        exact = math.prod(0 if p % 2 else 0.5**p / (p + 1) for p in power)
        assert (weights * np.prod(points ** np.array(power), axis=1)).sum() == pytest.approx(exact, abs=8 * EPS)


def test_modes_of_the_element():
    x = sp.symbols("x0:3", real=True)
    for dim in (1, 2, 3):
        cube = [(v, -sp.Rational(1, 2), sp.Rational(1, 2)) for v in x[:dim]]
        shape = {s: sp.prod(v**k for v, k in zip(x, s)) for s in element.modes(dim)}
        for a, b in itertools.product(shape, repeat=2):
            assert element.mean_product(a, b) == sp.integrate(shape[a] * shape[b], *cube)
        for s, axis in itertools.product(shape, range(dim)):
            low = element.derivative(s, axis)
            assert sp.diff(shape[s], x[axis]) == (0 if low is None else shape[low])


def test_variation_derived_by_hand():
    # w = A (d_x m_x)^2 on one cell of size h: dE/dm = 2 A (m_1 - m_0) / h^2 * (-1, 1), per volume.
    def stretch(m, A: Scalar):
        return A * grad(m)[0, 0] ** 2

    mesh = tm.Mesh((1,), DX)
    energy = type("Term", (tm.LocalEnergy,), {"density": staticmethod(stretch)})(tm.Magnet(mesh, 1.0, order=2), 3.0)
    m = torch.tensor([[0.2, 0.7], [0.0, 0.0], [0.0, 0.0]])
    pull = 2 * 3.0 * 0.5 / 0.7**2 * mesh.cell_volume
    torch.testing.assert_close(energy.gradient(m)[0], torch.tensor([-pull, pull]), rtol=8 * EPS, atol=0)
    assert not energy.gradient(m)[1:].any()


@pytest.mark.parametrize("density", [quadratic, quartic, nodal])
def test_variation_against_sympy(density):
    """dE(m + s v)/ds at s = 0 on one cell, integrated by SymPy in rational numbers."""
    mesh = tm.Mesh((1, 1), (2.0, 3.0, 5.0))
    x, y = forms.compiler.COORDINATES[:2]
    s = sp.Symbol("s")
    shapes = [(1 - x / 2) * (1 - y / 3), (1 - x / 2) * y / 3, x / 2 * (1 - y / 3), x * y / 6]
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randint(-3, 4, shape, generator=rng).double()

    def interpolate(nodal):
        return [sum(int(v) * shape for v, shape in zip(row, shapes)) for row in nodal.reshape(-1, 4).tolist()]

    values, given = [], []
    for kind in forms.compiler.signature(density, 1)[1].values():
        # A unit vector of rational components.
        value = torch.tensor([2.0, 3.0, 6.0]) / 7 if kind.unit else draw(*kind.shape, *(mesh.nodes if kind.nodal else mesh.cells))
        rational = interpolate(value) if kind.nodal else [sp.Rational(round(7 * v), 7) for v in value.flatten().tolist()]
        values.append(value)
        given.append(rational[0] if not kind.shape else sp.Array(rational, kind.shape))
        if kind.shape == (3,):
            given[-1] = sp.ImmutableMatrix(rational)
    energy = type("Term", (tm.LocalEnergy,), {"density": staticmethod(density)})(tm.Magnet(mesh, 1.0, order=2), *values)
    m, v = draw(3, *mesh.nodes), draw(3, *mesh.nodes)
    path = sp.ImmutableMatrix([a + s * b for a, b in zip(interpolate(m), interpolate(v))])
    w = sp.Poly(density(path, *given), x, y, s)

    def integral(power):
        terms = [c * 2 ** (i + 1) * 3 ** (j + 1) / ((i + 1) * (j + 1)) for (i, j, k), c in w.terms() if k == power]
        return float(5 * sum(terms))

    size = energy.density_map(m).abs().max().item() * mesh.size[0] * mesh.size[1] * mesh.size[2]
    assert float(energy.energy(m)) == pytest.approx(integral(0), abs=300 * EPS * size)
    size = (energy.gradient(m) * v).abs().sum().item()
    assert float((energy.gradient(m) * v).sum()) == pytest.approx(integral(1), abs=300 * EPS * size)


@pytest.mark.parametrize("mesh", MESHES, ids=name)
def test_a_weak_form_equals_the_variation_of_the_density(mesh):
    class Strong(tm.LocalEnergy):
        @staticmethod
        def density(m, A: Scalar, K: Scalar, u: NodalVector):
            return A * dot(grad(m), grad(m)) + K * dot(m, u) ** 3

    class Weak(tm.LocalEnergy):
        @staticmethod
        def weak(m, v, A: Scalar, K: Scalar, u: NodalVector):
            return 2 * A * dot(grad(m), grad(v)) + 3 * K * dot(m, u) ** 2 * dot(v, u)

    m, magnet = normal(3, *mesh.nodes), body(mesh)
    given = (1 + torch.rand(mesh.cells), normal(*mesh.cells, seed=1), normal(3, *mesh.nodes, seed=2))
    strong, weak = Strong(magnet, *given), Weak(magnet, *given)
    expected = strong.gradient(m)
    torch.testing.assert_close(weak.gradient(m), expected, rtol=0, atol=300 * EPS * expected.abs().max().item())
    # It has a field, and a Sum with it has one.
    torch.testing.assert_close((strong + weak).field(m), 2 * strong.field(m), rtol=0, atol=1e-12 * strong.field(m).abs().max())
    with pytest.raises(TypeError, match="Weak has no energy"):
        (strong + weak).energy(m)


def test_two_dimensions_are_three_uniform_along_z():
    flat, thick = tm.Mesh((3, 2), DX), tm.Mesh((3, 2, 2), (*DX[:2], DX[2] / 2))
    m, K, D = normal(3, *flat.nodes), normal(3, 2, seed=1), normal(3, 3, 3, 2, seed=2)

    def build(mesh, *values):
        return type("Term", (tm.LocalEnergy,), {"density": staticmethod(quartic)})(tm.Magnet(mesh, 1.5), *values)

    a = build(flat, K, D)
    b = build(thick, K[..., None], D[..., None])
    tall = m[..., None].expand(3, *thick.nodes).clone()
    assert float(a.energy(m)) == pytest.approx(float(b.energy(tall)), rel=300 * EPS)
    field = a.field(m)
    torch.testing.assert_close(b.field(tall), field[..., None].expand_as(tall), rtol=0, atol=300 * EPS * field.abs().max().item())


def test_annotations_may_be_strings():
    code = """
from __future__ import annotations
import torchmag as tm
from torchmag.forms import NodalVector, Scalar, Tensor, dot
def density(m, k: Scalar, n: tm.forms.Direction, h: NodalVector, D: Tensor(3, 3), q: tm.forms.Tensor(2)):
    return k * dot(m, n) ** 2 + dot(m, h) + D[0, 1] * m[0] * m[1] + q[1] * m[0]
"""
    module = types.ModuleType("postponed")
    exec(code, module.__dict__)
    kinds = forms.compiler.signature(module.density, 1)[1]
    assert kinds == {"k": Scalar, "n": Direction, "h": NodalVector, "D": Tensor(3, 3), "q": Tensor(2)}
    assert torch.isfinite(
        term(module.density, 1.0, (1, 0, 0), (1.0, 0, 0), torch.ones(3, 3), torch.ones(2)).energy(normal(3, 4, 3))
    )


@pytest.mark.parametrize("annotation", ["Scala", "tm.forms.Nothing", "Tensor(n)", "Tensor(3", "print(1)", "()"])
def test_strings_are_never_evaluated(annotation):
    def density(m, k):
        return k * m[0]

    density.__annotations__["k"] = annotation
    with pytest.raises(tm.FormError, match="parameter 'k' is annotated with"):
        term(density, 1.0)


def test_uniform_nodal_parameters_act_like_cellwise_ones():
    def per_node(m, k: NodalScalar, u: NodalVector):
        return k * dot(m, u) ** 2

    def per_cell(m, k: Scalar, u: Vector):
        return k * dot(m, u) ** 2

    m = normal(3, 4, 3)
    for k, u in ((2.0, (1.0, 2.0, 3.0)), (normal(5, 1, 1), normal(5, 3, 1, 1)), (normal(2, 1, 1, 1), normal(5, 3, 1, 1))):
        a, b = term(per_node, k, u), term(per_cell, k, u)
        expected = b.energy(m)
        assert a.energy(m).shape == expected.shape
        torch.testing.assert_close(a.energy(m), expected, rtol=0, atol=300 * EPS * expected.abs().max().item())
        torch.testing.assert_close(a.field(m), b.field(m), rtol=0, atol=300 * EPS * b.field(m).abs().max().item())


def test_functions_and_constants():
    m = normal(3, 4, 3)
    cases = {
        lambda m: sp.sqrt(2) * m[0] ** 2 + sp.sin(1) * m[1] + sp.pi * m[2] + sp.E * m[0] + sp.Rational(1, 3) * m[1]: None,
        lambda m: sp.Max(0, m[0]) ** 2: 3,
        lambda m: sp.Max(m[0], m[1], m[2], sp.Rational(1, 2)): 3,
        lambda m: sp.Min(m[0], m[1]) + sp.atan2(m[0], 3) + sp.atan2(2, 3 + m[1] ** 2): 3,
        lambda m: abs(m[0]) ** 3 + sp.log(2 + m[1] ** 2) + sp.tanh(m[2]): 3,
    }
    for density, points in cases.items():
        energy = term(density, quadrature=points)
        assert_variation_is_the_derivative(energy, m)

        def numpy(fields, gradients, p, density=density):
            return float(density(sp.ImmutableMatrix(fields["m"].tolist())))

        expected = energy.magnet.fraction.numpy() * brute_force(MESHES[1], numpy, {"m": m.numpy()}, {}, points or 2)
        np.testing.assert_allclose(energy.density_map(m).numpy(), expected, rtol=0, atol=300 * EPS * abs(expected).max())


def test_a_kink_has_a_second_derivative():
    # The variation of Max holds Heaviside, which autograd must pass.
    energy = term(lambda m: sp.Max(0, m[0]) ** 2, quadrature=2)
    m = normal(3, 4, 3).requires_grad_()
    (found,) = torch.autograd.grad(energy.field(m).sum(), m)
    assert torch.isfinite(found).all() and found.any()


def test_parameters_may_bear_sympys_names():
    def density(m, E: Scalar, I: Scalar, S: Scalar, pi: Scalar, x0: Scalar, x1: Scalar):  # noqa: E741
        s = dot(m, m)
        return E * m[0] + I * m[1] + S * m[2] ** 4 + pi * m[0] ** 2 + x0 * s**2 + x1 * s**3

    def plain(m, a: Scalar, b: Scalar, c: Scalar, d: Scalar, e: Scalar, f: Scalar):
        s = dot(m, m)
        return a * m[0] + b * m[1] + c * m[2] ** 4 + d * m[0] ** 2 + e * s**2 + f * s**3

    m, values = normal(3, 4, 3), (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    expected = term(plain, *values).energy(m)
    torch.testing.assert_close(term(density, *values).energy(m), expected, rtol=1e-14, atol=0)


def test_densities_without_m_or_without_anything():
    m = normal(2, 3, 4, 3)
    for density, parameters in ((lambda m: 0 * m[0], ()), (lambda m: 3, ())):
        energy = term(density, *parameters)
        assert energy.field(m).shape == m.shape and not energy.field(m).any()
        assert energy.density_map(m).shape[-2:] == (3, 2)


def test_a_form_is_compiled_once_per_function():
    a, b = (tm.Exchange(body(MESHES[1]), 1.0) for _ in range(2))
    assert a.kernel.form is b.kernel.form
    assert copy.deepcopy(a).kernel.form is a.kernel.form
    assert compile_form(quadratic, (0, 1)) is compile_form(quadratic, (0, 1))
    assert compile_form(quadratic, (0, 1)) is not compile_form(quadratic, (0,))


def test_forms_and_terms_pickle():
    form = compile_form(quartic, (0, 1))
    # Neither costs another compilation.
    assert pickle.loads(pickle.dumps(form)) is form
    assert copy.deepcopy(form) is form
    m = normal(3, 4, 3)
    magnet = body(MESHES[1])
    for energy in (tm.UniaxialAnisotropy(magnet, 1.0, (1, 2, 3), 2.0), tm.BulkDMI(magnet, 2.0)):
        assert torch.equal(pickle.loads(pickle.dumps(energy)).field(m), energy.field(m))


def test_source_is_readable():
    magnet = body(MESHES[1], order=2)
    source = tm.Exchange(magnet, 1.0).source()
    assert "# density of density, integrated exactly on the modes of the element" in source
    assert "def variation(" in source and "m_x_Dx" in source and "fraction" in source
    compile(source, "source", "exec")
    assert "Gauss points (3, 3)" in tm.UniaxialAnisotropy(magnet, 1.0, (1, 0, 0), 2.0).source()


def test_parameters_left_at_zero_are_not_compiled():
    without, given = (tm.UniaxialAnisotropy(body(MESHES[1]), 1.0, (1, 0, 0), *more) for more in ((), (2.0,)))
    assert "Ku2" not in without.source() and "Ku2" in given.source()
    assert "Ku2" not in without.state_dict() and "Ku2" in given.state_dict()


def test_vector_calculus():
    x, y, z = forms.compiler.COORDINATES
    v = sp.ImmutableMatrix([x * y, y**2 * z, x * z])
    assert grad(x * y**2) == sp.ImmutableMatrix([y**2, 2 * x * y, 0])
    assert grad(v)[1, 2] == y**2  # row: component, column: direction
    assert div(v) == y + 2 * y * z + x
    assert curl(v) == sp.ImmutableMatrix([-(y**2), -z, -x])
    assert forms.cross(v, v) == sp.zeros(3, 1)
    assert dot(grad(v), grad(v)) == sum(sp.diff(c, s) ** 2 for c in v for s in (x, y, z))


def test_only_modes_that_are_used_are_made(monkeypatch):
    # Anisotropy needs no difference that its quadratic form does not hold; exchange no mean.
    asked = []
    original = layout.Modes.sum
    monkeypatch.setattr(layout.Modes, "sum", lambda modes, mode: asked.append(mode) or original(modes, mode))
    tm.Exchange(body(MESHES[1], order=2), 1.0).field(normal(3, 4, 3))
    assert (0, 1) in asked and (0, 0) not in asked


def stiffness(m, K: Scalar, J: Scalar, n: Vector):
    return K * dot(m, m) + J * dot(m, n) ** 2


def doubled(m, K: Scalar):
    return K * (m[0] ** 2 + m[1] ** 2 + 2 * m[2] ** 2)


@pytest.mark.parametrize("term", [tm.Exchange, tm.BulkDMI])
def test_what_is_alike_in_all_components_is_one_coefficient(term):
    function, _ = term._form()
    (block,) = compile_form(function, (0, 1)).blocks
    alike = term is tm.Exchange
    assert len(block.vectors) == (3 if alike else 0)
    assert bool(block.variation) != alike


def test_only_what_is_alike_is_one_coefficient():
    (block,) = compile_form(stiffness, (0,)).blocks
    assert not block.vectors and len(block.variation) == 6
    (block,) = compile_form(stiffness, (0,), absent=frozenset({"J", "n"})).blocks
    assert len(block.vectors) == 2 and not block.variation
    (block,) = compile_form(doubled, (0,)).blocks
    assert not block.vectors


def gradient_and_more(m, A: Scalar, K: Scalar, n: Vector):
    return A * dot(grad(m), grad(m)) + K * dot(m, m) + dot(m, n) ** 2


@pytest.mark.parametrize("mesh", MESHES, ids=name)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_uniform_coefficients_act_as_maps_of_one_value(mesh, batch):
    # Uniform: a stencil at the nodes; as a map: modes of the cells.  Through one backward pass and the second.
    m, n = normal(*batch, 3, *mesh.nodes), normal(3, seed=3)
    per_sample = (*batch, *(1,) * mesh.dim) if batch else ()
    A, K = 1 + normal(*per_sample, seed=1).abs(), 1 + normal(*per_sample, seed=2).abs()
    magnet, found = tm.Magnet(mesh, Ms=1.5), []
    for extent in (per_sample, (*batch, *mesh.cells)):
        x, A_, K_ = m.clone().requires_grad_(), *(nn.Parameter(value.expand(extent).clone()) for value in (A, K))
        energy = type("Term", (tm.LocalEnergy,), {"density": staticmethod(gradient_and_more)})(magnet, A_, K_, n)
        slope = torch.autograd.grad(energy.field(x).square().sum(), (x, A_, K_), create_graph=True)
        second = torch.autograd.grad(slope[0].square().sum(), x)
        found.append([energy.field(m).detach(), slope[0], slope[1].sum(), slope[2].sum(), *second])
    for uniform, mapped in zip(*found):
        torch.testing.assert_close(uniform, mapped, rtol=1e-12, atol=1e-12 * mapped.abs().max().item())


def test_a_stencil_stands_in_for_the_modes_only_where_coefficients_are_uniform(monkeypatch):
    asked = []
    original = layout.differences
    monkeypatch.setattr(layout, "differences", lambda *given: asked.append(1) or original(*given))
    mesh, m = tm.Mesh((3, 2), DX), normal(3, 4, 3)
    magnet = tm.Magnet(mesh, Ms=1.5, order=2)
    tm.Exchange(magnet, torch.full(mesh.cells, 1.0)).field(m)
    tm.BulkDMI(magnet, 1.0).field(m)
    assert not asked
    tm.Exchange(magnet, 1.0).field(m)
    assert asked


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_exchange_of_a_uniform_state_is_exactly_zero(dtype):
    mesh = tm.Mesh((5, 4, 3), DX)
    magnet = tm.Magnet(mesh, Ms=1.5, dtype=dtype)
    m = (torch.tensor([0.6, 0.1, 0.7], dtype=dtype)[:, None, None, None]).expand(3, *mesh.nodes)
    for A in (1.0, torch.ones(mesh.cells, dtype=dtype)):
        assert not tm.Exchange(magnet, A).field(m).any()
