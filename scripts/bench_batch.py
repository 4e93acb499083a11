"""Many small simulations at once: a batch beside the same runs one after another, and beside another package.

    python scripts/bench_batch.py --threads 2
    python scripts/bench_batch.py --peer-python ~/.cache/torchmag-peers/bin/python
    python scripts/bench_batch.py --device cuda --dtype float32 --runs 4096 --span 1e-10 --sample 0 --modes eager compiled whole

Runs of a 32 x 8 x 1 element (cells of 5 x 5 x 3 nm^3; exchange, demagnetising field, a Zeeman field of its own for each run), float64 (--dtype),
to a relative tolerance of 1e-5.  Construction is not counted.  Of the runs one by one `--sample` are made and their time is scaled.  With --sample 0
only the batch runs, in each of --modes, twice: the first time with what compiles and warms up.
"""

import argparse
import subprocess
import sys
import time

import torch
from bench_rhs import machine

import torchmag as tm
from torchmag.device import require_device

CELLS, DX, MS, A, ALPHA = (32, 8), (5e-9, 5e-9, 3e-9), 8e5, 1.3e-11, 0.02
PEER = """
import sys, time, numpy as np, torch, neuralmag as nm
count, span, threads = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
torch.set_default_dtype(torch.float64)
times = []
for number in range(count):
    state = nm.State(nm.Mesh([32, 8], [5e-9, 5e-9, 3e-9]))
    state.material.Ms, state.material.A, state.material.alpha = 8e5, 1.3e-11, 0.02
    state.m = nm.VectorFunction(state).fill((1.0, 0.0, 0.0))
    H = [-2e4 - 100.0 * number * 256 / count, 4e3, 0.0]
    nm.ExchangeField().register(state, "exchange")
    nm.DemagField().register(state, "demag")
    nm.ExternalField(torch.tensor(H)).register(state, "external")
    nm.TotalField("exchange", "demag", "external").register(state)
    llg = nm.LLGSolver(state)
    llg.step(1e-15)
    start = time.perf_counter()
    llg.step(span)
    times.append(time.perf_counter() - start)
print("SECONDS", sum(times) / count)
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=256)
    parser.add_argument("--sample", type=int, default=16, help="runs made one by one")
    parser.add_argument("--span", type=float, default=2e-10, help="of each run, s")
    parser.add_argument("--factor", type=float, default=30, help="field of the fast member")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float64", choices=["float32", "float64"])
    parser.add_argument("--modes", nargs="+", default=["eager"], choices=["eager", "compiled", "whole"], help="with --sample 0")
    parser.add_argument("--peer-python", help='a Python with "neuralmag[torch]"')
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        require_device(options.device, f"--device {options.device}")
    except ValueError as error:
        sys.exit(f"bench_batch: {error}")
    torch.set_default_dtype(getattr(torch, options.dtype))
    torch.set_default_device(options.device)
    print(
        machine(options.device)
        + f"; {options.threads} threads, {options.runs} runs of {options.span * 1e12:g} ps, {options.dtype}"
    )
    H = torch.tensor([[-2e4 - 100.0 * number * 256 / options.runs, 4e3, 0.0] for number in range(options.runs)])
    stiff = H.clone()
    stiff[0] *= options.factor
    if not options.sample:
        return in_modes(H, options)
    together = batch(H, options)
    every = options.runs // options.sample
    alone = one_by_one(H[::every], options) * options.runs / len(H[::every])
    print(
        f"batch {together:.1f} s; one by one {alone:.1f} s ({alone / together:.1f} times); with one fast member {batch(stiff, options):.1f} s"
    )
    if options.peer_python:
        found = subprocess.run(
            [options.peer_python, "-c", PEER, str(min(4, options.sample)), str(options.span), str(options.threads)],
            capture_output=True, text=True, env={"NM_BACKEND": "torch", "NM_DTYPE": "float64", "NM_TORCH_COMPILE": "0"},
        )  # fmt: skip
        if "SECONDS" not in found.stdout:
            sys.exit(f"the peer failed: {found.stderr[-500:]}")
        peer = float(found.stdout.split("SECONDS")[1]) * options.runs
        print(f"NeuralMag torch, uncompiled, one by one {peer:.1f} s ({peer / together:.1f} times)")


def in_modes(H, options):
    """The batch in each mode, twice; a mode that fails does not stop the others."""
    for mode in options.modes:
        try:
            llg = equation(H[:, :, None, None])
            if mode != "eager":
                llg.compile(fullgraph=True, dynamic=False, **({"mode": "reduce-overhead"} if mode == "whole" else {}))
            m0, steps, seconds = tm.uniform(llg.mesh, (1, 0, 0)), [], []
            for _ in range(2):
                steps.clear()
                start = time.perf_counter()
                with torch.no_grad():
                    tm.solve(llg, m0, [0, options.span], compile=False, callback=lambda t, dt, m, steps=steps: steps.append(None))
                finish(m0)
                seconds.append(time.perf_counter() - start)
            print(
                f"{mode}: {seconds[1]:.3g} s, {len(steps)} steps, {1e3 * seconds[1] / len(steps):.3g} ms each; the first time {seconds[0]:.3g} s",
                flush=True,
            )
        except Exception as error:
            print(f"{mode}: failed: {type(error).__name__}: {str(error).strip().splitlines()[:1]}", flush=True)


def finish(x):
    """Wait for the device."""
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)


def equation(H):
    film = tm.Magnet(tm.Mesh(CELLS, DX), MS)
    return tm.LLG(tm.Exchange(film, A) + tm.Demag(film) + tm.Zeeman(film, H), ALPHA)


def timed(llg, m0, options):
    if options.compile:
        llg.compile(fullgraph=True, dynamic=False)
        tm.solve(llg, m0, [0, 1e-13])
    start = time.perf_counter()
    with torch.no_grad():
        tm.solve(llg, m0, [0, options.span])
    finish(m0)
    return time.perf_counter() - start


def batch(H, options):
    """Seconds of all runs at once."""
    llg = equation(H[:, :, None, None])
    return timed(llg, tm.uniform(llg.mesh, (1, 0, 0)), options)


def one_by_one(fields, options):
    """Seconds of the runs in turn, one equation whose field is exchanged."""
    llg = equation(fields[0])
    timed(llg, tm.uniform(llg.mesh, (1, 0, 0)), options)
    total = 0.0
    for H in fields:
        llg.energy.zeeman.H = H
        start = time.perf_counter()
        with torch.no_grad():
            finish(tm.solve(llg, tm.uniform(llg.mesh, (1, 0, 0)), [0, options.span]))
        total += time.perf_counter() - start
    return total


if __name__ == "__main__":
    main()
