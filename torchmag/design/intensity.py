import torch
from torch import Tensor

from torchmag import layout
from torchmag.design.region_average import Probe


class SpinWaveIntensity(Probe):
    """Spin-wave intensity in a region, the mean over its cells and over the times of |m_perp|^2, m_perp = m - (m.n) n.

    What a detector reads in inverse magnonics (Papp, Porod and Csaba, Nat. Commun. 12, 6422 (2021)); of small waves.

    Args:
        magnet, region: see `RegionAverage`.
        reference: n, the equilibrium: a direction (3,) or a state (*batch, 3, *nodes); unit vectors.

    Shape: a trajectory (T, *batch, 3, *nodes) -> (*batch), dimensionless.
    Raises:
        ValueError: a reference of another shape or without direction.
    """

    def __init__(self, magnet, reference, region=None):
        super().__init__(magnet, region)
        mesh = magnet.mesh
        n = torch.as_tensor(reference).detach().to(magnet.reference)
        n = layout.to_grid(n, (3,), mesh.nodes, "SpinWaveIntensity: reference", "nodes")
        length = torch.linalg.vector_norm(n, dim=layout.component_dim(mesh), keepdim=True)
        if not bool(length.isfinite().all()) or not bool((length > 0).any()):
            raise ValueError("SpinWaveIntensity: reference has no direction, expected unit vectors")
        self.register_buffer("n", n / (length + (length == 0)))

    def forward(self, m: Tensor) -> Tensor:
        mesh = self.magnet.mesh
        n = self.n.expand(*self.n.shape[: -mesh.dim], *mesh.nodes)
        along = layout.dot(m, n, mesh).unsqueeze(layout.component_dim(mesh))
        across = m - along * n
        return self.mean(across * across).sum(-1).mean(0)
