"""Parts of a report: commands, each with a time of its own, whose failure is a result like any other."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Part:
    """One command of a report.

    Attributes:
        name: one word.
        title: its heading.
        command: and its arguments; "{out}" in one is replaced by the path of a file that it may write JSON to.
        seconds: after which it is stopped, with all that it started.
        alone: whether nothing else runs beside it, for times.
        show: makes Markdown of the lines that it printed and of the JSON that it wrote (None if it wrote none).
        environment: variables beside those that are set.
    """

    name: str
    title: str
    command: list
    seconds: float
    alone: bool = False
    show: Callable[[list[str], dict | None], str] | None = None
    environment: dict = field(default_factory=dict)


def run_all(
    parts: list[Part], budget: float, write: Callable[[list[dict]], None], say: Callable[[str], None] = print, at_once: int = 4
) -> list[dict]:
    """Run parts, those side by side first, and hand all results so far to `write` after each."""
    began, results, order = time.monotonic(), [], {part.name: number for number, part in enumerate(parts)}

    def one(part):
        left = budget - (time.monotonic() - began)
        if left < 5:
            result = {
                "name": part.name,
                "title": part.title,
                "outcome": f"left out: the budget of {budget:g} s is spent",
                "seconds": 0.0,
                "lines": [],
                "json": None,
            }
        else:
            say(f"[{time.monotonic() - began:4.0f} s] {part.name}: {part.title} (at most {min(left, part.seconds):.0f} s)")
            result = run(part, min(left, part.seconds))
        results.append(result)
        results.sort(key=lambda result: order[result["name"]])
        say(f"[{time.monotonic() - began:4.0f} s] {part.name}: {result['outcome']}, {result['seconds']:.0f} s")
        return result

    with ThreadPoolExecutor(at_once) as pool:
        for _ in pool.map(one, [part for part in parts if not part.alone]):
            write(results)
    for part in parts:
        if part.alone:
            one(part)
            write(results)
    return results


def run(part: Part, seconds: float) -> dict:
    """What became of a part: outcome, seconds, the lines that it printed, the JSON that it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out, log = Path(folder, "out.json"), Path(folder, "log")
        command = [str(argument).replace("{out}", str(out)) for argument in part.command]
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"} | part.environment
        begin = time.monotonic()
        with log.open("w") as file:
            try:
                # A session of its own, so that what it starts ends with it.
                process = subprocess.Popen(
                    command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, cwd=ROOT, env=environment, start_new_session=True
                )  # fmt: skip
                outcome = _wait(process, seconds)
            except OSError as error:
                outcome = f"failed: {error}"
        lines = log.read_text(errors="replace").splitlines()
        try:
            written = json.loads(out.read_text())
        except (OSError, ValueError):
            written = None
        taken = time.monotonic() - begin
    return {
        "name": part.name,
        "title": part.title,
        "outcome": outcome,
        "seconds": round(taken, 1),
        "lines": lines,
        "json": written,
    }


def _wait(process, seconds):
    try:
        code = process.wait(seconds)
        return "done" if code == 0 else f"failed with code {code}"
    except subprocess.TimeoutExpired:
        return f"stopped after {seconds:.0f} s"
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
