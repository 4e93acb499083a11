"""`torchmag bench`: how long the right-hand side takes on this machine."""

import argparse
import platform
import time

MESHES = ("100x25", "256x256", "512x512", "32x32x32", "64x64x64")


def add_command(commands) -> None:
    """Add `bench` to the commands."""
    bench = commands.add_parser("bench", help="time the right-hand side (exchange and demagnetising field) on this machine")
    bench.add_argument("meshes", nargs="*", type=_cells, metavar="NXxNY[xNZ]", help=f"cells (default {' '.join(MESHES)})")
    bench.add_argument("--order", type=int, choices=(2, 4, 6), help="of accuracy in space (default that of Magnet)")
    bench.add_argument("--dtype", choices=("float32", "float64"), default="float64")
    bench.add_argument("--device", default="cpu", help="cpu or cuda (default cpu)")
    bench.add_argument("--threads", type=_count, help="of torch (default: its own)")
    bench.add_argument("--batch", type=_count, default=1, help="samples at once (default 1)")
    bench.add_argument("--compile", action="store_true", help="with torch.compile")
    bench.add_argument("--seconds", type=float, default=1.0, help="of each mesh (default 1)")
    bench.set_defaults(run=_run)


def _run(options):
    import torch

    from torchmag.energies import plans

    if torch.device(options.device).type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"--device {options.device}: this machine has no CUDA device; use --device cpu")
    if options.threads:
        torch.set_num_threads(options.threads)
    where = torch.cuda.get_device_name(options.device) if options.device.startswith("cuda") else f"{platform.machine()} CPU"
    kind = "compiled" if options.compile else "eager"
    own = not options.device.startswith("cuda") and plans.available()
    print(
        f"{where}, torch {torch.__version__}, {torch.get_num_threads()} threads, {options.dtype}, batch of {options.batch}, {kind}, "
        f"{'compiled convolution' if own else 'FFT of torch'}"
    )
    print(f"{'cells':>12} {'set-up s':>9} {'first s':>8} {'least ms':>9} {'median ms':>10} {'order':>6}")
    for n in options.meshes or [_cells(mesh) for mesh in MESHES]:
        setup, first, times, order = _measure(n, options)
        least, middle = times[0] * 1e3, times[len(times) // 2] * 1e3
        print(f"{'x'.join(map(str, n)):>12} {setup:9.2f} {first:8.2f} {least:9.3g} {middle:10.3g} {order:6}", flush=True)
    return 0


def _measure(n, options):
    """Seconds of the set-up and of the first call, and of every later one, sorted; the order of the magnet."""
    import torch

    import torchmag as tm
    from torchmag.device import runs_apart

    chosen = {} if options.order is None else {"order": options.order}
    start = time.perf_counter()
    mesh, dtype = tm.Mesh(n, (5e-9, 5e-9, 3e-9)), getattr(torch, options.dtype)
    film = tm.Magnet(mesh, 8e5, dtype=dtype, device=options.device, **chosen)
    llg = tm.LLG(tm.Exchange(film, 1.3e-11) + tm.Demag(film), alpha=0.02)
    m = torch.stack([tm.random(mesh, seed=seed, dtype=torch.float64) for seed in range(options.batch)]).to(film.reference)
    t, values = torch.zeros((), dtype=torch.float64, device=m.device), llg.prepare()
    if options.compile:
        llg.compile(fullgraph=True, dynamic=False)
    found = []
    with torch.no_grad():
        while not found or len(found) < 4 or sum(found[2:]) < options.seconds:
            begin = time.perf_counter()
            llg(t, m, values)
            if runs_apart(m):
                torch.accelerator.synchronize()
            found.append(time.perf_counter() - begin)
            if len(found) == 1:
                setup = begin - start
    return setup, found[0], sorted(found[2:]), film.order


def _cells(text):
    parts = text.split("x")
    if not 1 <= len(parts) <= 3 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text}: expected cells as NX, NXxNY or NXxNYxNZ, such as 256x256")
    return tuple(map(int, parts))


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number, at least 1")
    return int(text)
