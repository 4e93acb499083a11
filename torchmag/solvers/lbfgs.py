"""Limited-memory BFGS on the spheres, preconditioned."""

import torch
from torch import Tensor

from torchmag.solvers.sphere import Landscape

GROW, LARGEST = 4.0, 1e6


class LBFGS:
    """Directions of L-BFGS (Nocedal and Wright, Numerical Optimization, 2nd ed., Alg. 7.4), the inverse exchange as first Hessian.

    Each sample keeps its own pairs of changes, newest first, projected once, when they are made.  A pair without positive
    curvature is left out; there the first Hessian grows instead, so that a state leaves a saddle or a flat top quickly.

    Attributes:
        length: number of pairs.
        window: energies that a step must not exceed the largest of; 1 makes the descent monotone.
    """

    length, window = 8, 1

    def __init__(self, landscape: Landscape, size: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]] | None = None):
        self.landscape, self.size, self.pairs = landscape, size, pairs or []

    @property
    def memory(self) -> dict:
        """What it takes to go on."""
        return {"size": self.size, "pairs": self.pairs}

    def direction(self, m: Tensor, g: Tensor) -> Tensor:
        """Where to go from m with gradient g: a tangent at m."""
        inner, used, q = self.landscape.inner, [], g
        for s, y, rho in self.pairs:
            along = rho * inner(s, q)
            q = q - along * y
            used.append(along)
        z = self.size * self.landscape.precondition(q)
        for (s, y, rho), along in zip(reversed(self.pairs), reversed(used)):
            z = z + s * (along - rho * inner(y, z))
        return -self.landscape.tangent(m, z)

    def learn(self, took: Tensor, s: Tensor, y: Tensor, g: Tensor) -> None:
        """Keep the change s of m and y of the gradient, g now, in the samples that took a step."""
        inner = self.landscape.inner
        curvature, square = inner(s, y), inner(y, self.landscape.precondition(y))
        good = took & (curvature > 1e-10 * (inner(s, s) * inner(y, y)).sqrt())
        rho = good / torch.where(good, curvature, 1)
        size = torch.where(good, curvature / torch.where(good, square, 1), (GROW * self.size).clamp(max=LARGEST))
        self.size = torch.where(took, size, self.size)
        pair = (s, y, rho)
        longer = [pair, *self.pairs][: self.length]
        if not bool(good.all()):
            older = [*self.pairs, tuple(torch.zeros_like(x) for x in pair)]
            longer = [tuple(torch.where(good, a, b) for a, b in zip(new, old)) for new, old in zip(longer, older)]
        self.pairs = longer

    def forget(self, lost: Tensor) -> None:
        """Start anew in the samples whose direction does not descend."""
        self.pairs = [(s, y, rho * ~lost) for s, y, rho in self.pairs]
        self.size = torch.where(lost, 1, self.size)
