"""Pictures in space: the grid holds what was given, and what is drawn is where it should be."""

import importlib

import numpy as np
import pytest
import torch

import torchmag as tm
from torchmag import plot
from torchmag.layout import to_cells

MESH = tm.Mesh((8, 6, 4), (5e-9, 5e-9, 3e-9), origin=(1e-9, 0, 0))


def half():
    """A body in the half x > 20 nm of its mesh, m_z rising from -1 to 1 along z."""
    fraction = torch.ones(8, 6, 4)
    fraction[:4] = 0
    angle = torch.linspace(-1, 1, 5) * torch.pi / 2
    m = torch.stack((angle.cos(), 0 * angle, angle.sin()))[:, None, None].expand(3, 9, 7, 5)
    return tm.Magnet(MESH, 8e5, fraction), m


def drawn(plotter):
    """The polygons with colours of a plotter."""
    return [mesh for mesh in plotter.meshes if "colors" in mesh.point_data]


@pytest.fixture
def pv():
    return pytest.importorskip("pyvista")


def test_a_grid_of_nodes_and_cells(pv):
    body, _ = half()
    m, regions = tm.random(MESH, seed=1), torch.arange(8 * 6 * 4).reshape(8, 6, 4)
    grid = plot.image_data(m.requires_grad_(), body, {"regions": regions, "axis": torch.rand(3, 1, 1, 1)})
    x = tm.positions(MESH)
    points = np.round(np.asarray(grid.points), 6)
    for index in ((0, 0, 0), (8, 6, 4), (3, 5, 2), (1, 0, 4)):
        where = (slice(None), *index)
        (number,) = np.flatnonzero((points == np.round(x[where].numpy() * 1e9, 6)).all(1))
        np.testing.assert_array_equal(grid.point_data["m"][number], m.detach()[where])
    number = grid.find_closest_cell([1 + 6.5 * 5, 2.5 * 5, 1.5 * 3])
    assert grid.cell_data["regions"][number] == regions[6, 2, 1]
    assert grid.cell_data["fraction"][number] == 1 and grid.cell_data["Ms"][number] == 8e5
    assert grid.cell_data["fraction"].sum() == 4 * 6 * 4 and grid.cell_data["axis"].shape == (192, 3)


@pytest.mark.parametrize("cells", [(5,), (5, 3)])
def test_missing_axes_are_one_cell_thick_and_periodic_ones_closed(pv, cells):
    mesh = tm.Mesh(cells, (5e-9, 4e-9, 3e-9), pbc=(2, 0, 0))
    m = tm.random(mesh, seed=1)
    grid = plot.image_data(m, tm.Magnet(mesh, 8e5))
    assert grid.dimensions == (6, (*cells, 1)[1] + 1, 2) and grid.bounds[5] == pytest.approx(3)
    values = grid.point_data["m"].reshape(2, -1, 6, 3)
    np.testing.assert_array_equal(values[0], values[1])
    np.testing.assert_array_equal(values[:, :, 0], values[:, :, 5])
    np.testing.assert_array_equal(values[0, 0, :5].T, m.reshape(3, 5, -1)[:, :, 0])
    assert drawn(plot.scene(m, tm.Magnet(mesh, 8e5), off_screen=True))


def test_arrows_surface_and_cut(pv):
    body, m = half()
    surface, arrows = drawn(plot.scene(m, body, surface=("z", 0), arrows=4, off_screen=True))
    # m_z = 0 in the middle of z, only in the body, red: m = +x there.
    np.testing.assert_allclose(surface.bounds, (21, 41, 0, 30, 6, 6), atol=1e-5)
    assert (surface.point_data["colors"] == (255, 0, 0)).all()
    # An arrow at each second cell along x and y, third along z.
    assert arrows.bounds[0] > 21 - 5 and len(np.unique(arrows.point_data["GlyphVector"], axis=0)) == 1
    cut, arrows = drawn(plot.scene(m, body, cut=("z", 10.5e-9), color="z", off_screen=True))
    np.testing.assert_allclose(cut.bounds, (21, 41, 0, 30, 10.5, 10.5), atol=1e-5)
    level = (m[2, 0, 0, 3] + m[2, 0, 0, 4]) / 2
    np.testing.assert_allclose(cut.point_data["colors"], float(level), atol=1e-6)
    np.testing.assert_allclose(arrows.point_data["GlyphVector"][:, 2], float(to_cells(m, MESH)[2, 0, 0, 3]), atol=1e-6)
    assert len(drawn(plot.scene(m, body, cut=("x", 23e-9), arrows=0, color="angle", off_screen=True))) == 1


def test_a_picture(pv, tmp_path):
    body, m = half()
    plotter = plot.scene(m, body, surface=("z", 0), off_screen=True, plotter=pv.Plotter(off_screen=True, window_size=(300, 200)))
    picture = np.asarray(plotter.screenshot(tmp_path / "m.png"))
    plotter.close()
    assert picture.shape == (200, 300, 3) and (tmp_path / "m.png").stat().st_size > 1000
    # The surface is red.
    red = (picture[..., 0].astype(int) - picture[..., 1:].max(-1) > 100).sum()
    assert red > 500


def test_wrong_input(pv):
    body, m = half()
    for wrong, message in (
        ({"color": "rainbow"}, "color = 'rainbow'"),
        ({"cut": "t"}, "cut along 't'"),
        ({"surface": ("t", 0)}, "surface along 't'"),
        ({"surface": ("y", 0.5)}, "surface m_y = 0.5 does not meet"),
        ({"cut": ("x", 10e-9)}, "does not meet the body"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.scene(m, body, off_screen=True, **wrong)
    with pytest.raises(ValueError, match="choose one sample of a batch"):
        plot.scene(m.expand(2, *m.shape), body, off_screen=True)
    with pytest.raises(ValueError, match=r"regions has shape \(8, 7, 4\)"):
        plot.image_data(m, body, {"regions": torch.ones(8, 7, 4)})


def test_without_pyvista(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    body, m = half()
    with pytest.raises(ImportError, match=r"pip install torchmag\[plot3d\]"):
        plot.image_data(m, body)
