import torch
from torch import Tensor, nn

from torchmag.energy import Energy
from torchmag.magnet import Magnet
from torchmag.parameters import depends_on
from torchmag.samples import for_each_sample


class EnergyModule(Energy):
    """A term from any Module m -> E, a network for instance; its field is minus the derivative, by torch.func.grad.

    Args:
        magnet: the body.
        module: its forward takes m (*batch, 3, *nodes), t (s) or both, by these names, and returns E (*batch) in J.  A batch
            of m must give each sample's own energy.

    Its parameters train with `energy.energy_module.module`.  A total energy has no density: `density_map` is a TypeError.
    """

    def __init__(self, magnet: Magnet, module: nn.Module):
        super().__init__(magnet)
        if not isinstance(module, nn.Module):
            raise TypeError(f"EnergyModule: module is a {type(module).__name__}, expected an nn.Module (m) -> E in J")
        self._arguments = depends_on(module)
        if "m" not in self._arguments:
            raise TypeError(f"EnergyModule: {type(module).__name__}.forward takes {self._arguments}, expected m (and t) by name")
        self.module = module

    def _at_own(self, values, t, m, cache):
        return super()._at_own(values, t, m, cache) | {"t": t}

    def _total(self, m: Tensor, values) -> Tensor:
        energy = lambda t, m: self.module(**{name: t if name == "t" else m for name in self._arguments})
        t = values["t"]
        return for_each_sample(energy, t, m, 1 + self.mesh.dim, 0) if t.ndim and "t" in self._arguments else energy(t, m)

    def _energy(self, m, values):
        E = self._total(m, values)
        if E.shape != m.shape[: m.ndim - self.mesh.dim - 1]:
            raise ValueError(
                f"EnergyModule: the module returned shape {tuple(E.shape)} for m {tuple(m.shape)}, expected one energy per sample"
            )
        return E

    def _variation(self, m, values):
        return torch.func.grad(lambda x: self._energy(x, values).sum())(m) / self.mesh.cell_volume

    def _density_map(self, m, values):
        raise TypeError("EnergyModule gives a total energy, not a density")
