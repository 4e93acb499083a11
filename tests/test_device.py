"""What is done on a GPU, on a device that is emulated on the CPU (see `emulated`): the same numbers, no mix of devices, and few waits."""

import math
import os
import pickle
import warnings

import every_term
import pytest
import torch
from torch import nn

import torchmag as tm
from torchmag import dense
from torchmag.convolution import wide_fft
from torchmag.convolution.problem import Problem

# What it is built on is new in torch, and not yet settled.
# On a GPU: TORCHMAG_TEST_DEVICE=on_cuda.
emulated = pytest.importorskip(os.environ.get("TORCHMAG_TEST_DEVICE", "emulated"), exc_type=ImportError)
DEVICE, counted = emulated.DEVICE, emulated.counted

NM = 1e-9
MESH = tm.Mesh((6, 5), (4 * NM, 5 * NM, 3 * NM))


def start(*batch, mesh=MESH, seed=0):
    noise = torch.randn(*batch, 3, *mesh.nodes, generator=torch.Generator().manual_seed(seed))
    return nn.functional.normalize(tm.uniform(mesh, (1, 0.3, 0.2)) + 0.1 * noise, dim=-mesh.dim - 1)


def drive(t):
    return 1e4 * torch.stack([t * 1e11, t * 0, t * 0 + 1])


def equation(order=2, **options):
    magnet = tm.Magnet(MESH, 8e5, order=order)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 2e4, (0.0, 0.6, 0.8))
    return tm.LLG(energy + tm.InterfaceDMI(magnet, 1e-3) + tm.Zeeman(magnet, drive), 0.1, **options)


def both(make, run, *inputs, within=1e-12):
    """Run the same on both sides and compare; what is made there."""
    expected = run(make(), *inputs)
    there = make().to(DEVICE)
    found = run(there, *(x.to(DEVICE) if isinstance(x, torch.Tensor) else x for x in inputs))
    assert found.device == DEVICE
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=within * max(scale, 1e-300))
    return there


def test_the_device_refuses_what_cuda_refuses_and_counts():
    x = torch.rand(3, 4)
    y = x.to(DEVICE)
    with pytest.raises(RuntimeError, match="at least two devices"):
        y + x
    with pytest.raises(RuntimeError, match="at least two devices"):
        torch.cat([y, x])
    with pytest.raises(RuntimeError, match="at least two devices"):
        torch.stack([y.sum(), x.sum()])
    torch.testing.assert_close((y + torch.tensor(2.0)).cpu(), x + 2)
    with counted() as counts:
        z = (2 * y).transpose(0, 1).contiguous().sum()
    assert sum(counts.launches.values()) == 3 and not counts.waits
    with counted() as counts:
        (float(z), bool(z > 0), z.tolist(), y.nonzero(), y[y > 0], y.to("cpu"), x.to(DEVICE))
    assert sum(counts.waits.values()) == 7


@pytest.mark.parametrize("case", every_term.CASES)
def test_every_term(case):
    mesh, axis = every_term.CASES[case]
    m = start(2, mesh=mesh)
    energy, there = every_term.everything(case), every_term.everything(case).to(DEVICE)
    expected, found = energy.fields(m), there.fields(m.to(DEVICE))
    for name, field in expected.items():
        torch.testing.assert_close(found[name].cpu(), field, rtol=0, atol=1e-11 * float(field.abs().max()))
    energies = there.energies(m.to(DEVICE))
    for name, value in energy.energies(m).items():
        torch.testing.assert_close(energies[name].cpu(), value, rtol=1e-10, atol=0)
    together = energy.field(m)
    with counted() as counts:
        found = there.field(m.to(DEVICE))
    assert sum(counts.waits.values()) == 1  # m itself
    torch.testing.assert_close(found.cpu(), together, rtol=0, atol=1e-11 * float(together.abs().max()))


@pytest.mark.parametrize(
    "torque",
    [
        lambda magnet: tm.ZhangLi(magnet, (5e11, 0, 0), 0.5, 0.05),
        lambda magnet: tm.SpinOrbit(magnet, 1e11, (0, 1, 0), 0.1, 0.5),
        lambda magnet: tm.Slonczewski(magnet, 1e11, (0, 1, 0), 0.5),
    ],
)
def test_torques(torque):
    def make():
        llg = equation()
        return tm.LLG(llg.energy, 0.1, torques=[torque(llg.magnet)])

    both(make, lambda llg, m: llg(0.0, m), start(2))


@pytest.mark.parametrize("batch", [(), (3,)])
@pytest.mark.parametrize("fields", [1, 3])
def test_a_rate_has_the_batch_of_m_and_of_the_field(batch, fields):
    H = torch.tensor([[1e4, 0.0, 2e4], [0.0, 3e4, 0.0], [1e3, 1e3, 1e3]])[:fields].reshape(fields, 3, 1, 1)
    make = lambda: tm.LLG(tm.Zeeman(tm.Magnet(MESH, 8e5), H if fields > 1 else H[0]), 0.1, precession=not batch)
    both(make, lambda llg, m: llg(0.0, m), start(*batch))


METHODS = [
    {}, {"method": "gyro5"}, {"method": "tsit5"}, {"method": "bosh3"}, {"method": "rk4", "step": 3e-13}, {"method": "dopri8"},
    {"method": "euler", "step": 5e-14}, {"method": "heun", "step": 5e-13}, {"method": "explicit_adams", "step": 2e-13}, {"step": 3e-13},
]  # fmt: skip


@pytest.mark.parametrize("options", METHODS, ids=lambda options: " ".join(map(str, options.values())) or "dopri5")
@pytest.mark.parametrize("batch", [(), (3,)])
def test_solvers(options, batch):
    both(equation, lambda llg, m: tm.solve(llg, m, [0, 3e-13, 1e-12], **options), start(*batch), within=1e-10)


def test_samples_leave_a_batch():
    def run(llg, m):
        alpha = torch.tensor([0.02, 0.5, 1.0]).reshape(3, 1, 1).to(m.device)
        return tm.solve(llg, m, [0, 1e-12], params={"alpha": alpha})

    both(equation, run, start(3), within=1e-10)


@pytest.mark.parametrize(
    "options", [{}, {"method": "gyro5"}, {"memory": 5e5}, {"method": "rk4", "step": 3e-13}, {"gradient": "adjoint"}]
)
def test_gradients(options):
    def run(llg, m):
        m = m.requires_grad_()
        alpha = torch.tensor(0.1, device=m.device, requires_grad=True)
        last = tm.solve(llg, m, [0, 1e-12], params={"alpha": alpha}, check=False, **options)[-1]
        return torch.cat([x.reshape(-1) for x in torch.autograd.grad(last[0].sum(), (m, alpha))])

    both(equation, run, start(), within=1e-9)


@pytest.mark.parametrize("search", [tm.relax, tm.minimize, lambda e, m, **k: tm.minimize(e, m, method="bb", **k)])
def test_equilibria_and_their_gradients(search):
    def run(llg, m):
        K = torch.tensor(2e4, device=m.device, requires_grad=True)
        what, name = (llg, "energy.uniaxial_anisotropy.Ku") if search is tm.relax else (llg.energy, "uniaxial_anisotropy.Ku")
        found = search(what, m, params={name: K}, tolerance=1e-9)
        (gradient,) = torch.autograd.grad(found[1].sum(), K)
        return torch.cat([found.detach().reshape(-1), 1e4 * gradient.reshape(1)])

    both(equation, run, start(), within=1e-6)


def test_relaxation_with_torques_and_loops():
    def make():
        llg = equation()
        return tm.LLG(llg.energy, 0.1, torques=[tm.SpinOrbit(llg.magnet, 1e10, (0, 1, 0), 0.1, 0.0)])

    both(make, lambda llg, m: tm.relax(llg, m, max_steps=12, info=True)[0], start(), within=1e-6)
    fields = torch.tensor([[1e5, 1e3, 0.0], [-1e5, 1e3, 0.0]])
    both(
        lambda: equation().energy,
        lambda energy, m: tm.hysteresis(energy, m, fields.to(m.device), tolerance=1e-5).reshape(-1),
        start(),
        within=1e-4,
    )


def test_thermal_noise():
    def make():
        llg = equation()
        llg.temperature = tm.ThermalField(llg.magnet, 300.0, seed=[1, 2])
        return llg

    both(make, lambda llg, m: tm.solve(llg, m, [0, 5e-13], step=1e-13), start(2), within=1e-10)


def test_simulation(tmp_path):
    def run(llg, m):
        where = tmp_path / m.device.type
        where.mkdir()
        simulation = tm.Simulation(llg, m)
        simulation.log(tm.loggers.Table(where / "table.csv"), every=2e-13)
        simulation.run(1e-12)
        return simulation.m

    both(equation, run, start(), within=1e-10)
    tables = [(tmp_path / side / "table.csv").read_text().splitlines() for side in ("cpu", emulated.NAME)]
    assert len(tables[0]) == len(tables[1]) > 4


def test_modules_travel():
    llg, m = equation(), start()
    there = equation().to(DEVICE)
    expected = llg(0.0, m)
    for moved in (there, pickle.loads(pickle.dumps(llg)).to(DEVICE)):
        torch.testing.assert_close(moved(0.0, m.to(DEVICE)).cpu(), expected, rtol=1e-10, atol=1e-3)
    torch.testing.assert_close(there.to("cpu")(0.0, m), expected, rtol=1e-10, atol=1e-3)
    with pytest.raises(ValueError, match=f"m is on cpu, the magnet on {emulated.NAME}"):
        equation().to(DEVICE)(0.0, m)


def test_transforms():
    def run(llg, m):
        call = lambda m: llg(0.0, m)
        pulled = torch.func.grad(lambda m: call(m).square().sum())(m)
        return torch.cat([pulled.reshape(-1) / 1e12, torch.func.vmap(call)(torch.stack([m, -m])).reshape(-1)])

    both(equation, run, start(), within=1e-9)


def test_the_default_device():
    """torch.set_default_device, as torch's documentation recommends."""
    expected = tm.solve(equation(), start(), [0, 2e-12])
    torch.set_default_device(DEVICE)
    try:
        magnet = tm.Magnet(MESH, 8e5)
        assert magnet.reference.device == DEVICE
        with torch.device("cpu"):
            m = start()
        found = tm.solve(equation(), m.to(DEVICE), [0, 2e-12])
        assert tm.uniform(MESH, (1, 0, 0)).device == DEVICE and tm.random(MESH, seed=1).device == DEVICE
        tm.minimize(equation().energy, m.to(DEVICE), tolerance=1e-3)
        tm.relax(equation(), m.to(DEVICE), tolerance=1e-3)
    finally:
        torch.set_default_device(None)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-10)


# What torch.compile makes of it: one graph, which runs there.


WHOLE_STEPS = pytest.param({"mode": "reduce-overhead"}, marks=pytest.mark.slow)


@pytest.mark.parametrize("mode", [{}, WHOLE_STEPS])
@pytest.mark.parametrize("options", [{}, {"method": "rk4", "step": 3e-13}, pytest.param({"step": 3e-13}, marks=pytest.mark.slow)])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_compiled_steps(mode, options, batch):
    def run(llg, m):
        torch._dynamo.reset()
        llg.compile(backend=emulated.compile_backend, fullgraph=True, **mode)
        return tm.solve(llg, m, [0, 1e-12], **options)

    both(equation, run, start(*batch), within=1e-10)


@pytest.mark.parametrize("order", [2, pytest.param(6, marks=pytest.mark.slow)])
@pytest.mark.parametrize("mode", [{}, WHOLE_STEPS])
def test_compiled_gradients(order, mode):
    def run(llg, m):
        torch._dynamo.reset()
        llg.compile(backend=emulated.compile_backend, fullgraph=True, **mode)
        m = m.requires_grad_()
        return torch.autograd.grad(tm.solve(llg, m, [0, 5e-13])[-1, 0].sum(), m)[0]

    both(lambda: equation(order), run, start(), within=1e-9)


@pytest.mark.slow
def test_compiled_terms_together():
    case = "2d"
    mesh, _ = every_term.CASES[case]
    torch._dynamo.reset()

    def run(llg, m):
        llg.compile(backend=emulated.compile_backend, fullgraph=True)
        return llg(0.0, m)

    both(lambda: tm.LLG(every_term.everything(case), 0.1), run, start(mesh=mesh), within=1e-10)


def test_what_compiles_by_itself(monkeypatch):
    monkeypatch.setattr(
        torch, "compile", lambda function, **options: _plain_compile(function, backend=emulated.compile_backend, fullgraph=True)
    )
    torch._dynamo.reset()
    emulated.graphs.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        both(equation, lambda llg, m: tm.solve(llg, m, [0, 1e-12], compile=True), start(), within=1e-10)
        both(equation, lambda llg, m: tm.relax(llg, m, tolerance=1e-6, compile=True), start(), within=1e-3)
    assert len(emulated.graphs) >= 4


_plain_compile = torch.compile


# What the host waits for.


OTHERS = [{"method": "gyro5"}, {"method": "bosh3"}, {"method": "rk4", "step": 1e-12}, {"method": "heun", "step": 1e-12}]


@pytest.mark.parametrize("options", [{}, *(pytest.param(options, marks=pytest.mark.slow) for options in OTHERS)])
@pytest.mark.parametrize("batch", [(), (3,)])
def test_the_host_waits_once_in_eight_steps(options, batch):
    magnet = tm.Magnet(MESH, 8e5, order=2, device=DEVICE)
    llg, m, found = tm.LLG(tm.Exchange(magnet, 1e-11), 0.1), start(*batch).to(DEVICE), []
    for end in (1e-11, 6e-11):
        steps = []
        tm.solve(llg, m, [0, end], callback=lambda t, dt, m, steps=steps: steps.append(1), compile=False, **options)
        with counted() as counts:
            tm.solve(llg, m, [0, end], compile=False, **options)
        found.append((sum(counts.waits.values()), len(steps)))
    (short, few), (long, many) = found
    assert many - few >= 40
    assert long - short <= (many - few) / 8 + 2
    assert short <= 30


# What is launched, as operators of torch that compute: in eager mode each is a kernel of its own.
FILM = tm.Mesh((12, 10), (4 * NM, 5 * NM, 3 * NM))


@pytest.mark.parametrize(("order", "most"), [(2, 49), (6, 44)])
def test_launches_of_exchange_and_stray_field(order, most):
    magnet = tm.Magnet(FILM, 8e5, order=order, device=DEVICE)
    llg, m = tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Demag(magnet), 0.1), start(mesh=FILM).to(DEVICE)
    values, t = llg.prepare(), torch.zeros((), dtype=torch.float64, device=DEVICE)
    llg(t, m, values)
    with counted() as counts:
        llg(t, m, values)
    assert sum(counts.launches.values()) <= most and not counts.waits


@pytest.mark.parametrize(("order", "most"), [(2, 219), (6, 82)])
def test_launches_of_five_terms(order, most):
    magnet = tm.Magnet(FILM, 8e5, order=order, device=DEVICE)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 2e4, (0.0, 0.0, 1.0))
    llg = tm.LLG(energy + tm.InterfaceDMI(magnet, 1e-3) + tm.Zeeman(magnet, (1e4, 0.0, 0.0)), 0.1)
    m, values, t = start(mesh=FILM).to(DEVICE), llg.prepare(), torch.zeros((), dtype=torch.float64, device=DEVICE)
    llg(t, m, values)
    with counted() as counts:
        llg(t, m, values)
    assert sum(counts.launches.values()) <= most and not counts.waits


def test_no_matrices_where_products_are_rounded():
    x = torch.zeros(3, 5, 5, dtype=torch.float32, device=DEVICE)
    assert dense.suits(x, -1) and not dense.suits(x.cpu(), -1)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert not dense.suits(x, -1) and dense.suits(x.double(), -1)
    finally:
        torch.set_float32_matmul_precision(before)
    with torch.autocast(emulated.NAME, dtype=torch.bfloat16):
        assert not dense.suits(x, -1)


@pytest.mark.parametrize("n", [(9,), (8, 7), (5, 6, 7), (4, 1, 5)])
@pytest.mark.parametrize("pbc", [(0, 0, 0), (math.inf, 0, 0)])
@pytest.mark.parametrize("order", [4, 6])
def test_operators_as_matrices(n, pbc, order):
    """Against the sums over neighbours, transposes and gradients included."""
    mesh = tm.Mesh(n, (4 * NM, 5 * NM, 3 * NM), pbc=pbc)
    m, other = start(2, mesh=mesh), start(2, mesh=mesh, seed=1)

    def run(energy, m, other):
        m = m.requires_grad_()
        field = energy.field(m)
        return torch.stack([field, torch.autograd.grad((field * other).sum(), m)[0]])

    def make():
        magnet = tm.Magnet(mesh, 8e5, order=order)
        return tm.Exchange(magnet, 1e-11) + tm.InterfaceDMI(magnet, 1e-3) + tm.Demag(magnet)

    both(make, run, m, other)


def test_too_large_for_the_device_is_said_before(monkeypatch):
    from torchmag import device

    monkeypatch.setattr(device, "free_memory", lambda where: 2**20)
    magnet = tm.Magnet(tm.Mesh((256, 256), (5 * NM, 5 * NM, 3 * NM)), 8e5)
    with pytest.raises(
        MemoryError, match=r"Demag: the convolution on 256 x 256 cells .* needs 0\.0\d+ GiB on cpu, where 0\.000977 GiB are free"
    ):
        tm.Demag(magnet)
    monkeypatch.setattr(device, "free_memory", lambda where: None)
    # 256^3 in float32.
    problem = tm.Demag(tm.Magnet(tm.Mesh((4, 4, 4), (5 * NM,) * 3), 8e5))._convolve.problem
    large = Problem(tm.Mesh((256, 256, 256), (5 * NM,) * 3), problem.terms, problem.parities)
    assert wide_fft.WideFFT(large).bytes_for(torch.empty((), dtype=torch.float32)) < 2.6e9


def test_blocks_bound_the_memory_of_a_convolution(monkeypatch):
    mesh = tm.Mesh((6, 5, 7), (4 * NM, 5 * NM, 3 * NM))
    monkeypatch.setattr(wide_fft, "LARGE_BLOCK", 3 * 12 * 10 * 14 * 8 // 3)
    both(lambda: tm.Demag(tm.Magnet(mesh, 8e5)), lambda demag, m: demag.field(m), start(2, mesh=mesh))
