"""The command `torchmag`."""

import argparse
import sys
from pathlib import Path

from torchmag import cases, cli_bench, cli_files, cli_mx3
from torchmag.cases import report


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 fine, 1 numbers out of tolerance, 2 unusable arguments or files."""
    parser = argparse.ArgumentParser(prog="torchmag", description="Micromagnetics as PyTorch modules.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_sp4(commands)
    _add_validate(commands)
    _add_run(commands)
    cli_bench.add_command(commands)
    cli_mx3.add_command(commands)
    cli_files.add_commands(commands)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (OSError, ValueError) as error:
        print(f"torchmag {options.command}: {error}", file=sys.stderr)
        return 2


def _add_sp4(commands):
    sp4 = commands.add_parser("sp4", help="muMAG standard problem 4: relax, switch, compare with OOMMF")
    sp4.add_argument("--field", choices=("1", "2", "both"), default="1", help="applied field (default 1)")
    sp4.add_argument("--cell", type=_length, default=5e-9, metavar="METRES", help="cell size in the plane (default 5e-9)")
    sp4.add_argument("--dim", type=int, choices=(2, 3), default=2, help="2D mesh or 3D with one layer (default 2)")
    sp4.add_argument("--order", type=int, choices=(2, 4, 6), help="of accuracy in space (default that of Magnet)")
    sp4.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    sp4.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    sp4.add_argument("--compile", action="store_true", help="compile the right-hand side with torch.compile")
    sp4.add_argument(
        "--out", type=Path, default=Path("sp4_results"), metavar="DIR", help="folder to write to (default sp4_results)"
    )
    sp4.add_argument("--force", action="store_true", help="overwrite results in DIR")
    sp4.set_defaults(run=_run_sp4)


def _run_sp4(options):
    import torch

    from torchmag.cases import standard_problem_4
    from torchmag.device import require_device

    require_device(options.device, f"--device {options.device}")
    chosen = standard_problem_4.Options(
        cell=options.cell,
        dim=options.dim,
        order=options.order,
        dtype=getattr(torch, options.dtype),
        device=options.device,
        compile=options.compile,
        progress=sys.stderr.isatty(),
    )
    fields = (1, 2) if options.field == "both" else (int(options.field),)
    return 0 if standard_problem_4.run(fields, chosen, options.out, force=options.force) else 1


def _length(argument):
    value = float(argument)
    if not 0.5e-9 <= value <= 62.5e-9:
        raise argparse.ArgumentTypeError(f"{argument}: expected a cell size in metres from 0.5e-9 to 62.5e-9, such as 5e-9")
    return value


def _add_validate(commands):
    validate = commands.add_parser("validate", help="published problems beside their reference numbers")
    validate.add_argument(
        "names", nargs="*", metavar="CASE", help="all, fast, slow, a group or the id of a case; none lists every case"
    )
    validate.add_argument("--csv", type=Path, metavar="FILE", help="write the numbers as CSV")
    validate.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables as a page, such as docs/validation.md")
    validate.set_defaults(run=_run_validate)


def _run_validate(options):
    files = [file for file in (options.csv, options.markdown) if file is not None]
    for file in files:
        if not file.parent.is_dir():
            raise ValueError(f"{file}: there is no folder {file.parent}; make it first")
    if not options.names:
        if files:
            raise ValueError("nothing to write without a case; name cases, groups, fast or all")
        print(report.listing(cases.groups()))
        return 0
    chosen = cases.choose(options.names)
    results, failed = report.run(chosen)
    if options.csv is not None:
        report.write_csv(options.csv, results)
    if options.markdown is not None:
        report.write_markdown(options.markdown, results)
    judged = sum(row.tolerance is not None for _, rows in results for row in rows)
    print(f"{len(chosen)} cases, {judged} numbers judged, {len(failed)} out")
    for name in failed:
        print(f"OUT OF TOLERANCE: {name}")
    return 1 if failed else 0


def _add_run(commands):
    run = commands.add_parser(
        "run",
        help="run a Python script; with --resume its simulations and training loops go on from their checkpoints",
        description="Runs the script, as python does.  Exit code 75: stopped by SIGTERM, checkpoints written; run again with --resume.",
    )
    run.add_argument(
        "script", type=Path, metavar="SCRIPT", help="a Python file that makes torchmag.Simulation or torchmag.Checkpoint"
    )
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARG", help="for the script; after -- where one is --resume")
    run.add_argument(
        "--resume", action="store_true", help="go on from the checkpoints that are there, begin where there are none"
    )
    run.set_defaults(run=_run_script)


def _run_script(options):
    import runpy
    import traceback

    from torchmag.checkpoint import Interrupted, interruptible, resuming

    if not options.script.is_file():
        raise ValueError(f"{options.script}: there is no such file")
    before, given, resume = (sys.argv, sys.path[:]), options.arguments, options.resume
    if given[:1] == ["--resume"]:
        resume, given = True, given[1:]
    sys.argv = [str(options.script), *given[given[:1] == ["--"] :]]
    sys.path.insert(0, str(options.script.resolve().parent))
    try:
        with interruptible(), resuming(resume):
            runpy.run_path(str(options.script), run_name="__main__")
    except Exception:
        # The script's, with the place in it: not a matter of the command's arguments.
        traceback.print_exc()
        return 1
    except (Interrupted, KeyboardInterrupt) as stopped:
        if not str(stopped):
            raise
        print(f"torchmag run: {stopped}", file=sys.stderr)
        return stopped.code if isinstance(stopped, Interrupted) else 130
    finally:
        sys.argv, sys.path[:] = before
    return 0
