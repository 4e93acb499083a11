"""Whether what is made now takes up a checkpoint: said once by the command line, for all that a script makes."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from torchmag.checkpoint import file

HOW = "go on from it with resume=True (torchmag run --resume)"
_RESUME: ContextVar[bool] = ContextVar("torchmag_resume", default=False)


@contextlib.contextmanager
def resuming(resume: bool) -> Iterator[None]:
    """Inside, `resume=None` means this."""
    token = _RESUME.set(bool(resume))
    try:
        yield
    finally:
        _RESUME.reset(token)


def take_up(path, resume: bool | None, title: str):
    """The newest checkpoint at a path if it is to be taken up; None where there is none yet.

    Raises:
        FileExistsError: there is one and it is not to be taken up.
        CheckpointError: none that can be read.
    """
    path, resume = Path(path), _RESUME.get() if resume is None else resume
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{title}: there is no folder {path.parent}; make it first")
    if not file.exists(path):
        return None
    if not resume:
        raise FileExistsError(f"{title}: there is a checkpoint {path}; {HOW}, or choose another place")
    return file.load_newest(path)
