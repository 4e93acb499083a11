"""What energies and torques share: parameters on one Magnet."""

import numpy as np
import torch
from torch import Tensor

from torchmag.device import instant
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh
from torchmag.parameters import Parametric, Values
from torchmag.samples import fresh_cache
from torchmag.sealed import Sealed


class Term(Sealed, Parametric):
    """A Parametric that belongs to a Magnet.

    The Magnet stays outside `_modules`: the Sum registers the body once, for all terms and torques.
    """

    def __init__(self, magnet: Magnet):
        super().__init__()
        if not isinstance(magnet, Magnet):
            raise TypeError(f"{type(self).__name__}: magnet is a {type(magnet).__name__}, expected a torchmag.Magnet")
        self.__dict__["magnet"] = magnet

    @property
    def mesh(self) -> Mesh:
        """The grid of the body."""
        return self.magnet.mesh

    @property
    def reference(self) -> Tensor:
        return self.magnet.reference

    def complete(self, m: Tensor, t=0.0, values: Values | None = None) -> Values:
        """All values at (t, m), the body's among them."""
        title = type(self).__name__
        check_field(m, self.magnet, title)
        values = self.remembered() if values is None else values
        return self.at(values, as_time(t, title, m), m, fresh_cache(values))

    def at(self, values: Values, t: Tensor, m: Tensor, cache: dict) -> Values:
        return self._at_own(values, t, m, cache) | {"magnet": self.magnet.at(values["magnet"], t, m, cache)}

    def _resolved(self, values, prefix):
        yield from self._resolved_own(values, prefix)
        yield from self.magnet._resolved(values["magnet"], f"{prefix}magnet.")

    def _at_own(self, values, t, m, cache):
        """The values without the body's."""
        return super().at(values, t, m, cache)

    def _parametrics(self):
        return [self, self.magnet]

    def _prepare(self, overrides, prefix, cache):
        return self._prepare_own(overrides, prefix, cache) | {
            "magnet": self.magnet._prepare(overrides, f"{prefix}magnet.", cache)
        }

    def _prepare_own(self, overrides, prefix, cache):
        """The values without the body's."""
        return super()._prepare(overrides, prefix, cache)

    def _names(self, prefix):
        return super()._names(prefix) + self.magnet._names(f"{prefix}magnet.")

    def _apply(self, fn, recurse=True):
        self.magnet._apply(fn, recurse)
        return super()._apply(fn, recurse)


def check_field(m: Tensor, magnet: Magnet, title: str) -> None:
    """Raise unless m is a vector field on the nodes, of the magnet's dtype."""
    expected = (3, *magnet.mesh.nodes)
    if not isinstance(m, Tensor):
        raise TypeError(f"{title}: m is a {type(m).__name__}, expected a tensor (*batch, 3, *nodes); see torchmag.uniform")
    if tuple(m.shape[-len(expected) :]) != expected:
        raise ValueError(f"{title}: m has shape {tuple(m.shape)}, expected (*batch, {', '.join(map(str, expected))})")
    if not m.numel():
        raise ValueError(f"{title}: m has shape {tuple(m.shape)}, a batch without samples; expected at least one")
    if m.dtype != magnet.reference.dtype:
        raise TypeError(f"{title}: m is {m.dtype}, the magnet is {magnet.reference.dtype}; convert one with .to()")
    if m.device != magnet.reference.device:
        raise ValueError(f"{title}: m is on {m.device}, the magnet on {magnet.reference.device}; move one with .to()")


def as_time(t, title: str, m: Tensor, batch: tuple[int, ...] = ()) -> Tensor:
    """A time in s as a float64 tensor where m lives: 0-d, or one for each sample of the batch."""
    if not isinstance(t, (Tensor, int, float, np.number)):
        raise TypeError(f"{title}: t is a {type(t).__name__}, expected a time in s")
    t = instant(t, m)
    if t.ndim and tuple(t.shape) != tuple(batch):
        raise ValueError(f"{title}: t has shape {tuple(t.shape)}, expected one time in s")
    return t


def match_batch(m, x):
    """x with the batch axes of m."""
    return x.expand(torch.broadcast_shapes(m.shape, x.shape))


def node_mask(frozen: Tensor, mesh: Mesh, like: Tensor, title: str) -> Tensor:
    """A bool mask over the nodes, checked, on the device of `like`."""
    if not isinstance(frozen, Tensor) or frozen.dtype != torch.bool:
        raise TypeError(f"{title}: frozen must be a bool tensor over the nodes")
    if tuple(frozen.shape) != mesh.nodes:
        raise ValueError(f"{title}: frozen has shape {tuple(frozen.shape)}, nodes are {mesh.nodes}")
    return frozen.to(like.device)
