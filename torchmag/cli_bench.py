"""`torchmag bench`: how long the equation takes on this machine."""

import argparse
import json
import math
import platform
import time
from dataclasses import replace
from pathlib import Path

MESHES = ("100x25", "256x256", "512x512", "32x32x32", "64x64x64")
# Options of the whole table, and of one setting: which has one, does not have the other.
WIDTHS = (15, 15, 13, 9, 8, 12, 12, 6, 8)
OF_TABLE, OF_SETTING = ("only", "modes", "batches", "budget", "limit", "jobs", "json"), ("meshes", "compile", "batch")


def add_command(commands) -> None:
    """Add `bench` to the commands."""
    bench = commands.add_parser(
        "bench",
        help="time the equation (exchange and demagnetising field) on this machine",
        description="The whole table: right-hand sides eager, compiled and in whole steps, both precisions, memory, launches and waits, batches of "
        "small samples. With NXxNY, --compile or --batch: right-hand sides of this one setting. docs/gpu.md says what is counted.",
    )
    bench.add_argument(
        "meshes", nargs="*", type=_cells, metavar="NXxNY[xNZ]", help=f"one setting: cells (default {' '.join(MESHES)})"
    )
    bench.add_argument("--compile", action="store_true", help="one setting: with torch.compile")
    bench.add_argument("--batch", type=_count, help="one setting: samples at once (default 1)")
    bench.add_argument("--order", type=int, choices=(2, 4, 6), help="of accuracy in space (default that of Magnet)")
    bench.add_argument("--dtype", choices=("float32", "float64"), help="default: both; in one setting float64")
    bench.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    bench.add_argument("--threads", type=_count, help="of torch (default: its own)")
    bench.add_argument("--seconds", type=_positive, help="of each quantity (default 1 in one setting, else 0.3)")
    table = bench.add_argument_group("the whole table")
    table.add_argument(
        "--meshes",
        dest="only",
        nargs="*",
        type=_cells,
        metavar="NXxNY[xNZ]",
        help="default: 100x25 to 2048x2048, 32x32x32 to 256x256x256; fewer on a CPU",
    )
    table.add_argument("--modes", nargs="+", choices=("eager", "compiled", "whole"), help="default: all")
    table.add_argument(
        "--batches", nargs="*", type=_count, metavar="SAMPLES", help="of 32x8 cells (default 256 4096 16384; 256 on a CPU)"
    )
    table.add_argument(
        "--budget", type=_positive, metavar="SECONDS", help="in all; what is left is skipped (default 90 on a CPU)"
    )
    table.add_argument(
        "--limit", type=_positive, metavar="SECONDS", help="to set up a mode of one mesh, or to measure it (default 120)"
    )
    table.add_argument("--jobs", type=_count, help="meshes set up at once; each is measured alone (default 1)")
    table.add_argument("--json", type=Path, metavar="FILE", help="write everything there, after each row")
    bench.set_defaults(run=_run)


def _run(options):
    from torchmag.device import require_device

    given = lambda names: [name for name in names if getattr(options, name) not in (None, False, [])]
    # An empty list is a choice of the table: none.
    table = [*given(OF_TABLE), *(name for name in ("only", "batches") if getattr(options, name) == [])]
    setting = given(OF_SETTING)
    if table and setting:
        names = {"only": "meshes"}
        raise ValueError(
            f"--{names.get(table[0], table[0])} belongs to the whole table, {'cells without --meshes' if setting[0] == 'meshes' else '--' + setting[0]} "
            f"to one setting; give one of them"
        )
    device = require_device(options.device, f"--device {options.device}")
    if device.type == "meta":
        raise ValueError("--device meta: nothing is computed there; use cpu or cuda")
    return _run_setting(options) if setting else _run_table(options, device)


def _run_table(options, device):
    import torch

    from torchmag.bench import cases, counting, machine, table

    on_cpu = device.type == "cpu"
    if options.json is not None and not options.json.parent.is_dir():
        raise ValueError(f"--json {options.json}: there is no folder {options.json.parent}; make it first")
    if options.threads:
        torch.set_num_threads(options.threads)
    default = cases.ON_CPU if on_cpu else {"meshes": (*cases.FILMS, *cases.BODIES), "batches": cases.BATCHES}
    modes = ["whole steps" if mode == "whole" else mode for mode in options.modes or ("eager", "compiled", "whole")]
    chosen = cases.cases(
        default["meshes"] if options.only is None else options.only,
        default["batches"] if options.batches is None else options.batches,
        (options.dtype,) if options.dtype else cases.DTYPES,
        device=str(device), order=options.order, modes=tuple(modes), seconds=options.seconds or 0.3, limit=options.limit or 120.0, threads=options.threads,
    )  # fmt: skip
    if on_cpu:
        # What compiles for long comes last, so that a budget leaves that out.
        parts = [
            [replace(case, modes=tuple(mode for mode in modes if (mode == "eager") == eager)) for case in chosen]
            for eager in (True, False)
        ]
        chosen = [case for part in parts for case in part if case.modes]
    budget = options.budget or (90.0 if on_cpu else None)
    everything = {"machine": machine.machine(str(device)), "counted": counting.HOW["cuda" if device.type == "cuda" else "other"]}
    everything |= {"settings": [case.as_dict() for case in chosen], "budget_s": budget, "rows": []}
    print(machine.in_a_line(everything["machine"]))
    print(
        "ms, least and median: of a right-hand side that is called, of one in steps of 1 fs, of a step of dopri5 with step control; kernels and launches of a "
        "call and of a step, waits of a step"
    )
    print(everything["counted"])
    titles = ("call", "run", "step", "us/sample", "MB", "kernels", "launches", "waits", "first s")
    print(f"{'cells':>15} {'dtype':>8} {'mode':>12} " + " ".join(f"{title:>{width}}" for title, width in zip(titles, WIDTHS)))

    def show(row):
        everything["rows"].append(row)
        print(_row(row), flush=True)
        if options.json is not None:
            partial = options.json.with_name(options.json.name + ".partial")
            partial.write_text(json.dumps(everything, indent=1))
            partial.replace(options.json)

    rows = table.measure(chosen, options.jobs or 1, budget, show)
    return 0 if any("skipped" not in row for row in rows) else 1


def _row(row):
    """A row of the table: kernels and launches of a call and of a step, waits of a step."""
    head = f"{row['cells']:>15} {row['dtype']:>8} {row['mode']:>12}"
    if "skipped" in row:
        return f"{head}   skipped: {row['skipped']}"
    number = lambda value: "-" if value is None else f"{value:.4g}"
    times = lambda name: f"{row[name]['least']:.3g} {row[name]['median']:.3g}" if row.get(name) else "-"
    both = lambda name: f"{number(row.get(name + '_call'))} {number(row.get(name + '_step'))}"
    of_a_sample = 1e3 * row["step_ms"]["least"] / row["batch"] if row.get("step_ms") else None
    shown = (
        times("call_ms"), times("run_ms"), times("step_ms"), number(of_a_sample), number(row["memory_MB"]), both("kernels"), both("launches"),
        number(row.get("waits_step")), f"{row['first_s']:.1f}",
    )  # fmt: skip
    return f"{head} " + " ".join(f"{text:>{width}}" for text, width in zip(shown, WIDTHS))


def _run_setting(options):
    import torch

    from torchmag.convolution import plans

    options.dtype, options.batch, options.seconds = options.dtype or "float64", options.batch or 1, options.seconds or 1.0
    if options.threads:
        torch.set_num_threads(options.threads)
    where = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else f"{platform.machine()} CPU"
    kind = "compiled" if options.compile else "eager"
    own = not options.device.startswith("cuda") and plans.available()
    print(
        f"{where}, torch {torch.__version__}, {torch.get_num_threads()} threads, {options.dtype}, batch of {options.batch}, {kind}, "
        f"{'compiled convolution' if own else 'FFT of torch'}"
    )
    print(f"{'cells':>12} {'set-up s':>9} {'first s':>8} {'least ms':>9} {'median ms':>10} {'order':>6}")
    for n in options.meshes or [_cells(mesh) for mesh in MESHES]:
        setup, first, times, order = _measure(n, options)
        least, middle = times[0] * 1e3, times[len(times) // 2] * 1e3
        print(f"{'x'.join(map(str, n)):>12} {setup:9.2f} {first:8.2f} {least:9.3g} {middle:10.3g} {order:6}", flush=True)
    return 0


def _measure(n, options):
    """Seconds of the set-up and of the first call, and of every later one, sorted; the order of the magnet."""
    import torch

    import torchmag as tm
    from torchmag.device import synchronize

    chosen = {} if options.order is None else {"order": options.order}
    start = time.perf_counter()
    mesh, dtype = tm.Mesh(n, (5e-9, 5e-9, 3e-9)), getattr(torch, options.dtype)
    film = tm.Magnet(mesh, 8e5, dtype=dtype, device=options.device, **chosen)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film), alpha=0.02)
    m = torch.stack([tm.random(mesh, seed=seed, dtype=torch.float64) for seed in range(options.batch)]).to(film.reference)
    t, values = torch.zeros((), dtype=torch.float64, device=m.device), llg.prepare()
    if options.compile:
        llg.compile(fullgraph=True, dynamic=False)
    found = []
    with torch.no_grad():
        while not found or len(found) < 4 or sum(found[2:]) < options.seconds:
            begin = time.perf_counter()
            llg(t, m, values)
            synchronize(m.device)
            found.append(time.perf_counter() - begin)
            if len(found) == 1:
                setup = begin - start
    return setup, found[0], sorted(found[2:]), film.order


def _cells(text):
    parts = text.split("x")
    if not 1 <= len(parts) <= 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text}: expected cells as NX, NXxNY or NXxNYxNZ, such as 256x256")
    return tuple(map(int, parts))


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, at least 1")
    return int(text)


def _positive(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of seconds above 0")
    return value
