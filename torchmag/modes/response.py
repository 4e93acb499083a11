"""Linear response to a small field that oscillates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchmag.constants import mu_0
from torchmag.errors import ConvergenceError, GradientError
from torchmag.layout import component_dim
from torchmag.llg import LLG
from torchmag.modes.family import solve_family
from torchmag.modes.gradient import bilinear, differentiated
from torchmag.modes.motion import Motion, Setting, make_motion, make_setting
from torchmag.parameters import as_data

# Of the linear systems; what they leave at worst before it is an error.
TOLERANCE, WORST = {torch.float64: 1e-9, torch.float32: 1e-4}, {torch.float64: 1e-6, torch.float32: 1e-2}


@dataclass(frozen=True)
class Response:
    """The steady motion m + Re(dm exp(2 pi i f t)) in a field Re(h exp(2 pi i f t)).

    Attributes:
        m: dm for the field h, complex: (F, *batch, 3, *nodes); per A/m where h is a profile without unit.
        power: absorbed from the field on average, W: (F, *batch); per (A/m)^2 likewise.
        residuals: relative, of the linear systems, (F, *batch).
    """

    m: Tensor
    power: Tensor
    residuals: Tensor


def response(
    llg: LLG, m: Tensor, h, frequencies: Tensor | Sequence[float], *, t: float = 0.0, params: Mapping[str, Tensor] | None = None
) -> Response:  # fmt: skip
    """The linear response of an equilibrium to a small oscillating field, at many frequencies.

    Solves A dm + 2 pi i f (J + alpha) / gamma dm = P h on the tangent planes (see `eigenmodes`) for all frequencies from one search
    space, without a matrix.  The absorbed power is -pi f mu_0 sum_n moment_n Im(h* . dm).

    Args:
        llg: an LLG with damping; its torques act, its frozen nodes stay, its temperature is ignored.
        m: an equilibrium, (*batch, 3, *nodes).
        h: the field's profile, real or complex: (3,) uniform, or (*batch, 3, *nodes).
        frequencies: f in Hz, (F,).
        t: time at which drives are held, s.
        params: values to use instead of the llg's, by full name.

    Returns:
        A `Response`.  It has exact gradients with respect to all parameters, m and h (by one more solution, of the transposed systems); an
        m from `minimize` or `relax` passes them on to the parameters that hold it.
    Raises:
        ValueError: m is no equilibrium, shapes that do not fit, frequencies that are negative or not finite.
        ConvergenceError: a relative residual above 1e-6 (1e-2 in float32): a frequency at a resonance without damping, say.
    """
    setting = make_setting(llg, m, t, params, "response")
    x, dim = setting.m, component_dim(setting.llg.mesh)
    f = frequencies if isinstance(frequencies, Tensor) else as_data("response: frequencies", frequencies, x)
    f = f.detach().to(x)
    if f.ndim != 1 or not len(f) or not bool((torch.isfinite(f) & (f >= 0)).all()):
        raise ValueError(f"response: frequencies has shape {tuple(f.shape)}, expected (F,) of numbers in Hz, at least 0")
    h = _profile(h, x, dim)
    with torch.no_grad():
        motion = make_motion(setting)
    omega = (2 * math.pi * f / motion.unit.unsqueeze(-1)).to(x)  # (B, F)
    if setting.needs_gradient(m) or (torch.is_grad_enabled() and h.requires_grad):
        resolved, live = setting.sources()
        dm, left = Driven.apply(setting, motion, omega, resolved, live, h, m, *resolved, *live)
    else:
        dm, left = driven(setting, motion, omega, h)
    body = setting.llg.energy.magnet.at(setting.values["energy"]["magnet"], setting.t, m, {})
    moment = body["mass"].unsqueeze(dim) * setting.llg.mesh.cell_volume * setting.landscape.moving
    axes = setting.landscape.axes
    # In fields: a sum of moments in A m^2 is beyond float32.
    work = (moment / moment.detach().amax() * (h.conj() * dm).imag).sum(axes) * moment.detach().amax()
    power = -math.pi * mu_0 * f.reshape(-1, *(1,) * (work.ndim - 1)) * work
    found = Response(dm, power, left)
    worst = float(left.max())
    if not worst <= WORST[x.dtype]:
        raise ConvergenceError(
            f"response: the linear systems are left with {worst:.1e} of their right-hand side; damp the motion (alpha), or stay away from "
            f"resonances and motions that cost no energy", m, found,
        )  # fmt: skip
    return found


def _profile(h, m, dim):
    """The field of a profile, (*batch, 3, *nodes), complex."""
    h = h if isinstance(h, Tensor) else as_data("response: h", h, m)
    if h.shape == (3,):
        h = h.reshape(3, *(1,) * (-dim - 1))
    try:
        fits = h.ndim >= -dim and torch.broadcast_shapes(h.shape, m.shape) == m.shape
    except RuntimeError:
        fits = False
    if not fits:
        raise ValueError(f"response: h has shape {tuple(h.shape)}, expected (3,) or one that broadcasts to m, {tuple(m.shape)}")
    if not bool(torch.isfinite(torch.view_as_real(h) if h.is_complex() else h).all()):
        raise ValueError("response: h holds values that are not finite")
    return h.to(torch.complex128 if m.dtype == torch.float64 else torch.complex64).expand(m.shape)


def driven(setting: Setting, motion: Motion, omega: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """dm (F, *batch, 3, *nodes), and the relative residuals (F, *batch)."""
    tangent = motion.hessian.tangent
    with torch.no_grad():
        b = _rows(tangent, h.unsqueeze(0)) / motion.hessian.scale.reshape(-1, 1, 1)
        x, left = solve_family(motion, omega, b.expand(-1, omega.shape[1], -1), TOLERANCE[setting.m.dtype])
        return _fields(tangent, x), left.T.reshape(-1, *tangent.batch)


class Driven(torch.autograd.Function):
    """The response as a function of h, m and the parameters."""

    @staticmethod
    def forward(ctx, setting, motion, omega, resolved, live, h, m, *sources):
        dm, left = driven(setting, motion, omega, h)
        ctx.given, ctx.shape = (setting, motion, omega, resolved, live), m.shape
        ctx.save_for_backward(dm, h, setting.field(setting.m, setting.values), *sources)
        ctx.mark_non_differentiable(left)
        return dm, left

    @staticmethod
    def backward(ctx, cotangent, _):
        setting, motion, omega, resolved, live = ctx.given
        dm, h, held = (x.detach() for x in ctx.saved_tensors[:3])
        if torch.is_grad_enabled():
            raise GradientError(
                "response: second derivatives (create_graph=True) are not implemented; differentiate the first ones by differences"
            )
        tangent, scale = motion.hessian.tangent, motion.hessian.scale.reshape(-1, 1, 1)
        c, tolerance = cotangent.conj(), TOLERANCE[setting.m.dtype]
        u, left = solve_family(motion, omega, _rows(tangent.dual(), c), tolerance, transposed=True)
        if not bool((left <= WORST[setting.m.dtype]).all()):
            raise GradientError(f"response: the adjoint systems are left with {float(left.max()):.1e} of their right-hand side")
        u, axis = u / scale, setting.landscape.axes[0]
        v, frequency = _rows(tangent, dm), omega * motion.unit.unsqueeze(-1)
        weighted = tangent.root**2 * _fields(tangent, u)

        def build(m, values, others):
            """Re sum u^T (P h - (A + i omega D) v), and what dm has along m as m turns."""
            (field_of,) = others
            total, field = bilinear(setting, motion, -u, v, frequency, m, values)
            pushed = field_of - (m * field_of).sum(axis, keepdim=True) * m
            still = (c * setting.m).sum(axis, keepdim=True) * (dm * m).sum(axis, keepdim=True) * setting.landscape.moving
            return total + (weighted * pushed).real.sum() - still.real.sum(), field

        turned, *others = differentiated(setting, resolved, live, (h,), held, build)
        if turned is not None:
            turned = setting.landscape.tangent(setting.m, turned).sum_to_size(ctx.shape)
        return None, None, None, None, None, others.pop(), turned, *others


def _rows(tangent, v):
    return torch.complex(tangent.rows(v.real), tangent.rows(v.imag))


def _fields(tangent, x):
    return torch.complex(tangent.fields(x.real), tangent.fields(x.imag))
