"""Free motions of an equilibrium: which solver finds them."""

import torch
from torch import Tensor

from torchmag.modes.deflation import deflated
from torchmag.modes.dense import DENSE, dense_modes
from torchmag.modes.found import Found, paired
from torchmag.modes.motion import Motion
from torchmag.modes.shift_invert import nearest
from torchmag.solvers.davidson import Indefinite, davidson
from torchmag.solvers.stability import NEUTRAL, random_rows, softest

# Relative residual of the modes, and the most steps to it.
ACCURACY = {torch.float64: 1e-8, torch.float32: 2e-4}
MAX_STEPS, GUARD = 400, 3
# That of undamped modes that damped ones start from.
ROUGH = 1e-3
# Part of its unit that a frequency must exceed not to be taken for a zero mode.
ZERO = {torch.float64: 3e-6, torch.float32: 3e-3}
# Shift of the general solver, against zero modes and modes that do not decay.
SHIFT = 0.02


def find_modes(motion: Motion, count: int, around: Tensor | None, with_left: bool) -> Found:
    """The modes of lowest |omega| with Re omega >= 0, or those nearest to `around`, in units of the motion.

    Small bodies are solved as matrices.  At a minimum A is positive: block Davidson method for D v = (i / omega) A v in the metric A.  With
    torques, at saddles, with damped zero modes and around a frequency: Krylov-Schur on (A + i sigma D)^-1 D.
    """
    if motion.hessian.tangent.size <= DENSE:
        return dense_modes(motion, count, around, with_left, ZERO)
    if motion.symmetric and around is None:
        curvatures, z = _softest(motion)
        neutral = NEUTRAL[z.dtype]
        zero = curvatures.abs() <= neutral
        if bool((curvatures >= -neutral).all()) and not (bool(zero.any()) and motion.damped):
            try:
                found = _definite(motion, count, z * zero.unsqueeze(-1), with_left)
            except Indefinite:
                found = None
            if found is not None and bool((found.residual <= 10 * ACCURACY[z.dtype]).all()):
                return found
    return nearest(motion, count, around, with_left, ACCURACY[motion.hessian.m.dtype], ZERO, SHIFT)


def _softest(motion):
    """Curvatures up to the first that is positive, with their rows."""
    count = 2
    while True:
        curvatures, z, _ = softest(motion.hessian, count)
        if bool((curvatures[:, -1] > NEUTRAL[z.dtype]).all()) or count >= 16:
            return curvatures, z
        count *= 2


def _definite(motion, count, z, with_left):
    """At a minimum; z holds the rows of its zero modes, and zeros."""
    plane = deflated(motion, z)
    block = min(count + GUARD, plane.freedom // 2)

    def done(accuracy):
        def enough(theta, left, which):
            number = torch.arange(theta.shape[1], device=theta.device)[which]
            return (left <= accuracy) | (number > count) | ((number == count) & (left <= accuracy**0.5))

        return enough

    def solve(drag, start, choose, accuracy=ACCURACY[z.dtype]):
        return davidson(plane.metric, drag, plane.precondition, start, choose, done(accuracy), MAX_STEPS)[:2]

    start = plane.project(random_rows(motion.hessian, 2 * block))
    theta, x = solve(plane.drag, start, _undamped(block), *([ROUGH] if motion.damped else []))
    if motion.damped:
        start = torch.cat([x.real, x.imag], 1)
        theta, x = solve(motion.drag, start, _damped(block))
        if with_left:
            theirs, y = solve(lambda x: motion.drag(x, -1.0), torch.cat([x.real, x.imag], 1), _damped(block))
            y = paired(theta[:, :count], theirs, y)
    omega = 1j / theta[:, :count]
    x = plane.lifted(x[:, :count], omega)
    if with_left and not motion.damped:
        y = x.conj()
    return Found(omega, x, y if with_left else None, motion.residual(omega, x), plane.zero, 1j / theta[:, count : count + 1])


def _undamped(block):
    def choose(matrix, void):
        # D is antisymmetric: i / theta real.
        theta, y = torch.linalg.eigh(-1j * 0.5 * (matrix - matrix.mT))
        return (1j * theta[:, -block:]).flip(-1), y[..., -block:].flip(-1)

    return choose


def _damped(block):
    def choose(matrix, void):
        theta, y = torch.linalg.eig(matrix)
        order = torch.where(theta.imag >= 0, theta.abs(), -1).argsort(-1, descending=True)[:, :block]
        return theta.gather(-1, order), y.gather(-1, order.unsqueeze(1).expand(-1, y.shape[1], -1))

    return choose
