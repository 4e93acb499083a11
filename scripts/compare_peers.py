"""The LLG right-hand side of torchmag beside that of other packages: one problem, one machine, in turns.

    python scripts/compare_peers.py --peers ~/.cache/torchmag-peers --oommf ~/oommf/oommf.tcl --plot ratios.png
    python scripts/compare_peers.py --peers ~/.cache/torchmag-peers --problem disk --meshes 128x128x1 512x512x1 64x64x64

Exchange (13e-12 J/m), demagnetising field, Ms = 8e5 A/m, alpha = 0.02, cells of 5 x 5 x 3 nm^3, m random.  --problem film: with uniaxial
anisotropy, interface DMI and an applied field, cells of 1 nm; disk: the same in a disk (of 64x64x64 a cylinder); disk-maps: and A, Ku and D differ
from cell to cell by 10 %; OOMMF has the first problem only.  --peers is a virtual environment
that is made on first use.  Every package has a process of its own; within a turn each is timed once, so that other load hits all alike;
the minimum over the turns counts.  "convolution" is that of our demagnetising field alone, the floor that its transforms set.  OOMMF is timed as a run: the wall time that more steps take, over the evaluations that they make, and so
with the overhead of its stages.  With --integrate all are (the protocol of Abert et al. 2024, Fig. 6): each integrates STEPS steps of 1 fs, by
Dormand and Prince's method, or what it has instead (NeuralMag with torch: RK4, magnum.np: RKF45), and the time is divided by the evaluations.
"""

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench_rhs import MESHES, ask, machine

PACKAGES = {
    "neuralmag torch": ("neuralmag", "torch", "torchdiffeq"),
    "neuralmag jax": ("neuralmag[jax]",),
    "magnum.np": ("magnumnp", "torch"),
    "mumax+": (),  # built from source by the user, for CUDA only
}
STEPS, STEP = 20, 1e-15
# A and D in J/m and J/m^2, Ku in J/m^3, H in A/m along z.
MATERIAL = {"Ms": 1e6, "A": 1.3e-11, "Ku": 8e5, "D": 3e-3, "H": 8e4, "alpha": 0.1}
PROBLEMS = ("exchange", "film", "disk", "disk-maps")
MIF = """# MIF 2.1
Parameter limit 10
set size [list {size}]
Specify Oxs_BoxAtlas:atlas [subst {{ xrange {{0 [lindex $size 0]}} yrange {{0 [lindex $size 1]}} zrange {{0 [lindex $size 2]}} }}]
Specify Oxs_RectangularMesh:mesh {{ cellsize {{5e-9 5e-9 3e-9}} atlas :atlas }}
Specify Oxs_UniformExchange {{ A 13e-12 }}
Specify Oxs_Demag {{}}
Specify Oxs_RungeKuttaEvolve:ev {{ gamma_G 2.211e5 alpha 0.02 method rkf54 error_rate 1 absolute_step_error 1 relative_step_error 1
  min_timestep 1e-15 max_timestep 1e-15 }}
Specify Oxs_TimeDriver [subst {{ basename out evolver :ev mesh :mesh Ms 8e5 stopping_time 1e-6 stage_count 1
  total_iteration_limit $limit m0 {{ Oxs_RandomVectorField {{ min_norm 1 max_norm 1 }} }} }}]
Destination archive mmArchive
Schedule DataTable archive Step 1
"""


def main():
    options = arguments()
    if options.worker:
        return work(options.worker, options.meshes[0], options)
    print(machine() + f"; {options.problem}, {options.dtype}, {options.threads} threads; ms, minimum over {options.turns} turns")
    floor = [] if options.integrate else ["torchmag convolution"]
    own = [f"torchmag order {order}{kind}" for order in options.orders for kind in ("", " compiled")]
    names = [*own, *floor, *available(options.peers)] + (["oommf"] if options.oommf and options.problem == "exchange" else [])
    print("| mesh | " + " | ".join(names) + " | fastest peer / ours | ours / convolution |\n|" + "---|" * (len(names) + 3))
    found, memory = {}, {}
    for mesh in options.meshes:
        row, memory[mesh] = compare(mesh, names, options)
        found[mesh] = row
        peers = [row[name] for name in names if not name.startswith("torchmag") and row[name]]
        compiled, alone = row[own[1]], row.get("torchmag convolution")
        ratios = [
            f"{min(peers) / compiled:.2f}" if peers and compiled else "-",
            f"{compiled / alone:.2f}" if compiled and alone else "-",
        ]
        print(
            f"| {mesh} | " + " | ".join([*(f"{row[name]:.3g}" if row[name] else "-" for name in names), *ratios]) + " |",
            flush=True,
        )
    print(machine())
    in_process = [name for name in names if name != "oommf"]
    print("\nPeak memory of a call, MB, over that of the process with the package imported")
    print("| mesh | " + " | ".join(in_process) + " |\n|" + "---|" * (len(in_process) + 1))
    for mesh, row in memory.items():
        print(f"| {mesh} | " + " | ".join(f"{row[name]:.0f}" if row.get(name) else "-" for name in in_process) + " |")
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "ms": found, "MB": memory}, indent=1))
    if options.plot:
        plot(found, names, options.plot)
    if options.growth:
        plot_growth(found, names, options.growth)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshes", nargs="+", default=MESHES)
    parser.add_argument("--problem", default="exchange", choices=PROBLEMS)
    parser.add_argument(
        "--orders", nargs="+", type=int, default=[6, 2], help="of accuracy in space, of torchmag; the first counts in the ratios"
    )
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--integrate", action="store_true", help="time runs over their evaluations, not calls")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each package in each turn")
    parser.add_argument("--peers", type=Path, help="virtual environment of the other packages")
    parser.add_argument("--oommf", nargs="+", help="what starts OOMMF: its oommf.tcl, or a command")
    parser.add_argument(
        "--compile-peers", action="store_true", help="NeuralMag's torch backend with torch.compile: takes minutes a mesh"
    )
    parser.add_argument("--json", help="also write the numbers there")
    parser.add_argument("--plot", help="and a picture of the ratios there")
    parser.add_argument("--growth", help="and a picture of the times over the number of cells there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def available(peers):
    """The peers that can be imported, their environment made if there is none."""
    if peers is None:
        return []
    if not (peers / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", peers], check=True)
        wanted = sorted({name for names in PACKAGES.values() for name in names})
        subprocess.run([peers / "bin/pip", "install", "--quiet", *wanted], check=True)
    imports = {
        "neuralmag torch": "neuralmag, torch",
        "neuralmag jax": "neuralmag, jax",
        "magnum.np": "magnumnp",
        "mumax+": "mumaxplus",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [
        name
        for name, what in imports.items()
        if not subprocess.run([peers / "bin/python", "-c", f"import {what}"], **quiet).returncode
    ]


def compare(mesh, names, options):
    """{name: ms} and {name: MB} on one mesh; None where a package fails."""
    given = ["--meshes", mesh, "--dtype", options.dtype, "--threads", str(options.threads), *["--integrate"] * options.integrate]
    given += ["--problem", options.problem]
    workers = {name: start_worker(name, __file__, given, options) for name in names if name != "oommf"}
    times, memory = {name: [] for name in names}, {}
    for turn in range(options.turns + 1):
        for name in names:
            if name == "oommf":
                times[name] += [time_oommf(mesh, options)] if turn else []
            elif workers[name] is not None:
                try:
                    answer = ask(workers[name], {"seconds": options.seconds if turn else 0.0})
                    # Before the first turn all are to be ready: a set-up beside it would be timed with it.
                    times[name] += [answer["seconds"]] if turn else []
                    memory[name] = answer["MB"]
                except (RuntimeError, BrokenPipeError):
                    workers[name] = None
    for worker in filter(None, workers.values()):
        worker.stdin.close()
        worker.wait()
    return {name: min(sample) * 1e3 if sample else None for name, sample in times.items()}, memory


def start_worker(name, script, arguments, options):
    """A process of one package: `script --worker NAME ...`, in the Python that has it."""
    python = sys.executable if name.startswith("torchmag") else options.peers / "bin/python"
    command = [python, script, "--worker", name, *arguments]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "NM_BACKEND": name.split()[-1],
        "NM_DTYPE": getattr(options, "dtype", "float64"),
        "NM_DEVICE": "cpu",
        "NM_TORCH_COMPILE": str(int(getattr(options, "compile_peers", False))),
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cpu",
    }
    if name == "neuralmag jax":
        # XLA takes as many threads as the process may use cores.
        command = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[: options.threads])), *command]
    log = None if name.startswith("torchmag") else subprocess.DEVNULL
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)


def work(name, mesh, options):
    """One package: answers each question with the least time of an evaluation, s, and its peak memory."""
    answers, sys.stdout = sys.stdout, sys.stderr
    n = tuple(map(int, mesh.split("x")))
    makers = {"torchmag": ours, "neuralmag": neuralmag, "magnum.np": magnumnp, "mumax+": mumaxplus}
    before_it = []
    maker = makers[name.split()[0]]
    imported = lambda: before_it.append(memory())
    call, integrate = maker(n, options.dtype, options.threads, name, imported, options.problem)
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
        print(json.dumps({"seconds": best, "MB": (memory() - before_it[0]) / 1e6}), file=answers, flush=True)


def memory():
    """Peak resident memory of the process since it was reset, bytes."""
    if not Path("/proc/self/status").exists():
        return float("nan")
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def material(n, problem):
    """Cell size, which cells are magnetic or None, and the parameters, numpy arrays where they are maps."""
    import numpy as np

    if problem == "exchange":
        return (5e-9, 5e-9, 3e-9), None, {"Ms": 8e5, "A": 1.3e-11, "alpha": 0.02}
    found, inside = dict(MATERIAL), None
    if problem != "film":
        x, y = (np.arange(count) + 0.5 - count / 2 for count in n[:2])
        inside = np.broadcast_to(((x[:, None] / n[0]) ** 2 + (y / n[1]) ** 2 < 0.25)[..., None], n)
    if problem == "disk-maps":
        draw = np.random.default_rng(0)
        found |= {name: found[name] * (1 + 0.1 * draw.uniform(-1, 1, n)) for name in ("A", "Ku", "D")}
    return (1e-9,) * 3, inside, found


def ours(n, dtype, threads, name, imported, problem):
    import torch

    import torchmag as tm

    imported()
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    dx, inside, given = material(n, problem)
    mesh = tm.Mesh(n[:2] if n[2] == 1 else n, dx)
    of_cells = lambda x: torch.as_tensor(x.copy()).reshape(mesh.cells) if hasattr(x, "shape") else x
    order = {} if name.endswith("convolution") else {"order": int(name.split()[2])}
    fraction = None if inside is None else of_cells(inside)
    film = tm.Magnet(mesh, given["Ms"], fraction=fraction, dtype=getattr(torch, dtype), **order)
    demag = tm.Demag(film)
    if name.endswith("convolution"):
        M = torch.randn(3, *mesh.cells, dtype=film.reference.dtype)
        return lambda: demag._cell_field(M), None
    energy = tm.Exchange(film, of_cells(given["A"])) + demag
    if "Ku" in given:
        energy = (
            energy + tm.UniaxialAnisotropy(film, of_cells(given["Ku"]), (0, 0, 1)) + tm.InterfaceDMI(film, of_cells(given["D"]))
        )
        energy = energy + tm.Zeeman(film, (0, 0, given["H"]))
    llg = tm.LLG(energy, alpha=given["alpha"])
    inputs = torch.zeros((), dtype=torch.float64), tm.random(mesh, seed=1).to(film.reference), llg.prepare()
    if name.endswith("compiled"):
        llg.compile(fullgraph=True, mode="reduce-overhead")  # for runs: whole steps

    def integrate():
        tm.solve(llg, inputs[1], [0.0, STEPS * STEP], step=STEP)
        return 6 * STEPS + 1

    return lambda: llg(*inputs), integrate


def neuralmag(n, dtype, threads, name, imported, problem):
    import neuralmag as nm
    import numpy as np

    imported()
    dx, inside, given = material(n, problem)
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

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        m, t = torch.tensor(m, dtype=state.m.tensor.dtype), torch.zeros((), dtype=state.m.tensor.dtype)
        rate, times = state.resolve(llg_rhs, ["t", "m"]), state.tensor([0.0, STEPS * STEP])
        solver = nm.LLGSolver(state, solver_options={"method": "rk4", "options": {"step_size": STEP / 1e-9}})

        def integrate():
            solver.solve(times)
            return 4 * STEPS

        return lambda: rate(t, m), integrate
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


def magnumnp(n, dtype, threads, name, imported, problem):
    import magnumnp as mn
    import torch

    imported()
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(getattr(torch, dtype))
    dx, inside, given = material(n, problem)
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

    return lambda: llg.dm(0.0, m, state), integrate


def mumaxplus(n, dtype, threads, name, imported, problem):
    import mumaxplus as mp

    if problem != "exchange":
        raise SystemExit("mumax+ is compared on exchange and stray field")

    imported()
    magnet = mp.Ferromagnet(mp.World((5e-9, 5e-9, 3e-9)), mp.Grid(n))
    magnet.msat, magnet.aex, magnet.alpha = 8e5, 1.3e-11, 0.02
    # Evaluated on the GPU and copied: its Python interface has no other way to evaluate once.
    return lambda: magnet.torque.eval(), None


def time_oommf(mesh, options):
    """Seconds per evaluation, set-up taken off by the difference of a short and a long run."""
    command = options.oommf if len(options.oommf) > 1 or not options.oommf[0].endswith(".tcl") else ["tclsh", *options.oommf]
    size = [int(count) * h for count, h in zip(mesh.split("x"), (5e-9, 5e-9, 3e-9))]
    steps = max(5, int(2e6 / (size[0] * size[1] * size[2] / 75e-27)))
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # OOMMF may run as another user
        path = Path(folder, "run.mif")
        path.write_text(MIF.format(size=" ".join(map(repr, size))))
        for limit in (2, 2 + min(steps, 400)):
            extra = ["boxsi", "+fg", "-threads", str(options.threads), "-parameters", f"limit {limit}", "-kill", "all", str(path)]
            before = time.perf_counter()
            # A session of its own: "-kill all" may end the whole process group.
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
            subprocess.run([*command, *extra], cwd=folder, check=True, start_new_session=True, **quiet)
            table = Path(folder, "out.odt").read_text()
            runs.append((time.perf_counter() - before, evaluations(table)))
            Path(folder, "out.odt").unlink()
    return (runs[1][0] - runs[0][0]) / (runs[1][1] - runs[0][1])


def evaluations(table):
    """The last "Energy calc count" of an ODT table."""
    return column(table, "Energy calc count")[-1]


def column(table, title):
    """The numbers under the first title of an ODT table that ends so."""
    columns = next(line for line in table.splitlines() if line.startswith("# Columns:"))
    titles = [braced or plain for braced, plain in re.findall(r"{([^}]*)}|(\S+)", columns.removeprefix("# Columns:"))]
    number = next(i for i, text in enumerate(titles) if text.endswith(title))
    return [float(line.split()[number]) for line in table.splitlines() if not line.startswith("#")]


def _ours(names):
    """What the others are compared with: the first that is compiled."""
    return next(name for name in names if name.endswith("compiled"))


def plot_axes():
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, 4), layout="constrained")


def plot(found, names, path):
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = plot_axes()
    for name in names:
        if not name.startswith("torchmag"):
            ratios = {mesh: row[name] / row[_ours(names)] for mesh, row in found.items() if row[name]}
            axes.semilogy(ratios.keys(), ratios.values(), "o", label=name)
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set(xlabel="cells", ylabel="time / that of torchmag, compiled")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside upper center", ncol=4)
    figure.savefig(path, dpi=120)


def plot_growth(found, names, path):
    """Time over the number of cells: films as lines, bodies dashed."""
    figure, axes = plot_axes()
    for number, name in enumerate(names):
        for film in (True, False):
            points = {cells(mesh): row[name] for mesh, row in found.items() if row[name] and mesh.endswith("x1") == film}
            style = {"linewidth": 2.5 if name == _ours(names) else 1, "color": f"C{number}"}
            axes.loglog(points.keys(), points.values(), "o-" if film else "s--", label=name if film else None, **style)
    axes.set(xlabel="cells (dashed: as many along each axis)", ylabel="ms for one right-hand side")
    figure.legend(loc="outside right center")
    figure.savefig(path, dpi=120)


def cells(mesh):
    return math.prod(map(int, mesh.split("x")))


if __name__ == "__main__":
    main()
