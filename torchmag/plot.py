"""Pictures of magnetisation."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from torchmag.layout import to_cells
from torchmag.magnet import Magnet

COLORS = ("tab:blue", "tab:orange", "tab:green")


def snapshot(m: Tensor, magnet: Magnet, *, layer: int | None = None, arrows: int = 40, ax: Axes | None = None) -> Axes:
    """The magnetisation seen along z: arrows over the in-plane angle as colour.

    Args:
        m: (3, *nodes) on a 2D or 3D mesh.
        magnet: the body; cells outside it stay white.
        layer: of cells along z on a 3D mesh; the middle one by default.
        arrows: along the longer side.
        ax: to draw on; new by default.
    """
    mesh = magnet.mesh
    if mesh.dim == 1 or m.ndim != mesh.dim + 1:
        raise ValueError(f"snapshot: m has shape {tuple(m.shape)}, expected (3, *nodes) on a 2D or 3D mesh")
    cells = to_cells(m.detach(), mesh).cpu().numpy()
    inside = (magnet.prepare()["fraction"].detach() > 0).expand(mesh.cells).cpu().numpy()
    if mesh.dim == 3:
        layer = mesh.cells[2] // 2 if layer is None else layer
        cells, inside = cells[..., layer], inside[..., layer]
    width, height = mesh.size[0] * 1e9, mesh.size[1] * 1e9
    left, bottom = mesh.origin[0] * 1e9, mesh.origin[1] * 1e9
    extent = (left, left + width, bottom, bottom + height)
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 1.4 + 7.5 * min(height / width, 1.2)), layout="constrained")
    angle = np.ma.masked_where(~inside, np.degrees(np.arctan2(cells[1], cells[0])) % 360)
    image = ax.imshow(angle.T, origin="lower", extent=extent, cmap="hsv", vmin=0, vmax=360, interpolation="nearest", alpha=0.85)
    step = max(1, round(max(mesh.cells[:2]) / arrows))
    x, y = ((o + (np.arange(n) + 0.5) * h) * 1e9 for o, n, h in zip(mesh.origin[:2], mesh.cells[:2], mesh.dx[:2]))
    grid = np.meshgrid(x, y, indexing="ij")
    pick = (slice(step // 2, None, step),) * 2
    shown = inside[pick]
    ax.quiver(
        *(g[pick][shown] for g in grid), cells[0][pick][shown], cells[1][pick][shown],
        angles="xy", pivot="mid", scale_units="xy", scale=1 / (0.9 * step * min(mesh.dx[:2]) * 1e9), width=0.0016, headwidth=4,
    )  # fmt: skip
    ax.set(xlabel="x (nm)", ylabel="y (nm)", aspect="equal")
    bar = ax.figure.colorbar(image, ax=ax, ticks=(0, 90, 180, 270, 360), pad=0.01, aspect=12)
    bar.set_label("in-plane angle (deg)")
    return ax


def averages(
    t, mean, *, reference=None, label: str = "torchmag", reference_label: str = "reference", ax: Axes | None = None
) -> Axes:
    """Mean magnetisation over time: lines; a reference as dots.

    Args:
        t: times, s.
        mean: (T, 3).
        reference: (times, (T', 3)) of another code.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(8, 4.5), layout="constrained")
    t, mean = _plain(t), _plain(mean)
    for component, color in enumerate(COLORS):
        name = "xyz"[component]
        ax.plot(t * 1e9, mean[:, component], color=color, label=rf"$\langle m_{name} \rangle$ {label}")
        if reference is not None:
            times, values = map(_plain, reference)
            ax.plot(
                times * 1e9, values[:, component], ".", color=color, markersize=4, alpha=0.7,
                label=rf"$\langle m_{name} \rangle$ {reference_label}",
            )  # fmt: skip
    ax.axhline(0, color="gray", linewidth=0.5)
    ax.set(xlabel="t (ns)", ylabel="mean magnetisation", xlim=(t[0] * 1e9, t[-1] * 1e9), ylim=(-1.05, 1.05))
    ax.legend(ncol=3, fontsize="small", loc="upper right")
    return ax


def _plain(x):
    """Numbers as numpy takes them, without device or graph."""
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
