"""Trajectory files in the programs that people open them with; each test needs its program (pip install vtk xarray h5netcdf)."""

import numpy as np
import pytest
import torch
from test_trajectory import MESHES

import torchmag as tm
from torchmag.io import Trajectory

TIMES = [0.0, 1e-12, 5e-12]


def make(path, mesh):
    """A file of three frames; the frames as (T, 3, *points), periodic axes closed, and Ms."""
    states = torch.stack([tm.random(mesh, seed=seed) for seed in range(3)])
    Ms = 8e5 * torch.rand(mesh.cells, generator=torch.Generator().manual_seed(0))
    with Trajectory(path, tm.Magnet(mesh, Ms), scalars={"E": "J"}, sync=False) as trajectory:
        for t, m in zip(TIMES, states):
            trajectory.append(t, m, E=-t)
    for axis in range(mesh.dim):
        if mesh.periodic(axis):
            states = torch.cat((states, states.narrow(axis + 2, 0, 1)), axis + 2)
    return states.numpy(), Ms.numpy()


def check_vtk(path, mesh, states, Ms):
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkCommonExecutionModel import vtkStreamingDemandDrivenPipeline
    from vtkmodules.vtkIOHDF import vtkHDFReader

    reader = vtkHDFReader()
    assert reader.CanReadFile(str(path))
    reader.SetFileName(str(path))
    reader.UpdateInformation()
    key, information = vtkStreamingDemandDrivenPipeline.TIME_STEPS(), reader.GetOutputInformation(0)
    # A file of one step is no series to VTK.
    assert [information.Get(key, i) for i in range(information.Length(key))] == (TIMES[: len(states)] if len(states) > 1 else [])
    for step, expected in enumerate(states):
        reader.UpdateTimeStep(TIMES[step])
        image = reader.GetOutput()
        shape = (*(n + 1 for n in mesh.n), 1, 1)[:3]
        assert image.GetDimensions() == shape and image.GetSpacing() == mesh.dx
        middle = [o if axis < mesh.dim else o + h / 2 for axis, (o, h) in enumerate(zip(mesh.origin, mesh.dx))]
        assert image.GetOrigin() == tuple(middle)
        m = vtk_to_numpy(image.GetPointData().GetArray("m")).reshape(*shape[::-1], 3).T
        assert np.array_equal(m.reshape(expected.shape), expected)
        # What VTK interpolates between the points is torchmag's field: the value at a node by its position.
        node = image.FindPoint([o + h for o, h in zip(image.GetOrigin(), [mesh.dx[0], 0, 0])])
        assert image.GetPointData().GetArray("m").GetTuple3(node) == tuple(expected[(slice(None), 1, *(0,) * (mesh.dim - 1))])
        cells = vtk_to_numpy(image.GetCellData().GetArray("Ms"))
        assert np.array_equal(cells.reshape(mesh.cells[::-1]).T, Ms)


@pytest.mark.parametrize("name", MESHES)
def test_vtk_opens_a_time_series(tmp_path, name):
    pytest.importorskip("vtkmodules.vtkIOHDF")
    states, Ms = make(tmp_path / "x.vtkhdf", MESHES[name])
    check_vtk(tmp_path / "x.vtkhdf", MESHES[name], states, Ms)


def test_vtk_opens_it_while_it_is_written_and_after_a_shortening(tmp_path):
    pytest.importorskip("vtkmodules.vtkIOHDF")
    path, mesh = tmp_path / "x.vtkhdf", MESHES["3D"]
    states, Ms = make(path, mesh)
    with Trajectory.open(path, mode="append", frames=1, sync=False) as trajectory:
        check_vtk(path, mesh, states[:1], Ms)
        trajectory.append(TIMES[1], torch.from_numpy(states[1]), E=0)
        check_vtk(path, mesh, states[:2], Ms)


@pytest.mark.parametrize("name", MESHES)
def test_xarray_opens_it_with_its_axes(tmp_path, name):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    mesh = MESHES[name]
    states, _ = make(tmp_path / "x.vtkhdf", mesh)
    with xarray.open_dataset(tmp_path / "x.vtkhdf", engine="h5netcdf") as data:
        axes = "xyz"[: mesh.dim]
        assert data.m.dims == ("t", *reversed(axes), "component") and set(data.data_vars) == {"m", "E"}
        assert data.t.values.tolist() == TIMES and data.t.units == "s" and data.E.units == "J"
        for axis, n, origin, h in zip(axes, mesh.n, mesh.origin, mesh.dx):
            np.testing.assert_allclose(data[axis], origin + h * np.arange(n + 1), rtol=1e-15)
        assert np.array_equal(data.m.transpose("t", "component", *axes).values, states)
        mz = data.m.sel(component="z").interp(t=3e-12).isel(dict.fromkeys(axes, 0))
        corner = states[(slice(None), 2, *(0,) * mesh.dim)]
        assert float(mz) == pytest.approx((corner[1] + corner[2]) / 2, rel=1e-12)
