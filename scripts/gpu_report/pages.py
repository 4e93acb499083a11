"""The report as a page: Markdown of what parts printed and wrote."""

import json
import re

FAILING = 25  # last lines to show of a part that failed


def page(head: dict, results: list[dict], parts: dict) -> str:
    """The whole report."""
    lines = ["# torchmag on a GPU: report", "", *(f"- {name}: {value}" for name, value in head.items()), ""]
    lines += ["| part | outcome | s |", "|---|---|---|"]
    lines += [f"| {result['title']} | {result['outcome']} | {result['seconds']:.0f} |" for result in results]
    for result in results:
        lines += ["", f"## {result['title']}", "", result["outcome"] + f" ({result['seconds']:.0f} s)", ""]
        show = parts[result["name"]].show
        try:
            lines.append(show(result["lines"], result["json"]) if show else printed(result["lines"], None))
        except Exception as error:
            lines.append(f"(not readable: {type(error).__name__}: {error})")
        if result["outcome"] != "done" and show:
            lines += ["", "The last lines of its output:", "", printed(result["lines"][-FAILING:], None)]
    return "\n".join(lines) + "\n"


def printed(lines: list[str], written) -> str:
    """What was printed, as it is."""
    return "\n".join(["```", *lines[-200:], "```"]) if lines else "(nothing was printed)"


def checks(lines: list[str], written) -> str:
    """The lines of checks.py as a table."""

    rows = []
    for line in lines:
        if not line.startswith('{"check"'):
            continue
        found = json.loads(line)
        if "failed" in found:
            rows.append(f"| {found['check']} | **failed** | {found['bound']:g} | {found['seconds']} | {_cell(found['failed'])} |")
        else:
            right = found["difference"] <= found["bound"]
            rows.append(
                f"| {found['check']} | {found['difference']:.1e} | {found['bound']:g} | {found['seconds']} | {'' if right else '**out**'} |"
            )
    return "\n".join(["| check | difference | bound | s | |", "|---|---|---|---|---|", *rows]) if rows else "(no check ended)"


def tests(lines: list[str], written) -> str:
    """The lines of pytest -v: how many passed, and what failed."""
    outcomes = {}
    for line in lines:
        found = re.match(r"(\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)", line)
        if found:
            outcomes[found[1]] = found[2]
    count = lambda what: sum(outcome == what for outcome in outcomes.values())
    text = [f"{count('PASSED')} passed, {count('FAILED') + count('ERROR')} failed, {count('SKIPPED')} skipped"]
    reasons = {found[1]: found[2] for line in lines if (found := re.match(r"(?:FAILED|ERROR) (\S+.*?) - (.*)", line))}
    text += [
        f"- {outcome} {name}: {_cell(reasons.get(name, ''))}"
        for name, outcome in outcomes.items()
        if outcome in ("FAILED", "ERROR")
    ]
    return "\n".join([text[0], "", *text[1:]])


def bench(lines: list[str], written) -> str:
    """The rows of torchmag bench."""
    if written is None:
        return printed(lines, None)
    head = (
        "cells",
        "dtype",
        "mode",
        "call ms",
        "run ms",
        "step ms",
        "us / sample",
        "MB",
        "kernels",
        "launches",
        "waits",
        "set-up s",
        "first s",
    )
    text = [written["counted"], "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    text += [_row(row, len(head)) for row in written["rows"]]
    text += ["", "Times: least (median); kernels and launches: of a call / of a step; waits: of a step."]
    return "\n".join(text)


def _row(row, columns):
    first = [row["cells"], row["dtype"], row["mode"]]
    if "skipped" in row:
        return "| " + " | ".join([*first, _cell(row["skipped"])]) + " |" * (columns - 3)
    number = lambda value: "-" if value is None else f"{value:.3g}"
    times = lambda name: f"{row[name]['least']:.3g} ({row[name]['median']:.3g})" if row.get(name) else "-"
    both = lambda name: f"{number(row.get(name + '_call'))} / {number(row.get(name + '_step'))}"
    of_a_sample = 1e3 * row["step_ms"]["least"] / row["batch"] if row.get("step_ms") else None
    cells = [
        times("call_ms"),
        times("run_ms"),
        times("step_ms"),
        number(of_a_sample),
        number(row["memory_MB"]),
        both("kernels"),
        both("launches"),
    ]
    return (
        "| " + " | ".join([*first, *cells, number(row.get("waits_step")), number(row["setup_s"]), number(row["first_s"])]) + " |"
    )


def _cell(text):
    return text.replace("|", "\\|").replace("\n", " ")
