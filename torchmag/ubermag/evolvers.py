"""OOMMF's evolvers, by the names of oommfc: what they say about a run that matters to torchmag."""

import micromagneticmodel as mm

# Control of OOMMF's steps: taken, so that scripts run, and not used.  torchmag has its own.
_STEPS = [
    "min_timestep",
    "max_timestep",
    "start_dm",
    "start_dt",
    "stage_start",
    "error_rate",
    "absolute_step_error",
    "relative_step_error",
    "energy_precision",
    "min_step_headroom",
    "max_step_headroom",
    "step_headroom",
    "reject_goal",
]
_THERMAL = ["fixed_timestep", "uniform_seed"]


class TimeEvolver(mm.Evolver):
    """An evolver of a TimeDriver.

    `method` chooses the integrator: "rkf54", "rkf54m", "rkf54s" and "rk4" are "dopri5", "rk2" and "rk2heun" are "bosh3".
    """

    _allowed_attributes = ["method", *_STEPS]
    thermal = False

    def integrator(self) -> str:
        """The method of `tm.solve`."""
        asked = getattr(self, "method", "rkf54")
        known = {"rkf54": "dopri5", "rkf54m": "dopri5", "rkf54s": "dopri5", "rk4": "dopri5", "rk2": "bosh3", "rk2heun": "bosh3"}
        if asked not in known:
            raise ValueError(f"{type(self).__name__}: method = {asked!r}, expected one of {', '.join(known)}")
        return known[asked]


class RungeKuttaEvolver(TimeEvolver):
    """Runge-Kutta steps with error control."""


class EulerEvolver(TimeEvolver):
    """In OOMMF Euler steps; here the third-order method "bosh3" with error control, which is at least as accurate."""

    def integrator(self) -> str:
        return "bosh3"


class SpinTEvolver(TimeEvolver):
    """OOMMF's for the Zhang-Li torque; here that of `RungeKuttaEvolver`."""


class SpinXferEvolver(TimeEvolver):
    """OOMMF's for the Slonczewski torque; here that of `RungeKuttaEvolver`."""


class ThermalEvolver(TimeEvolver):
    """An evolver at a finite temperature: steps of Heun's method, of fixed length.

    `fixed_timestep` (s) is their length; by default `max_timestep`, else 0.1 ps or what the exchange allows, if that is less.
    `uniform_seed` is the seed of the noise; by default a new one.
    """

    _allowed_attributes = [*TimeEvolver._allowed_attributes, *_THERMAL, "ito_calculus"]
    thermal = True

    def integrator(self) -> str:
        if getattr(self, "ito_calculus", 0):
            raise ValueError(f"{type(self).__name__}: ito_calculus is not supported; Heun's method is of Stratonovich's calculus")
        return "heun"


class UHH_ThetaEvolver(ThermalEvolver):
    """Finite temperature; see `ThermalEvolver`."""


class Xf_ThermHeunEvolver(ThermalEvolver):
    """Finite temperature; see `ThermalEvolver`."""


class Xf_ThermSpinXferEvolver(ThermalEvolver):
    """Finite temperature with the Slonczewski torque; see `ThermalEvolver`."""


class CGEvolver(mm.Evolver):
    """The evolver of drivers to an equilibrium; torchmag minimises by L-BFGS, whatever `method` says."""

    _allowed_attributes = [
        "gradient_reset_angle",
        "gradient_reset_count",
        "minimum_bracket_step",
        "maximum_bracket_step",
        "line_minimum_angle_precision",
        "line_minimum_relwidth",
        "energy_precision",
        "method",
    ]
