"""The commands `torchmag convert`, `torchmag info` and `torchmag plot`."""

import math
import sys
from pathlib import Path

SUFFIXES = {
    ".vtkhdf": "trajectory",
    ".h5": "trajectory",
    ".hdf5": "trajectory",
    ".hdf": "trajectory",
    ".ovf": "ovf",
    ".omf": "ovf",
}
SUFFIXES |= {".npz": "npz", ".csv": "table", "": "series"}


def add_commands(commands):
    """Add the three commands to the parser's subcommands."""
    convert = commands.add_parser(
        "convert",
        help="trajectories, OVF, npz and tables into each other",
        description="IN: a trajectory, an OVF or an npz file. OUT by its suffix: .vtkhdf, .h5 (trajectory), .ovf, .omf (one frame), .npz, "
        ".csv (table of averages); a name without suffix is a folder, which gets an OVF file for each frame.",
    )
    convert.add_argument("source", type=Path, metavar="IN")
    convert.add_argument("target", type=Path, metavar="OUT")
    convert.add_argument("--frame", type=int, default=-1, help="of IN, where OUT holds one (default the last)")
    convert.add_argument("--format", choices=("text", "binary4", "binary8"), default="binary8", help="of OVF (default binary8)")
    convert.add_argument("--ovf-version", type=int, choices=(1, 2), default=2)
    convert.add_argument("--force", action="store_true", help="replace existing files")
    convert.set_defaults(run=_run_convert)
    info = commands.add_parser("info", help="what a file holds")
    info.add_argument("file", type=Path, metavar="FILE")
    info.add_argument("--verify", action="store_true", help="read every frame and compare its digest")
    info.set_defaults(run=_run_info)
    plot = commands.add_parser("plot", help="a picture of a field, or of averages over time")
    plot.add_argument("file", type=Path, metavar="FILE")
    plot.add_argument("-o", "--out", type=Path, metavar="PNG", help="default: the name of FILE with .png")
    plot.add_argument("--frame", type=int, default=-1, help="of a trajectory (default the last)")
    plot.add_argument("--averages", action="store_true", help="of a trajectory: mean m over time")
    plot.add_argument("--force", action="store_true", help="replace an existing picture")
    plot.set_defaults(run=_run_plot)


def _run_convert(options):
    target = options.target
    suffix = target.suffix.lower() if not target.is_dir() else ""
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{target}: unknown suffix, expected one of {', '.join(filter(None, SUFFIXES))}, or a folder without one"
        )
    if target.exists() and options.source.exists() and target.samefile(options.source):
        raise ValueError(f"{target}: IN and OUT are the same file")
    source = _open(options.source)
    try:
        {"trajectory": _to_trajectory, "ovf": _to_ovf, "npz": _to_npz, "table": _to_table, "series": _to_series}[
            SUFFIXES[suffix]
        ](source, target, options)
    finally:
        source.close()
    print(target)
    return 0


class _Frames:
    """The frames of a file of any kind: times, nodal or cell values, the body."""

    def __init__(self, path, mesh, frames, times, at, Ms=None, fraction=None, scalars=None, units=None, close=lambda: None):
        self.path, self.mesh, self.frames, self.times, self.at = path, mesh, frames, times, at
        self.Ms, self.fraction, self.scalars, self.units, self.close = Ms, fraction, scalars or {}, units or {}, close

    def frame(self, index):
        if not -len(self.times) <= index < len(self.times):
            raise ValueError(f"{self.path}: no frame {index}, it has {len(self.times)}")
        return range(len(self.times))[index]

    def nodes(self, index):
        """(3, *nodes) of a frame; of cells, their means as unit vectors."""
        if self.at == "nodes":
            return self.frames[index]
        return self.frames[index].as_nodes()

    def body(self):
        """The Magnet; without Ms in the file, one that fills the mesh, or the cells that are not empty."""
        import torchmag as tm

        Ms = self.Ms if self.Ms is not None else 1.0
        if self.at == "cells":
            data = self.frames[0].data
            return tm.Magnet(self.mesh, Ms, fraction=data.ne(0).any(0).to(data.dtype), dtype=data.dtype)
        return tm.Magnet(self.mesh, Ms, fraction=self.fraction, dtype=self.frames[0].dtype if len(self.times) else None)


def _open(path):
    """Any file with fields as `_Frames`."""
    from torchmag import io

    kind = io.kind_of(path)
    if kind == "trajectory":
        found = io.Trajectory.open(path)
        return _Frames(
            path, found.mesh, found, found.times, "nodes", found.Ms, found.fraction, found.scalars, found.units, found.close
        )
    if kind == "ovf":
        read = io.read_ovf(path)
        return _Frames(path, read.mesh, [read], [read.t if read.t is not None else 0.0], "cells")
    if kind == "npz":
        return _open_npz(path)
    raise ValueError(f"{path}: a {kind} file holds no field with a mesh; expected a trajectory, an OVF or an npz file")


def _open_npz(path):
    import torch

    from torchmag import io

    arrays, mesh = io.read_npz(path)
    if mesh is None or "m" not in arrays:
        raise ValueError(f"{path}: expected the arrays m, n, dx, origin and pbc; it has {sorted(arrays)}")
    m = torch.from_numpy(arrays["m"])
    m = m if m.is_floating_point() else m.double()
    frames = m.unsqueeze(0) if m.ndim == mesh.dim + 1 else m
    if tuple(frames.shape[1:]) != (3, *mesh.nodes):
        raise ValueError(f"{path}: m has shape {tuple(m.shape)}, expected (3, *nodes) = {(3, *mesh.nodes)}, with times in front")
    times = torch.from_numpy(arrays["t"]).double().reshape(-1) if "t" in arrays else torch.arange(len(frames)).double()
    if len(times) != len(frames):
        raise ValueError(f"{path}: {len(times)} times for {len(frames)} frames")
    maps = {name: torch.from_numpy(arrays[name]).to(m.dtype) for name in ("Ms", "fraction") if name in arrays}
    return _Frames(path, mesh, frames, times, "nodes", **maps)


def _to_trajectory(source, target, options):
    from torchmag import io

    where = source.body() if source.Ms is not None else source.mesh
    dtype = source.nodes(0).dtype if len(source.times) else None
    with io.Trajectory(target, where, scalars=source.units, dtype=dtype, overwrite=options.force, sync=False) as made:
        for i, t in enumerate(source.times):
            made.append(t, source.nodes(i), **{name: values[i] for name, values in source.scalars.items()})


def _to_ovf(source, target, options):
    from torchmag import io

    index = source.frame(options.frame)
    chosen = {"format": options.format, "version": options.ovf_version, "overwrite": options.force}
    if source.at == "cells":
        # From file to file the cells stay what they are.
        read = source.frames[index]
        units = set(read.units)
        labels = read.labels if all(map(_plain, read.labels)) and options.ovf_version == 2 else None
        unit = next(iter(units)) if len(units) == 1 and _plain(*units) else ""
        title = read.title if read.title.isprintable() and "##" not in read.title else "field"
        io.write_ovf(target, read.data, read.mesh, at="cells", title=title, unit=unit, labels=labels, t=read.t, **chosen)
    else:
        where = source.body() if source.Ms is not None else source.mesh
        io.write_ovf(target, source.frames[index], where, t=float(source.times[index]), **chosen)


def _to_series(source, target, options):
    from torchmag import io

    if source.at == "cells":
        raise ValueError(f"{source.path}: one field; choose a name that ends with .ovf")
    names = [io.file_name(target, f"m{i:06d}.ovf") for i in range(len(source.times))]
    existing = [name for name in (*names, target / "frames.csv") if name.exists()]
    if existing and not options.force:
        raise FileExistsError(f"{existing[0]} exists; use --force or choose another folder")
    target.mkdir(parents=True, exist_ok=True)
    where = source.body() if source.Ms is not None else source.mesh
    with io.Table(target / "frames.csv", {"frame": "", "t": "s"}, overwrite=options.force) as table:
        for i, (name, t) in enumerate(zip(names, source.times)):
            chosen = {"format": options.format, "version": options.ovf_version, "overwrite": options.force}
            io.write_ovf(name, source.frames[i], where, t=float(t), **chosen)
            table.append(frame=i, t=t)


def _to_npz(source, target, options):
    import torch

    from torchmag import io

    if source.at == "cells":
        read = source.frames[0]
        arrays = {"cells": read.data} | ({"t": read.t} if read.t is not None else {})
    else:
        arrays = {"m": source.frames[:], "t": torch.as_tensor(source.times), **source.scalars}
    arrays |= {name: getattr(source, name) for name in ("Ms", "fraction") if getattr(source, name) is not None}
    io.write_npz(target, arrays, source.mesh, overwrite=options.force)


def _to_table(source, target, options):
    import torchmag as tm

    film = source.body()
    units = {"t": "s", "mx": "", "my": "", "mz": ""} | {
        name: unit for name, unit in source.units.items() if name not in ("mx", "my", "mz")
    }
    with tm.io.Table(target, units, overwrite=options.force) as table:
        for i, t in enumerate(source.times):
            mean = tm.average(source.nodes(i), film, weight="Ms").tolist()
            row = {name: values[i] for name, values in source.scalars.items() if name in units}
            table.append(**row | dict(t=t) | dict(zip(("mx", "my", "mz"), mean)))


def _run_info(options):
    from torchmag import io

    kind = io.kind_of(options.file)
    lines = {"trajectory": _trajectory_info, "ovf": _ovf_info, "npz": _npz_info, "npy": _npy_info, "table": _table_info}[kind](
        options
    )
    for name, value in lines:
        print(f"{name + ':':<12} {_shown(value)}")
    return 0


def _trajectory_info(options):
    from torchmag import io

    with io.Trajectory.open(options.file) as found:
        yield "trajectory", f"{len(found)} frames, {found.dtype}, every time and scalar verified"
        yield from _mesh_info(found.mesh)
        if len(found):
            yield "t", f"{found.times[0]:g} to {found.times[-1]:g} s"
        for name, values in found.scalars.items():
            yield name, (f"{values.min():g} to {values.max():g} {found.units[name]}" if len(found) else found.units[name])
        if found.Ms is not None:
            yield "Ms", f"{found.Ms.min():g} to {found.Ms.max():g} A/m"
        if options.verify:
            for index in range(len(found)):
                found[index]
            yield "verified", f"{len(found)} frames are what was written"


def _ovf_info(options):
    from torchmag import io

    read = io.read_ovf(options.file)
    yield "OVF", f"{read.version}.0, {read.format}, {len(read.data)} components on cells"
    yield "title", read.title
    yield from _mesh_info(read.mesh)
    yield "labels", " ".join(read.labels)
    yield "units", " ".join(read.units)
    if read.t is not None:
        yield "t", f"{read.t:g} s"
    size = read.data.double().norm(dim=0)
    yield "length", f"{size.min():g} to {size.max():g}"


def _npz_info(options):
    from torchmag import io

    arrays, mesh = io.read_npz(options.file)
    yield "npz", f"{len(arrays)} arrays"
    if mesh is not None:
        yield from _mesh_info(mesh)
    for name, values in arrays.items():
        yield name, f"{values.dtype} {values.shape}"


def _npy_info(options):
    from torchmag import io

    values = io.read_npy(options.file)
    yield "npy", f"{values.dtype} {values.shape}"


def _table_info(options):
    from torchmag import io

    table = io.read_table(options.file)
    yield "table", f"{len(table)} rows"
    for name, values in table.columns.items():
        yield name, (f"{values.min():g} to {values.max():g} {table.units[name]}" if len(table) else table.units[name])


def _mesh_info(mesh):
    yield "cells", " x ".join(map(str, mesh.n)) + " of " + " x ".join(f"{h:g}" for h in mesh.dx) + " m"
    yield "origin", " ".join(f"{o:g}" for o in mesh.origin) + " m"
    if any(mesh.pbc):
        yield "pbc", " ".join("inf" if math.isinf(images) else str(images) for images in mesh.pbc)


def _run_plot(options):
    import os

    from torchmag import io

    out = options.out if options.out is not None else options.file.with_suffix(".png")
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out}: pictures are PNG files")
    if os.path.lexists(out) and not options.force:
        raise FileExistsError(f"{out} exists; use --force or choose another name with -o")
    kind = io.kind_of(options.file)
    import matplotlib

    matplotlib.use("Agg")
    axes = _plot_table(options) if kind == "table" else _plot_field(options)
    from torchmag.io.atomic import replacing

    with replacing(out, overwrite=options.force) as file:
        axes.figure.savefig(file, format="png", dpi=150)
    print(out)
    return 0


def _plot_table(options):
    import numpy as np

    from torchmag import io, plot

    table = io.read_table(options.file)
    if not {"t", "mx", "my", "mz"} <= set(table.columns) or len(table) < 2:
        raise ValueError(f"{options.file}: expected columns t, mx, my, mz with two rows at least; it has {list(table.columns)}")
    return plot.averages(table["t"], np.stack([table[name] for name in ("mx", "my", "mz")], 1))


def _plot_field(options):
    import torch

    import torchmag as tm
    from torchmag import plot

    source = _open(options.file)
    try:
        film = source.body()
        if options.averages:
            if len(source.times) < 2:
                raise ValueError(f"{options.file}: {len(source.times)} frames; averages over time need two at least")
            means = torch.stack([tm.average(source.nodes(i), film, weight="Ms") for i in range(len(source.times))])
            return plot.averages(source.times, means)
        return plot.snapshot(source.nodes(source.frame(options.frame)), film)
    finally:
        source.close()


def _plain(*texts):
    return all(text.isascii() and text.isprintable() and not set(text) & set(' {}"') and len(text) <= 60 for text in texts)


def _shown(value):
    """Text of a file as a terminal may show it."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii")[:300]
