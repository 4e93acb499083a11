from torchmag import layout
from torchmag.constants import mu_0
from torchmag.energy import Energy
from torchmag.forms import NodalVector
from torchmag.magnet import Magnet
from torchmag.parameters import Role


class Zeeman(Energy):
    """Energy in an applied field, E = -mu_0 sum_n mass_n m_n.H_n, lumped so that its field is H.

    mumax takes the field as B in tesla: H = B / torchmag.mu_0.

    Args:
        magnet: the body.
        H: applied field, A/m; (3,) uniform or (*batch, 3, *nodes); constant, or a Module or callable of t, m or both.
            A constant H with an amplitude f(t) is `lambda t: f(t) * H`.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape; zero at nodes without magnetic cells.
    """

    def __init__(self, magnet: Magnet, H):
        super().__init__(magnet)
        self._register("H", H, Role(NodalVector, self.mesh.nodes))

    def _density_map(self, m, values):
        along = layout.dot(m, values["H"], self.mesh)
        return -mu_0 * values["magnet"]["M"] * layout.to_cells(along, self.mesh)

    def _variation(self, m, values):
        return -mu_0 * self._spread(values["magnet"]["mass"]) * values["H"]

    def _field(self, m, values):
        return self._spread((values["magnet"]["mass"] > 0).to(m.dtype)) * values["H"]

    def _spread(self, nodal):
        return nodal.unsqueeze(layout.component_dim(self.mesh))
