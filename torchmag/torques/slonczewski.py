from torchmag import layout
from torchmag.constants import e, hbar
from torchmag.forms import Direction, Scalar
from torchmag.magnet import Magnet
from torchmag.parameters import Role
from torchmag.torques.interface import InterfaceTorque
from torchmag.torques.lumping import lump, nodal_mean, per_component


class Slonczewski(InterfaceTorque):
    """Spin-transfer torque of a current through the film (Slonczewski, J. Magn. Magn. Mater. 159, L1 (1996)).

    As a field in the LLG equation, H = beta (eps m x p + eps_prime p) with beta = hbar J / (mu_0 e Ms d) and
    eps = P Lambda^2 / ((Lambda^2 + 1) + (Lambda^2 - 1) m.p).  J > 0 drives m towards p.
    mumax3 alike; OOMMF has P and Lambda of each side.

    The torque density Ms H is integrated cell by cell with m of the node and lumped, exactly so in maps of J, P, eps_prime
    and d, and of p if Lambda = 1; the Lambda and the m.p in eps are those of the node, means over its cells weighted by moment.

    Args:
        magnet: the body; the torque acts on all of it, unless J is a map.
        J: current density, A/m^2; number or cells (*batch, *cells); constant, or a Module or callable of t, m or both.  It is the
            electric current along +z if the fixed layer lies above the free one.
        p: direction of the fixed layer's magnetisation, normalised here; (3,) or (*batch, 3, *cells).
        P: polarisation, -1 to 1; number or cells.
        Lambda: asymmetry; number or cells, >= 0.
        eps_prime: strength of the field-like torque; number or cells.
        d: thickness of the free layer, m; number or cells.  Default: the extent of the magnetic body along z, on a 3D mesh
            sum_z fraction dz of each column (empty cells do not count), on a 1D or 2D mesh dx[2].
        side: where the fixed layer lies, +1 above the free layer (on the side of +z), -1 below: the sign of J turns.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape; zero at nodes without magnetic cells.
    """

    def __init__(self, magnet: Magnet, J, p, P, Lambda=1, eps_prime=0, d=None, *, side: int = 1):
        super().__init__(magnet, d)
        cells = self.mesh.cells
        self.side = side
        self._register("J", J, Role(Scalar, cells))
        self._register("p", p, Role(Direction, cells))
        self._register("P", P, Role(Scalar, cells, lower=-1.0, upper=1.0))
        self._register("Lambda", Lambda, Role(Scalar, cells, lower=0.0))
        self._register("eps_prime", eps_prime, Role(Scalar, cells))

    def __setattr__(self, name, value):
        if name == "side" and (isinstance(value, bool) or value not in (1, -1)):
            raise ValueError(f"{type(self).__name__}: side = {value!r}, expected +1 (fixed layer above, at +z) or -1 (below)")
        super().__setattr__(name, int(value) if name == "side" else value)

    def _field(self, m, values):
        mesh, body, p = self.mesh, values["magnet"], values["p"]
        # hbar / e first: J / d alone leaves little room in float32 for second derivatives.
        flow = self.side * (hbar / e) * values["J"] / self._thickness(values)
        damping = lump(per_component(flow * values["P"], mesh) * p, body, mesh)
        fieldlike = lump(per_component(flow * values["eps_prime"], mesh) * p, body, mesh)
        square = nodal_mean(per_component(values["Lambda"], mesh), body, mesh) ** 2
        along = per_component(layout.dot(m, nodal_mean(p, body, mesh), mesh), mesh)
        angular = (square + 1) + (square - 1) * along
        return square / (angular + (angular == 0)) * layout.cross(m, damping, mesh) + fieldlike
