"""One body with every energy term on it, each with maps of its own: what a test of all of them together starts from."""

import math

import torch

import torchmag as tm

INF = math.inf
# Along `axis` the spacer of the interlayer coupling is cell 2, its planes are the nodes 2 and 3.
SPACER, PLANES = 2, (2, 3)
CASES = {
    "1d": (tm.Mesh((5,), (2e-9, 3e-9, 2.5e-9)), 0),
    "1d, periodic": (tm.Mesh((5,), (2e-9, 3e-9, 2.5e-9), pbc=(INF, 0, 0)), 0),
    "2d": (tm.Mesh((4, 5), (2e-9, 3e-9, 2.5e-9)), 1),
    "2d, images along x": (tm.Mesh((4, 5), (2e-9, 3e-9, 2.5e-9), pbc=(2, 0, 1)), 1),
    "3d": (tm.Mesh((3, 4, 5), (2e-9, 3e-9, 2.5e-9)), 2),
    "3d, periodic in the layers": (tm.Mesh((3, 4, 5), (2e-9, 3e-9, 2.5e-9), pbc=(INF, INF, 0)), 2),
    "3d, periodic across the layers": (tm.Mesh((5, 3, 4), (2e-9, 3e-9, 2.5e-9), pbc=(INF, 0, 0)), 0),
    "3d, periodic everywhere": (tm.Mesh((3, 5, 4), (2e-9, 3e-9, 2.5e-9), pbc=(INF, INF, INF)), 1),
}


def rand(*shape, seed):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def randn(*shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def body(mesh, axis):
    """Maps of Ms and fraction, an empty layer and an empty corner."""
    Ms, fraction = 8e5 * (0.5 + rand(*mesh.cells, seed=1)), 0.5 + 0.5 * rand(*mesh.cells, seed=2)
    fraction.select(axis, SPACER).fill_(0)
    if mesh.dim > 1:
        Ms.view(-1)[0] = 0
    return tm.Magnet(mesh, Ms, fraction)


def terms(magnet, axis):
    """{name: term}, of comparable size."""
    mesh, cells = magnet.mesh, magnet.mesh.cells
    plane = [1 if a == axis else n for a, n in enumerate(cells)]

    def map_of(value, seed):
        return value * (0.5 + rand(*cells, seed=seed))

    return {
        "exchange": tm.Exchange(magnet, map_of(1e-11, 3)),
        "uniaxial": tm.UniaxialAnisotropy(magnet, map_of(1e6, 4), randn(3, *cells, seed=5), Ku2=map_of(-5e5, 6)),
        "cubic": tm.CubicAnisotropy(
            magnet, map_of(1e6, 7), randn(3, *cells, seed=8), randn(3, *cells, seed=9), Kc2=map_of(3e6, 10), Kc3=map_of(2e6, 11)
        ),
        "bulk_dmi": tm.BulkDMI(magnet, map_of(3e-3, 12)),
        "interface_dmi": tm.InterfaceDMI(magnet, map_of(-2e-3, 13), randn(3, *cells, seed=14)),
        "dmi": tm.DMI(magnet, 1e-3 * randn(3, 3, 3, *cells, seed=15)),
        "magnetoelastic": tm.Magnetoelastic(magnet, 1e-2 * randn(6, *cells, seed=16), map_of(-9e6, 17), map_of(7e6, 18)),
        "interlayer": tm.InterlayerExchange(
            magnet, -1e-3 * (0.5 + rand(*plane, seed=19)), J2=-5e-4 * (0.5 + rand(*plane, seed=20)), axis=axis, planes=PLANES
        ),
        "oersted": tm.Oersted(magnet, 1e13 * randn(3, *cells, seed=21)),
        "zeeman": tm.Zeeman(magnet, 3e5 * randn(3, *mesh.nodes, seed=22)),
        "demag": tm.Demag(magnet),
    }


def everything(name):
    """The Sum of all terms on the body of this name."""
    mesh, axis = CASES[name]
    return tm.Sum(**terms(body(mesh, axis), axis))
