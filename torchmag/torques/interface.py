"""What torques of a current through an interface share: they are spread over the thickness of the free layer."""

from torch import Tensor

from torchmag import layout
from torchmag.forms import Scalar
from torchmag.magnet import Magnet
from torchmag.parameters import Role, Values
from torchmag.torque import Torque

# A thickness below a picometre is a mistake in units.
THINNEST = 1e-12


class InterfaceTorque(Torque):
    """A torque per area of the film, divided by its thickness d.

    The default of d, None, is the extent of the magnetic body along z: on a 3D mesh sum_z fraction dz of each column of cells,
    so that empty cells do not count (of one period, where z is periodic); the cell size dx[2] on a 1D or 2D mesh.
    """

    def __init__(self, magnet: Magnet, d):
        super().__init__(magnet)
        self.d = d

    def __setattr__(self, name, value):
        if name != "d":
            super().__setattr__(name, value)
        elif value is None:
            self._forget(name)
            self.__dict__[name] = None
        else:
            self._register(name, value, Role(Scalar, self.mesh.cells, lower=THINNEST))

    def _thickness(self, values: Values) -> Tensor | float:
        """d in m: a number, or (*batch, *cells) with axes of 1."""
        if "d" in values:
            return values["d"]
        mesh = self.mesh
        if mesh.dim < 3:
            return mesh.dx[2]
        column = layout.expand_to_cells(values["magnet"]["fraction"], mesh).sum(-1, keepdim=True)
        return mesh.dx[2] * (column + (column == 0))
