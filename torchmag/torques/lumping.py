"""Cell quantities of a torque at the nodes.  Vectors are (*batch, 3, *cells), scalars (*batch, 1, *cells) or 0-d."""

from torch import Tensor

from torchmag import layout
from torchmag.constants import mu_0
from torchmag.mesh import Mesh
from torchmag.parameters import Values


def per_component(x: Tensor, mesh: Mesh) -> Tensor:
    """A scalar (*batch, *grid) with the component axis of a vector, (*batch, 1, *grid); 0-d stays."""
    return x.unsqueeze(layout.component_dim(mesh)) if x.ndim else x


def lump(x: Tensor, body: Values, mesh: Mesh) -> Tensor:
    """int phi fraction x dx / (mu_0 int phi M dx) at the nodes, 0 where nothing is magnetic."""
    weighted = per_component(body["fraction"], mesh) * x
    return layout.to_nodes(layout.expand_to_cells(weighted, mesh), mesh) * per_component(body["inverse_mass"], mesh)


def nodal_mean(x: Tensor, body: Values, mesh: Mesh) -> Tensor:
    """The mean over the cells of a node weighted by moment; a uniform x stays as it is."""
    if all(size == 1 for size in x.shape[x.ndim - mesh.dim :]):
        return x
    return lump(mu_0 * per_component(body["Ms"], mesh) * x, body, mesh)
