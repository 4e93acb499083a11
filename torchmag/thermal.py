"""Temperature: the fluctuating field of Brown."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from torchmag import layout
from torchmag.constants import k_B, mu_0
from torchmag.forms import Scalar
from torchmag.magnet import Magnet
from torchmag.noise import normal
from torchmag.parameters import Role, Values
from torchmag.term import Term


class ThermalField(Term):
    """White noise in the effective field (Brown, Phys. Rev. 130, 1677 (1963)), independent per node and component, of variance

        2 alpha k_B T / (mu_0 Ms gamma V dt)

    with alpha, gamma and T at the node, Ms V its lumped moment and dt the step of `tm.solve`; zero where Ms, alpha or T is.
    mumax3 and OOMMF alike, with V of the cell (mumax3 in tesla).

    Pass it as `LLG(..., temperature=...)`: it takes alpha and gamma from there.  Maps of T are taken to the nodes as the mean of
    the adjacent cells weighted by moment.

    The noise of a step depends on its seed and on the number of steps made so far, `steps`, alone: it is the same on every
    device, in every dtype to rounding, and for a sample alone or in a batch.  `steps` counts on through all calls of `tm.solve`
    and is part of the state_dict, as is `seed`: restoring both and m continues a run bit by bit.  `reset()` starts it anew.

    Args:
        magnet: the body.
        T: temperature, K; number or cells (*batch, *cells), >= 0.
        seed: an integer >= 0, from which every sample of a batch gets noise of its own (the first that of a run alone); or one
            per sample, integers (*batch): a sample then gets the noise that it gets alone with its seed, and samples of equal
            seed the same.  They broadcast against the batch: `seed=range(8)` makes an ensemble of eight from one m0.

    Raises:
        ValueError: T negative or of another shape, a negative seed.
        TypeError: a seed that is no integer.
    """

    def __init__(self, magnet: Magnet, T, seed: int | Sequence[int] | Tensor):
        super().__init__(magnet)
        device = self.reference.device
        self.register_buffer("seed", _as_seed(seed).to(device))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=device))
        self._register("T", T, Role(Scalar, self.mesh.cells, lower=0.0))

    def __setattr__(self, name, value):
        if name == "seed" and name in self._buffers:
            value = _as_seed(value).to(self.seed.device)
        super().__setattr__(name, value)

    def reset(self) -> None:
        """Start the noise anew: the next step is the first."""
        self.steps.zero_()

    def noise(self, batch: Sequence[int], dt: float, first: int | None = None, count: int = 1) -> Tensor:
        """The white noise of `count` steps of length dt, of variance 1 / dt.

        Args:
            batch: batch shape of m; the seeds must broadcast to it.
            dt: step, s.
            first: number of the first step; `steps` by default.

        Returns:
            (count, *samples, 3, *nodes), s^-1/2; samples is the batch, or the shape of the seeds where there are several.
        Raises:
            ValueError: seeds that do not fit the batch.
        """
        self.broadcast(batch)
        seed, samples = self.seed, tuple(batch)
        sample = seed.new_zeros(())
        if seed.ndim:
            samples = tuple(seed.shape)
        else:
            sample = torch.arange(math.prod(samples), device=seed.device).reshape(samples)
        first = self.steps if first is None else first
        step = (first + torch.arange(count, device=seed.device)).reshape(count, *(1,) * len(samples))
        numbers = normal(seed, sample, step, 3 * math.prod(self.mesh.nodes)) / math.sqrt(dt)
        return numbers.reshape(count, *samples, 3, *self.mesh.nodes).to(self.reference.dtype)

    def broadcast(self, batch: Sequence[int]) -> tuple[int, ...]:
        """The batch shape of m and seeds together."""
        try:
            return tuple(torch.broadcast_shapes(tuple(batch), self.seed.shape))
        except RuntimeError:
            raise ValueError(
                f"ThermalField: seed has shape {tuple(self.seed.shape)}, the batch is {tuple(batch)}; "
                f"give one integer, or one per sample"
            ) from None

    def _field(self, m: Tensor, values: Values) -> Tensor:
        """The field of the noise in `values`, A/m; none without."""
        return values["noise"] * self._strength(values)

    def _strength(self, values: Values) -> Tensor:
        """Standard deviation times sqrt(dt), A/m s^1/2: (*batch, 1, *nodes)."""
        moment = values["magnet"]["mass"].unsqueeze(layout.component_dim(self.mesh)) * values["gamma"]
        ratio = values["alpha"] * values["T"] / (moment + (moment == 0))
        # Where there is no noise, so that the root has a gradient.
        silent = (ratio == 0) | (moment == 0)
        return torch.where(
            silent, 0.0, torch.where(silent, 1.0, ratio).sqrt() * math.sqrt(2 * k_B / (mu_0 * self.mesh.cell_volume))
        )

    def extra_repr(self) -> str:
        seed = self.seed.tolist() if self.seed.numel() <= 8 and self.seed.device.type != "meta" else tuple(self.seed.shape)
        return f"{super().extra_repr()}, seed={seed}"


def _as_seed(seed) -> Tensor:
    """Seeds as an int64 tensor of their own."""
    try:
        found = np.asarray(seed.detach().cpu() if isinstance(seed, Tensor) else seed)
    except ValueError:
        found = np.asarray(None)
    if found.dtype.kind not in "iu":
        raise TypeError(f"ThermalField: seed is {seed!r}, expected an integer, or one per sample")
    if not found.size or found.min() < 0 or found.max() >= 2**63:
        raise ValueError(f"ThermalField: seed = {seed!r}, expected integers from 0 to 2^63 - 1, at least one")
    return torch.tensor(found.astype(np.int64))
