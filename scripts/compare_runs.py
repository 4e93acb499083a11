"""muMAG standard problem 4 as a whole, torchmag beside other packages: time for 1 ns over the error that is made.

    python scripts/compare_runs.py --peers ~/.cache/torchmag-peers --oommf ~/oommf/oommf.tcl --plot runs.png

Field 1, cells of --cell nm, float64, from the same s-state (minimised by torchmag, averaged over the cells for packages with values
there).  Every package runs with several tolerances; its error is its difference to the same package at its tightest, so that only the integration
in time is judged: the largest at 20 times, of the root mean square of the length of the difference in m, and of <m>.  Compilation and set-up are not counted; of --turns runs each, in
turns, the fastest counts.  OOMMF is timed as a process, less one that stops at once.  "whole": llg.compile(mode="reduce-overhead").
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_rhs import ask, machine
from compare_peers import available, start_worker
from peers.pictures import plot_axes

FIELD = (-24.6e-3, 4.3e-3, 0.0)  # T
MU_0 = 4e-7 * np.pi
TOLERANCES = {
    "torchmag gyro5": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "torchmag dopri5": (1e-3, 1e-4, 1e-5, 1e-6),
    "torchmag gyro5 whole": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "torchmag dopri5 whole": (1e-3, 1e-4, 1e-5, 1e-6),
    "neuralmag torch": (1e-4, 1e-5),
    "neuralmag jax": (1e-3, 1e-4, 1e-5, 1e-6),
    "magnum.np": (1e-3, 1e-4, 1e-5, 1e-6),
    "oommf": (1.0, 0.1, 0.01, 0.001),  # absolute_step_error, degrees
}
TIGHT = {"oommf": 1e-5}
MIF = """# MIF 2.1
Parameter error 0.1
Parameter stages 20
Parameter stop 5e-11
Specify Oxs_BoxAtlas:atlas {{ xrange {{0 500e-9}} yrange {{0 125e-9}} zrange {{0 3e-9}} }}
Specify Oxs_RectangularMesh:mesh {{ cellsize {{{cell} {cell} 3e-9}} atlas :atlas }}
Specify Oxs_UniformExchange {{ A 13e-12 }}
Specify Oxs_Demag {{}}
Specify Oxs_FixedZeeman {{ field {{ {field} }} }}
Specify Oxs_FileVectorField:m0 {{ atlas :atlas norm 1 file {start} }}
Specify Oxs_RungeKuttaEvolve:ev [subst {{ gamma_G 2.211e5 alpha 0.02 method rkf54 error_rate -1 relative_step_error -1
  absolute_step_error $error }}]
Specify Oxs_TimeDriver [subst {{ basename out evolver :ev mesh :mesh Ms 8e5 stopping_time $stop stage_count $stages m0 :m0 }}]
Destination archive mmArchive
Schedule Oxs_TimeDriver::Magnetization archive Stage 1
"""


def main():
    options = arguments()
    if options.worker:
        return work(options.worker, options.start, options.threads)
    print(machine() + f"; float64, {options.threads} threads, cells of {options.cell:g} nm; s, minimum over {options.turns} runs")
    ours = [name for name in TOLERANCES if name.startswith("torchmag")]
    names = [*ours, *(name for name in available(options) if name in TOLERANCES)]
    names += ["oommf"] if options.oommf else []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # OOMMF may run as another user
        start = write_start(Path(folder), options.cell * 1e-9)
        found = measure(names, start, options)
    print("| program | tolerance | s | error of m | error of <m> |\n|---|---|---|---|---|")
    for name, points in found.items():
        for tolerance, (seconds, error, of_mean) in points.items():
            print(f"| {name} | {tolerance:g} | {seconds:.2f} | {error:.1e} | {of_mean:.1e} |")
    print(machine())
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(), "points": found}, indent=1))
    if options.plot:
        plot(found, options)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", type=float, default=5.0, help="nm")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--peers", type=Path, help="virtual environment of the other packages")
    parser.add_argument("--oommf", nargs="+", help="what starts OOMMF: its oommf.tcl, or a command")
    parser.add_argument("--json", help="also write the numbers there")
    parser.add_argument("--plot", help="and a picture of them there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    return parser.parse_args()


def write_start(folder, cell):
    """The s-state at the nodes and in the cells, components last, and as OVF; its path."""
    import torch

    import torchmag as tm

    torch.set_default_dtype(torch.float64)
    mesh = tm.Mesh((round(500e-9 / cell), round(125e-9 / cell)), (cell, cell, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    m = tm.minimize(tm.Exchange(film, 1.3e-11) + tm.Demag(film), tm.uniform(mesh, (1, 0.25, 0.1)))
    cells = torch.nn.functional.normalize((m[:, 1:, 1:] + m[:, :-1, 1:] + m[:, 1:, :-1] + m[:, :-1, :-1]) / 4, dim=0)
    np.savez(folder / "start.npz", cell=cell, nodes=m.movedim(0, -1).numpy(), cells=cells.movedim(0, -1).numpy())
    tm.io.write_ovf(folder / "start.ovf", cells, mesh, at="cells")
    return folder / "start.npz"


def measure(names, start, options):
    """{name: {tolerance: (s, error of m, error of <m>)}}."""
    workers = {
        name: start_worker(name, __file__, ["--start", str(start), "--threads", str(options.threads)], options)
        for name in names
        if name != "oommf"
    }

    def ask_for(name, tolerance):
        answer = ask(workers[name], {"tolerance": tolerance})
        return answer | {"m": np.load(answer["m"])}

    run = {name: functools.partial(ask_for, name) for name in workers}
    if "oommf" in names:
        run["oommf"] = functools.partial(run_oommf, start, options)
    points = [(name, tolerance) for name in names for tolerance in TOLERANCES[name]]
    exact = {name: run[name](TIGHT.get(name, 1e-9))["m"] for name in names}
    found = {name: {} for name in names}
    for _ in range(options.turns):
        for name, tolerance in points:
            answer = run[name](tolerance)
            seconds = min(answer["seconds"], found[name].get(tolerance, (np.inf,))[0])
            error = answer["m"] - exact[name]  # (times, x, y, 3)
            of_m = np.sqrt((error**2).sum(-1).mean((1, 2))).max()
            found[name][tolerance] = seconds, float(of_m), float(np.abs(error.mean((1, 2))).max())
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return found


def work(name, start, threads):
    """One package: answers each tolerance with the time of a run and a file of m at 20 times, (times, x, y, 3)."""
    answers, sys.stdout = sys.stdout, sys.stderr
    data = np.load(start)
    make = {"torchmag": ours, "neuralmag": neuralmag, "magnum.np": magnumnp}[name.split()[0]](data, threads, name)
    made = {}
    for line in sys.stdin:
        tolerance = json.loads(line)["tolerance"]
        if tolerance not in made:
            made[tolerance] = make(tolerance)
            made[tolerance](2)  # compiles
        before = time.perf_counter()
        m = made[tolerance](20)
        seconds = time.perf_counter() - before
        path = Path(start).with_name(f"{name} {tolerance}.npy")
        np.save(path, np.asarray(m))
        print(json.dumps({"seconds": seconds, "m": str(path)}), file=answers, flush=True)


def ours(data, threads, name):
    import torch

    import torchmag as tm

    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    cell, m0 = float(data["cell"]), torch.tensor(data["nodes"]).movedim(-1, 0).contiguous()
    mesh = tm.Mesh(tuple(n - 1 for n in m0.shape[1:]), (cell, cell, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, torch.tensor(FIELD) / MU_0)
    llg = tm.LLG(energy, alpha=0.02, gamma=2.211e5)
    _, method, *steps = name.split()
    llg.compile(fullgraph=True, **({"mode": "reduce-overhead"} if steps else {}))

    def make(tolerance):
        def run(count):
            t = torch.linspace(0, 5e-11 * count, count + 1)
            return tm.solve(llg, m0, t, method=method, rtol=tolerance, atol=tolerance)[1:].movedim(1, -1)

        return run

    return make


def neuralmag(data, threads, name):
    import neuralmag as nm

    nm.logging.set_log_level(40) if hasattr(getattr(nm, "logging", None), "set_log_level") else None
    cell, shape = float(data["cell"]), data["nodes"].shape[:2]

    def make(tolerance):
        state = nm.State(nm.Mesh([n - 1 for n in shape], [cell, cell, 3e-9], [0.0, 0.0, 0.0]))
        state.material.Ms, state.material.A, state.material.alpha = 8e5, 1.3e-11, 0.02
        state.m = nm.VectorFunction(state, tensor=state.tensor(data["nodes"]))
        nm.ExchangeField().register(state, "exchange")
        nm.DemagField().register(state, "demag")
        nm.ExternalField(state.tensor([b / MU_0 for b in FIELD])).register(state, "external")
        nm.TotalField("exchange", "demag", "external").register(state)
        llg = nm.LLGSolver(state, rtol=tolerance, atol=tolerance)
        if name.endswith("torch"):
            import torch

            torch.set_num_threads(threads)
            torch.set_grad_enabled(False)
            return lambda count: llg.solve(state.tensor(np.linspace(0, 5e-11 * count, count + 1)))[1:].numpy()
        import jax

        llg._max_steps = 100_000
        solve = jax.jit(lambda t: llg.solve(t).ys[1:])
        return lambda count: np.asarray(solve(state.tensor(np.linspace(0, 5e-11 * count, count + 1))))

    return make


def magnumnp(data, threads, name):
    import magnumnp as mn
    import torch

    mn.logging.getLogger("magnum.np").setLevel(100) if hasattr(mn.logging, "getLogger") else None
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    cell, m0 = float(data["cell"]), torch.tensor(data["cells"]).unsqueeze(2)

    def make(tolerance):
        state = mn.State(mn.Mesh(tuple(m0.shape[:3]), (cell, cell, 3e-9)))
        state.material = {"Ms": 8e5, "A": 1.3e-11, "alpha": 0.02}
        external = mn.ExternalField([b / MU_0 for b in FIELD])
        terms = [mn.DemagField(), mn.ExchangeField(), external]

        def run(count):
            state.t, state.m = 0.0, m0.clone()
            llg = mn.LLGSolver(terms, atol=tolerance, rtol=tolerance)
            found = []
            for _ in range(count):
                llg.step(state, 5e-11)
                found.append(state.m[:, :, 0].numpy())
            return np.stack(found)

        return run

    return make


def run_oommf(start, options, error):
    """Time of a run less that of one stage of 1 fs, and m after each stage."""
    import torchmag as tm

    command = options.oommf if len(options.oommf) > 1 or not options.oommf[0].endswith(".tcl") else ["tclsh", *options.oommf]
    folder, runs = start.parent, []
    field = " ".join(repr(b / MU_0) for b in FIELD)
    (folder / "run.mif").write_text(MIF.format(cell=float(np.load(start)["cell"]), field=field, start=folder / "start.ovf"))
    for stages, stop in ((1, 1e-15), (20, 5e-11)):
        parameters = f"error {error} stages {stages} stop {stop}"
        extra = ["boxsi", "+fg", "-threads", str(options.threads), "-parameters", parameters, "-kill", "all", "run.mif"]
        before = time.perf_counter()
        # A session of its own: "-kill all" may end the whole process group.
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        subprocess.run([*command, *extra], cwd=folder, check=True, start_new_session=True, **quiet)
        runs.append(time.perf_counter() - before)
        states = sorted(folder.glob("out*.omf"))
        m = [np.moveaxis(np.asarray(tm.io.read_ovf(path, dim=2).data), 0, -1) for path in states]
        for path in [*states, folder / "out.odt"]:
            path.unlink(missing_ok=True)
    return {"seconds": runs[1] - runs[0], "m": np.stack(m) / 8e5}


def plot(found, options):
    """Work over precision."""
    figure, axes = plot_axes()
    for name, points in found.items():
        seconds, errors, _ = zip(*points.values())
        style = {"linewidth": 2.5} if name.startswith("torchmag") else {"linewidth": 1}
        axes.loglog(errors, seconds, "o-", label=name, **style)
    axes.set(xlabel="largest rms error of m", ylabel="s for 1 ns", title=f"standard problem 4, cells of {options.cell:g} nm")
    figure.legend(loc="outside right center")
    figure.savefig(options.plot, dpi=120)


if __name__ == "__main__":
    main()
