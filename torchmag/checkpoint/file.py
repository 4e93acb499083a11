"""Checkpoint files: a tree of tensors and numbers, whole or not at all.

Layout, little-endian: MAGIC; length of the header (8 bytes); the header in JSON, with the tree, in which tensors stand as their
number, and each tensor's dtype, shape, order of axes in memory, offset and bytes; the tensors' bytes, each at a multiple of 64;
the SHA-256 of all that.  Nothing in a file is executed, there is no pickle.
"""

import contextlib
import hashlib
import json
import math
import os
import struct
import sys
import warnings
from pathlib import Path

import torch

from torchmag.checkpoint.tree import decode, describe, encode, from_bytes, to_bytes
from torchmag.errors import CheckpointError

MAGIC = b"torchmag checkpoint 1\n"
LENGTH = struct.Struct("<Q")
DIGEST = hashlib.sha256().digest_size


def save(path, content, *, keep: bool = True) -> Path:
    """Write a checkpoint, so that `load_newest` finds a valid one whatever happens meanwhile.

    It is written beside `path`, synchronised with the disk, and takes the place of `path`, which is kept as `previous(path)`.

    Args:
        path: of the file; its folder must exist.
        content: dicts, lists and tuples of tensors, NumPy arrays, numbers, strings, bytes and None.
        keep: the one before.

    Raises:
        TypeError: something else in the content, by where it stands.
        OSError: the disk is full or fails; what was there before is untouched.
    """
    if sys.byteorder != "little":
        raise OSError("checkpoints are written on little-endian machines only")
    path = Path(path)
    tree, tensors = encode(content)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            _write(file, tree, tensors)
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            os.replace(path, previous(path))
        os.replace(partial, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"the checkpoint was not written ({error.strerror}); the one before is kept", str(path)
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return path


def load(path):
    """What was saved; tensors on the CPU, in the same order in memory.

    Raises:
        CheckpointError: no checkpoint of torchmag, cut off, or changed since it was written.
        FileNotFoundError, PermissionError.
    """
    path = Path(path)
    data = path.read_bytes()
    start = len(MAGIC) + LENGTH.size
    if not data.startswith(MAGIC):
        known = data.startswith(MAGIC[:-2])
        what = "was written by a newer torchmag" if known else "is not a checkpoint of torchmag"
        raise CheckpointError(f"{path}: {what if data else 'is empty'}, expected {MAGIC.decode().strip()!r}")
    if len(data) < start + DIGEST or hashlib.sha256(memoryview(data)[:-DIGEST]).digest() != data[-DIGEST:]:
        raise CheckpointError(f"{path}: cut off or changed since it was written (its SHA-256 is not that of its content)")
    try:
        (length,) = LENGTH.unpack_from(data, len(MAGIC))
        header = json.loads(data[start : start + length])
        tensors = [from_bytes(memoryview(data)[start + length : -DIGEST], entry) for entry in header["tensors"]]
        return decode(header["tree"], tensors)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RuntimeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its content makes no sense ({type(error).__name__}: {error})") from error


def load_newest(path):
    """The newest valid checkpoint: that at `path`, or the previous one, with a warning, where it cannot be read.

    One that cannot be read is set aside as NAME.bad, and what killed writers left is removed.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: none can be read.
    """
    path, failures = Path(path), []
    for left in path.parent.glob(f"{path.name}.*.part"):
        left.unlink(missing_ok=True)
    for candidate in (path, previous(path)):
        try:
            found = load(candidate)
        except FileNotFoundError:
            continue
        except CheckpointError as error:
            failures.append((candidate, error))
            continue
        for bad, error in failures:
            warnings.warn(f"{error}; going on from the one before, {candidate.name}", RuntimeWarning, stacklevel=2)
            os.replace(bad, bad.with_name(f"{bad.name}.bad"))
        return found
    if failures:
        raise failures[0][1]
    raise FileNotFoundError(f"there is no checkpoint {path}")


def exists(path) -> bool:
    """Whether there is a checkpoint at `path`, or a previous one."""
    return Path(path).exists() or previous(path).exists()


def previous(path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    path = Path(path)
    return path.with_name(f"{path.name}.previous")


def _write(file, tree, tensors):
    entries, offset = [], 0
    for tensor in tensors:
        entry, size = describe(tensor), tensor.numel() * tensor.element_size()
        entries.append(entry | {"offset": offset, "bytes": size})
        offset += 64 * math.ceil(size / 64)
    header = json.dumps({"tree": tree, "tensors": entries, "torch": torch.__version__}, separators=(",", ":")).encode()
    # Offsets count from the end of the header, which is padded to a multiple of 64.
    header += b" " * (-(len(MAGIC) + LENGTH.size + len(header)) % 64)
    digest = hashlib.sha256()

    def put(data):
        digest.update(data)
        file.write(data)

    put(MAGIC + LENGTH.pack(len(header)) + header)
    for tensor, entry in zip(tensors, entries):
        put(to_bytes(tensor))
        put(b"\0" * (-entry["bytes"] % 64))
    file.write(digest.digest())


def _sync_folder(folder):
    """The names in a folder to the disk, where the system can."""
    with contextlib.suppress(OSError, AttributeError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
