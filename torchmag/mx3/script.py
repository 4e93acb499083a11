"""Run a script file."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from torchmag.mx3.interpreter import Interpreter
from torchmag.mx3.names import all_names, suggestion
from torchmag.mx3.script_error import Exit, ScriptError
from torchmag.mx3.syntax import parse
from torchmag.mx3.world import World

LARGEST = 2**22


@dataclass(frozen=True)
class Outcome:
    """How a script ended.

    Attributes:
        m: the magnetisation at the nodes, (3, *nodes), or None if no mesh was set.
        t: time, s.
        folder: where the output is.
        expected: how many `expect` lines held.
        program: the torchmag program, with `python=True`.
    """

    m: torch.Tensor | None
    t: float
    folder: Path
    expected: int
    program: str | None = None


def run(
    path,
    folder=None,
    *,
    device: str = "cpu",
    dtype: str | torch.dtype = "float64",
    order: int = 6,
    limit: float | None = None,
    quiet: bool = False,
    python: bool = False,
) -> Outcome:
    """Run a script of mumax3 (.mx3) with torchmag.

    Args:
        path: of the script.
        folder: of the output, by default the script's name with .out; what is in it may be overwritten.
        device, dtype: of the computation; float64 by default, which equilibria need (float32 is that of mumax3).
        order: of accuracy in space (see `Magnet`).
        limit: seconds, after which the script ends with an error.
        quiet: print nothing.
        python: gather the torchmag program that does the same; runs, relaxations and minimisations are written down, not done.

    Returns:
        An `Outcome`.
    Raises:
        ScriptError: what is wrong, in one line with file, line and column.
        OSError: the script cannot be read.
    """
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: larger than {LARGEST} bytes, which is no script")
    folder = path.with_suffix(".out") if folder is None else Path(folder)
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    interpreter = Interpreter({}, limit)
    world = World(path, folder, device, dtype, order, quiet, interpreter.check_time)
    world.clock, world.expected = time.monotonic, 0
    world.record.on, world.files.keeps_log = python, not python
    interpreter.names = known = all_names(world)
    interpreter.suggest = lambda name: suggestion(known, name)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
        lines = text.split("\n")
        statements = interpreter.compile(parse(text))
        with torch.no_grad():
            for position, statement in statements:
                world.files.log(lines[position[0] - 1].strip())
                statement()
    except Exit:
        pass
    except ScriptError as error:
        error.file = str(path)
        _close(world, f"//{error}")
        raise
    except RecursionError:
        error = ScriptError("nested too deeply", (1, 1))
        error.file = str(path)
        raise error from None
    finally:
        world.files.close()
    m = world.nodal_m() if world.grid.ready else None
    return Outcome(m, world.t, folder, world.expected, world.record.program() if python else None)


def _close(world, line):
    try:
        world.files.log(line)
    except OSError:
        pass
