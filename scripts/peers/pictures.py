"""Pictures of the numbers."""

import math


def ours(names):
    """What the others are compared with: the first that is compiled."""
    return next(name for name in names if name.endswith("compiled"))


def plot_axes():
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(7, 4), layout="constrained")


def plot(found, names, path):
    from matplotlib.ticker import LogLocator, NullFormatter

    figure, axes = plot_axes()
    for name in names:
        if not name.startswith("torchmag"):
            ratios = {mesh: row[name] / row[ours(names)] for mesh, row in found.items() if row[name]}
            axes.semilogy(ratios.keys(), ratios.values(), "o", label=name)
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set(xlabel="cells", ylabel="time / that of torchmag, compiled")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside upper center", ncol=4)
    figure.savefig(path, dpi=120)


def plot_growth(found, names, path):
    """Time over the number of cells: films as lines, bodies dashed."""
    figure, axes = plot_axes()
    for number, name in enumerate(names):
        for film in (True, False):
            points = {cells(mesh): row[name] for mesh, row in found.items() if row[name] and mesh.endswith("x1") == film}
            style = {"linewidth": 2.5 if name == ours(names) else 1, "color": f"C{number}"}
            axes.loglog(points.keys(), points.values(), "o-" if film else "s--", label=name if film else None, **style)
    axes.set(xlabel="cells (dashed: as many along each axis)", ylabel="ms for one right-hand side")
    figure.legend(loc="outside right center")
    figure.savefig(path, dpi=120)


def cells(mesh):
    return math.prod(map(int, mesh.split("x")))
