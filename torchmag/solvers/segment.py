"""A piece of a trajectory, whose state can be kept and taken up between any two steps."""

from collections.abc import Iterator

import torch
from torch import Tensor

from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.solvers.foreign import can_repeat
from torchmag.solvers.heun import without_noise
from torchmag.solvers.progress import Progress
from torchmag.solvers.solve import accepted_steps, checked_options, require_heun
from torchmag.solvers.sources import require_finite_parameters
from torchmag.solvers.stepper import Step, System
from torchmag.solvers.system import llg_system, require_llg, require_unit_length


def segment(
    llg: LLG,
    progress: Progress,
    t0: float,
    t1: float,
    *,
    method: str = "dopri5",
    rtol: float = 1e-5,
    atol: float = 1e-5,
    step: float | None = None,
    max_steps: int = 1_000_000_000,
    compile: str | bool = False,
    title: str = "segment",
) -> tuple[System, Iterator[Step]]:
    """The accepted steps of `tm.solve(llg, progress.m, (t0, t1))`, without gradients: the very same numbers.

    Args:
        progress: kept up to date from step to step.  One that has begun goes on where it was: its interval must be the same.
        t0, t1: the interval, s; where it begins and ends, not where the progress is.
        method, rtol, atol, step, max_steps, compile: as in `tm.solve`.
        title: of who calls.

    Returns:
        What is integrated (for `Step.at`), and the steps.  `progress.m` has the batch of the parameters from here on.
    Raises:
        ValueError, TypeError: as `tm.solve`; a method whose steps depend on more than the state.
    """
    require_llg(llg, progress.m, "segment")
    max_steps, _ = checked_options(method, rtol, atol, step, max_steps)
    require_heun(llg, method, step)
    if not can_repeat(method):
        raise ValueError(f"method = {method!r} has a memory of its own and cannot be taken up; use one such as 'dopri5' or 'rk4'")
    require_finite_parameters(llg, "segment")
    with torch.no_grad():
        values = llg.prepare()
        llg.check(values, progress.m.shape[: component_dim(llg.mesh)])
        values = without_noise(llg, values, progress.m)
        if not progress.begun:
            progress.m, progress.start = _expanded(llg, values, t0, progress.m), t0
    system = llg_system(llg, values, progress.m, rtol, atol, compile, title)
    return system, _steps(llg, system, method, t0, t1, progress, step, rtol, atol, max_steps)


def _expanded(llg, values, t, m) -> Tensor:
    """m with the batch of the parameters."""
    rate = llg.forward(torch.tensor(t, dtype=torch.float64), m, values)  # not compiled: only its shape counts
    m = m.expand(torch.broadcast_shapes(m.shape, rate.shape))
    require_unit_length(llg, values, m, "segment")
    return m


@torch.no_grad()  # entered and left at every step, not held while the caller works
def _steps(llg, system, method, t0, t1, progress, step, rtol, atol, max_steps):
    yield from accepted_steps(llg, system, method, [t0, t1], progress.m, step, rtol, atol, max_steps, progress)
