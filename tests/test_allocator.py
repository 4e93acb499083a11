"""What large tensors leave behind is kept: measured by the pages that the system hands out."""

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
import torchmag as tm

film = tm.Magnet(tm.Mesh((512, 512), dx=(5e-9, 5e-9, 3e-9)), Ms=8e5, dtype=torch.float64)
exchange, m = tm.Exchange(film, A=1.3e-11), tm.uniform(film.mesh, (1, 1, 0)).double()
for _ in range(3):
    exchange.field(m)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    exchange.field(m)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / 10)
"""


def pages(**environment) -> float:
    """Pages that the system hands out for each evaluation of exchange on 512 x 512 cells: its result alone takes 1542."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run([sys.executable, "-c", PROGRAM], env=own | environment, capture_output=True, text=True, check=True)
    return float(run.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again():
    assert pages() < 1000
    assert pages(MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 2000, "the environment does not have its way"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_what_making_a_kernel_took_is_given_back():
    program = """
import resource
import torch
import torchmag as tm


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


body = tm.Magnet(tm.Mesh((96, 96, 96), dx=(5e-9, 5e-9, 5e-9)), Ms=8e5, dtype=torch.float32)
tm.Demag(tm.Magnet(tm.Mesh((8, 8, 8), dx=(5e-9, 5e-9, 5e-9)), Ms=8e5))
before = resident()
energy = tm.Demag(body)
print((resident() - before) / sum(buffer.nbytes for buffer in energy.buffers(recurse=False)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    # The components in space alone take more, in double precision.
    assert float(run.stdout) < 1.3
