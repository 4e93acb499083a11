"""The state of a script as torchmag's body, terms and equation."""

import math

import torch
from torch import Tensor

import torchmag as tm
from torchmag.mx3.exchange_pairs import weakened
from torchmag.mx3.script_error import Unsupported


class Physics:
    """What torchmag makes of a world: made anew where something has changed.

    Attributes:
        magnet: the body; None while nothing is magnetic.
        terms: name -> energy term; names are those of mumax3's fields: exch, anis ...
        torques: Zhang-Li and Slonczewski, where they act.
        llg: the equation.
    """

    def __init__(self, world):
        self.world, self.magnet, self.terms, self.torques, self.llg = world, None, {}, [], None
        self._mesh = self._demag = None

    def make(self, stale: set[str]) -> None:
        """Make what is stale: "body" (mesh, geometry, Msat), "terms" (all else)."""
        if "body" in stale or self.magnet is None:
            self._make_body()
        if self.magnet is not None:
            self._make_terms()

    def _cell_map(self, found: Tensor) -> Tensor:
        """(C, nx, ny, nz) to what torchmag takes: (*cells) or (3, *cells)."""
        shape = (() if len(found) == 1 else (len(found),)) + self.world.grid.mesh.cells
        return found.reshape(shape).contiguous()

    def value(self, name: str, factor: float = 1.0):
        """A parameter of the world as torchmag takes it."""
        return (
            self.world.parameters[name].value(lambda found: factor * self._cell_map(found))
            if factor == 1.0
            else self._scaled(name, factor)
        )

    def _scaled(self, name, factor):
        found = self.world.parameters[name].value(self._cell_map)
        if callable(found):
            return lambda t: factor * found(t)
        return tuple(factor * v for v in found) if isinstance(found, tuple) else factor * found

    def _make_body(self):
        world = self.world
        mesh, Ms = world.grid.mesh, world.parameters["msat"]
        fill = world.geometry.fill
        moment = Ms._on_cells()[0] * fill
        if bool((moment < 0).any()):
            raise ValueError("Msat is negative")
        if not bool((moment > 0).any()):
            self.magnet = self._mesh = self.llg = None
            self.terms, self.torques = {}, []
            return
        fraction = None if world.geometry.whole else self._cell_map((fill * (moment > 0)).unsqueeze(0))
        value = self.value("msat")
        if self.magnet is None or self._mesh != mesh:
            options = {"order": world.order, "dtype": world.reference.dtype, "device": world.reference.device}
            self.magnet, self._mesh = tm.Magnet(mesh, value, fraction, **options), mesh
            self._demag = None
        else:
            self.magnet.Ms, self.magnet.fraction = value, fraction

    def _make_terms(self):
        world, magnet, p = self.world, self.magnet, self.world.parameters
        terms = {}
        if not p["aex"].is_zero:
            terms["exch"] = tm.Exchange(magnet, self._weakened("aex", world.exchange_pairs))
        if not p["dind"].is_zero:
            terms["dind"] = tm.InterfaceDMI(magnet, self._negative(self._weakened("dind", world.dmi_pairs)), (0, 0, 1))
        if not p["dbulk"].is_zero:
            terms["dbulk"] = tm.BulkDMI(magnet, self._weakened("dbulk", world.dmi_pairs))
        if world.open_bc and ("dind" in terms or "dbulk" in terms):
            raise Unsupported(
                "torchmag's weak form has the natural boundary condition of the DMI; it would need a form without it",
                name="OpenBC",
            )
        if not (p["ku1"].is_zero and p["ku2"].is_zero) and not p["anisu"].is_zero:
            keep = {"Ku2": self.value("ku2")} if not p["ku2"].is_zero else {}
            terms["uniaxial"] = tm.UniaxialAnisotropy(
                magnet, self._where_axis("ku1", ["anisu"]), self._axis("anisu", (0, 0, 1)), **keep
            )
        if not all(p[name].is_zero for name in ("kc1", "kc2", "kc3")) and not p["anisc1"].is_zero and not p["anisc2"].is_zero:
            axes = self._cube_axes()
            higher = {f"K{name[1:]}": self.value(name) for name in ("kc2", "kc3") if not p[name].is_zero}
            terms["cubic"] = tm.CubicAnisotropy(magnet, self._where_axis("kc1", ["anisc1", "anisc2"]), *axes, **higher)
        strain = ["exx", "eyy", "ezz", "eyz", "exz", "exy"]
        if not all(p[name].is_zero for name in strain) and not (p["b1"].is_zero and p["b2"].is_zero):
            parts = torch.cat([p[name].values() for name in strain])
            if any(p[name].depends_on_time for name in strain):
                raise Unsupported("strains that depend on time: torchmag would need a map of functions", name="exx")
            terms["mel"] = tm.Magnetoelastic(magnet, self._cell_map(parts), self.value("b1"), self.value("b2"))
        if world.enable_demag:
            if not p["nodemagspins"].is_zero:
                terms["demag"] = self._partial_demag()
            else:
                if self._demag is None:
                    self._demag = tm.Demag(magnet)
                terms["demag"] = self._demag
        if not p["b_ext"].is_zero or not terms:
            terms["zeeman"] = tm.Zeeman(magnet, self._applied_field())
        if world.custom_fields:
            terms["custom"] = tm.Zeeman(magnet, self._custom_field())
        self.terms, self.torques = terms, self._spin_torques()
        self.llg = self._equation(self.torques, temperature=True)

    def _partial_demag(self):
        raise Unsupported("torchmag would need a stray field of part of the body", name="NoDemagSpins")

    def without_torques(self) -> tm.LLG:
        """The equation for relaxing: no currents, no temperature."""
        return self._equation([], temperature=False)

    def _equation(self, torques, temperature):
        world, p = self.world, self.world.parameters
        options = {"gamma": world.gamma * tm.mu_0, "torques": torques, "precession": world.precess}
        if temperature and not p["temp"].is_zero:
            options["temperature"] = tm.ThermalField(self.magnet, self.value("temp"), world.thermal_seed)
            options["temperature"].steps.fill_(world.thermal_steps)
        if not p["frozenspins"].is_zero:
            frozen = (p["frozenspins"].values() != 0).to(world.reference)
            options["frozen"] = world.grid.to_nodes(frozen).reshape(world.grid.mesh.nodes) > 0
        return tm.LLG(tm.Sum(**self.terms), self.value("alpha"), **options)

    def _negative(self, value):
        return (lambda t: -value(t)) if callable(value) else -value

    def _weakened(self, name, pairs):
        """A stiffness with what the couplings between regions leave of it."""
        if not pairs:
            return self.value(name)
        world = self.world
        factor = weakened(world.regions.ids, world.parameters[name].at_time()[:, 0], pairs, world.grid.pbc, name)
        return world.parameters[name].value(lambda found: self._cell_map(found * factor)) if self.world.parameters[name].uniform() is None \
            else self._cell_map(world.parameters[name].values() * factor)  # fmt: skip

    def _where_axis(self, name, axes):
        """A constant, zero where its axis is."""
        p = self.world.parameters
        if all(bool(p[axis].present().norm(dim=1).gt(0).all()) or p[axis].masks for axis in axes):
            return self.value(name)
        known = torch.stack([p[axis].values().norm(dim=0) > 0 for axis in axes]).all(0)
        return (
            p[name].value(lambda found: self._cell_map(found * known))
            if p[name].uniform() is None
            else self._cell_map(p[name].values() * known)
        )

    def _axis(self, name, default):
        p = self.world.parameters[name]
        if bool(p.present().norm(dim=1).gt(0).all()):
            return self.value(name)
        found = p.values()
        other = torch.tensor(default).to(found).reshape(3, 1, 1, 1)
        return self._cell_map(torch.where(found.norm(dim=0) > 0, found, other))

    def _cube_axes(self):
        p = self.world.parameters
        if all(p[name].uniform() is not None for name in ("anisc1", "anisc2")):
            return self.value("anisc1"), self.value("anisc2")
        a, b = p["anisc1"].values(), p["anisc2"].values()
        known = (torch.linalg.cross(a, b, dim=0).norm(dim=0) > 0).unsqueeze(0)
        x, y = (torch.tensor(v).to(a).reshape(3, 1, 1, 1) for v in ((1.0, 0, 0), (0, 1.0, 0)))
        return self._cell_map(torch.where(known, a, x)), self._cell_map(torch.where(known, b, y))

    def _nodal_field(self, found: Tensor) -> Tensor:
        """A field on cells to the nodes, by the moment of the cells around."""
        world = self.world
        moment = world.parameters["msat"]._on_cells()[0] * world.geometry.fill
        return world.grid.to_nodes(found, moment).reshape(3, *world.grid.mesh.nodes)

    def _applied_field(self):
        found = self.world.parameters["b_ext"].value(self._nodal_field)
        if callable(found):
            return lambda t: found(t) / tm.mu_0
        return tuple(v / tm.mu_0 for v in found) if isinstance(found, tuple) else found / tm.mu_0

    def _custom_field(self):
        world = self.world
        nodes, mesh = world.grid.nodes, world.grid.mesh

        def field(t, m):
            with world.at_time(float(t)):
                found = sum(q.nodes(m.reshape(3, *nodes), float(t)) for q in world.custom_fields)
            return (found / tm.mu_0).expand(3, *nodes).reshape(3, *mesh.nodes)

        return field

    def _spin_torques(self):
        world, p = self.world, self.world.parameters
        if p["j"].is_zero:
            return []
        torques, mesh = [], world.grid.mesh
        along = p["j"].at_time().abs().sum(0)
        for mask, _ in p["j"].masks:
            along = along + mask.abs().sum((1, 2, 3))
        through = bool(along[2] > 0) or p["j"].depends_on_time
        if not world.no_zhang_li and (bool(along[: mesh.dim].sum() > 0) or p["j"].depends_on_time):
            torques.append(tm.ZhangLi(self.magnet, self.value("j"), self.value("pol"), self.value("xi")))
        if not world.no_slonczewski and through and not p["fixedlayer"].is_zero:
            J = p["j"].value(lambda found: self._cell_map(found[2:3]))
            normal = (lambda t: J(t) if J(t).ndim != 1 else J(t)[2]) if callable(J) else J[2] if isinstance(J, tuple) else J
            thickness = p["freelayerthickness"]
            d = {} if thickness.is_zero else {"d": self.value("freelayerthickness")}
            torques.append(
                tm.Slonczewski(
                    self.magnet, normal, self._axis("fixedlayer", (0, 0, 1)), self._polarisation(), self.value("lambda"),
                    self.value("epsilonprime"), side=world.fixed_layer_side, **d,
                )
            )  # fmt: skip
        return torques

    def _polarisation(self):
        return self._where_axis("pol", ["fixedlayer"])

    def field_of(self, names, m: Tensor, t: float) -> Tensor:
        """B of some terms at the nodes, T: (3, *nodes), three grid axes."""
        found = torch.zeros_like(m)
        for name in names:
            if name in self.terms:
                found = found + tm.mu_0 * self.terms[name].field(m, t)
        return found.reshape(3, *self.world.grid.nodes)

    def largest_rate(self) -> float:
        """An upper bound of gamma H, 1/s, for the steps with a temperature."""
        p, size = self.world.parameters, self.world.grid.size
        Ms = float(p["msat"].present().max())
        k2 = sum(4 / h**2 for h, n in zip(size, self.world.grid.n) if n > 1)
        H = (
            2 * float(p["aex"].present().max()) * k2 / (tm.mu_0 * Ms)
            + Ms
            + 2 * float(p["ku1"].present().abs().max()) / (tm.mu_0 * Ms)
        )
        return self.world.gamma * tm.mu_0 * (H + math.hypot(*p["b_ext"].present().abs().amax(0).tolist()) / tm.mu_0)

    def largest_local_field(self) -> float:
        """The largest field of anisotropy and DMI, over Ms."""
        p = self.world.parameters
        Ms = float(p["msat"].present().max())
        K = max(float(p[name].present().abs().max()) for name in ("ku1", "ku2", "kc1", "kc2", "kc3"))
        A = float(p["aex"].present().max())
        D = max(float(p[name].present().abs().max()) for name in ("dind", "dbulk"))
        return (2 * K + (D * D / A if A else 0.0)) / (tm.mu_0 * Ms * Ms)
