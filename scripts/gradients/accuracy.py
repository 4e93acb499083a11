"""The exact gradient of 20 random problems beside differences, forward mode and the continuous adjoint."""

import math
from dataclasses import dataclass

import torch

import torchmag as tm
from gradients.differences import ridders

# Twelve difference steps from 0.03 down: the best is found for smooth problems and for sensitive ones.
STEPS = [0.03 / 2**k for k in range(12)]
NAMES = ("parameters", "m0")
# Forward mode costs tens of times the solution (torch 2.13 takes 0.25 ms per product with a number): no more steps than this.
FORWARD = 15


@dataclass
class Problem:
    """A random equation, its start, and a loss.

    Attributes:
        base: parameters by full name; p = p0 s, with s of order one.
        steps: accepted steps of the solution.
        times: 0 and four times at which steps end (so that no step size depends on how the loss is evaluated).
    """

    text: str
    llg: tm.LLG
    m0: torch.Tensor
    base: dict
    span: float
    seed: int
    ends: list[float] = None
    times: list[float] = None

    def __post_init__(self):
        generator = torch.Generator().manual_seed(1000 + self.seed)
        with torch.no_grad():
            self.ends = [0.0]
            tm.solve(self.llg, self.m0, [0.0, self.span], callback=lambda t, dt, m: self.ends.append(t))
        count = len(self.ends) - 1
        self.times = [self.ends[k] for k in sorted({0, *(max(1, round(count * part)) for part in (0.25, 0.5, 0.75, 1))})]
        draw = lambda shape: torch.randn(shape, generator=generator)
        self.cotangent = draw((len(self.times) - 1, *self.m0.shape))
        self.directions = {name: draw(value.shape) for name, value in self.base.items()}
        self.turn = draw(self.m0.shape)

    def loss(self, s, turn, replay=False, span=None, **options):
        """Of parameters p0 (1 + s d) and a start turned by `turn` times a random direction; s and turn of any batch shape.

        With `replay` of the accepted steps as they are, otherwise of `solve`, up to a time `span` if that is given.
        """
        wide = lambda x, like: x.reshape(*x.shape, *(1,) * like.ndim) if x.ndim else x
        params = {name: value * (1 + wide(s, value) * self.directions[name]) for name, value in self.base.items()}
        m0 = self.m0 + wide(turn, self.m0) * self.turn
        m0 = m0 / m0.norm(dim=-self.llg.mesh.dim - 1, keepdim=True)
        times = self.times if span is None else [0.0, span]
        if replay:
            # Steps longer than any interval: each interval between two times is one step.
            m = tm.solve(self.llg, m0, self.ends, params=params, step=1.0)
            m = m[[self.ends.index(t) for t in times]]
        else:
            m = tm.solve(self.llg, m0, times, params=params, **options)
        weights = self.cotangent[: len(times) - 1].reshape(-1, *(1,) * s.ndim, *self.m0.shape)
        return (m[1:] * weights).sum((0, *range(-self.m0.ndim, 0)))


def make(seed):
    """A problem of 1, 2 or 3 dimensions; exchange always, the other terms by chance; 10 ps to 1 ns, damping 0.01 to 1."""
    generator = torch.Generator().manual_seed(seed)
    uniform = lambda low, high, *shape: low + (high - low) * torch.rand(shape, generator=generator)
    log = lambda low, high, *shape: (uniform(math.log(low), math.log(high), *shape)).exp()
    dim = seed % 3 + 1
    cells = ((24,), (6, 5), (4, 3, 3))[dim - 1]
    dx = float(uniform(8e-9, 12e-9))
    mesh = tm.Mesh(cells, tuple(dx * float(uniform(0.8, 1.2)) for _ in range(3)))
    magnet = tm.Magnet(mesh, uniform(6e5, 1e6, *cells))
    alpha, span = float(log(0.01, 1)), 1e-11 * 100 ** ((7 * seed % 20) / 19)
    chosen = uniform(0, 1, 4) < 0.7
    terms = {"exchange": tm.Exchange(magnet, float(uniform(0.8e-11, 1.6e-11)))}
    if chosen[0]:
        terms["demag"] = tm.Demag(magnet)
    if chosen[1]:
        terms["anisotropy"] = tm.UniaxialAnisotropy(magnet, uniform(-1e5, 3e5, *cells), tuple(uniform(0.1, 1, 3).tolist()))
    if chosen[2]:
        terms["dmi"] = tm.BulkDMI(magnet, uniform(0.5e-3, 2e-3, *cells))
    if chosen[3] or not bool(chosen.any()):
        terms["zeeman"] = tm.Zeeman(magnet, uniform(-8e4, 8e4, 3))
    llg = tm.LLG(tm.Sum(**terms), alpha * uniform(0.8, 1.2, *cells))
    values = llg.prepare()
    names = {"exchange": ("A",), "anisotropy": ("Ku", "axis"), "dmi": ("D",), "zeeman": ("H",)}
    base = {"alpha": values["alpha"], "energy.magnet.Ms": values["energy"]["magnet"]["Ms"]}
    for term, roles in names.items():
        base |= {f"energy.{term}.{role}": values["energy"][term][role] for role in roles if term in terms}
    base = {name: _on_grid(name, value, dim) for name, value in base.items()}
    m0 = tm.uniform(mesh, tuple((uniform(-1, 1, 3)).tolist())) + 0.3 * tm.random(mesh, seed=seed)
    m0 = m0 / m0.norm(dim=-mesh.dim - 1, keepdim=True)
    text = f"{'x'.join(map(str, cells))} | {', '.join(terms)} | {alpha:.2g} | {span * 1e12:.3g}"
    return Problem(text, llg, m0, base, span, seed)


def _on_grid(name, value, dim):
    """A uniform value with axes for the grid, so that a batch axis can be put in front."""
    uniform = value.ndim == (1 if name.endswith((".axis", ".H")) else 0)
    return value.reshape(*value.shape, *(1,) * dim) if uniform else value


def slopes(problem, **options):
    """d loss / ds and d loss / dturn by autograd."""
    ends = [torch.zeros((), requires_grad=True) for _ in NAMES]
    value = problem.loss(*ends, **options)
    return value.item(), [x.item() for x in torch.autograd.grad(value, ends)]


def relative(found, wanted):
    """The largest relative distance of two lists."""
    return max(abs(a - b) / abs(b) for a, b in zip(found, wanted))


def forward_error(problem):
    """Largest relative distance of the exact slopes from forward mode; of an early part of a solution of many steps.

    The time is off the steps' ends, so that the interpolation is part of it.
    """
    last = min(FORWARD, len(problem.ends) - 1)
    span = 0.4 * problem.ends[last - 1] + 0.6 * problem.ends[last]
    exact = slopes(problem, span=span)[1]
    # A batch of two samples, each with a tangent of its own.
    still, along = torch.zeros(2), torch.eye(2)
    found = torch.func.jvp(lambda s, turn: problem.loss(s, turn, span=span), (still, still), (along[0], along[1]))[1].tolist()
    return relative(found, exact)


def differences(problem):
    """The same by differences of the accepted steps, made again as they were; and their errors."""
    h = torch.tensor(STEPS)
    points = torch.cat([h, -h])
    still = torch.zeros_like(points)
    with torch.no_grad():
        values = problem.loss(torch.cat([points, still]), torch.cat([still, points]), replay=True)
    found = []
    for part in values.reshape(2, 2, -1):
        noise = 4 * torch.finfo(h.dtype).eps * float(part.abs().max())
        found.append(ridders(STEPS, ((part[0] - part[1]) / (2 * h)).tolist(), noise))
    return found


def measure(seed):
    """The row of a problem, and its relative errors: of differences, their own, of forward mode, of the adjoint."""
    problem = make(seed)
    value, exact = slopes(problem)
    replayed = problem.loss(torch.zeros(()), torch.zeros(()), replay=True).item()
    expected = differences(problem)
    try:
        adjoint, guard = slopes(problem, gradient="adjoint")[1], "trusted"
    except tm.GradientError:
        adjoint, guard = slopes(problem, gradient="adjoint", check=False)[1], "refused"
    best = [value for value, _ in expected]
    own = max(abs(error / value) for value, error in expected)
    errors = [relative(exact, best), own, forward_error(problem), relative(adjoint, exact)]
    apart = abs(replayed - value) / max(1.0, abs(value))
    return (
        f"| {problem.text} | {len(problem.ends) - 1} | " + " | ".join(f"{x:.0e}" for x in errors) + f" | {guard} |",
        errors,
        apart,
    )


def section(options, count=20):
    """Lines of the table."""
    yield "| cells | terms | damping | ps | steps | exact - differences | error of differences | exact - forward | adjoint - exact | guard |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    found = []
    for seed in range(count):
        row, errors, apart = measure(seed)
        found.append([*errors, apart])
        yield row
    yield ""
    yield summary(found)


def summary(found):
    """The largest of each error."""
    exact, own, forward, adjoint, apart = (max(column) for column in zip(*found))
    return (
        f"Largest: exact from differences {exact:.0e} (target 1e-6), exact from forward mode {forward:.0e} (target 1e-9; of at most {FORWARD} "
        f"steps), the adjoint from exact {adjoint:.0e}; values of the solution and of its steps made again differ by {apart:.0e}."
    )
