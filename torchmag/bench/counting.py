"""Launches and waits of a call.

On CUDA they are read from the trace of torch.profiler: `kernels` are the kernels, copies and fills that the device executed; `launches` the
calls by which the host started them, of which a CUDA graph is one; `waits` the calls in which the host waited for the device (cudaStreamSynchronize,
cudaDeviceSynchronize, cudaEventSynchronize, and copies that wait by themselves).  Everywhere else `launches` are the operators of torch that
compute (views and memory without numbers are free), which compiled code and C++ of our own do not show, and `waits` the operators by which the host
asks for a number or a size.
"""

import contextlib
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils._python_dispatch import TorchDispatchMode

HOW = {
    "cuda": "kernels: executed by the device; launches: calls of the host that start work, a CUDA graph is one; waits: synchronising calls of the host (torch.profiler)",
    "other": "launches: operators of torch that compute, without compiled code and torchmag's C++; waits: operators by which the host asks for a number or a size",
}
_ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_RUNTIME = ("cuda_runtime", "cuda_driver")
# By the beginning of the name: cudaLaunchKernel, cudaLaunchKernelExC, cuLaunchKernel, cuLaunchKernelEx, cudaGraphLaunch.
_STARTS = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cuGraphLaunch", "cudaMemcpy", "cuMemcpy", "cudaMemset", "cuMemset")
_SYNCHRONISES = (
    "cudaStreamSynchronize",
    "cudaDeviceSynchronize",
    "cudaEventSynchronize",
    "cuStreamSynchronize",
    "cuCtxSynchronize",
    "cuEventSynchronize",
)
_ASKS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim", "unique_consecutive"}
_FREE = {
    "_unsafe_view",
    "empty",
    "empty_strided",
    "empty_like",
    "new_empty",
    "new_empty_strided",
    "lift_fresh",
    "detach",
    "_reshape_alias",
}
NOT_COUNTED = {"kernels": None, "launches": None, "waits": None}
_LABEL = "torchmag counted"


def count(call: Callable[[], object], device: torch.device) -> dict[str, int | None]:
    """What a call launches and waits for: {"kernels", "launches", "waits"}, None where it cannot be told."""
    if device.type == "cuda":
        with traced(device) as events:
            call()
        return tally(events)
    with Dispatched() as dispatched:
        call()
    return {"kernels": None, "launches": sum(dispatched.launches.values()), "waits": sum(dispatched.waits.values())}


def tally(events: list[dict]) -> dict[str, int | None]:
    """Kernels, launches and waits in the events of a trace on CUDA."""
    kernels = sum(event.get("cat") in _ON_DEVICE for event in events)
    calls = _calls(events)
    if not kernels:
        # Without rights to the counters, or without CUPTI, the profiler sees the host alone.
        return dict(NOT_COUNTED)
    return {"kernels": kernels, "launches": sum(name.startswith(_STARTS) for name in calls), "waits": len(waits(events))}


def waits(events: list[dict]) -> list[str]:
    """The calls in which the host waited for the device."""
    # Copies without "Async" return when they are done.
    return [name for name in _calls(events) if name.startswith(_SYNCHRONISES) or ("Memcpy" in name and "Async" not in name)]


def _calls(events):
    """The calls of the CUDA runtime and driver within the labelled range: the profiler itself waits for the device at its end."""
    label = next((event for event in events if event.get("name") == _LABEL and event.get("cat") == "user_annotation"), None)
    if label is None:
        return []
    begin, end = label["ts"], label["ts"] + label["dur"]
    return [event["name"] for event in events if event.get("cat") in _RUNTIME and begin <= event["ts"] <= end]


@contextlib.contextmanager
def traced(device: torch.device) -> Iterator[list[dict]]:
    """The events on CUDA of what is done in this block, as torch.profiler writes them; they are there when it has ended."""
    events: list[dict] = []
    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        with record_function(_LABEL):
            yield events
        torch.cuda.synchronize(device)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        found.export_chrome_trace(str(path))
        events += [event for event in json.loads(path.read_text())["traceEvents"] if event.get("ph") == "X"]


class Dispatched(TorchDispatchMode):
    """Counts the operators that reach a device, by name: those that compute, and those by which the host asks for a number or a size."""

    def __init__(self):
        super().__init__()
        self.launches, self.waits = Counter(), Counter()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        name = operator.overloadpacket.__name__
        views = any(one.alias_info is not None and not one.alias_info.is_write for one in operator._schema.returns)
        if name in _ASKS:
            self.waits[name] += 1
        elif not views and name not in _FREE:
            self.launches[name] += 1
        return operator(*args, **(kwargs or {}))
