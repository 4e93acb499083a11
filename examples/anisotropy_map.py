"""Recover a map of anisotropy, 32 x 32 unknown constants, from 300 ps of noisy dynamics.

A film of grains, 3 nm thick, is held at 45 degrees from its easy axis x by a field that is switched off at t = 0.  Its m is
seen at all nodes every 10 ps with noise of 0.05 in each component, as a microscope with time resolution would see it.  The
misfit of a simulated movie is differentiated through the dynamics with respect to Ku of every cell and lowered by L-BFGS
to the noise: its mean square then is 1.  What remains of error in Ku lies at grain boundaries, which exchange blurs.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm
from torchmag.geometry import voronoi

SI = dict(dtype=torch.float64)
SCALE = 1e5  # J/m^3


def movie(mesh, Ku, t):
    """m at the times t: (T, 3, *nodes)."""
    film = tm.Magnet(mesh, Ms=8e5, **SI)
    energy = tm.Exchange(film, A=1.3e-11) + tm.Demag(film) + tm.UniaxialAnisotropy(film, Ku, axis=(1, 0, 0))
    return tm.solve(tm.LLG(energy, alpha=0.02), tm.uniform(mesh, (1, 1, 0), **SI), t, rtol=1e-4, atol=1e-4)


def main(n=32, T=300e-12, evaluations=60, noise=0.05):
    """True and recovered Ku, J/m^3 (n, n); the misfit at every evaluation."""
    mesh = tm.Mesh((n, n), dx=(8e-9, 8e-9, 3e-9))
    t = torch.arange(0, T + 1e-15, 10e-12)
    generator = torch.Generator().manual_seed(1)
    grains = voronoi(mesh, 48e-9, seed=1)
    true = SCALE * torch.rand(int(grains.max()) + 1, generator=generator, **SI)[grains]
    with torch.no_grad():
        seen = movie(mesh, true, t)
    seen = seen + noise * torch.randn(seen.shape, generator=generator, **SI)

    x = torch.nn.Parameter(torch.full((n, n), 0.5, **SI))  # Ku / SCALE
    search = torch.optim.LBFGS([x], max_iter=evaluations, max_eval=evaluations, line_search_fn="strong_wolfe", tolerance_change=0)
    history = []

    def misfit():
        search.zero_grad()
        value = ((movie(mesh, SCALE * x, t) - seen)[1:] / noise).square().mean()
        value.backward()
        history.append(value.item())
        print(f"evaluation {len(history)}: misfit {history[-1]:.4f}", flush=True)
        return value

    search.step(misfit)
    found = SCALE * x.detach()
    print(f"rms error of Ku: {float((found - true).square().mean().sqrt()):.3g} J/m^3, std of Ku: {float(true.std()):.3g} J/m^3")
    return true, found, history


def picture(true, found, history, out):
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
    side = 8 * len(true)
    for ax, Ku, title in zip(axes, (true, found), ("true", "recovered")):
        image = ax.imshow(Ku.T / 1e3, origin="lower", extent=(0, side, 0, side), vmin=0, vmax=SCALE / 1e3)
        ax.set(title=title, xlabel="x (nm)", ylabel="y (nm)")
    figure.colorbar(image, ax=axes[:2], label="$K_u$ (kJ/m$^3$)")
    axes[2].semilogy(history)
    axes[2].axhline(1, color="gray", linewidth=0.6)
    axes[2].set(xlabel="evaluation", ylabel="misfit / noise")
    figure.savefig(Path(out) / "anisotropy_map.png", dpi=150)


if __name__ == "__main__":
    picture(*main(), *sys.argv[1:] or ["."])
