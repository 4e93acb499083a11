"""A training iteration of torchmag beside SpinTorch's: a film of 100 x 100 cells of 50 nm whose map of Ms trains, RK4 steps of 20 ps.

    git clone https://github.com/a-papp/SpinTorch ~/SpinTorch
    python scripts/compare_training.py --spintorch ~/SpinTorch --python ~/.cache/torchmag-peers/bin/python

(--python: a Python that has torch, numba and what else SpinTorch asks for.)

YIG, 20 nm thick, Ms = 140 kA/m, A = 3.65 pJ/m, 60 mT along y; a line source of 4 GHz on the left; the value is the squared m_x at a point on the
right at the last time.  Each has a process of its own; the least of TURNS counts.  "value" is without a gradient, "training" the value and its gradient with respect to Ms.
SpinTorch first relaxes for 100 steps without a gradient, which is part of both of its times.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path

CELL, THICKNESS, MS, A, ALPHA = 50e-9, 20e-9, 140e3, 3.65e-12, 1e-3
FIELD, AMPLITUDE, FREQUENCY, STEP = 60e-3, 1e-3, 4e9, 20e-12


def main():
    options = arguments()
    if options.worker:
        return work(options)
    print(
        f"{options.cells} x {options.cells} cells, {options.steps} steps, float32, {options.threads} thread(s); s, least of {options.turns}"
    )
    print("| program | value | training | training / value | first training |\n|---|---|---|---|---|")
    names = ["torchmag", "torchmag compiled", "torchmag order 2", "torchmag order 2 compiled"] + ["SpinTorch"] * bool(
        options.spintorch
    )
    for name in names:
        python = options.python if name == "SpinTorch" else sys.executable
        command = [python, __file__, "--worker", name, *sys.argv[1:]]
        answer = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        )
        value, training, first = json.loads(answer.stdout.splitlines()[-1])
        print(f"| {name} | {value:.2f} | {training:.2f} | {training / value:.2f} | {first:.2f} |", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spintorch", type=Path, help="a checkout of SpinTorch")
    parser.add_argument("--python", default=sys.executable, help="that runs SpinTorch")
    parser.add_argument("--cells", type=int, default=100)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def work(options):
    import torch

    torch.set_num_threads(options.threads)
    value = (spintorch if options.worker == "SpinTorch" else ours)(options)
    times = {False: [], True: []}
    for _ in range(options.turns + 1):
        for gradient in (False, True):
            begin = time.perf_counter()
            with torch.set_grad_enabled(gradient):
                found = value()
            if gradient:
                found.backward()
            times[gradient].append(time.perf_counter() - begin)
    print(json.dumps([min(times[False][1:]), min(times[True][1:]), times[True][0]]))


def ours(options):
    import torch

    import torchmag as tm

    words, n = options.worker.split(), options.cells
    order = int(words[2]) if "order" in words else 6
    mesh = tm.Mesh((n, n), (CELL, CELL, THICKNESS))
    film = tm.Magnet(mesh, torch.nn.Parameter(torch.full(mesh.cells, MS)), order=order)
    x = tm.positions(mesh)[0].to(torch.float32)
    line = torch.exp(-(((x - 10 * CELL) / CELL) ** 2)) * torch.tensor([AMPLITUDE / tm.mu_0, 0.0, 0.0]).reshape(3, 1, 1)
    bias = torch.tensor([0.0, FIELD / tm.mu_0, 0.0]).reshape(3, 1, 1)
    H = lambda t: bias + line * torch.sin(2 * math.pi * FREQUENCY * t).to(line)
    llg = tm.LLG(tm.Exchange(film, A) + tm.Demag(film) + tm.Zeeman(film, H), ALPHA)
    m0 = tm.uniform(mesh, (0, 1, 0))
    times = [0.0, options.steps * STEP]
    return lambda: tm.solve(llg, m0, times, method="rk4", step=STEP, compile="compiled" in words)[-1, 0, n - 10, n // 2].square()


def spintorch(options):
    sys.path.insert(0, str(options.spintorch))
    import spintorch as st
    import torch

    n = options.cells
    geometry = st.WaveGeometryMs((n, n), (CELL, CELL, THICKNESS), MS, FIELD)
    source = st.WaveLineSource(10, 0, 10, n - 1, dim=0)
    solver = st.MMSolver(geometry, STEP, [source], [st.WaveProbe(n - 10, n // 2)])
    t = torch.arange(options.steps) * STEP
    signal = AMPLITUDE * torch.sin(2 * math.pi * FREQUENCY * t).reshape(1, -1, 1)
    return lambda: solver(signal)[0, -1, 0].square()


if __name__ == "__main__":
    main()
