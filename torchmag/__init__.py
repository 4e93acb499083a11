"""torchmag: micromagnetics as PyTorch modules."""

import difflib
import importlib

__version__ = "0.1.0"

from torchmag import checkpoint, forms, geometry, loggers
from torchmag.checkpoint import Checkpoint, Remembered
from torchmag.constants import gamma_0, hbar, k_B, mu_0, mu_B
from torchmag.dataset import Dataset, dataset
from torchmag.design import (
    AntennaField,
    DensityField,
    FourierPulse,
    GaussianPulse,
    LevelSet,
    Pulse,
    RegionAverage,
    Samples,
    SincPulse,
    Spectrum,
    SpinWaveIntensity,
    SplinePulse,
    damping_ramp,
)
from torchmag.energies import (
    DMI,
    BulkDMI,
    CubicAnisotropy,
    Demag,
    EnergyModule,
    Exchange,
    InterfaceDMI,
    InterlayerExchange,
    Magnetoelastic,
    Oersted,
    SurfaceAnisotropy,
    UniaxialAnisotropy,
    Zeeman,
)
from torchmag.energy import Energy, LocalEnergy, Sum
from torchmag.errors import (
    CheckpointError,
    ConvergenceError,
    DivergedWarning,
    FileFormatError,
    FormError,
    GradientError,
    GradientWarning,
    IntegrationError,
    MaxStepsError,
    NonFiniteError,
    OVFError,
    ResolutionWarning,
    StabilityWarning,
    StepSizeError,
    SweepError,
    TableError,
    TrajectoryError,
)
from torchmag.layout import positions
from torchmag.llg import LLG
from torchmag.magnet import Magnet
from torchmag.mesh import Mesh
from torchmag.modes import Modes, Response, eigenmodes, response
from torchmag.observables import average, hopf_index, max_angle, max_torque, topological_charge
from torchmag.parameters import Bounded, Derived, Positive, UnitVector, by_region
from torchmag.sampling import LatinHypercube, Sobol
from torchmag.simulation import Event, Simulation
from torchmag.solvers import Evolve, Minimization, Relaxation, Stability, hysteresis, minimize, relax, solve, stability
from torchmag.states import random, uniform, vortex
from torchmag.surface import SurfaceEnergy
from torchmag.sweep import sweep
from torchmag.thermal import ThermalField
from torchmag.torque import Torque
from torchmag.torques import Slonczewski, SpinOrbit, ZhangLi


def __getattr__(name):
    # Submodules with imports of their own (matplotlib, h5py) load when they are first named.
    if name in ("io", "mx3", "plot", "testing"):
        return importlib.import_module(f"torchmag.{name}")
    known = {own.lower(): own for own in globals() if not own.startswith("_")}
    close = [known[own] for own in difflib.get_close_matches(name.lower(), known)]
    hint = f"; did you mean {' or '.join(close)}?" if close else ""
    # With a name and no object: Python would add a guess of its own.
    raise AttributeError(f"module 'torchmag' has no attribute {name!r}{hint}", name=name)
