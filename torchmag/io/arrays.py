"""NumPy files: .npz with a mesh, and .npy, read without pickle."""

import ast
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from torchmag.errors import FileFormatError
from torchmag.io.atomic import replacing
from torchmag.io.checked import MOST_PACKED, reading
from torchmag.mesh import Mesh

MEMBER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\.npy")
MAGIC = b"\x93NUMPY"
HEADER = 10000


def write_npz(path, arrays: Mapping[str, object], mesh: Mesh | None = None, *, overwrite: bool = False) -> Path:
    """Write numbers to a compressed .npz file, whole or not at all.

    Args:
        path: of the file.
        arrays: name -> tensor, array or number.
        mesh: stored as the arrays n, dx, origin and pbc.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        ValueError: a name that is no identifier; TypeError: something else than numbers.
    """
    plain = {}
    for name, values in {**arrays, **(_of_mesh(mesh) if mesh is not None else {})}.items():
        values = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
        if not MEMBER.fullmatch(f"{name}.npy"):
            raise ValueError(f"write_npz: array {name!r}, expected a name of letters, digits and _")
        if values.dtype.kind not in "biuf":
            raise TypeError(f"write_npz: {name} is {values.dtype}, expected numbers")
        plain[name] = values
    path = Path(path)
    with (
        replacing(path, overwrite=overwrite) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, values in plain.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values).reshape(values.shape), allow_pickle=False)
    return path


def read_npz(path) -> tuple[dict[str, np.ndarray], Mesh | None]:
    """Arrays by name, and the mesh if the file has one (n, dx, origin, pbc).

    Raises:
        FileFormatError: not an .npz file, damaged, objects (pickle) in it, names that are no identifiers, more data than the file can hold.
        FileNotFoundError, PermissionError.
    """
    with reading(path, FileFormatError), zipfile.ZipFile(path) as archive:
        arrays = {}
        for info in archive.infolist():
            if not MEMBER.fullmatch(info.filename) or info.filename[:-4] in arrays:
                raise FileFormatError(f"member {info.filename[:80]!r}, expected NAME.npy, each once")
            if (
                info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
                or info.file_size > MOST_PACKED * info.compress_size
            ):
                raise FileFormatError(f"{info.filename} claims {info.file_size} bytes, packed to {info.compress_size}")
            with archive.open(info) as member:
                arrays[info.filename[:-4]] = _array(member, info.file_size, info.filename)
                if member.read(1):  # also makes zipfile compare the CRC
                    raise FileFormatError(f"{info.filename} is longer than its array")
        return arrays, _mesh(arrays)


def read_npy(path) -> np.ndarray:
    """The array of an .npy file.

    Raises:
        FileFormatError: not an .npy file, cut off, objects (pickle) in it.
        FileNotFoundError, PermissionError.
    """
    with reading(path, FileFormatError), open(path, "rb") as file:
        values = _array(file, Path(path).stat().st_size, "the array")
        if file.read(1):
            raise FileFormatError("the file is longer than its array")
        return values


def _array(file, size, name):
    """One array, whose header has to agree with the size before anything is made."""
    start = file.read(8)
    if len(start) != 8 or not start.startswith(MAGIC) or start[6] not in (1, 2, 3):
        raise FileFormatError(f"{name} is not in NumPy's format")
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(file.read(width), "little")
    if length > min(HEADER, size):
        raise FileFormatError(f"{name} has a header of {length} bytes")
    header = ast.literal_eval(file.read(length).decode("latin-1"))
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"} or not isinstance(header["descr"], str):
        raise FileFormatError(f"{name} is not a plain array")
    dtype, shape = np.dtype(header["descr"]), header["shape"]
    if dtype.kind not in "biuf" or not isinstance(shape, tuple) or not all(isinstance(n, int) and n >= 0 for n in shape):
        raise FileFormatError(f"{name} is {dtype} {shape}, expected numbers")
    wanted = math.prod(shape) * dtype.itemsize
    if wanted != size - 8 - width - length:
        raise FileFormatError(f"{name} claims {wanted} bytes, {size - 8 - width - length} are there")
    values = np.empty(math.prod(shape), dtype)
    view, have = memoryview(values).cast("B"), 0
    while have < wanted:
        part = file.read(min(1 << 20, wanted - have))
        if not part:
            raise FileFormatError(f"{name} is cut off")
        view[have : have + len(part)] = part
        have += len(part)
    values = values.astype(dtype.newbyteorder("="), copy=False)
    return values.reshape(shape, order="F" if header["fortran_order"] else "C")


def _of_mesh(mesh):
    return {"n": np.array(mesh.n), "dx": np.array(mesh.dx), "origin": np.array(mesh.origin), "pbc": np.array(mesh.pbc, float)}


def _mesh(arrays):
    if not {"n", "dx", "origin", "pbc"} <= set(arrays):
        return None
    pbc = tuple(math.inf if value == math.inf else int(value) for value in arrays["pbc"].tolist())
    return Mesh(tuple(arrays["n"].tolist()), dx=tuple(arrays["dx"].tolist()), origin=tuple(arrays["origin"].tolist()), pbc=pbc)
