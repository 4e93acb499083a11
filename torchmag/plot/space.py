"""Pictures of magnetisation in space, on pyvista."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from torchmag.layout import to_cells
from torchmag.magnet import Magnet
from torchmag.plot.fields import COLORS, orientation_colors

if TYPE_CHECKING:
    import pyvista

AXES = ("x", "y", "z")


def image_data(m: Tensor, magnet: Magnet, cells: Mapping[str, Tensor] | None = None) -> "pyvista.ImageData":
    """A state as pyvista's grid, in nm, to go on with there.

    Args:
        m: (3, *nodes).
        magnet: the body.
        cells: name -> map on cells, (*cells) or (3, *cells), such as regions.

    Returns:
        A grid with m at the points, (points, 3), and "fraction", "Ms" (A/m) and the given maps on the cells.  Periodic axes are
        closed by their first nodes once more; axes that the mesh does not have are one cell thick.
    Raises:
        ValueError: m is no single state of the mesh, a map of a wrong shape.
        ImportError: pyvista is missing.
    """
    pv, mesh = _pyvista(), magnet.mesh
    if not isinstance(m, Tensor) or tuple(m.shape) != (3, *mesh.nodes):
        found = tuple(m.shape) if isinstance(m, Tensor) else type(m).__name__
        raise ValueError(f"m is {found}, expected {(3, *mesh.nodes)}; choose one sample of a batch, one time of a trajectory")
    points = m.detach().cpu()
    for axis in range(mesh.dim):
        if mesh.periodic(axis):
            points = torch.cat((points, points.narrow(axis + 1, 0, 1)), axis + 1)
    grid = pv.ImageData(
        dimensions=tuple(n + 1 for n in _shape(mesh)),
        spacing=tuple(h * 1e9 for h in mesh.dx),
        origin=tuple(o * 1e9 for o in mesh.origin),
    )
    grid.point_data["m"] = np.tile(_rows(points, mesh), (2 ** (3 - mesh.dim), 1))
    values = magnet.material(m)
    for name, value in ({"fraction": values["fraction"], "Ms": values["Ms"]} | dict(cells or {})).items():
        value = torch.as_tensor(value).detach().cpu()
        lead = tuple(value.shape[: max(value.ndim - mesh.dim, 0)])
        try:
            whole = value.expand(*lead, *mesh.cells)
        except RuntimeError:
            whole = None
        if whole is None or lead not in ((), (3,)):
            raise ValueError(f"image_data: {name} has shape {tuple(value.shape)}, expected {mesh.cells} or {(3, *mesh.cells)}")
        grid.cell_data[name] = _rows(whole, mesh)
    return grid


def scene(
    m: Tensor,
    magnet: Magnet,
    *,
    arrows: int = 20,
    surface: tuple[str, float] | None = None,
    cut: str | tuple[str, float] | None = None,
    color: str = "orientation",
    off_screen: bool = False,
    plotter: "pyvista.Plotter | None" = None,
) -> "pyvista.Plotter":
    """The magnetisation in space: arrows, a surface of constant component, a cut; vacuum is left out.

        tm.plot.scene(m, body, surface=("z", 0)).show()
        tm.plot.scene(m, body, cut="z", off_screen=True).screenshot("m.png")

    Args:
        m: (3, *nodes).
        magnet: the body.
        arrows: along the longest side; 0 for none.  On the cut, where there is one, else in all of the body.
        surface: component and value: ("z", 0) is the surface m_z = 0, around the core of a hopfion.
        cut: axis that the plane is normal to, through the middle, or (axis, position in m).
        color: as in `snapshot`: "orientation" or "angle", with a sphere of their colours; "x", "y" or "z".
        off_screen: without a window, for `screenshot`.
        plotter: to draw on; new by default.

    Raises:
        ValueError: m is no single state of the mesh, an unknown color, axis or component, a surface or cut that is empty.
        ImportError: pyvista is missing.
    """
    pv, mesh = _pyvista(), magnet.mesh
    if color not in COLORS:
        raise ValueError(f"scene: color = {color!r}, expected one of {', '.join(COLORS)}")
    grid = image_data(m, magnet)
    body = grid.extract_cells(np.flatnonzero(grid.cell_data["fraction"] > 0))
    plotter = pv.Plotter(off_screen=off_screen) if plotter is None else plotter
    plotter.set_background("white")
    if surface is not None:
        shape = body.contour([float(surface[1])], scalars=body.point_data["m"][:, _axis("surface", surface[0])].astype(float))
        _add(plotter, _paint(shape, color), color, f"the surface m_{surface[0]} = {surface[1]}", smooth_shading=True)
    plane = None if cut is None else _plane(cut, mesh)
    if plane is not None:
        _add(
            plotter, _paint(body.slice(normal=AXES[plane[0]], origin=plane[1]), color), color, f"the cut {cut!r}", lighting=False
        )
    if arrows:
        _add(plotter, _arrows(pv, m, magnet, grid, arrows, plane, color), color, None, smooth_shading=True)
    skin = body.extract_surface(algorithm="dataset_surface")
    plotter.add_mesh(skin, color="gray", opacity=0.08)
    _add_box(plotter, mesh)
    if color not in AXES:
        _add_sphere(pv, plotter, color)
    return plotter


def _arrows(pv, m, magnet, grid, number, plane, color):
    """Arrows at the middles of cells, as many in a length along each axis."""
    mesh, shape = magnet.mesh, _shape(magnet.mesh)
    steps = [max(1, round(max(mesh.size) / number / h)) for h in mesh.dx]
    shown = grid.cell_data["fraction"] > 0
    for axis, index in enumerate(np.unravel_index(np.arange(grid.n_cells), shape, order="F")):
        if plane is not None and axis == plane[0]:
            at = int((plane[1][axis] * 1e-9 - mesh.origin[axis]) / mesh.dx[axis])
            shown &= index == min(max(at, 0), shape[axis] - 1)
        else:
            shown &= (index - min(steps[axis], shape[axis]) // 2) % steps[axis] == 0
    dots = pv.PolyData(grid.cell_centers().points[shown])
    dots["m"] = _rows(to_cells(m.detach(), mesh).cpu(), mesh)[shown]
    spacings = [step * h for step, h, n in zip(steps, mesh.dx, shape) if n > 1] or mesh.dx
    arrow = pv.Arrow(
        start=(-0.5, 0, 0), tip_length=0.35, tip_radius=0.18, shaft_radius=0.07, tip_resolution=12, shaft_resolution=8
    )
    # Painted before: an arrow has one colour, and hundreds of points.
    return _paint(dots, color).glyph(orient="m", scale=False, factor=0.9e9 * min(spacings), geom=arrow) if dots.n_points else dots


def _paint(shape, color):
    """The array that colours a shape, from m at its points."""
    if not shape.n_points:
        return shape
    x, y, z = np.asarray(shape.point_data["m"], dtype=float).T
    if color in AXES:
        shape.point_data["colors"] = (x, y, z)[AXES.index(color)]
    else:
        up = 0 * z if color == "angle" else z / np.maximum(np.sqrt(x**2 + y**2 + z**2), 1e-300)
        shape.point_data["colors"] = np.uint8(np.round(255 * orientation_colors(x, y, up)))
    return shape


def _add(plotter, shape, color, title, **options):
    """A painted shape; nothing in it is an error if it has a title."""
    if not shape.n_points and title is None:
        return
    if not shape.n_points:
        raise ValueError(f"scene: nothing to draw, {title} does not meet the body")
    if color in AXES:
        bar = {"title": f"m_{color}", "color": "black", "n_labels": 3, "fmt": "%.0f", "vertical": True, "height": 0.3}
        bar |= {"position_x": 0.88, "position_y": 0.03, "title_font_size": 18, "label_font_size": 16}
        options |= {"cmap": "RdBu_r", "clim": (-1, 1), "scalar_bar_args": bar}
    plotter.add_mesh(shape, scalars="colors", rgb=color not in AXES, **options)


def _add_sphere(pv, plotter, color):
    """What the colours mean: a sphere of all directions that turns with the view."""
    sphere = pv.Sphere(theta_resolution=60, phi_resolution=60)
    sphere.point_data["m"] = 2 * sphere.points
    sphere = _paint(sphere, color)
    sphere.set_active_scalars("colors")
    actor = pv.Actor(mapper=pv.DataSetMapper(sphere))
    actor.prop.ambient, actor.prop.diffuse = 0.5, 0.5
    plotter.add_orientation_widget(actor, viewport=(0.86, 0.0, 1.0, 0.2))


def _add_box(plotter, mesh):
    """Axes in nm: fewer numbers on short ones, none on those too thin for two."""
    options = {"location": "outer", "fmt": "%.3g", "color": "black", "font_size": 12}
    options["bounds"] = [1e9 * end for o, s in zip(mesh.origin, mesh.size) for end in (o, o + s)]
    for name, part in zip(AXES, (size / max(mesh.size) for size in mesh.size)):
        options |= {f"{name}title": f"{name} (nm)", f"n_{name}labels": 3 if part > 0.4 else 2, f"show_{name}labels": part > 0.1}
    plotter.show_bounds(**options)


def _plane(cut, mesh):
    axis, at = (cut, None) if isinstance(cut, str) else cut
    number = _axis("cut", axis)
    origin = [(o + s / 2) * 1e9 for o, s in zip(mesh.origin, mesh.size)]
    if at is not None:
        origin[number] = at * 1e9
    return number, origin


def _axis(name, axis):
    if axis not in AXES:
        raise ValueError(f"scene: {name} along {axis!r}, expected x, y or z")
    return AXES.index(axis)


def _shape(mesh):
    """Cells along x, y and z."""
    return (*mesh.cells, 1, 1)[:3]


def _rows(x, mesh):
    """(*grid) or (3, *grid) in VTK's order: x fastest, components last."""
    return x.numpy().T.reshape(-1, 3) if x.ndim > mesh.dim else x.numpy().T.ravel()


def _pyvista():
    try:
        return importlib.import_module("pyvista")
    except ImportError:
        raise ImportError("pictures in space need pyvista: pip install torchmag[plot3d], or pip install pyvista") from None
