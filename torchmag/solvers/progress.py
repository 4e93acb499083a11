"""Where a solver is after an accepted step, so that it can go on as if it had not stopped."""

from dataclasses import dataclass, replace

from torch import Tensor

from torchmag.solvers.stepper import Time


@dataclass
class Progress:
    """The state of a solver between two steps: given to it, filled in before each step is handed out, taken up where it is not new.

    Its tensors are never changed in place: `copy` is cheap, and what it holds stays as it was.

    Attributes:
        m: the state, (*batch, 3, *nodes).
        start: where the interval began, s; None before the first step.
        number: steps made in the interval.
        t: where m belongs, s; float64 (*samples) where each sample has a time of its own.
        k: the rate at m, which is the first stage of the next step, 1/s; None for a method that has none.
        dt, error: memory of the step size control (see `Controller`).
        active, lost: samples that are under way, and that cannot go on, bool (*samples).
        evaluations: of the right-hand side, where they are counted.
        descent: of a relaxation that goes downhill instead, what its `Descent` holds.
    """

    m: Tensor
    start: float | None = None
    number: int = 0
    t: Time | None = None
    k: Tensor | None = None
    dt: Tensor | None = None
    error: Tensor | None = None
    active: Tensor | None = None
    lost: Tensor | None = None
    evaluations: int = 0
    descent: dict | None = None

    @property
    def begun(self) -> bool:
        """Whether a step of the interval was made."""
        return self.t is not None

    def take(self, **found) -> None:
        """Remember what a step found; counts it."""
        self.number += 1
        for name, value in found.items():
            setattr(self, name, value)

    def copy(self) -> "Progress":
        """The same, which further steps do not change."""
        return replace(self)

    def end(self) -> "Progress":
        """For the interval that begins where this one ended: what step size control knows goes on, the rate is made anew."""
        return Progress(self.m, dt=self.dt, error=self.error)
