"""Memory that the process keeps: what large tensors leave behind is not returned to the system and asked for again at every call.

glibc returns large blocks as soon as they are free.  A right-hand side frees as much as it computes, and the system clears every page
that it hands out: on 128 x 128 x 128 nodes in double precision that takes two thirds of the time.
"""

import ctypes
import functools
import os
import platform

# From glibc's malloc.h: parameters of mallopt.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


@functools.cache
def keep_memory() -> bool:
    """Let glibc keep what is freed, for this process and its own later use; whether it does.

    Nothing is changed where the environment says how glibc is to allocate (MALLOC_..., GLIBC_TUNABLES), or with another libc.
    """
    chosen = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if chosen or platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))


def return_memory() -> None:
    """Give the system back what is free now: what a set-up leaves behind lies between what is kept, in pieces that no call fits."""
    if keep_memory():
        ctypes.CDLL(None).malloc_trim(0)
