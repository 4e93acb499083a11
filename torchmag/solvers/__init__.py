"""Time integration and equilibrium."""

from torchmag.solvers.evolve import Evolve
from torchmag.solvers.hysteresis import hysteresis
from torchmag.solvers.minimize import Minimization, minimize
from torchmag.solvers.odeint import register
from torchmag.solvers.relax import Relaxation, relax
from torchmag.solvers.solve import solve
from torchmag.solvers.stability import Stability, stability

register()

__all__ = ["Evolve", "Minimization", "Relaxation", "Stability", "hysteresis", "minimize", "relax", "solve", "stability"]
