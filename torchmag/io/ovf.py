"""OVF, the vector field format of OOMMF and mumax: values on the cells of a rectangular mesh."""

import hashlib
import os
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import OVFError
from torchmag.io.checked import reading
from torchmag.io.ovf_header import Header, read_header
from torchmag.layout import dot, to_nodes
from torchmag.mesh import Mesh

CHECK = {"binary4": 1234567.0, "binary8": 123456789012345.0}
BLOCK, TRAILER = 1 << 20, 1 << 14
SEAL = b"## torchmag sha256 "
SEALED = re.compile(rb"## torchmag sha256 ([0-9a-f]{64})\r?\n?")
FORMATS = {"text": "Text", "binary4": "Binary 4", "binary8": "Binary 8"}


@dataclass(frozen=True)
class OVF:
    """An OVF file: values on cells.

    Attributes:
        mesh: with as many axes as have more than one cell, unless `read_ovf` was told a number; without periodic axes, for which
            the format has no record.
        data: (C, *cells), float32 from binary 4 and float64 otherwise; C is 3 for a vector field and 1 for a scalar.
        title, labels, units, description: as written; a label and a unit for each component.
        t: simulation time, s, if the description tells it.
        version: 1 or 2.
        format: "text", "binary4" or "binary8".
        order: of the magnet (`Magnet.order`), if the description tells it.
    """

    mesh: Mesh
    data: Tensor
    title: str
    labels: tuple[str, ...]
    units: tuple[str, ...]
    description: tuple[str, ...]
    t: float | None
    version: int
    format: str
    order: int | None = None

    def __repr__(self):
        return (
            f"OVF({self.title!r}, {self.mesh}, data={tuple(self.data.shape)} {self.data.dtype} {'/'.join(self.labels)} in "
            f"{'/'.join(self.units)}, t={self.t}, version={self.version}, format={self.format!r}, order={self.order})"
        )

    def as_cells(self, mesh: Mesh | None = None) -> Tensor:
        """The values on the cells of a mesh of the same cells: (3, *cells); a scalar field gives (*cells), a map for a parameter.

        Raises:
            ValueError: another number or size of cells.
        """
        return self._on(mesh or self.mesh)

    def as_nodes(self, mesh: Mesh | None = None, *, normalize: bool = True) -> Tensor:
        """The mean of the cells around each node, (3, *nodes); by default made a unit vector, as an initial state needs it.

        Empty cells (0, 0, 0) do not count; a node with empty cells only gets (0, 0, 1).  The way back, `write_ovf`, averages the
        nodes of each cell: both smooth the field, over about one cell.

        Args:
            mesh: with the same cells; its periodic axes say which nodes are one.
            normalize: False keeps the mean.
        """
        mesh = mesh or self.mesh
        values = self._on(mesh)
        if values.ndim == mesh.dim:
            raise ValueError("as_nodes: a scalar field; as_cells gives it as a map")
        filled = values.ne(0).any(0, keepdim=True).to(values.dtype)
        share = to_nodes(filled, mesh)
        mean = to_nodes(values, mesh) / (share + (share == 0))
        if not normalize:
            return mean
        norm = dot(mean, mean, mesh).sqrt().unsqueeze(0)
        up = torch.zeros_like(mean)
        up[2] = 1
        return torch.where(norm > 0, mean / (norm + (norm == 0)), up)

    def _on(self, mesh):
        grids = [((*m.n, 1, 1)[:3], m.dx) for m in (self.mesh, mesh)]
        if grids[0][0] != grids[1][0] or not np.allclose(grids[0][1], grids[1][1], rtol=1e-6, atol=0):
            raise ValueError(
                f"the file has {grids[0][0]} cells of {grids[0][1]} m, the mesh has {grids[1][0]} of {grids[1][1]} m"
            )
        values = self.data.reshape(len(self.data), *mesh.cells)
        return values[0] if len(values) == 1 else values


def read_ovf(path, *, dim: int | None = None, strict: bool = True) -> OVF:
    """Read an OVF 1.0 or 2.0 file: text, binary 4 or binary 8, on a rectangular mesh.

    Args:
        path: of the file (.ovf, .omf, .ohf ...).
        dim: number of axes of the mesh; by default those with more than one cell, so that a single layer is a 2D mesh.
        strict: refuse a header whose records contradict each other; False believes base, stepsize and nodes.

    Raises:
        OVFError: anything that the format does not allow, values that are not finite, a file cut off, or one of torchmag's own that
            was changed since.
        FileNotFoundError, PermissionError.
    """
    with reading(path, OVFError), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        _check_seal(file, size)
        file.seek(0)
        header = read_header(file, strict)
        values = _data(file, header, size - file.tell())
        mesh = _mesh(header, dim)
        data = torch.from_numpy(values.reshape(*header.n[::-1], header.valuedim)).permute(3, 2, 1, 0)
        return OVF(
            mesh=mesh,
            data=data.reshape(header.valuedim, *mesh.cells).contiguous(),
            title=header.title,
            labels=header.labels,
            units=header.units,
            description=header.description,
            t=header.t,
            version=header.version,
            format=header.representation,
            order=header.order,
        )


def number_type(format, version):
    """OVF 1.0 is big-endian, 2.0 little-endian."""
    return np.dtype(("<" if version == 2 else ">") + "f" + format[-1])


def _data(file, header: Header, left: int) -> np.ndarray:
    """The numbers of the data block in the file's order, and what has to follow them."""
    form = header.representation
    if form == "text":
        if 2 * header.count - 1 > left:
            raise OVFError(f"the header announces {header.count} numbers, {left} bytes are left")
        values, rest = _text(file, header.count)
    else:
        dtype = number_type(form, header.version)
        if (header.count + 1) * dtype.itemsize > left:
            raise OVFError(f"the header announces {header.count} numbers of {dtype.itemsize} bytes, {left} bytes are left")
        check = np.frombuffer(file.read(dtype.itemsize), dtype)[0]
        if check != CHECK[form]:
            raise OVFError(
                f"the control number is {check!r}, expected {CHECK[form]!r}: another byte order, or not {FORMATS[form]}"
            )
        values = np.empty(header.count, dtype)
        file.readinto(values)
        values = values.astype(dtype.newbyteorder("="), copy=False)
        rest = file.readline(64)
        if rest.strip() and not rest.startswith(b"# End"):  # mumax3 puts no line break between them
            raise OVFError(f"{rest[:16]!r} after {header.count} numbers, expected a line break")
        rest = [rest] if rest.strip() else []
    _trailer(file, rest, form)
    if not np.isfinite(values).all():
        raise OVFError("values that are not finite")
    if header.multiplier != 1.0:
        values = values * values.dtype.type(header.multiplier)
    return values


def _text(file, count):
    """Numbers separated by white space, with comment lines, up to the line that ends the block; also the lines read beyond it."""
    values, have = np.empty(count), 0
    while lines := file.readlines(BLOCK // 16):
        end = next((i for i, line in enumerate(lines) if line.startswith(b"#") and not line.startswith(b"##")), len(lines))
        block = b"".join(line for line in lines[:end] if not line.startswith(b"##"))
        if block.translate(None, b"0123456789+-.eE \t\r\n"):
            raise OVFError("text data with something else than numbers")
        numbers = np.array(block.split(), dtype="S").astype(float)
        if have + len(numbers) > count:
            raise OVFError(f"more than the {count} numbers that the header announces")
        values[have : have + len(numbers)] = numbers
        have += len(numbers)
        if end < len(lines):
            if have < count:
                raise OVFError(f"{have} numbers, the header announces {count}")
            return values, lines[end:]
    raise OVFError("the data has no end: cut off")


def _trailer(file, lines, form):
    """End of data, end of segment, and nothing but comments after it."""
    lines = lines + file.read(TRAILER).splitlines()
    said = [
        "".join(line.decode(errors="replace").split()).lower() for line in lines if line.strip() and not line.startswith(b"##")
    ]
    said = [line for line in said if line != "#"]
    wanted = [f"#end:data{form}", "#end:segment"]
    if said != wanted or file.read(1):
        raise OVFError(f"the data is followed by {said[:3]}, expected {wanted}: cut off, or numbers miscounted")


def _mesh(header, dim):
    n = list(header.n)
    if dim is None:
        while len(n) > 1 and n[-1] == 1:
            n.pop()
    elif dim not in (1, 2, 3) or any(count != 1 for count in n[dim:]):
        raise OVFError(f"dim = {dim!r}: the file has {header.n} cells")
    else:
        n = n[:dim]
    return Mesh(tuple(n), dx=header.dx, origin=header.origin)


def _check_seal(file, size):
    """Compare with the digest that `write_ovf` puts on the last line."""
    file.seek(max(0, size - 90))
    last = file.read(90)
    start = last.rfind(SEAL)
    if start < 0 or not (found := SEALED.fullmatch(last[start:])):
        return
    file.seek(0)
    digest, left = hashlib.sha256(), size - len(last) + start
    while left > 0:
        block = file.read(min(BLOCK, left))
        digest.update(block)
        left -= len(block)
    if digest.hexdigest().encode() != found[1]:
        raise OVFError("changed since torchmag wrote it (SHA-256); delete the last line if that was meant")
