import itertools
import math

import torch


def lumped_moment(Ms, mesh):
    """Moment of each node, A m^2: every cell (nx[, ny[, nz]]) gives an equal share of Ms V to each of its corners."""
    moment = torch.zeros(mesh.nodes, dtype=Ms.dtype)
    share = math.prod(mesh.dx) / 2**mesh.dim
    for cell in itertools.product(*map(range, mesh.cells)):
        for corner in itertools.product((0, 1), repeat=mesh.dim):
            node = tuple((i + c) % n for i, c, n in zip(cell, corner, mesh.nodes))
            moment[node] += share * Ms[cell]
    return moment
