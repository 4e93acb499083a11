"""Milliseconds of a field of exchange and stray field, one thread, float32; writes no file."""

import math
import time

import torch

import torchmag as tm

ORDERS = (2, 4, 6)


def main(redraw):
    """Orders in turns: what else the machine does hits them alike."""
    torch.set_default_dtype(torch.float32)
    for n in ((100, 25), (256, 256), (32, 32, 32)):
        calls = {}
        torch.compiler.reset()  # one function is compiled a limited number of times
        for order in ORDERS:
            mesh = tm.Mesh(n, (3e-9, 3e-9, 3e-9))
            film = tm.Magnet(mesh, Ms=8e5, order=order)
            energy = tm.Exchange(film, A=1e-11) + tm.Demag(film)
            values, m = energy.prepare(), torch.nn.functional.normalize(torch.randn(3, *mesh.nodes), dim=0)
            eager = lambda m, energy=energy, values=values: energy.field(m, values=values)
            calls[order, "eager"], calls[order, "compiled"] = (eager, m), (torch.compile(eager), m)
        best = dict.fromkeys(calls, math.inf)
        with torch.no_grad():
            for _ in range(20):
                for key, (call, m) in calls.items():
                    start = time.perf_counter()
                    call(m)
                    best[key] = min(best[key], time.perf_counter() - start)
        shown = ", ".join(f"order {order} {mode} {1e3 * seconds:.3f}" for (order, mode), seconds in best.items())
        print(f"{'x'.join(map(str, n))}: {shown}", flush=True)
