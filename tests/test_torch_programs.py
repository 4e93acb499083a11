"""What of torch goes with torchmag (docs/torch.md): one test for each row of the table."""

import copy

import pytest
import torch
from torch import nn

import torchmag as tm

MESH = tm.Mesh((4, 3), dx=(5e-9, 5e-9, 3e-9))
T = [0.0, 1e-12]
SCALE = 1e10  # 1/s, the size of dm/dt


START = tm.random(MESH, 0, dtype=torch.float64)


def equation(**options):
    film = tm.Magnet(MESH, 8e5, **options)
    return tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, (0.0, 2e4, 0.0)), 0.1)


def start(seed=0, **options):
    return tm.random(MESH, seed, **options)


def final(llg, alpha, **options):
    """<m_y> after a picosecond of fixed steps, as a function of alpha."""
    return tm.average(tm.solve(llg, START, T, step=1e-13, params={"alpha": alpha}, **options)[-1], llg.magnet)[1]


def difference(llg, alpha=0.1, h=1e-4):
    # Central: error h^2.
    with torch.no_grad():
        return (final(llg, torch.tensor(alpha + h)) - final(llg, torch.tensor(alpha - h))) / (2 * h)


ALPHA = torch.tensor(0.1, dtype=torch.float64)


@pytest.mark.parametrize("call", ["grad", "jvp", "jacrev", "jacfwd", "hessian"])
def test_torch_func_through_solve(call):
    llg = equation()
    of = lambda alpha: final(llg, alpha)
    if call == "jvp":
        _, slope = torch.func.jvp(of, (ALPHA,), (torch.ones_like(ALPHA),))
    elif call == "hessian":
        slope = torch.func.hessian(of)(ALPHA)
        h = 1e-3
        curvature = (difference(llg, 0.1 + h) - difference(llg, 0.1 - h)) / (2 * h)
        assert float(slope) == pytest.approx(float(curvature), rel=1e-4)
        return
    else:
        slope = getattr(torch.func, call)(of)(ALPHA)
    assert float(slope) == pytest.approx(float(difference(llg)), rel=1e-6)


@pytest.mark.parametrize("call", ["vmap", "grad", "jvp"])
def test_torch_func_of_the_right_hand_side(call):
    llg, m, v = equation(), torch.stack([start(0), start(1)]), start(2)
    rate = lambda m: llg(0.0, m) / SCALE
    if call == "vmap":
        torch.testing.assert_close(torch.vmap(rate)(m), rate(m), rtol=1e-12, atol=1e-12)
        return
    h = 1e-6
    expected = (rate(m[0] + h * v) - rate(m[0] - h * v)) / (2 * h)
    if call == "jvp":
        torch.testing.assert_close(torch.func.jvp(rate, (m[0],), (v,))[1], expected, rtol=1e-6, atol=1e-6)
    else:
        slope = torch.func.grad(lambda m: (rate(m) * v).sum())(m[0])
        back = (rate(m[0] + h * v) * v - rate(m[0] - h * v) * v).sum() / (2 * h)
        assert float((slope * v).sum()) == pytest.approx(float(back), rel=1e-6)


def test_torch_func_does_not_reach_through_minimize():
    llg = equation()
    with pytest.raises(TypeError, match="transforms of torch.func do not reach through it; use torch.autograd, or relax"):
        torch.func.grad(lambda H: tm.minimize(llg.energy, START, params={"zeeman.H": H}).sum())(torch.tensor([0.0, 2e4, 1e3]))


def refused():
    """Calls that torch.vmap maps over m0, a parameter, or a layer's m0."""
    llg = equation()
    layer, m = tm.Evolve(llg, T[1]), torch.stack([start(0), start(1)])
    return {
        "solve": lambda: torch.vmap(lambda m: tm.solve(llg, m, T)[-1])(m),
        "params": lambda: torch.vmap(lambda a: tm.solve(llg, m[0], T, params={"alpha": a})[-1])(torch.tensor([0.1, 0.2])),
        "layer": lambda: torch.vmap(layer)(m),
        "grad": lambda: torch.vmap(torch.func.grad(lambda a: final(llg, a)))(torch.tensor([0.1, 0.2])),
        "relax": lambda: torch.vmap(lambda m: tm.relax(llg, m))(m),
        "minimize": lambda: torch.vmap(lambda m: tm.minimize(llg.energy, m))(m),
        "ensemble": lambda: torch.vmap(lambda a: torch.func.functional_call(layer, {"llg.alpha": a}, (m[0],)))(torch.rand(2)),
    }


@pytest.mark.parametrize("kind", refused())
def test_vmap_over_solve_points_to_batches(kind):
    with pytest.raises(TypeError, match=r"torch.vmap does not reach through it.* leading batch dimensions instead"):
        refused()[kind]()


def test_what_vmap_would_give_is_a_batch():
    llg, alpha = equation(), torch.tensor([0.1, 0.2])
    found = tm.solve(llg, start(), T, params={"alpha": alpha.reshape(-1, 1, 1)})[-1]
    for k in range(2):
        torch.testing.assert_close(found[k], tm.solve(llg, start(), T, params={"alpha": alpha[k]})[-1], rtol=0, atol=1e-12)


def test_functional_call():
    llg, other = equation(), equation()
    other.alpha, other.energy.exchange.A = 0.3, 2e-11
    given = {"alpha": torch.tensor(0.3), "energy.exchange.A": torch.tensor(2e-11)}
    expected = other(0.0, start()) / SCALE
    torch.testing.assert_close(torch.func.functional_call(llg, given, (0.0, start())) / SCALE, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(llg(0.0, start(), llg.prepare(given)) / SCALE, expected, rtol=1e-12, atol=0)
    layer = torch.func.functional_call(tm.Evolve(llg, T[1]), {f"llg.{name}": value for name, value in given.items()}, (start(),))
    torch.testing.assert_close(layer, tm.Evolve(other, T[1])(start()), rtol=0, atol=1e-12)
    assert float(llg.alpha) == 0.1  # the module is what it was


def test_compile():
    torch._dynamo.reset()
    llg = equation()
    expected = llg(0.0, start()) / SCALE, tm.solve(llg, start(), T)
    llg.compile(fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(llg(0.0, start()) / SCALE, expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(tm.solve(llg, start(), T), expected[1], rtol=0, atol=1e-12)


def test_export():
    llg, t = equation(), torch.zeros((), dtype=torch.float64)
    program = torch.export.export(llg, (t, start()))
    for seed in (0, 1):
        torch.testing.assert_close(program.module()(t, start(seed)) / SCALE, llg(t, start(seed)) / SCALE, rtol=0, atol=1e-12)


def test_autocast_leaves_the_physics_alone():
    torch.set_default_dtype(torch.float32)
    llg = equation()
    expected = tm.solve(llg, start(), T)
    with torch.autocast("cpu", torch.bfloat16):
        found = tm.solve(llg, start(), T)
    # The same precision; the kernels may differ.
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


class Fit(nn.Module):
    """A film between two layers: its Ku from what it answers to."""

    def __init__(self):
        super().__init__()
        film = tm.Magnet(MESH, 8e5)
        energy = tm.Exchange(film, 1.3e-11) + tm.UniaxialAnisotropy(film, nn.Parameter(torch.tensor(1.0)), (0, 0, 1))
        energy.uniaxial_anisotropy.Ku = tm.Positive(1e4, scale=1e4)
        self.film = tm.Evolve(tm.LLG(energy, 0.1), 5e-12, step=1e-12)
        self.head = nn.Linear(3, 1)

    def forward(self, m):
        return self.head(tm.average(self.film(m), self.film.llg.magnet))

    # The three methods that a LightningModule has.
    def training_step(self, batch, number):
        m, target = batch
        return (self(m)[:, 0] - target).square().mean()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.05)


def data():
    m = torch.stack([start(seed) for seed in range(8)])
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(m, m[:, 2].mean((-1, -2))), batch_size=4)


def test_a_training_loop_in_the_shape_of_lightnings():
    torch.manual_seed(0)
    model = Fit()
    optimizer, losses = model.configure_optimizers(), []
    for _ in range(6):
        for number, batch in enumerate(data()):
            optimizer.zero_grad()
            loss = model.training_step(batch, number)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimizer.step()
            losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    # What a trainer does besides: a state to keep and load, copies, another dtype, no gradients.
    other = Fit()
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    m = next(iter(data()))[0]
    with torch.no_grad():
        assert torch.equal(other.eval()(m), model(m))
        assert other.float()(m.float()).dtype == torch.float32


def test_lightning(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.fit = Fit()

        def training_step(self, batch, number):
            return self.fit.training_step(batch, number)

        def configure_optimizers(self):
            return self.fit.configure_optimizers()

    module = Module()
    before = copy.deepcopy(module.state_dict())
    options = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}
    trainer = lightning.Trainer(max_epochs=1, **options)
    trainer.fit(module, data())
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert {"fit.head.weight", "fit.film.llg.energy.uniaxial_anisotropy.Ku.raw"} <= moved
