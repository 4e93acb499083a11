"""torchmag.ubermag against formulas, and what it writes."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch

df = pytest.importorskip("discretisedfield")
mm = pytest.importorskip("micromagneticmodel")
tmc = pytest.importorskip("torchmag.ubermag")
from torchmag.ubermag.grid import Grid  # noqa: E402
from torchmag.ubermag.tcl import TclFunction, tkinter  # noqa: E402
from torchmag.ubermag.time_functions import Sampled  # noqa: E402

MU_0 = 4e-7 * math.pi
NM = 1e-9


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def mesh_of(n, cell=(2 * NM,) * 3, **more):
    return df.Mesh(p1=(0, 0, 0), p2=tuple(count * size for count, size in zip(n, cell)), n=n, **more)


def system_of(mesh, energy, m=(0, 0, 1), Ms=8e5, dynamics=0, name="test"):
    system = mm.System(name=name)
    system.energy, system.dynamics = energy, dynamics
    system.m = df.Field(mesh, nvdim=3, value=m, norm=Ms)
    return system


def macrospin(energy, m, dynamics, Ms=8e5):
    return system_of(mesh_of((1, 1, 1)), energy, m, Ms, dynamics)


@pytest.mark.parametrize("n", [(4, 3, 2), (1, 3, 2), (4, 1, 2), (4, 3, 1), (1, 1, 5), (1, 4, 1), (1, 1, 1)])
def test_arrays_go_there_and_back(n):
    mesh = mesh_of(n, (1 * NM, 2 * NM, 3 * NM))
    grid = Grid(mesh, torch.float64, "cpu")
    assert grid.mesh.dim == max(1, sum(count > 1 for count in n))
    assert sorted(grid.axes) == [0, 1, 2] and (grid.axes[1] - grid.axes[0]) % 3 == 1  # turned, not mirrored
    for shape in ((*n, 3), n):
        array = np.random.default_rng(1).normal(size=shape)
        back = grid.array(grid.cells(array))
        assert np.array_equal(back.reshape(shape), array)


def test_a_periodic_axis_of_one_cell_stays():
    grid = Grid(mesh_of((4, 1, 1), bc="xy"), torch.float64, "cpu")
    assert grid.mesh.cells == (4, 1) and grid.mesh.pbc == (math.inf, math.inf, 0)


# Of micromagneticmodel's docstring: w of a spiral m = cos(k x_d) u + sin(k x_d) v along axis d.
def crystal_density(crystal, d, m, slope):
    """D = 1; slope is d m / d x_d."""
    e, axis = np.eye(3), "xyz".find(crystal[-1])
    if crystal == "T":
        return m @ np.cross(e[d], slope)
    if crystal.startswith("Cnv"):
        return m[d] * slope[axis] - m[axis] * slope[d]
    first, second = (axis + 1) % 3, (axis + 2) % 3
    return m @ ((d == first) * np.cross(slope, e[first]) - (d == second) * np.cross(slope, e[second]))


@pytest.mark.parametrize("crystal", ["T", "Cnv_x", "Cnv_y", "Cnv_z", "D2d_x", "D2d_y", "D2d_z"])
@pytest.mark.parametrize("d", [0, 1, 2])
def test_dmi_of_a_spiral(crystal, d):
    count, u, v = 16, np.array([0.6, 0.0, 0.8]), np.array([-0.64, 0.6, 0.48])
    n = [1, 1, 1]
    n[d] = count
    mesh = mesh_of(tuple(n), bc="xyz"[d])
    k = 2 * math.pi / (count * 2 * NM)
    turn = lambda p: math.cos(k * p[d]) * u + math.sin(k * p[d]) * v
    # Every density is a x slope or slope x a in m: constant along a spiral but for terms that cancel over a period.
    x = (np.arange(64) + 0.5) / 64 * 2 * math.pi
    w = np.mean(
        [crystal_density(crystal, d, math.cos(a) * u + math.sin(a) * v, k * (math.cos(a) * v - math.sin(a) * u)) for a in x]
    )
    system = system_of(mesh, mm.DMI(D=3e-3, crystalclass=crystal), turn)
    found = tmc.compute(system.energy.dmi.energy, system, verbose=0, order=6)
    # Cells to nodes and back takes nothing from the angle per cell; k is exact to (k dx)^6 5 / 3584.
    assert found == pytest.approx(3e-3 * w * mesh.region.volume, rel=1e-4, abs=1e-27)


def test_energies_of_uniform_m():
    m = np.array([0.48, 0.6, 0.64])
    strain, shear = (1e-3, 2e-3, -1e-3), (3e-4, 1e-4, -2e-4)
    terms = [
        mm.UniaxialAnisotropy(K=2e5, u=(0, 0, 1)),
        mm.UniaxialAnisotropy(K1=2e5, K2=3e4, u=(1, 0, 0), name="second"),
        mm.CubicAnisotropy(K=1e5, u1=(1, 0, 0), u2=(0, 1, 0)),
        mm.Zeeman(H=(1e5, 2e5, -3e5)),
        mm.MagnetoElastic(B1=7e6, B2=8e6, e_diag=strain, e_offdiag=shear),
        mm.Exchange(A=1e-11),
    ]
    a, b, c = m**2
    w = [
        -2e5 * c,
        -2e5 * a - 3e4 * a**2,
        1e5 * (a * b + b * c + c * a),
        -MU_0 * 8e5 * (m @ (1e5, 2e5, -3e5)),
        7e6 * (m**2 @ strain) + 2 * 8e6 * (m[1] * m[2] * 3e-4 + m[0] * m[2] * 1e-4 + m[0] * m[1] * -2e-4),
        0.0,
    ]
    for n in ((4, 3, 1), (1, 3, 4)):
        mesh = mesh_of(n)
        system = system_of(mesh, mm.Energy(terms=terms), m)
        for term, density in zip(terms, w):
            # Their mu_0 is 4e-7 pi, torchmag's of CODATA: 1e-9.
            found = tmc.compute(getattr(system.energy, term.name).energy, system, verbose=0)
            assert found == pytest.approx(density * mesh.region.volume, rel=1e-8, abs=1e-30), term.name
        total = tmc.compute(system.energy.density, system, verbose=0)
        assert total.array == pytest.approx(sum(w), rel=1e-8)


def test_fields_of_a_term_are_turned_back():
    system = system_of(mesh_of((1, 3, 4)), mm.Zeeman(H=(1e5, 2e5, -3e5)), (1, 2, 3))
    found = tmc.compute(system.energy.effective_field, system, verbose=0)
    assert found.array == pytest.approx(np.broadcast_to((1e5, 2e5, -3e5), (1, 3, 4, 3)))


def test_parameters_by_subregion_and_by_field():
    regions = {
        "left": df.Region(p1=(0, 0, 0), p2=(4 * NM, 6 * NM, 2 * NM)),
        "right": df.Region(p1=(4 * NM, 0, 0), p2=(8 * NM, 6 * NM, 2 * NM)),
    }
    mesh = mesh_of((4, 3, 1), subregions=regions)
    K = df.Field(mesh, nvdim=1, value=lambda p: 1e5 if p[0] < 4 * NM else 3e5)
    found = []
    for value in (K, {"left": 1e5, "right": 3e5}, {"left": 1e5, "default": 3e5}):
        system = system_of(mesh, mm.UniaxialAnisotropy(K=value, u=(0, 0, 1)))
        found.append(tmc.compute(system.energy.energy, system, verbose=0))
    assert found == pytest.approx([-2e5 * mesh.region.volume] * 3, rel=1e-12)
    with pytest.raises(ValueError, match="no subregion 'top'.*left, right"):
        system.energy.uniaxialanisotropy.K = {"top": 1.0}
        tmc.compute(system.energy.energy, system, verbose=0)
    system.energy = mm.Exchange(A={"left": 1e-11, "right": 2e-11, "left:right": 1.5e-11})
    with pytest.warns(UserWarning, match="'left:right' not used"):
        tmc.compute(system.energy.energy, system, verbose=0)


def test_precession_of_a_macrospin():
    gamma, H, t = 2.3e5, 1e5, 1e-10
    system = macrospin(mm.Zeeman(H=(0, 0, H)), (1, 0, 1), mm.Precession(gamma0=gamma))
    tmc.TimeDriver(rtol=1e-8, atol=1e-8).drive(system, t=t, n=4, verbose=0)
    data = system.table.data
    phase = gamma * H * np.array([0.25, 0.5, 0.75, 1]) * t
    s = math.sqrt(0.5)
    assert data["t"].values == pytest.approx(np.array([0.25, 0.5, 0.75, 1]) * t, rel=1e-12)
    assert data["mx"].values == pytest.approx(s * np.cos(phase), abs=1e-7)
    assert data["my"].values == pytest.approx(s * np.sin(phase), abs=1e-7)
    assert data["max_dm/dt"].values == pytest.approx(np.full(4, gamma * H * s * 180 / math.pi * 1e-9), rel=1e-6)
    assert system.table.units["t"] == "s" and system.table.units["E"] == "J"


def test_a_spin_torque_is_that_of_one_layer_of_cells():
    # ubermag's formula at alpha = 0: dm/dt = gamma beta (eps m x (p x m) - eps' m x p), beta of the cell's thickness.
    mesh, J, P, Lambda, prime = mesh_of((1, 1, 4)), 5e11, 0.4, 1.5, 0.2
    p, m = np.array([1.0, 0, 0]), np.array([0.6, 0, 0.8])
    dynamics = mm.Precession(gamma0=2.211e5) + mm.Slonczewski(J=J, mp=tuple(p), P=P, Lambda=Lambda, eps_prime=prime)
    system = system_of(mesh, mm.Zeeman(H=(0, 0, 0)) + mm.Exchange(A=1e-11), m, dynamics=dynamics)
    t = 1e-14
    tmc.TimeDriver(rtol=1e-10, atol=1e-10).drive(system, t=t, n=1, verbose=0)
    beta = mm.consts.hbar / (mm.consts.mu0 * mm.consts.e) * J / (2 * NM * 8e5)
    eps = P * Lambda**2 / (Lambda**2 + 1 + (Lambda**2 - 1) * (m @ p))
    rate = 2.211e5 * beta * (eps * np.cross(m, np.cross(p, m)) - prime * np.cross(m, p))
    assert (system.m.array[0, 0, 0] / 8e5 - m) / t == pytest.approx(rate, rel=1e-3, abs=1e-3 * np.linalg.norm(rate))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_spiral_moves_along_u(axis):
    # beta = alpha: m(x, t) = m(x - u t), for any m (Thiaville et al., Europhys. Lett. 69, 990 (2005)).
    count, u, t = 32, 300.0, 1e-11
    n = [1, 1, 1]
    n[axis] = count
    mesh = mesh_of(tuple(n), bc="xyz"[axis])
    k = 2 * math.pi / (count * 2 * NM)
    at = lambda x: (math.cos(k * x), math.sin(k * x), 0.0)
    velocity = u if axis == 0 else (0, u, 0)
    dynamics = mm.Precession(gamma0=2.211e5) + mm.Damping(alpha=0.1) + mm.ZhangLi(u=velocity, beta=0.1)
    system = system_of(mesh, mm.Exchange(A=1e-11), lambda p: at(p[axis]), dynamics=dynamics)
    tmc.TimeDriver(rtol=1e-8, atol=1e-8).drive(system, t=t, n=1, verbose=0)
    expected = df.Field(mesh, nvdim=3, value=lambda p: at(p[axis] - u * t)).array
    assert system.m.array / 8e5 == pytest.approx(expected, abs=1e-5)


WAVE = """proc Wave { total_time } {
    return [list [expr {1e5 * sin(6.283185307179586e10 * $total_time)}] 0 0 0 0 0]
}"""
ROTATION = "proc Turn { total_time } { return {0 1 0 -1 0 0 0 0 1 0 0 0 0 0 0 0 0 0} }"


def test_fields_in_time():
    f = 1e10
    terms = [
        mm.Zeeman(H=(1e5, 0, 0), func="sin", f=f, t0=0, name="wave"),
        mm.Zeeman(H=(1e5, 0, 0), func="sinc", f=f, t0=5e-12, name="pulse"),
        mm.Zeeman(H=(1e5, 0, 0), func=lambda t: math.sin(2 * math.pi * f * t), dt=1e-13, name="function"),
        mm.Zeeman(H=(1e5, 0, 0), func=lambda t: [0, 1, 0, -1, 0, 0, 0, 0, 1], dt=1e-13, name="turned"),
    ]
    system = macrospin(mm.Energy(terms=terms), (0, 0, 1), mm.Damping(alpha=0.1))
    tmc.TimeDriver().drive(system, t=2e-11, n=8, verbose=0)
    data, mT = system.table.data, MU_0 * 1e5 * 1e3
    t = data["t"].values
    assert data["Bx_wave"].values == pytest.approx(mT * np.sin(2 * math.pi * f * t), rel=1e-8, abs=1e-8 * mT)
    assert data["Bx_pulse"].values == pytest.approx(mT * np.sinc(2 * f * (t - 5e-12)), rel=1e-8)
    assert data["Bx_function"].values == pytest.approx(data["Bx_wave"].values, abs=1e-5 * mT)
    assert data["By_turned"].values == pytest.approx(np.full(8, -mT)) and not data["Bx_turned"].any()
    with pytest.raises(RuntimeError, match="Zeeman 'function'.*TimeDriver"):
        tmc.MinDriver().drive(system, verbose=0)


@pytest.mark.skipif(tkinter is None, reason="no tkinter")
def test_tcl_strings():
    strings = {"script": WAVE, "script_name": "Wave", "script_args": "total_time", "energy": "Oxs_ScriptUZeeman"}
    turn = {
        "script": ROTATION,
        "script_name": "Turn",
        "script_args": "total_time",
        "energy": "Oxs_TransformZeeman",
        "type": "general",
    }
    terms = [mm.Zeeman(H=(0, 0, 1), tcl_strings=strings, name="wave"), mm.Zeeman(H=(1e5, 0, 0), tcl_strings=turn, name="turned")]
    system = macrospin(mm.Energy(terms=terms), (0, 1, 0), mm.Damping(alpha=0.1))
    tmc.TimeDriver().drive(system, t=2e-11, n=4, verbose=0)
    data = system.table.data
    assert data["Bx_wave"].values == pytest.approx(MU_0 * 1e8 * np.sin(2e10 * math.pi * data["t"].values), rel=1e-8, abs=1e-6)
    assert data["By_turned"].iloc[-1] == pytest.approx(-MU_0 * 1e8)
    with pytest.raises(ValueError, match="invalid command name"):
        TclFunction({"script": "exec ls", "script_name": "Wave"}, "Zeeman: tcl_strings")
    with pytest.raises(ValueError, match="Zeeman: tcl_strings: script missing"):
        TclFunction({"script_name": "Wave"}, "Zeeman: tcl_strings")


def wall(mesh, **more):
    center = mesh.region.center[0]
    at = lambda p: (0.3, 1 / math.cosh((p[0] - center) / (4 * NM)), math.tanh((p[0] - center) / (4 * NM)))
    energy = mm.Exchange(A=1e-11) + mm.UniaxialAnisotropy(K=5e5, u=(0, 0, 1))
    return system_of(mesh, energy, at, dynamics=mm.Precession(gamma0=2.211e5) + mm.Damping(alpha=0.1), **more)


def test_another_drive_goes_on_from_the_nodes():
    mesh, driver = mesh_of((24, 1, 1)), tmc.TimeDriver(rtol=1e-8, atol=1e-8)
    whole, parts, touched = (wall(mesh, name=name) for name in ("whole", "parts", "touched"))
    driver.drive(whole, t=2e-11, n=1, verbose=0)
    for system in (parts, touched):
        driver.drive(system, t=1e-11, n=1, verbose=0)
    touched.m.array = touched.m.array * 1.0000001
    for system in (parts, touched):
        driver.drive(system, t=1e-11, n=1, verbose=0)
    assert parts.m.array / 8e5 == pytest.approx(whole.m.array / 8e5, abs=1e-7)
    # From the cells m is smoothed on its way to the nodes.
    assert np.abs(touched.m.array - whole.m.array).max() / 8e5 > 1e-4


def test_opposite_domains_have_a_wall_on_the_nodes():
    system = wall(mesh_of((24, 1, 1)))
    system.m = df.Field(system.m.mesh, nvdim=3, value=lambda p: (0, 0, 1 if p[0] < 24 * NM else -1), norm=8e5)
    tmc.MinDriver().drive(system, verbose=0)
    assert np.isfinite(system.m.array).all()
    assert np.linalg.norm(system.m.array, axis=-1) == pytest.approx(8e5)


def test_empty_cells_stay_empty():
    mesh = mesh_of((8, 8, 1))
    Ms = lambda p: 8e5 if math.hypot(p[0] - 8 * NM, p[1] - 8 * NM) < 8 * NM else 0
    system = system_of(mesh, mm.Exchange(A=1e-11) + mm.Demag() + mm.Zeeman(H=(1e6, 0, 0)), (0, 1, 0), Ms)
    empty = (system.m.norm.array == 0)[..., 0]
    tmc.MinDriver().drive(system, verbose=0)
    assert empty.any() and not system.m.array[empty].any()
    assert system.m.array[~empty][:, 0] == pytest.approx(8e5, rel=1e-2)
    assert system.table.data["mx"].iloc[-1] > 0.99


def test_stoner_wohlfarth():
    # At 45 degrees m switches at h = 1/2 of the anisotropy field (Phil. Trans. R. Soc. A 240, 599 (1948)).
    K, Ms = 1e5, 8e5
    H = 2 * K / (MU_0 * Ms) * np.array([1, 0, 1]) / math.sqrt(2)
    system = macrospin(mm.UniaxialAnisotropy(K=K, u=(0, 0, 1)), (0, 0, 1), 0, Ms)
    tmc.HysteresisDriver().drive(system, Hsteps=[[0.4 * H, -0.6 * H, 101]], verbose=0)
    data = system.table.data
    switched = data["B_hysteresis"].values[np.argmax(data["mz"].values < 0)]
    assert switched == pytest.approx(0.5 * MU_0 * np.linalg.norm(H) * 1e3, abs=0.011 * MU_0 * np.linalg.norm(H) * 1e3)
    assert len(data) == 101 and system.table.units["B_hysteresis"] == "mT"


def test_a_seed_makes_the_noise():
    found = []
    for seed in (1, 1, 2):
        system = macrospin(mm.Zeeman(H=(0, 0, 1e6)), (0, 0, 1), mm.Precession(gamma0=2.211e5) + mm.Damping(alpha=0.1))
        system.T = 300
        tmc.TimeDriver(evolver=tmc.UHH_ThetaEvolver(fixed_timestep=1e-13, uniform_seed=seed)).drive(
            system, t=1e-11, n=2, verbose=0
        )
        found.append(system.m.array.ravel())
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[0], found[2])


def test_ubermags_readers_open_a_folder():
    mdata = pytest.importorskip("micromagneticdata")
    system = wall(mesh_of((24, 1, 1)))
    tmc.RelaxDriver().drive(system, verbose=0)
    tmc.TimeDriver().drive(system, t=1e-11, n=5, verbose=0)
    tmc.HysteresisDriver().drive(system, Hmin=(0, 0, -1e3), Hmax=(0, 0, 1e3), n=3, verbose=0)
    data = mdata.Data(name="test")
    assert data.n == 3 and [drive.x for drive in data] == ["iteration", "t", "B_hysteresis"]
    drive = data[1]
    assert drive.n == 5 and drive.info["driver"] == "TimeDriver" and drive.info["success"] and drive.info["t"] == 1e-11
    assert "Exchange" in drive.calculator_script and drive.table.x == "t"
    assert np.array_equal(data[2][-1].array, system.m.array)
    assert data[2].table.data.equals(system.table.data)


def test_a_failed_drive_says_so_and_leaves_m():
    system = wall(mesh_of((24, 1, 1)))
    system.energy.exchange.A = -1e-11
    before = system.m.array.copy()
    with pytest.raises(ValueError, match="Exchange: A"):
        tmc.MinDriver().drive(system, verbose=0)
    assert np.array_equal(before, system.m.array)
    with open("test/drive-0/info.json") as file:
        assert json.load(file)["success"] is False


def test_clear_errors():
    system = wall(mesh_of((24, 1, 1)))
    driver = tmc.TimeDriver()
    with pytest.raises(TypeError, match="unknown keywords steps; it takes t, n"):
        driver.drive(system, t=1e-12, n=1, steps=3)
    with pytest.raises(TypeError, match="n missing"):
        driver.drive(system, t=1e-12)
    with pytest.raises(ValueError, match="torchmag.ubermag.compute"):
        driver.drive(system, t=1e-12, n=1, compute="Schedule ...")
    with pytest.raises(ValueError, match="dtype = 'float16'"):
        tmc.TimeDriver(dtype="float16").drive(system, t=1e-12, n=1, verbose=0)
    with pytest.raises(ValueError, match="no subregion 'r1'"):
        driver.drive(system, t=1e-12, n=1, fixed_subregions=["r1"], verbose=0)
    with pytest.raises(ValueError, match="no such energy term; it has Exchange"):

        class Strange(mm.Exchange):
            pass

        system.energy = Strange(A=1e-11)
        tmc.MinDriver().drive(system, verbose=0)
    system.m = None
    with pytest.raises(RuntimeError, match="set system.m"):
        tmc.compute(system.energy.energy, system)
    with pytest.raises(FileExistsError, match="append=True"):
        tmc.MinDriver().drive(wall(mesh_of((4, 1, 1))), append=False)


@pytest.mark.slow
def test_a_queue_runs_a_drive_later():
    mdata = pytest.importorskip("micromagneticdata")
    system = wall(mesh_of((24, 1, 1)))
    tmc.TimeDriver().schedule(system, "bash", "# a header", t=1e-11, n=2, verbose=0)
    tmc.TimeDriver().drive(system, t=1e-11, n=2, verbose=0)
    later, now = mdata.Data(name="test")
    assert np.array_equal(later[-1].array, now[-1].array)
    with pytest.raises(RuntimeError, match="'no-such-queue' is not on this machine"):
        tmc.TimeDriver().schedule(system, "no-such-queue", "", t=1e-11, n=2, verbose=0)


def test_without_ubermag_the_error_says_what_to_install():
    code = "import sys; sys.modules['discretisedfield'] = None; import torchmag.ubermag"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode and "pip install 'torchmag[ubermag]'" in found.stderr


def test_the_largest_angle_is_between_nodes():
    # A linear turn by 0.2 rad from cell to cell; the nodes at the ends turn half as much.
    turn = lambda p: (math.cos(0.2 * p[1] / (2 * NM)), math.sin(0.2 * p[1] / (2 * NM)), 0)
    system = system_of(mesh_of((3, 8, 1)), mm.Exchange(A=1e-11), turn)
    system.dynamics = mm.Precession(gamma0=2.211e5)
    tmc.TimeDriver().drive(system, t=1e-20, n=1, verbose=0)
    assert system.table.data["max_spin_ang_exchange"].iloc[-1] == pytest.approx(math.degrees(0.2), rel=1e-6)


def test_rows_in_time_have_the_energies_that_compute_gives():
    mesh = mesh_of((4, 8, 2))
    terms = [
        mm.Exchange(A=1e-11), mm.Demag(), mm.DMI(D=2e-3, crystalclass="D2d_x"), mm.DMI(D=1e-3, crystalclass="Cnv_z", name="film"),
        mm.DMI(D=1e-3, crystalclass="T", name="bulk"), mm.UniaxialAnisotropy(K=1e5, u=(0, 1, 1)), mm.Zeeman(H=(1e5, 2e4, 0)),
        mm.UniaxialAnisotropy(K1=1e5, K2=1e4, u=(0, 0, 1), name="second"), mm.CubicAnisotropy(K=1e5, u1=(1, 0, 0), u2=(0, 1, 0)),
        mm.MagnetoElastic(B1=7e6, B2=8e6, e_diag=(1e-3, 0, 0), e_offdiag=(0, 1e-3, 0)),
    ]  # fmt: skip
    dynamics = mm.Precession(gamma0=2.211e5) + mm.Damping(alpha=0.2)
    system = system_of(mesh, mm.Energy(terms=terms), lambda p: (1, p[1] / 8e-9, p[2] / 4e-9), dynamics=dynamics)
    tmc.TimeDriver().drive(system, t=1e-12, n=2, verbose=0)
    row = system.table.data.iloc[-1]
    names = (
        "E_exchange",
        "E_demag",
        "E_dmi",
        "E_film",
        "E_bulk",
        "E_uniaxialanisotropy",
        "E_zeeman",
        "E_second",
        "E_cubicanisotropy",
        "MEL_E",
    )
    for term, name in zip(terms, names):
        expected = tmc.compute(getattr(system.energy, term.name).energy, system, verbose=0)
        assert row[name] == pytest.approx(expected, rel=1e-9), name
    assert row["E"] == pytest.approx(tmc.compute(system.energy.energy, system, verbose=0), rel=1e-9)


def test_a_sampled_function_is_part_of_a_graph():
    half = Sampled(np.array([0.0, 1.0, 4.0]), 2.0, "cpu")
    compiled = torch.compile(lambda t: half(t), fullgraph=True, backend="eager")
    for t, expected in ((-1.0, 0.0), (1.0, 0.5), (3.0, 2.5), (9.0, 4.0)):
        assert float(compiled(torch.tensor(t))) == float(half(torch.tensor(t))) == expected
