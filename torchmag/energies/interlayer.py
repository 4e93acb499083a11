from collections.abc import Sequence

import torch
from torch import Tensor

from torchmag import layout
from torchmag.forms import Scalar, dot
from torchmag.magnet import Magnet
from torchmag.surface import SurfaceEnergy


class InterlayerExchange(SurfaceEnergy):
    """Exchange between two planes across a non-magnetic spacer, w = -J m1.m2 - J2 (m1.m2)^2 per area.

    J > 0 couples ferromagnetically (J2: Slonczewski, Phys. Rev. Lett. 67, 3172 (1991)).  OOMMF writes sigma (1 - m1.m2), mumax3
    scales an exchange constant.  The spacer is as thick as its cells on the mesh, one or more.

    Args:
        magnet: the body.
        J: bilinear coupling, J/m^2; number or cells with one entry along the axis, such as (*batch, nx, ny, 1).
        J2: biquadratic coupling, J/m^2.
        axis: the normal of the layers, 0, 1 or 2.
        planes: the two node indices along the axis, of the facing surfaces; along a periodic axis the spacer may lie at its end,
            such as (n - 1, 0) with the last cell empty.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for layers that touch: they share nodes, and m cannot be two things there.
    """

    def __init__(self, magnet: Magnet, J, J2=0, axis: int = 2, planes: Sequence[int] = ()):
        super().__init__(magnet, J, J2, axis=axis, planes=planes)
        with torch.no_grad():
            body = layout.expand_to_cells(self.magnet.prepare().get("fraction", torch.ones(())), self.mesh)
            coupled = self._arguments({"magnet": {"fraction": body}})["fraction"] > 0
            touching = coupled & ~self._apart(body == 0)
        if touching.device.type != "meta" and bool(touching.any()):
            raise ValueError(
                f"InterlayerExchange: planes {self.planes} along axis {self.axis} have no empty cell between them everywhere; "
                f"touching layers share nodes: put at least one cell of Ms = 0 (or fraction = 0) between the layers"
            )

    def _apart(self, empty: Tensor) -> Tensor:
        """Whether an empty cell lies between the planes, on either way round a periodic axis: (*batch, *cells of a plane)."""
        where = self.axis - self.mesh.dim
        low, high = sorted(self.planes)
        apart = empty.narrow(where, low, high - low).any(where)
        if self.mesh.periodic(self.axis):
            around = [empty.narrow(where, 0, low), empty.narrow(where, high, self.mesh.cells[self.axis] - high)]
            apart = apart | torch.cat(around, where).any(where)
        return apart

    @staticmethod
    def density(m1, m2, J: Scalar, J2: Scalar = 0):
        along = dot(m1, m2)
        return -J * along - J2 * along**2
