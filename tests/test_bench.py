"""`torchmag bench`: the table, how it counts, and what becomes of cases that cannot be measured."""

import json
import time
import types

import pytest
import torch

from torchmag.bench import counting, equation, table
from torchmag.bench.cases import Case, cases
from torchmag.cli import main
from torchmag.device import require_device

CPU = torch.device("cpu")


def event(cat, name, ts, dur=1.0):
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur}


def test_counts_on_cuda():
    """A trace as torch.profiler writes it: kernels on the device, calls of the host, and the profiler's own wait at its end."""
    trace = [
        event("user_annotation", "torchmag counted", 10, 100),
        event("gpu_user_annotation", "torchmag counted", 12, 100),
        event("cpu_op", "aten::mul", 11),
        event("cuda_runtime", "cudaLaunchKernel", 12),
        event("kernel", "vectorized_elementwise_kernel", 15),
        event("cuda_driver", "cuLaunchKernelEx", 16),
        event("kernel", "triton_poi_fused_0", 20),
        event("cuda_runtime", "cudaGraphLaunch", 22),
        *(event("kernel", f"triton_poi_fused_{number}", 30 + number) for number in range(5)),
        event("cuda_runtime", "cudaMemcpyAsync", 40),
        event("gpu_memcpy", "Memcpy DtoH (Device -> Pageable)", 42),
        event("cuda_runtime", "cudaStreamSynchronize", 43),
        event("cuda_runtime", "cudaMemcpy", 50),
        event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 51),
        event("cuda_runtime", "cudaEventQuery", 52),
        event("cuda_runtime", "cudaStreamIsCapturing", 53),
        event("cuda_runtime", "cudaDeviceSynchronize", 150),
    ]
    assert counting.tally(trace) == {"kernels": 9, "launches": 5, "waits": 2}
    assert counting.waits(trace) == ["cudaStreamSynchronize", "cudaMemcpy"]
    # A profiler that sees the host alone counts nothing, rather than zero.
    assert counting.tally([one for one in trace if one["cat"] == "cpu_op"]) == counting.NOT_COUNTED


def test_counts_elsewhere():
    x = torch.ones(3, 4)

    def call():
        y = (2 * x).transpose(0, 1)[1:].reshape(-1) + torch.empty(9)  # the reshape copies
        float(y.sum()), y.nonzero(), torch.zeros(3).view(3, 1)

    assert counting.count(call, CPU) == {"kernels": None, "launches": 5, "waits": 2}


def test_an_equation_on_a_device_that_works_apart():
    """As on CUDA: what waits and launches there, by the emulated device."""
    emulated = pytest.importorskip("emulated", exc_type=ImportError)
    case = Case((6, 5), 1, "float64", str(emulated.DEVICE), order=2, modes=("eager",), seconds=0.01)
    one = equation.Equation(case)
    assert one.prepare("eager")["order"] == 2
    with emulated.counted() as counts:
        found = one.measure("eager")
    assert one.m.device == emulated.DEVICE and counts.waits["synchronize"] > 10
    with emulated.counted() as counts:
        one.call("eager")
    # All that is dispatched there is seen; a copy within the device may be counted by one of both only.
    assert abs(found["launches_call"] - sum(counts.launches.values())) <= 2
    assert found["waits_step"] <= 1 and found["steps"] >= 3
    assert 0 < found["run_ms"]["least"] <= found["run_ms"]["median"] and found["memory_MB"] is None


def test_a_batch_has_fields_of_its_own():
    one = equation.Equation(Case((4, 3), 3, "float32", "cpu", modes=("eager",), seconds=0.01))
    one.prepare("eager")
    llg, values = one.modes["eager"]
    rate = llg(one.t, one.m, values)
    assert rate.shape == (3, 3, 5, 4) and rate.dtype == torch.float32
    assert not torch.equal(rate[0], rate[1]) and not torch.equal(rate[1], rate[2])


def test_too_large_is_said_before(monkeypatch):
    monkeypatch.setattr(equation, "free_memory", lambda device: 2**20)
    with pytest.raises(MemoryError, match=r"needs about 0\.\d+ GiB, 0\.000977 GiB are free"):
        equation.Equation(Case((256, 256), 1, "float64", "cpu"))


class Fake:
    """A process that answers at once, or fails."""

    def __init__(self, case):
        self.case, self.closed = case, False

    def ask(self, what, mode, left):
        if what == "prepare":
            return {"skipped": "no compiler"} if mode == "compiled" else {"first_s": 0.0}
        if self.case.cells == (1,):
            time.sleep(0.3)
        return {"call_ms": {"least": 1.0, "median": 2.0}}

    def close(self):
        self.closed = True


def test_what_is_skipped_has_a_reason():
    chosen = cases([(1,), (2,)], [4], ["float32"], device="cpu", modes=("eager", "compiled"))
    shown = []
    rows = table.measure(chosen, 1, 0.2, shown.append, Fake)
    assert rows == shown and [(row["cells"], row["mode"]) for row in rows] == [
        (cells, mode) for cells in ("1", "2", "4 of 32x8") for mode in ("eager", "compiled")
    ]
    assert "call_ms" in rows[0] and rows[1]["skipped"] == "no compiler"
    assert all(row["skipped"] == "the budget of 0.2 s is spent" for row in rows[2:])


def test_a_process_that_hangs_or_dies(monkeypatch):
    def process(code):
        real = table.subprocess.Popen
        monkeypatch.setattr(table.subprocess, "Popen", lambda command, **options: real([command[0], "-c", code], **options))
        monkeypatch.setattr(table, "START", 0.0)
        made = table.Process(Case((1,), 1, "float32", "cpu", limit=1.0))
        monkeypatch.setattr(table.subprocess, "Popen", real)
        return made

    hangs = process("import time; time.sleep(60)")
    assert hangs.ask("prepare", "eager") == {"skipped": "took more than 1 s"} == hangs.ask("measure", "eager")
    hangs.close()
    dies = process("import os, sys; sys.stdin.readline(); print('the last word', file=sys.stderr, flush=True); os._exit(3)")
    assert dies.ask("prepare", "eager") == {"skipped": "the process ended with code 3: the last word"}
    dies.close()
    killed = process("import os, sys; sys.stdin.readline(); os.kill(os.getpid(), 9)")
    assert killed.ask("prepare", "eager")["skipped"] == "the process killed, perhaps for its memory"
    killed.close()


def test_the_table(tmp_path, capsys):
    file = tmp_path / "bench.json"
    arguments = [
        "--meshes",
        "6x4",
        "--dtype",
        "float32",
        "--batches",
        "--modes",
        "eager",
        "--seconds",
        "0.01",
        "--threads",
        "1",
        "--json",
        file,
    ]
    before = torch.get_num_threads()
    try:
        assert main(["bench", *map(str, arguments)]) == 0
    finally:
        torch.set_num_threads(before)
    printed = capsys.readouterr().out
    written = json.loads(file.read_text())
    assert {"processor", "torch", "torchmag", "threads", "device"} <= written["machine"].keys()
    (row,) = written["rows"]
    assert (row["cells"], row["dtype"], row["mode"], row["order"]) == ("6x4", "float32", "eager", 6)
    for name in ("call_ms", "run_ms", "step_ms"):
        assert 0 < row[name]["least"]
    assert row["launches_step"] > 5 * row["launches_call"] > 50 and row["waits_step"] > 0 and row["memory_MB"] > 0
    assert "6x4  float32        eager" in printed.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["6x4", "--json", "x.json"], "--json belongs to the whole table, cells without --meshes to one setting"),
        (["--compile", "--meshes"], "--meshes belongs to the whole table, --compile to one setting"),
        (["--json", "nowhere/x.json"], "there is no folder nowhere"),
        (["--device", "meta"], "--device meta: "),
        (["--device", "gpu"], "--device gpu: expected a device of torch, such as cpu, cuda or cuda:1"),
    ],
)
def test_arguments_that_do_not_fit(arguments, said, capsys):
    assert main(["bench", *arguments]) == 2
    found = capsys.readouterr().err
    assert said in found and found.count("\n") == 1


# What torch says where there is no CUDA.
TOO_OLD = (
    "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver by downloading and installing a new\n"
    "version from the URL: http://www.nvidia.com/Download/index.aspx"
)
MISSING = {
    "without CUDA": (AssertionError("Torch not compiled with CUDA enabled"), "", r"this torch \(\S+\) is built without CUDA"),
    "old driver": (
        RuntimeError(TOO_OLD),
        "",
        r"driver is too old: it knows CUDA 12\.2, this torch \(\S+\) is built for 13\.0; update the driver or",
    ),
    "old driver, said before": (
        RuntimeError("No CUDA GPUs are available"),
        f"CUDA initialization: {TOO_OLD}",
        r"driver is too old: it knows CUDA 12\.2",
    ),
    "no driver": (
        RuntimeError("Found no NVIDIA driver on your system. Please check that you"),
        "",
        "this machine has no NVIDIA driver",
    ),
    "none": (RuntimeError("No CUDA GPUs are available"), "", "this machine has none"),
    "hidden": (RuntimeError("No CUDA GPUs are available"), "", "CUDA_VISIBLE_DEVICES is '', which leaves none"),
    "another": (
        RuntimeError("CUDA error: out of luck\nCompile with TORCH_USE_CUDA_DSA"),
        "",
        "CUDA error: out of luck; or use cpu",
    ),
}


@pytest.mark.parametrize(
    "command", [["bench"], ["bench", "5", "--dtype", "float32"], ["sp4", "--out", "never"]], ids=lambda words: " ".join(words)
)
@pytest.mark.parametrize("case", MISSING)
def test_no_cuda_is_one_clear_line(monkeypatch, capsys, recwarn, case, command):
    error, warning, said = MISSING[case]

    def init():
        if warning:
            torch.warnings.warn(warning)
        raise error

    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    if case == "hidden":
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    else:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert main([*command, "--device", "cuda"]) == 2
    found = capsys.readouterr()
    with pytest.raises(ValueError, match=said):
        require_device("cuda", "x")
    assert found.out == "" and found.err.count("\n") == 1 and not recwarn
    assert found.err.startswith(f"torchmag {command[0]}: --device cuda: no CUDA device: ")


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="^x: no CUDA device: this machine has 2, counted from cuda:0; or use cpu$"):
        require_device("cuda:2", "x")
    assert require_device("cpu", "x") == CPU


def test_a_gpu_that_this_torch_has_no_code_for(monkeypatch):
    def zeros(*shape, device):
        raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore")

    monkeypatch.setattr("torchmag.device.torch", types.SimpleNamespace(**{name: getattr(torch, name) for name in ("device", "version", "__version__")},
                        cuda=types.SimpleNamespace(init=lambda: None, device_count=lambda: 1, get_device_name=lambda: "Tesla K80"), zeros=zeros))  # fmt: skip
    with pytest.raises(ValueError, match=r"has no code for this GPU \(Tesla K80\)"):
        require_device("cuda", "x")
