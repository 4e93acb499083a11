"""`torchmag mx3`: run a script of mumax3."""

import argparse
import sys
from pathlib import Path


def add_command(commands) -> None:
    """Add `mx3` to the commands."""
    mx3 = commands.add_parser("mx3", help="run a script of mumax3 (.mx3)")
    mx3.add_argument("script", type=Path, help="the script")
    mx3.add_argument("-o", "--out", type=Path, metavar="DIR", help="output folder (default: the script's name with .out)")
    mx3.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    mx3.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    mx3.add_argument("--order", type=int, choices=(2, 4, 6), default=6, help="of accuracy in space (default 6)")
    mx3.add_argument("--limit", type=_seconds, metavar="SECONDS", help="end the script with an error after this time")
    mx3.add_argument("--python", action="store_true", help="print the torchmag program that does the same, and run nothing")
    mx3.set_defaults(run=_run)


def _run(options):
    import torch

    from torchmag import mx3

    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {options.device}: this machine has no CUDA device; use --device cpu")
    try:
        outcome = mx3.run(
            options.script, options.out, device=options.device, dtype=options.dtype, order=options.order, limit=options.limit,
            quiet=options.python, python=options.python,
        )  # fmt: skip
    except mx3.ScriptError as error:
        print(error, file=sys.stderr)
        return 2
    if options.python:
        print(outcome.program)
    return 0


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: expected a time in seconds, above 0")
    return value
