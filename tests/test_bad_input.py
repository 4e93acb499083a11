"""Wrong calls: each must fail where it is made, with an error that names the argument and says what was expected."""

import math

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.forms import Direction, NodalScalar, Scalar, Tensor, Vector, dot, grad

MESH = tm.Mesh((3, 2), dx=(5e-9, 4e-9, 3e-9))
CELLS, NODES = MESH.cells, MESH.nodes
DX = MESH.dx
Z = (0.0, 0.0, 1.0)


def film(Ms=8e5, fraction=None, mesh=MESH, **options):
    return tm.Magnet(mesh, Ms, fraction, **options)


def exchange(A=1.3e-11):
    return tm.Exchange(film(), A)


def llg(alpha=0.1, **options):
    return tm.LLG(exchange(), alpha, **options)


def up():
    return tm.uniform(MESH, Z)


def solve(m=None, t=(0.0, 1e-12), **options):
    return tm.solve(llg(), up() if m is None else m, t, **options)


def relax(m=None, **options):
    return tm.relax(llg(), up() if m is None else m, **options)


def average(**options):
    return tm.average(up(), film(), **options)


def cells(value):
    return torch.full(CELLS, float(value))


def one_bad(value, good=1.0):
    x = cells(good)
    x[1, 0] = value
    return x


def node(value):
    """m0 with one node set to this vector."""
    m = up()
    m[:, 1, 1] = torch.tensor(value)
    return m


def term(density, *parameters, **attributes):
    """An energy term of this density on the film, of order 2: else none is too hard to integrate."""
    return type("Term", (tm.LocalEnergy,), {"density": staticmethod(density), **attributes})(film(order=2), *parameters)


def weak_term(weak, *parameters):
    return type("Term", (tm.LocalEnergy,), {"weak": staticmethod(weak)})(film(), *parameters)


class Image(nn.Module):
    def forward(self, image):
        return image


class Both(tm.LocalEnergy):
    @staticmethod
    def density(m, k: Scalar):
        return k * m[0]

    @staticmethod
    def weak(m, v, k: Scalar):
        return k * v[0]


class Neither(tm.LocalEnergy):
    pass


def twice():
    term = exchange()
    return tm.Sum(term, term)


def assign(module, name, value):
    setattr(module, name, value)


def without_annotation(m, k):
    return k * m[0]


def wrong_annotation(m, k: float):
    return k * m[0]


def default_of_one(m, k: Scalar = 1):
    return k * m[0]


def named_fraction(m, fraction: Scalar):
    return fraction * m[0]


def named_hx(m, hx: Scalar):
    return hx * m[0]


def named_sqrt(m, sqrt: Scalar):
    return sqrt * m[0]


def named_x(m, x: Scalar):
    return grad(x * m[0])[0]


def named_like_component(m, m_x: Scalar):
    return m_x * m[0]


def named_like_derivative(m, m_x_dy: Scalar):
    return m_x_dy * grad(m)[0, 1]


def clash(m, a: Vector, a_x: Scalar):
    return a_x * dot(m, a)


def named_field(m, field: Scalar):
    return field * m[0] ** 2


def named_kernel(m, kernel: Scalar):
    return kernel * m[0] ** 2


def named_magnet(m, magnet: Scalar):
    return magnet * m[0] ** 2


def vector_Ms(m, Ms: Vector):
    return dot(m, Ms)


def nodal_Ms(m, Ms: NodalScalar):
    return Ms * m[0]


def optional_Ms(m, Ms: Scalar = 0):
    return Ms * m[0]


def unknown_symbol(m, k: Scalar):
    import sympy

    return k * sympy.Symbol("q") * m[0]


def coordinate(m, k: Scalar):
    from torchmag.forms.symbols import COORDINATES

    return k * COORDINATES[0] * m[0]


def second_derivative(m, k: Scalar):
    return k * grad(grad(m[0])[0])[1]


def vector_result(m, k: Scalar):
    return k * m


def tuple_result(m, k: Scalar):
    return (k, m)


def nothing(m, k: Scalar):
    k * m[0]


def gamma_function(m, k: Scalar):
    import sympy

    return k * sympy.gamma(m[0])


def piecewise(m, k: Scalar):
    import sympy

    return sympy.Piecewise((k * m[0], m[0] > 0), (0, True))


def imaginary(m, k: Scalar):
    import sympy

    return sympy.I * k * m[0]


def root(m, k: Scalar):
    import sympy

    return k * sympy.sqrt(1 + m[0] ** 2)


def wrong_dot(m, k: Scalar):
    return dot(k, m)


def out_of_range(m, D: Tensor(3, 3, 3)):
    return D[3, 0, 0] * m[0]


def not_linear(m, v, k: Scalar):
    return k * dot(v, v)


def affine(m, v, k: Scalar):
    return k * (v[0] + m[0])


def no_field():
    return 1


V, T, F = ValueError, TypeError, tm.FormError

WRONG = {
    "mesh-n-float": (lambda: tm.Mesh((2.0, 3), DX), T, r"Mesh: n holds 2\.0 .*integers"),
    "mesh-n-zero": (lambda: tm.Mesh((0, 3), DX), V, r"Mesh: n holds 0, expected at least one"),
    "mesh-n-bool": (lambda: tm.Mesh((True, 3), DX), T, r"Mesh: n holds True"),
    "mesh-n-four": (lambda: tm.Mesh((1, 1, 1, 1), DX), V, r"Mesh: n has 4 entries, expected 1, 2 or 3"),
    "mesh-n-empty": (lambda: tm.Mesh((), DX), V, r"Mesh: n has 0 entries"),
    "mesh-n-none": (lambda: tm.Mesh(None, DX), T, r"Mesh: n = None"),
    "mesh-dx-two": (lambda: tm.Mesh((2, 2), DX[:2]), V, r"Mesh: dx has 2 entries, expected 3"),
    "mesh-dx-negative": (lambda: tm.Mesh((2, 2), (1e-9, -1e-9, 1e-9)), V, r"Mesh: dx = .*positive"),
    "mesh-dx-inf": (lambda: tm.Mesh((2, 2), (1e-9, math.inf, 1e-9)), V, r"Mesh: dx holds inf"),
    "mesh-dx-number": (lambda: tm.Mesh((2, 2), 1e-9), T, r"Mesh: dx = 1e-09"),
    "mesh-dx-string": (lambda: tm.Mesh((2, 2), ("1", 1e-9, 1e-9)), T, r"Mesh: dx holds '1'"),
    "mesh-origin-nan": (lambda: tm.Mesh((2, 2), DX, origin=(math.nan, 0, 0)), V, r"Mesh: origin holds nan"),
    "mesh-pbc-bool": (lambda: tm.Mesh((2, 2), DX, pbc=(True, 0, 0)), T, r"Mesh: pbc holds True \(bool\), expected 0"),
    "mesh-pbc-two": (lambda: tm.Mesh((2, 2), DX, pbc=(1, 1)), V, r"Mesh: pbc has 2 entries, expected 3"),
    "mesh-pbc-fraction": (lambda: tm.Mesh((2, 2), DX, pbc=(1.5, 0, 0)), V, r"Mesh: pbc holds 1\.5"),
    "mesh-pbc-negative": (lambda: tm.Mesh((2, 2), DX, pbc=(-1, 0, 0)), V, r"Mesh: pbc holds -1"),
    "mesh-pbc-nan": (lambda: tm.Mesh((2, 2), DX, pbc=(math.nan, 0, 0)), V, r"Mesh: pbc holds nan"),
    "mesh-pbc-inf-no-axis": (lambda: tm.Mesh((2, 2), DX, pbc=(0, 0, math.inf)), V, r"pbc\[2\] is infinite .*no z axis"),
    "magnet-mesh": (lambda: tm.Magnet((3, 2), 8e5), T, r"Magnet: mesh is a tuple, expected a torchmag\.Mesh"),
    "magnet-Ms-negative": (lambda: film(-8e5), V, r"Magnet: Ms has a minimum of -800000, expected >= 0"),
    "magnet-Ms-nan": (lambda: film(one_bad(math.nan)), V, r"Magnet: Ms is not finite \(1 of 6"),
    "magnet-Ms-inf": (lambda: film(math.inf), V, r"Magnet: Ms is not finite"),
    "magnet-Ms-shape": (lambda: film(torch.ones(2, 3)), V, r"Magnet: Ms has shape \(2, 3\), cells are \(3, 2\)"),
    "magnet-Ms-batch": (lambda: film(torch.ones(5)), V, r"Magnet: Ms has shape \(5,\).*\*batch, 3, 2"),
    "magnet-Ms-string": (lambda: film("8e5"), T, r"Magnet: Ms is a str, expected a number"),
    "magnet-Ms-none": (lambda: film(None), T, r"Magnet: Ms is a NoneType"),
    "magnet-Ms-complex": (lambda: film(8e5 + 1j), T, r"Magnet: Ms is a complex"),
    "magnet-Ms-bool": (lambda: film(True), T, r"Magnet: Ms is a bool"),
    "magnet-Ms-zero": (lambda: film(0.0), V, r"Magnet: Ms is zero everywhere"),
    "magnet-Ms-zero-list": (lambda: film([[0, 0], [0, 0], [0, 0]]), V, r"Magnet: Ms is zero everywhere"),
    "magnet-Ms-strings": (lambda: film([["a", "b"]] * 3), T, r"Magnet: Ms holds <U1 values, expected numbers"),
    "magnet-Ms-ragged": (lambda: film([[1.0], [1.0, 2.0]]), T, r"Magnet: Ms holds .*expected numbers"),
    "magnet-Ms-int-tensor": (lambda: film(torch.ones(CELLS, dtype=torch.int64)), T, r"Magnet: Ms is a torch\.int64 tensor"),
    "magnet-Ms-other-dtype": (lambda: film(cells(1).float(), dtype=torch.float64), T, r"Ms is a torch\.float32 tensor"),
    "magnet-fraction-above": (lambda: film(8e5, one_bad(1.5)), V, r"Magnet: fraction has a maximum of 1\.5, expected <= 1"),
    "magnet-fraction-below": (lambda: film(8e5, -0.1), V, r"Magnet: fraction has a minimum of -0\.1, expected >= 0"),
    "magnet-fraction-nan": (lambda: film(8e5, math.nan), V, r"Magnet: fraction is not finite"),
    "magnet-fraction-zero": (lambda: film(8e5, cells(0)), V, r"Magnet: fraction .*zero everywhere"),
    "magnet-fraction-assign": (lambda: assign(film(), "fraction", 2.0), V, r"Magnet: fraction has a maximum of 2"),
    "magnet-dtype-half": (lambda: film(dtype=torch.float16), T, r"Magnet: dtype is torch\.float16, expected torch\.float32"),
    "term-magnet": (lambda: tm.Exchange(MESH, 1e-11), T, r"Exchange: magnet is a Mesh, expected a torchmag\.Magnet"),
    "term-missing": (lambda: tm.Exchange(film()), T, r"Exchange: missing A; its parameters are A"),
    "term-unknown": (lambda: tm.Exchange(film(), a=1), T, r"Exchange has no parameter 'a'; its parameters are A"),
    "term-twice": (lambda: tm.Exchange(film(), 1e-11, A=1e-11), T, r"Exchange: 'A' is given twice"),
    "term-too-many": (lambda: tm.Exchange(film(), 1, 2), T, r"Exchange takes 1 parameters .*\(A\), got 2"),
    "term-A-negative": (lambda: exchange(-1e-11), V, r"Exchange: A has a minimum of -1e-11, expected >= 0"),
    "term-A-nan": (lambda: exchange(one_bad(math.nan, 1e-11)), V, r"Exchange: A is not finite \(1 of 6 values\)"),
    "term-A-assign": (lambda: assign(exchange(), "A", -1.0), V, r"Exchange: A has a minimum of -1"),
    "term-A-assign-none": (lambda: assign(exchange(), "A", None), T, r"Exchange: A is a NoneType"),
    "term-A-nodes": (lambda: exchange(torch.ones(NODES)), V, r"Exchange: A has shape \(4, 3\), cells are \(3, 2\)"),
    "term-A-bare-batch": (lambda: exchange(torch.ones(4)), V, r"Exchange: A has shape \(4,\)"),
    "term-A-vector": (lambda: exchange(torch.ones(3, *CELLS)[..., None]), V, r"Exchange: A has shape \(3, 3, 2, 1\)"),
    "term-A-float32": (lambda: exchange(cells(1).float()), T, r"A is a torch\.float32 tensor, the magnet is torch\.float64"),
    "term-A-meta": (lambda: exchange(torch.ones(CELLS, device="meta")), V, r"A is on meta, the magnet on cpu; move"),
    "term-A-class": (lambda: exchange(nn.Identity), T, r"Exchange: A is a type, expected a number"),
    "term-Ku2-assign": (
        lambda: assign(tm.UniaxialAnisotropy(film(), 1e4, Z), "Ku2", 1e3), T, r"Ku2 .*left at 0.*give it to the constructor",
    ),
    "term-axis-zero": (lambda: tm.UniaxialAnisotropy(film(), 1e4, (0, 0, 0)), V, r"axis has a zero vector"),
    "term-axis-nan": (lambda: tm.UniaxialAnisotropy(film(), 1e4, (0, math.nan, 0)), V, r"UniaxialAnisotropy: axis"),
    "term-axis-scalar": (lambda: tm.UniaxialAnisotropy(film(), 1e4, 1.0), V, r"axis has shape \(\).*expected shape \(3,\)"),
    "term-axis-bare-batch": (
        lambda: tm.UniaxialAnisotropy(film(), 1e4, torch.ones(4, 3)), V, r"axis has shape \(4, 3\).*\*batch, 3, 3, 2",
    ),
    "term-axis-nodes": (lambda: tm.UniaxialAnisotropy(film(), 1, torch.ones(3, *NODES)), V, r"axis has shape \(3, 4, 3\), cells"),
    "term-D-shape": (lambda: tm.DMI(film(), torch.ones(3, 3)), V, r"DMI: D has shape \(3, 3\).*\(3, 3, 3\)"),
    "zeeman-H-cells": (lambda: tm.Zeeman(film(), torch.ones(3, *CELLS)), V, r"Zeeman: H has shape \(3, 3, 2\), nodes are \(4, 3\)"),
    "zeeman-H-bare-batch": (lambda: tm.Zeeman(film(), torch.ones(4, 3)), V, r"Zeeman: H has shape \(4, 3\)"),
    "zeeman-H-number": (lambda: tm.Zeeman(film(), 1e5), V, r"Zeeman: H has shape \(\)"),
    "zeeman-H-argument": (lambda: tm.Zeeman(film(), lambda time: Z), T, r"Zeeman: H: .*takes time; .*t and m.*torchmag\.Derived"),
    "zeeman-H-default-argument": (lambda: tm.Zeeman(film(), lambda t, w=1.0: Z), T, r"takes w; .*torchmag\.Derived"),
    "zeeman-H-star": (lambda: tm.Zeeman(film(), lambda *a: Z), T, r"takes a; .*torchmag\.Derived"),
    "zeeman-H-module": (lambda: tm.Zeeman(film(), Image()), T, r"Zeeman: H: Image .*takes image; .*torchmag\.Derived"),
    "zeeman-H-builtin": (lambda: tm.Zeeman(film(), torch.sin), T, r"Zeeman: H: .*signature.*torchmag\.Derived"),
    "zeeman-H-drive-shape": (lambda: tm.Zeeman(film(), lambda t: torch.ones(5)).field(up()), V, r"Zeeman: H has shape \(5,\)"),
    "zeeman-H-drive-string": (lambda: tm.Zeeman(film(), lambda t: "x").field(up()), T, r"Zeeman: H is a str"),
    "oersted-j-shape": (lambda: tm.Oersted(film(), torch.zeros(3, 2)), V, r"Oersted: j has shape \(3, 2\), cells are \(3, 2\)"),
    "oersted-j-inf": (lambda: tm.Oersted(film(), (0, 0, math.inf)), V, r"Oersted: j is not finite"),
    "oersted-cells": (lambda: tm.Oersted(film(), (0, 0, 1)).cell_field(up()), V, r"Oersted: j has shape \(3, 4, 3\), expected \(\*batch, 3, 3, 2\)"),
    "demag-cells": (lambda: tm.Demag(film()).cell_field(up()), V, r"m_cells has shape \(3, 4, 3\), expected \(\*batch, 3, 3, 2\)"),
    "sum-no-energy": (lambda: tm.Sum(exchange(), 3), T, r"Sum: got a int, expected energy terms"),
    "sum-magnet": (lambda: tm.Sum(film()), T, r"Sum: got a Magnet, expected energy terms"),
    "sum-empty": (lambda: tm.Sum(), V, r"Sum: no terms"),
    "sum-other-magnet": (lambda: exchange() + exchange(), V, r"Sum: exchange_2 belongs to another Magnet"),
    "sum-twice": (twice, V, r"Sum: exchange.* is given twice"),
    "sum-name-magnet": (lambda: tm.Sum(magnet=exchange()), V, r"Sum: the name 'magnet' is taken"),
    "sum-name-field": (lambda: tm.Sum(field=exchange()), V, r"Sum: the name 'field' is taken"),
    "sum-name-dot": (lambda: tm.Sum(**{"a.b": exchange()}), V, r"Sum: the name 'a\.b'.*identifier"),
    "sum-named-sum": (lambda: tm.Sum(a=tm.Sum(exchange())), T, r"Sum: a is a Sum"),
    "add-number": (lambda: exchange() + 1, T, r"Exchange.*int"),
    "energy-m-list": (lambda: exchange().field([1, 2, 3]), T, r"Exchange: m is a list, expected a tensor"),
    "energy-m-cells": (lambda: exchange().field(torch.ones(3, *CELLS)), V, r"m has shape \(3, 3, 2\), expected \(\*batch, 3, 4, 3\)"),
    "energy-m-last": (lambda: exchange().energy(torch.ones(*NODES, 3)), V, r"m has shape \(4, 3, 3\), expected \(\*batch, 3, 4, 3\)"),
    "energy-m-float32": (lambda: exchange().energy(up().float()), T, r"m is torch\.float32, the magnet is torch\.float64"),
    "energy-m-meta": (lambda: exchange().energy(up().to("meta")), V, r"m is on meta, the magnet on cpu"),
    "energy-t-shape": (lambda: exchange().energy(up(), torch.zeros(2)), V, r"Exchange: t has shape \(2,\), expected one time"),
    "energy-t-string": (lambda: exchange().energy(up(), "0"), T, r"Exchange: t is a str, expected a time in s"),
    "llg-swapped": (lambda: llg()(up(), 0.0), T, r"LLG: m is a float, expected a tensor"),
    "llg-t-shape": (lambda: llg()(torch.zeros(2), up()), V, r"LLG: t has shape \(2,\), expected one time"),
    "llg-energy": (lambda: tm.LLG(film(), 0.1), T, r"LLG: energy is a Magnet, expected an energy term"),
    "llg-alpha-negative": (lambda: llg(-0.1), V, r"LLG: alpha has a minimum of -0\.1, expected >= 0"),
    "llg-alpha-nan": (lambda: llg(math.nan), V, r"LLG: alpha is not finite"),
    "llg-alpha-bare-batch": (lambda: llg(torch.ones(5)), V, r"LLG: alpha has shape \(5,\)"),
    "llg-alpha-string": (lambda: llg("0.1"), T, r"LLG: alpha is a str"),
    "llg-gamma-negative": (lambda: llg(gamma=-1.0), V, r"LLG: gamma has a minimum of -1"),
    "llg-frozen-int": (lambda: llg(frozen=torch.ones(NODES, dtype=torch.int64)), T, r"LLG: frozen .*bool"),
    "llg-frozen-cells": (lambda: llg(frozen=torch.ones(CELLS, dtype=torch.bool)), V, r"LLG: frozen has shape \(3, 2\), nodes are \(4, 3\)"),
    "llg-frozen-assign": (lambda: assign(llg(), "frozen", torch.ones(NODES, dtype=torch.int64)), T, r"LLG: frozen .*bool"),
    "llg-torque": (lambda: llg(torques=[3]), T, r"LLG: torques .*int.*Module"),
    "prepare-unknown": (lambda: llg().prepare({"energy.exchang.A": 1}), T, r"'energy\.exchang\.A'.*did you mean 'energy\.exchange\.A'"),
    "prepare-far": (lambda: exchange().prepare({"q": 1.0}), T, r"'q', which no parameter has; known: A, magnet\.Ms"),
    "prepare-shape": (lambda: llg().prepare({"energy.magnet.Ms": torch.ones(4)}), V, r"Magnet: Ms has shape \(4,\)"),
    "prepare-dtype": (lambda: llg().prepare({"alpha": torch.tensor(1).float()}), T, r"LLG: alpha is a torch\.float32 tensor"),
    "prepare-callable": (lambda: llg().prepare({"alpha": lambda t: t}), T, r"prepare: .*alpha.*function.*tensor"),
    "prepare-list": (lambda: llg().prepare([1]), T, r"prepare: params is a list, expected a mapping"),
    "prepare-key": (lambda: llg().prepare({1: 2.0}), T, r"prepare: params has the name 1"),
    "prepare-negative": (lambda: solve(params={"alpha": torch.tensor(-1.0)}), V, r"alpha has a minimum of -1, expected >= 0"),
    "solve-llg": (lambda: tm.solve(exchange(), up(), (0, 1e-12)), T, r"solve: llg is a Exchange, expected a torchmag\.LLG"),
    "solve-m0-list": (lambda: solve([1, 2]), T, r"m is a list, expected a tensor"),
    "solve-m0-zero": (lambda: solve(node((0.0, 0.0, 0.0))), V, r"solve: m0 has \|m\| = 0 at 1 magnetic node"),
    "solve-m0-long": (lambda: solve(2 * up()), V, r"solve: m0 has \|m\| = 2 at 12 magnetic node.*normalize\(m, dim=-3\)"),
    "solve-m0-nan": (lambda: solve(node((math.nan, 0.0, 0.0))), V, r"solve: m0 has \|m\| = nan at 1"),
    "solve-m0-shape": (lambda: solve(torch.ones(3, *CELLS)), V, r"m has shape \(3, 3, 2\)"),
    "solve-t-one": (lambda: solve(t=[0.0]), V, r"solve: t has shape \(1,\), expected at least two times"),
    "solve-t-number": (lambda: solve(t=1e-9), V, r"solve: t has shape \(\), expected at least two times"),
    "solve-t-matrix": (lambda: solve(t=[[0.0, 1e-9]]), V, r"solve: t has shape \(1, 2\)"),
    "solve-t-decreasing": (lambda: solve(t=[0, 2e-12, 1e-12]), V, r"solve: t must increase, but t\[1\] = 2e-12 s is followed by 1e-12 s"),
    "solve-t-equal": (lambda: solve(t=[0, 1e-12, 1e-12]), V, r"solve: t must increase, but t\[1\]"),
    "solve-t-nan": (lambda: solve(t=[0, math.nan]), V, r"solve: t holds times that are not finite"),
    "solve-t-string": (lambda: solve(t="1 ns"), T, r"solve: t is a str, expected times in s"),
    "solve-t-none": (lambda: solve(t=None), T, r"solve: t is a NoneType, expected times in s"),
    "solve-t-strings": (lambda: solve(t=["0", "1"]), T, r"solve: t .*expected times in s"),
    "solve-t-complex": (lambda: solve(t=torch.tensor([0, 1e-12 + 0j])), T, r"solve: t .*complex.*expected times in s"),
    "solve-method": (lambda: solve(method="rk45"), V, r"solve: method = 'rk45', expected one of .*dopri5"),
    "solve-method-none": (lambda: solve(method=None), V, r"solve: method = None, expected one of"),
    "solve-rtol-negative": (lambda: solve(rtol=-1e-3), V, r"solve: rtol = -0\.001, expected a finite number >= 0"),
    "solve-rtol-nan": (lambda: solve(rtol=math.nan), V, r"solve: rtol = nan"),
    "solve-rtol-string": (lambda: solve(rtol="1e-5"), V, r"solve: rtol = '1e-5'"),
    "solve-atol-inf": (lambda: solve(atol=math.inf), V, r"solve: atol = inf"),
    "solve-tolerances-zero": (lambda: solve(rtol=0, atol=0), V, r"solve: rtol and atol are both 0"),
    "solve-step-zero": (lambda: solve(step=0.0), V, r"solve: step = 0\.0, expected a positive time"),
    "solve-step-string": (lambda: solve(step="1e-15"), V, r"solve: step = '1e-15'"),
    "solve-max-steps-zero": (lambda: solve(max_steps=0), V, r"solve: max_steps = 0, expected"),
    "solve-max-steps-float": (lambda: solve(max_steps=1.5), T, r"solve: max_steps = 1\.5, expected"),
    "solve-max-steps-string": (lambda: solve(max_steps="9"), T, r"solve: max_steps = '9', expected"),
    "solve-memory-zero": (lambda: solve(memory=0), V, r"solve: memory = 0, expected"),
    "solve-memory-negative": (lambda: solve(memory=-1e6), V, r"solve: memory = -1000000\.0, expected"),
    "solve-memory-part": (lambda: solve(memory=1e6 + 0.5), T, r"solve: memory = 1000000\.5, expected a whole number"),
    "solve-memory-nan": (lambda: solve(memory=math.nan), T, r"solve: memory = nan, expected a whole number"),
    "solve-memory-inf": (lambda: solve(memory=math.inf), T, r"solve: memory = inf, expected a whole number"),
    "solve-gradient": (lambda: solve(gradient="backward"), V, r"solve: gradient = 'backward', expected"),
    "solve-params": (lambda: solve(params={"alfa": 1.0}), T, r"'alfa', which no parameter has; did you mean 'alpha'"),
    "relax-llg": (lambda: tm.relax(exchange(), up()), T, r"relax: llg is a Exchange, expected a torchmag\.LLG"),
    "relax-m0-list": (lambda: relax([1, 2]), T, r"m is a list, expected a tensor"),
    "relax-m0-zero": (lambda: relax(node((0.0, 0.0, 0.0))), V, r"relax: m0 has \|m\| = 0 at 1 magnetic node"),
    "relax-m0-long": (lambda: relax(1.1 * up()), V, r"relax: m0 has \|m\| = 1\.1"),
    "relax-tolerance-zero": (lambda: relax(tolerance=0.0), V, r"relax: tolerance = 0\.0, expected"),
    "relax-tolerance-string": (lambda: relax(tolerance="1"), T, r"relax: tolerance = '1', expected"),
    "relax-max-steps-zero": (lambda: relax(max_steps=0), V, r"relax: max_steps = 0, expected"),
    "relax-max-steps-string": (lambda: relax(max_steps="9"), T, r"relax: max_steps = '9', expected"),
    "relax-t-nan": (lambda: relax(t=math.nan), V, r"relax: t = nan, expected"),
    "average-weight": (lambda: average(weight="mass"), V, r"average: weight = 'mass', expected 'volume' or 'Ms'"),
    "average-region-shape": (lambda: average(region=torch.ones(NODES, dtype=torch.bool)), V, r"average: region .*\(4, 3\).*\(3, 2\)"),
    "average-region-float": (lambda: average(region=cells(1)), V, r"average: region is torch\.float64 .*expected bool"),
    "average-region-empty": (lambda: average(region=cells(0).bool()), V, r"average: the region holds no magnetic cell"),
    "average-m": (lambda: tm.average(torch.ones(3, *CELLS), film()), V, r"average: m has shape \(3, 3, 2\)"),
    "positions-at": (lambda: tm.positions(MESH, "faces"), V, r"positions: at = 'faces', expected 'nodes' or 'cells'"),
    "region-missing": (lambda: tm.by_region([0, 1, 2], {0: 1.0, 1: 2.0}), V, r"by_region: regions without a value: \[2\]"),
    "region-extra": (lambda: tm.by_region([0, 0], {0: 1.0, 7: 2.0}), V, r"by_region: .*not in ids: \[7\]"),
    "region-float": (lambda: tm.by_region([0.0, 1.0], {0: 1.0, 1: 2.0}), T, r"by_region: ids is torch\.float64, expected integers"),
    "positive-zero": (lambda: tm.Positive(0.0), V, r"Positive: value spans 0 to 0, expected > 0"),
    "positive-nan": (lambda: tm.Positive(math.nan), V, r"Positive: value"),
    "positive-inf": (lambda: tm.Positive(math.inf), V, r"Positive: value .*finite"),
    "positive-scale": (lambda: tm.Positive(1.0, scale=-1.0), V, r"Positive: scale is -1\.0, expected > 0"),
    "positive-string": (lambda: tm.Positive("1"), T, r"Positive: value is a str"),
    "bounded-outside": (lambda: tm.Bounded(2.0, 0.0, 1.0), V, r"Bounded: value spans 2 to 2, expected within \(0, 1\)"),
    "bounded-at-edge": (lambda: tm.Bounded(1.0, 0.0, 1.0), V, r"Bounded: value spans 1 to 1"),
    "bounded-reversed": (lambda: tm.Bounded(0.5, 1.0, 0.0), V, r"Bounded: the interval is \(1.0, 0.0\), expected finite bounds lo < hi"),
    "unit-zero": (lambda: tm.UnitVector((0.0, 0.0, 0.0)), V, r"UnitVector: value has a vector of length zero"),
    "unit-two": (lambda: tm.UnitVector((1.0, 0.0)), V, r"UnitVector: value has shape \(2,\), expected 3 along axis -1"),
    "unit-dim": (lambda: tm.UnitVector(torch.ones(3, 2)), V, r"UnitVector: value has shape \(3, 2\); say which axis"),
    "unit-scalar": (lambda: tm.UnitVector(1.0), V, r"UnitVector: value has shape \(\)"),
    "derived-no-function": (lambda: tm.Derived(1.0, torch.ones(())), T, r"Derived: function is a float, expected a function"),
    "derived-module": (lambda: tm.Derived(nn.Identity(), torch.ones(())), T, r"Derived: function is a Identity, expected a function"),
    "derived-string": (lambda: tm.Derived(lambda x: x, "1"), T, r"Derived: input 0 is a str"),
    "derived-callable": (lambda: tm.Derived(lambda x: x, lambda q: q), T, r"takes q; .*t and m"),
    "uniform-zero": (lambda: tm.uniform(MESH, (0, 0, 0)), V, r"uniform: direction = \(0, 0, 0\) has no direction"),
    "uniform-nan": (lambda: tm.uniform(MESH, (0, math.nan, 0)), V, r"uniform: direction"),
    "uniform-two": (lambda: tm.uniform(MESH, (1, 0)), V, r"uniform: direction has shape \(2,\), expected \(3,\)"),
    "uniform-none": (lambda: tm.uniform(MESH, None), T, r"uniform: direction = None, expected"),
    "uniform-mesh": (lambda: tm.uniform((3, 2), Z), T, r"uniform: mesh is a tuple, expected a torchmag\.Mesh"),
    "random-both": (lambda: tm.random(MESH, 1, generator=torch.Generator()), V, r"random: seed and generator"),
    "vortex-circulation": (lambda: tm.vortex(MESH, circulation=0), V, r"vortex: circulation = 0, expected \+1 or -1"),
    "vortex-polarity": (lambda: tm.vortex(MESH, polarity=2), V, r"vortex: polarity = 2"),
    "vortex-axis": (lambda: tm.vortex(MESH, axis="z"), V, r"vortex: axis = z, expected 0, 1 or 2"),
    "vortex-radius": (lambda: tm.vortex(MESH, -1e-9), V, r"vortex: core_radius = -1e-09, expected"),
    "vortex-radius-inf": (lambda: tm.vortex(MESH, math.inf), V, r"vortex: core_radius = inf, expected"),
    "vortex-center": (lambda: tm.vortex(MESH, center=(1e-9, 1e-9)), V, r"vortex: center has 2 entries, expected 3"),
    "form-unknown-symbol": (lambda: term(unknown_symbol, 1.0), F, r"unknown_symbol: unknown symbol q"),
    "form-coordinate": (lambda: term(coordinate, 1.0), F, r"coordinate: unknown symbol x: .*NodalScalar"),
    "form-second-derivative": (lambda: term(second_derivative, 1.0), F, r"second_derivative: .*only first derivatives"),
    "form-unannotated": (lambda: term(without_annotation, 1.0), F, r"without_annotation: parameter 'k'.*expected a kind"),
    "form-annotation": (lambda: term(wrong_annotation, 1.0), F, r"wrong_annotation: parameter 'k' is annotated with .*float"),
    "form-default": (lambda: term(default_of_one), F, r"default_of_one: default of 'k' is 1, only 0"),
    "form-vector-result": (lambda: term(vector_result, 1.0), F, r"vector_result: .*expected a scalar expression"),
    "form-tuple-result": (lambda: term(tuple_result, 1.0), F, r"tuple_result: .*expected a scalar expression"),
    "form-no-result": (lambda: term(nothing, 1.0), F, r"nothing: .*(returns|NoneType).*"),
    "form-no-field": (lambda: term(no_field), F, r"no_field: expected 1 leading node fields"),
    "form-function": (lambda: term(gamma_function, 1.0), F, r"gamma_function: function gamma .*not supported; known"),
    "form-piecewise": (lambda: term(piecewise, 1.0), F, r"piecewise: function Piecewise .*not supported"),
    "form-imaginary": (lambda: term(imaginary, 1.0), F, r"imaginary: .*not a finite real number"),
    "form-not-polynomial": (lambda: term(root, 1.0), F, r"root: .*not polynomial in m_x: .*`quadrature`"),
    "form-quadrature-zero": (lambda: term(root, 1.0, quadrature=0), F, r"root: quadrature = 0, expected"),
    "form-quadrature-string": (lambda: term(root, 1.0, quadrature="3"), F, r"root: quadrature = '3', expected"),
    "form-dot": (lambda: term(wrong_dot, 1.0), F, r"dot expects two vectors .*got k and"),
    "form-index": (lambda: term(out_of_range, torch.ones(3, 3, 3)), F, r"out_of_range: .*while evaluating the form"),
    "form-not-linear": (lambda: weak_term(not_linear, 1.0), F, r"not_linear: .*not linear in its test function v"),
    "form-affine": (lambda: weak_term(affine, 1.0), F, r"affine: .*not linear in its test function v"),
    "form-weak-energy": (lambda: weak_term(lambda m, v: dot(m, v)).energy(up()), T, r"Term has no energy, only a field"),
    "form-both": (lambda: Both(film(), 1.0), T, r"Both must define either density.* or weak"),
    "form-neither": (lambda: Neither(film()), T, r"Neither must define either density"),
    "form-name-fraction": (lambda: term(named_fraction, 1.0), F, r"named_fraction: 'fraction' is the magnet's"),
    "form-name-hx": (lambda: term(named_hx, 1.0), F, r"named_hx: the name 'hx' .*taken"),
    "form-name-sqrt": (lambda: term(named_sqrt, 1.0), F, r"named_sqrt: the name 'sqrt' .*taken"),
    "form-name-x": (lambda: term(named_x, 1.0), F, r"named_x: the name 'x' .*taken"),
    "form-name-component": (lambda: term(named_like_component, 1.0), F, r"named_like_component: the name 'm_x' .*taken"),
    "form-name-derivative": (lambda: term(named_like_derivative, 1.0), F, r"the name 'm_x_dy' .*taken|the name 'm' .*taken"),
    "form-name-clash": (lambda: term(clash, Z, 1.0), F, r"clash: the name 'a_x' gives the symbol a_x, which is taken"),
    "form-name-method": (lambda: term(named_field, lambda t: t), F, r"named_field: .*'field'.*taken"),
    "form-name-attribute": (lambda: term(named_kernel, 1.0), F, r"named_kernel: .*'kernel'.*taken"),
    "form-name-magnet": (lambda: term(named_magnet, 1.0), F, r"named_magnet: .*'magnet'.*taken"),
    "form-Ms-vector": (lambda: term(vector_Ms), F, r"vector_Ms: 'Ms' is the magnet's.*Scalar"),
    "form-Ms-nodal": (lambda: term(nodal_Ms), F, r"nodal_Ms: 'Ms' is the magnet's.*Scalar"),
    "form-Ms-optional": (lambda: term(optional_Ms), F, r"optional_Ms: 'Ms' is the magnet's"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name):
    call, error, message = WRONG[name]
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error


def test_energies_and_fields_accept_any_vector_field():
    energy = exchange()
    m = 3 * tm.random(MESH, seed=0)
    m[:, 0, 0] = 0
    assert torch.isfinite(energy.energy(m))
    assert torch.isfinite(energy.field(m)).all()
    # Quadratic in m.
    torch.testing.assert_close(energy.energy(2 * m), 4 * energy.energy(m), rtol=1e-14, atol=0)


def test_vacuum_needs_no_unit_length():
    Ms = one_bad(0.0, 8e5)
    Ms[0, :] = 0
    m = up()
    m[:, 0] = 0
    end = tm.solve(tm.LLG(tm.Exchange(film(Ms), 1e-11), 0.1), m, (0.0, 1e-13))[-1]
    torch.testing.assert_close(end, m, rtol=0, atol=0)


def test_a_failed_assignment_leaves_the_term_as_it_was():
    energy = exchange()
    for wrong in (-1.0, "A", torch.ones(5), lambda q: q):
        with pytest.raises((ValueError, TypeError)):
            energy.A = wrong
    assert float(energy.A) == 1.3e-11
    assert list(energy.state_dict()) == ["A"]


def test_unused_direction_is_known():
    # Direction is a kind: the annotation alone makes the zero vector an error.
    def density(m, n: Direction):
        return dot(m, n)

    with pytest.raises(ValueError, match="n has a zero vector"):
        term(density, (0, 0, 0))
