"""Which field turns a particle to a given direction in 50 ps?  The inverse problem of Abert et al. 2024, Sec. VII.

A 10 nm cube with its easy axis along z starts from m = z in a field of half its anisotropy field, H = H_k / 2, of unknown
direction (theta, phi).  The loss |<m>(50 ps) - (1, 0, 1) / sqrt(2)|^2 is differentiated through the dynamics.  Two directions
solve the problem: downhill from (90, 90) deg, the paper's start, lies one; from (45, 0) the other.  Both are one batch.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm

Ms, Ku = 8e5, 1e5  # A/m, J/m^3
STRENGTH = Ku / (tm.mu_0 * Ms)  # H_k / 2 = 99472 A/m
TARGET = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64) / 2**0.5
SOLUTIONS = torch.tensor([[123.47, 47.18], [80.03, 25.45]], dtype=torch.float64)  # deg; of a macrospin, by an ODE solver
OPTIONS = {"Adam": dict(lr=0.1, betas=(0.7, 0.9)), "LBFGS": dict(max_iter=3, line_search_fn="strong_wolfe")}
STARTS = torch.tensor([[90.0, 90.0], [45.0, 0.0]], dtype=torch.float64)


def field(angles):
    """H in A/m of directions (theta, phi) in rad: (*batch, 2) -> (*batch, 3, 1, 1, 1)."""
    theta, phi = angles[..., None, None, None].unbind(-4)
    return STRENGTH * torch.stack((theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()), -4)


def residual(angles, n, T=50e-12):
    """<m>(T) - target: (*batch, 2) -> (*batch, 3), on n^3 cells."""
    mesh = tm.Mesh((n, n, n), dx=(10e-9 / n,) * 3)
    cube = tm.Magnet(mesh, Ms, dtype=torch.float64)
    energy = tm.Exchange(cube, A=1.3e-11) + tm.UniaxialAnisotropy(cube, Ku, axis=(0, 0, 1)) + tm.Zeeman(cube, field(angles))
    m0 = tm.uniform(mesh, (0, 0, 1), dtype=torch.float64)
    return tm.average(tm.solve(tm.LLG(energy, alpha=0.1, gamma=2.211e5), m0, [0, T])[-1], cube) - TARGET


def main(optimizer="Adam", steps=50, n=2):
    """The path of the angles in deg, (steps + 1, 2 starts, 2), and the distance |<m>(T) - target| at its end."""
    angles = torch.nn.Parameter(torch.deg2rad(STARTS))
    search = getattr(torch.optim, optimizer)([angles], **OPTIONS[optimizer])
    schedule = torch.optim.lr_scheduler.ExponentialLR(search, 0.95)

    def loss():
        search.zero_grad()
        value = residual(angles, n).square().sum()
        value.backward()
        return value

    path = [angles.detach().clone()]
    for _ in range(steps):
        search.step(loss)
        schedule.step()
        path.append(angles.detach().clone())
    distance = torch.linalg.vector_norm(residual(angles.detach(), n), dim=-1)
    path = torch.rad2deg(torch.stack(path))
    print(f"{optimizer}, {steps} steps: {path[-1].tolist()} deg, |<m> - target| = {distance.tolist()}")
    return path, distance


def picture(paths, out):
    theta, phi = (torch.linspace(*ends, 49, dtype=torch.float64) for ends in ((30, 150), (-20, 100)))
    grid = torch.deg2rad(torch.stack(torch.meshgrid(theta, phi, indexing="ij"), -1))
    distance = torch.linalg.vector_norm(residual(grid, n=1), dim=-1)
    figure, ax = plt.subplots(figsize=(6.4, 4.8), layout="constrained")
    shades = ax.contourf(phi, theta, distance, 24, cmap="viridis")
    figure.colorbar(shades, label=r"$|\langle m \rangle(50\,\mathrm{ps}) - m_\mathrm{target}|$")
    for (name, path), style in zip(paths.items(), ("w.-", "s--C1")):
        for start, label in enumerate((name, None)):
            ax.plot(path[:, start, 1], path[:, start, 0], style, markersize=4, linewidth=1, label=label)
    ax.plot(SOLUTIONS[:, 1], SOLUTIONS[:, 0], "r*", markersize=12, label="solutions")
    ax.set(xlabel=r"$\varphi$ (deg)", ylabel=r"$\theta$ (deg)", xlim=(-20, 100), ylim=(30, 150))
    ax.legend(facecolor="gray", labelcolor="white", fontsize="small")
    figure.savefig(Path(out) / "field_angle.png", dpi=150)


if __name__ == "__main__":
    picture({name: main(name, steps)[0] for name, steps in (("Adam", 50), ("LBFGS", 10))}, *sys.argv[1:] or ["."])
