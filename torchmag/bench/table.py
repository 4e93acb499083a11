"""The whole table: a process for each mesh and precision, set up side by side, measured one after another."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torchmag
from torchmag.bench.cases import Case

# What an interpreter takes to import torch and find its device, s: no fault of the case.
START, FOREVER = 60.0, 1e6


class Process:
    """A process that measures one case."""

    def __init__(self, case: Case):
        self.case, self.ended = case, None
        self.errors = tempfile.TemporaryFile("w+")
        path = [str(Path(torchmag.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "torchmag.bench.worker", json.dumps(case.as_dict())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
        )  # fmt: skip
        self.begun = False

    def ask(self, what: str, mode: str, left: float = float("inf")) -> dict:
        """An answer within the limit of the case and what is left of the budget, or {"skipped": why there is none}."""
        if self.ended:
            return {"skipped": self.ended}
        limit = min(left, self.case.limit + (0 if self.begun else START))
        self.begun = True
        try:
            self.process.stdin.write((json.dumps({"do": what, "mode": mode}) + "\n").encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._over()
        if not select.select([self.process.stdout], [], [], min(limit, FOREVER))[0]:
            self.process.kill()
            self.ended = f"took more than {limit:.3g} s"
            return {"skipped": self.ended}
        line = self.process.stdout.readline()
        return json.loads(line) if line else self._over()

    def _over(self):
        code = self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().strip().splitlines()
        why = "killed, perhaps for its memory" if code == -9 else f"ended with code {code}"
        self.ended = f"the process {why}" + (f": {lines[-1][:160]}" if lines else "")
        return {"skipped": self.ended}

    def close(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.errors.close()


def measure(cases: Iterable[Case], jobs: int, budget: float | None, row: Callable[[dict], None], start=Process) -> list[dict]:
    """Rows of all cases, one for each mode: what was measured, or why it was not under "skipped".

    Args:
        jobs: how many cases are set up, and so compiled, at once.  Measured is one after another.
        budget: seconds in all; no case, and no mode of one, is begun beyond them.
        row: called with each row when it is there.
    """
    cases, rows, end = list(cases), [], float("inf") if budget is None else time.monotonic() + budget

    def add(case, mode, found):
        rows.append({"cells": case.title, "batch": case.batch, "dtype": case.dtype, "mode": mode} | found)
        row(rows[-1])

    def ask(process, what, mode):
        left = end - time.monotonic()
        if left <= 0:
            return {"skipped": f"the budget of {budget:g} s is spent"}
        return process.ask(what, mode, left)

    def prepared(process):
        return {mode: ask(process, "prepare", mode) for mode in process.case.modes}

    for first in range(0, len(cases), jobs):
        group = cases[first : first + jobs]
        if time.monotonic() > end:
            for case in group:
                for mode in case.modes:
                    add(case, mode, {"skipped": f"the budget of {budget:g} s is spent"})
            continue
        processes = []
        try:
            processes += map(start, group)
            with ThreadPoolExecutor(len(group)) as pool:
                ready = list(pool.map(prepared, processes))
            for process, found in zip(processes, ready):
                for mode, answer in found.items():
                    add(process.case, mode, answer if "skipped" in answer else answer | ask(process, "measure", mode))
                process.close()
        finally:
            for process in processes:
                process.close()
    return rows
