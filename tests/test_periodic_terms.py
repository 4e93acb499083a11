"""Periodic axes in every term and torque: the same on any cut through the body, and that of the body beside its copies."""

import math

import pytest
import torch
from every_term import CASES, PLANES, body, randn, terms

import torchmag as tm

INF = math.inf
# How many nodes away the field of a term sees an end, by order.
REACH = {2: 1, 4: 13, 6: 13}
PERIODIC = [(name, a) for name, (mesh, _) in CASES.items() for a in range(mesh.dim) if mesh.periodic(a)]


def with_torques(magnet, axis):
    """All terms, and a torque with a derivative and one without."""
    cells = magnet.mesh.cells
    return terms(magnet, axis) | {
        "zhang_li": tm.ZhangLi(magnet, 1e12 * randn(3, *cells, seed=50), 0.5, 0.1 * randn(*cells, seed=51)),
        "slonczewski": tm.Slonczewski(
            magnet, 1e11 * randn(*cells, seed=52), randn(3, *cells, seed=53), 0.4, Lambda=2, eps_prime=0.1, d=2e-9
        ),
    }


def moved(term, move, magnet, axis):
    """The term on another magnet, its maps moved along."""
    if isinstance(term, tm.Demag):
        return tm.Demag(magnet)
    values = {name: move(getattr(term, name)) for name in term._roles if isinstance(getattr(term, name), torch.Tensor)}
    if isinstance(term, tm.InterlayerExchange):
        planes = tuple(int(p) for p in move.planes) if hasattr(move, "planes") else PLANES
        return tm.InterlayerExchange(magnet, **values, axis=axis, planes=planes)
    return type(term)(magnet, **values)


@pytest.mark.parametrize(("case", "along"), PERIODIC)
def test_any_cut_will_do(case, along):
    """Everything moved by one cell along a periodic axis, the spacer too."""
    mesh, axis = CASES[case]
    magnet = body(mesh, axis)

    def move(x):
        # A map with one entry along this axis stays: it belongs to the plane.
        return x.roll(1, along - mesh.dim) if x.ndim >= mesh.dim else x

    move.planes = [(p + 1) % mesh.nodes[axis] for p in PLANES] if along == axis else PLANES
    new = tm.Magnet(mesh, move(magnet.Ms), move(magnet.fraction))
    m = tm.random(mesh, seed=60)
    for name, term in with_torques(magnet, axis).items():
        after = moved(term, move, new, axis)
        H, expected = after.field(move(m)), move(term.field(m))
        torch.testing.assert_close(
            H, expected, rtol=0, atol=1e-12 * float(expected.abs().max()), msg=lambda s, name=name: f"{name}: {s}"
        )


@pytest.mark.parametrize(("case", "along"), PERIODIC)
def test_local_terms_and_torques_beside_their_copies(case, along):
    """Copies in a row with open ends: the middle one has the field of the periodic body."""
    mesh, axis = CASES[case]
    magnet = body(mesh, axis)
    n, where = mesh.cells[along], along - mesh.dim
    beside = math.ceil(REACH[magnet.order] / n)
    count = 2 * beside + 1
    row = tm.Mesh(
        tuple(count * c if a == along else c for a, c in enumerate(mesh.n)), mesh.dx,
        pbc=tuple(0 if a == along else p for a, p in enumerate(mesh.pbc)),
    )  # fmt: skip

    def copies(x):
        return torch.cat([x] * count, where) if x.ndim >= mesh.dim and (x.shape[where] > 1 or n == 1) else x

    def nodes(x):
        return torch.cat([x] * count + [x.narrow(where, 0, 1)], where)

    copies.planes = [p + beside * n for p in PLANES] if along == axis else PLANES
    new = tm.Magnet(row, copies(magnet.Ms), copies(magnet.fraction))
    m = tm.random(mesh, seed=61)
    for name, term in with_torques(magnet, axis).items():
        if name in ("demag", "oersted"):
            continue
        if name == "zeeman":
            after = tm.Zeeman(new, nodes(term.H))
        else:
            after = moved(term, copies, new, axis)
        H, expected = after.field(nodes(m)).narrow(where, beside * n, n), term.field(m)
        torch.testing.assert_close(
            H, expected, rtol=0, atol=1e-12 * float(expected.abs().max()), msg=lambda s, name=name: f"{name}: {s}"
        )


@pytest.mark.parametrize("pbc", [(1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 1, 1)])
def test_images_converge_to_true_periodicity(pbc):
    """N images on each side, N large, against all: m and j without a mean, whose far field falls off fast."""
    n, spacing, count = (4, 3, 2), (1e-9, 1.5e-9, 2e-9), 12
    m = randn(3, *n, seed=62)
    for axis, wraps in enumerate(pbc):
        if wraps:
            m = m - m.mean(axis + 1, keepdim=True)
    fields = []
    for images in (count, INF):
        magnet = tm.Magnet(tm.Mesh(n, spacing, pbc=tuple(images if wraps else 0 for wraps in pbc)), 8e5)
        fields.append((tm.Demag(magnet).cell_field(m), tm.Oersted(magnet, (0, 0, 0)).cell_field(m * 1e15)))
    for found, expected in zip(*fields):
        # Without charge along the periodic axes the missing images are higher multipoles at count periods.
        assert float((found - expected).abs().max()) < 1e-3 * float(expected.abs().max())
