from torchmag import layout
from torchmag.constants import e, hbar
from torchmag.forms import Direction, Scalar
from torchmag.magnet import Magnet
from torchmag.parameters import Role
from torchmag.torques.interface import InterfaceTorque
from torchmag.torques.lumping import lump, per_component


class SpinOrbit(InterfaceTorque):
    """Spin-orbit torque of a current in an adjacent heavy metal (Manchon et al., Rev. Mod. Phys. 91, 035004 (2019)).

    As a field in the LLG equation, H = -hbar j / (2 e mu_0 Ms d) [eta_damp m x p + eta_field p]: j eta_damp > 0 drives m towards
    -p.  magnum.np alike; in mumax3 and OOMMF it is a Slonczewski torque with Lambda = 1, P = -eta_damp and
    eps_prime = -eta_field / 2.
    The torque density Ms H is integrated cell by cell with m of the node and lumped, exactly so in every map.

    Args:
        magnet: the body; the torque acts on all of it, unless j is a map.
        j: current density in the heavy metal, A/m^2; number or cells (*batch, *cells); constant, or a Module or callable of t, m
            or both.
        p: polarisation of the spin current, normalised here; (3,) or (*batch, 3, *cells).
        eta_damp: strength of the damping-like torque (spin Hall angle); number or cells.
        eta_field: strength of the field-like torque; number or cells.
        d: thickness of the magnetic layer, m; number or cells.  Default: the extent of the magnetic body along z, on a 3D mesh
            sum_z fraction dz of each column (empty cells do not count), on a 1D or 2D mesh dx[2].

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape; zero at nodes without magnetic cells.
    """

    def __init__(self, magnet: Magnet, j, p, eta_damp, eta_field, d=None):
        super().__init__(magnet, d)
        cells = self.mesh.cells
        self._register("j", j, Role(Scalar, cells))
        self._register("p", p, Role(Direction, cells))
        self._register("eta_damp", eta_damp, Role(Scalar, cells))
        self._register("eta_field", eta_field, Role(Scalar, cells))

    def _field(self, m, values):
        mesh, body, p = self.mesh, values["magnet"], values["p"]
        # hbar / e first: j / d alone leaves little room in float32 for second derivatives.
        flow = -hbar / (2 * e) * values["j"] / self._thickness(values)
        damping = lump(per_component(flow * values["eta_damp"], mesh) * p, body, mesh)
        fieldlike = lump(per_component(flow * values["eta_field"], mesh) * p, body, mesh)
        return layout.cross(m, damping, mesh) + fieldlike
