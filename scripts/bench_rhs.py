"""Time, set-up and memory of the LLG right-hand side with exchange and demagnetising field.

    python scripts/bench_rhs.py --threads 1 2
    python scripts/bench_rhs.py --meshes 64x64x64 --dtypes float32 --modes eager --batch 1 8 --json rhs.json
    python scripts/bench_rhs.py --device cuda --meshes 512x512x1 128x128x128

Every combination has a process of its own, and all of a mesh are timed in turns: what else the machine does hits them alike, and the
minimum over the turns is what the code costs.  With one thread the clock is that thread's CPU time.  The peak memory is that of one call,
with the term's own kernels and maps, without Python and torch.
"""

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

MESHES = ("100x25x1", "256x256x1", "512x512x1", "32x32x32", "64x64x64")
COLUMNS = (
    "mesh",
    "dtype",
    "mode",
    "batch",
    "threads",
    "minimum ms",
    "median ms",
    "set-up s",
    "first call s",
    "peak MB",
    "ATen calls",
)


def main():
    options = arguments()
    if options.worker:
        return Worker(json.loads(options.worker)).serve()
    print(machine(options.device))
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    found = []
    for mesh in options.meshes:
        axes = (options.dtypes, options.modes, options.batch, options.threads)
        cases = [dict(zip(("dtype", "mode", "batch", "threads"), case)) for case in itertools.product(*axes)]
        cases = [{"mesh": mesh, "device": options.device} | case for case in cases]
        found += measure(cases, options.repeats, options.seconds)
    if options.json:
        Path(options.json).write_text(json.dumps({"machine": machine(options.device), "rows": found}, indent=1))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshes", nargs="+", default=MESHES, help="cells as NXxNYxNZ; NZ = 1 is a film")
    parser.add_argument("--dtypes", nargs="+", default=["float64", "float32"])
    parser.add_argument("--modes", nargs="+", default=["eager", "compiled"], choices=["eager", "compiled"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=5, help="turns")
    parser.add_argument("--seconds", type=float, default=0.5, help="of each turn")
    parser.add_argument("--json", help="also write the rows there")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def machine(device="cpu"):
    """What the numbers belong to: processor, cores, load, versions."""
    import torch

    name = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    if device.startswith("cuda"):
        name += f", {torch.cuda.get_device_name(device)}"
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{name}, {os.cpu_count()} cores, load {load}, Python {platform.python_version()}, torch {torch.__version__}"


def measure(cases, repeats, seconds):
    """Rows of all cases, timed in turns."""
    workers = [start(case) for case in cases]
    rows = [case | ask(worker, {"do": "set up"}) for case, worker in zip(cases, workers)]
    times = [[] for _ in cases]
    for _ in range(repeats):
        for worker, sample in zip(workers, times):
            sample += ask(worker, {"do": "time", "seconds": seconds})
    for row, worker, sample in zip(rows, workers, times):
        row |= {"minimum ms": min(sample) * 1e3, "median ms": median(sample) * 1e3} | ask(worker, {"do": "count"})
        worker.stdin.close()
        worker.wait()
        print("| " + " | ".join(shown(row[column]) for column in COLUMNS) + " |", flush=True)
    return rows


def start(case):
    command = [sys.executable, __file__, "--worker", json.dumps(case)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(worker, question):
    worker.stdin.write(json.dumps(question) + "\n")
    worker.stdin.flush()
    answer = worker.stdout.readline()
    if not answer:
        raise RuntimeError(f"a worker ended with code {worker.wait()}; its error is above")
    return json.loads(answer)


def shown(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


class Worker:
    """One combination: answers questions from standard input, one JSON line each."""

    def __init__(self, case):
        import torch

        self.torch, self.case = torch, case
        torch.set_num_threads(case["threads"])
        self.cuda = case["device"].startswith("cuda")
        self.clock = time.thread_time if case["threads"] == 1 and not self.cuda else time.perf_counter

    def serve(self):
        answers = {"set up": self.set_up, "time": self.time, "count": self.count}
        with self.torch.no_grad():
            for line in sys.stdin:
                question = json.loads(line)
                print(json.dumps(answers[question.pop("do")](**question)), flush=True)

    def set_up(self):
        import torchmag as tm

        torch, case = self.torch, self.case
        before, started = self.memory(peak=False), time.perf_counter()
        n = tuple(map(int, case["mesh"].split("x")))
        mesh = tm.Mesh(n[:2] if n[2:] == (1,) else n, (5e-9, 5e-9, 3e-9))
        film = tm.Magnet(mesh, 8e5, dtype=getattr(torch, case["dtype"]), device=case["device"])
        self.llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film), alpha=0.02)
        m = torch.stack([tm.random(mesh, seed=seed) for seed in range(case["batch"])]).to(film.reference)
        self.inputs = torch.zeros((), dtype=torch.float64), m[0] if case["batch"] == 1 else m, self.llg.prepare()
        ready = time.perf_counter()
        if case["mode"] == "compiled":
            self.llg.compile(fullgraph=True, dynamic=False)
        self.call()
        first = time.perf_counter()
        self.memory(peak=False)
        self.call()
        return {"set-up s": ready - started, "first call s": first - ready, "peak MB": (self.memory() - before) / 1e6}

    def call(self):
        self.llg(*self.inputs)
        if self.cuda:
            self.torch.cuda.synchronize()

    def time(self, seconds):
        found, started = [], time.perf_counter()
        while time.perf_counter() - started < seconds or len(found) < 3:
            before = self.clock()
            self.call()
            found.append(self.clock() - before)
        return found

    def memory(self, peak=True):
        """Bytes held, by the process or by torch on the GPU: at most since the last call with peak=False."""
        if self.cuda:
            found = self.torch.cuda.max_memory_allocated()
            return found if peak else self.torch.cuda.reset_peak_memory_stats() or self.torch.cuda.memory_allocated()
        if not peak:
            Path("/proc/self/clear_refs").write_text("5")
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return 1024 * int(status["VmHWM"].split()[0])

    def count(self):
        """ATen operations of one call, views and Inductor's kernels included."""
        from torch.utils._python_dispatch import TorchDispatchMode

        class Count(TorchDispatchMode):
            calls = 0

            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                Count.calls += 1
                return function(*args, **(kwargs or {}))

        if self.case["mode"] == "compiled":
            return {"ATen calls": "-"}
        with Count():
            self.call()
        return {"ATen calls": Count.calls}


if __name__ == "__main__":
    main()
