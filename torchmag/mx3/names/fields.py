"""Fields, energies, torques: what scripts read off."""

import torch

import torchmag as tm
from torchmag.mx3.kinds import Setting
from torchmag.mx3.quantity import Number, Quantity

# mumax3's name of a field or energy -> the terms that are in it
TERMS = {
    "exch": ("exch", "dind", "dbulk"), "anis": ("uniaxial", "cubic"), "demag": ("demag",), "zeeman": ("zeeman",), "mel": ("mel",),
}  # fmt: skip


def names(world) -> dict[str, object]:
    """What this room adds."""
    found = [*_fields(world), *_energies(world), *_torques(world), *_cells(world)]
    return {q.name: Setting(lambda q=q: q, None, live=True) for q in found}


def on_cells(world, nodes: torch.Tensor) -> torch.Tensor:
    """A nodal field on the cells of the body: (3, *nodes) -> (3, nx, ny, nz)."""
    return world.grid.cells_of(nodes) * (world.geometry.fill > 0)


def _fields(world):
    def nodal(name):
        def nodes(m, t):
            physics = world.physics()
            m = m.reshape(3, *world.grid.mesh.nodes)
            return physics.field_of(TERMS[name], m, t).reshape(3, *world.grid.nodes)

        return nodes

    for name in ("exch", "anis", "mel"):
        nodes = nodal(name)
        values = lambda nodes=nodes: on_cells(world, nodes(world.nodal_m(), world.t)) if world.physics().magnet else _none(world)
        yield Quantity(world, f"B_{name}", "T", 3, values, nodes)
    yield Quantity(world, "B_demag", "T", 3, lambda: _demag(world), nodal("demag"))
    yield Quantity(world, "B_eff", "T", 3, lambda: _effective(world), lambda m, t: _all(world, m, t))
    yield Quantity(world, "B_custom", "T", 3, lambda: _sum(world, world.custom_fields, 3))
    yield Quantity(world, "B_therm", "T", 3, lambda: _thermal(world))


def _none(world, components=3):
    return world.grid.full([0.0] * components)


def _sum(world, quantities, components):
    return sum((q.values() for q in quantities), start=_none(world, components))


def _demag(world):
    """The mean field in each cell, outside of the body too."""
    physics = world.physics()
    if physics.magnet is None or "demag" not in physics.terms:
        return _none(world)
    term, mesh = physics.terms["demag"], world.grid.mesh
    cells = world.m.cells().reshape(3, *mesh.cells)
    return tm.mu_0 * term.cell_field(cells).reshape(3, *world.grid.n)


def _all(world, m, t):
    physics = world.physics()
    return physics.field_of(tuple(physics.terms), m.reshape(3, *world.grid.mesh.nodes), t)


def _effective(world):
    physics = world.physics()
    if physics.magnet is None:
        return _none(world)
    return on_cells(world, _all(world, world.nodal_m(), world.t))


def _thermal(world):
    physics = world.physics()
    if physics.magnet is None or physics.llg.temperature is None:
        return _none(world)
    raise ValueError("the thermal field exists within a step only; torchmag would need to keep its last one")


def _energies(world):
    def density(terms):
        physics, m = world.physics(), None
        total = torch.zeros(world.grid.n, dtype=torch.float64, device=world.reference.device)
        for name in terms:
            if name in physics.terms:
                m = world.nodal_m() if m is None else m
                total = total + physics.terms[name].density_map(m, world.t).reshape(world.grid.n)
        return total.unsqueeze(0)

    def energy(terms):
        physics = world.physics()
        m = world.nodal_m() if physics.terms else None
        return sum(float(physics.terms[name].energy(m, world.t)) for name in terms if name in physics.terms)

    volume = lambda: world.grid.mesh.cell_volume
    custom = lambda: _sum(world, world.custom_energies, 1)
    custom_energy = lambda: float(custom().double().sum()) * volume() if world.custom_energies else 0.0
    every = tuple(name for terms in TERMS.values() for name in terms)
    for name, terms in TERMS.items():
        shown = "Zeeman" if name == "zeeman" else name
        yield Number(world, f"E_{shown}", "J", lambda terms=terms: energy(terms))
        yield Quantity(world, f"Edens_{shown}", "J/m3", 1, lambda terms=terms: density(terms))
    yield Number(world, "E_custom", "J", custom_energy)
    yield Quantity(world, "Edens_custom", "J/m3", 1, custom)
    yield Number(world, "E_total", "J", lambda: energy(every) + custom_energy())
    yield Quantity(world, "Edens_total", "J/m3", 1, lambda: density(every) + custom())
    yield Number(world, "E_therm", "J", lambda: 0.0)
    yield Quantity(world, "Edens_therm", "J/m3", 1, lambda: _none(world, 1))


def _torques(world):
    def rate(which):
        """-1 / (1 + alpha^2) [m x B + alpha m x (m x B)], T."""
        physics = world.physics()
        if physics.magnet is None:
            return torch.zeros(3, *world.grid.nodes, dtype=world.reference.dtype)
        m, llg = world.nodal_m(), physics.llg
        if which == "all":
            found = llg(world.t, m)
        else:
            values = llg.complete(world.t, m)
            parts = llg.fields(m, world.t)
            kind = "torques." if which == "spin" else "energy."
            field = sum((field for name, field in parts.items() if name.startswith(kind)), start=torch.zeros_like(m))
            found = llg._rate(m, field, values)
        return found.reshape(3, *world.grid.nodes) / world.gamma

    def largest():
        found = rate("all").norm(dim=0)
        return float(found.max())

    yield Quantity(world, "torque", "T", 3, lambda: on_cells(world, rate("all")))
    yield Quantity(world, "LLtorque", "T", 3, lambda: on_cells(world, rate("energy")))
    yield Quantity(world, "STTorque", "T", 3, lambda: on_cells(world, rate("spin")))
    yield Number(world, "maxTorque", "T", largest)


def _cells(world):
    moment = lambda: world.parameters["msat"].values() * world.geometry.fill
    yield Quantity(world, "m_full", "A/m", 3, lambda: world.m.values() * moment())
    yield Quantity(world, "spinAngle", "rad", 1, lambda: _angles(world).unsqueeze(0))
    yield Number(world, "MaxAngle", "rad", lambda: float(_angles(world).max()))
    yield Quantity(world, "ExchCoupling", "arb.", 1, lambda: _coupling(world, "aex", world.exchange_pairs, 2.0))
    yield Quantity(world, "DindCoupling", "arb.", 1, lambda: _coupling(world, "dind", world.dmi_pairs, 1.0))


def _neighbours(world):
    """(axis, whether the cell has a next one, bool (nx, ny, nz)) of each axis."""
    body = (
        (world.geometry.fill > 0) & (world.parameters["msat"].values()[0] > 0)
        if not world.parameters["msat"].is_zero
        else world.geometry.fill > 0
    )
    for axis, n in enumerate(world.grid.n):
        joined = body & body.roll(-1, axis)
        if not world.grid.pbc[axis]:
            joined.narrow(axis, n - 1, 1).fill_(False)
        if n > 1 or world.grid.pbc[axis]:
            yield axis, joined


def _bonds(world, name, pairs):
    """Of each axis: which cells have a next one, and the stiffness between them: harmonic mean, times the coupling of regions."""
    ids, value = world.regions.ids, world.parameters[name].values()[0].double()
    scale = torch.ones(256, 256, dtype=torch.float64)
    fixed = torch.full((256, 256), float("nan"), dtype=torch.float64)
    for (i, j), (kind, number) in pairs.items():
        target = scale if kind == "scale" else fixed
        target[i, j] = target[j, i] = number
    scale, fixed = scale.to(ids.device), fixed.to(ids.device)
    for axis, joined in _neighbours(world):
        other, there = ids.roll(-1, axis), value.roll(-1, axis)
        total = value + there
        mean = 2 * value * there / (total + (total == 0))
        found = torch.where(other == ids, mean, mean * scale[ids, other])
        given = fixed[ids, other]
        yield axis, joined, torch.where(given.isnan(), found, given)


def _angles(world):
    """The largest angle to a neighbour that is coupled."""
    m = world.m.values().double()
    found = torch.zeros(world.grid.n, dtype=torch.float64, device=m.device)
    for axis, joined, stiffness in _bonds(world, "aex", world.exchange_pairs):
        other = m.roll(-1, axis + 1)
        angle = torch.atan2(torch.linalg.cross(m, other, dim=0).norm(dim=0), (m * other).sum(0)) * (joined & (stiffness != 0))
        found = torch.maximum(found, torch.maximum(angle, angle.roll(1, axis)))
    return found


def _coupling(world, name, pairs, factor):
    """The mean stiffness to the neighbours in the plane, and above."""
    total = torch.zeros(world.grid.n, dtype=torch.float64, device=world.reference.device)
    axes = 0
    for axis, joined, stiffness in _bonds(world, name, pairs):
        bond = stiffness * joined
        total, axes = total + bond + bond.roll(1, axis), axes + 1
    return (total / 4).unsqueeze(0)
