"""Pictures: what they show is what was given."""

import math

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

import torchmag as tm
from torchmag import plot
from torchmag.layout import to_cells

mpl.use("Agg")
MESH = tm.Mesh((8, 6), (5e-9, 5e-9, 3e-9))


@pytest.fixture(autouse=True)
def closed():
    yield
    mpl.pyplot.close("all")


def disk():
    fraction = torch.ones(8, 6)
    fraction[0] = 0
    return tm.Magnet(MESH, 8e5, fraction), tm.random(MESH, seed=1)


def test_components_and_vacuum():
    body, m = disk()
    for axis, name in enumerate("xyz"):
        (image,) = plot.snapshot(m, body, color=name).images
        shown = image.get_array()
        cells = to_cells(m, MESH)
        assert shown.shape == (6, 8) and bool(shown.mask[:, 0].all()) and not shown.mask[:, 1:].any()
        np.testing.assert_allclose(shown[:, 1:], cells[axis].T[:, 1:])


def test_vacuum_that_depends_on_time():
    _, m = disk()
    Ms = 8e5 * (torch.arange(6) > 1)
    (image,) = plot.snapshot(m, tm.Magnet(MESH, lambda t: (1 + t) * Ms.expand(8, 6)), color="x").images
    assert bool(image.get_array().mask[:2].all()) and not image.get_array().mask[2:].any()


def test_orientation_colors():
    rgb = plot.orientation_colors(np.array([1.0, 0, 0, -1]), np.array([0.0, 0, 0, 0]), np.array([0.0, 1, -1, 0]))
    np.testing.assert_allclose(rgb, [[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 1]], atol=1e-12)
    body, m = disk()
    (image,) = plot.snapshot(m.requires_grad_(), body, color="orientation", arrows=0).images
    assert image.get_array().shape == (6, 8, 4)


def test_profile_is_a_line_of_cells():
    body, m = disk()
    lines = plot.profile(m, body, axis=1, at=(3,)).lines
    assert [len(line.get_xdata()) for line in lines] == [6, 6, 6]
    np.testing.assert_allclose(lines[0].get_xdata(), (np.arange(6) + 0.5) * 5)
    mean = 0.25 * (m[:, 3:5, :-1] + m[:, 3:5, 1:]).sum(1)
    np.testing.assert_allclose(np.array([line.get_ydata() for line in lines]), mean)
    for wrong in ({"axis": 2}, {"at": (9,)}, {"at": (1, 1)}):
        with pytest.raises(ValueError, match="profile: "):
            plot.profile(m, body, **wrong)


def test_hysteresis_along_the_field():
    H = torch.linspace(-1e5, 1e5, 5)[:, None] * torch.tensor([0.6, 0.0, 0.8])
    (line, *_) = plot.hysteresis(H, torch.tanh(H / 3e4)).lines
    order = np.argsort(line.get_xdata())
    np.testing.assert_allclose(line.get_xdata()[order], tm.mu_0 * np.linspace(-1e8, 1e8, 5))
    assert (np.diff(line.get_ydata()[order]) > 0).all()
    with pytest.raises(ValueError, match="do not lie on a line"):
        plot.hysteresis(torch.eye(3), torch.eye(3))


@pytest.mark.parametrize("sign", [1, -1])
def test_dispersion_has_a_wave_where_it_is(sign):
    t, x = np.arange(128) * 1e-11, np.arange(100) * 5e-9
    k, f = sign * 2 * math.pi * 8 / (100 * 5e-9), 1e10
    ax = plot.dispersion(t, x, np.cos(k * x - 2 * math.pi * f * t[:, None]))
    mesh = ax.collections[0]
    row, column = np.unravel_index(np.argmax(mesh.get_array()), mesh.get_array().shape)
    corners = mesh.get_coordinates()  # one more than values
    assert corners[row, column, 0] <= k * 1e-6 <= corners[row, column + 1, 0]
    assert corners[row, column, 1] <= 10 <= corners[row + 1, column, 1]


def test_spectrum_and_training():
    (line,) = plot.spectrum(torch.tensor([1e9, 2e9]), torch.tensor([1j, 2.0])).lines
    assert line.get_xdata().tolist() == [1, 2] and line.get_ydata().tolist() == [1, 2]
    assert plot.training([3.0, torch.tensor(1.0, requires_grad=True)]).get_yscale() == "log"
    assert plot.training([3.0, -1.0]).get_yscale() == "linear"


def test_movie(tmp_path):
    body, _ = disk()
    frames = torch.stack([tm.uniform(MESH, (math.cos(a), math.sin(a), 0)) for a in (0.0, 1.0, 2.0)])
    path = plot.movie(iter(frames), body, tmp_path / "m.gif", t=[0, 1e-9, 2e-9], arrows=4)
    with Image.open(path) as film:
        assert film.n_frames == 3
        pictures = []
        for number in range(3):
            film.seek(number)
            pictures.append(np.asarray(film.convert("RGB")))
    assert (pictures[0] != pictures[1]).any() and (pictures[1] != pictures[2]).any()


def test_wrong_input():
    body, m = disk()
    with pytest.raises(ValueError, match="color = 'rainbow'"):
        plot.snapshot(m, body, color="rainbow")
    with pytest.raises(ValueError, match=r"expected \(3, \*nodes\)"):
        plot.snapshot(m[None], body)
    with pytest.raises(TypeError, match="snapshot: magnet is a Mesh, expected a torchmag.Magnet"):
        plot.snapshot(m, body.mesh)
    with pytest.raises(ValueError, match=r"dispersion: m has shape"):
        plot.dispersion(np.arange(5), np.arange(6), np.zeros((6, 5)))
