"""The exchange stiffness, inverted: what makes a minimiser's steps independent of the cell size."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from torchmag import layout
from torchmag.constants import mu_0
from torchmag.energies import Exchange
from torchmag.energy import Energy, Sum
from torchmag.midpoints import POWER, SLOPE, SMOOTHING, series
from torchmag.parameters import Values

# Curvature of what is not exchange, in units of max Ms: the largest that a stray field gives.  Softer directions are learnt in
# a few steps; with less (0.1) the long waves overshoot, and skyrmions were lost on the way.
SHIFT = 1.0


def exchange_preconditioner(energy: Energy, values: Values, like: Tensor, scale: Tensor) -> Callable[..., Tensor]:
    """Solve (shift + exchange) z = v, shift SHIFT or one for each sample, for a body that fills the mesh evenly; a close approximation for
    any other.

    Exact in the cosines of an open axis and the waves of a periodic one, which diagonalise the element's stiffness and lumped
    mass at once.  Symmetric and positive in the metric of the body's own lumped moment whatever its shape.

    Args:
        energy: Exchange terms in it are used; without any the result is v / shift.
        values: complete values of the energy.
        like: a vector field, for dtype and device.
        scale: max Ms per sample, A/m, (*batch, 1, *1).
    """
    mesh, body = energy.mesh, values["magnet"]
    stiffness = [_total(given["A"] * body["fraction"], mesh) for given in _exchanges(energy, values)]
    if not stiffness:
        return lambda v, shift=SHIFT: v / shift
    length2 = 2 * sum(stiffness) / (mu_0 * _total(body["M"], mesh)) / scale  # m^2
    stiff = length2 * _curvatures(mesh, like, energy.magnet.order)
    inverse = 1 / (SHIFT + stiff)
    full = layout.to_nodes(like.new_ones(mesh.cells), mesh)
    mean = _total(body["M"], mesh) / math.prod(mesh.cells)
    share = body["mass"].unsqueeze(-mesh.dim - 1) / (full * mean)

    def solve(v: Tensor, shift: Tensor | None = None) -> Tensor:
        own = inverse if shift is None else 1 / (shift + stiff)
        return _transform(_transform(share * v, mesh) * own, mesh) / _norm(mesh)

    return solve


def _exchanges(energy, values):
    terms = energy.named_terms() if isinstance(energy, Sum) else ((None, energy),)
    return [values if name is None else values[name] for name, term in terms if isinstance(term, Exchange)]


def _total(x, mesh):
    """Sum over the cells, (*batch, 1, *1)."""
    x = layout.expand_to_cells(x, mesh)
    return x.sum(tuple(range(-mesh.dim, 0)), keepdim=True).unsqueeze(-mesh.dim - 1)


def _curvatures(mesh, like, order):
    """Eigenvalues of stiffness against lumped mass, 1/m^2: (*nodes)."""
    found = like.new_zeros(())
    cosines = []
    for axis, (count, nodes) in enumerate(zip(mesh.cells, mesh.nodes)):
        period = count if mesh.periodic(axis) else 2 * count
        angle = 2 * math.pi / period * torch.arange(nodes, dtype=like.dtype, device=like.device)
        cosines.append(torch.cos(angle).reshape(-1, *(1,) * (mesh.dim - 1 - axis)))
    for axis, c in enumerate(cosines if order > 2 else ()):
        second = 2 - 2 * c
        sharp = 1 + sum(factor * second**power for power, factor in enumerate(series(SLOPE, order), 1))
        smooth = math.prod(1 - SMOOTHING * (2 - 2 * other) ** POWER for k, other in enumerate(cosines) if k != axis)
        found = found + second * (sharp * smooth) ** 2 / mesh.dx[axis] ** 2
    for axis, c in enumerate(cosines if order == 2 else ()):
        others = [(2 + other) / 3 for k, other in enumerate(cosines) if k != axis]
        found = found + (2 - 2 * c) / mesh.dx[axis] ** 2 * math.prod(others)
    return found


def _transform(x, mesh):
    """Cosine transform (DCT-I) along open axes, Hartley transform along periodic ones; its own inverse up to `_norm`."""
    for axis, nodes in enumerate(mesh.nodes):
        where = axis - mesh.dim
        if mesh.periodic(axis):
            spectrum = torch.fft.fft(x, dim=where)
            x = spectrum.real + spectrum.imag
        else:
            mirrored = torch.cat([x, x.narrow(where, 1, nodes - 2).flip(where)], where)
            x = torch.fft.rfft(mirrored, dim=where).real
    return x


def _norm(mesh):
    return math.prod(n if mesh.periodic(axis) else 2 * n for axis, n in enumerate(mesh.cells))
