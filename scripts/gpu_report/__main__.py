"""Everything that only a GPU can show, as one file, in under eight minutes.

    python scripts/gpu_report --out report.md
    python scripts/gpu_report --peers ~/.cache/torchmag-peers --mumax3 ~/mumax3/mumax3 --out report.md
    python scripts/gpu_report --device cpu --quick --out report.md

Tests and comparisons with the CPU run first, side by side; then what is timed, one part after another: `torchmag bench`, many small runs, other
packages.  Every part is a process with a limit of its own: one that fails or hangs is written down with its last lines, and the others go on.
The report is written after each part: Markdown, and beside it everything as JSON.
"""

import argparse
import json
import platform
import subprocess
import sys
import time
from pathlib import Path

from pages import bench, checks, page, printed, tests
from parts import ROOT, Part, run_all

sys.path.insert(0, str(ROOT))
GROUPS = {
    "eager": "without compilation",
    "compiled": "compiled",
    "whole steps": "whole steps",
    "searches": "searches and gradients, compiled",
    "replays": "replays of whole steps",
}


def main() -> int:
    """Run the parts; 1 if one of them failed, was stopped or left out."""
    options = arguments()
    from torchmag.device import require_device

    try:
        require_device(options.device, f"--device {options.device}")
        if not options.out.resolve().parent.is_dir():
            raise ValueError(f"--out {options.out}: there is no folder {options.out.parent}; make it first")
        parts = chosen(options)
    except ValueError as error:
        print(f"gpu_report: {error}", file=sys.stderr)
        return 2
    head, named = about(options), {part.name: part for part in parts}
    print("\n".join(f"{name}: {value}" for name, value in head.items()), flush=True)

    def write(results):
        options.out.write_text(page(head, results, named))
        options.out.with_suffix(".json").write_text(json.dumps({"head": head, "parts": results}, indent=1))

    write([])
    results = run_all(parts, options.budget, write, lambda text: print(text, flush=True), options.at_once)
    print(f"written: {options.out}, {options.out.with_suffix('.json')}")
    return int(any(result["outcome"] != "done" for result in results))


def arguments():
    parser = argparse.ArgumentParser(prog="gpu_report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=Path("gpu_report.md"), help="the file to write; its JSON comes beside it")
    parser.add_argument("--budget", type=float, default=460.0, metavar="SECONDS", help="in all (default 460)")
    parser.add_argument("--quick", action="store_true", help="a small choice of everything, to try the report itself")
    parser.add_argument("--only", nargs="+", metavar="PART", help="these parts (the names that it prints)")
    parser.add_argument("--at-once", type=int, default=8, help="parts side by side, where nothing is timed (default 8)")
    parser.add_argument("--peers", type=Path, help="virtual environment of other packages, as of compare_peers.py")
    parser.add_argument("--mumax3", help="the program, as of compare_peers.py")
    return parser.parse_args()


def chosen(options):
    """The parts that were asked for."""
    parts = quick(options.device) if options.quick else everything(options)
    unknown = set(options.only or ()) - {part.name for part in parts}
    if unknown:
        raise ValueError(
            f"--only {' '.join(sorted(unknown))}: there is no such part; there are {', '.join(part.name for part in parts)}"
        )
    return [part for part in parts if not options.only or part.name in options.only]


def everything(options):
    device, python = options.device, sys.executable
    on = {"TORCHMAG_TEST_DEVICE": "on_cuda"} if device.startswith("cuda") else {}
    pytest = [python, "-m", "pytest", "-vv", "-rfE", "--tb=short", "--no-header", "-p", "no:cacheprovider"]
    compiled, others = (
        "compiled or compiles",
        ["tests/test_bursts.py", "tests/test_design.py", "tests/test_thermal.py", "tests/test_torques.py"],
    )
    parts = [
        Part(
            "tests",
            "Tests of the device",
            [*pytest, "tests/test_device.py", "-k", f"not ({compiled})"],
            130,
            show=tests,
            environment=on,
        ),
        Part(
            "tests-compiled",
            "Tests of the device, compiled",
            [*pytest, "--slow", "tests/test_device.py", "-k", compiled],
            130,
            show=tests,
            environment=on,
        ),
        Part("tests-others", "Other tests with a device", [*pytest, *others, "-k", "device or cuda"], 130, show=tests),
    ]
    parts += [of_checks(group, device, 130) for group in GROUPS]
    jobs = ["--jobs", "8", "--seconds", "0.15", "--limit", "60"]
    films = ["--meshes", "100x25", "256x256", "512x512", "1024x1024", "2048x2048", "--batches"]
    bodies = ["--meshes", "32x32x32", "64x64x64", "128x128x128", "--batches"]
    small = ["--meshes", "--batches", "256", "4096", "16384"]
    huge = ["--meshes", "256x256x256", "--batches", "--modes", "compiled", "whole"]
    single, double = ["--dtype", "float32"], ["--dtype", "float64"]
    parts += [
        of_bench("films", "Films, float32", device, 80, *films, *single, *jobs),
        of_bench("bodies", "Bodies, float32", device, 70, *bodies, *single, *jobs),
        of_bench("256-cubed", "256 x 256 x 256 cells, float32: time and memory", device, 100, *huge, *single, *jobs),
        of_bench("batches", "Batches of small samples, float32", device, 60, *small, *single, *jobs),
        of_runs(device, 4096, 1e-10, 60),
    ]
    if options.peers or options.mumax3:
        given = [
            *(["--peers", options.peers] if options.peers else []),
            *(["--mumax3", options.mumax3] if options.mumax3 else []),
        ]
        meshes = ["--meshes", "100x25x1", "256x256x1", "512x512x1", "1024x1024x1", "128x128x128", "--orders", "2", "6"]
        peers = [
            python,
            "scripts/compare_peers.py",
            "--device",
            device,
            "--dtype",
            "float32",
            "--integrate",
            "--turns",
            "2",
            "--seconds",
            "0.2",
            *given,
            *meshes,
        ]
        parts.append(Part("peers", "Beside other packages, float32", [*peers, "--json", "{out}"], 120, alone=True, show=printed))
    return parts + [
        of_bench("films-double", "Films, float64", device, 80, *films, *double, *jobs),
        of_bench("bodies-double", "Bodies, float64", device, 70, *bodies, *double, *jobs),
    ]


def quick(device):
    """A small choice of everything."""
    pytest = [sys.executable, "-m", "pytest", "-vv", "-rfE", "--tb=short", "--no-header", "-p", "no:cacheprovider"]
    return [
        Part("tests", "Tests of the device", [*pytest, "tests/test_device.py", "-k", "counts or torques"], 100, show=tests),
        of_checks("eager", device, 60, "--quick"),
        of_checks("compiled", device, 100, "--quick"),
        of_bench(
            "films",
            "A film",
            device,
            60,
            "--meshes",
            "20x10",
            "--dtype",
            "float32",
            "--batches",
            "8",
            "--modes",
            "eager",
            "--seconds",
            "0.02",
        ),
        of_runs(device, 8, 1e-12, 60),
    ]


def of_checks(group, device, seconds, *more):
    command = [sys.executable, "scripts/gpu_report/checks.py", group, "--device", device, *more]
    return Part(
        f"checks-{group.replace(' ', '-')}", f"The same numbers as the CPU: {GROUPS[group]}", command, seconds, show=checks
    )


def of_bench(name, title, device, seconds, *more):
    command = [
        sys.executable,
        "-m",
        "torchmag",
        "bench",
        "--device",
        device,
        "--json",
        "{out}",
        "--budget",
        str(seconds - 5),
        *more,
    ]
    return Part(name, title, command, seconds, alone=True, show=bench)


def of_runs(device, runs, span, seconds):
    command = [
        sys.executable,
        "scripts/bench_batch.py",
        "--device",
        device,
        "--dtype",
        "float32",
        "--runs",
        str(runs),
        "--span",
        str(span),
        "--sample",
        "0",
    ]
    modes = ["--modes", "eager", *["compiled", "whole"] * (runs > 100)]
    return Part("runs", f"{runs} runs of 32 x 8 cells for {span * 1e12:g} ps, float32", [*command, *modes], seconds, alone=True)


def about(options):
    """Machine, versions, commit."""
    from torchmag.bench import machine

    found = machine.machine(options.device)
    ask = lambda *command: subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stdout.strip()
    head = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "command": " ".join(sys.argv[1:]),
        "machine": machine.in_a_line(found),
    }
    try:
        head["commit"] = ask("git", "rev-parse", "--short", "HEAD") or "unknown"
    except OSError:
        head["commit"] = "unknown"
    try:
        head["driver"] = ask("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader") or "-"
    except OSError:
        head["driver"] = "-"
    return head | {"system": platform.platform()}


if __name__ == "__main__":
    sys.exit(main())
