import copy
import io
import itertools
import math
import pickle

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import torchmag as tm
from torchmag.constants import e
from torchmag.testing import tensors

SPACING = (2e-9, 3e-9, 2.5e-9)
MESHES = [
    tm.Mesh((4,), SPACING),
    tm.Mesh((3, 2), SPACING),
    tm.Mesh((3, 2), SPACING, pbc=(1, 0, 0)),
    tm.Mesh((2, 3, 2), SPACING),
]
MESH = MESHES[1]
NAMES = ("ZhangLi", "Slonczewski", "SpinOrbit")
UP = (0.0, 0.0, 1.0)


def rand(shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def body(mesh=MESH, dtype=torch.float64, vacuum=True, **options):
    """A heterogeneous magnet with partly filled cells, its first cell empty."""
    Ms = 8e5 * (1 + 0.5 * rand(mesh.cells, 0))
    fraction = 0.5 + 0.5 * rand(mesh.cells, 1)
    if vacuum:
        fraction.view(-1)[0] = 0
    return tm.Magnet(mesh, Ms.to(dtype), fraction.to(dtype), **options)


def make(name, magnet, uniform=False, **more):
    """A torque with a map for every parameter, or uniform ones."""

    def cells(value, seed, shape=()):
        x = value if uniform else value * (1 + 0.5 * rand((*shape, *magnet.mesh.cells), seed))
        return torch.as_tensor(x).to(magnet.reference)

    def vector(*value):
        value = torch.tensor(value)
        return cells(value if uniform else value.reshape(3, *(1,) * magnet.mesh.dim), 2, (3,))

    parameters = {
        "ZhangLi": lambda: {"j": vector(1e12, -5e11, 3e11), "P": cells(0.5, 3), "xi": cells(0.1, 4)},
        "Slonczewski": lambda: {
            "J": cells(3e11, 3), "p": vector(0.3, -0.5, 0.7), "P": cells(0.4, 4), "Lambda": cells(1.5, 5),
            "eps_prime": cells(0.2, 6), "d": cells(2e-9, 7),
        },
        "SpinOrbit": lambda: {
            "j": cells(3e11, 3), "p": vector(0.3, -0.5, 0.7), "eta_damp": cells(0.2, 4), "eta_field": cells(0.1, 5),
            "d": cells(2e-9, 7),
        },
    }[name]()  # fmt: skip
    return getattr(tm, name)(magnet, **(parameters | more))


def exchange_llg(torque, **more):
    options = {"alpha": 0.1} | more
    return tm.LLG(tm.Exchange(torque.magnet, 1.3e-11), torques=[torque], **options)


def corners(mesh):
    """(cell, [(corner, node)]) of every cell."""
    for cell in itertools.product(*map(range, mesh.cells)):
        found = itertools.product((0, 1), repeat=mesh.dim)
        yield cell, [(s, tuple((i + b) % n for i, b, n in zip(cell, s, mesh.nodes))) for s in found]


def lumped_mass(magnet):
    mass = torch.zeros(magnet.mesh.nodes)
    for cell, nodes in corners(magnet.mesh):
        for _, node in nodes:
            mass[node] += (magnet.Ms * magnet.fraction)[cell] / 2**magnet.mesh.dim
    return mass


def shape(s, point):
    return math.prod(x if b else 1 - x for b, x in zip(s, point))


@pytest.mark.parametrize("mesh", MESHES)
def test_zhang_li_is_the_lumped_integral(mesh):
    """phi f (u.grad) m by Gauss quadrature in each cell, over the lumped mass, with the elements of order 2."""
    magnet, m = body(mesh, order=2), tm.random(mesh, seed=3)
    torque = make("ZhangLi", magnet)
    sums = torch.zeros(2, 3, *mesh.nodes)
    for cell, nodes in corners(mesh):
        at = (slice(None), *cell)
        xi = torque.xi[cell]
        b = tm.mu_B / e * torque.P[cell] / (1 + xi**2) * torque.j[at] * magnet.fraction[cell]
        for point in itertools.product([0.5 - math.sqrt(1 / 12), 0.5 + math.sqrt(1 / 12)], repeat=mesh.dim):
            slope = torch.zeros(3)
            for s, node in nodes:
                for axis in range(mesh.dim):
                    rest = [(c, x) for a, (c, x) in enumerate(zip(s, point)) if a != axis]
                    derivative = (1 if s[axis] else -1) * math.prod(x if c else 1 - x for c, x in rest) / mesh.dx[axis]
                    slope += b[axis] * derivative * m[(slice(None), *node)]
            for s, node in nodes:
                where = (slice(None), slice(None), *node)
                sums[where] += shape(s, point) / 2**mesh.dim * torch.stack((slope, xi * slope))
    mass = lumped_mass(magnet)
    g, xi_g = torch.where(mass > 0, sums / mass, 0.0)
    expected = (torch.linalg.cross(m, g, dim=0) + xi_g) / tm.gamma_0
    torch.testing.assert_close(torque.field(m), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("mesh", MESHES)
def test_zhang_li_is_exact_for_a_linear_field(mesh):
    """A constant gradient is found at every node, ends included: to order 2.

    To order 4 and 6 the nodes at an end share it, 0.70, 1.17 and 0.98 of it to order 6, so that their sum is right.
    """
    magnet = tm.Magnet(mesh, 8e5, order=2)
    open_axes = torch.tensor([1.0 if axis < mesh.dim and not mesh.periodic(axis) else 0.0 for axis in range(3)])
    slope = (2 * rand((3, 3), 1) - 1) * 1e8 * open_axes
    m = torch.einsum("ia,a...->i...", slope, tm.positions(mesh)) + 0.5
    j = torch.tensor((1e12, -4e11, 2e11))
    g = (slope @ (tm.mu_B / (e * 8e5) * 0.5 * j / (1 + 0.3**2))).reshape(3, *(1,) * mesh.dim).expand(m.shape)
    expected = (torch.linalg.cross(m, g, dim=0) + 0.3 * g) / tm.gamma_0
    got = tm.ZhangLi(magnet, j, 0.5, 0.3).field(m)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("mesh", MESHES)
@pytest.mark.parametrize("Lambda", [1, 2.0])
def test_interface_torques_are_the_lumped_sum(mesh, Lambda):
    """Each cell gives its corners an equal share of fraction Ms H, with m of the node; for Lambda = 1 in every map."""
    magnet, m = body(mesh), tm.random(mesh, seed=3)
    # Lambda other than 1 needs a uniform p to be the same sum.
    p = {} if Lambda == 1 else {"p": (0.3, -0.5, 0.7)}
    stt = make("Slonczewski", magnet, Lambda=Lambda, **p)
    sot = make("SpinOrbit", magnet)
    sums = torch.zeros(2, 3, *mesh.nodes)
    for cell, nodes in corners(mesh):
        at = (slice(None), *cell)
        for _, node in nodes:
            m_ = m[(slice(None), *node)]
            for number, torque in enumerate((stt, sot)):
                p = torque.p[at] if torque.p.ndim > 1 else torque.p
                p = p / p.norm()
                if torque is stt:
                    angular = (Lambda**2 + 1) + (Lambda**2 - 1) * (m_ @ p)
                    a, b = stt.P[cell] * Lambda**2 / angular, stt.eps_prime[cell]
                    flow = stt.J[cell]
                else:
                    a, b = sot.eta_damp[cell], sot.eta_field[cell]
                    flow = -sot.j[cell] / 2
                share = magnet.fraction[cell] * tm.hbar * flow / (tm.mu_0 * e * torque.d[cell]) / 2**mesh.dim
                sums[(number, slice(None), *node)] += share * (a * torch.linalg.cross(m_, p) + b * p)
    mass = lumped_mass(magnet)
    for torque, expected in zip((stt, sot), torch.where(mass > 0, sums / mass, 0.0)):
        torch.testing.assert_close(torque.field(m), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


def test_slonczewski_maps_enter_the_asymmetry_as_nodal_means():
    """The m.p and Lambda of a node between two cells are the means over the cells weighted by moment."""
    mesh = tm.Mesh((2,), SPACING)
    Ms, Lambda = torch.tensor((6e5, 9e5)), torch.tensor((1.5, 3.0))
    p = torch.tensor(((1.0, 0.0), (0.0, 0.6), (0.0, 0.8)))
    got = tm.Slonczewski(tm.Magnet(mesh, Ms), 1e11, p, 0.4, Lambda, d=2e-9).field(tm.uniform(mesh, UP))[:, 1]
    mean, along = 0.4 * 1.5 + 0.6 * 3.0, 0.6 * 0.8
    eps = 0.4 * mean**2 / ((mean**2 + 1) + (mean**2 - 1) * along)
    beta = tm.hbar * 1e11 / (tm.mu_0 * e * 2e-9) / Ms.sum()
    expected = beta * eps * torch.linalg.cross(torch.tensor(UP), p.sum(1))
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NAMES[1:])
def test_default_thickness(name):
    """The fraction of each column of cells in 3D, dx[2] in 1D and 2D."""
    for mesh in MESHES:
        magnet, m = body(mesh), tm.random(mesh, seed=0)
        if mesh.dim == 3:
            d = (magnet.fraction.sum(-1, keepdim=True) * mesh.dx[2]).expand(mesh.cells)
        else:
            d = mesh.dx[2]
        torch.testing.assert_close(make(name, magnet, d=None).field(m), make(name, magnet, d=d).field(m), rtol=1e-13, atol=0)
    torque = make(name, body(), d=None)
    first = torque.field(tm.random(MESH, seed=0))
    assert "d" not in torque.state_dict()
    torque.d = 2 * MESH.dx[2]
    torch.testing.assert_close(torque.field(tm.random(MESH, seed=0)), first / 2)
    torque.d = None
    assert torch.equal(torque.field(tm.random(MESH, seed=0)), first)


@pytest.mark.parametrize("name", NAMES[1:])
def test_empty_columns(name):
    """A column without magnet has no thickness, and gives finite values and gradients."""
    mesh = tm.Mesh((4, 2, 2), SPACING)
    Ms = torch.full(mesh.cells, 8e5)
    Ms[:2] = 0
    Ms[2, 0, 1] = 0
    magnet = tm.Magnet(mesh, Ms)
    m = tm.random(mesh, seed=0)
    m[:, :2] = 0
    m.requires_grad_()
    torque = make(name, magnet, uniform=True, d=None)
    H = torque.field(m)
    assert float(H[:, :2].detach().abs().max()) == 0
    (gradient,) = torch.autograd.grad(H.square().sum(), m)
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_2d_is_3d_uniform_along_z(name):
    """With full cells, the default thickness too."""
    flat, layers = tm.Mesh((3, 2), SPACING), tm.Mesh((3, 2, 2), (*SPACING[:2], SPACING[2] / 2))
    Ms = 8e5 * (1 + rand(flat.cells, 0))
    m = tm.random(flat, seed=0)
    thin = make(name, tm.Magnet(flat, Ms), uniform=True, **({} if name == "ZhangLi" else {"d": None}))
    thick = make(name, tm.Magnet(layers, Ms[..., None].expand(layers.cells)), True, **({} if name == "ZhangLi" else {"d": None}))
    expected = thin.field(m)[..., None].expand(3, *layers.nodes)
    got = thick.field(m[..., None].expand(3, *layers.nodes))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mesh", MESHES)
def test_batches(name, mesh):
    magnet = body(mesh)
    torque = make(name, magnet)
    m = torch.stack([torch.stack([tm.random(mesh, seed=2 * i + k) for k in range(2)]) for i in range(3)])
    looped = torch.stack([torch.stack([torque.field(x) for x in row]) for row in m])
    scale = float(looped.abs().max())
    torch.testing.assert_close(torque.field(m), looped, rtol=0, atol=1e-12 * scale)
    for parameter, value in tensors(torque).items():
        batch = torch.stack([value, 0.5 * value, 0.7 * value])[:, None]
        if parameter == "p":
            batch = torch.stack([value, value.flip(0), -value])[:, None]
        got = torque.field(m, values=torque.prepare({parameter: batch}))
        looped = torch.stack([torque.field(x, values=torque.prepare({parameter: v[0]})) for x, v in zip(m, batch)])
        torch.testing.assert_close(got, looped, rtol=0, atol=1e-12 * scale)
        got = torque.field(m[0, 0], values=torque.prepare({parameter: batch}))
        assert got.shape == (3, 1, 3, *mesh.nodes)


@pytest.mark.parametrize("name", NAMES)
def test_uniform_parameters_per_sample(name):
    """A number of each sample, (B, 1, 1), and a vector of each, (B, 3, 1, 1), inside an LLG with its own batch of alpha."""
    magnet, m = body(), tm.random(MESH, seed=0)
    uniform = make(name, magnet, uniform=True)
    params, samples = {}, [{}, {}]
    for parameter, value in tensors(uniform).items():
        pair = torch.stack((value, (value.flip(0) if value.ndim else 0.6 * value)))
        params[f"torques.0.{parameter}"] = pair.reshape(2, *value.shape, 1, 1)
        for sample, x in zip(samples, pair):
            sample[f"torques.0.{parameter}"] = x
    params["alpha"] = torch.tensor((0.1, 0.3)).reshape(2, 1, 1)
    params["gamma"] = torch.tensor((2e5, 3e5)).reshape(2, 1, 1)
    llg = exchange_llg(uniform)
    got = llg(0.0, m, llg.prepare(params))
    for k, sample in enumerate(samples):
        alone = llg(0.0, m, llg.prepare(sample | {"alpha": (0.1, 0.3)[k], "gamma": (2e5, 3e5)[k]}))
        torch.testing.assert_close(got[k], alone, rtol=0, atol=1e-12 * float(alone.abs().max()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("uniform", [True, False])
def test_gradcheck(name, uniform):
    """Every parameter, Ms and fraction, scaled to order one."""
    for mesh in (tm.Mesh((2, 2), SPACING), tm.Mesh((1, 2, 2), SPACING)):
        magnet = body(mesh, vacuum=False)
        torque = make(name, magnet, uniform, **({} if name == "ZhangLi" or mesh.dim < 3 else {"d": None}))
        m = tm.random(mesh, seed=1)
        base = tensors(torque) | {"magnet.Ms": magnet.Ms, "magnet.fraction": magnet.fraction}
        scale = torque.field(m).abs().max()

        def field(m, *factors, torque=torque, base=base, scale=scale):
            params = {name: value * factor for (name, value), factor in zip(base.items(), factors)}
            return torque.field(m, values=torque.prepare(params)) / scale

        inputs = [m.requires_grad_(), *(torch.ones_like(value).requires_grad_() for value in base.values())]
        assert gradcheck(field, inputs, eps=1e-5, atol=1e-6, rtol=1e-6, fast_mode=mesh.dim == 3)
        assert gradgradcheck(field, inputs, eps=1e-5, atol=1e-6, rtol=1e-6, fast_mode=True)


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_through_the_llg(name):
    """Overrides by full name; alpha and gamma as maps."""
    mesh = tm.Mesh((2, 2), SPACING)
    llg = exchange_llg(make(name, body(mesh), uniform=True))
    current = "J" if name == "Slonczewski" else "j"
    base = {
        "alpha": 0.1 + 0.2 * rand(mesh.cells, 1),
        "gamma": 2e5 + 1e5 * rand(mesh.cells, 2),
        f"torques.0.{current}": getattr(llg.torques[0], current),
        "energy.magnet.Ms": llg.magnet.Ms,
    }
    m = tm.random(mesh, seed=1)
    scale = llg(0.0, m).abs().max()

    def rate(m, *factors):
        params = {name: value * factor for (name, value), factor in zip(base.items(), factors)}
        return llg(0.0, m, llg.prepare(params)) / scale

    inputs = [m.requires_grad_(), *(torch.ones_like(value).requires_grad_() for value in base.values())]
    assert gradcheck(rate, inputs, eps=1e-5, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_gradient_of_a_solution(name):
    """A trainable current through solve, against a central difference."""
    current = "J" if name == "Slonczewski" else "j"
    torque = make(name, body(), uniform=True)
    value = getattr(torque, current)
    llg = exchange_llg(torque)
    m0 = tm.random(MESH, seed=0)
    weights = rand(m0.shape, 5)

    def loss(factor):
        params = {f"torques.0.{current}": value * factor}
        return (weights * tm.solve(llg, m0, [0.0, 2e-12], step=2e-13, params=params)[-1]).sum()

    factor = torch.ones((), requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(factor), factor)
    with torch.no_grad():
        difference = (loss(1 + 1e-4) - loss(1 - 1e-4)) / 2e-4
    assert abs(float(gradient)) > 1e-6
    assert float(gradient) == pytest.approx(float(difference), rel=1e-6)


@pytest.mark.parametrize("uniform", [True, False])
def test_compile(uniform):
    torch.compiler.reset()
    magnet, m = body(), tm.random(MESH, seed=0)
    maps = {"alpha": 0.1} if uniform else {"alpha": rand(MESH.cells, 0), "gamma": 2e5 * (1 + rand(MESH.cells, 1))}
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11), torques=[make(name, magnet, uniform) for name in NAMES], **maps)
    t = torch.zeros((), dtype=torch.float64)
    expected = llg(t, m)
    got = torch.compile(llg, fullgraph=True, backend="eager")(t, m, llg.prepare())
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_and_vmap(name):
    torque, m = make(name, body()), tm.random(MESH, seed=0)
    v = tm.random(MESH, seed=1)
    _, tangent = torch.func.jvp(torque.field, (m,), (v,))
    difference = (torque.field(m + 1e-6 * v) - torque.field(m - 1e-6 * v)) / 2e-6
    torch.testing.assert_close(tangent, difference, rtol=0, atol=1e-7 * float(difference.abs().max()))
    batch = torch.stack((m, v))
    torch.testing.assert_close(torch.vmap(torque.field)(batch), torque.field(batch))


def test_names():
    magnet = body()
    llg = tm.LLG(tm.Exchange(magnet, 1e-11), 0.1, torques=[make(name, magnet) for name in NAMES])
    names = [name for name in llg.state_dict() if name.startswith("torques")]
    assert names == [
        "torques.0.j", "torques.0.P", "torques.0.xi",
        "torques.1.d", "torques.1.J", "torques.1.p", "torques.1.P", "torques.1.Lambda", "torques.1.eps_prime",
        "torques.2.d", "torques.2.j", "torques.2.p", "torques.2.eta_damp", "torques.2.eta_field",
    ]  # fmt: skip
    assert list(llg.fields(tm.random(MESH, seed=0))) == ["energy.exchange", "torques.0", "torques.1", "torques.2"]
    assert "J=" in repr(llg)


def test_overrides():
    llg = exchange_llg(make("ZhangLi", body(), uniform=True))
    m = tm.random(MESH, seed=0)
    base = llg.fields(m)["torques.0"]
    doubled = llg.fields(m, values=llg.prepare({"torques.0.j": 2 * llg.torques[0].j}))["torques.0"]
    torch.testing.assert_close(doubled, 2 * base)
    with pytest.raises(TypeError, match=r"torques\.0\.J.*did you mean 'torques\.0\.j'"):
        llg.prepare({"torques.0.J": 1.0})
    with pytest.raises(ValueError, match="ZhangLi: j has shape"):
        llg.prepare({"torques.0.j": torch.ones(2)})
    with pytest.raises(ValueError, match=r"torques\.0\.P has a maximum of 2"):
        tm.solve(llg, m, [0.0, 1e-12], params={"torques.0.P": 2.0})


@pytest.mark.parametrize("name", NAMES)
def test_copies(name):
    m = tm.random(MESH, seed=0)
    llg = exchange_llg(make(name, body()))
    stored = io.BytesIO()
    torch.save(llg.state_dict(), stored)
    stored.seek(0)
    restored = exchange_llg(make(name, body()))
    with torch.no_grad():
        for tensor in tensors(restored.torques[0]).values():
            tensor.mul_(0.5)
    assert not torch.equal(restored(0.0, m), llg(0.0, m))
    restored.load_state_dict(torch.load(stored, weights_only=True))
    for other in (copy.deepcopy(llg), pickle.loads(pickle.dumps(llg)), restored):
        assert torch.equal(other(0.0, m), llg(0.0, m))


@pytest.mark.parametrize("name", NAMES)
def test_float32(name):
    """Near float64, the second derivatives in range; .to() and back."""
    m = tm.random(MESH, seed=0)
    double, single = make(name, body()), make(name, body(dtype=torch.float32))
    field = double.field(m)
    scale = float(field.abs().max())
    assert float((single.field(m.float()).double() - field).abs().max()) < 2e-5 * scale
    llg = exchange_llg(double).to(torch.float32)
    assert llg(0.0, m.float()).dtype == torch.float32
    torch.testing.assert_close(llg.to(torch.float64).torques[0].field(m), field, rtol=0, atol=2e-5 * scale)
    leaves = [value.requires_grad_() for value in tensors(single).values()]
    first = torch.autograd.grad(single.field(m.float()).sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum((g * x.detach()).sum() for g, x in zip(first, leaves)), leaves, allow_unused=True)
    assert all(bool(g.isfinite().all()) for g in (*first, *second) if g is not None)


@pytest.mark.parametrize("name", NAMES)
def test_device(name, device):
    magnet = tm.Magnet(MESH, 8e5, device=device)
    torque = make(name, magnet, uniform=True)
    expected = make(name, tm.Magnet(MESH, 8e5), uniform=True).field(tm.random(MESH, seed=0))
    torch.testing.assert_close(torque.field(tm.random(MESH, seed=0, device=device)).cpu(), expected)


@pytest.mark.parametrize("name", NAMES)
def test_maps_of_alpha_and_gamma(name):
    """The torque is formed at each node with the means of alpha and gamma over its cells weighted by moment."""
    magnet = body()
    alpha, gamma = 0.1 + rand(MESH.cells, 1), 2e5 * (1 + rand(MESH.cells, 2))
    torque, m = make(name, magnet), tm.random(MESH, seed=0)
    llg = tm.LLG(tm.Zeeman(magnet, (0, 0, 0)), alpha, gamma=gamma, torques=[torque])
    mass = lumped_mass(magnet)
    means = torch.zeros(2, *MESH.nodes)
    for cell, nodes in corners(MESH):
        for _, node in nodes:
            share = (magnet.Ms * magnet.fraction)[cell] / 4
            means[(slice(None), *node)] += share * torch.stack((alpha[cell], gamma[cell]))
    a, g = means / torch.where(mass > 0, mass, 1.0)
    H = torque.field(m)  # with gamma_0 where gamma enters
    if name == "ZhangLi":
        H = H * tm.gamma_0 / torch.where(g > 0, g, 1.0)
    mxH = torch.linalg.cross(m, H, dim=0)
    expected = -g / (1 + a**2) * (mxH + a * torch.linalg.cross(m, mxH, dim=0))
    torch.testing.assert_close(llg(0.0, m), expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    assert bool(llg(0.0, torch.zeros_like(m)).isfinite().all())


@pytest.mark.parametrize("name", NAMES)
def test_no_gamma_no_motion(name):
    llg = exchange_llg(make(name, body()), gamma=0.0)
    assert float(llg(0.0, tm.random(MESH, seed=0)).abs().max()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_frozen_and_damping_only(name):
    torque, m = make(name, body()), tm.random(MESH, seed=0)
    frozen = rand(MESH.nodes, 3) < 0.5
    whole = exchange_llg(torque)(0.0, m)
    rate = exchange_llg(torque, frozen=frozen)(0.0, m)
    assert float(rate[:, frozen].abs().max()) == 0
    assert torch.equal(rate[:, ~frozen], whole[:, ~frozen])
    llg = exchange_llg(torque, precession=False)
    H = sum(llg.fields(m).values())
    double = torch.linalg.cross(m, torch.linalg.cross(m, H, dim=0), dim=0)
    torch.testing.assert_close(llg(0.0, m), -tm.gamma_0 * 0.1 / 1.01 * double)


def test_a_current_in_time():
    """A callable of t and m, and a Module that trains."""

    class Pulse(nn.Module):
        def __init__(self):
            super().__init__()
            self.amplitude = nn.Parameter(torch.tensor(1.0))

        def forward(self, t):
            return 1e11 * self.amplitude * torch.exp(-((t / 1e-12 - 1) ** 2))

    magnet, m = body(), tm.random(MESH, seed=0)
    still = tm.Slonczewski(magnet, 1e11, UP, 0.4).field(m)
    factor = math.exp(-0.25)
    llg = exchange_llg(tm.Slonczewski(magnet, Pulse(), UP, 0.4))
    torch.testing.assert_close(llg.fields(m, 1.5e-12)["torques.0"], factor * still)
    assert "torques.0.J.amplitude" in dict(llg.named_parameters())
    loss = tm.solve(llg, m, [0.0, 2e-12], step=5e-13)[-1].square()[0].sum()
    loss.backward()
    assert abs(float(llg.torques[0].J.amplitude.grad)) > 0
    driven = tm.ZhangLi(magnet, lambda t, m: 1e12 * torch.cos(t * 1e9) * m.mean((-1, -2), keepdim=True))
    j = 1e12 * math.cos(0.5) * m.mean((-1, -2), keepdim=True)
    torch.testing.assert_close(driven.field(m, 5e-10), tm.ZhangLi(magnet, j).field(m))


class OfM(nn.Module):
    def forward(self, m):
        return 1e4 * m.flip(-2)


class OfT(nn.Module):
    def __init__(self):
        super().__init__()
        self.H = nn.Parameter(torch.tensor([1e4, 0, -1e4]).reshape(3, 1, 1))

    def forward(self, t):
        return self.H * torch.cos(1e12 * t)


class OfBoth(nn.Module):
    def forward(self, m, t):
        return 1e16 * t * m.flip(-1)


def test_own_torques():
    magnet, m, t = body(), tm.random(MESH, seed=0), 0.3e-12
    own = [OfM(), make("Slonczewski", magnet), OfT(), OfBoth()]
    llg = tm.LLG(tm.Exchange(magnet, 1.3e-11), 0.1, torques=own)
    fields = llg.fields(m, t)
    assert list(fields) == ["energy.exchange", "torques.0", "torques.1", "torques.2", "torques.3"]
    torch.testing.assert_close(fields["torques.0"], 1e4 * m.flip(-2))
    torch.testing.assert_close(fields["torques.2"].expand(m.shape), (own[2].H * math.cos(0.3)).expand(m.shape))
    torch.testing.assert_close(fields["torques.3"], 1e16 * t * m.flip(-1))
    H = sum(fields.values())
    mxH = torch.linalg.cross(m, H, dim=0)
    torch.testing.assert_close(llg(t, m), -tm.gamma_0 / 1.01 * (mxH + 0.1 * torch.linalg.cross(m, mxH, dim=0)))
    assert "torques.2.H" in llg.state_dict()
    llg.prepare({"torques.1.J": 1e10})
    tm.solve(llg, m, [0.0, 1e-12], step=5e-13)[-1][0].square().sum().backward()
    assert bool((own[2].H.grad != 0).any())


class OfX(nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize(
    ("build", "error", "text"),
    [
        (lambda b: tm.ZhangLi(b, (0, 0, 1e12)), ValueError, "j flows along z only.*axes x, y"),
        (lambda b: tm.ZhangLi(b, torch.tensor((0, 0, 1e12)).reshape(1, 3, 1, 1)), ValueError, "without a gradient direction"),
        (lambda b: tm.ZhangLi(b, nn.Parameter(torch.tensor((0, 0, 1e12)))), ValueError, "without a gradient direction"),
        (lambda b: setattr(make("ZhangLi", b), "j", (0, 0, -1)), ValueError, "without a gradient direction"),
        (lambda b: tm.ZhangLi(b, 1e12), ValueError, "ZhangLi: j has shape"),
        (lambda b: tm.ZhangLi(b, torch.ones(3, 3, 3)), ValueError, "ZhangLi: j has shape"),
        (lambda b: tm.ZhangLi(b, (math.nan, 0, 0)), ValueError, "j is not finite"),
        (lambda b: tm.ZhangLi(b, "x"), TypeError, "ZhangLi: j is a str"),
        (lambda b: tm.ZhangLi(b, lambda x: x), TypeError, "ZhangLi: j.*takes x"),
        (lambda b: tm.ZhangLi(b, (1e12, 0, 0), P=56.7), ValueError, "P has a maximum of 56.7"),
        (lambda b: tm.ZhangLi(b, (1e12, 0, 0), beta=0.1), TypeError, "beta"),
        (lambda b: tm.ZhangLi(8e5, (1e12, 0, 0)), TypeError, "magnet is a float"),
        (lambda b: tm.ZhangLi(b, torch.ones(3, dtype=torch.float32)), TypeError, "float32"),
        (lambda b: tm.Slonczewski(b, (0, 0, 1e12), UP, 0.4), ValueError, "Slonczewski: J has shape"),
        (lambda b: tm.Slonczewski(b, 1e12, (0, 0, 0), 0.4), ValueError, "p has a zero vector"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, -1.1), ValueError, "P has a minimum of -1.1"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, 0.4, Lambda=-1), ValueError, "Lambda has a minimum of -1"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, 0.4, d=0), ValueError, "d has a minimum of 0"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, 0.4, d=torch.ones(2)), ValueError, "Slonczewski: d has shape"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, 0.4, side=0), ValueError, "side = 0"),
        (lambda b: tm.Slonczewski(b, 1e12, UP, 0.4, side=True), ValueError, "side = True"),
        (lambda b: tm.Slonczewski(b, 1e12, UP), TypeError, "P"),
        (lambda b: tm.SpinOrbit(b, 1e12, UP, 0.1, 0.1, d=-1e-9), ValueError, "d has a minimum"),
        (lambda b: tm.SpinOrbit(b, 1e12, (1, 0), 0.1, 0.1), ValueError, "SpinOrbit: p has shape"),
        (lambda b: tm.SpinOrbit(b, 1e12, UP, 0.1, True), TypeError, "eta_field is a bool"),
        (lambda b: make("SpinOrbit", b).field(torch.zeros(3, 2, 2)), ValueError, "SpinOrbit: m has shape"),
        (lambda b: tm.LLG(tm.Exchange(b, 1e-11), 0.1, torques=[make("ZhangLi", body())]), ValueError, "another Magnet"),
        (lambda b: tm.LLG(tm.Exchange(b, 1e-11), 0.1, torques=[lambda m: m]), TypeError, "torques holds a function"),
        (lambda b: tm.LLG(tm.Exchange(b, 1e-11), 0.1, torques=[OfX()]), TypeError, "OfX takes x"),
        (lambda b: tm.Torque(b).field(tm.uniform(MESH, UP)), TypeError, "defines no _field"),
        (lambda b: tm.Exchange(b, 1e-11) + make("ZhangLi", b), TypeError, "unsupported operand"),
    ],
)
def test_wrong_calls(build, error, text):
    with pytest.raises(error, match=text):
        build(body())


def test_a_current_of_zero_and_currents_that_change_direction():
    """No current is a current; what is not constant is not judged; components along missing axes do nothing."""
    magnet, m = body(), tm.random(MESH, seed=0)
    assert float(tm.ZhangLi(magnet, (0, 0, 0)).field(m).abs().max()) == 0
    assert float(tm.ZhangLi(magnet, lambda t: torch.tensor((0, 0, 1e12))).field(m).abs().max()) == 0
    assert torch.equal(tm.ZhangLi(magnet, (1e12, 0, 1e12)).field(m), tm.ZhangLi(magnet, (1e12, 0, 0)).field(m))
    torque = tm.ZhangLi(magnet, (1e12, 0, 0))
    with pytest.raises(ValueError, match="without a gradient direction"):
        torque.j = (0, 0, 1e12)
    assert torque.j.tolist() == [1e12, 0, 0]


def test_spin_orbit_is_a_slonczewski_torque():
    for mesh in MESHES:
        magnet, m = body(mesh), tm.random(mesh, seed=6)
        spin_orbit = tm.SpinOrbit(magnet, 3e11, (0.3, -0.5, 0.7), eta_damp=0.2, eta_field=0.1)
        slonczewski = tm.Slonczewski(magnet, 3e11, (0.3, -0.5, 0.7), P=-0.2, eps_prime=-0.05)
        torch.testing.assert_close(spin_orbit.field(m), slonczewski.field(m), rtol=1e-12, atol=1e-9)
