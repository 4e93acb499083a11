"""Magnets of fourth and sixth order in space."""

import itertools
import math

import pytest
import test_energies
import test_oersted
import test_surface
import torch

import torchmag as tm
from torchmag import layout
from torchmag.midpoints import MOMENT, SLOPE, VALUE, Midpoints, links
from torchmag.testing import EnergyContract

DOUBLE = {"dtype": torch.float64}
MS, A, THICKNESS, B0, GAMMA = 140e3, 3.65e-12, 20e-9, 60e-3, 1.7595e11


def _contracts(order):
    """The contracts of all terms, on magnets of this order."""
    for module in (test_energies, test_surface, test_oersted):
        for name, contract in vars(module).items():
            if isinstance(contract, type) and issubclass(contract, EnergyContract) and contract is not EnergyContract:
                yield f"{name}Order{order}", type(contract)(f"{name}Order{order}", (contract,), {"order": order})


# The others are slow to compile and say the same.
FAST = ("Exchange", "BulkDMI", "CubicAnisotropy", "Demag", "InterlayerExchange", "Oersted", "Magnetoelastic", "UsersTerm")
for _order in (4, 6):
    for _name, _contract in _contracts(_order):
        if _order == 6 and any(_name.startswith(f"Test{name}") for name in FAST):
            _contract.test_compile = pytest.mark.slow(_contract.test_compile)
            globals()[_name] = _contract
        elif _name.startswith(("TestExchangeOrder", "TestDemagOrder")):
            _contract.test_compile = pytest.mark.slow(_contract.test_compile)
            globals()[_name] = _contract


def _frequency(mode, order, h, n):
    """Of a plane wave of n cells in an infinite film, Hz, and the thin-film value with a uniform profile."""
    k = 2 * math.pi / (n * h)
    mesh = tm.Mesh((n, 1), (h, h, THICKNESS), pbc=(math.inf, math.inf, 0))
    film = tm.Magnet(mesh, MS, order=order, **DOUBLE)
    terms = tm.Exchange(film, A) + tm.Demag(film)
    P, length2 = 1 - (1 - math.exp(-k * THICKNESS)) / (k * THICKNESS), 2 * A / (tm.mu_0 * MS**2)
    exact = [length2 * k * k + P * (mode == "DE"), length2 * k * k + 1 - P]
    found = []
    for term_axis in (0, 2):
        m = torch.zeros(3, *mesh.nodes, dtype=torch.float64)
        m[term_axis, :, 0] = torch.cos(k * h * torch.arange(n, dtype=torch.float64))
        total = terms if term_axis == 2 or mode == "DE" else tm.Exchange(film, A)
        found.append(float(-(total(m) * m).sum() / (m * m).sum()) / MS)
    frequency = lambda N: GAMMA / (2 * math.pi) * math.sqrt(math.prod(B0 + tm.mu_0 * MS * x for x in N))
    return frequency(found), frequency(exact)


@pytest.mark.parametrize("h", [5e-9, 10e-9, 25e-9, 50e-9])
@pytest.mark.parametrize("mode", ["DE", "BV"])
def test_film_dispersion_with_few_cells(mode, h):
    for n, tolerance in ((8, 2e-3), (12, 3e-4)):
        found, exact = _frequency(mode, 6, h, n)
        assert abs(found / exact - 1) < tolerance


@pytest.mark.parametrize("order, least", [(4, 3.7), (6, 5.5)])
def test_film_dispersion_converges(order, least):
    # The period is fixed.
    errors = [abs(found / exact - 1) for found, exact in (_frequency("BV", order, 400e-9 / n, n) for n in (10, 20))]
    assert math.log2(errors[0] / errors[1]) > least


def _exchange_of_a_cosine(order, n, periodic):
    """The largest error of the field over its largest value, and that of the energy, relative."""
    length, waves = 100e-9, 2 if periodic else 1.5
    mesh = tm.Mesh((n,), (length / n, 5e-9, 5e-9), pbc=(math.inf if periodic else 0, 0, 0))
    bar = tm.Magnet(mesh, MS, order=order, **DOUBLE)
    k = 2 * math.pi * waves / length
    m = torch.zeros(3, *mesh.nodes, dtype=torch.float64)
    m[1] = torch.cos(k * tm.positions(mesh, dtype=torch.float64)[0])
    exchange = tm.Exchange(bar, A)
    exact = 2 * A * k * k / (tm.mu_0 * MS)
    energy = A * k * k / 2 * length * 25e-18
    return float((exchange(m) + exact * m).abs().max()) / exact, abs(float(exchange.energy(m)) / energy - 1)


@pytest.mark.parametrize("order, field, energy", [(4, 3.7, 3.7), (6, 5.5, 5.5)])
def test_exchange_in_a_ring_converges(order, field, energy):
    coarse, fine = (_exchange_of_a_cosine(order, n, True) for n in (16, 32))
    assert math.log2(coarse[0] / fine[0]) > field and math.log2(coarse[1] / fine[1]) > energy


@pytest.mark.parametrize("order, energy", [(4, 2.9), (6, 2.9)])
def test_exchange_in_a_bar_converges(order, energy):
    coarse, fine = (_exchange_of_a_cosine(order, n, False) for n in (16, 32))
    assert math.log2(coarse[1] / fine[1]) > energy
    assert fine[1] < 0.1 * _exchange_of_a_cosine(2, 32, False)[1]


def _edge_tilt(order, h):
    """m_x at the edge of a wide strip with interface DMI and easy axis along z; exact: D / (2 sqrt(A K)) (Rohart and Thiaville 2013)."""
    A, K, D = 13e-12, 4e5, 2e-3
    mesh = tm.Mesh((round(100e-9 / h),), (h, 1e-9, 1e-9))
    strip = tm.Magnet(mesh, 8e5, order=order, **DOUBLE)
    energy = tm.Exchange(strip, A) + tm.UniaxialAnisotropy(strip, K, (0, 0, 1)) + tm.InterfaceDMI(strip, D, normal=(0, 0, 1))
    m = tm.minimize(energy, tm.uniform(mesh, (0.01, 0, 1), dtype=torch.float64))
    return abs(abs(float(m[0, 0])) - D / (2 * math.sqrt(A * K)))


@pytest.mark.parametrize("order", [4, 6])
def test_m_may_meet_an_edge_with_a_slope(order):
    coarse, fine = _edge_tilt(order, 2e-9), _edge_tilt(order, 1e-9)
    assert coarse < 0.03 and math.log2(coarse / fine) > 1.7


def _held_end(order, h, held):
    """The largest error of the angle in half a wall, 4 nm wide, that starts at an end held at an angle by a node that does not move."""
    A, K = 13e-12, 13e-12 / (4e-9) ** 2
    mesh = tm.Mesh((round(40e-9 / h),), (h, 1e-9, 1e-9))
    wire = tm.Magnet(mesh, 8e5, order=order, **DOUBLE)
    x = tm.positions(mesh, dtype=torch.float64)[0]
    exact = 2 * torch.atan(math.tan(held / 2) * torch.exp(-x / 4e-9))
    turned = lambda theta: torch.stack((torch.sin(theta), torch.zeros_like(theta), torch.cos(theta)))
    frozen = torch.zeros(mesh.nodes, dtype=torch.bool)
    frozen[0] = True
    energy = tm.Exchange(wire, A) + tm.UniaxialAnisotropy(wire, K, (0, 0, 1))
    m = tm.minimize(energy, turned(exact), frozen=frozen, tolerance=1e-9)
    return float((m - turned(exact)).norm(dim=0).max())


@pytest.mark.parametrize("order", [4, 6])
def test_an_end_that_is_held(order):
    errors = [_held_end(order, h, 1.2) for h in (1e-9, 0.5e-9, 0.25e-9)]
    assert errors[0] < 0.6 * _held_end(2, 1e-9, 1.2) and math.log2(errors[1] / errors[2]) > 1.5


@pytest.mark.parametrize("order", [4, 6])
def test_uniform_states_keep_their_energy(order):
    generator = torch.Generator().manual_seed(0)
    for mesh in (tm.Mesh((6, 4), (2e-9, 3e-9, 1e-9)), tm.Mesh((5, 4, 3), (2e-9, 2e-9, 1e-9), pbc=(1, 0, 0))):
        for Ms in (8e5, 8e5 * torch.rand(mesh.cells, generator=generator, **DOUBLE)):
            energies = []
            for each in (2, order):
                magnet = tm.Magnet(mesh, Ms, order=each, **DOUBLE)
                m = torch.tensor([0.36, 0.48, 0.8], dtype=torch.float64).reshape(3, *(1,) * mesh.dim).expand(3, *mesh.nodes)
                energies.append(float(tm.Demag(magnet).energy(m)))
            assert energies[1] == pytest.approx(energies[0], rel=1e-13)


@pytest.mark.parametrize("order", [4, 6])
def test_a_map_of_ones_is_no_map(order):
    for n in ((5, 4), (4, 3, 5)):
        mesh = tm.Mesh(n, (2e-9, 3e-9, 1e-9))
        m = tm.random(mesh, seed=1, **DOUBLE)
        fields = []
        for Ms in (8e5, torch.full(mesh.cells, 8e5, **DOUBLE)):
            magnet = tm.Magnet(mesh, Ms, order=order, **DOUBLE)
            fields.append((tm.Exchange(magnet, 1e-11) + tm.BulkDMI(magnet, 3e-3) + tm.Demag(magnet))(m))
        torch.testing.assert_close(*fields, rtol=1e-10, atol=1e-7)


@pytest.mark.parametrize("order", [4, 6])
def test_a_uniform_moment_for_each_sample(order):
    mesh = tm.Mesh((5, 4), (2e-9, 3e-9, 1e-9))
    m = torch.nn.functional.normalize(torch.randn(2, 3, *mesh.nodes, generator=torch.Generator().manual_seed(1), **DOUBLE), dim=1)
    Ms = torch.tensor([8e5, 3e5], **DOUBLE)
    both = tm.Demag(tm.Magnet(mesh, Ms.reshape(2, 1, 1), order=order))
    for got in (both.field, both.energy, both.density_map):
        expected = [getattr(tm.Demag(tm.Magnet(mesh, one, order=order)), got.__name__)(x) for one, x in zip(Ms, m)]
        torch.testing.assert_close(got(m), torch.stack(expected), rtol=1e-11, atol=0)


@pytest.mark.parametrize("cells", [(5, 3), (1, 2), (12, 9)])
@pytest.mark.parametrize("periodic", [(False, False), (True, False)])
def test_back_is_the_transpose_of_there(periodic, cells):
    generator = torch.Generator().manual_seed(0)
    nodes = [n + (not wraps) for n, wraps in zip(cells, periodic)]
    draw = lambda *shape: torch.rand(shape, generator=generator, **DOUBLE)
    holes = links(draw(*cells) * (draw(*cells) > 0.3), nodes, periodic)
    for order in (4, 6):
        midpoints = Midpoints(order, periodic)
        x = draw(3, *nodes) * (holes.inverse > 0)
        for pattern in ((VALUE, None), (SLOPE, VALUE), (MOMENT, MOMENT)):
            there = midpoints.there(x, pattern, holes)
            y = draw(*there.shape)
            torch.testing.assert_close((there * y).sum(), (x * midpoints.back(y, pattern, holes)).sum())
            there = midpoints.there(x, pattern)
            torch.testing.assert_close((there * y).sum(), (x * midpoints.back(y, pattern)).sum())
        # A uniform field in the cells is that field at the nodes, times their share of cells.
        ones = torch.ones(3, *cells, **DOUBLE)
        shares = layout.shares(nodes, periodic, x)
        torch.testing.assert_close(midpoints.back(ones, (MOMENT, MOMENT)), shares.expand_as(x))


class _Graded(tm.LocalEnergy):
    @staticmethod
    def density(m, c: tm.forms.NodalScalar):
        return c * tm.forms.div(m) ** 2


@pytest.mark.parametrize("dim", [1, 2])
@pytest.mark.parametrize("shape", [(2,), (2, 1), (3, 1)])
def test_a_body_for_each_sample(dim, shape):
    generator = torch.Generator().manual_seed(0)
    mesh = tm.Mesh((6, 4)[:dim], (2e-9,) * 3)
    draw = lambda *size: torch.rand(size, generator=generator, **DOUBLE)
    Ms, c, one = 8e5 * draw(*shape, *mesh.cells), 1e-11 * draw(*mesh.nodes), draw(3, *mesh.nodes) - 0.5

    def field(Ms, m):
        magnet = tm.Magnet(mesh, Ms, order=6, **DOUBLE)
        return (tm.Exchange(magnet, 1e-11) + tm.BulkDMI(magnet, 3e-3) + _Graded(magnet, c) + tm.Demag(magnet))(m)

    for m in (one, torch.stack((one, -one))):
        together = field(Ms, m)
        for index in itertools.product(*map(range, together.shape[: -dim - 1])):
            of_body = tuple(0 if n == 1 else i for i, n in zip(index[len(index) - len(shape) :], shape))
            alone = field(Ms[of_body], m[index[-1]] if m.ndim > one.ndim else m)
            torch.testing.assert_close(together[index], alone, rtol=1e-10, atol=1e-3)


@pytest.mark.parametrize("order", [3, 8, True, 4.0, "6", None])
def test_an_order_that_does_not_exist(order):
    with pytest.raises(ValueError, match="order = .*expected 2, 4 or 6"):
        tm.Magnet(tm.Mesh((3,), (1e-9,) * 3), 8e5, order=order)


def _sum(order):
    magnet = tm.Magnet(tm.Mesh((3, 3), (2e-9,) * 3), 8e5, order=order, **DOUBLE)
    return tm.Sum(tm.Exchange(magnet, 1e-11))


def test_the_order_is_shown():
    for order in (2, 4, 6):
        assert f"order={order}" in repr(_sum(order).magnet) and f"order={order}" in repr(_sum(order))


def test_terms_of_different_order():
    with pytest.raises(ValueError, match="of order 4 where this Sum's is of order 6"):
        _sum(6) + _sum(4)


def test_a_state_dict_carries_the_order():
    _sum(4).load_state_dict(_sum(4).state_dict())
    old = _sum(2).state_dict()
    assert "magnet.order" not in old
    with pytest.raises(RuntimeError, match="order is 2 in the state_dict, 4 here"):
        _sum(4).load_state_dict(old)
    with pytest.raises(RuntimeError, match="order is 6 in the state_dict, 2 here"):
        _sum(2).load_state_dict(_sum(6).state_dict())


def test_a_checkpoint_of_another_order(tmp_path):
    m = tm.uniform(tm.Mesh((3, 3), (2e-9,) * 3), (1, 0, 0), dtype=torch.float64)
    run = lambda order: tm.Simulation(tm.LLG(_sum(order), alpha=0.5), m, tmp_path, resume=True)
    with run(4) as simulation:
        simulation.run(1e-12)
    with pytest.raises(tm.CheckpointError, match="order differs: expected 6, got 4"):
        with run(6) as simulation:
            simulation.run(1e-12)


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 0, 0)])
def test_the_cell_field_is_the_cuboids(pbc):
    generator = torch.Generator().manual_seed(0)
    mesh = tm.Mesh((5, 4, 2), (2e-9, 3e-9, 1e-9), pbc=pbc)
    m = torch.randn(2, 3, *mesh.cells, generator=generator, **DOUBLE)
    for Ms in (8e5, 8e5 * torch.rand(mesh.cells, generator=generator, **DOUBLE)):
        fields = [tm.Demag(tm.Magnet(mesh, Ms, order=order, **DOUBLE)).cell_field(m) for order in (2, 6)]
        torch.testing.assert_close(*fields, rtol=1e-12, atol=1e-12 * 8e5)
