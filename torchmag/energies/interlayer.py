from collections.abc import Sequence

import torch

from torchmag import layout
from torchmag.forms import Scalar, dot
from torchmag.magnet import Magnet
from torchmag.surface import SurfaceEnergy


class InterlayerExchange(SurfaceEnergy):
    """Exchange between two planes across a non-magnetic spacer, w = -J m1.m2 - J2 (m1.m2)^2 per area.

    J > 0 couples ferromagnetically.  OOMMF writes sigma (1 - m1.m2), mumax3 scales an exchange constant.  The stray
    field of the spacer's thickness is that of the mesh: one vacuum cell or more.

    Args:
        magnet: the body.
        J: bilinear coupling, J/m^2; number or cells with one entry along the axis, such as (*batch, nx, ny, 1).
        J2: biquadratic coupling, J/m^2.
        axis: the normal of the layers, 0, 1 or 2.
        planes: the two node indices along the axis, of the facing surfaces.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for layers that touch: they share nodes, and m cannot be two things there.
    """

    def __init__(self, magnet: Magnet, J, J2=0, axis: int = 2, planes: Sequence[int] = ()):
        planes = tuple(planes)
        if len(planes) != 2:
            raise ValueError(f"InterlayerExchange: planes = {planes}, expected two node indices along axis {axis}")
        super().__init__(magnet, J, J2, axis=axis, planes=planes)
        low, high = sorted(planes)
        where = axis - self.mesh.dim
        with torch.no_grad():
            body = layout.expand_to_cells(self.magnet.prepare().get("fraction", torch.ones(())), self.mesh)
            empty = (body.narrow(where, low, high - low) == 0).any(where)
            coupled = self._arguments({"magnet": {"fraction": body}})["fraction"] > 0
        if bool((coupled & ~empty).any()):
            raise ValueError(
                f"InterlayerExchange: planes {planes} along axis {axis} have no empty cell between them everywhere; touching "
                f"layers share nodes: put at least one cell of Ms = 0 (or fraction = 0) between the layers"
            )

    @staticmethod
    def density(m1, m2, J: Scalar, J2: Scalar = 0):
        along = dot(m1, m2)
        return -J * along - J2 * along**2
