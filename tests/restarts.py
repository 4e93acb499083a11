"""Small simulations that are stopped and continued."""

import torch

import torchmag as tm

# name -> (method, step, temperature in K).
STEPPERS = {
    "dopri5": ("dopri5", None, None),
    "tsit5": ("tsit5", None, None),
    "bosh3": ("bosh3", None, None),
    "fixed": ("dopri5", 4e-13, None),
    "rk4": ("rk4", 4e-13, None),
    "thermal": ("heun", 2e-13, 300.0),
}


class Stop(Exception):
    """What ends a simulation in a test: a crash as Python sees it."""


class Memory:
    """A logger that keeps what it gets, in a list that outlives it."""

    def __init__(self, rows):
        self.rows = rows

    def open(self, position):
        del self.rows[position or 0 :]

    def log(self, t, m, values):
        assert torch.isfinite(m).all()
        self.rows.append((t, m.clone(), {name: value.clone() for name, value in values.items()}))

    def position(self):
        return len(self.rows)

    def close(self):
        pass


def make(dtype=torch.float64, temperature=None, n=(6, 4), batch=()):
    """An equation with a field that turns, and a state."""
    mesh = tm.Mesh(n, (5e-9, 5e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5, dtype=dtype)

    def H(t):
        return torch.stack([2e4 * torch.cos(3e10 * t), 2e4 * torch.sin(3e10 * t), 0 * t])

    energy = tm.Exchange(film, 1.3e-11) + tm.Demag(film) + tm.Zeeman(film, H)
    thermal = None if temperature is None else tm.ThermalField(film, temperature, seed=5)
    m0 = tm.uniform(mesh, (1, 0.3, 0.1), dtype=dtype).expand(*batch, 3, *mesh.nodes)
    return tm.LLG(energy, alpha=0.05, temperature=thermal), m0


def equal(a, b):
    """Bit by bit, whatever they are."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


class After:
    """Saves the simulation and raises `Stop` when it was asked so many times."""

    def __init__(self, sim, count):
        self.sim, self.left, self.between = sim, count, sim.between_steps

    def __call__(self):
        self.between()
        self.left -= 1
        if self.left == 0:
            self.sim.save()
            raise Stop


def with_restarts(program, make_simulation, stops):
    """The program's result when it is stopped after so many steps, again and again, and continued by a new simulation each time.

    And how often it was.
    """
    stopped = 0
    for count in [*stops, None]:
        sim = make_simulation(resume=True)
        if count is not None:
            sim.between_steps = After(sim, count)
        try:
            return program(sim), stopped
        except Stop:
            stopped += 1
    raise AssertionError("unreachable")
