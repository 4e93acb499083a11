"""Exact gradients of frequencies.

A change of parameters and m changes A and D by dA and dD, and with them a frequency by

    d omega = i u^T (dA + i omega dD) v / (u^T D v),

where u^T (A + i omega D) = 0: first-order perturbation theory, in which the change of the mode has no part.  So one evaluation of this
form with v and u held, and its gradient, give those of all frequencies at once, with respect to everything.
"""

import math

import torch
from torch import Tensor

from torchmag import layout
from torchmag.errors import GradientError
from torchmag.modes.found import Found
from torchmag.modes.motion import Motion, Setting, in_parts
from torchmag.solvers.implicit import require_same
from torchmag.solvers.sources import exchanged, found_by, mark, without_hooks

# Frequencies that differ by less than this part of themselves count as one; weights of a loss, likewise.
SAME, ALIKE = 1e-7, 1e-5


def attach(
    setting: Setting, motion: Motion, found: Found, frequencies: Tensor, vectors: Tensor, m: Tensor
) -> tuple[Tensor, Tensor]:
    """The frequencies with their gradients, and the vectors, which have none."""
    resolved, live = setting.sources()
    with torch.no_grad():
        held = setting.field(setting.m, setting.values)
    return Frequencies.apply(setting, motion, found, resolved, live, held, frequencies, vectors, m, *resolved, *live)


class Frequencies(torch.autograd.Function):
    """Frequencies as functions of m and the parameters."""

    @staticmethod
    def forward(ctx, setting, motion, found, resolved, live, held, frequencies, vectors, m, *sources):
        ctx.set_materialize_grads(False)
        ctx.given = setting, motion, found, resolved, live
        ctx.shape = m.shape
        ctx.save_for_backward(held, *sources)
        return frequencies.clone(), vectors.clone()

    @staticmethod
    def backward(ctx, cotangent, of_vectors):
        setting, motion, found, resolved, live = ctx.given
        held, *_ = ctx.saved_tensors
        title = setting.title
        if torch.is_grad_enabled():
            raise GradientError(
                f"{title}: second derivatives (create_graph=True) are not implemented; differentiate the first ones by differences"
            )
        if of_vectors is not None and bool((of_vectors != 0).any()):
            raise GradientError(
                f"{title}: the vectors of modes have no gradient here, only the frequencies; detach() them, or use torchmag.response"
            )
        nothing = (None,) * 8
        if cotangent is None:
            return (*nothing, None, *(None for _ in (*resolved, *live)))
        weights = cotangent.reshape(found.omega.shape).conj()
        require_simple(found, weights, title)
        build = lambda m, values, _: perturbed(setting, motion, found, weights, m, values)
        turned, *others = differentiated(setting, resolved, live, (), held, build)
        if turned is not None:
            turned = setting.landscape.tangent(setting.m, turned).sum_to_size(ctx.shape)
        return (*nothing, turned, *others)


def perturbed(setting: Setting, motion: Motion, found: Found, weights: Tensor, m: Tensor, values) -> tuple[Tensor, Tensor]:
    """Re sum weights f as a function of m and values at held modes, less a constant; and the field at m."""
    with torch.no_grad():
        drag = in_parts(motion.drag, found.right)
        u = torch.linalg.solve(found.left @ drag.mT, found.left)  # u_i^T D v_j = 1 where i = j, else 0
        # In SI units D is 1 / max gamma times that of the motion.
        gamma = motion.unit / motion.hessian.scale.reshape(-1)
        u = 1j / (2 * math.pi) * (weights * gamma.unsqueeze(-1)).unsqueeze(-1) * u
        omega = found.omega * motion.unit.unsqueeze(-1)
    return bilinear(setting, motion, u, found.right, omega, m, values)


def bilinear(setting: Setting, motion: Motion, u: Tensor, v: Tensor, omega: Tensor, m: Tensor, values) -> tuple[Tensor, Tensor]:
    """Re sum u^T (A + i omega D) v in SI units as a function of m and values, at held rows u and v (B, K, n); and the field at m."""
    dim = layout.component_dim(setting.llg.mesh)
    dot = lambda a, b: (a * b).sum(dim, keepdim=True)
    across = lambda v: v - dot(m, v) * m
    own = setting.llg.complete(setting.t, m, values)
    field = setting.llg._effective(setting.t, m, own)
    with torch.no_grad():
        tangent = motion.hessian.tangent
        both = lambda x, sign: tangent.fields(torch.cat([x.real, sign * x.imag], 1))
        share = tangent.root**2
        right, left, drag = both(v, 1), share * both(u, -1), share * both(1j * omega.unsqueeze(-1) * u, -1)
    left, right, drag = across(left), across(right), across(drag)
    along = dot(m, field)
    if motion.hessian.linear:
        offset = setting.field(torch.zeros_like(m), values)
        turned = left * (setting.field(right, values) - offset)
    else:
        x = m.expand(right.shape)
        (pulled,) = torch.autograd.grad((left * setting.field(x, values)).sum(), x, create_graph=True)
        turned = pulled * right
    slow = 1 / torch.where(own["gamma"] > 0, own["gamma"], 1)
    turning = layout.cross(m.expand(right.shape), right, setting.llg.mesh) + own["alpha"] * right
    return (left * along * right).sum() - turned.sum() + (drag * slow * turning).sum(), field


def differentiated(setting: Setting, resolved, live, others, held: Tensor, build) -> list[Tensor | None]:
    """Gradients of what `build` makes of (m, values), with respect to m, the sources, and other tensors without history.

    Args:
        others: tensors that enter the total, which `build` gets as copies.
        held: the field at m when the result was made.
        build: (m, values, copies of the others) -> a total and the field at m.

    Raises:
        GradientError: something that requires a gradient enters unseen, or the equation changed since.
    """
    title = setting.title
    copies = [x.detach().requires_grad_() for x in (*resolved, *others)]
    values = exchanged(setting.values, {id(old): new for old, new in zip(resolved, copies)})
    m, wanted = setting.m.detach().requires_grad_(), [*copies[: len(resolved)], *live, *copies[len(resolved) :]]
    before = mark()
    with torch.enable_grad():
        total, field = build(m, values, copies[len(resolved) :])
    unknown = found_by(total, before, [m, *wanted], title)
    if unknown:
        raise GradientError(
            f"{title}: a tensor of shape {tuple(unknown[0].shape)} that requires a gradient enters by a parameter that closes over it; "
            f"give it as an nn.Parameter of a Module, or in params="
        )
    require_same(setting, field.detach(), held)
    with without_hooks(live):
        return list(torch.autograd.grad(total, [m, *wanted], allow_unused=True))


def require_simple(found: Found, weights: Tensor, title: str) -> None:
    """Raise if a loss tells frequencies apart that coincide."""
    every = torch.cat([found.omega, found.beyond], 1)
    size = every.abs().clamp(min=torch.finfo(every.abs().dtype).tiny)
    same = (every.unsqueeze(-1) - every.unsqueeze(-2)).abs() <= SAME * size.unsqueeze(-1)
    used = torch.cat([weights, torch.zeros_like(found.beyond)], 1)
    apart = (used.unsqueeze(-1) - used.unsqueeze(-2)).abs() > ALIKE * (used.abs().unsqueeze(-1) + used.abs().unsqueeze(-2))
    wrong = (same & apart).nonzero()
    if len(wrong):
        _, i, j = wrong[0].tolist()
        where = "is not among those asked for" if max(i, j) >= weights.shape[1] else "has another weight in the loss"
        raise GradientError(
            f"{title}: mode {min(i, j)} has the frequency of another, which {where}: alone it has no gradient; give both the same weight, as "
            f"their sum has"
        )
