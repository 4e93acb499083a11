"""Barzilai-Borwein steps on the spheres."""

import torch
from torch import Tensor

from torchmag.solvers.sphere import Landscape

GROW, LARGEST = 4.0, 1e6


class BarzilaiBorwein:
    """Steepest descent with the two step lengths of Barzilai and Borwein, IMA J. Numer. Anal. 8, 141 (1988), in turn.

    As in Exl et al., J. Appl. Phys. 115, 17D118 (2014).  Needs no memory of earlier steps.  Where the curvature along a step
    is not positive the next one is longer.

    Attributes:
        window: energies that a step must not exceed the largest of (Grippo, Lampariello and Lucidi, SIAM J. Numer. Anal. 23,
            707 (1986)): the method is fast because single steps may go up.
    """

    window = 10

    def __init__(self, landscape: Landscape, size: Tensor, odd: Tensor | None = None):
        self.landscape, self.size = landscape, size
        self.odd = torch.zeros_like(size, dtype=torch.bool) if odd is None else odd

    @property
    def memory(self) -> dict:
        """What it takes to go on."""
        return {"size": self.size, "odd": self.odd}

    def direction(self, m: Tensor, g: Tensor) -> Tensor:
        """Where to go from m with gradient g: a tangent at m."""
        return -self.size * g

    def learn(self, took: Tensor, s: Tensor, y: Tensor, g: Tensor) -> None:
        """Choose the next step length from the change s of m and y of the gradient, in the samples that took a step."""
        inner = self.landscape.inner
        curvature = inner(s, y)
        good = curvature > 0
        positive = torch.where(good, curvature, 1)
        long, short = inner(s, s) / positive, positive / torch.where(good, inner(y, y), 1)
        size = torch.where(good, torch.where(self.odd, short, long), (GROW * self.size).clamp(max=LARGEST))
        self.size = torch.where(took, size, self.size)
        self.odd = self.odd ^ took

    def forget(self, lost: Tensor) -> None:
        """Start anew in the samples whose direction does not descend."""
        self.size = torch.where(lost, 1, self.size)
