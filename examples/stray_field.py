"""Two inverse problems of the stray field: a magnet for a target outside of it, and a magnetisation from its image.

`shape`: the lightest magnet that makes 300 mT at a point 2.5 mm above it, by topology optimisation.  The field is linear in the
density, so that the least volume is known: the cells of largest contribution, (3 cos^2 - 1) / r^3 > constant.
`image`: m of a film with perpendicular anisotropy from its noisy stray field 25 nm above, as a scanning magnetometer sees it.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import torch

import torchmag as tm
from torchmag.layout import to_cells

SI = dict(dtype=torch.float64)


def shape(n=25, target=0.3, steps=200):
    """Density (n, n, n), field in T, volume over the least; cells of 1 mm of NdFeB, M = 1 MA/m along z."""
    mesh = tm.Mesh((n, n, n), dx=(1e-3, 1e-3, 1e-3))
    domain = (tm.positions(mesh, "cells")[2] < (n - 6) * 1e-3).expand(mesh.cells)
    rho = tm.DensityField(mesh, radius=1.5e-3, domain=domain, **SI)
    demag = tm.Demag(tm.Magnet(mesh, Ms=1e6, fraction=rho, **SI))
    up = torch.tensor([0.0, 0.0, 1.0], **SI).reshape(3, 1, 1, 1).expand(3, *mesh.cells)
    field = lambda: tm.mu_0 * demag.cell_field(up)[2, n // 2, n // 2, n - 4]
    adam = torch.optim.Adam(rho.parameters(), lr=0.2)
    for step in range(steps):
        rho.beta = min(2 ** (1 + 6 * step // steps), 32)
        adam.zero_grad()
        (rho().sum() / domain.sum() + 100 * (field() / target - 1) ** 2).backward()
        adam.step()
    density, B = rho().detach(), field().item()
    demag.magnet.fraction = torch.nn.Parameter(domain.to(**SI))
    (gain,) = torch.autograd.grad(field(), demag.magnet.fraction)  # T per cell
    ratio = float(density.sum() / (gain[domain].sort(descending=True).values.cumsum(0) < B).sum())
    print(f"{B * 1e3:.1f} mT by {float(density.sum()):.0f} mm^3, {ratio:.3f} times the least")
    return density, B, ratio


def image(n=40, noise=0.02, evaluations=200):
    """m_z true and found (n, n), the stray field B in T (3, n, n), the rms error of m_z."""
    mesh = tm.Mesh((n, n, 4), dx=(4e-9, 4e-9, 10e-9))  # the film, 20 nm of vacuum, the plane of the sensor
    film = tm.Magnet(mesh, Ms=torch.tensor([1e6, 0, 0, 0], **SI).expand(mesh.cells))
    demag = tm.Demag(film)
    energy = tm.Exchange(film, A=1.5e-11) + demag + tm.UniaxialAnisotropy(film, Ku=7.5e5, axis=(0, 0, 1))
    field = lambda m: tm.mu_0 * demag.cell_field(to_cells(m, mesh))[..., -1]
    true = tm.minimize(energy, tm.random(mesh, seed=5, **SI), tolerance=1e-3)
    seen = field(true)
    sigma = noise * seen.std()
    seen = seen + sigma * torch.randn(seen.shape, generator=torch.Generator().manual_seed(1), **SI)
    m = tm.UnitVector(tm.uniform(mesh, (1, 0, 0), **SI) + 0.01 * tm.random(mesh, seed=2, **SI), dim=-4)
    search = torch.optim.LBFGS(m.parameters(), max_iter=evaluations, line_search_fn="strong_wolfe", tolerance_change=0)

    def loss():  # the energy decides what the field does not tell
        search.zero_grad()
        value = ((field(m()) - seen) / sigma).square().mean() + 10 * energy.energy(m()) / (7.5e5 * n * n * mesh.cell_volume)
        value.backward()
        return value

    search.step(loss)
    true, found = (to_cells(x.detach(), mesh)[2, ..., 0] for x in (true, m()))
    error = float((found - true).square().mean().sqrt())
    print(f"m_z from the stray field: rms error {error:.3f}")
    return true, found, seen, error


if __name__ == "__main__":
    (density, B, _), (true, found, seen, _) = shape(), image()
    figure, axes = plt.subplots(1, 4, figsize=(15, 3.2), layout="constrained")
    axes[0].imshow(density[:, density.shape[1] // 2].T, origin="lower", extent=(0, 25, 0, 25), cmap="Greys")
    axes[0].plot(12.5, 21.5, "r*", markersize=10)
    axes[0].set(title=f"magnet for {B * 1e3:.0f} mT at the star", xlabel="x (mm)", ylabel="z (mm)")
    panels = ((true, "true $m_z$", 1), (1e3 * seen[2], "$B_z$ (mT), 25 nm above", 80), (found, "recovered $m_z$", 1))
    for ax, (values, title, top) in zip(axes[1:], panels):
        figure.colorbar(ax.imshow(values.T, origin="lower", extent=(0, 160, 0, 160), cmap="RdBu", vmin=-top, vmax=top), ax=ax)
        ax.set(title=title, xlabel="x (nm)", ylabel="y (nm)")
    figure.savefig(Path(*sys.argv[1:] or ".") / "stray_field.png", dpi=150)
