"""The Landau-Lifshitz-Gilbert equation as a Module."""

import functools

import torch
from torch import Tensor, nn

from torchmag import layout
from torchmag.allocator import return_memory
from torchmag.compiled import Compiled, with_own_code
from torchmag.constants import gamma_0
from torchmag.device import counts_calls
from torchmag.energy import Energy, Sum
from torchmag.forms import Scalar
from torchmag.parameters import Parametric, Role, Values, depends_on
from torchmag.samples import for_each_sample, fresh_cache
from torchmag.sealed import Sealed
from torchmag.term import as_time, check_field, node_mask
from torchmag.thermal import ThermalField
from torchmag.torque import Torque


class LLG(Compiled, Sealed, Parametric):
    """dm/dt = -gamma / (1 + alpha^2) [m x H + alpha m x (m x H)]  (Abert et al. 2024, Eq. 1).

    `llg(t, m)` is the right-hand side that torchdiffeq integrates: a pure function of its arguments.

    Args:
        energy: a term or a Sum; kept as a Sum under `energy`.
        alpha: Gilbert damping; number or cells (*batch, *cells), >= 0, taken to the nodes as the mean weighted by moment.
        gamma: gyromagnetic ratio times mu_0, m/(A s).
        torques: torques of torchmag, or any Modules whose forward takes m, t or both (by these names) and returns a field in
            A/m at the nodes; the fields are added to the effective field.
        temperature: a ThermalField, whose noise `tm.solve` adds at every step; `llg(t, m)` itself, and so torchdiffeq's odeint
            and `tm.relax`, stays without noise.
        frozen: nodes where dm/dt = 0, bool (*nodes).
        precession: False leaves the damping only.

    Shape: t in s, m (*batch, 3, *nodes) -> dm/dt in 1/s, same shape; zero at nodes without magnetic cells.
    Raises:
        TypeError, ValueError: parameters of a wrong kind, shape or sign.
    """

    _compiles_steps = False

    def __init__(
        self,
        energy: Energy,
        alpha,
        *,
        gamma=gamma_0,
        torques=(),
        temperature: ThermalField | None = None,
        frozen: Tensor | None = None,
        precession: bool = True,
    ):
        super().__init__()
        if not isinstance(energy, Energy):
            raise TypeError(f"LLG: energy is a {type(energy).__name__}, expected an energy term or a torchmag.Sum")
        self.energy = energy if isinstance(energy, Sum) else Sum(energy)
        mesh = self.energy.mesh
        self._register("alpha", alpha, Role(Scalar, mesh.cells, lower=0.0))
        self._register("gamma", gamma, Role(Scalar, mesh.cells, lower=0.0))
        if isinstance(torques, nn.Module) and not isinstance(torques, nn.ModuleList):
            raise TypeError(f"LLG: torques is a {type(torques).__name__}, expected a list: torques=[...]")
        for torque in torques:
            if not isinstance(torque, nn.Module):
                raise TypeError(f"LLG: torques holds a {type(torque).__name__}, expected Modules that give a field in A/m")
        self.torques = nn.ModuleList(torques)
        self._drivers_of = {}
        for name, torque in self.torques.named_children():
            if isinstance(torque, Torque):
                if torque.magnet is not self.energy.magnet:
                    raise ValueError(f"LLG: torque {name} belongs to another Magnet object than the energy")
            else:
                self._drivers_of[name] = depends_on(torque)
        self.temperature = temperature
        self.precession = bool(precession)
        self.register_buffer("frozen", None)
        self.frozen = frozen

    def __setattr__(self, name, value):
        if name == "frozen" and value is not None:
            value = node_mask(value, self.mesh, self.reference, "LLG")
        if name == "temperature" and value is not None:
            _require_temperature(value, self.magnet)
        super().__setattr__(name, value)

    @property
    def magnet(self):
        """The body that all terms share."""
        return self.energy.magnet

    @property
    def mesh(self):
        """The grid of the body."""
        return self.energy.mesh

    @property
    def reference(self) -> Tensor:
        return self.energy.reference

    def __call__(self, t, m: Tensor, values: Values | None = None) -> Tensor:
        if isinstance(m, Tensor) and (isinstance(t, int | float) or (isinstance(t, Tensor) and t.device != m.device)):
            # To compiled code a number is a constant: each time would have a graph of its own.
            t = as_time(t, "LLG", m)
        call = super().__call__
        return self.kept(call, m, t, m, values) if self._compiles_steps else call(t, m, values)

    def forward(self, t, m: Tensor, values: Values | None = None) -> Tensor:
        values = self.complete(t, m, values)
        return self._rate(m, self._effective(t, m, values), values)

    def compile(self, *args, **kwargs) -> None:
        """Compile the right-hand side, and what torchmag's solvers make of it, when they are first called.

        Takes the arguments of torch.compile.  Every shape has a graph of its own (`dynamic` is False).

        Solvers compile a stage of a Runge-Kutta method, one graph for all methods; with mode="reduce-overhead" `solve` compiles whole
        steps instead, one graph for each method: it takes three times as long to compile, a step less to run by what calls cost (half
        of it on a small film).  On CUDA these steps are CUDA graphs.
        """
        steps = kwargs.get("mode") == "reduce-overhead"
        if steps:
            del kwargs["mode"]
        kwargs = self._compile_options(kwargs, steps)
        return_memory()  # of what was set up before: graphs come to use the same memory at every call
        self._compiled_call_impl = torch.compile(with_own_code(self._call_impl), *args, **kwargs)
        self._compiler = functools.partial(torch.compile, *args, **kwargs)
        self._compiled, self._compiles_steps = {}, steps

    def effective_field(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """The field that m precesses about, of energy and torques together, A/m: (*batch, 3, *nodes)."""
        return self._effective(t, m, self.complete(t, m, values))

    def fields(self, m: Tensor, t=0.0, values: Values | None = None) -> dict[str, Tensor]:
        """The field of each term and torque by name, A/m; "temperature" among them if `values` holds its noise."""
        values = self.complete(t, m, values)
        terms = {f"energy.{name}": term._field(m, values["energy"][name]) for name, term in self.energy.named_terms()}
        return terms | self._other_fields(t, m, values)

    def complete(self, t, m: Tensor, values: Values | None = None) -> Values:
        """All values at (t, m), drives evaluated and maps taken to the nodes."""
        check_field(m, self.magnet, "LLG")
        batch = m.shape[: layout.component_dim(self.mesh)]
        values = self.remembered() if values is None else values
        return self.at(values, as_time(t, "LLG", m, batch), m, fresh_cache(values))

    def at(self, values: Values, t: Tensor, m: Tensor, cache: dict) -> Values:
        energy = self.energy.at(values["energy"], t, m, cache)
        own = super().at(values, t, m, cache)
        nodal = {name: self._to_nodes(own[name], energy["magnet"]) for name in ("alpha", "gamma")}
        shared = nodal | {"magnet": energy["magnet"]}
        torques = {
            name: self.torques[int(name)]._at_own(given, t, m, cache) | shared for name, given in values["torques"].items()
        }
        own = own | nodal | {"energy": energy, "torques": torques}
        if self.temperature is not None:
            given = self.temperature._at_own(values["temperature"], t, m, cache)
            own["temperature"] = given | shared | {"T": self._to_nodes(given["T"], energy["magnet"])}
        return own

    def _effective(self, t, m, values):
        H = self.energy._field(m, values["energy"])
        for field in self._other_fields(t, m, values).values():
            H = H + field
        return H

    def _other_fields(self, t, m, values):
        found = {}
        for name, torque in self.torques.named_children():
            if name in self._drivers_of:
                found[f"torques.{name}"] = self._field_of(torque, self._drivers_of[name], t, m)
            else:
                found[f"torques.{name}"] = torque._field(m, values["torques"][name])
        if self.temperature is not None and "noise" in values["temperature"]:
            found["temperature"] = self.temperature._field(m, values["temperature"])
        return found

    def _field_of(self, torque, drivers, t, m):
        """The field of a user's torque."""
        field = lambda t, m: torque(**{name: t if name == "t" else m for name in drivers})
        axes = 1 + self.mesh.dim
        t = as_time(t, "LLG", m, m.shape[: m.ndim - axes])
        return for_each_sample(field, t, m, axes, axes) if t.ndim and "t" in drivers else field(t, m)

    def _resolved(self, values, prefix):
        yield from self._resolved_own(values, prefix)
        yield from self.energy._resolved(values["energy"], f"{prefix}energy.")
        for name, given in values["torques"].items():
            yield from self.torques[int(name)]._resolved_own(given, f"{prefix}torques.{name}.")
        if self.temperature is not None:
            yield from self.temperature._resolved_own(values["temperature"], f"{prefix}temperature.")

    def _rate(self, m, H, values):
        """-gamma / (1 + alpha^2) m x (H + alpha m x H)."""
        dim, axis = self.mesh.dim, layout.component_dim(self.mesh)
        if counts_calls(m):
            m, H = torch.broadcast_tensors(m, H)
            alpha, across = values["alpha"], torch.linalg.cross(m, H, dim=axis)
            field = torch.addcmul(H, alpha, across) if self.precession else alpha * across
            rate = -values["gamma"] / (1 + alpha * alpha) * torch.linalg.cross(m, field, dim=axis)
            return rate if self.frozen is None else rate * ~self.frozen
        alpha, gamma = (x.select(axis, 0) if x.ndim else x for x in (values["alpha"], values["gamma"]))
        m, H = layout.components(m, dim), layout.components(H, dim)
        field = [alpha * plane for plane in layout.cross_components(m, H)]
        if self.precession:
            field = [along + across for along, across in zip(H, field)]
        factor = -gamma / (1 + alpha * alpha)
        rate = layout.stack([factor * plane for plane in layout.cross_components(m, field)], dim)
        return rate if self.frozen is None else rate * ~self.frozen

    def _to_nodes(self, x, body):
        """A cell parameter at the nodes, (*batch, 1, *nodes): the mean over the adjacent cells weighted by moment."""
        if not x.ndim:
            return x
        weighted = layout.to_nodes(layout.expand_to_cells(body["M"] * x, self.mesh), self.mesh)
        mass = body["mass"]
        return (weighted / (mass + (mass == 0))).unsqueeze(layout.component_dim(self.mesh))

    def _parametrics(self):
        torques = [torque for torque in self.torques if isinstance(torque, Torque)]
        return [self, *self.energy._parametrics(), *torques, *([] if self.temperature is None else [self.temperature])]

    def _prepare(self, overrides, prefix, cache):
        torques = {
            name: torque._prepare_own(overrides, f"{prefix}torques.{name}.", cache)
            for name, torque in self.torques.named_children()
            if isinstance(torque, Torque)
        }
        energy = self.energy._prepare(overrides, f"{prefix}energy.", cache)
        values = super()._prepare(overrides, prefix, cache) | {"energy": energy, "torques": torques}
        if self.temperature is not None:
            values["temperature"] = self.temperature._prepare_own(overrides, f"{prefix}temperature.", cache)
        return values

    def _names(self, prefix):
        torques = [(name, torque) for name, torque in self.torques.named_children() if isinstance(torque, Torque)]
        own = [f"{prefix}torques.{name}.{role}" for name, torque in torques for role in torque._roles]
        if self.temperature is not None:
            own += [f"{prefix}temperature.{role}" for role in self.temperature._roles]
        return super()._names(prefix) + own + self.energy._names(f"{prefix}energy.")


def _require_temperature(temperature, magnet):
    if not isinstance(temperature, ThermalField):
        raise TypeError(f"LLG: temperature is a {type(temperature).__name__}, expected a torchmag.ThermalField(magnet, T, seed)")
    if temperature.magnet is not magnet:
        raise ValueError("LLG: temperature belongs to another Magnet object than the energy")
