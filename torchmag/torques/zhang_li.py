from torch import Tensor

from torchmag import layout
from torchmag.constants import e, gamma_0, mu_0, mu_B
from torchmag.forms import Scalar, Vector, compile_form, dot, grad
from torchmag.magnet import Magnet
from torchmag.parameters import Role, fit
from torchmag.staggered import make_kernel
from torchmag.torque import Torque
from torchmag.torques.lumping import per_component


class ZhangLi(Torque):
    """Spin-transfer torque of a current in the plane (Zhang and Li, Phys. Rev. Lett. 93, 127204 (2004)).

    tau = -1 / (1 + alpha^2) [ (1 + alpha xi) m x (m x (u.grad) m) + (xi - alpha) m x (u.grad) m ],
    u = mu_B P j / (e Ms (1 + xi^2)), a velocity.

    Sign and prefactor are those of mumax3 and mumax+; OOMMF takes u.

    In the LLG equation this is the field H = [m x (u.grad) m + xi (u.grad) m] / gamma.  (u.grad) m at a node is the weak form
    int phi M (u.grad) m dx over the lumped mass, M = fraction Ms: the central difference inside a uniform body, the one-sided
    one at its ends; maps of j, P and xi are integrated cell by cell.  Where gamma is 0, so is the torque.

    Args:
        magnet: the body.
        j: electric current density, A/m^2; (3,) or (*batch, 3, *cells); constant, or a Module or callable of t, m or both.
            Textures move along -j for P > 0.
        P: polarisation, -1 to 1; number or cells (*batch, *cells).
        xi: degree of non-adiabaticity; number or cells.

    Shape: m (*batch, 3, *nodes) -> field, A/m, same shape.
    Raises: ValueError for a constant j that flows only along axes that the mesh does not have: m does not vary there.
    """

    def __init__(self, magnet: Magnet, j, P=1, xi=0):
        super().__init__(magnet)
        mesh = self.mesh
        self._register("j", j, Role(Vector, mesh.cells))
        self._register("P", P, Role(Scalar, mesh.cells, lower=-1.0, upper=1.0))
        self._register("xi", xi, Role(Scalar, mesh.cells))
        form = compile_form(_convection, tuple(range(mesh.dim)), weak=True, order=magnet.order)
        self.kernel = make_kernel(form, mesh.dx, mesh.nodes, layout.periodic_axes(mesh), self.reference)

    def _register(self, name, value, role):
        value = self._as_source(name, value)
        if name == "j" and isinstance(value, Tensor) and value.device.type != "meta":
            self._require_gradient(fit(value.detach(), role, f"{type(self).__name__}: j"))
        super()._register(name, value, role)

    def _require_gradient(self, j):
        dim = self.mesh.dim
        flows = [bool(plane.count_nonzero()) for plane in layout.components(j, dim)]
        if any(flows) and not any(flows[:dim]):
            along = " and ".join(axis for axis, flow in zip("xyz", flows) if flow)
            raise ValueError(
                f"{type(self).__name__}: j flows along {along} only, but the mesh has the axes {', '.join('xyz'[:dim])}: a torque "
                f"without a gradient direction; use Slonczewski for a current through a film, or a mesh with that axis"
            )

    def _field(self, m, values):
        xi = values["xi"]
        b = per_component(mu_B / e * values["P"] / (1 + xi * xi), self.mesh) * values["j"]
        gradient = self._convect(m, b, values["magnet"])
        if xi.ndim:
            drag = self._convect(m, per_component(xi, self.mesh) * b, values["magnet"])
        else:
            drag = xi * gradient
        gamma = values.get("gamma", gamma_0)
        return (layout.cross(m, gradient, self.mesh) + drag) / (gamma + (gamma == 0))

    def _convect(self, m, b, body):
        """int phi fraction (b.grad) m dx over the lumped mass, 1/s."""
        found = self.kernel.variation({"m": m}, {"b": b, "fraction": body["fraction"]}, self.magnet.links(body))["m"]
        return found * (mu_0 * per_component(body["inverse_mass"], self.mesh))


def _convection(m, v, b: Vector):
    """v . (b.grad) m, with b = Ms u."""
    return dot(v, grad(m) * b)
