"""The samples of a batch that are under way: the others cost nothing.

Each sample has its own steps and its own end.  Those that have ended stay in the state of the whole batch, which is what everyone
outside sees, but the stages of a step are evaluated for the others alone: their states and rates are taken out of the batch, with
what belongs to them of times and values, and put back after the step.  Which samples these are follows from who is under way, and
nothing else, so that a run taken up makes the very same steps; and a step knows its samples, so that it can be made once more.

A compiled equation would compile each new shape anew, for seconds: of a large batch the last few samples go on without compiled code,
before that all are carried along.  They always are in equations whose samples may know of each other, or carry numbers of the whole
batch that are no values: functions of m, networks, torques and hooks of the user's.
"""

import functools
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from torchmag.energies import Zeeman
from torchmag.energies.convolution import ConvolvedEnergy
from torchmag.energy import Energy, LocalEnergy, Sum
from torchmag.llg import LLG
from torchmag.parameters import Parametric, Values
from torchmag.samples import SAMPLES, Samples
from torchmag.solvers.stepper import Step, System, advance, partial_step
from torchmag.solvers.tableau import Tableau
from torchmag.torques import ZhangLi
from torchmag.torques.interface import InterfaceTorque

# Compiled code is left when this part of a batch of at least so many numbers is under way.
FEW, LARGE = 1 / 8, 2**17
# Their field on a sample follows from its m and its values.
ALONE = (LocalEnergy, ConvolvedEnergy, Zeeman, InterfaceTorque, ZhangLi)


@dataclass
class Crowd:
    """What steps are made of.

    Attributes:
        system, tableau: the whole batch, and the method.
        samples: those under way; None for all.
        part: the system of these.
    """

    system: System
    tableau: Tableau
    samples: Samples | None = None
    part: System | None = None

    def follow(self, active: Tensor, count: int | None = None) -> int:
        """Leave out the samples that are not active, bool (*samples), from now on; how many are, if that is known."""
        count = int(active.sum()) if count is None else count
        present = active.numel() if self.samples is None else len(self.samples.numbers)
        share = self.system.share if self.samples is None else 1.0
        if self.system.part is not None and 0 < count < present and count <= share * present:
            self.samples = Samples(tuple(active.shape), active.reshape(-1).nonzero().squeeze(-1))
            self.part = self.system.of(self.samples)
        return count

    def attempt(
        self, t: Tensor, end: Tensor, m: Tensor, k: Tensor, active: Tensor, asks: bool = True
    ) -> tuple[Step, Tensor, Tensor]:
        """A step of the active samples: it, the size of its error relative to the tolerance, and who made it, both (*samples).

        Unless it `asks` whether all made it, the host waits for nothing.
        """
        if self.samples is None:
            return _attempt(self.system, self.tableau, t, end, m, k, active, asks)
        samples, axes = self.samples, m.ndim - t.ndim
        own = [samples.take(x, 0) for x in (t, end)], [samples.take(x, axes) for x in (m, k)]
        step, ratio, took = _attempt(self.part, self.tableau, *own[0], *own[1], samples.take(active, 0), asks)
        whole = _widened(samples, step, t, samples.put(t, step.end), m, k)
        took = samples.put(torch.zeros_like(active), took)
        return replace(whole, took=took), samples.put(torch.zeros_like(end), ratio), took


def _attempt(system, tableau, t, end, m, k, active, asks):
    step, error = advance(system, tableau, t, end, m, k)
    with torch.no_grad():
        # Detached also from forward-mode derivatives: step sizes are constants.
        ratio = system.error(error.detach(), m.detach(), step.m1.detach()).double()
        took = active & (ratio <= 1) & finite(step.k1.detach(), t.ndim)
        everyone = asks and bool(took.all())
    return step if everyone else partial_step(step, tableau, took), ratio, took


def _widened(samples, step, t, end, m, k):
    """A step of some samples as one of the whole batch, in which m and k of the others stay."""
    middle = step.middle and (lambda: samples.put(m, step.halfway()))
    again = functools.partial(_again, samples, step.again, t, end)
    return Step(t, end, m, samples.put(m, step.m1), k, samples.put(k, step.k1), middle, again)


def _again(samples, again, t, end, system, m, dense=True):
    step = again(system.of(samples), samples.take(m, m.ndim - t.ndim), dense)
    k = samples.put(torch.zeros_like(m), step.k0)
    return _widened(samples, step, t, end, m, k)


def finite(k: Tensor, axes: int) -> Tensor:
    """The samples whose rate is finite; `axes` axes of the batch."""
    found = torch.isfinite(k)
    return found.flatten(axes).all(-1) if axes else found.all()


def some_values(module: Parametric, values: Values, samples: Samples) -> Values:
    """The values of an equation or an energy that belong to some samples."""
    found = {name: samples.take(value, role.axes) for name, role, value in module._resolved(values, "")}
    return _exchanged(values, found, "") | {SAMPLES: samples}


def _exchanged(values, found, prefix):
    return {
        name: _exchanged(value, found, f"{prefix}{name}.") if isinstance(value, dict) else found.get(prefix + name, value)
        for name, value in values.items()
    }


def can_divide(module: LLG | Energy, values: Values) -> bool:
    """Whether some samples can go on without the others."""
    energy = module.energy if isinstance(module, LLG) else module
    terms = [term for _, term in energy.named_terms()] if isinstance(energy, Sum) else [energy]
    parts, own = [*terms], [energy.magnet]
    if isinstance(module, LLG):
        parts += module.torques
        own += [module, *([] if module.temperature is None else [module.temperature])]
    known = all(isinstance(part, ALONE) for part in parts)
    plain = not (module._forward_hooks or module._forward_pre_hooks)
    if not known or not plain or any("m" in drivers for part in (*parts, *own) for drivers in part._drivers.values()):
        return False
    return set(_names(values, "")) <= {name for name, _, _ in module._resolved(values, "")}


def _names(values, prefix):
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _names(value, f"{prefix}{name}.")
        elif isinstance(value, Tensor):
            yield prefix + name
