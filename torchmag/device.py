"""Where the numbers live that an equation takes along with a field, and how its device works.

Times, step sizes, weights and flags that reach an operator together with m live where m does.  A number of the host becomes a tensor
there by `torch.full`, which copies nothing: a copy makes the host wait for the device, and keeps compiled steps from being replayed.
"""

import os
import re
import warnings

import torch
from torch import Tensor


def instant(t: float | Tensor, m: Tensor) -> Tensor:
    """A time or a step size in s, one or (*samples), as a float64 tensor where m lives."""
    if isinstance(t, Tensor) and (t.device == m.device or t.ndim or t.device.type != "cpu" or torch.compiler.is_compiling()):
        return t.to(m.device, torch.float64)
    # torch.full: as_tensor of a number makes torch.compile specialise on its value.
    return torch.full((), float(t) if isinstance(t, Tensor) else t, dtype=torch.float64, device=m.device)


def runs_apart(x: Tensor) -> bool:
    """Whether the device works on while the host goes on, so that the host had better not ask it often."""
    return x.device.type not in ("cpu", "meta")


def counts_calls(x: Tensor) -> bool:
    """Whether the calls of operators are what takes the time: as few as can be, then, where else numbers count."""
    return runs_apart(x) and not torch.compiler.is_compiling()


def free_memory(device: torch.device) -> int | None:
    """Bytes that a CUDA device has left, with what torch keeps for itself; None of any other."""
    if device.type != "cuda":
        return None
    return torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def require_memory(needed: int, device: torch.device, what: str) -> None:
    """Raise a MemoryError before memory is asked for that a device does not have."""
    free = free_memory(device)
    if free is not None and needed > free:
        raise MemoryError(
            f"{what} needs {needed / 2**30:.3g} GiB on {device}, where {free / 2**30:.3g} GiB are free; take fewer cells or float32, or free "
            f"memory there (del, torch.cuda.empty_cache())"
        )


def is_replayed(x: Tensor) -> bool:
    """Whether compiled steps may be CUDA graphs, each replay of which writes where the one before did."""
    return x.is_cuda


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all that it was given; nothing to do on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type != "cpu":
        torch.get_device_module(device).synchronize()


def require_device(name: str, what: str) -> torch.device:
    """The device of this name, once a number has been computed there; else a ValueError of one line, begun with `what`, that says what is missing."""
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{what}: expected a device of torch, such as cpu, cuda or cuda:1") from None
    said = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            if device.type == "cuda":
                torch.cuda.init()
                if (device.index or 0) >= torch.cuda.device_count():
                    raise RuntimeError(f"this machine has {torch.cuda.device_count()}, counted from cuda:0")
            torch.zeros(1, device=device).add_(1).item()
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            said = [str(error), *(str(warning.message) for warning in heard)]
    if not said:
        return device
    kind = "CUDA device" if device.type == "cuda" else f"device {device}"
    raise ValueError(f"{what}: no {kind}: {_reason(said)}; or use cpu")


def _reason(said):
    """Why there is no device, in one line, from what torch said; its own words where nothing better is known."""
    everything, ours = " ".join(said), f"this torch ({torch.__version__})"
    if "not compiled with CUDA" in everything:
        return f"{ours} is built without CUDA; install one that is built with it (pytorch.org)"
    if "too old" in everything:
        found = re.search(r"found version (\d+)", everything)
        known = f"it knows CUDA {int(found[1]) // 1000}.{int(found[1]) % 1000 // 10}" if found else "its CUDA is older"
        return f"the NVIDIA driver is too old: {known}, {ours} is built for {torch.version.cuda}; update the driver or install a torch for an older CUDA"
    if "no NVIDIA driver" in everything:
        return "this machine has no NVIDIA driver"
    if "No CUDA GPUs" in everything:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return "this machine has none" if hidden is None else f"CUDA_VISIBLE_DEVICES is {hidden!r}, which leaves none"
    if "no kernel image" in everything:
        return f"{ours} has no code for this GPU ({torch.cuda.get_device_name()}); install one that is built for it"
    return said[0].splitlines()[0]
