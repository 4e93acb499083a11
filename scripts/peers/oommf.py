"""OOMMF, timed as a process: the wall time that more steps take, over the evaluations that they make."""

import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from peers.problem import material

# Of the distribution github.com/fangohr/oommf; OOMMF itself has no interface DMI.
DMI = "Oxs_DMI_Cnv_z"
MIF = """# MIF 2.1
Parameter limit 10
set size [list {size}]
{procs}
Specify Oxs_BoxAtlas:atlas [subst {{ xrange {{0 [lindex $size 0]}} yrange {{0 [lindex $size 1]}} zrange {{0 [lindex $size 2]}} name body }}]
Specify Oxs_RectangularMesh:mesh {{ cellsize {{{cell}}} atlas :atlas }}
Specify Oxs_Demag {{}}
{terms}
Specify Oxs_RungeKuttaEvolve:ev {{ gamma_G 2.211e5 alpha {alpha} method rkf54 error_rate 1 absolute_step_error 1 relative_step_error 1
  min_timestep 1e-15 max_timestep 1e-15 }}
Specify Oxs_TimeDriver [subst {{ basename out evolver :ev mesh :mesh Ms {Ms} stopping_time 1e-6 stage_count 1
  total_iteration_limit $limit m0 {{ Oxs_RandomVectorField {{ min_norm 1 max_norm 1 }} }} }}]
Destination archive mmArchive
Schedule DataTable archive Step 1
"""


def mif(n, problem: str) -> str:
    """The problem on a mesh of n cells.  Maps differ from cell to cell by as much as elsewhere; the extension's D knows regions only and is uniform."""
    dx, inside, given = material(n, problem)
    Ms, procs, terms = repr(given["Ms"]), "", []
    if inside is not None:
        procs = (
            f"proc Disk {{ x y z }} {{ return [expr {{ ($x-0.5)*($x-0.5)+($y-0.5)*($y-0.5) < 0.25 ? {given['Ms']!r} : 0.0 }}] }}"
        )
        Ms = "{ Oxs_ScriptScalarField { script Disk script_args relpt atlas :atlas } }"
    if problem == "disk-maps":
        terms.append(f"Specify Oxs_ExchangePtwise {{ A {_about(material(n, 'disk')[2]['A'])} }}")
    else:
        terms.append(f"Specify Oxs_UniformExchange {{ A {given['A']!r} }}")
    if "Ku" in given:
        uniform = material(n, "disk")[2]
        K1 = _about(uniform["Ku"]) if problem == "disk-maps" else repr(uniform["Ku"])
        terms += [
            f"Specify Oxs_UniaxialAnisotropy {{ K1 {K1} axis {{ 0 0 1 }} }}",
            f"Specify {DMI} {{ default_D {uniform['D']!r} atlas :atlas D {{ body body {uniform['D']!r} }} }}",
            f"Specify Oxs_FixedZeeman {{ field {{ 0 0 {uniform['H']!r} }} multiplier 1 }}",
        ]
    size = " ".join(repr(count * h) for count, h in zip(n, dx))
    return MIF.format(size=size, cell=" ".join(map(repr, dx)), procs=procs, terms="\n".join(terms), alpha=given["alpha"], Ms=Ms)


def _about(value):
    """A field that differs from cell to cell by 10 %."""
    return f"{{ Oxs_RandomScalarField {{ range_min {0.9 * value!r} range_max {1.1 * value!r} }} }}"


def require_terms(options) -> None:
    """End with one line unless this OOMMF has all that the problem needs."""
    try:
        _run("4x4x1", options, (1,))
    except RuntimeError as error:
        unknown = re.search(r"Unrecognized Specify Block:\W*(Oxs_\w+)", str(error))
        reason = str(error)[-400:]
        if unknown:
            reason = (
                f"it has no {unknown[1]}; build it with the extensions of github.com/fangohr/oommf, or take --problem exchange"
            )
        raise SystemExit(f"compare_peers: OOMMF cannot run the problem {options.problem}: {reason}") from None


def time_oommf(mesh, options):
    """Seconds per evaluation, set-up taken off by the difference of a short and a long run."""
    cells = 1
    for count in mesh.split("x"):
        cells *= int(count)
    short, long = _run(mesh, options, (2, 2 + min(max(5, int(2e6 / cells)), 400)))
    return (long[0] - short[0]) / (long[1] - short[1])


def _run(mesh, options, limits):
    """Wall time and evaluations of a run of so many steps, each."""
    command = options.oommf if len(options.oommf) > 1 or not options.oommf[0].endswith(".tcl") else ["tclsh", *options.oommf]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)  # OOMMF may run as another user
        path, out = Path(folder, "run.mif"), Path(folder, "out.odt")
        path.write_text(mif(tuple(map(int, mesh.split("x"))), options.problem))
        for limit in limits:
            extra = ["boxsi", "+fg", "-threads", str(options.threads), "-parameters", f"limit {limit}", "-kill", "all", str(path)]
            before = time.perf_counter()
            # A session of its own: "-kill all" may end the whole process group.
            done = subprocess.run(
                [*command, *extra], cwd=folder, start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )  # fmt: skip
            taken = time.perf_counter() - before
            if not out.exists():
                raise RuntimeError(
                    "; ".join(line.strip() for line in done.stdout.splitlines() if line.strip()) or "it wrote no table"
                )
            runs.append((taken, evaluations(out.read_text())))
            out.unlink()
    return runs


def evaluations(table):
    """The last "Energy calc count" of an ODT table."""
    return column(table, "Energy calc count")[-1]


def column(table, title):
    """The numbers under the first title of an ODT table that ends so."""
    columns = next(line for line in table.splitlines() if line.startswith("# Columns:"))
    titles = [braced or plain for braced, plain in re.findall(r"{([^}]*)}|(\S+)", columns.removeprefix("# Columns:"))]
    number = next(i for i, text in enumerate(titles) if text.endswith(title))
    return [float(line.split()[number]) for line in table.splitlines() if not line.startswith("#")]
