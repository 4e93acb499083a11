"""Numbers of a device beside those of the CPU without compilation, float64: one JSON line for each check, as it ends.

    python scripts/gpu_report/checks.py eager --device cuda

"searches" are compiled searches and gradients, "replays" whole steps where gradients and later calls replay them.  The difference is the largest of all components over the largest of the numbers; its bound allows for rounding, which a run and a search carry on.
"""

import argparse
import json
import time

import torch

import torchmag as tm
from torchmag import noise

NM = 1e-9
MESH = tm.Mesh((24, 18), (4 * NM, 5 * NM, 3 * NM))
CHECKS = {}


def check(group, bound, quick=False):
    """Registers a function of an equation's maker and a start, which gives numbers; run on both sides."""

    def register(function):
        CHECKS[function.__name__.replace("_", " ")] = group, bound, quick, function
        return function

    return register


def body(device, mesh=MESH, order=6):
    """A disk, so that there are empty cells."""
    axes = [torch.arange(n, dtype=torch.float64) + 0.5 - n / 2 for n in mesh.cells]
    inside = (axes[0][:, None] / mesh.cells[0]) ** 2 + (axes[1] / mesh.cells[1]) ** 2 < 0.25
    return tm.Magnet(mesh, 8e5, fraction=inside.double().to(device), dtype=torch.float64, device=device, order=order)


def equation(device, whole=True, **options):
    """Five terms on a disk, or exchange and stray field on a film."""
    if not whole:
        magnet = tm.Magnet(tm.Mesh((8, 4), (5 * NM, 5 * NM, 3 * NM)), 8e5, dtype=torch.float64, device=device)
        return tm.LLG(tm.Exchange(magnet, 1e-11) + tm.Demag(magnet), 0.1, **options)
    magnet = body(device)
    energy = tm.Exchange(magnet, 1e-11) + tm.Demag(magnet) + tm.UniaxialAnisotropy(magnet, 2e4, (0.0, 0.6, 0.8))
    return tm.LLG(energy + tm.InterfaceDMI(magnet, 1e-3) + tm.Zeeman(magnet, drive), 0.1, **options)


def drive(t):
    return 1e4 * torch.stack([t * 1e11, t * 0, t * 0 + 1])


def start(device, *batch, mesh=MESH):
    noisy = 0.1 * torch.randn(*batch, 3, *mesh.nodes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    m = tm.uniform(mesh, (1, 0.3, 0.2), dtype=torch.float64, device="cpu") + noisy
    return torch.nn.functional.normalize(m, dim=-mesh.dim - 1).to(device)


def small(device):
    """4096 small samples."""
    return start(device, 4096, mesh=tm.Mesh((8, 4), (5 * NM, 5 * NM, 3 * NM)))


def compiled(llg, device, **options):
    """Compiled where it is compared, plain on the side that it is compared with."""
    if device != "reference":
        torch._dynamo.reset()
        llg.compile(fullgraph=True, **options)
    return llg


def of(device):
    return "cpu" if device == "reference" else device


WHOLE = {"mode": "reduce-overhead"}


@check("eager", 1e-11, quick=True)
def fields_of_every_term(device):
    llg = equation(of(device))
    return torch.stack(torch.broadcast_tensors(*llg.fields(start(of(device), 2), 1e-12).values()))


def solved(device, batch=(), compile=None, **solve):
    llg = equation(of(device))
    if compile is not None:
        compiled(llg, device, **compile)
    with torch.no_grad():
        return tm.solve(llg, start(of(device), *batch), [0, 3e-13, 1e-12], compile=False, **solve)


for name, given in {
    "dopri5": {}, "gyro5": {"method": "gyro5"}, "tsit5": {"method": "tsit5"}, "bosh3": {"method": "bosh3"}, "rk4": {"method": "rk4", "step": 1e-13},
    "heun": {"method": "heun", "step": 1e-13}, "dopri8": {"method": "dopri8"},
}.items():  # fmt: skip
    CHECKS[f"solve, {name}"] = "eager", 1e-9, name == "dopri5", lambda device, given=given: solved(device, **given)


@check("eager", 1e-9)
def explicit_adams(device):
    return solved(device, method="explicit_adams", step=2e-14)


@check("eager", 1e-9)
def a_batch_with_steps_of_their_own(device):
    llg, where = equation(of(device)), of(device)
    alpha = torch.tensor([0.02, 0.5, 1.0], dtype=torch.float64, device=where).reshape(3, 1, 1)
    return tm.solve(llg, start(where, 3), [0, 1e-12], params={"alpha": alpha}, compile=False)


@check("eager", 1e-9)
def a_batch_of_4096(device):
    return tm.solve(equation(of(device), False), small(of(device)), [0, 1e-12], compile=False)


@check("eager", 1e-8, quick=True)
def gradient(device, compile=None, **options):
    llg, where = equation(of(device)), of(device)
    if compile is not None:
        compiled(llg, device, **compile)
    m = start(where).requires_grad_()
    alpha = torch.tensor(0.1, dtype=torch.float64, device=where, requires_grad=True)
    last = tm.solve(llg, m, [0, 5e-13], params={"alpha": alpha}, compile=False, **options)[-1]
    return torch.cat([x.reshape(-1) for x in torch.autograd.grad(last[0].sum(), (m, alpha))])


@check("eager", 1e-8)
def gradient_by_the_adjoint(device):
    return gradient(device, gradient="adjoint", check=False)


@check("eager", 1e-6, quick=True)
def minimize(device, **options):
    llg = equation(of(device))
    return tm.minimize(llg.energy, start(of(device)), tolerance=1e-9, **options)


@check("eager", 1e-6)
def minimize_by_BB(device):
    return minimize(device, method="bb")


@check("eager", 1e-6)
def relax(device, **options):
    return tm.relax(equation(of(device)), start(of(device)), tolerance=1e-9, **options)


@check("eager", 1e-5)
def implicit_gradient(device):
    llg, where = equation(of(device)), of(device)
    Ku = torch.tensor(2e4, dtype=torch.float64, device=where, requires_grad=True)
    m = tm.minimize(llg.energy, start(where), params={"uniaxial_anisotropy.Ku": Ku}, tolerance=1e-9)
    return torch.autograd.grad(m[1].sum(), Ku)[0].reshape(1)


@check("eager", 1e-14, quick=True)
def noise_of_a_seed(device):
    where = of(device)
    number = lambda value: torch.tensor(value, device=where)
    return noise.normal(number(7), number(1), number(3), 100_001)


@check("eager", 1e-9)
def a_thermal_run(device):
    llg = equation(of(device))
    hot = tm.LLG(llg.energy, 0.1, temperature=tm.ThermalField(llg.magnet, 300.0, seed=1))
    return tm.solve(hot, start(of(device)), [0, 2e-13], step=1e-14)


@check("compiled", 1e-11, quick=True)
def a_compiled_right_hand_side(device):
    llg = compiled(equation(of(device)), device)
    with torch.no_grad():
        return llg(1e-12, start(of(device)))


@check("compiled", 1e-9)
def solve_compiled(device):
    return solved(device, compile={})


@check("compiled", 1e-9)
def solve_a_batch_compiled(device):
    return solved(device, batch=(3,), compile={})


@check("searches", 1e-8)
def gradient_compiled(device):
    return gradient(device, compile={})


@check("compiled", 1e-9)
def a_batch_of_4096_compiled(device):
    llg = compiled(equation(of(device), False), device)
    return tm.solve(llg, small(of(device)), [0, 1e-12], compile=False)


@check("searches", 1e-6)
def minimize_compiled(device):
    return minimize(device, compile=device != "reference")


@check("searches", 1e-6)
def relax_compiled(device):
    return relax(device, compile=device != "reference")


@check("whole steps", 1e-9, quick=True)
def solve_in_whole_steps(device):
    return solved(device, compile=WHOLE)


@check("whole steps", 1e-9)
def fixed_whole_steps(device):
    return solved(device, compile=WHOLE, method="rk4", step=1e-13)


@check("whole steps", 1e-9)
def a_batch_in_whole_steps(device):
    return solved(device, batch=(3,), compile=WHOLE)


@check("whole steps", 1e-9)
def a_batch_of_4096_in_whole_steps(device):
    llg = compiled(equation(of(device), False), device, **WHOLE)
    return tm.solve(llg, small(of(device)), [0, 1e-12], compile=False)


@check("replays", 1e-8)
def gradient_in_whole_steps(device):
    return gradient(device, compile=WHOLE)


@check("replays", 1e-9)
def results_that_later_replays_leave_alone(device):
    """A rate and a run, read after other calls have replayed the same graphs."""
    llg, m = compiled(equation(of(device)), device, **WHOLE), start(of(device))
    with torch.no_grad():
        rate, run = llg(0.0, m), tm.solve(llg, m, [0, 5e-13], compile=False)
        llg(0.0, -m), tm.solve(llg, -m, [0, 5e-13], compile=False)
    return torch.cat([(rate / 1e12).reshape(-1), run.reshape(-1)])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("group", choices=sorted({group for group, *_ in CHECKS.values()}))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    for name, (group, bound, quick, function) in CHECKS.items():
        if group == options.group and (quick or not options.quick):
            print(json.dumps({"check": name, "bound": bound} | compared(function, options.device)), flush=True)


def compared(function, device):
    """How far the device is from the CPU, or why that is not known."""
    begin = time.perf_counter()
    try:
        expected, found = function("reference").detach(), function(device).detach().cpu()
        difference = float((found - expected).abs().max() / expected.abs().max())
        answer = {"difference": difference if difference == difference else float("inf")}
    except Exception as error:
        text = (str(error).strip() or "no message").splitlines()[0]
        answer = {"failed": f"{type(error).__name__}: {text}"[:300]}
    return answer | {"seconds": round(time.perf_counter() - begin, 1)}


if __name__ == "__main__":
    main()
