"""Time and error of a gradient beside NeuralMag's, which runs in a Python of its own."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

SIZE, SPAN, TOLERANCE, LOOSE, TIGHT, ROUNDS = 64, 5e-11, 1e-5, 5e-5, 1e-9, 3
BACKENDS = ("torch-eager", "torch", "jax")
STEPS = (0.04, 0.02, 0.01)


def environment():
    """For child processes: torchmag where this one has it from."""
    import torchmag

    return os.environ | {"PYTHONPATH": str(Path(torchmag.__file__).parent.parent)}


class Worker:
    """A program that answers requests, one at a time."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment()
        )

    def ask(self, what, tolerance, at=()):
        """{"found", "seconds"}; raises RuntimeError with its last words if it died."""
        said = []
        try:
            self.process.stdin.write(json.dumps({"what": what, "tolerance": tolerance, "at": list(at)}) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.process.stderr:
            if line.startswith('{"found"'):
                return json.loads(line)
            said.append(line)
        raise RuntimeError("".join(said[-3:]))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def own(mode, path):
    """Our side of the conversation: the same requests as neuralmag_worker.py."""
    from film import film

    import torchmag as tm

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    data = {name: torch.as_tensor(value) for name, value in np.load(path).items()}
    m0, weights = data["m0"].movedim(-1, 0).contiguous(), data["cotangent"].movedim(-1, 0)
    llg = film(len(data["regions"]))
    if mode == "compiled":
        llg.compile()
    t, regions, base, direction = [0.0, float(data["span"])], data["regions"].long(), data["Ku"], data["direction"]

    def final(Ku, tolerance):
        return (
            tm.solve(llg, m0, t, rtol=tolerance, atol=tolerance, params={"energy.anisotropy.Ku": Ku[regions]})[-1] * weights
        ).sum()

    def value(tolerance, s=0.0):
        with torch.no_grad():
            return float(final(base * (1 + s * direction), tolerance))

    def gradient(tolerance):
        Ku = base.clone().requires_grad_()
        return float((torch.autograd.grad(final(Ku, tolerance), Ku)[0] * base * direction).sum())

    for line in sys.stdin:
        request = json.loads(line)
        run = value if request["what"] == "value" else gradient
        begin = time.process_time()
        found = run(request["tolerance"], *request["at"])
        print(json.dumps({"found": found, "seconds": time.process_time() - begin}), file=sys.stderr, flush=True)


def write_data(path):
    """The film's data in the order (x, y, component); Ku is uniform in each of 50 regions, the parameters."""
    from gradients import film

    regions, Ku, direction = film.regions(SIZE), film.anisotropy_map(SIZE), film.direction(SIZE)
    mean = lambda x: torch.stack([x[regions == number].mean() for number in range(50)]).numpy()
    np.savez(
        path,
        m0=film.start(SIZE).movedim(0, -1).numpy(),
        cotangent=film.cotangent(SIZE).movedim(0, -1).numpy(),
        regions=regions.numpy(),
        Ku=mean(Ku),
        direction=mean(direction),
        dx=np.array(film.DX), Ms=film.MS, A=film.A, alpha=film.ALPHA, span=SPAN,
    )  # fmt: skip


def section(options):
    """Lines of the table."""
    from gradients.differences import ridders

    here = Path(__file__).parent
    commands = {f"torchmag, {mode}": [sys.executable, str(here / "peers.py"), mode] for mode in ("eager", "compiled")}
    if options.peer_python:
        for backend in options.peer_backends:
            commands[f"NeuralMag, {backend}"] = [options.peer_python, str(here / "neuralmag_worker.py"), backend]
    commands[f"torchmag, compiled, tolerance {LOOSE:g}"] = commands["torchmag, compiled"]
    yield (
        f"Film of {SIZE} x {SIZE} cells, exchange, demagnetising field and Ku of 50 regions (the parameters), {SPAN * 1e12:g} ps, float64, tolerance "
        f"{TOLERANCE:g}, one core. CPU seconds: the programs in turn, the least of {ROUNDS}, compilation not counted. Errors are those of the "
        f"loss and of its slope along a random direction against the same program at tolerance {TIGHT:g}, the slope by "
        f"Richardson's extrapolation of its own differences."
    )
    yield ""
    yield "| program | value, s | value and gradient, s | ratio | error of the value | error of the gradient |"
    yield "|---|---|---|---|---|---|"
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if before:
        os.sched_setaffinity(0, {max(before)})
    try:
        yield from _rows(commands, ridders)
    finally:
        if before:
            os.sched_setaffinity(0, before)
    if not options.peer_python:
        yield '\nNeuralMag not measured: give --peer-python, a Python with `pip install "neuralmag[jax]" torchdiffeq`.'


def _rows(commands, ridders):
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "film.npz")
        write_data(path)
        workers, lines, found = {}, [], {}
        tolerance = {name: LOOSE if name.endswith(f"{LOOSE:g}") else TOLERANCE for name in commands}
        for name, command in commands.items():
            worker = Worker([*command, path])
            try:
                found[name] = {what: worker.ask(what, tolerance[name])["found"] for what in ("value", "gradient")}
                workers[name] = worker
            except RuntimeError as error:
                lines.append(f"\n{name} failed: {str(error).strip()[-200:]}")
        seconds = {name: {"value": [], "gradient": []} for name in workers}
        for _ in range(ROUNDS):
            for what in ("value", "gradient"):
                for name, worker in workers.items():
                    seconds[name][what].append(worker.ask(what, tolerance[name])["seconds"])
        for name, worker in workers.items():
            slopes = [
                (worker.ask("value", TIGHT, [h])["found"] - worker.ask("value", TIGHT, [-h])["found"]) / (2 * h) for h in STEPS
            ]
            exact = worker.ask("value", TIGHT)["found"]
            slope, doubt = ridders(STEPS, slopes, 1e-13)
            value, gradient = (min(seconds[name][what]) for what in ("value", "gradient"))
            errors = abs(found[name]["value"] - exact), abs(found[name]["gradient"] / slope - 1)
            yield f"| {name} | {value:.2f} | {gradient:.2f} | {gradient / value:.1f} | {errors[0]:.0e} | {errors[1]:.0e} (+- {abs(doubt / slope):.0e}) |"
            worker.close()
        yield from lines


if __name__ == "__main__":
    own(*sys.argv[1:])
