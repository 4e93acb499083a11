"""A uniformly magnetised sphere, N = 1/3, on cubic cells: staircase against smooth volume fraction."""

import math

import pytest
import torch

import torchmag as tm
from torchmag.geometry import Sphere

R, MS = 10e-9, 8e5
VOLUME = 4 / 3 * math.pi * R**3


def sphere(cells, offset=(0.0, 0.0, 0.0)):
    """Mesh, staircase and smooth fraction of a sphere of `cells` / 2.4 cells radius, its centre moved by parts of a cell."""
    h = 2.4 * R / cells
    mesh = tm.Mesh((cells,) * 3, (h,) * 3, origin=(-1.2 * R,) * 3)
    shape = Sphere(R, [part * h for part in offset])
    return mesh, shape.mask(mesh).double(), shape.fraction(mesh)


def factor(mesh, fraction):
    """N from the energy, relative to the true volume."""
    E = tm.Demag(tm.Magnet(mesh, MS, fraction)).energy(tm.uniform(mesh, (0, 0, 1)))
    return float(E) / (0.5 * tm.mu_0 * MS**2 * VOLUME)


def field_errors(mesh, fraction, where):
    """Root mean square and mean of H / (-M / 3) - 1 over the cells `where`."""
    m = torch.zeros(3, *mesh.cells)
    m[2] = 1
    H = tm.Demag(tm.Magnet(mesh, MS, fraction)).cell_field(m)[2][where]
    error = -3 * H / MS - 1
    return float(error.square().mean().sqrt()), float(error.mean())


@pytest.mark.parametrize("cells", [8, 16])
def test_energy_by_the_trace(cells):
    # tr N_ij = delta_ij and cubic symmetry: E = mu_0 Ms^2 / 6 times sum f^2 of the cells, exactly, whatever the shape.
    mesh, mask, smooth = sphere(cells)
    for fraction in (mask, smooth):
        expected = float(fraction.square().sum()) * mesh.cell_volume / VOLUME / 3
        assert factor(mesh, fraction) == pytest.approx(expected, rel=1e-9)


def test_smooth_energy_converges_to_one_third():
    # A cell that is filled in part lacks its own energy, f (1 - f): first order, h / (2 R), without scatter. The mean over
    # directions of the integral of f (1 - f) across the surface is h / 6 within a percent, times the surface 3 / R.
    N = {}
    for cells in (12, 24):
        mesh, _, smooth = sphere(cells, (0.13, 0.31, -0.22))
        N[cells] = 3 * factor(mesh, smooth) - 1
        assert N[cells] == pytest.approx(-0.5 * mesh.dx[0] / R, rel=0.05)
    # What is left after extrapolation is of order (h / R)^2 / 10 at 10 cells radius.
    assert abs(2 * N[24] - N[12]) < 1e-3


def test_mask_energy_scatters_with_its_volume():
    # A staircase of N = 1/3 exactly, of a volume that is wrong by up to some percent.
    for cells in (12, 16, 24):
        mesh, mask, _ = sphere(cells)
        volume = float(mask.sum()) * mesh.cell_volume / VOLUME
        assert 3 * factor(mesh, mask) == pytest.approx(volume, rel=1e-9)
        assert 1e-3 < abs(volume - 1) < 0.06


def test_field_inside():
    # Full cells, R = 10 h: the staircase has an error of its steps that decays with their distance, the smooth surface has none.
    mesh, mask, smooth = sphere(24, (0.13, 0.31, -0.22))
    full = smooth == 1
    core = Sphere(0.5 * R).mask(mesh)
    staircase, _ = field_errors(mesh, mask, full)
    better, mean = field_errors(mesh, smooth, full)
    assert better < 0.01 and staircase > 5 * better
    assert abs(mean) < 1e-4
    assert field_errors(mesh, smooth, core)[0] < 5e-4


@pytest.mark.slow
def test_field_inside_converges():
    # The layer of cells at the surface that is wrong thins with h: order 1/2 of the root mean square over the full cells.
    errors = []
    for cells in (12, 24, 48):
        mesh, _, smooth = sphere(cells)
        errors.append(field_errors(mesh, smooth, smooth == 1)[0])
    assert errors[0] > errors[1] > errors[2]
    assert math.log2(errors[0] / errors[2]) / 2 > 0.45


@pytest.mark.parametrize("radius", [7.5, 8.0, 8.3, 10.0])
def test_gradient_of_the_energy_in_the_radius(radius):
    # E ~ R^3 - h R^2 / 2; the surface passes the cells one layer after another, which modulates dE/dR by a part of h / R.
    mesh = tm.Mesh((24,) * 3, (1e-9,) * 3, origin=(-12e-9,) * 3)
    s = torch.tensor(1.0, requires_grad=True)
    fraction = Sphere(radius * 1e-9 * s, (0.3e-9, 0.15e-9, -0.1e-9)).fraction(mesh)
    E = tm.Demag(tm.Magnet(mesh, MS, fraction)).energy(tm.uniform(mesh, (0, 0, 1)))
    (slope,) = torch.autograd.grad(E, s)
    assert float(slope / E.detach()) == pytest.approx((3 - 1 / radius) / (1 - 0.5 / radius), rel=0.5 / radius)
