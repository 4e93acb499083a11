"""The energy landscape of unit vectors at the nodes, as the minimisers see it: fields and lengths, never joules."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.layout import normalize


@dataclass(frozen=True)
class Landscape:
    """A product of spheres with the lumped moment as its metric, and the effective field on it.

    Energies are per sample, in units of mu_0 max Ms times the body's moment; fields are in units of max Ms.  Numbers per
    sample keep axes of 1 for the components and the grid, so that they broadcast against m.

    Attributes:
        field: m -> H / max Ms, zero where nothing moves.
        weight: share of each node in the moment of all that moves, (*batch, 1, *nodes).
        moving: nodes that may turn, bool (*batch, 1, *nodes).
        precondition: a symmetric positive approximation of the inverse Hessian in this metric.
        axes: component and grid axes of m.
        scale: max Ms, A/m, (*batch, 1, *1).
    """

    field: Callable[[Tensor], Tensor]
    weight: Tensor
    moving: Tensor
    precondition: Callable[[Tensor], Tensor]
    axes: tuple[int, ...]
    scale: Tensor

    def inner(self, u: Tensor, v: Tensor) -> Tensor:
        """Scalar product of two vector fields, per sample."""
        return (self.weight * u * v).sum(self.axes, keepdim=True)

    def tangent(self, m: Tensor, v: Tensor) -> Tensor:
        """The part of v that turns m, zero where nothing moves."""
        return (v - (m * v).sum(self.axes[0], keepdim=True) * m) * self.moving

    def longest(self, v: Tensor) -> Tensor:
        """The longest vector, per sample."""
        square = (v * v).sum(self.axes[0], keepdim=True)
        return square.amax(self.axes, keepdim=True).sqrt()

    def turn(self, m: Tensor, v: Tensor) -> Tensor:
        """m turned along its tangent v by the Cayley transform, by 2 atan(|v| / 2).

        Exl et al., J. Appl. Phys. 115, 17D118 (2014), where v = -tau m x (m x grad E), solved for the new m.
        """
        quarter = 0.25 * (v * v).sum(self.axes[0], keepdim=True)
        turned = normalize(((1 - quarter) * m + v) / (1 + quarter), self.axes[0])
        return torch.where(self.moving, turned, m)

    def rise(self, m0: Tensor, h0: Tensor, m1: Tensor, h1: Tensor) -> Tensor:
        """Energy of m1 above m0 from the fields at both, per sample.

        The trapezoidal rule along the chord: exact where the energy is quadratic in m, since the field is linear in m off the
        sphere too; of third order in the turn otherwise.  Free of the cancellation in a difference of two energies.
        """
        return -0.5 * self.inner(h0 + h1, m1 - m0).double()
