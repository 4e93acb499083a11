"""What a gradient costs, in units of the solution alone."""

import time

import torch

import torchmag as tm
from gradients.film import film, start

COUNT, STEP, REPEATS = 1000, 2e-13, 1
SIZE = 64


def section(options):
    """Lines of the table."""
    yield (
        f"Film of {SIZE} x {SIZE} cells, exchange, demagnetising field and a Ku map, dopri5, N = {COUNT} steps. (value and gradient) / value; "
        f"CPU seconds on one thread (which other programs disturb less than the clock), in turn, the least of {REPEATS}."
    )
    yield ""
    yield "| equation | value, s | every state held, s | ratio (target 4) | 100 states held, s | ratio (target 5) |"
    yield "|---|---|---|---|---|---|"
    for name in ("eager", "compiled"):
        value, held, tight = _seconds(name)
        yield f"| {name} | {value:.1f} | {held:.1f} | {held / value:.2f} | {tight:.1f} | {tight / value:.2f} |"


def _seconds(name):
    """Of the value, of value and gradient with every state held, and with 100."""
    llg, m0 = film(SIZE), start(SIZE)
    if name == "compiled":
        llg.compile()
    budget = _budget(llg, m0, 100)
    runs = [
        lambda count: _value(llg, m0, count),
        lambda count: _gradient(llg, m0, count, None),
        lambda count: _gradient(llg, m0, count, budget),
    ]
    for run in runs:
        run(2)
    seconds = [[] for _ in runs]
    for _ in range(REPEATS):
        for found, run in zip(seconds, runs):
            begin = time.process_time()
            run(COUNT)
            found.append(time.process_time() - begin)
    return [min(found) for found in seconds]


def _value(llg, m0, count):
    with torch.no_grad():
        return tm.solve(llg, m0, [0.0, count * STEP], step=STEP)[-1].mean()


def _gradient(llg, m0, count, memory):
    loss = tm.solve(llg, m0, [0.0, count * STEP], step=STEP, memory=memory)[-1].mean()
    return torch.autograd.grad(loss, llg.energy.anisotropy.Ku)


def _budget(llg, m0, states):
    """Bytes that hold so many states beside one step: from what the error of a budget that is too small asks for."""
    try:
        _gradient(llg, m0, 1, 1)
    except ValueError as error:
        comfortable = int(str(error).rsplit("(", 1)[1].split(" ")[0].replace("_", ""))
    return comfortable + (states - 64) * m0.numel() * m0.element_size()
