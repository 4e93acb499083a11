"""Writing OVF files."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from torchmag.io.atomic import refuse, replacing
from torchmag.io.ovf import BLOCK, CHECK, FORMATS, SEAL, number_type
from torchmag.layout import expand_to_cells, to_cells
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh

LABEL = re.compile(r"[!-z|~]{0,60}")


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
        where: the body, whose order goes into the description, or the mesh.
        format: "binary8" keeps every bit, "binary4" rounds to float32 (6e-8), "text" keeps every bit.
        version: 2, or 1, which holds vectors only.
        title, unit, labels: for the header, without line breaks; a label for each component.
        t: simulation time, s.
        overwrite: replace an existing file.

    Raises:
        FileExistsError: the file exists and `overwrite` is False.
        TypeError: values or where of another kind.
        ValueError: a shape that does not fit, a batch (one file each sample), numbers that are not finite, unknown options.
    """
    if not isinstance(values, Tensor) or not isinstance(where, Magnet | Mesh):
        found = f"{type(values).__name__}, {type(where).__name__}"
        raise TypeError(f"write_ovf: expected (path, values, where) with a Tensor and a Magnet or Mesh, got {found}")
    path = Path(path)
    refuse(path, overwrite)
    mesh = where.mesh if isinstance(where, Magnet) else where
    if format not in FORMATS or version not in (1, 2) or at not in ("nodes", "cells"):
        raise ValueError(
            f"write_ovf: format = {format!r}, version = {version!r}, at = {at!r}; expected one of {list(FORMATS)}, 1 or 2, 'nodes' or 'cells'"
        )
    cells = _cells(values, where, mesh, at, t)
    if version == 1 and len(cells) != 3:
        raise ValueError(f"write_ovf: {len(cells)} components; OVF 1.0 holds vectors only, use version=2")
    numbers = cells.reshape(len(cells), *(*mesh.n, 1, 1)[:3]).permute(3, 2, 1, 0).contiguous().numpy()
    if not np.isfinite(numbers).all():
        raise ValueError("write_ovf: values are not finite")
    if format == "binary4" and np.abs(numbers).max() > np.finfo(np.float32).max:
        raise ValueError("write_ovf: values too large for binary4; use binary8")
    head = _header_lines(mesh, numbers.shape[-1], version, title, unit, labels, t, where.order if where is not mesh else None)
    digest = hashlib.sha256()
    with replacing(path, overwrite=overwrite) as file:
        for part in _parts(head, numbers, format, version):
            digest.update(part)
            file.write(part)
        file.write(SEAL + digest.hexdigest().encode() + b"\n")
    return path


def _cells(values, where, mesh, at, t):
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
        body = expand_to_cells(where.material(values.to(where.reference), t or 0.0)["M"].detach().cpu(), mesh)
        if body.ndim != mesh.dim:
            raise ValueError(
                f"write_ovf: the magnet is a batch {tuple(body.shape)}; give its mesh, and write a file for each sample"
            )
        cells = cells * (body > 0)
    return cells


def _header_lines(mesh, valuedim, version, title, unit, labels, t, order):
    if labels is None:
        word = title if LABEL.fullmatch(title) else "value"
        labels = [f"{word}_{axis}" for axis in "xyz"] if valuedim == 3 else [word] * valuedim
    if len(labels) != valuedim or not all(LABEL.fullmatch(text) for text in (unit, *labels)):
        raise ValueError(
            f"write_ovf: unit {unit!r}, labels {list(labels)}: expected {valuedim} labels without spaces, braces and quotes"
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
    lines += [f"Desc: order of accuracy in space: {order}"] if order is not None else []
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
        dtype = number_type(format, version)
        yield np.array(CHECK[format], dtype).tobytes()
        for start in range(0, len(flat), BLOCK):
            yield flat[start : start + BLOCK].astype(dtype).tobytes()
        yield b"\n"
    yield f"# End: Data {FORMATS[format]}\n# End: Segment\n".encode()
