"""Topology optimisation: a material density per cell, filtered and projected."""

import itertools
import math

import torch
from torch import Tensor, nn

from torchmag.layout import to_grid
from torchmag.mesh import Mesh
from torchmag.parameters import as_data


class DensityField(nn.Module):
    """A density in [0, 1] per cell that trains: `tm.Magnet(mesh, Ms, fraction=tm.DensityField(mesh, radius=20e-9))`.

    The design variable x = sigmoid(raw) of each cell is averaged with the weights max(0, 1 - d / radius), d the distance between
    cell centres (Bruns and Tortorelli, Comput. Methods Appl. Mech. Eng. 190, 3443 (2001)), which bans details smaller than the
    radius, and projected towards 0 and 1 (Wang, Lazarov and Sigmund, Struct. Multidisc. Optim. 43, 767 (2011), Eq. 9):

        density = [tanh(beta eta) + tanh(beta (x_f - eta))] / [tanh(beta eta) + tanh(beta (1 - eta))].

    Continuation: train with beta = 1, then raise it (`density.beta = 2 * density.beta`) until `grayness` is small.

    Args:
        mesh: the grid; periodic axes wrap.
        radius: of the filter, m, >= 0; below the cell size nothing is averaged.
        beta: sharpness of the projection, > 0; a buffer of the state_dict.
        eta: its threshold, 0 to 1.
        initial: x at the start, in (0, 1); a number or (*batch, *cells).
        domain: the cells that may hold material, bool (*cells); elsewhere the density is 0.  The weights are normalised
            over these cells, so that an edge gains or loses nothing.

    Shape: forward() -> (*batch, *cells).
    Raises:
        TypeError, ValueError: arguments of a wrong kind, shape or value.
    """

    def __init__(
        self,
        mesh: Mesh,
        radius: float,
        beta: float = 1.0,
        eta: float = 0.5,
        initial=0.5,
        domain: Tensor | None = None,
        *,
        dtype: torch.dtype | None = None,
        device=None,
    ):
        super().__init__()
        if not isinstance(mesh, Mesh):
            raise TypeError(f"DensityField: mesh is a {type(mesh).__name__}, expected a torchmag.Mesh")
        if not 0 <= radius < math.inf:
            raise ValueError(f"DensityField: radius = {radius}, expected a length in metres, 0 or more")
        if not 0 <= eta <= 1:
            raise ValueError(f"DensityField: eta = {eta}, expected a threshold from 0 to 1")
        x = _initial(initial, mesh, dtype).to(device)
        self.mesh, self.radius, self.eta = mesh, float(radius), float(eta)
        self.raw = nn.Parameter(torch.logit(x))
        self.register_buffer("domain", _domain(domain, mesh).to(x.device))
        self.register_buffer("beta", x.new_ones(()))
        self.beta = beta
        self._build()

    def __setattr__(self, name, value):
        if name == "beta":
            if not 0 < float(value) < math.inf:
                raise ValueError(f"DensityField: beta = {float(value):g}, expected > 0 and finite")
            # A new tensor: graphs that hold the one before stay valid.
            value = torch.full_like(self.beta, float(value))
        super().__setattr__(name, value)

    def forward(self) -> Tensor:
        beta, eta = self.beta, self.eta
        low = torch.tanh(beta * eta)
        projected = (low + torch.tanh(beta * (self.filtered() - eta))) / (low + torch.tanh(beta * (1 - eta)))
        return projected.clamp(0, 1)  # against rounding

    def filtered(self) -> Tensor:
        """The design variable after the filter, before the projection, in [0, 1]: (*batch, *cells)."""
        x = torch.sigmoid(self.raw) * self.domain
        return (self._averaged(x) * self.scale).clamp(0, 1)

    def grayness(self) -> Tensor:
        """How far the density is from 0 and 1: mean of 4 rho (1 - rho) over the domain, 0 to 1: (*batch)
        (Sigmund, Struct. Multidisc. Optim. 33, 401 (2007), Eq. 40)."""
        rho = self()
        grey = 4 * rho * (1 - rho) * self.domain
        return grey.sum(tuple(range(-self.mesh.dim, 0))) / self.domain.sum()

    def _averaged(self, x):
        dims = tuple(range(-self.mesh.dim, 0))
        lengths = self.spectrum.shape[:-1] + (self.length,)
        x = torch.fft.rfftn(x, lengths, dims)
        # Real times complex by real arithmetic, which Inductor fuses.
        x = torch.view_as_complex(torch.view_as_real(x) * self.spectrum.unsqueeze(-1))
        x = torch.fft.irfftn(x, lengths, dims)
        return x[(..., *(slice(n) for n in self.mesh.cells))]

    def _build(self):
        """The transform of the weights (real: they are even) and one over their sum at each cell, 0 outside of the domain."""
        weights, self.length = _weights(self.mesh, self.radius)
        like = self.raw
        spectrum = torch.fft.rfftn(weights).real
        self.register_buffer("spectrum", spectrum.to(dtype=like.dtype, device=like.device), persistent=False)
        inside = self.domain.to(like.dtype)
        self.register_buffer("scale", inside / (self._averaged(inside) + (1 - inside)), persistent=False)

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._build()  # anew, not rounded
        return self

    def _load_from_state_dict(self, *args, **kwargs):
        super()._load_from_state_dict(*args, **kwargs)
        self._build()

    def extra_repr(self) -> str:
        beta = "meta" if self.beta.device.type == "meta" else f"{self.beta.item():g}"
        return f"cells={self.mesh.cells}, radius={self.radius:g} m, beta={beta}, eta={self.eta:g}"


def _weights(mesh, radius):
    """The filter's weights around cell 0 on the grid of the transform, float64, and the length of its last axis.

    Open axes are padded by the reach of the filter; on periodic ones all images within the radius add up.
    """
    open_axes = [not mesh.periodic(axis) for axis in range(mesh.dim)]
    reach = [math.ceil(radius / h) for h in mesh.dx[: mesh.dim]]
    reach = [min(k, n - 1) if is_open else k for k, n, is_open in zip(reach, mesh.cells, open_axes)]
    lengths = [n + k if is_open else n for k, n, is_open in zip(reach, mesh.cells, open_axes)]
    weights = torch.zeros(lengths, dtype=torch.float64, device="cpu")
    offsets = [range(-k, k + 1) for k in reach]
    for offset in itertools.product(*offsets):
        distance = math.hypot(*(i * h for i, h in zip(offset, mesh.dx)))
        weight = max(0.0, 1 - distance / radius) if radius else float(not any(offset))
        weights[tuple(i % n for i, n in zip(offset, lengths))] += weight
    return weights, lengths[-1]


def _initial(initial, mesh, dtype):
    if not isinstance(initial, Tensor):
        initial = as_data("DensityField: initial", initial, torch.empty((), dtype=dtype, device="cpu"))
    x = to_grid(initial.detach().to(dtype), (), mesh.cells, "DensityField: initial", "cells")
    if not x.is_floating_point() or not bool(((x > 0) & (x < 1)).all()):
        raise ValueError(f"DensityField: initial spans {x.min().item():g} to {x.max().item():g}, expected within (0, 1)")
    return x.expand(*x.shape[: max(x.ndim - mesh.dim, 0)], *mesh.cells).clone()


def _domain(domain, mesh):
    if domain is None:
        return torch.ones(mesh.cells, dtype=torch.bool, device="cpu")
    if not isinstance(domain, Tensor) or domain.dtype != torch.bool or tuple(domain.shape) != mesh.cells:
        got = f"{domain.dtype} {tuple(domain.shape)}" if isinstance(domain, Tensor) else type(domain).__name__
        raise ValueError(f"DensityField: domain is {got}, expected a bool tensor over the cells {mesh.cells}")
    if not bool(domain.any()):
        raise ValueError("DensityField: domain is empty; mark the cells that may hold material")
    return domain
