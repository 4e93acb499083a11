"""Evaluations that a run takes, and milliseconds of a field of exchange and stray field, one thread, float32; writes no file."""

import math
import time

import torch

import torchmag as tm

ORDERS = (2, 4, 6)


class Counted(tm.LLG):
    """Counts its evaluations."""

    count = 0

    def forward(self, t, m, values=None):
        Counted.count += 1
        return super().forward(t, m, values)


def evaluations():
    """Of 0.2 ns of a vortex that starts beside the centre of 100 x 100 x 10 nm, damping 0.1, tolerance 1e-5."""
    for cell in (10e-9, 5e-9, 2.5e-9):
        n = round(100e-9 / cell)
        mesh = tm.Mesh((n, n), (cell, cell, 10e-9))
        for order in ORDERS:
            film = tm.Magnet(mesh, Ms=8e5, order=order)
            llg = Counted(tm.Exchange(film, 1.3e-11) + tm.Demag(film), alpha=0.1)
            for method in ("gyro5", "dopri5"):
                Counted.count = 0
                with torch.no_grad():
                    tm.solve(llg, tm.vortex(mesh, center=(60e-9, 50e-9, 5e-9)), [0.0, 2e-10], method=method, rtol=1e-5, atol=1e-5)
                print(f"{cell * 1e9:g} nm, order {order}, {method}: {Counted.count} evaluations", flush=True)


def main(redraw):
    """Orders in turns: what else the machine does hits them alike."""
    evaluations()
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
