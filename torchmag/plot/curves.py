"""Pictures of numbers that a simulation gives."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from torchmag.constants import mu_0
from torchmag.layout import to_cells
from torchmag.magnet import Magnet, require_magnet

COLORS = ("tab:blue", "tab:orange", "tab:green")


def averages(
    t, mean, *, reference=None, label: str | None = None, reference_label: str = "reference", ax: Axes | None = None
) -> Axes:
    """Mean magnetisation over time: lines; a reference as dots.

    Args:
        t: times, s.
        mean: (T, 3).
        reference: (times, (T', 3)) of another code.
        label: what the lines are called in the legend; by default "torchmag" beside a reference, and nothing without.
    """
    ax = _axes(ax)
    t, mean = _plain(t), _plain(mean)
    label = label if label is not None else "torchmag" if reference is not None else ""
    for component, color in enumerate(COLORS):
        name = "xyz"[component]
        ax.plot(t * 1e9, mean[:, component], color=color, label=rf"$\langle m_{name} \rangle$ {label}".strip())
        if reference is not None:
            times, values = map(_plain, reference)
            ax.plot(
                times * 1e9, values[:, component], ".", color=color, markersize=4, alpha=0.7,
                label=rf"$\langle m_{name} \rangle$ {reference_label}",
            )  # fmt: skip
    ax.axhline(0, color="gray", linewidth=0.5)
    ax.set(xlabel="t (ns)", ylabel="mean magnetisation", xlim=(t[0] * 1e9, t[-1] * 1e9), ylim=(-1.05, 1.05))
    ax.legend(ncol=3, fontsize="small")
    return ax


def profile(m: Tensor, magnet: Magnet, *, axis: int = 0, at: tuple[int, ...] | None = None, ax: Axes | None = None) -> Axes:
    """The components of m along a line of cells.

    Args:
        m: (3, *nodes).
        magnet: the body; cells outside it are left out.
        axis: of the line: 0, 1 or 2 for x, y or z.
        at: cell numbers along the other axes, in order; the middle by default.
    """
    mesh = require_magnet(magnet, "profile").mesh
    if not 0 <= axis < mesh.dim or m.ndim != mesh.dim + 1:
        raise ValueError(f"profile: axis = {axis} and m of shape {tuple(m.shape)}, expected an axis of the mesh and (3, *nodes)")
    others = [n for a, n in enumerate(mesh.cells) if a != axis]
    at = tuple(n // 2 for n in others) if at is None else tuple(at)
    if len(at) != len(others) or not all(0 <= i < n for i, n in zip(at, others)):
        raise ValueError(f"profile: at = {at}, expected {len(others)} cell number(s) below {tuple(others)}")
    where = (*at[:axis], slice(None), *at[axis:])
    line = to_cells(m.detach(), mesh).cpu().numpy()[(slice(None), *where)]
    inside = (magnet.material(m)["fraction"].detach() > 0).expand(mesh.cells).cpu().numpy()[where]
    x = (mesh.origin[axis] + (np.arange(mesh.cells[axis]) + 0.5) * mesh.dx[axis]) * 1e9
    ax = _axes(ax)
    for values, name, color in zip(line, "xyz", COLORS):
        ax.plot(x, np.ma.masked_where(~inside, values), color=color, label=f"$m_{name}$")
    ax.set(xlabel=f"{'xyz'[axis]} (nm)", ylabel="$m$", ylim=(-1.05, 1.05))
    ax.legend()
    return ax


def hysteresis(H, mean, *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """A loop: mean magnetisation over the applied field.

    Args:
        H: fields, A/m, (F), or (F, 3) on a line through zero.
        mean: (F), or (F, 3): the component along H.
        label: of the curve.

    Raises:
        ValueError: vectors H that do not lie on a line.
    """
    H, mean = _plain(H), _plain(mean)
    if H.ndim == 2:
        axis = H[np.argmax((H**2).sum(1))]
        axis = axis / max(np.linalg.norm(axis), 1e-300)
        along = H @ axis
        if np.abs(H - along[:, None] * axis).max() > 1e-6 * max(np.abs(along).max(), 1e-300):
            raise ValueError("hysteresis: the fields do not lie on a line; give H and mean as (F), the components to show")
        H, mean = along, mean @ axis if mean.ndim == 2 else mean
    if H.ndim != 1 or H.shape != mean.shape:
        raise ValueError(f"hysteresis: H and mean have shapes {H.shape} and {mean.shape}, expected one number for each field")
    ax = _axes(ax)
    ax.plot(mu_0 * H * 1e3, mean, ".-", label=label)
    ax.axhline(0, color="gray", linewidth=0.5)
    ax.axvline(0, color="gray", linewidth=0.5)
    ax.set(xlabel=r"$\mu_0 H$ (mT)", ylabel="mean magnetisation", ylim=(-1.05, 1.05))
    if label:
        ax.legend()
    return ax


def spectrum(f, amplitude, *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """Amplitudes (their absolute values), (F) or (F, curves), over frequencies in Hz, (F)."""
    f, amplitude = _plain(f), np.abs(_plain(amplitude))
    ax = _axes(ax)
    ax.semilogy(f * 1e-9, amplitude, label=label)
    ax.set(xlabel="f (GHz)", ylabel="amplitude")
    if label:
        ax.legend()
    return ax


def dispersion(t, x, m, *, window: bool = True, ax: Axes | None = None) -> Axes:
    """Spin-wave dispersion: the power of m(t, x) over wave number and frequency, in decibels below its maximum.

    Args:
        t: (T), s, uniform.
        x: (N), m, uniform.
        m: (T, N), one component along a line.
        window: a Hann window in both, against the ends.
    """
    t, x, m = map(_plain, (t, x, m))
    if m.shape != (len(t), len(x)) or len(t) < 4 or len(x) < 4:
        raise ValueError(f"dispersion: m has shape {m.shape}, expected (T, N) = ({len(t)}, {len(x)}), at least 4 each")
    m = m - m.mean(0)
    if window:
        m = m * np.hanning(len(t))[:, None] * np.hanning(len(x))
    # A wave exp(i (k x - omega t)) at positive k and f.
    power = np.abs(np.fft.fftshift(np.fft.fft(np.fft.rfft(m, axis=0), axis=1), 1)[:, ::-1]) ** 2
    k = -np.fft.fftshift(np.fft.fftfreq(len(x), (x[-1] - x[0]) / (len(x) - 1)))[::-1] * 2 * np.pi
    f = np.fft.rfftfreq(len(t), (t[-1] - t[0]) / (len(t) - 1))
    ax = _axes(ax)
    image = ax.pcolormesh(
        k * 1e-6, f * 1e-9, 10 * np.log10(power / power.max() + 1e-12), cmap="magma", vmin=-60, vmax=0, shading="nearest"
    )
    ax.set(xlabel="k (rad/µm)", ylabel="f (GHz)")
    ax.figure.colorbar(image, ax=ax, pad=0.01).set_label("power (dB)")
    return ax


def training(losses, *, label: str | None = None, ax: Axes | None = None) -> Axes:
    """Losses over iterations, on a logarithmic axis where all are positive."""
    losses = np.asarray([float(_plain(loss)) for loss in losses])
    ax = _axes(ax)
    ax.plot(losses, label=label)
    if len(losses) and losses.min() > 0:
        ax.set_yscale("log")
    ax.set(xlabel="iteration", ylabel="loss")
    if label:
        ax.legend()
    return ax


def _axes(ax):
    return plt.subplots(figsize=(8, 4.5), layout="constrained")[1] if ax is None else ax


def _plain(x):
    """Numbers as numpy takes them, without device or graph."""
    return x.detach().cpu().numpy() if isinstance(x, Tensor) else np.asarray(x)
