"""The commands `torchmag convert`, `torchmag info` and `torchmag plot`."""

import math
import sys
from pathlib import Path


def add_commands(commands):
    """Add the three commands to the parser's subcommands."""
    convert = commands.add_parser(
        "convert",
        help="trajectories, OVF, npz and tables into each other",
        description="IN: a trajectory, an OVF or an npz file, or a table (CSV, OOMMF's ODT, mumax3's table.txt). OUT by its suffix: .vtkhdf, .h5 (trajectory), .ovf, .omf (one frame), .npz, "
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
    from torchmag import io

    chosen = {"frame": options.frame, "format": options.format, "version": options.ovf_version}
    print(io.convert(options.source, options.target, overwrite=options.force, **chosen))
    return 0


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

    if not _is_trajectory(options.file):
        from torchmag.io import hdf5

        arrays, attributes = hdf5.read(options.file)
        yield "HDF5", f"{len(arrays)} arrays, no trajectory"
        for name, value in attributes.items():
            yield name, value
        for name, values in arrays.items():
            numbers = values.dtype.kind in "fiu" and values.size
            yield (
                name,
                f"{'x'.join(map(str, values.shape)) or '1'} {values.dtype}"
                + (f", {values.min():g} to {values.max():g}" if numbers else ""),
            )
        return
    with io.Trajectory.open(options.file) as found:
        yield "trajectory", f"{len(found)} frames, {found.dtype}, every time and scalar verified"
        yield from _mesh_info(found.mesh)
        if len(found):
            yield "t", f"{found.times[0]:g} to {found.times[-1]:g} s"
        for name, values in found.scalars.items():
            yield name, (f"{values.min():g} to {values.max():g} {found.units[name]}" if len(found) else found.units[name])
        if found.order is not None:
            yield "order", found.order
        if found.Ms is not None:
            yield "Ms", f"{found.Ms.min():g} to {found.Ms.max():g} A/m"
        if options.verify:
            for index in range(len(found)):
                found[index]
            yield "verified", f"{len(found)} frames are what was written"


def _is_trajectory(path):
    """Whether an HDF5 file is one, damaged or not, and not one of plain arrays."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "VTKHDF" in file or "torchmag" in file
    except OSError:
        return True


def _ovf_info(options):
    from torchmag import io

    read = io.read_ovf(options.file)
    yield "OVF", f"{read.version}.0, {read.format}, {len(read.data)} components on cells"
    yield "title", read.title
    yield from _mesh_info(read.mesh)
    yield "labels", " ".join(read.labels)
    yield "units", " ".join(read.units)
    if read.order is not None:
        yield "order", read.order
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
        yield name, f"{values.dtype} {values.shape}" + (f", {values}" if name == "magnet_order" else "")


def _npy_info(options):
    from torchmag import io

    values = io.read_npy(options.file)
    yield "npy", f"{values.dtype} {values.shape}"


def _table_info(options):
    import numpy as np

    from torchmag import io

    table = io.read_table(options.file)
    yield "table", f"{len(table)} rows"
    for name, values in table.columns.items():
        known = values[~np.isnan(values)]
        yield name, (f"{known.min():g} to {known.max():g} {table.units[name]}" if len(known) else table.units[name])


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
    # OOMMF's names: Oxs_TimeDriver::Simulation time, Oxs_TimeDriver::mx.
    columns = {name.rpartition(":")[2]: values for name, values in table.columns.items()}
    columns |= {"t": columns["Simulation time"]} if "t" not in columns and "Simulation time" in columns else {}
    if not {"t", "mx", "my", "mz"} <= set(columns) or len(table) < 2:
        raise ValueError(f"{options.file}: expected columns t, mx, my, mz with two rows at least; it has {list(table.columns)}")
    return plot.averages(columns["t"], np.stack([columns[name] for name in ("mx", "my", "mz")], 1))


def _plot_field(options):
    import torch

    import torchmag as tm
    from torchmag import io, plot

    source = io.Frames.open(options.file)
    try:
        film = source.body()
        if options.averages:
            if len(source.times) < 2:
                raise ValueError(f"{options.file}: {len(source.times)} frames; averages over time need two at least")
            means = torch.stack([tm.average(source.nodes(i), film, weight="Ms") for i in range(len(source.times))])
            return plot.averages(source.times, means)
        return plot.snapshot(source.nodes(source.index(options.frame)), film)
    finally:
        source.close()


def _shown(value):
    """Text of a file as a terminal may show it."""
    text = "".join(c if c.isprintable() else "?" for c in str(value))
    return text.encode(sys.stdout.encoding or "ascii", "replace").decode(sys.stdout.encoding or "ascii")[:300]
