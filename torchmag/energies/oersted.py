"""The Oersted field of an electric current as an FFT convolution over the cells."""

from torch import Tensor

from torchmag import layout
from torchmag.constants import mu_0
from torchmag.convolution import Convolution
from torchmag.energies.convolution import ConvolvedEnergy
from torchmag.energies.cuboids import oersted_components
from torchmag.forms import Vector
from torchmag.magnet import Magnet
from torchmag.midpoints import MOMENT
from torchmag.parameters import Role
from torchmag.stencils import Stencils


class Oersted(ConvolvedEnergy):
    """Energy in the Oersted field of a current, E = -mu_0 sum_c V M_c m_c.H_c.

    H(x) = 1 / (4 pi) int j(x') x (x - x') / |x - x'|^3 dx' (Biot and Savart), of cuboids with homogeneous j, averaged over
    each cell: H_c.  m_c is the mean of the cell's nodes (to order 4 and 6 sharpened as in `Demag`), M = fraction Ms.  The field
    at the nodes is minus the derivative of this energy over the lumped mass.  j is the current of the mesh only: leads outside
    it, and the current that closes the circuit, are the user's.  Nothing checks that div j = 0.  magnum.np has the same field;
    in mumax3 and OOMMF it is an applied field made elsewhere.

    Along a periodic axis (`Mesh.pbc`) the current has images as in `Demag`; with math.inf along three axes the mean field is
    zero, with one or two it is that of an infinite wire or sheet.

    Args:
        magnet: the body.
        j: current density, A/m^2; (3,) uniform or (*batch, 3, *cells), also in cells that are not magnetic; constant, or a
            Module or callable of t, m or both.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape; zero at nodes without magnetic cells.
    """

    def __init__(self, magnet: Magnet, j):
        super().__init__(magnet)
        self._midpoints = Stencils(magnet.order, layout.periodic_axes(self.mesh))
        self._register("j", j, Role(Vector, self.mesh.cells))

    def cell_field(self, j: Tensor) -> Tensor:
        """The field averaged over each cell, A/m, of a current density per cell, A/m^2: (*batch, 3, *cells) -> same."""
        self._check_cells(j, "j")
        return self._convolve(j, self.kernel)

    def _density_map(self, m, values):
        if self.magnet.order == 2:
            m = layout.to_cells(m, self.mesh)
        else:
            m = self._midpoints.there(m, self._pattern, self.magnet.links(values["magnet"], "moment"))
        along = layout.dot(m, self._applied(values), self.mesh)
        return -mu_0 * values["magnet"]["M"] * along

    def _variation(self, m, values):
        M = values["magnet"]["M"]
        M = M.unsqueeze(layout.component_dim(self.mesh)) if M.ndim else M
        applied = M * self._applied(values)
        if self.magnet.order == 2:
            return -mu_0 * layout.to_nodes(applied, self.mesh)
        links = self.magnet.links(values["magnet"], "moment")
        return -mu_0 * self._midpoints.back(applied, self._pattern, links)

    @property
    def _pattern(self):
        return (MOMENT,) * self.mesh.dim

    def _prepare_own(self, overrides, prefix, cache):
        # A constant current has a constant field: convolved once.
        values = super()._prepare_own(overrides, prefix, cache)
        return values | {"H": self._field_of(values["j"])} if "j" in values else values

    def _resolved_own(self, values, prefix):
        yield from super()._resolved_own(values, prefix)
        if "H" in values:
            yield prefix + "H", Role(Vector, self.mesh.cells), values["H"]

    def _applied(self, values):
        return values["H"] if "H" in values else self._field_of(values["j"])

    def _field_of(self, j):
        return self.cell_field(j.expand(*j.shape[: -self.mesh.dim], *self.mesh.cells))

    def _parts(self):
        """The components of the kernel that do not vanish: K_c is odd along c, hence 0 on an axis of one cell."""
        return [c for c, n in enumerate(self.mesh.cells) if n > 1]

    def _convolution(self):
        """H_a = epsilon_abc K_c * j_b."""
        terms = []
        for row, c in enumerate(self._parts()):
            a, b = (c + 1) % 3, (c + 2) % 3
            terms += [(a, b, row, 1), (b, a, row, -1)]
        parities = tuple(tuple(axis == c for axis in range(3)) for c in self._parts())
        return Convolution(self.mesh, tuple(terms), parities, odd=True)

    def _rows(self):
        return oersted_components(self._parts(), (*self.mesh.cells, 1, 1)[:3], self.mesh.dx, self.mesh.pbc)
