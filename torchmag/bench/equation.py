"""One mesh in one precision: exchange and stray field, eager and compiled, timed, counted and weighed."""

import time
from pathlib import Path
from statistics import median

import torch

import torchmag as tm
from torchmag.bench.cases import Case
from torchmag.bench.counting import NOT_COUNTED, count
from torchmag.device import free_memory, synchronize

# Runs of fixed steps, s, and how many at most.
STEP, MOST = 1e-15, 20
# A step with step control is what a long run takes more than a short one, over the steps that it makes more: some forty, or eight where they are slow.
SHORT, LONG, LESS, SLOW = 1e-12, 1e-11, 3e-12, 0.02
EVALUATIONS = 6  # of a step of dopri5


class Equation:
    """The equation of a case in all its modes."""

    def __init__(self, case: Case):
        self.case, self.device, self.peak = case, torch.device(case.device), None
        dtype = getattr(torch, case.dtype)
        torch.zeros(1, device=self.device)
        self._require_memory()
        self.base = self._held()
        start = time.perf_counter()
        mesh = tm.Mesh(case.cells, (5e-9, 5e-9, 3e-9))
        order = {} if case.order is None else {"order": case.order}
        film = tm.Magnet(mesh, 8e5, dtype=dtype, device=self.device, **order)
        energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film)
        m = tm.random(mesh, seed=0, dtype=torch.float64, device="cpu")
        if case.batch > 1:
            H = torch.zeros(case.batch, 3, *[1] * mesh.dim, dtype=torch.float64)
            H[:, 0], H[:, 1] = torch.linspace(-2e4, -4.5e4, case.batch).reshape(-1, *[1] * mesh.dim), 4e3
            energy = energy + tm.Zeeman(film, H.to(film.reference))
            m = tm.uniform(mesh, (1, 0.01, 0), dtype=torch.float64, device="cpu").expand(case.batch, 3, *mesh.nodes)
        self.m, self.order = m.to(film.reference).contiguous(), film.order
        self.t = torch.zeros((), dtype=torch.float64, device=self.device)
        self.energy, self.modes = energy, {}
        synchronize(self.device)
        self.setup = time.perf_counter() - start

    def prepare(self, mode: str) -> dict:
        """Compile, and make every call of this mode once; seconds."""
        llg = tm.LLG(self.energy, alpha=0.02)
        if mode != "eager":
            llg.compile(fullgraph=True, dynamic=False, **({"mode": "reduce-overhead"} if mode == "whole steps" else {}))
        self.modes[mode] = llg, llg.prepare()
        start = time.perf_counter()
        for call in (lambda: self.call(mode), lambda: self.run(mode, 1), lambda: self.adapt(mode, SHORT)):
            call()
            synchronize(self.device)
        first = time.perf_counter() - start
        # Before anything is compiled: the compiler stays in the memory of the process.
        held = self._held() if not self.peak and mode == "eager" else None
        self.peak = self.peak or (None if held is None or self.base is None else (held - self.base) / 1e6)
        return {"setup_s": self.setup, "first_s": first, "order": self.order}

    @torch.no_grad()
    def call(self, mode: str) -> None:
        """One right-hand side."""
        llg, values = self.modes[mode]
        llg(self.t, self.m, values)

    @torch.no_grad()
    def run(self, mode: str, steps: int) -> None:
        """Fixed steps of 1 fs."""
        tm.solve(self.modes[mode][0], self.m, [0.0, steps * STEP], step=STEP, compile=False)

    @torch.no_grad()
    def adapt(self, mode: str, span: float) -> int:
        """A run of an adaptive method; its steps."""
        made = []
        tm.solve(self.modes[mode][0], self.m, [0.0, span], compile=False, callback=lambda t, dt, m: made.append(None))
        return len(made)

    def measure(self, mode: str) -> dict:
        """Milliseconds of a right-hand side, called and in runs, and of a step; kernels, launches and waits; MB."""
        call = self._times(lambda: self.call(mode))
        steps = max(1, min(MOST, int(self.case.seconds / (EVALUATIONS * call[0]))))
        runs = self._times(lambda: self.run(mode, steps))
        found = {"call_ms": _spread(call), "run_ms": _spread(runs, EVALUATIONS * steps + 1)}
        found |= {"memory_MB": self._memory(mode)}
        found |= {
            f"{name}_call": number for name, number in self._count(mode, lambda: self.call(mode)).items() if name != "waits"
        }
        return found | self._of_a_step(mode, LONG if EVALUATIONS * found["run_ms"]["median"] < 1e3 * SLOW else LESS)

    def _of_a_step(self, mode, long):
        times, counted, steps = [], [], []
        for span in (SHORT, long):
            run = lambda span=span: steps.append(self.adapt(mode, span))
            counted.append(self._count(mode, run))
            times.append(self._times(run))
        made = steps[-1] - steps[0]
        if made < 1:
            return {"steps": made}
        of_each = lambda short, long: None if short is None else (long - short) / made
        milliseconds = {"least": of_each(times[0][0], times[1][0]), "median": of_each(*map(median, times))}
        found = {f"{name}_step": of_each(counted[0][name], counted[1][name]) for name in counted[0]}
        return found | {"steps": made, "step_ms": {name: 1e3 * value for name, value in milliseconds.items()}}

    def _times(self, call):
        """Seconds of repeated calls, sorted; the device is waited for before and after each."""
        found = []
        while not found or sum(found) < (self.case.seconds if len(found) > 1 else max(self.case.seconds, 1.0)):
            synchronize(self.device)
            begin = time.perf_counter()
            call()
            synchronize(self.device)
            found.append(time.perf_counter() - begin)
        return sorted(found)

    def _count(self, mode, call):
        if mode != "eager" and self.device.type != "cuda":
            call()
            return dict.fromkeys(NOT_COUNTED)  # no operator of compiled code is seen
        return count(call, self.device)

    def _memory(self, mode):
        """MB at most in a step, kernel and maps included; on a CPU those of the process, without compiled code only."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.run(mode, 1)
            synchronize(self.device)
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        return self.peak if mode == "eager" and self.device.type == "cpu" else None

    def _held(self):
        """Bytes of the process at most; None where nobody tells."""
        if not Path("/proc/self/status").exists():
            return None
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return 1024 * int(status["VmHWM"].split()[0])

    def _require_memory(self):
        free = free_memory(self.device)
        if free is None and self.device.type == "cpu" and Path("/proc/meminfo").exists():
            lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
            free = 1024 * int(lines["MemAvailable"].split()[0])
        if free is not None and self.case.bytes > free:
            raise MemoryError(f"needs about {self.case.bytes / 2**30:.3g} GiB, {free / 2**30:.3g} GiB are free")


def _spread(seconds, parts=1):
    """Least and median in milliseconds, of each part."""
    return {"least": 1e3 * seconds[0] / parts, "median": 1e3 * median(seconds) / parts}
