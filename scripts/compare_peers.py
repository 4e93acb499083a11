"""The LLG right-hand side of torchmag beside that of other packages: one problem, one machine, in turns.

    python scripts/compare_peers.py --peers ~/.cache/torchmag-peers --oommf ~/oommf/oommf.tcl --plot ratios.png
    python scripts/compare_peers.py --peers ~/.cache/torchmag-peers --problem disk --meshes 128x128x1 512x512x1 64x64x64
    python scripts/compare_peers.py --device cuda --dtype float32 --integrate --peers ~/.cache/torchmag-peers --mumax3 ~/mumax3/mumax3

Exchange (13e-12 J/m), demagnetising field, Ms = 8e5 A/m, alpha = 0.02, cells of 5 x 5 x 3 nm^3, m random.  --problem film: with uniaxial
anisotropy, interface DMI and an applied field, cells of 1 nm; disk: the same in a disk (of 64x64x64 a cylinder); disk-maps: and A, Ku and D differ
from cell to cell by 10 %.  OOMMF has all of them, where it is built with the extension Oxs_DMI_Cnv_z (its D stays uniform); mumax3 all but the maps;
mumax+ the first.  --peers is a virtual environment that is made on first use.  Every package has a process of its own; within a turn each is timed
once, so that other load hits all alike; the minimum over the turns counts, and the end of what runs on a GPU is waited for.  "convolution" is that of
our demagnetising field alone, the floor that its transforms set.  OOMMF and mumax3 are timed as runs: the wall time that steps take, over the evaluations
that they make, and so with the overhead of their stages.  With --integrate all are (the protocol of Abert et al. 2024, Fig. 6): each integrates STEPS steps of 1 fs, by
Dormand and Prince's method, or what it has instead (NeuralMag with torch: RK4, magnum.np: RKF45, mumax+: Fehlberg's), and the time is divided by the evaluations.
mumax3 and mumax+ need CUDA and compute in single precision: they run with --device cuda --dtype float32 only.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench_rhs import MESHES, ask, machine
from peers.mumax3 import PROBLEMS as OF_MUMAX3
from peers.mumax3 import time_mumax3
from peers.oommf import require_terms, time_oommf
from peers.packages import work
from peers.pictures import plot, plot_growth
from peers.problem import PROBLEMS

PROGRAMS = {"oommf": time_oommf, "mumax3": time_mumax3}

PACKAGES = {
    "neuralmag torch": ("neuralmag", "torch", "torchdiffeq"),
    "neuralmag jax": ("neuralmag[jax]",),
    "magnum.np": ("magnumnp", "torch"),
    "mumax+": (),  # installed there by the user, for CUDA only
}


def main():
    options = arguments()
    if options.worker:
        return work(options.worker, options.meshes[0], options)
    require(options)
    print(
        machine(options.device)
        + f"; {options.problem}, {options.dtype}, {options.threads} threads; ms, minimum over {options.turns} turns"
    )
    floor = [] if options.integrate else ["torchmag convolution"]
    own = [f"torchmag order {order}{kind}" for order in options.orders for kind in ("", " compiled")]
    names = [*own, *floor, *available(options), *(name for name in PROGRAMS if getattr(options, name))]
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
    print(machine(options.device))
    in_process = [name for name in names if name not in PROGRAMS]
    print("\nPeak memory of a call, MB, over that of the process with the package imported")
    print("| mesh | " + " | ".join(in_process) + " |\n|" + "---|" * (len(in_process) + 1))
    for mesh, row in memory.items():
        print(f"| {mesh} | " + " | ".join(f"{row[name]:.0f}" if row.get(name) else "-" for name in in_process) + " |")
    if options.json:
        Path(options.json).write_text(
            json.dumps(
                {
                    "machine": machine(options.device),
                    "problem": options.problem,
                    "dtype": options.dtype,
                    "integrate": options.integrate,
                    "ms": found,
                    "MB": memory,
                },
                indent=1,
            )
        )
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
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--integrate", action="store_true", help="time runs over their evaluations, not calls")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each package in each turn")
    parser.add_argument("--peers", type=Path, help="virtual environment of the other packages")
    parser.add_argument("--oommf", nargs="+", help="what starts OOMMF: its oommf.tcl, or a command")
    parser.add_argument("--mumax3", help="the program of mumax3")
    parser.add_argument(
        "--compile-peers", action="store_true", help="NeuralMag's torch backend with torch.compile: takes minutes a mesh"
    )
    parser.add_argument("--json", help="also write the numbers there")
    parser.add_argument("--plot", help="and a picture of the ratios there")
    parser.add_argument("--growth", help="and a picture of the times over the number of cells there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def require(options):
    """End with one line where something is missing."""
    # Here and not above: the other packages' Python imports this file, too.
    from torchmag.device import require_device

    try:
        require_device(options.device, f"--device {options.device}")
    except ValueError as error:
        raise SystemExit(f"compare_peers: {error}") from None
    if options.mumax3 and (options.device != "cuda" or options.dtype != "float32" or options.problem not in OF_MUMAX3):
        needed = f"--device cuda --dtype float32 and one of --problem {' '.join(OF_MUMAX3)}"
        raise SystemExit(f"compare_peers: mumax3 needs {needed}; leave --mumax3 out for others")
    if options.mumax3 and not shutil.which(options.mumax3):
        raise SystemExit(f"compare_peers: --mumax3 {options.mumax3}: there is no such program")
    if options.oommf:
        require_terms(options)


def available(options):
    """The peers that can be imported, their environment made if there is none."""
    peers = options.peers
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
    }
    if getattr(options, "device", "cpu") == "cuda" and options.dtype == "float32":
        imports["mumax+"] = "mumaxplus"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [
        name
        for name, what in imports.items()
        if not subprocess.run([peers / "bin/python", "-c", f"import {what}"], **quiet).returncode
    ]


def compare(mesh, names, options):
    """{name: ms} and {name: MB} on one mesh; None where a package fails."""
    given = ["--meshes", mesh, "--dtype", options.dtype, "--threads", str(options.threads), *["--integrate"] * options.integrate]
    given += ["--problem", options.problem, "--device", options.device]
    workers = {name: start_worker(name, __file__, given, options) for name in names if name not in PROGRAMS}
    times, memory, failed = {name: [] for name in names}, {}, {}
    for turn in range(options.turns + 1):
        for name in names:
            if name in failed or (name in PROGRAMS and not turn):
                continue
            try:
                if name in PROGRAMS:
                    times[name].append(PROGRAMS[name](mesh, options))
                    continue
                answer = ask(workers[name], {"seconds": options.seconds if turn else 0.0})
                # Before the first turn all are to be ready: a set-up beside it would be timed with it.
                times[name] += [answer["seconds"]] if turn else []
                memory[name] = answer["MB"]
            except (RuntimeError, BrokenPipeError) as error:
                failed[name] = error
    for name, error in failed.items():
        print(f"{mesh}: {name} failed: {last_line(workers[name].log) if name in workers else error}", file=sys.stderr)
    for worker in workers.values():
        worker.stdin.close()
        worker.wait()
    return {name: min(sample) * 1e3 if sample else None for name, sample in times.items()}, memory


def start_worker(name, script, arguments, options):
    """A process of one package: `script --worker NAME ...`, in the Python that has it."""
    python = sys.executable if name.startswith("torchmag") else options.peers / "bin/python"
    command = [python, script, "--worker", name, *arguments]
    cuda = getattr(options, "device", "cpu") == "cuda"
    environment = os.environ | {
        "OMP_NUM_THREADS": str(options.threads),
        "NM_BACKEND": name.split()[-1],
        "NM_DTYPE": getattr(options, "dtype", "float64"),
        "NM_DEVICE": "cuda:0" if cuda else "cpu",
        "NM_TORCH_COMPILE": str(int(getattr(options, "compile_peers", False))),
        "JAX_ENABLE_X64": "1",
        "JAX_PLATFORMS": "cuda" if cuda else "cpu",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # others are on the device as well
        "CUDA_DEVICE": "0" if cuda else "-1",  # of magnum.np
    }
    if name == "neuralmag jax" and not cuda:
        # XLA takes as many threads as the process may use cores.
        command = ["taskset", "-c", ",".join(map(str, sorted(os.sched_getaffinity(0))[: options.threads])), *command]
    log = None if name.startswith("torchmag") else tempfile.TemporaryFile("w+")
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
    worker.log = log
    return worker


def last_line(log):
    """What a process said last."""
    if log is None:
        return "its error is above"
    log.seek(0)
    return (log.read().strip().splitlines() or ["no word"])[-1]


if __name__ == "__main__":
    main()
