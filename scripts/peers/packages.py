"""The packages that have a Python of their own: how each evaluates, runs and waits for its device."""

import json
import sys
import time
from pathlib import Path

from peers.problem import STEP, STEPS, material


def work(name, mesh, options):
    """One package: answers each question with the least time of an evaluation, s, and its peak memory."""
    answers, sys.stdout = sys.stdout, sys.stderr
    n = tuple(map(int, mesh.split("x")))
    makers = {"torchmag": ours, "neuralmag": neuralmag, "magnum.np": magnumnp, "mumax+": mumaxplus}
    before_it = []
    maker = makers[name.split()[0]]
    imported = lambda: before_it.append(memory(options.device))
    call, integrate = maker(n, options, name, imported)
    if options.integrate:
        call = integrate
    for line in sys.stdin:
        call()
        if Path("/proc/self/clear_refs").exists():
            Path("/proc/self/clear_refs").write_text("5")
        best, stop = float("inf"), time.perf_counter() + json.loads(line)["seconds"]
        while time.perf_counter() < stop or best == float("inf"):
            before = time.perf_counter()
            answer = call()
            best = min(best, (time.perf_counter() - before) / (answer if options.integrate else 1))
        print(json.dumps({"seconds": best, "MB": (memory(options.device) - before_it[0]) / 1e6}), file=answers, flush=True)


def memory(device):
    """Peak memory, bytes: of torch or JAX on a GPU, of the process on a CPU since it was reset; NaN where nobody tells."""
    if device != "cpu":
        if "jax" in sys.modules:
            found = sys.modules["jax"].devices()[0].memory_stats() or {}
            return found.get("peak_bytes_in_use", float("nan"))
        torch = sys.modules.get("torch")
        return torch.cuda.max_memory_allocated() if torch is not None and torch.cuda.is_available() else float("nan")
    if not Path("/proc/self/status").exists():
        return float("nan")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def waiting(call, device):
    """The call, and the end of what it started on the device of torch."""
    if device == "cpu":
        return call
    import torch

    def waited():
        answer = call()
        torch.cuda.synchronize()
        return answer

    return waited


def ours(n, options, name, imported):
    import torch

    import torchmag as tm

    imported()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    dx, inside, given = material(n, options.problem)
    mesh = tm.Mesh(n[:2] if n[2] == 1 else n, dx)
    of_cells = lambda x: torch.as_tensor(x.copy(), device=options.device).reshape(mesh.cells) if hasattr(x, "shape") else x
    order = {} if name.endswith("convolution") else {"order": int(name.split()[2])}
    fraction = None if inside is None else of_cells(inside)
    film = tm.Magnet(mesh, given["Ms"], fraction=fraction, dtype=getattr(torch, options.dtype), device=options.device, **order)
    demag = tm.Demag(film)
    if name.endswith("convolution"):
        M = torch.randn(3, *mesh.cells, dtype=film.reference.dtype, device=options.device)
        return waiting(lambda: demag._cell_field(M), options.device), None
    energy = tm.Exchange(film, of_cells(given["A"])) + demag
    if "Ku" in given:
        energy = (
            energy + tm.UniaxialAnisotropy(film, of_cells(given["Ku"]), (0, 0, 1)) + tm.InterfaceDMI(film, of_cells(given["D"]))
        )
        energy = energy + tm.Zeeman(film, (0, 0, given["H"]))
    llg = tm.LLG(energy, alpha=given["alpha"])
    inputs = (
        torch.zeros((), dtype=torch.float64, device=options.device),
        tm.random(mesh, seed=1).to(film.reference),
        llg.prepare(),
    )
    if name.endswith("compiled"):
        llg.compile(fullgraph=True, mode="reduce-overhead")  # for runs: whole steps

    def integrate():
        tm.solve(llg, inputs[1], [0.0, STEPS * STEP], step=STEP, compile=False)
        return 6 * STEPS + 1

    return waiting(lambda: llg(*inputs), options.device), waiting(integrate, options.device)


def neuralmag(n, options, name, imported):
    import neuralmag as nm
    import numpy as np

    imported()
    dx, inside, given = material(n, options.problem)
    cells = n[:2] if n[2] == 1 else n
    state = nm.State(nm.Mesh(list(cells), list(dx), [0.0, 0.0, 0.0]))
    of_cells = lambda x: nm.CellFunction(state, tensor=state.tensor(x.reshape(cells))) if hasattr(x, "shape") else x
    if inside is not None:
        state.rho = of_cells(np.where(inside, 1.0, state.eps))
    state.material.Ms, state.material.A, state.material.alpha = given["Ms"], of_cells(given["A"]), given["alpha"]
    terms = {"exchange": nm.ExchangeField(), "demag": nm.DemagField()}
    if "Ku" in given:
        state.material.Ku, state.material.Ku_axis = of_cells(given["Ku"]), [0, 0, 1]
        state.material.Di, state.material.Di_axis = of_cells(given["D"]), [0, 0, 1]
        terms |= {"anisotropy": nm.UniaxialAnisotropyField(), "dmi": nm.InterfaceDMIField()}
        terms["applied"] = nm.ExternalField(state.tensor([0.0, 0.0, given["H"]]))
    state.m = nm.VectorFunction(state).fill((1.0, 0, 0))
    m = np.random.default_rng(1).normal(size=tuple(state.m.tensor.shape))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    for term, field in terms.items():
        field.register(state, term)
    nm.TotalField(*terms).register(state)
    if name.endswith("torch"):
        import torch
        from neuralmag.backends.torch.llg_solver_torch import llg_rhs

        torch.set_num_threads(options.threads)
        torch.set_grad_enabled(False)
        like = {"dtype": state.m.tensor.dtype, "device": state.m.tensor.device}
        m, t = torch.tensor(m, **like), torch.zeros((), **like)
        rate, times = state.resolve(llg_rhs, ["t", "m"]), state.tensor([0.0, STEPS * STEP])
        solver = nm.LLGSolver(state, solver_options={"method": "rk4", "options": {"step_size": STEP / 1e-9}})

        def integrate():
            solver.solve(times)
            return 4 * STEPS

        return waiting(lambda: rate(t, m), options.device), waiting(integrate, options.device)
    import diffrax
    import jax
    from neuralmag.backends.jax.llg_solver_jax import llg_rhs

    m = jax.numpy.asarray(m, dtype=state.m.tensor.dtype)
    rate = jax.jit(state.resolve(llg_rhs, ["t", "m"]))
    solver = nm.LLGSolver(state)
    solver._stepsize_controller, solver._dt0 = diffrax.ConstantStepSize(), STEP
    solve, times = jax.jit(lambda t: solver.solve(t).ys), state.tensor([0.0, STEPS * STEP])

    def integrate():
        solve(times).block_until_ready()
        return 6 * STEPS + 1

    return lambda: rate(0.0, m).block_until_ready(), integrate


def magnumnp(n, options, name, imported):
    import magnumnp as mn
    import torch

    imported()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(getattr(torch, options.dtype))
    dx, inside, given = material(n, options.problem)
    state = mn.State(mn.Mesh(n, dx))
    of_cells = lambda x: torch.tensor(x.copy())[..., None] if hasattr(x, "shape") else x
    Ms = given["Ms"] if inside is None else torch.tensor(inside.copy())[..., None] * given["Ms"]
    state.material = {"Ms": Ms, "A": of_cells(given["A"]), "alpha": given["alpha"]}
    terms = [mn.DemagField(), mn.ExchangeField()]
    if "Ku" in given:
        state.material["Ku"], state.material["Ku_axis"] = of_cells(given["Ku"]), [0, 0, 1]
        state.material["Di"] = of_cells(given["D"])
        terms += [mn.UniaxialAnisotropyField(), mn.InterfaceDMIField(), mn.ExternalField(torch.tensor([0.0, 0.0, given["H"]]))]
    m = torch.nn.functional.normalize(torch.randn(*n, 3), dim=-1)
    state.m = m
    llg = mn.LLGSolver(terms)
    calls = [0]

    def counted(*arguments, **options):
        calls[0] += 1
        return llg.dm(*arguments, **options)

    runner = mn.LLGSolver([])
    runner._solver = mn.RKF45(counted)

    def integrate():
        state.t, state.m, calls[0] = 0.0, m, 0
        for _ in range(STEPS):
            runner.step(state, STEP)
        return calls[0]

    return waiting(lambda: llg.dm(0.0, m, state), options.device), waiting(integrate, options.device)


def mumaxplus(n, options, name, imported):
    import mumaxplus as mp

    if options.problem != "exchange":
        raise SystemExit("mumax+ is compared on exchange and stray field")

    imported()
    world = mp.World((5e-9, 5e-9, 3e-9))
    magnet = mp.Ferromagnet(world, mp.Grid(n))
    magnet.msat, magnet.aex, magnet.alpha = 8e5, 1.3e-11, 0.02
    solver = world.timesolver
    solver.set_method("Fehlberg")  # its default
    solver.adaptive_timestep, solver.timestep = False, STEP

    def integrate():
        solver.steps(STEPS)
        magnet.magnetization.average()  # waits: a number of the last state
        return 6 * STEPS

    # Evaluated on the GPU and copied: its Python interface has no other way to evaluate once.
    return lambda: magnet.torque.eval(), integrate
