"""What the calls of a simulation return."""

from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Run:
    """How a run ended.

    Attributes:
        t: where, s.
        steps: accepted steps.
        ended_by: "until", "stop", or the name of the event.
        events: name -> times at which it happened, s.
    """

    t: float
    steps: int
    ended_by: str
    events: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Loop:
    """A quasi-static sweep of the field.

    Attributes:
        fields: (F, 3) or (F, *batch, 3), A/m.
        m: the mean over the body at each, by volume: (F, *batch, 3).
        converged: at each field, whether an equilibrium was reached.
        steps: of the minimisation at each field.
    """

    fields: Tensor
    m: Tensor
    converged: list[bool]
    steps: list[int]
