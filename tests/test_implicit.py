"""The gradient of an equilibrium."""

import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag.solvers.gmres import gmres

MESH = tm.Mesh((6, 4), (5e-9, 5e-9, 3e-9))
COTANGENT = torch.randn(3, *MESH.nodes, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
BASE = {
    "exchange.A": torch.tensor(1.3e-11).double(),
    "magnet.Ms": torch.full(MESH.cells, 8e5).double(),
    "uniaxial_anisotropy.Ku": torch.full(MESH.cells, 1e5).double(),
    "uniaxial_anisotropy.axis": torch.tensor([0.0, 0.6, 0.8]).double(),
    "bulk_dmi.D": torch.tensor(1e-3).double(),
    "zeeman.H": torch.tensor([3e4, 2e4, 0.0]).double(),
}


def energy():
    magnet = tm.Magnet(MESH, 8e5)
    return tm.Sum(
        tm.Exchange(magnet, 1.3e-11),
        tm.Demag(magnet),
        tm.UniaxialAnisotropy(magnet, 1e5, (0, 0.6, 0.8)),
        tm.BulkDMI(magnet, 1e-3),
        tm.Zeeman(magnet, (3e4, 2e4, 0)),
    )


def start():
    return tm.uniform(MESH, (1.0, 0.2, 0.1))


def minimized(params, m0):
    return tm.minimize(energy(), m0, params=params, tolerance=1e-11)


def relaxed(params, m0):
    """With a torque, so that the linear system is not symmetric."""
    total = energy()
    torque = tm.Slonczewski(total.magnet, 3e10, (0.0, 0.0, 1.0), 0.4, d=3e-9)
    llg = tm.LLG(total, 0.1, torques=[torque])
    return tm.relax(llg, m0, params={f"energy.{name}": value for name, value in params.items()}, tolerance=1e-11)


@pytest.mark.parametrize("equilibrium", [minimized, pytest.param(relaxed, marks=pytest.mark.slow)])
def test_against_differences(equilibrium):
    """In units of the values, along a random direction of each; fourth-order differences of four states, which are one batch."""
    generator = torch.Generator().manual_seed(1)
    scales = {name: torch.ones_like(value).requires_grad_() for name, value in BASE.items()}
    m = equilibrium({name: value * scales[name] for name, value in BASE.items()}, start())
    slopes = torch.autograd.grad((m * COTANGENT).sum(), list(scales.values()))
    for (name, value), slope in zip(BASE.items(), slopes):
        direction = torch.randn(value.shape, generator=generator)
        h = 1e-2
        moved = torch.stack([value * (1 + step * direction) for step in (h, -h, 2 * h, -2 * h)])
        moved = moved if value.ndim == MESH.dim else moved.reshape(*moved.shape, *(1,) * MESH.dim)
        found = (equilibrium(BASE | {name: moved}, m.detach()) * COTANGENT).flatten(1).sum(1).tolist()
        expected = (8 * (found[0] - found[1]) - (found[2] - found[3])) / (12 * h)
        assert float((slope * direction).sum()) == pytest.approx(expected, rel=1e-5), name


def test_drives_and_modules():
    """Of a field that depends on m, an antisymmetric part of the linear system, and of a Module's own parameter."""
    magnet = tm.Magnet(MESH, 8e5)

    class Feedback(nn.Module):
        def __init__(self, strength):
            super().__init__()
            self.strength = nn.Parameter(torch.tensor(strength))

        def forward(self, m):
            return self.strength * m.roll(1, -3)

    def loss(strength, A):
        total = (
            tm.Exchange(magnet, A) + tm.Demag(magnet) + tm.Zeeman(magnet, Feedback(strength)) + tm.Zeeman(magnet, (3e4, 2e4, 0))
        )
        m = tm.relax(tm.LLG(total, 0.5), start(), tolerance=1e-9)
        return (m * COTANGENT).sum(), [total.zeeman.H.strength, total.exchange.A]

    value, inputs = loss(2e4, tm.Positive(1.3e-11))
    slope, raw = torch.autograd.grad(value, [inputs[0], inputs[1].raw])
    ends = [loss(2e4 + h, tm.Positive(1.3e-11))[0].item() for h in (20.0, -20.0)]
    assert slope.item() == pytest.approx((ends[0] - ends[1]) / 40, rel=1e-5)
    assert float(raw.abs()) > 0


def test_a_batch_is_a_loop():
    total, A = energy(), torch.tensor([0.8e-11, 1.3e-11, 2e-11]).reshape(3, 1, 1).requires_grad_()
    m = tm.minimize(total, start(), params={"exchange.A": A}, tolerance=1e-11)
    (batch,) = torch.autograd.grad((m * COTANGENT).sum(), A)
    for index in range(3):
        one = A[index].detach().requires_grad_()
        (alone,) = torch.autograd.grad(
            (tm.minimize(total, start(), params={"exchange.A": one}, tolerance=1e-11) * COTANGENT).sum(), one
        )
        torch.testing.assert_close(batch[index], alone, rtol=1e-6, atol=0)


def test_m0_counts_where_nodes_are_frozen():
    """A wall held at both ends: the ends pass on their direction, the inside does not."""
    mesh = tm.Mesh((20,), (2e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5)
    total = tm.Exchange(magnet, 1.3e-11) + tm.Zeeman(magnet, (0.0, 1e5, 0.0))
    frozen = torch.zeros(mesh.nodes, dtype=torch.bool)
    frozen[[0, -1]] = True
    cotangent = torch.randn(3, *mesh.nodes, generator=torch.Generator().manual_seed(2))

    def loss(angle):
        m0 = torch.stack([torch.cos(angle), torch.sin(angle), torch.zeros(())]).unsqueeze(-1).expand(3, *mesh.nodes)
        return (tm.minimize(total, m0, frozen=frozen, tolerance=1e-11) * cotangent).sum()

    angle = torch.tensor(0.3, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(angle), angle)
    h = 1e-4
    expected = (loss(torch.tensor(0.3 + h)) - loss(torch.tensor(0.3 - h))).item() / (2 * h)
    assert slope.item() == pytest.approx(expected, rel=1e-6)


def test_a_rotation_that_costs_nothing():
    """Exchange alone does not know where m points: what depends on that has no gradient, what does not has one."""
    mesh = tm.Mesh((6,), (2e-9,) * 3)
    magnet = tm.Magnet(mesh, 8e5)
    A = nn.Parameter(torch.tensor(1.3e-11))
    D = nn.Parameter(torch.tensor(3e-3))
    spiral = tm.Exchange(magnet, A) + tm.BulkDMI(magnet, D)
    m = tm.minimize(spiral, tm.random(mesh, seed=1), tolerance=1e-12)
    (slope,) = torch.autograd.grad((m[:, 0] * m[:, -1]).sum(), D, retain_graph=True)  # cosine of the angle between the ends
    with torch.no_grad():
        ends = []
        for d in (1.0001, 0.9999):
            n = tm.minimize(spiral, m, params={"bulk_dmi.D": D * d}, tolerance=1e-12)
            ends.append(float((n[:, 0] * n[:, -1]).sum()))
    assert slope.item() == pytest.approx((ends[0] - ends[1]) / (2e-4 * D.item()), rel=1e-5)
    with pytest.raises(tm.GradientError, match="rotation or shift of m that the energy does not determine"):
        (m * torch.randn(3, *mesh.nodes, generator=torch.Generator().manual_seed(3))).sum().backward()


def test_no_equilibrium_no_gradient():
    total = energy()
    H = torch.tensor([3e4, 2e4, 0.0], requires_grad=True)
    m, record = tm.minimize(total, start(), params={"zeeman.H": H}, max_steps=2, info=True)
    assert not record.converged
    with pytest.raises(tm.GradientError, match=r"minimize: no gradient, since m is no equilibrium \(max \|m x H\| / Ms = "):
        m.sum().backward()


def test_memory_does_not_grow_with_the_steps():
    """Nothing of the path is kept: one node of the graph."""
    llg = tm.LLG(energy(), 0.1)
    H = torch.tensor([3e4, 2e4, 0.0], requires_grad=True)
    m = tm.relax(llg, start(), params={"energy.zeeman.H": H})
    assert type(m.grad_fn).__name__ == "EquilibriumBackward"
    with torch.no_grad():
        assert tm.relax(llg, start()).grad_fn is None


def test_float32():
    magnet = tm.Magnet(MESH, 8e5, dtype=torch.float32)
    found = []
    for dtype in (torch.float32, torch.float64):
        magnet = tm.Magnet(MESH, 8e5, dtype=dtype)
        H = torch.tensor([3e4, 2e4, 0.0], dtype=dtype, requires_grad=True)
        total = tm.Exchange(magnet, 1.3e-11) + tm.Demag(magnet) + tm.Zeeman(magnet, H)
        found.append(torch.autograd.grad((tm.minimize(total, start().to(dtype)) * COTANGENT.to(dtype)).sum(), H)[0].double())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-3 * float(found[1].abs().max()))


def test_no_second_derivative_and_no_transform():
    total, H = energy(), torch.tensor([3e4, 2e4, 0.0], requires_grad=True)
    with pytest.raises(tm.GradientError, match="second derivatives of an equilibrium"):
        torch.autograd.grad(tm.minimize(total, start(), params={"zeeman.H": H})[0].mean(), H, create_graph=True)
    with pytest.raises(TypeError, match="transforms of torch.func do not reach through it"):
        torch.func.grad(lambda H: tm.minimize(total, start(), params={"zeeman.H": H})[0].mean())(H.detach())


@pytest.mark.parametrize("singular", [False, True])
def test_gmres(singular):
    """Systems of different size of the spectrum in one batch, one of them with a right-hand side of zero."""
    generator = torch.Generator().manual_seed(0)
    A = torch.randn(4, 30, 30, generator=generator) + 6 * torch.eye(30)
    if singular:
        null = torch.linalg.qr(torch.randn(4, 30, 30, generator=generator))[0][..., :1]
        projector = torch.eye(30) - null @ null.mT
        A = projector @ A @ projector
    x = torch.randn(4, 30, generator=generator)
    b = torch.einsum("bij,bj->bi", A, x)
    b[2] = 0
    found, residual = gmres(lambda v: torch.einsum("bij,bj->bi", A, v), b, lambda v: v, 1e-10, 200)
    assert float(residual.max()) <= 1e-10
    torch.testing.assert_close(torch.einsum("bij,bj->bi", A, found), b, rtol=0, atol=1e-8)
    assert not bool(found[2].any())


def test_a_sample_without_a_gradient_leaves_that_of_the_others():
    """One that needs more steps than it may make: NaN in what is its own, an error if it is not alone in that."""
    fields = torch.tensor([[3e6, 2e4, 0.0], [-3e4, 2e4, 0.0], [2e6, 0.0, 1e5]]).reshape(3, 3, 1, 1)
    H, A = fields.clone().requires_grad_(), torch.tensor(1.3e-11, requires_grad=True)
    options = {"info": True, "max_steps": 12}
    m, record = tm.minimize(energy(), start(), params={"zeeman.H": H}, **options)
    assert not record.converged
    with pytest.warns(
        tm.GradientWarning, match=r"minimize: no gradient, since m is no equilibrium .*: sample \(1,\) of the batch"
    ):
        (found,) = torch.autograd.grad((m * COTANGENT).sum(), H)
    assert bool(found[1].isnan().all())
    for index in (0, 2):
        alone = fields[index].clone().requires_grad_()
        (solo,) = torch.autograd.grad((tm.minimize(energy(), start(), params={"zeeman.H": alone}) * COTANGENT).sum(), alone)
        torch.testing.assert_close(found[index], solo, rtol=1e-3, atol=1e-6 * float(solo.abs().max()))
    m, _ = tm.minimize(energy(), start(), params={"zeeman.H": H, "exchange.A": A}, **options)
    with pytest.raises(tm.GradientError, match=r"sample \(1,\) of the batch, which shares parameters"):
        torch.autograd.grad((m * COTANGENT).sum(), (H, A), retain_graph=True)
    # Left out of the loss it does no harm.
    slopes = torch.autograd.grad((m[[0, 2]] * COTANGENT).sum(), (H, A))
    assert all(bool(slope.isfinite().all()) for slope in slopes) and not bool(slopes[0][1].any())
