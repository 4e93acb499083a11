"""Train the lowest mode of a dot to 5 GHz by its map of anisotropy.

A permalloy disk of 150 nm in 30 kA/m along x rings lowest at its edges, where the stray field is against the applied one.  The frequency
is differentiated with respect to Ku of every cell, through the mode and through the equilibrium, and brought to 5 GHz by the
least map: each step is Newton's for the frequency, along the gradient.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm

SI = dict(dtype=torch.float64)


def dot(n):
    """Disk of 150 x 10 nm."""
    mesh = tm.Mesh((n, n), dx=(150e-9 / n, 150e-9 / n, 10e-9), origin=(-75e-9, -75e-9, 0))
    x, y, _ = tm.positions(mesh, "cells", **SI)
    return tm.Magnet(mesh, 8e5, x**2 + y**2 < 75e-9**2, **SI)


def lowest(disk, Ku, count=1):
    """Equilibrium and modes."""
    energy = (
        tm.Exchange(disk, 1.3e-11)
        + tm.Demag(disk)
        + tm.Zeeman(disk, (3e4, 0.0, 0.0))
        + tm.UniaxialAnisotropy(disk, Ku, (1, 0, 0))
    )
    m = tm.minimize(energy, tm.uniform(disk.mesh, (1, 0.05, 0), **SI), tolerance=1e-9)
    return m, tm.eigenmodes(tm.LLG(energy, alpha=0.01), m, count)


def main(n=24, target=5e9, steps=8):
    """The modes before and after, Ku in J/m^3 (n, n), and the frequency at every step, Hz."""
    disk = dot(n)
    Ku = torch.zeros(n, n, **SI)
    with torch.no_grad():
        before = lowest(disk, Ku, 6)[1]
    history = []
    for step in range(steps):
        Ku.requires_grad_()
        f = lowest(disk, Ku)[1].frequencies.real[0]
        (slope,) = torch.autograd.grad(f, Ku)
        history.append(f.item())
        print(f"step {step}: {history[-1] / 1e9:.6f} GHz", flush=True)
        if abs(history[-1] / target - 1) < 1e-6:
            break
        with torch.no_grad():
            # The least map with this frequency, as far as it is linear in Ku.
            gain = (target - f + (slope * Ku).sum()) / slope.square().sum()
            Ku = gain * slope
    Ku = Ku.detach()
    with torch.no_grad():
        return disk, before, lowest(disk, Ku, 6)[1], Ku, history


def picture(disk, before, after, Ku, history, out):
    figure, axes = plt.subplots(2, 7, figsize=(13, 4.2), layout="constrained")
    for row, modes, name in zip(axes, (before, after), ("before", "after")):
        for k, ax in enumerate(row[:6]):
            v = modes.vectors[k, 2]
            shown = v.real if v.real.abs().max() > v.imag.abs().max() else v.imag
            ax.imshow(shown.T / shown.abs().max(), origin="lower", cmap="RdBu", vmin=-1, vmax=1)
            ax.set(title=f"{float(modes.frequencies[k].real) / 1e9:.3f} GHz", xticks=[], yticks=[], ylabel=name if not k else "")
    image = axes[1, 6].imshow(torch.where(disk.fraction > 0, Ku, torch.nan).T / 1e3, origin="lower")
    axes[1, 6].set(title="$K_u$ (kJ/m$^3$)", xticks=[], yticks=[])
    figure.colorbar(image, ax=axes[1, 6])
    axes[0, 6].plot(torch.tensor(history) / 1e9, "o-")
    axes[0, 6].set(xlabel="step", ylabel="$f_0$ (GHz)")
    figure.savefig(Path(out) / "dot_modes.png", dpi=150)


if __name__ == "__main__":
    picture(*main(), *sys.argv[1:] or ["."])
