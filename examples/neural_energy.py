"""Learn an unknown energy from dynamics: a network m -> E inside the Landau-Lifshitz-Gilbert equation.

64 crystals of 10 nm with an anisotropy that nobody told us (cubic, Kc1 = 50 and Kc2 = -80 kJ/m^3) start from random directions
in a field of 100 mT; m is seen every 5 ps for 50 ps.  The network is an energy term like any other: its field is minus its
derivative, and its weights train through the solver.  It learns the energy up to a constant, which no motion shows.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import torchmag as tm

SI = dict(dtype=torch.float64)
MESH = tm.Mesh((1, 1, 1), dx=(10e-9, 10e-9, 10e-9))


class Network(nn.Module):
    """E = 1e5 J/m^3 V f(m), f even in m as time reversal demands."""

    def __init__(self, width=32):
        super().__init__()
        sizes = ((6, width), (width, width), (width, 1))
        layers = [layer for pair in sizes for layer in (nn.Linear(*pair, **SI), nn.Tanh())]
        self.f = nn.Sequential(*layers[:-1])

    def forward(self, m):
        x, y, z = m.mean((-3, -2, -1)).unbind(-1)  # over the nodes
        even = torch.stack((x * x, y * y, z * z, x * y, y * z, z * x), -1)
        return 1e5 * MESH.cell_volume * self.f(even).squeeze(-1)


def main(samples=64, T=50e-12, evaluations=250):
    """Angle in the (1 -1 0) plane, true and learned energy density there in J/m^3, relative rms error over all directions."""
    torch.manual_seed(1)
    body = tm.Magnet(MESH, Ms=8e5, **SI)
    zeeman = tm.Zeeman(body, (0, 0, 0.1 / tm.mu_0))
    hidden = tm.CubicAnisotropy(body, 5e4, axis1=(1, 0, 0), axis2=(0, 1, 0), Kc2=-8e4)
    learned = tm.EnergyModule(body, Network())
    m0 = tm.uniform(MESH, torch.randn(samples, 3, **SI), **SI)
    t = torch.arange(0, T + 1e-15, 5e-12)
    with torch.no_grad():
        seen = tm.solve(tm.LLG(hidden + zeeman, alpha=0.05), m0, t)
    llg = tm.LLG(learned + zeeman, alpha=0.05)
    options = dict(max_iter=evaluations, max_eval=evaluations, history_size=50, tolerance_change=0)
    search = torch.optim.LBFGS(learned.parameters(), line_search_fn="strong_wolfe", **options)

    def misfit():
        search.zero_grad()
        value = 1e3 * (tm.solve(llg, m0, t) - seen).square().mean()
        value.backward()
        return value

    search.step(misfit)
    angle = torch.linspace(0, torch.pi, 181, **SI)
    plane = torch.stack((angle.sin() / 2**0.5, angle.sin() / 2**0.5, angle.cos()), -1)
    points = tm.uniform(MESH, torch.cat((plane, torch.randn(1000, 3, **SI))), **SI)
    with torch.no_grad():
        energies = [term.energy(points) / MESH.cell_volume for term in (hidden, learned)]
    true, found = (E - E[181:].mean() for E in energies)
    error = float((found - true)[181:].norm() / true[181:].norm())
    print(f"energy density of 1000 random directions learned to {error:.1%} (rms)")
    return angle, true[:181], found[:181], error


if __name__ == "__main__":
    angle, true, found, error = main()
    figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
    ax.plot(torch.rad2deg(angle), true / 1e3, "k.", markersize=4, label="true")
    ax.plot(torch.rad2deg(angle), found / 1e3, "C1", label=f"learned ({error:.1%} rms over all directions)")
    ax.set(xlabel=r"angle from [001] to [110] to [00$\bar{1}$] (deg)", ylabel="energy density - mean (kJ/m$^3$)", xlim=(0, 180))
    ax.legend()
    figure.savefig(Path(*sys.argv[1:] or ".") / "neural_energy.png", dpi=150)
