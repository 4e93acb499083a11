"""mumax3's own field format "dump": little-endian words of 8 bytes, then float32 with x fastest."""

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

MAGIC = b"#dump002"
LARGEST = 2**28


def read_dump(path: Path) -> Tensor:
    """The numbers of a file: (C, nx, ny, nz), float64.

    Raises:
        ValueError: cut off, or of sizes that cannot be.
    """
    with path.open("rb") as file:
        head = file.read(112)
        if len(head) < 112 or head[:8] != MAGIC:
            raise ValueError(f"{path.name}: no dump of mumax3")
        components, nz, ny, nx = struct.unpack("<4Q", head[8:40])
        count = components * nx * ny * nz
        if not 0 < count <= LARGEST or struct.unpack("<Q", head[104:112])[0] != 4:
            raise ValueError(f"{path.name}: {components} x {nx} x {ny} x {nz} numbers, or not of 4 bytes")
        data = file.read(4 * count)
        if len(data) < 4 * count:
            raise ValueError(f"{path.name}: cut off")
    numbers = np.frombuffer(data, "<f4").reshape(components, nz, ny, nx).astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(numbers.transpose(0, 3, 2, 1)))


def write_dump(path: Path, values: Tensor, size: tuple[float, ...], name: str, unit: str, t: float) -> None:
    """Write (C, nx, ny, nz); the check sum is left at 0, "not given"."""
    components, nx, ny, nz = values.shape
    word = lambda text: text.encode()[:8].ljust(8, b"\0")
    head = MAGIC + struct.pack("<4Q3d", components, nz, ny, nx, *reversed(size)) + word("m")
    head += struct.pack("<d", t) + word("s") + word(name) + word(unit) + struct.pack("<Q", 4)
    numbers = values.permute(0, 3, 2, 1).contiguous().numpy().astype("<f4")
    path.write_bytes(head + numbers.tobytes() + bytes(8))
