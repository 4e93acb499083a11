"""C++ compiled once for this machine's processor and kept on disk.

The compiler is the one that torch.compile uses: the environment variable CXX, else c++.  Where there is none nothing is lost but
speed: `library` is None, and torch's own operators are used.
"""

import contextlib
import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

# What all of it may include.
HEADER = Path(__file__).with_name("registers.h")
OPTIONS = ("-std=c++17", "-O3", "-ffp-contract=fast", "-fPIC", "-shared")
# What some compilers do not know, in the order in which it is given up: OpenMP (Apple's clang), then a name of the processor.
TUNING = (("-march=native", "-fopenmp"), ("-march=native",), ("-mcpu=native",), ())

_PROCESS = os.getpid()
_log = logging.getLogger(__name__)


def is_forked() -> bool:
    """Whether this process is the child of a fork: OpenMP has lost its threads there, and would wait for them."""
    return os.getpid() != _PROCESS


@functools.cache
def library(source: Path) -> ctypes.CDLL | None:
    """The compiled code, or None: TORCHMAG_NATIVE=0 is set, there is no compiler, or it fails (logged as a warning)."""
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if os.environ.get("TORCHMAG_NATIVE") == "0" or compiler is None:
        return None
    try:
        return _load(_folder(), compiler, source)
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning(
            "%s could not be compiled, torch's own operators are used: %s",
            source.name,
            (getattr(error, "stderr", None) or str(error))[-2000:],
        )
        return None


def _folder():
    """Where compiled code is kept: TORCHMAG_CACHE, or the user's cache."""
    given = os.environ.get("TORCHMAG_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchmag"


def _load(folder, compiler, source):
    made_of = source.read_text(), HEADER.read_text(), compiler, OPTIONS, TUNING, _processor()
    key = hashlib.sha256(repr(made_of).encode()).hexdigest()[:16]
    path = folder / f"{source.stem}-{key}.so"
    if path.is_file():
        with contextlib.suppress(OSError):  # damaged
            return ctypes.CDLL(str(path))
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            made = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder))) / path.name
        except OSError:
            # Nowhere to keep it: for this process only.
            made = path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
        _compile(compiler, source, made)
        if made != path:
            with open(made, "rb+") as file:
                os.fsync(file)
            os.replace(made, path)
        return ctypes.CDLL(str(path))


def _compile(compiler, source, path):
    for tuning in TUNING:
        try:
            command = [compiler, *OPTIONS, *tuning, f"-I{HEADER.parent}", str(source), "-o", str(path)]
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
            return
        except subprocess.CalledProcessError as error:
            failure = error
    raise failure


def _processor():
    """What -march=native depends on: one home may be shared by different machines."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        return next((line for line in file if line.startswith(("flags", "Features"))), "") + platform.machine()
    return platform.processor() + platform.machine()
