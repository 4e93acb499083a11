"""mumax3 scripts: the physics behind the identifiers, the files, the program that does the same."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import CubicSpline

import torchmag as tm
from torchmag import mx3
from torchmag.cases.standard_problem_4 import reference

ROOT = Path(__file__).parent.parent
MU_0 = 4e-7 * math.pi


@pytest.fixture
def run(tmp_path):
    def call(text, **options):
        script = tmp_path / "script.mx3"
        script.write_text(text)
        return mx3.run(script, quiet=True, **options)

    return call


def grid(n=(4, 4, 1), dx=(5e-9, 5e-9, 3e-9)):
    return f"SetGridSize{n}\nSetCellSize{dx}\n"


def test_demagnetising_factors_of_a_cube(run):
    outcome = run(
        grid((3, 3, 3), (2e-9, 2e-9, 2e-9))
        + """
        Msat = 1/mu0
        m = uniform(0, 0, 1)
        expectv("N", B_demag.average(), vector(0, 0, -1./3.), 1e-10)
        expect("E", E_demag, 0.5/3/mu0*pow(6e-9, 3), 1e-30)
        m = uniform(1, 1, 0)
        expectv("N", B_demag.average(), vector(-sqrt(2)/6, -sqrt(2)/6, 0), 1e-10)
    """
    )
    assert outcome.expected == 3


def test_local_fields_and_energies_are_the_formulas(run):
    # Ku1: B = 2 Ku1 / Ms (m.u) u; energies of a single direction: see docs/terms.md.
    run(
        grid()
        + """
        V := 4*4*75e-27
        EnableDemag = false
        Msat = 1e6; Ku1 = 5e5; AnisU = vector(0, 0, 2)
        m = uniform(3, 0, 4)
        expectv("B_anis", B_anis.average(), vector(0, 0, 0.8), 1e-12)
        expect("E_anis", E_anis, -5e5*0.64*V, 1e-32)
        Ku1 = 0; Kc1 = 1e4; anisC1 = vector(1, 0, 0); anisC2 = vector(0, 1, 0)
        expect("E_anis", E_anis, 1e4*0.36*0.64*V, 1e-34)
        Kc1 = 0; B_ext = vector(0, 0, 0.5)
        expect("E_Zeeman", E_Zeeman, -0.4*1e6*V, 1e-30)
        B1 = 1e6; B2 = 2e6; exx = 1e-3; exz = 2e-3
        expect("E_mel", E_mel, (1e6*1e-3*0.36 + 2*2e6*2e-3*0.48)*V, 1e-34)
        expectv("B_mel", B_mel.average(), vector(-2*(1e-3*0.6 + 2*2e-3*0.8), 0, -2*(2*2e-3*0.6)), 1e-12)
        expect("E_total", E_total, E_Zeeman.get() + E_mel.get(), 1e-32)
        expect("mean", Edens_total.average()*V, E_total, 1e-32)
    """
    )


def test_torques_are_those_of_mumax3(run):
    # LLtorque = -(m x B + alpha m x (m x B)) / (1 + alpha^2); of the Slonczewski torque the field beta (eps m x p + eps' p), P Lambda^2 / ... .
    run(
        grid()
        + """
        EnableDemag = false; Msat = 1e6; alpha = 0.5; m = uniform(1, 0, 0); B_ext = vector(0, 0, 1)
        expectv("LL", LLtorque.average(), vector(0, 1/1.25, 0.5/1.25), 1e-12)
        B_ext = vector(0, 0, 0)
        J = vector(0, 0, 1e12); Pol = 0.5; Lambda = 1; FixedLayer = vector(0, 1, 0); epsilonprime = 0.1
        beta := 1.0545718176461565e-34*1e12/(1.602176634e-19*1e6*3e-9)
        // m x p = z: field beta (0.25 z + 0.1 y)
        bz := 0.25*beta; by := 0.1*beta
        expectv("ST", STTorque.average(), vector(0, (bz + 0.5*by)/1.25, (-by + 0.5*bz)/1.25), 1e-10)
        FixedLayerPosition = FIXEDLAYER_BOTTOM
        expect("ST", STTorque.comp(1).average(), -(bz + 0.5*by)/1.25, 1e-10)
        DisableSlonczewskiTorque = true
        expectv("none", STTorque.average(), vector(0, 0, 0), 0)
    """
    )


def test_larmor_precession(run):
    # A macrospin in a field of 1 T: gamma B t of phase.
    t = 0.25 * 2 * math.pi / 1.7595e11
    run(
        grid((1, 1, 1))
        + f"""
        EnableDemag = false; Msat = 1e6; alpha = 0; m = uniform(1, 0, 0); B_ext = vector(0, 0, 1); MaxErr = 1e-8
        run({t!r})
        expectv("m", m.average(), vector(0, 1, 0), 1e-6)
        expect("t", t, {t!r}, 1e-25)
        gammaLL = 2*gammaLL
        run({t!r})
        expectv("m", m.average(), vector(0, -1, 0), 1e-6)
    """
    )


@pytest.mark.parametrize(
    "solver",
    [
        "SetSolver(1); FixDt = 2e-15",
        "SetSolver(2); FixDt = 1e-14",
        "SetSolver(3)",
        "SetSolver(4); FixDt = 1e-13",
        "SetSolver(5); MaxDt = 1e-13",
    ],
)
def test_solvers_agree(run, solver):
    # Damped precession of a macrospin, m_z = tanh(alpha gamma B t / (1 + alpha^2)).
    t, alpha = 1e-11, 0.5
    mz = math.tanh(alpha * 1.7595e11 * t / (1 + alpha**2))
    run(grid((1, 1, 1)) + f"""
        EnableDemag = false; Msat = 1e6; alpha = {alpha}; m = uniform(1, 0, 0); B_ext = vector(0, 0, 1)
        {solver}
        run({t!r})
        expect("mz", m.comp(2).average(), {mz!r}, 3e-3)
    """)  # fmt: skip


def test_drives_depend_on_time_and_region(run):
    run(
        grid()
        + """
        EnableDemag = false; Msat = 1e6; alpha = 1
        defregion(1, xrange(0, inf))
        f := 1e9; A := 0.1
        B_ext.setregion(1, vector(0, A*sin(2*pi*f*t), 0))
        A = 5
        mask := newVectorMask(4, 4, 1)
        for i := 0; i < 4; i++ { for j := 0; j < 4; j++ { mask.setVector(i, j, 0, vector(0, 0, 2)) } }
        B_ext.add(mask, 3*t/1e-9)
        t = 0.25e-9
        expectv("left", B_ext.region(0).average(), vector(0, 0, 1.5), 1e-12)
        expectv("right", B_ext.region(1).average(), vector(0, 0.1, 1.5), 1e-12)
        m = uniform(0, 1, 0)
        expect("E", E_zeeman, -0.05*1e6*16*75e-27, 1e-28)
        Ku1 = 1e5; Ku1.setregion(1, 3e5)
        expect("Ku1", Ku1.average(), 2e5, 1e-6)
        expect("region", Ku1.getregion(1), 3e5, 0)
    """
    )


def test_geometry_regions_states(run):
    run(
        grid((32, 32, 1), (1e-9, 1e-9, 1e-9))
        + """
        m = uniform(0, 0, 1)
        setgeom(circle(32e-9).sub(rect(10e-9, 10e-9)))
        expect("fill", geom.average(), pi/4 - 100./1024., 0.01)
        expect("edge", geom.getcell(0, 0, 0), 0, 0)
        edgesmooth = 4
        setgeom(circle(32e-9))
        expect("smooth", geom.average(), pi/4, 5e-3)
        edgesmooth = 0; setgeom(universe())
        defregion(1, yrange(0, inf))
        defregion(2, cell(3, 4, 0))
        m.setregion(1, uniform(1, 0, 0))
        expectv("average", m.average(), vector(0.5, 0, 0.5), 1e-12)
        expect("comp", m.comp(2).region(1).average(), 0, 0)
        expect("number", regions.getcell(3, 4, 0), 2, 0)
        redefregion(2, 0)
        expect("number", regions.getcell(3, 4, 0), 0, 0)
        m.setinshape(circle(4e-9), uniform(0, 1, 0))
        expectv("spot", m.getcell(16, 16, 0), vector(0, 1, 0), 0)
        m.setcell(0, 0, 0, vector(0, 3, 4))
        expectv("cell", m.getcell(0, 0, 0), vector(0, 0.6, 0.8), 1e-7)
        m = vortex(1, -1)
        // 1.5 exp(-r^2 / 2c^2) made a unit vector, over the plane: 2 pi c^2 asinh(1.5)
        expect("core", m.comp(2).average(), -2*pi*asinh(1.5)/1024, 1e-5)
        expect("left", m.getcell(0, 16, 0)[1], -1, 1e-2)
        m = neelskyrmion(1, -1).transl(2e-9, 0, 0); ext_bubblemz = -1.0
        expect("bubble", ext_bubblepos.get()[0], 2e-9, 0.5e-9)
        expect("crop", CropX(m, 0, 16).average()[2], CropY(Crop(m, 0, 16, 0, 32, 0, 1), 0, 32).average()[2], 0)
    """
    )


def test_a_shift_carries_the_sample_along(run):
    run(
        grid((16, 4, 1), (1e-9, 1e-9, 1e-9))
        + """
        Msat = 1e6; ShiftMagL = vector(0, 0, 1)
        setgeom(xrange(-8e-9, 6e-9)); defregion(1, xrange(0, 1e-9)); m = uniform(1, 0, 0)
        shift(2)
        expect("TotalShift", TotalShift, 2e-9, 1e-24)
        expect("geom", geom.getcell(15, 0, 0), 1, 0)
        expect("geom", geom.getcell(1, 0, 0), 0, 0)
        expect("region", regions.getcell(10, 0, 0), 1, 0)
        expectv("m", m.getcell(2, 0, 0), vector(1, 0, 0), 0)
        expect("place", index2coord(2, 0, 0).x(), -7.5e-9, 1e-20)
    """
    )


def test_a_window_follows_a_wall(run):
    # The 1D wall under a field moves at gamma / (1 + alpha^2) B Delta / alpha ... below breakdown: here that it stays in the window.
    run(
        grid((40, 1, 1), (2.5e-9, 2.5e-9, 2.5e-9))
        + """
        EnableDemag = false
        Msat = 1e6; Aex = 1e-11; Ku1 = 5e5; AnisU = vector(0, 0, 1); alpha = 1
        m = twodomain(0, 0, 1, 1, 0, 0, 0, 0, -1)
        ext_centerwall(2)
        B_ext = vector(0, 0, 0.2)
        run(1e-9)
        expect("centre", m.comp(2).average(), 0, 0.1)
        // v = gamma Delta B alpha / (1 + alpha^2) (precessing wall), Delta = sqrt(A / K)
        expect("way", ext_dwpos, 1.7595e11*sqrt(2e-17)*0.2*0.5*1e-9, 8e-9)
    """
    )


def test_files_read_back(run, tmp_path):
    run(
        grid((6, 4, 1))
        + """
        Msat = 8e5; m = vortex(1, 1); tableadd(E_total); tableaddvar(2.5, "a", "T")
        save(m); save(m); saveas(B_demag, "field"); save(geom); save(m.comp(2))
        outputformat = OVF1_TEXT; saveas(m, "text"); outputformat = DUMP; saveas(m, "old")
        tablesave(); snapshot(m); snapshotas(geom, "g.png"); fprintln("notes.txt", "a", 1); fprintln("notes.txt", 2)
        print(m); s := loadfile("script.out/old.dump"); expect("same", s.get(1, 2, 3, 0), m.getcell(2, 3, 0)[1], 0)
        u := m.average(); m = uniform(1, 0, 0); m.loadfile("script.out/m000000.ovf"); expectv("again", m.average(), u, 1e-7)
    """
    )
    out = tmp_path / "script.out"
    names = {"m000000.ovf", "m000001.ovf", "field.ovf", "geom000000.ovf", "m_z000000.ovf", "text.ovf", "old.dump", "table.txt", "log.txt",
             "m000000.jpg", "g.png", "notes.txt"}  # fmt: skip
    assert {path.name for path in out.iterdir()} >= names - {"m000000.jpg"}
    first = tm.io.read_ovf(out / "m000000.ovf")
    assert first.version == 2
    assert first.labels == ("m_x", "m_y", "m_z")
    assert first.mesh.n == (6, 4)
    assert first.data.norm(dim=0) == pytest.approx(np.ones((6, 4)), abs=1e-6)
    assert torch.allclose(first.data.double(), tm.io.read_ovf(out / "text.ovf").data.double(), atol=1e-7)
    header, row = (out / "table.txt").read_text().splitlines()
    assert header == "# t (s)\tmx ()\tmy ()\tmz ()\tE_total (J)\ta (T)"
    assert float(row.split("\t")[5]) == 2.5
    assert (out / "notes.txt").read_text() == "a 1\n2\n"
    assert "save(m)" in (out / "log.txt").read_text()


def test_tables_and_fields_are_written_on_the_way(run, tmp_path):
    run(
        grid()
        + "Msat = 8e5; Aex = 1.3e-11; alpha = 1; m = uniform(1, 1, 1)\ntableautosave(1e-12); autosave(m, 2e-12); run(1e-11); steps(2)"
    )
    rows = np.loadtxt(tmp_path / "script.out" / "table.txt")
    assert rows[0, 0] == 0
    assert 9 <= len(rows) <= 13
    assert np.all(np.diff(rows[:, 0]) >= 0)
    assert 4 <= len(list((tmp_path / "script.out").glob("m0*.ovf"))) <= 7


def test_what_cannot_run_says_what_is_missing(run):
    body = grid((8, 4, 2)) + "Msat = 8e5; Aex = 1e-11; m = uniform(1, 0, 0)\n"
    for line, name in (
        ("defregion(1, layer(1)); ext_scaleexchange(0, 1, -1); relax()", "ext_ScaleExchange"),
        ("Dind = 1e-3; OpenBC = true; relax()", "OpenBC"),
        ("save(MFM)", "MFM"),
    ):
        with pytest.raises(mx3.Unsupported, match=r"script.mx3:4:\d+: .*torchmag.* would need") as caught:
            run(body + line)
        assert caught.value.name == name


def test_grains_and_couplings(run):
    run(
        grid((64, 64, 1))
        + """
        Msat = 8e5; Aex = 1e-11
        ext_makegrains(40e-9, 100, 7)
        for i := 0; i < 100; i++ { Ku1.setregion(i, 1e5 + 1e4*randnorm()); for j := i + 1; j < 100; j++ { ext_scaleexchange(i, j, 0.5) } }
        expect("mean", Ku1.average(), 1e5, 1e4)
        // exchCoupling: quarter of the sum over four neighbours
        top := exchcoupling.average()
        expect("coupling", sign(1e-11 - top), 1, 0)
        expect("coupling", sign(top - 0.5e-11), 1, 0)
        anisU = vector(0, 0, 1); m = uniform(0, 0, 1)
        expect("aligned", E_exch, 0, 1e-30)
    """
    )


def test_minimize_and_relax_agree(run):
    run(
        grid((16, 8, 1))
        + """
        Msat = 8e5; Aex = 1.3e-11; Ku1 = 1e4; AnisU = vector(1, 1, 0); B_ext = vector(0.02, 0.01, 0)
        m = uniform(1, 0.2, 0.1); minimize(); a := m.average(); ea := E_total.get()
        m = uniform(1, 0.2, 0.1); relax()
        expectv("same", m.average(), a, 1e-4)
        expect("same", E_total/ea, 1, 1e-6)
        expect("no torque", maxtorque, 0, 1e-5)
        MinDt = 1e-18; Headroom = 0.7; MinimizerStop = 1e-5; MinimizerSamples = 5; DemagAccuracy = 8
        t0 := t; runwhile(t - t0 < 1e-12); expect("t", sign(t - t0 - 0.99e-12), 1, 0)
    """
    )


def test_custom_fields(run):
    run(
        grid()
        + """
        EnableDemag = false; Msat = 1e6; alpha = 1
        K := 5e5; u := ConstVector(0, 0, 1)
        anis := Mul(Const(2*K/1e6), Mul(Dot(u, m), u))
        AddFieldTerm(anis); AddEdensTerm(Mul(Const(-0.5), Dot(anis, m_full)))
        m = uniform(3, 0, 4)
        expectv("B", B_custom.average(), vector(0, 0, 0.8), 1e-12)
        expect("E", E_custom, -K*0.64*16*75e-27, 1e-30)
        expect("E", E_total, E_custom, 0)
        relax()
        expect("mz", m.comp(2).average(), 1, 1e-4)
        RemoveCustomFields(); RemoveCustomEnergies()
        expect("E", E_total, 0, 0)
    """
    )


def test_every_identifier_of_the_migration_page_is_known(tmp_path):
    from torchmag.mx3.names import all_names
    from torchmag.mx3.values import Scriptable
    from torchmag.mx3.world import World

    world = World(tmp_path / "s.mx3", tmp_path / "s.out", "cpu", torch.float64, 6, True, lambda: None)
    world.clock = lambda: 0.0
    known = set(all_names(world))
    kinds, every = [Scriptable], set()
    while kinds:
        kind = kinds.pop()
        kinds += kind.__subclasses__()
        every |= set(kind.methods)
    page = (ROOT / "docs" / "migration-mumax3.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    rows += re.findall(r"`([^`]+)`", page.partition("## What has no counterpart")[2].partition("(an exchange")[0])
    rows += ["ext_dwpos ext_corepos ext_bubblepos Superball GrainRoughness RemoveCustomFields"]
    assert len(rows) > 70
    # Of the rows: variables of the reader's script, words of the language.
    own = set("i j b t dot bar disk right circle mask for mul const".split())
    for row in rows:
        code = re.sub(r'"[^"]*"|(?<!\w)\d[\w.]*', "", row).lower()
        for dot, name in re.findall(r"(\.?)\b([a-z_]\w*)", code):
            assert name in (every if dot else known | own), (row, name)


def test_the_program_does_the_same(tmp_path, monkeypatch):
    text = (
        grid((12, 6, 1))
        + """
        Msat = 8e5; Aex = 1.3e-11; alpha = 0.1; setgeom(ellipse(60e-9, 30e-9))
        defregion(1, xrange(0, inf)); Ku1 = 1e4; Ku1.setregion(1, 3e4); anisU = vector(0, 1, 0); Dind = 5e-4
        m = uniform(1, 0.3, 0.1)
        relax()
        f := 5e9
        B_ext = vector(0, 0.02*sin(2*pi*f*t), 0.01)
        run(2e-11)
    """
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.mx3").write_text(text)
    outcome = mx3.run(tmp_path / "s.mx3", quiet=True)
    program = mx3.run(tmp_path / "s.mx3", "program", quiet=True, python=True).program
    names, before = {}, torch.get_default_dtype()
    try:
        exec(compile(program, "program.py", "exec"), names)
    finally:
        torch.set_default_dtype(before)
    assert torch.allclose(names["m"].reshape(outcome.m.shape), outcome.m, atol=1e-9)


@pytest.mark.slow
def test_standard_problem_4(tmp_path):
    # SP4-02: OOMMF on cells of 2.5 nm, all of the first nanosecond to 0.006, the s-state to 0.001 (12 s on one core).
    mx3.run(ROOT / "examples" / "standard_problem_4.mx3", tmp_path, quiet=True)
    rows = np.loadtxt(tmp_path / "table.txt")
    assert rows[0, 1:] == pytest.approx([0.966716, 0.125749, 0.0], abs=1e-3)
    t, means = reference(1)
    # Rows are at the ends of steps: OOMMF's, 5 ps apart, by a spline (a line between them is off by 0.006).
    at_steps = CubicSpline(t, means)(rows[:, 0])
    assert len(rows) > 50
    # gamma of mumax3 is 1.7595e11 rad/(T s), the problem's 2.211e5 m/(A s), as near as 4e-6.
    assert np.abs(rows[:, 1:] - at_steps).max() < 0.006


def test_standard_problem_4_in_short(tmp_path):
    """The example's first 20 ps, on cells of 12.5 nm, beside the plain program."""
    text = (ROOT / "examples" / "standard_problem_4.mx3").read_text()
    text = text.replace("SetGridSize(100, 25, 1)", "SetGridSize(40, 10, 1)").replace(
        "SetCellSize(5e-9, 5e-9", "SetCellSize(12.5e-9, 12.5e-9"
    )
    (tmp_path / "short.mx3").write_text(text.replace("run(1e-9)", "run(2e-11)"))
    outcome = mx3.run(tmp_path / "short.mx3", quiet=True)
    mesh = tm.Mesh((40, 10), (12.5e-9, 12.5e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5, dtype=torch.float64)
    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
    m = tm.relax(tm.LLG(energy, alpha=0.02), tm.uniform(mesh, (1, 0.25, 0.1), dtype=torch.float64))
    llg = tm.LLG(energy + tm.Zeeman(film, (-24.6e-3 / tm.mu_0, 4.3e-3 / tm.mu_0, 0.0)), alpha=0.02, gamma=1.7595e11 * tm.mu_0)
    m = tm.solve(llg, m, [0, 2e-11], rtol=0.0, atol=1e-8)[-1]
    # Two methods, each to 1e-5 a step.
    assert (outcome.m - m).abs().max() < 1e-3


def test_end_charges_are_undone(run):
    # A uniform bar has no stray field but that of its two ends: with these undone B is zero, cell by cell.
    run(
        grid((12, 4, 2), (4e-9, 4e-9, 4e-9))
        + """
        Msat = 8e5; m = uniform(1, 0, 0)
        ext_rmsurfacecharge(0, 1, 1)
        // B_demag is the mean over a cell, the compensation that in its middle
        total := Add(B_demag, B_ext)
        expect("inside", CropX(total, 3, 9).average()[0], 0, 2e-4)
        expect("at the ends", CropX(total, 0, 1).average()[0], 0, 0.06)
        expect("field", sign(CropX(B_ext, 5, 6).average()[0]), 1, 0)
    """
    )


def test_the_tilt_of_a_wall_is_that_of_its_line(run):
    run(
        grid((64, 32, 1), (1e-9, 1e-9, 1e-9))
        + """
        m = twodomain(0, 0, 1, 1, 0, 0, 0, 0, -1).rotz(-0.3)
        expect("tilt", ext_dwtilt, 0.3, 1e-3)
        m = twodomain(0, 0, 1, 0, 1, 0, 0, 0, -1)
        expect("upright", ext_dwtilt, 0, 1e-9)
    """
    )
