"""What the cases are made of, in float64 whatever torch's default: bodies, positions, directions."""

import csv
import math
import os
import shutil
from collections.abc import Sequence
from importlib import resources

import torch
from torch import Tensor

import torchmag as tm

# The thickness and width of wires: nothing in 1D depends on it but the energy.
NM = 1e-9


def wire(cells: int, h: float, Ms, *, periodic: bool = False, **options) -> tm.Magnet:
    """A 1D body of 1 nm x 1 nm cross-section along x."""
    return body((cells,), (h, NM, NM), Ms, pbc=(math.inf if periodic else 0, 0, 0), **options)


def body(n: Sequence[int], dx: Sequence[float], Ms, *, origin=(0.0, 0.0, 0.0), pbc=(0, 0, 0), **options) -> tm.Magnet:
    """A body in float64; options are of `tm.Magnet`, order=2 where numbers of that scheme are compared."""
    return tm.Magnet(tm.Mesh(tuple(n), tuple(dx), origin=origin, pbc=pbc), Ms, dtype=torch.float64, **options)


def at_nodes(magnet: tm.Magnet) -> Tensor:
    """Coordinates of the nodes, m: (3, *nodes)."""
    return tm.positions(magnet.mesh, dtype=torch.float64)


def at_cells(magnet: tm.Magnet) -> Tensor:
    """Coordinates of the cell centres, m: (3, *cells)."""
    return tm.positions(magnet.mesh, "cells", dtype=torch.float64)


def uniform(magnet: tm.Magnet, direction) -> Tensor:
    """Uniform magnetisation; a tensor (*batch, 3) of directions gives a batch."""
    return tm.uniform(magnet.mesh, direction, dtype=torch.float64)


def reals(values) -> Tensor:
    """Numbers as a tensor in float64."""
    return torch.tensor(values, dtype=torch.float64)


def published(file: str) -> Tensor:
    """The numbers of a file of torchmag/data, without its header: (rows, columns)."""
    with (resources.files("torchmag") / "data" / file).open() as lines:
        return reals([[float(x) for x in row] for row in list(csv.reader(lines))[1:]])


def angles(theta: Tensor, *, axis: str, to: str) -> Tensor:
    """m turned by theta (..., *nodes) from one Cartesian axis towards another: (..., 3, *nodes) for a 1D mesh."""
    planes = [torch.zeros_like(theta)] * 3
    planes["xyz".index(axis)], planes["xyz".index(to)] = torch.cos(theta), torch.sin(theta)
    return torch.stack(planes, -2)


def batch(values: Sequence[float], dim: int = 1) -> Tensor:
    """Numbers as one scalar per sample: (B, 1[, 1, 1])."""
    return torch.tensor(values, dtype=torch.float64).reshape(-1, *(1,) * dim)


def fields(values: Sequence[float], direction: Sequence[float], dim: int = 1) -> Tensor:
    """Uniform fields along one direction, one strength per sample: (B, 3[, 1, 1, 1])."""
    strengths = torch.tensor(values, dtype=torch.float64)
    return (strengths[:, None] * torch.tensor(direction, dtype=torch.float64)).reshape(-1, 3, *(1,) * dim)


def compiled(llg: tm.LLG) -> tm.LLG:
    """The same equation, compiled where there is a C++ compiler: small meshes integrate several times as fast."""
    if any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "c++", "clang++")):
        llg.compile()
    return llg
