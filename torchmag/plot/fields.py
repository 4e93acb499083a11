"""Pictures of magnetisation fields."""

import itertools
from collections.abc import Iterable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import animation
from matplotlib.axes import Axes
from torch import Tensor

from torchmag.layout import to_cells
from torchmag.magnet import Magnet, require_magnet

COLORS = ("angle", "orientation", "x", "y", "z")


def snapshot(
    m: Tensor, magnet: Magnet, *, layer: int | None = None, arrows: int = 40, color: str = "angle", ax: Axes | None = None
) -> Axes:
    """The magnetisation seen along z: arrows over a colour.

    Args:
        m: (3, *nodes) on a 2D or 3D mesh.
        magnet: the body; cells outside it stay white.
        layer: of cells along z on a 3D mesh; the middle one by default.
        arrows: along the longer side; 0 for none.
        color: "angle" in the plane; "orientation": hue for that angle, white for +z, black for -z, with a colour wheel; or
            "x", "y", "z" for one component.
        ax: to draw on; new by default.

    Raises:
        ValueError: m of a wrong shape, an unknown color.
    """
    mesh = require_magnet(magnet, "snapshot").mesh
    if mesh.dim == 1 or m.ndim != mesh.dim + 1:
        raise ValueError(f"snapshot: m has shape {tuple(m.shape)}, expected (3, *nodes) on a 2D or 3D mesh")
    if color not in COLORS:
        raise ValueError(f"snapshot: color = {color!r}, expected one of {', '.join(COLORS)}")
    if ax is None:
        _, ax = plt.subplots(figsize=(9, 1.4 + 7.5 * min(mesh.size[1] / mesh.size[0], 1.2)), layout="constrained")
    image = _draw(ax, m, magnet, layer, arrows, color)
    ax.set(xlabel="x (nm)", ylabel="y (nm)", aspect="equal")
    if color == "orientation":
        _draw_wheel(ax)
    else:
        ticks = (0, 90, 180, 270, 360) if color == "angle" else (-1, 0, 1)
        bar = ax.figure.colorbar(image, ax=ax, ticks=ticks, pad=0.01, aspect=12)
        bar.set_label("in-plane angle (deg)" if color == "angle" else f"$m_{color}$")
    return ax


def movie(frames: Iterable[Tensor], magnet: Magnet, path, *, t=None, fps: int = 20, **options) -> Path:
    """Snapshots in a row, as .gif, or as .mp4 where ffmpeg is installed.

    Args:
        frames: (T, 3, *nodes), a trajectory of a file, or anything that gives (3, *nodes).
        magnet: the body.
        path: of the film; an existing one is replaced.
        t: times, s, for the title.
        fps: frames a second.
        options: `layer`, `arrows` and `color` of `snapshot`.
    """
    path, frames, times = Path(path), iter(frames), None if t is None else np.asarray(t, dtype=float)
    first = next(frames)
    ax = snapshot(first, magnet, **options)
    figure = ax.figure
    writer = animation.PillowWriter(fps) if path.suffix == ".gif" else animation.FFMpegWriter(fps)
    settings = {"layer": None, "arrows": 40, "color": "angle"} | options
    with writer.saving(figure, str(path), dpi=100):
        for number, m in enumerate(itertools.chain((first,), frames)):
            for artist in (*ax.images, *ax.collections):
                artist.remove()
            _draw(ax, m, magnet, **settings)
            if times is not None:
                ax.set_title(f"t = {times[number] * 1e9:.4g} ns")
            writer.grab_frame()
    plt.close(figure)
    return path


def _draw(ax, m, magnet, layer, arrows, color):
    """Colour and arrows, all that changes from frame to frame; the image."""
    mesh, (cells, inside) = magnet.mesh, _layer(m, magnet, layer)
    left, bottom = mesh.origin[0] * 1e9, mesh.origin[1] * 1e9
    image = _paint(ax, cells, inside, color, (left, left + mesh.size[0] * 1e9, bottom, bottom + mesh.size[1] * 1e9))
    if arrows:
        _draw_arrows(ax, mesh, cells, inside, max(1, round(max(mesh.cells[:2]) / arrows)))
    return image


def _layer(m, magnet, layer):
    """The means of the cells of one layer, (3, nx, ny), and which of them are magnetic."""
    mesh = magnet.mesh
    cells = to_cells(m.detach(), mesh).cpu().numpy()
    inside = (magnet.material(m)["fraction"].detach() > 0).expand(mesh.cells).cpu().numpy()
    if mesh.dim == 3:
        layer = mesh.cells[2] // 2 if layer is None else layer
        cells, inside = cells[..., layer], inside[..., layer]
    return cells, inside


def _paint(ax, cells, inside, color, extent):
    shared = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    if color == "orientation":
        rgba = np.concatenate((orientation_colors(*cells), inside[..., None]), -1)
        return ax.imshow(rgba.swapaxes(0, 1), **shared)
    if color == "angle":
        angle = np.degrees(np.arctan2(cells[1], cells[0])) % 360
        return ax.imshow(np.ma.masked_where(~inside, angle).T, cmap="hsv", vmin=0, vmax=360, alpha=0.85, **shared)
    values = np.ma.masked_where(~inside, cells["xyz".index(color)])
    return ax.imshow(values.T, cmap="RdBu_r", vmin=-1, vmax=1, **shared)


def _draw_arrows(ax, mesh, cells, inside, step):
    x, y = ((o + (np.arange(n) + 0.5) * h) * 1e9 for o, n, h in zip(mesh.origin[:2], mesh.cells[:2], mesh.dx[:2]))
    grid = np.meshgrid(x, y, indexing="ij")
    pick = (slice(step // 2, None, step),) * 2
    shown = inside[pick]
    ax.quiver(
        *(g[pick][shown] for g in grid), cells[0][pick][shown], cells[1][pick][shown],
        angles="xy", pivot="mid", scale_units="xy", scale=1 / (0.9 * step * min(mesh.dx[:2]) * 1e9), width=0.0016, headwidth=4,
    )  # fmt: skip


def _draw_wheel(ax):
    """What the colours of "orientation" mean."""
    wheel = ax.inset_axes((1.06, 0.5, 0.2, 0.5))
    x, y = np.meshgrid(np.linspace(-1, 1, 101), np.linspace(-1, 1, 101), indexing="ij")
    inside = x**2 + y**2 <= 1
    colors = orientation_colors(x, y, np.sqrt(np.clip(1 - x**2 - y**2, 0, 1)))
    wheel.imshow(np.concatenate((colors, inside[..., None]), -1).swapaxes(0, 1), origin="lower", extent=(-1, 1, -1, 1))
    wheel.set(xticks=(), yticks=(), xlabel="$m_x$", ylabel="$m_y$")
    wheel.set_frame_on(False)


def orientation_colors(x, y, z) -> np.ndarray:
    """Unit vectors to red, green, blue, (..., 3): the angle in the plane gives the hue, z the lightness from black to white."""
    hue, z = np.arctan2(y, x) / (2 * np.pi) % 1, np.clip(z, -1, 1)
    full = np.clip(np.abs((6 * hue[..., None] + (0, 4, 2)) % 6 - 3) - 1, 0, 1)
    return (1 + z[..., None]) / 2 + (1 - np.abs(z))[..., None] * (full - 0.5)
