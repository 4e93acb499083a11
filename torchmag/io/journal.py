"""A file of which every state on the disk is whole: changes are journaled and made all at once."""

import io
import os
import struct
import zlib
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no second writer is kept out
    fcntl = None

MAGIC = b"torchmag journal 1\n"
RECORD = struct.Struct("<QQ")  # offset, length
HEAD = struct.Struct("<QQI")  # size of the file afterwards, bytes of records, their CRC32


def journal_path(path) -> Path:
    """Where the journal of a file lies: beside it."""
    path = Path(path)
    return path.with_name(f"{path.name}.journal")


def pending(path) -> tuple[int, list[tuple[int, bytes]]] | None:
    """The changes that a killed writer had decided on and may not have made: (size afterwards, [(offset, bytes)]).

    None if there is no journal, or one that was not finished: then nothing of the file was touched.
    """
    try:
        content = journal_path(path).read_bytes()
    except FileNotFoundError:
        return None
    start = len(MAGIC) + HEAD.size
    if len(content) < start or not content.startswith(MAGIC):
        return None
    size, length, checksum = HEAD.unpack_from(content, len(MAGIC))
    records = content[start : start + length]
    if len(records) != length or zlib.crc32(records) != checksum:
        return None
    changes, at = [], 0
    while at < length:
        offset, count = RECORD.unpack_from(records, at)
        at += RECORD.size
        changes.append((offset, records[at : at + count]))
        at += count
    return size, changes


class JournaledFile(io.RawIOBase):
    """A file object for h5py whose writes reach the disk in `commit`, all of them or none.

    What is appended goes to the end of the file first, where no reader looks; what changes in place goes to a journal,
    is synchronised, then made.  A process killed at any point leaves the state before or after the commit: the one on
    the disk, or the one that `pending` restores.  Other programs may open the file meanwhile.

    Args:
        path: of the file.
        mode: "w" starts an empty file, "a" takes up an existing one, "r" reads one with what is pending in its journal.
        sync: wait for the disk at every commit; False survives a killed process but not a power failure.

    Raises:
        BlockingIOError: another process writes this file.
    """

    def __init__(self, path, mode: str = "w", *, sync: bool = True):
        super().__init__()
        self.path, self.sync, self._mode = Path(path), sync, mode
        self._position, self._writes, self._dead, self._journal = 0, [], False, None
        if mode != "r":
            self._journal = _lock(journal_path(path))
        flags = {"w": os.O_RDWR | os.O_CREAT | os.O_EXCL, "a": os.O_RDWR, "r": os.O_RDONLY}[mode] | getattr(os, "O_BINARY", 0)
        try:
            if mode == "w":
                # Not into the old file: a program that shows it keeps it, and a link is not followed.
                self.path.unlink(missing_ok=True)
            self._file = os.open(self.path, flags, 0o666)
        except OSError:
            self._release()
            raise
        self._committed = self._size = os.fstat(self._file).st_size
        left = None if mode == "w" else pending(path)
        if left is not None:
            self._size, self._writes = left
            if mode == "a":
                self._apply(self._writes)
        if mode != "r":
            os.ftruncate(self._journal, 0)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return self._mode != "r"

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer) -> int:
        view = memoryview(buffer).cast("B")
        start, count = self._position, max(min(len(view), self._size - self._position), 0)
        view[:count] = bytes(count)
        have = _read(self._file, min(count, max(self._committed - start, 0)), start)
        view[: len(have)] = have
        for offset, data in self._writes:
            low, high = max(offset, start), min(offset + len(data), start + count)
            if low < high:
                view[low - start : high - start] = data[low - offset : high - offset]
        self._position += count
        return count

    def write(self, data) -> int:
        data = bytes(data)
        if not self._dead:
            self._writes.append((self._position, data))
        self._position += len(data)
        self._size = max(self._size, self._position)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self._size = self._position if size is None else size
        self._writes = [(at, data[: self._size - at]) for at, data in self._writes if at < self._size]
        return self._size

    def flush(self):
        pass

    def commit(self):
        """Make every write since the last commit durable, all or none.

        Raises:
            OSError: the disk is full, or fails; the file keeps its last committed state and takes no more writes.
        """
        if self._dead or not self._writes and self._size == self._committed:
            return
        try:
            self._commit()
        except OSError:
            self.abandon()
            raise

    def abandon(self):
        """Forget what is not committed, and take no more."""
        self._dead, self._writes = True, []

    def close(self):
        if not self.closed:
            os.close(self._file)
            self._release()
        super().close()

    def _commit(self):
        tail, changes = [], []
        for offset, data in self._writes:
            cut = max(min(self._committed - offset, len(data)), 0)
            if cut:
                changes.append((offset, data[:cut]))
            if cut < len(data):
                tail.append((offset + cut, data[cut:]))
        for offset, data in tail:
            _write(self._file, data, offset)
        if self.sync and tail:
            os.fsync(self._file)
        if changes:
            records = b"".join(RECORD.pack(offset, len(data)) + data for offset, data in changes)
            head = HEAD.pack(self._size, len(records), zlib.crc32(records))
            _write(self._journal, MAGIC + head + records, 0)
            if self.sync:
                os.fsync(self._journal)
        self._apply(changes)
        if changes:
            os.ftruncate(self._journal, 0)

    def _apply(self, changes):
        for offset, data in changes:
            _write(self._file, data, offset)
        os.ftruncate(self._file, self._size)
        if self.sync:
            os.fsync(self._file)
        self._committed, self._writes = self._size, []

    def _release(self):
        if self._journal is not None:
            # An abandoned commit may have left its journal in force.
            if not self._dead or os.fstat(self._journal).st_size == 0:
                journal_path(self.path).unlink(missing_ok=True)
            os.close(self._journal)
            self._journal = None


def _lock(path):
    """The journal, opened and kept from other writers."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise BlockingIOError(f"{path} is locked: another process is writing this file") from None
    return file


def _read(file, count, offset):
    parts = []
    os.lseek(file, offset, os.SEEK_SET)
    while count:
        part = os.read(file, count)
        if not part:
            break
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _write(file, data, offset):
    data = memoryview(data)
    os.lseek(file, offset, os.SEEK_SET)
    while data:
        data = data[os.write(file, data) :]
