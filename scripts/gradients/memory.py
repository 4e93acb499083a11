"""Peak memory of a gradient over N steps, each in a process of its own; run as a script, it is that process."""

import json
import resource
import subprocess
import sys
import time

NODES, STEP, BUDGETS = 32, 1e-13, {"default": None, "20 MB": 20_000_000}
COUNTS = (100, 1000, 10000)


def peak():
    """Largest resident memory of this process so far, bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def child(count, how):
    """Bytes that a gradient over `count` steps adds to a run that has everything loaded, and seconds."""
    import importlib

    import torch
    from film import film, start

    import torchmag as tm

    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    if how == "plain":
        importlib.import_module("torchmag.solvers.solve").can_repeat = lambda method: False
    llg, m0 = film(NODES, demag=False), start(NODES)
    Ku = llg.energy.anisotropy.Ku

    def gradient(count):
        options = {"memory": BUDGETS[how]} if how in BUDGETS else {}
        m = tm.solve(llg, m0, [0.0, count * STEP], method="heun", step=STEP, **options)
        return torch.autograd.grad(m[-1].mean(), Ku)[0]

    gradient(3)
    before, start_time = peak(), time.process_time()
    gradient(count)
    return {"bytes": peak() - before, "seconds": time.process_time() - start_time}


def measure(count, how):
    """`child` in a process of its own."""
    from gradients.peers import environment

    found = subprocess.run(
        [sys.executable, __file__, str(count), how], capture_output=True, text=True, check=True, env=environment()
    )
    return json.loads(found.stdout)


def section(options):
    """Lines of the table."""
    state = 3 * (NODES + 1) ** 2 * 8
    yield (
        f"Film of {NODES} x {NODES} cells, exchange and a Ku map, Heun steps of 0.1 ps; one state is {state / 1e3:.0f} kB. Growth of the "
        f"largest resident memory over that of a gradient of three steps, MB (CPU seconds). Plain: torch's own tape of every step."
    )
    yield ""
    yield "| steps | " + " | ".join(f"memory = {how}" for how in BUDGETS) + " | plain |"
    yield "|---" * (len(BUDGETS) + 2) + "|"
    # Of a difference, so that what is there from the start does not count.
    few, more = (measure(count, "plain")["bytes"] for count in (50, 100))
    slope = (more - few) / 50
    for count in COUNTS:
        row = [measure(count, how) for how in BUDGETS]
        if slope * count < 3e9:
            plain = measure(count, "plain")
            text = f"{plain['bytes'] / 1e6:.0f} ({plain['seconds']:.0f} s)"
        else:
            text = f"{slope * count / 1e6:.0f} (extrapolated)"
        yield f"| {count} | " + " | ".join(f"{x['bytes'] / 1e6:.0f} ({x['seconds']:.0f} s)" for x in row) + f" | {text} |"


if __name__ == "__main__":
    print(json.dumps(child(int(sys.argv[1]), sys.argv[2])))
