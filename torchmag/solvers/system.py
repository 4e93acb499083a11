"""The LLG equation as the stepper sees it."""

import functools
from dataclasses import replace
from numbers import Integral, Real

import torch
from torch import Tensor

from torchmag import layout
from torchmag.device import instant
from torchmag.energy import Energy
from torchmag.llg import LLG
from torchmag.parameters import Values
from torchmag.solvers.compilation import Later, may_compile
from torchmag.solvers.crowd import FEW, LARGE, can_divide, some_values
from torchmag.solvers.knots import to_next_knot
from torchmag.solvers.stepper import System, combine, spread, stages_of
from torchmag.term import check_field

# Stages of a step that a compiled stage takes, as many as the longest of torchmag's methods (gyro5) has.
STAGES = 7


def llg_system(
    llg: LLG, values: Values, m: Tensor, rtol: float, atol: float, compile: str | bool = False, title: str = ""
) -> System:
    """Right-hand side, projection to unit length, and error norm of an LLG with resolved values.

    `compile`, of an equation that is not compiled: whether it becomes so on the way (see `compilation`), for the call of this title.

    The error of a step is the root mean square, over the magnetic nodes, of the length of its error vector, in units of
    atol + rtol (|m| = 1); one for each sample.
    """
    mesh, dim = llg.mesh, layout.component_dim(llg.mesh)
    weight = (magnetic_mass(llg, values, m) > 0).to(m.dtype)
    weight = weight / (layout.total(weight, mesh).reshape(*weight.shape[: -mesh.dim], *(1,) * mesh.dim) * (atol + rtol) ** 2)

    def norm(weight):
        return lambda e, m0, m1: layout.total(weight * layout.dot(e, e, mesh), mesh).sqrt()

    def part(system, samples):
        own = {"error": norm(samples.take(weight, mesh.dim)), "values": some_values(llg, system.values, samples)}
        return replace(system, **own, function=plain, stage=None, whole=None, later=None, replay=None, tapes=None)

    def plain(t, m, values):
        return llg.forward(instant(t, m), m, values)

    def diagnose(t, m):
        for name, field in llg.fields(m, t, values).items():
            if not bool(torch.isfinite(field).all()):
                return name
        return None

    return System(
        function=lambda t, m, values: llg(instant(t, m), m, values),
        project=lambda m: layout.normalize(m, dim),
        error=norm(weight),
        diagnose=diagnose,
        values=values,
        stage=_compiled_stage(llg, m),
        whole=_compiled_step(llg),
        part=part if can_divide(llg, values) else None,
        reach=to_next_knot(llg),
        share=1.0 if llg._compiled_call_impl is None else FEW if m.numel() >= LARGE else 0.0,
        **_on_the_way(llg, m, compile, title),
    )


def _on_the_way(llg, m, compile, title):
    """See `System.later` and `System.replay`."""
    if llg._compiler is not None or _hooked(llg) or not may_compile(compile):
        return {}
    dim = layout.component_dim(llg.mesh)

    def stage(t, m, h, weights, stages, end, values):
        state = combine(m, h, weights, stages)
        state = layout.normalize(state, dim) if end else state
        return state, llg.forward(instant(t, m), state, values)

    def rate(t, m, values):
        return llg.forward(instant(t, m), m, values)

    def compiled_rate():
        compiled = llg.compiled("rate", llg.forward, True)
        return lambda t, m, values: compiled(instant(t, m), m.contiguous(), values)

    return {
        "later": Later(llg, title, compile, m, lambda: _compiled_stage(llg, m, True), stage),
        "replay": lambda: Later(llg, f"{title}, backwards", compile, m, compiled_rate, rate),
    }


def _compiled_stage(llg, m, by_itself=False):
    """See `System.stage`: of an equation that was compiled, as every stage of every step calls it, so that nothing compiles anew."""
    dim = layout.component_dim(llg.mesh)

    def one(t, m, h, weights, stages, end, values):
        state = m
        for weight, k in zip(weights.unbind(), stages):
            state = state + (h * weight) * k
        state = torch.where(end, layout.normalize(state, dim), state)
        return state, llg.forward(t, state, values)

    compiled = None if llg._compiles_steps or _hooked(llg) else llg.compiled("stage", one, by_itself)
    if compiled is None:
        return None
    ends = {end: torch.tensor(end, device=m.device) for end in (False, True)}

    @functools.cache
    def nothing(shape):
        # Several tensors on one memory: torch.compile would tell calls with the same tensor twice from others.
        zero = m.new_zeros(shape)
        return tuple(zero.view_as(zero) for _ in range(STAGES))

    @functools.cache
    def padded(weights):
        return m.new_tensor((*weights, *(0.0,) * (STAGES - len(weights))))

    def stage(t, m, h, weights, stages, end, values):
        t, h = instant(t, m), spread(instant(h, m), m)
        if len(stages) > STAGES:
            state = combine(m, h, weights, stages)
            state = layout.normalize(state, dim) if end else state
            return state, compiled(t, state, h, padded(()), list(nothing(m.shape)), ends[False], values)[1]
        stages = [*stages, *nothing(m.shape)[len(stages) :]]
        return compiled(t, m.contiguous(), h, padded(tuple(weights[:STAGES])), stages, ends[end], values)

    return stage


def _compiled_step(llg):
    """See `System.whole`."""
    if not llg._compiles_steps or _hooked(llg):
        return None
    dim = layout.component_dim(llg.mesh)

    def of(tableau):
        def step(t, dt, m, k, values):
            def staged(t, m, h, weights, stages, end=False):
                state = combine(m, h, weights, stages)
                state = layout.normalize(state, dim) if end else state
                return state, llg.forward(t, state, values)

            h, stages = spread(dt, m), stages_of(staged, tableau, t, dt, m, k)
            m1, k1 = staged(t + dt, m, h, tableau.b, stages, True)
            stages.append(k1)
            return m1, k1, combine(None, h, tableau.e, stages), combine(m, h, tableau.mid, stages)

        return step

    def whole(tableau, t, dt, m, k, values):
        t, dt = instant(t, m), instant(dt, m)
        step = llg.compiled(tableau.name, of(tableau))
        return llg.kept(step, m, t, dt, m.contiguous(), k.contiguous(), values)

    return whole


def _hooked(llg):
    return bool(llg._forward_hooks or llg._forward_pre_hooks)


def magnetic_mass(llg: LLG, values: Values, m: Tensor) -> Tensor:
    """The lumped moment at the nodes, A/m: positive where m matters."""
    with torch.no_grad():
        return llg.energy.magnet.at(values["energy"]["magnet"], torch.zeros((), dtype=torch.float64), m, {})["mass"].detach()


def require_llg(llg: LLG, m0: Tensor, title: str) -> None:
    """Raise unless llg is an equation and m0 a field on its nodes."""
    if not isinstance(llg, LLG):
        hint = "wrap it: tm.LLG(energy, alpha)" if isinstance(llg, Energy) else "compile it with llg.compile()"
        raise TypeError(f"{title}: llg is a {type(llg).__name__}, expected a torchmag.LLG ({hint})")
    check_field(m0, llg.magnet, title)


def as_count(title: str, count: float) -> int:
    """A positive whole number, checked; 50e6 is one."""
    whole = isinstance(count, Integral) or (isinstance(count, Real) and float(count).is_integer())
    if isinstance(count, bool) or not whole:
        raise TypeError(f"{title} = {count!r}, expected a whole number, at least 1")
    if count < 1:
        raise ValueError(f"{title} = {count}, expected a whole number, at least 1")
    return int(count)


def require_unit_length(llg: LLG, values: Values, m: Tensor, title: str) -> None:
    """Raise unless m is finite and of unit length at every magnetic node."""
    require_unit_vectors(magnetic_mass(llg, values, m), m, layout.component_dim(llg.mesh), title)


def require_unit_vectors(mass: Tensor, m: Tensor, dim: int, title: str) -> None:
    """Raise unless m is finite and of unit length along `dim` where the lumped moment is positive."""
    inside = mass > 0
    length = torch.linalg.vector_norm(m.detach(), dim=dim)
    wrong = inside & ~((length - 1).abs() < 1e-3)
    if bool(wrong.any()):
        shown = length.expand(wrong.shape)[wrong]
        raise ValueError(
            f"{title}: m0 has |m| = {shown[0].item():g} at {int(wrong.sum())} magnetic node(s), expected 1 to within 1e-3; "
            f"normalise it, for instance with torch.nn.functional.normalize(m, dim={dim})"
        )
