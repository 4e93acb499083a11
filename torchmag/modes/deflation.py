"""Motions that cost no energy, taken out of an undamped spectrum.

Where A z = 0 the motion along z does not ring, and one along J z drifts: the pair has omega = 0.  All other modes obey z^T D v = 0, and
along z itself they are determined by the rest; so they are found on the plane across z and D z, where A is positive.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.modes.motion import Motion


@dataclass(frozen=True)
class Plane:
    """Where A is positive.

    Attributes:
        motion: the whole equation.
        across: orthonormal rows along z and D z, (B, k, n), and zeros; None without any.
        along: orthonormal rows z, and zeros.
        zero: modes with omega = 0 of each sample, (B).
        freedom: dimension of the plane, of the smallest sample.
    """

    motion: Motion
    across: Tensor | None
    along: Tensor
    zero: Tensor
    freedom: int

    def project(self, x: Tensor) -> Tensor:
        """The part of rows in the plane."""
        return x if self.across is None else x - (x @ self.across.mT) @ self.across

    def metric(self, x: Tensor) -> Tensor:
        """A on the plane."""
        return self.project(self.motion.hessian(x))

    def drag(self, x: Tensor) -> Tensor:
        """D on the plane, without damping."""
        return self.project(self.motion.turn(x))

    def precondition(self, x: Tensor) -> Tensor:
        return self.project(self.motion.hessian.precondition(x))

    def lifted(self, x: Tensor, omega: Tensor) -> Tensor:
        """Modes on the plane with what they have along z: A x + i omega D (x + c z) = 0."""
        if self.across is None:
            return x
        left = self.motion.stiff(x) + 1j * omega.unsqueeze(-1) * self.motion.turn(x)
        c = 1j / omega.unsqueeze(-1) * (left @ torch.linalg.pinv(self.motion.turn(self.along)).to(x))
        return x + c @ self.along.to(x)


def deflated(motion: Motion, z: Tensor) -> Plane:
    """The plane across the rows z (B, k, n), of which zeros do not count."""
    zero = (z != 0).any(-1).sum(-1)
    used = int(zero.max())
    free = int(motion.hessian.tangent.moving().expand(len(z), -1, -1).sum((-2, -1)).min())
    if not used:
        return Plane(motion, None, z, zero, free)
    rows = torch.cat([z, motion.turn(z)], 1)
    _, size, v = torch.linalg.svd(rows, full_matrices=False)
    good = size > 1e-6 * size[:, :1]
    across = v * good.unsqueeze(-1)
    return Plane(motion, across, z, good.sum(-1) // 2, free - 2 * used)
