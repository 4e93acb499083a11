"""Where the numbers live that an equation takes along with a field, and how its device works.

Times, step sizes, weights and flags that reach an operator together with m live where m does.  A number of the host becomes a tensor
there by `torch.full`, which copies nothing: a copy makes the host wait for the device, and keeps compiled steps from being replayed.
"""

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
