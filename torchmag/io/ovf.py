"""OVF, the vector field format of OOMMF and mumax: values on the cells of a rectangular mesh."""

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.errors import OVFError
from torchmag.io.atomic import refuse, replacing
from torchmag.io.checked import reading
from torchmag.io.ovf_header import Header, read_header
from torchmag.layout import dot, expand_to_cells, to_cells, to_nodes
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh

CHECK = {"binary4": 1234567.0, "binary8": 123456789012345.0}
BLOCK = 1 << 20
SEAL = b"## torchmag sha256 "
SEALED = re.compile(rb"## torchmag sha256 ([0-9a-f]{64})\r?\n?")
FORMATS = {"text": "Text", "binary4": "Binary 4", "binary8": "Binary 8"}
LABEL = re.compile(r"[!-z|~]{0,60}")


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
        )


def write_ovf(
    path,
    values: Tensor,
    where: Magnet | Mesh,
    *,
    at: str = "nodes",
    format: str = "binary8",
    version: int = 2,
    title: str = "m",
    unit: str = "1",
    labels: Sequence[str] | None = None,
    t: float | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a field to an OVF file, whole or not at all.

    The format holds values on cells: of a nodal field each cell gets the mean of its nodes (with a Magnet, 0 outside the body), so
    that the file has the same <m>, and `OVF.as_nodes` gives a smoothed m back.  A last comment line holds the SHA-256 of the file,
    by which `read_ovf` finds any change.

    Args:
        path: of the file.
        values: with at="nodes" (3, *nodes); with at="cells" (C, *cells) or, a scalar, (*cells).
        where: the body or the mesh.
        format: "binary8" keeps every bit, "binary4" rounds to float32 (6e-8), "text" keeps every bit.
        version: 2, or 1, which holds vectors only.
        title, unit, labels: for the header, without line breaks; a label for each component.
        t: simulation time, s.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        ValueError: a shape that does not fit, a batch (one file each sample), numbers that are not finite, unknown options.
    """
    path = Path(path)
    refuse(path, overwrite)
    mesh = where.mesh if isinstance(where, Magnet) else where
    if format not in FORMATS or version not in (1, 2) or at not in ("nodes", "cells"):
        raise ValueError(
            f"write_ovf: format = {format!r}, version = {version!r}, at = {at!r}; expected one of {list(FORMATS)}, 1 or 2, 'nodes' or 'cells'"
        )
    cells = _cells(values, where, mesh, at)
    if version == 1 and len(cells) != 3:
        raise ValueError(f"write_ovf: {len(cells)} components; OVF 1.0 holds vectors only, use version=2")
    numbers = cells.reshape(len(cells), *(*mesh.n, 1, 1)[:3]).permute(3, 2, 1, 0).contiguous().numpy()
    if not np.isfinite(numbers).all():
        raise ValueError("write_ovf: values are not finite")
    if format == "binary4" and np.abs(numbers).max() > np.finfo(np.float32).max:
        raise ValueError("write_ovf: values too large for binary4; use binary8")
    head = _header_lines(mesh, numbers.shape[-1], version, title, unit, labels, t)
    digest = hashlib.sha256()
    with replacing(path, overwrite=overwrite) as file:
        for part in _parts(head, numbers, format, version):
            digest.update(part)
            file.write(part)
        file.write(SEAL + digest.hexdigest().encode() + b"\n")
    return path


def _cells(values, where, mesh, at):
    values = torch.as_tensor(values).detach().cpu()
    grid = mesh.nodes if at == "nodes" else mesh.cells
    if tuple(values.shape) == grid and at == "cells":
        values = values.unsqueeze(0)
    if values.ndim != mesh.dim + 1 or tuple(values.shape[1:]) != grid or at == "nodes" and len(values) != 3:
        batch = "; a file holds one sample: write a file for each" if values.ndim > mesh.dim + 1 else ""
        wanted = f"(3, *nodes) = {(3, *grid)}" if at == "nodes" else f"(C, *cells) = (C, {', '.join(map(str, grid))})"
        raise ValueError(f"write_ovf: values have shape {tuple(values.shape)}, expected {wanted}{batch}")
    if at == "cells":
        return values
    cells = to_cells(values, mesh)
    if isinstance(where, Magnet):
        body = expand_to_cells(where.prepare()["M"].detach().cpu(), mesh)
        if body.ndim != mesh.dim:
            raise ValueError(
                f"write_ovf: the magnet is a batch {tuple(body.shape)}; give its mesh, and write a file for each sample"
            )
        cells = cells * (body > 0)
    return cells


def _header_lines(mesh, valuedim, version, title, unit, labels, t):
    labels = (
        list(labels) if labels is not None else [f"{title}_{axis}" for axis in "xyz"] if valuedim == 3 else [title] * valuedim
    )
    if len(labels) != valuedim or not all(LABEL.fullmatch(text) for text in (unit, *labels)):
        raise ValueError(
            f"write_ovf: unit {unit!r}, labels {labels}: expected {valuedim} labels without spaces, braces and quotes"
        )
    if not title.isprintable() or "##" in title or len(title) > 1000:
        raise ValueError(f"write_ovf: title {title[:60]!r}: expected one line without '##'")
    n, dx, origin = (*mesh.n, 1, 1)[:3], mesh.dx, mesh.origin
    lines = [
        "OOMMF OVF 2.0" if version == 2 else "OOMMF: rectangular mesh v1.0",
        "Segment count: 1",
        "Begin: Segment",
        "Begin: Header",
    ]
    lines += [f"Title: {title}", "Desc: written by torchmag, cell values"]
    lines += [f"Desc: Total simulation time: {float(t)!r} s"] if t is not None else []
    lines += ["meshtype: rectangular", "meshunit: m"]
    lines += [f"{axis}base: {o + 0.5 * h!r}" for axis, o, h in zip("xyz", origin, dx)]
    lines += [f"{axis}stepsize: {h!r}" for axis, h in zip("xyz", dx)]
    lines += [f"{axis}nodes: {count}" for axis, count in zip("xyz", n)]
    lines += [f"{axis}min: {o!r}" for axis, o in zip("xyz", origin)]
    lines += [f"{axis}max: {o + count * h!r}" for axis, o, count, h in zip("xyz", origin, n, dx)]
    if version == 2:
        filled = [text or "{}" for text in labels]
        lines += [
            f"valuedim: {valuedim}",
            f"valuelabels: {' '.join(filled)}",
            f"valueunits: {' '.join([unit or '{}'] * valuedim)}",
        ]
    else:
        lines += [f"valueunit: {unit}", "valuemultiplier: 1", "ValueRangeMinMag: 0", "ValueRangeMaxMag: 0"]
    return "".join(f"# {line}\n" for line in [*lines, "End: Header"]).encode()


def _parts(head, numbers, format, version):
    """The bytes of the file, piece by piece."""
    yield head + f"# Begin: Data {FORMATS[format]}\n".encode()
    flat = numbers.reshape(-1, numbers.shape[-1])
    if format == "text":
        for start in range(0, len(flat), 4096):
            yield "".join(" ".join(map(repr, row)) + "\n" for row in flat[start : start + 4096].astype(float).tolist()).encode()
    else:
        dtype = _dtype(format, version)
        yield np.array(CHECK[format], dtype).tobytes()
        for start in range(0, len(flat), BLOCK):
            yield flat[start : start + BLOCK].astype(dtype).tobytes()
        yield b"\n"
    yield f"# End: Data {FORMATS[format]}\n# End: Segment\n".encode()


def _dtype(format, version):
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
        dtype = _dtype(form, header.version)
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
        rest = file.readline(16)
        if rest.strip():
            raise OVFError(f"{rest!r} after {header.count} numbers, expected a line break")
        rest = []
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
    lines = lines + file.read(BLOCK).splitlines()
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
