"""What a long run costs somebody who has never heard of compilation: one run each with compile=False, True and "auto".

    python scripts/bench_auto.py --steps 4000

A disk on 128 x 128 cells of 1 nm, exchange, uniaxial anisotropy, interface DMI, stray and applied field, fixed steps of 0.1 ps by "dopri5".
Every run has a process of its own, in which torch's cache of compiled code is empty, and counts from the call to the result.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

CHOICES = {"not compiled": False, "compiled from the start": True, "by itself": "auto"}


def main():
    options = arguments()
    if options.worker:
        return print(json.dumps(run(options)))
    print(f"{options.steps} steps, {options.threads} threads, float64; s\n| run | s |\n|---|---|")
    took = {}
    for name in CHOICES:
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache, "OMP_NUM_THREADS": str(options.threads)}
            command = [
                sys.executable,
                __file__,
                "--worker",
                name,
                "--steps",
                str(options.steps),
                "--threads",
                str(options.threads),
            ]
            answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        took[name] = json.loads(answer.stdout.splitlines()[-1])
        print(f"| {name} | {took[name]:.1f} |", flush=True)
    print(f"by itself / compiled from the start: {took['by itself'] / took['compiled from the start']:.2f}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(options):
    import torch

    import torchmag as tm

    torch.set_num_threads(options.threads)
    torch.set_default_dtype(torch.float64)
    mesh = tm.Mesh((128, 128), (1e-9, 1e-9, 1e-9))
    body = tm.geometry.Cylinder(64e-9, center=(64e-9, 64e-9, 0.0))
    disk = tm.Magnet(mesh, 1e6, fraction=body.mask(mesh))
    energy = tm.Exchange(disk, 1.3e-11) + tm.UniaxialAnisotropy(disk, 8e5, (0, 0, 1)) + tm.InterfaceDMI(disk, 3e-3)
    llg = tm.LLG(energy + tm.Demag(disk) + tm.Zeeman(disk, (0, 0, 8e4)), 0.1)
    x, y, _ = tm.positions(mesh)
    m = torch.nn.functional.normalize(torch.stack([x - x.mean(), y - y.mean(), 0 * x + 1e-8]), dim=0)
    begin = time.perf_counter()
    with torch.no_grad():
        tm.solve(llg, m, [0.0, options.steps * 1e-13], step=1e-13, compile=CHOICES[options.worker])
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
