"""The demagnetising field as an FFT convolution over the cells."""

from torch import Tensor

from torchmag import dense, layout
from torchmag.alias import add_alias, alias_kernel
from torchmag.constants import mu_0
from torchmag.convolution import CELLS_TO_EXTENDED, NODES_TO_EXTENDED, Convolution
from torchmag.energies.convolution import ConvolvedEnergy
from torchmag.energies.cuboids import PAIRS, demag_components
from torchmag.magnet import Magnet
from torchmag.midpoints import MOMENT, moment_lines
from torchmag.stencils import Stencils


class Demag(ConvolvedEnergy):
    """Demagnetising (stray-field) energy, E = -1/2 mu_0 sum_c V M_c m_c.h_c.

    m_c is the mean of the cell's nodes, h = -N * (M m) the field of homogeneously magnetised cuboids averaged over each
    cuboid, M = fraction Ms (Abert et al. 2024, Sec. III D).  The field at the nodes is minus the derivative of this energy over
    the lumped mass.  mumax3 and OOMMF have the same h for m given per cell; NeuralMag's energy, -1/2 mu_0 int Ms m.h with the
    nodal field, agrees for uniform m only.

    To order 4 and 6 m_c is the mean of m sharpened along each axis, and h lacks what comes of the steps of m_c from cell to
    cell (docs/theory.md); `cell_field` is the cuboids' all the same.

    Along a periodic axis (`Mesh.pbc`) h is the field of the body and its images:
    N >= 1: N images on each side.  Cells at an offset d see each other at d and, around the grid, at d minus one period; N is
        the mean of both image sums, so that the field does not depend on where the body lies in the grid.
    math.inf: all images.  With one or two such axes the mean field is that of an infinite prism or film; with three it is
        zero: no surface, no shape effect.

    Args:
        magnet: the body.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    """

    def __init__(self, magnet: Magnet):
        super().__init__(magnet)
        self.midpoints = Stencils(magnet.order, layout.periodic_axes(self.mesh))
        self._pattern = (MOMENT,) * self.mesh.dim
        self._lines = tuple(zip(*(moment_lines(magnet.order, wraps) for wraps in self.midpoints.periodic)))

    def _register_tables(self, like):
        if self.magnet.order > 2:
            # Times the share of cells that each node has.
            shares = layout.shares(self.mesh.nodes, layout.periodic_axes(self.mesh), like)
            self.register_buffer("ends", shares * self.magnet.ends(like.new_ones(self.mesh.cells), None), persistent=False)

    def cell_field(self, m_cells: Tensor, values=None) -> Tensor:
        """The field averaged over each cell, A/m, of magnetisation directions given per cell: (*batch, 3, *cells)."""
        self._check_cells(m_cells, "m_cells")
        values = self.prepare() if values is None else values
        M = m_cells * self._moment(values)
        found = self._cell_field(M)
        return found if self.magnet.order == 2 else found - self.magnet.alias_field(M.expand(found.shape))

    def _density_map(self, m, values):
        if self.magnet.order > 2:
            return self._sharp_density_map(m, values)
        M = self._moment(values) * layout.to_cells(m, self.mesh)
        return -0.5 * mu_0 * layout.dot(M, self._cell_field(M), self.mesh)

    def _variation(self, m, values):
        if self.magnet.order > 2:
            return self._sharp_variation(m, values)
        moment, mesh = self._moment(values), self.mesh
        if layout.is_uniform(moment, mesh.dim):
            if self._by_lines(m):
                return (-mu_0 * moment * moment) * self._convolve.between(m, self.kernel, *self._lines)
            field = moment * self._convolve(m, self.kernel, NODES_TO_EXTENDED)
        else:
            field = self._convolve(moment * layout.to_cells(m, mesh), self.kernel, CELLS_TO_EXTENDED)
            moment = layout.extended(layout.expand_to_cells(moment, mesh), layout.periodic_axes(mesh))
        return -mu_0 * layout.extended_to_nodes(moment * field, mesh.dim)

    def _sharp_density_map(self, m, values):
        body, mesh, M = values["magnet"], self.mesh, self._moment(values)
        moment = M * self.midpoints.there(m, self._pattern, self.magnet.links(body, "moment"))
        # What the kernel's short part has too much where neighbours are missing, over M.
        ends = body["ends"] if "ends" in body else M * self.ends / layout.shares(mesh.nodes, self.midpoints.periodic, m)
        return (
            -0.5
            * mu_0
            * (layout.dot(moment, self._cell_field(moment), mesh) - (M * layout.to_cells(ends * m * m, mesh)).sum(-mesh.dim - 1))
        )

    def _sharp_variation(self, m, values):
        body = values["magnet"]
        links = self.magnet.links(body, "moment")
        M = self._moment(values)
        if "ends" not in body:
            if self._by_lines(m):
                found = self._convolve.between(m, self.kernel, *self._lines)
            else:
                found = self.midpoints.back(self._cell_field(self.midpoints.there(m, self._pattern, links)), self._pattern, links)
            return (mu_0 * M * M) * (self.ends * m - found)
        mass = body["mass"].unsqueeze(layout.component_dim(self.mesh))
        found = self.midpoints.back(M * self._cell_field(M * self.midpoints.there(m, self._pattern, links)), self._pattern, links)
        return mu_0 * (mass * body["ends"] * m - found)

    def _by_lines(self, m):
        """Whether averaging and its transpose go along with the convolution: operators along one axis, which commute with transforms along others."""
        return all(dense.suits(m, -axis - 1) for axis in range(self.mesh.dim))

    def _moment(self, values):
        M = values["magnet"]["M"]
        return M.unsqueeze(layout.component_dim(self.mesh)) if M.ndim else M

    def _cell_field(self, M: Tensor) -> Tensor:
        """-N * M: (*batch, 3, *cells) -> same."""
        return self._convolve(M, self.kernel)

    def _pairs(self):
        """The components of N that do not vanish by symmetry: N_ab is odd along a and b, hence 0 on an axis of one cell."""
        sizes = (*self.mesh.cells, 1, 1)
        return [(a, b) for a, b in PAIRS if a == b or (sizes[a] > 1 and sizes[b] > 1)]

    def _convolution(self):
        pairs = list(enumerate(self._pairs()))
        terms = [(a, b, row, 1) for row, (a, b) in pairs] + [(b, a, row, 1) for row, (a, b) in pairs if a != b]
        parities = tuple(tuple(a != b and axis in (a, b) for axis in range(3)) for _, (a, b) in pairs)
        return Convolution(self.mesh, tuple(terms), parities)

    def _rows(self):
        """-N."""
        mesh, pairs = self.mesh, self._pairs()
        counts = (*mesh.cells, 1, 1)[:3]
        rows = (-N for N in demag_components(pairs, counts, mesh.dx, mesh.pbc))
        if self.magnet.order == 2:
            return rows
        periodic = (*layout.periodic_axes(mesh), False, False)[:3]
        alias = alias_kernel(counts, mesh.dx, periodic, self.magnet.order)
        return (add_alias(row, alias[a], periodic) if a == b else row for (a, b), row in zip(pairs, rows))
