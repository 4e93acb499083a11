"""Inverse magnonics: a map of saturation magnetisation that focuses spin waves of 8 GHz on one of two probes.

A YIG film, 10 nm thick, is magnetised out of plane by 250 mT; ions can lower its Ms locally from 140 to 100 kA/m, in features of
30 nm.  A line source on the left sends plane waves of about 120 nm, the edges absorb.  The intensity at probe A is
differentiated through the dynamics with respect to the map and raised by Adam.  (The task of SpinTorch: Papp, Porod and
Csaba, Nat. Commun. 12, 6422 (2021).)
"""

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm
from torchmag.geometry import Box, Cylinder

SI = dict(dtype=torch.float64)
f, SIZE = 8e9, (700e-9, 500e-9)
DESIGN = Box((350e-9, 400e-9, 1)).translate((325e-9, 250e-9, 0))
PROBES = [Cylinder(30e-9).translate((590e-9, y, 0)) for y in (150e-9, 350e-9)]  # A, B


def device(n):
    """The equation and the design variable on n cells."""
    mesh = tm.Mesh(n, dx=(SIZE[0] / n[0], SIZE[1] / n[1], 10e-9))
    ions = tm.DensityField(mesh, radius=30e-9, domain=DESIGN.mask(mesh), **SI)
    film = tm.Magnet(mesh, Ms=tm.Derived(lambda dose: 140e3 - 40e3 * dose, ions), **SI)
    x, y = tm.positions(mesh, "cells", **SI)[:2]
    edge = torch.stack((x, SIZE[0] - x, y, SIZE[1] - y)).amin(0)
    alpha = 1e-3 + 0.5 * (1 - edge / 70e-9).clamp(min=0) ** 2
    line = torch.exp(-(((tm.positions(mesh, **SI)[0] - 100e-9) / 20e-9) ** 2))
    source, bias = (torch.tensor(B, **SI).reshape(3, 1, 1) / tm.mu_0 for B in ((1e-3, 0, 0), (0, 0, 0.25)))
    H = lambda t: bias + source * line * torch.sin(2 * math.pi * f * t)
    return tm.LLG(tm.Exchange(film, A=3.65e-12) + tm.Demag(film) + tm.Zeeman(film, H), alpha), ions


def main(n=(56, 40), T=1e-9, steps=25):
    """Intensities at A and B over those of a uniform film, (steps, 2); the Ms map, the last m."""
    llg, ions = device(n)
    m0 = tm.uniform(llg.mesh, (0, 0, 1), **SI)
    t = torch.cat((torch.zeros(1, **SI), T + torch.linspace(0, 1 / f, 9, **SI)))  # the last period
    probes = [tm.SpinWaveIntensity(llg.magnet, (0, 0, 1), probe) for probe in PROBES]
    adam = torch.optim.Adam(ions.parameters(), lr=0.3)
    history = []
    for _ in range(steps):
        m = tm.solve(llg, m0, t)
        intensity = torch.stack([probe(m[1:-1]) for probe in probes])
        history.append(intensity.detach())
        print("step {}: A {:.2f}, B {:.2f}".format(len(history), *history[-1] / history[0]), flush=True)
        Ms = llg.magnet.prepare()["Ms"].detach()
        adam.zero_grad()
        intensity[0].log().neg().backward()
        adam.step()
    return torch.stack(history) / history[0], Ms, m[-1].detach()


if __name__ == "__main__":
    history, Ms, m = main()
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
    panels = ((1e-3 * Ms, "$M_s$ (kA/m)", "cividis", (100, 140)), (1e3 * m[0], "$10^3\\ m_x$", "RdBu", (-8, 8)))
    for ax, (values, label, cmap, limits) in zip(axes, panels):
        extent = (0, 1e9 * SIZE[0], 0, 1e9 * SIZE[1])
        image = ax.imshow(values.T, origin="lower", extent=extent, cmap=cmap, vmin=limits[0], vmax=limits[1])
        figure.colorbar(image, ax=ax, label=label)
        for y, name in ((150, "A"), (350, "B")):
            ax.add_patch(plt.Circle((590, y), 30, fill=False))
            ax.annotate(name, (630, y - 12))
        ax.set(xlabel="x (nm)", ylabel="y (nm)")
    axes[2].plot(history, ".-", label=("probe A", "probe B"))
    axes[2].set(xlabel="optimizer step", ylabel="intensity / that of a uniform film")
    axes[2].legend()
    figure.savefig(Path(*sys.argv[1:] or ".") / "spin_wave_focus.png", dpi=150)
