"""Accuracy and cost of the orders in space: the figures of docs/theory.md, "Fourth and sixth order".

python scripts/accuracy.py skyrmion     # radius and energy against the cell size
python scripts/accuracy.py reversal     # standard problem 4, field 1: distance from order 6 on 160 x 40 cells
python scripts/accuracy.py cost         # field of exchange and stray field, milliseconds, one thread, float32
"""

import argparse
import math
import time

import torch

import torchmag as tm

ORDERS = (2, 4, 6)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=["skyrmion", "reversal", "cost"])
    torch.set_num_threads(1)
    {"skyrmion": skyrmion, "reversal": reversal, "cost": cost}[parser.parse_args().study]()


def skyrmion():
    """A Neel skyrmion in a film 1 nm thick, infinite by periodicity: energy above the uniform state, radius of the disk of its moment."""
    torch.set_default_dtype(torch.float64)
    period = 72e-9
    for order in ORDERS:
        for n in (24, 36, 72, 96):
            mesh = tm.Mesh((n, n), (period / n, period / n, 1e-9), pbc=(math.inf, math.inf, 0))
            film = tm.Magnet(mesh, Ms=5.8e5, order=order)
            energy = tm.Exchange(film, 1.5e-11) + tm.UniaxialAnisotropy(film, 8e5, axis=(0, 0, 1))
            energy += tm.InterfaceDMI(film, 3.3e-3, normal=(0, 0, 1)) + tm.Demag(film)
            x, y = (p - period / 2 for p in tm.positions(mesh)[:2])
            r, phi = torch.hypot(x, y), torch.atan2(y, x)
            theta = 2 * torch.atan2(torch.sinh(torch.tensor(11 / 5)), torch.sinh(r / 5e-9))
            start = torch.stack((-torch.sin(theta) * torch.cos(phi), -torch.sin(theta) * torch.sin(phi), torch.cos(theta)))
            m = tm.minimize(energy, start)
            above = float(energy.energy(m) - energy.energy(tm.uniform(mesh, (0, 0, 1))))
            radius = period * math.sqrt(float(((1 - m[2]) / 2).mean()) / math.pi)
            print(f"order {order}, {period / n * 1e9:.2f} nm: radius {radius * 1e9:.4f} nm, energy {above:.5e} J", flush=True)


def reversal():
    """The mean m over 1 ns, from the s-state of the same scheme."""
    torch.set_default_dtype(torch.float64)
    limit = _reversal((160, 40), 6)
    for n in ((80, 20), (100, 25)):
        for order in ORDERS:
            print(f"order {order}, {500 / n[0]:.2f} nm: {float((_reversal(n, order) - limit).abs().max()):.4f}", flush=True)


def _reversal(n, order):
    mesh = tm.Mesh(n, (500e-9 / n[0], 125e-9 / n[1], 3e-9))
    film = tm.Magnet(mesh, Ms=8e5, order=order)
    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
    m = tm.minimize(energy, tm.uniform(mesh, (1, 0.25, 0.1)))
    llg = tm.LLG(energy + tm.Zeeman(film, torch.tensor([-24.6e-3, 4.3e-3, 0.0]) / tm.mu_0), alpha=0.02)
    with torch.no_grad():
        return tm.average(tm.solve(llg, m, torch.linspace(0, 1e-9, 101), rtol=1e-6, atol=1e-6), film)


def cost():
    """Orders in turns: what else the machine does hits them alike."""
    for n in ((100, 25), (256, 256), (32, 32, 32)):
        calls = {}
        torch.compiler.reset()  # one function is compiled a limited number of times
        for order in ORDERS:
            mesh = tm.Mesh(n, (3e-9, 3e-9, 3e-9))
            film = tm.Magnet(mesh, Ms=8e5, order=order)
            energy = tm.Exchange(film, 1e-11) + tm.Demag(film)
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


if __name__ == "__main__":
    main()
