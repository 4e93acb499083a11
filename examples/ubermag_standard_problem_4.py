"""muMAG standard problem 4, field 1, as an ubermag notebook on torchmag, and beside it the same torchmag program.

Prints when <mx> crosses zero (OOMMF: 138.5 ps) and how long each took.  Needs torchmag[ubermag].
"""

import time

import discretisedfield as df
import micromagneticmodel as mm
import numpy as np
import torch

import torchmag as tm
import torchmag.ubermag as tmc

FIELD = (-24.6e-3 / tm.mu_0, 4.3e-3 / tm.mu_0, 0)


def notebook(n, T, count):
    mesh = df.Mesh(p1=(0, 0, 0), p2=(500e-9, 125e-9, 3e-9), n=(*n, 1))
    system = mm.System(name="standard_problem_4")
    system.energy = mm.Exchange(A=1.3e-11) + mm.Demag()
    system.dynamics = mm.Precession(gamma0=2.211e5) + mm.Damping(alpha=0.02)
    system.m = df.Field(mesh, nvdim=3, value=(1, 0.25, 0.1), norm=8e5)
    tmc.MinDriver().drive(system)
    system.energy += mm.Zeeman(H=FIELD)
    tmc.TimeDriver().drive(system, t=T, n=count)
    data = system.table.data
    return data["t"].values, data[["mx", "my", "mz"]].values


def program(n, T, count):
    mesh = tm.Mesh(n, dx=(500e-9 / n[0], 125e-9 / n[1], 3e-9))
    film = tm.Magnet(mesh, Ms=8e5, dtype=torch.float64)
    energy = tm.Exchange(film, A=1.3e-11) + tm.Demag(film)
    m = tm.minimize(energy, tm.uniform(mesh, (1, 0.25, 0.1), dtype=torch.float64))
    llg = tm.LLG(energy + tm.Zeeman(film, FIELD), alpha=0.02, gamma=2.211e5)
    t = torch.linspace(0, T, count + 1, dtype=torch.float64)
    return t[1:].numpy(), tm.average(tm.solve(llg, m, t), film)[1:].numpy()


def main(n=(100, 25), T=1e-9, count=200):
    found = {}
    for run in (notebook, program):  # so that neither pays for what is set up once
        run((20, 5), 1e-11, 1)
    for run in (notebook, program):
        start = time.perf_counter()
        t, m = run(n, T, count)
        seconds = time.perf_counter() - start
        after = int(np.argmax(m[:, 0] < 0))
        crossing = np.interp(0, -m[after - 1 : after + 1, 0], t[after - 1 : after + 1])
        found[run.__name__] = crossing, seconds, m
        print(f"{run.__name__}: <mx> crosses zero at {crossing * 1e12:.1f} ps, {seconds:.1f} s")
    return found


if __name__ == "__main__":
    with torch.no_grad():
        main()
