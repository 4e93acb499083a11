"""Time integration and equilibrium."""

from torchmag.solvers.evolve import Evolve
from torchmag.solvers.hysteresis import hysteresis
from torchmag.solvers.minimize import Minimization, minimize
from torchmag.solvers.odeint import register
from torchmag.solvers.relax import Relaxation, relax
from torchmag.solvers.solve import solve

register()

__all__ = ["Evolve", "Minimization", "Relaxation", "hysteresis", "minimize", "relax", "solve"]
