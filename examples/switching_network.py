"""A network that designs a grain for a wanted switching time: (time) -> map of anisotropy, trained through the solver.

A column of 30 nm of a recording medium stands along x against a field of 0.7 T, tilted by 5 degrees, with a damping of
0.5.  Its Ku is graded in four layers of up to 160 kJ/m^3.  The network is told when <m_x> shall cross zero and proposes Ku of
every layer.  The wanted times of a training step are one batch.
"""

import math
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from torch import nn

import torchmag as tm

SI = dict(dtype=torch.float64)
KU_MAX, SHORTEST, LONGEST = 1.6e5, 80e-12, 115e-12  # J/m^3, s
H = torch.tensor([-math.cos(math.radians(5)), math.sin(math.radians(5)), 0], **SI) * 0.7 / tm.mu_0


def proposed(network, wanted):
    """Ku in J/m^3 for wanted times in s: (B,) -> (B, layers)."""
    return KU_MAX * network((2 * wanted[:, None] - LONGEST - SHORTEST) / (LONGEST - SHORTEST))


def switching_time(Ku, T=180e-12):
    """When <m_x> first crosses zero, s, by the line between samples of 5 ps: (B, layers) -> (B,)."""
    mesh = tm.Mesh((Ku.shape[-1],), dx=(30e-9 / Ku.shape[-1], 8e-9, 8e-9))
    grain = tm.Magnet(mesh, Ms=5e5, **SI)
    energy = tm.Exchange(grain, A=1e-11) + tm.UniaxialAnisotropy(grain, Ku, axis=(1, 0, 0)) + tm.Demag(grain)
    llg = tm.LLG(energy + tm.Zeeman(grain, H), alpha=0.5)
    t = torch.arange(0, T, 5e-12, **SI)
    m = tm.solve(llg, tm.uniform(mesh, (1, 0, 0), **SI), t, rtol=1e-4, atol=1e-4)
    mx = tm.average(m, grain)[..., 0]  # (T, B)
    crossing = (mx[:-1] > 0) & (mx[1:] <= 0)
    if not crossing.any(0).all():
        raise ValueError(f"switching_time: some grains did not switch in {T:g} s")
    first = crossing.double().argmax(0, keepdim=True)
    before, after = mx.gather(0, first)[0], mx.gather(0, first + 1)[0]
    return t[first[0]] + 5e-12 * before / (before - after)


def main(layers=4, batch=8, steps=40, lr=0.03):
    """Wanted and reached times, s (7,), of the trained network; its maps, J/m^3 (7, layers); rms errors in training, s."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Linear(1, 32, **SI), nn.Tanh(), nn.Linear(32, layers, **SI), nn.Sigmoid())
    adam = torch.optim.Adam(network.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    history = []
    for _ in range(steps):
        wanted = SHORTEST + (LONGEST - SHORTEST) * torch.rand(batch, **SI)
        Ku = proposed(network, wanted)
        late = (switching_time(Ku) - wanted).square().mean()
        adam.zero_grad()
        (late / 10e-12**2).backward()
        adam.step()
        schedule.step()
        history.append(late.item() ** 0.5)
    with torch.no_grad():
        wanted = torch.linspace(SHORTEST, LONGEST, 7, **SI)
        Ku = proposed(network, wanted)
        reached = switching_time(Ku)
    print(f"switching time off by {float((reached - wanted).square().mean().sqrt()) * 1e12:.1f} ps rms")
    return wanted, reached, Ku, history


if __name__ == "__main__":
    wanted, reached, Ku, history = main()
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    axes[0].semilogy([1e12 * e for e in history])
    axes[0].set(xlabel="training step", ylabel="rms error of the switching time (ps)")
    axes[1].plot(1e12 * wanted, 1e12 * reached, "o", [80, 115], [80, 115], "k-", linewidth=0.6)
    axes[1].set(xlabel="wanted switching time (ps)", ylabel="reached (ps)")
    axes[2].plot(1e12 * wanted, Ku / 1e3, label=[f"layer {i + 1}" for i in range(Ku.shape[1])])
    axes[2].set(xlabel="wanted switching time (ps)", ylabel="proposed $K_u$ (kJ/m$^3$)")
    axes[2].legend()
    figure.savefig(Path(*sys.argv[1:] or ".") / "switching_network.png", dpi=150)
