"""What numbers belong to: processor, device, versions."""

import os
import platform
from pathlib import Path

import torch

import torchmag
from torchmag.convolution import plans


def machine(device: str) -> dict:
    """Names and versions, for a table's head and its file."""
    found = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchmag": torchmag.__version__,
        "threads": torch.get_num_threads(),
        "device": device,
    }
    if torch.device(device).type == "cuda":
        of = torch.cuda.get_device_properties(device)
        found |= {
            "gpu": of.name,
            "gpu_memory_GB": round(of.total_memory / 1e9, 1),
            "multiprocessors": of.multi_processor_count,
            "cuda": torch.version.cuda or torch.version.hip,
        }
        return found | {"convolution": "FFT of torch"}
    own = torch.device(device).type == "cpu" and plans.available()
    return found | {"convolution": "compiled C++" if own else "FFT of torch"}


def in_a_line(found: dict) -> str:
    """The same to read."""
    where = f"{found['gpu']}, CUDA {found['cuda']}, " if "gpu" in found else ""
    load = f", load {'/'.join(map(str, found['load']))}" if found["load"] else ""
    return (
        f"{where}{found['processor']}, {found['cores']} cores{load}, {found['threads']} threads, Python {found['python']}, "
        f"torch {found['torch']}, torchmag {found['torchmag']}, {found['convolution']}"
    )


def _processor():
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
