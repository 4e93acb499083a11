"""Files that appear whole or not at all."""

import os
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path, *, overwrite: bool = False):
    """A binary file to write to, which takes the place of `path` when the block ends without an error.

    Raises:
        FileExistsError: the file exists and `overwrite` is False; then the block does not run.
    """
    with whole(path, overwrite=overwrite) as partial, open(partial, "xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def whole(path, *, overwrite: bool = False):
    """A path to write to, for writers that open their file themselves; else as `replacing`."""
    path = Path(path)
    refuse(path, overwrite)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield partial
        if overwrite:
            os.replace(partial, path)
        else:
            _move_new(partial, path)
        _sync_folder(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def refuse(path: Path, overwrite: bool):
    """No silent overwrite."""
    if os.path.lexists(path) and not overwrite:
        raise FileExistsError(f"{path} exists; pass overwrite=True or choose another name")


def _move_new(partial, path):
    """Rename unless the name was taken meanwhile."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise FileExistsError(f"{path} exists; pass overwrite=True or choose another name") from None
    except OSError:  # a file system without hard links
        os.replace(partial, path)


def _sync_folder(folder):
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
