"""Time integration and equilibrium."""

from torchmag.solvers.odeint import register
from torchmag.solvers.relax import Relaxation, relax
from torchmag.solvers.solve import solve

register()

__all__ = ["Relaxation", "relax", "solve"]
