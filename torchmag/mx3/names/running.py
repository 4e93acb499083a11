"""Running: time, solvers, the moving window."""

import math

from torchmag.mx3.kinds import Setting, convert, to_bool
from torchmag.mx3.quantity import Number
from torchmag.mx3.running import FIXED
from torchmag.mx3.script_error import Exit
from torchmag.mx3.values import Function

F, N = "float", "int"


def names(world) -> dict[str, object]:
    """What this room adds."""
    return _functions(world) | _settings(world) | _window(world)


def _functions(world):
    runner = world.runner

    def run_while(thunk):
        to_bool(thunk())
        runner.run_while(lambda: to_bool(thunk()))

    def set_solver(number):
        if number not in (-1, *FIXED):
            raise ValueError(f"solver {number}, expected -1 or 1 to 6")
        runner.solver = number
        if number not in (1, 3, 5):
            world.files.log(f"//solver {number}: without FixDt, gyro5 takes its place")

    def leave():
        raise Exit

    record = world.record
    rows = (
        ("Run", record.wrap("run", runner.run), (F,)),
        ("Steps", record.wrap("steps", runner.steps), (N,)),
        ("RunWhile", record.wrap("run_while", run_while), ("thunk",)),
        ("Relax", record.wrap("relax", runner.relax), ()),
        ("Minimize", record.wrap("minimize", runner.minimize), ()),
        ("SetSolver", set_solver, (N,)),
        ("Exit", leave, ()),
        ("ext_EnableUnsafe", lambda: None, ()),
    )
    return {name: Function(name, call, kinds) for name, call, kinds in rows}


def _settings(world):
    def number(owner, attribute, low=-math.inf, kind=F):
        def assign(thunk):
            value = convert(thunk(), kind)
            if not low <= value < math.inf:
                raise ValueError(f"{value}, expected a finite number{'' if low == -math.inf else f' of at least {low:g}'}")
            setattr(owner, attribute, value)

        return Setting(lambda: getattr(owner, attribute), assign, live=True)

    runner = world.runner
    world.unused = {"min_dt": 0.0, "headroom": 0.8, "minimizer_stop": 1e-6, "minimizer_samples": 10, "demag_accuracy": 6.0}

    def kept(name, kind=F):
        """What torchmag's methods do not need: taken, and told by Get."""

        def assign(thunk):
            world.unused[name] = convert(thunk(), kind)

        return Setting(lambda: world.unused[name], assign)

    def set_error(thunk):
        value = convert(thunk(), F)
        if not 0 < value < math.inf:
            raise ValueError(f"MaxErr = {value}, expected a positive number")
        runner.max_err = value

    evaluations = Number(world, "NEval", "", lambda: world.evaluations)
    error = Number(world, "LastErr", "", lambda: math.nan)
    peak = Number(world, "PeakErr", "", lambda: math.nan)
    return {
        "t": number(world, "t", kind=F),
        "dt": Setting(lambda: world.dt, None, live=True),
        "step": number(world, "step", 0, kind=N),
        "NEval": Setting(lambda: evaluations, None, live=True),
        "LastErr": Setting(lambda: error, None, live=True),
        "PeakErr": Setting(lambda: peak, None, live=True),
        "FixDt": number(runner, "fix_dt", 0),
        "MaxDt": number(runner, "max_dt", 0),
        "MaxErr": Setting(lambda: runner.max_err, set_error),
        "RelaxTorqueThreshold": number(runner, "relax_threshold"),
        "MinDt": kept("min_dt"),
        "Headroom": kept("headroom"),
        "MinimizerStop": kept("minimizer_stop"),
        "MinimizerSamples": kept("minimizer_samples", N),
        "DemagAccuracy": kept("demag_accuracy"),
    }


def _window(world):
    window = world.window

    def flag(attribute):
        def assign(thunk):
            setattr(window, attribute, convert(thunk(), "bool"))

        return Setting(lambda: getattr(window, attribute), assign)

    def edge(side):
        def assign(thunk):
            window.edges[side] = convert(thunk(), "vector")

        return Setting(lambda: window.edges[side], assign)

    def shift(axis):
        def call(cells):
            window.shift(cells, axis)

        return call

    total = Number(world, "TotalShift", "m", lambda: -window.position())
    total_y = Number(world, "TotalYShift", "m", lambda: -window.position(1))
    return {
        "Shift": Function("Shift", shift(0), (N,)),
        "YShift": Function("YShift", shift(1), (N,)),
        "TotalShift": Setting(lambda: total, None, live=True),
        "TotalYShift": Setting(lambda: total_y, None, live=True),
        "ShiftMagL": edge("L"), "ShiftMagR": edge("R"), "ShiftMagU": edge("U"), "ShiftMagD": edge("D"),
        "ShiftM": flag("move_m"), "ShiftGeom": flag("move_body"), "ShiftRegions": flag("move_regions"),
        "EdgeCarryShift": flag("carry_edge"),
    }  # fmt: skip
