"""Drives that a queue runs later: `python -m torchmag.ubermag` in their folder."""

import pickle
import subprocess
import sys
from pathlib import Path

import discretisedfield as df
import micromagneticmodel as mm

FILE = "drive.pickle"


def schedule(driver, system, folder, cmd, header, script_name, kwargs, checked, fixed_subregions, verbose) -> None:
    """Write a drive into its folder and submit it; see `Driver.schedule`."""
    plain = (system.name, list(system.energy), list(system.dynamics), system.m, system.T)
    arguments = (kwargs, checked, fixed_subregions, None, 0)
    try:
        with open(folder.path / FILE, "wb") as file:
            Pickler(file).dump((driver, plain, folder.number, folder.ovf_format, arguments))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"schedule: the drive cannot be written: {error}; define functions at the top of a module") from None
    head = Path(header).read_text(encoding="utf-8") if len(header) < 255 and Path(header).is_file() else header
    script = f"{head}\n{sys.executable} -m torchmag.ubermag {folder.path.resolve()}\n"
    (folder.path / script_name).write_text(script, encoding="utf-8")
    if verbose >= 1:
        print(f"Running '{cmd} {script_name}' in '{folder.path.resolve()}'.")
    try:
        found = subprocess.run([cmd, script_name], cwd=folder.path, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"schedule: {cmd!r} is not on this machine; the script is {folder.path / script_name}") from None
    if found.returncode:
        raise RuntimeError(f"schedule: '{cmd} {script_name}' failed: {found.stderr or found.stdout}")


class Pickler(pickle.Pickler):
    """Also takes ubermag's fields and containers, whose attribute look-up pickle does not get through."""

    def reducer_override(self, obj):
        if not isinstance(obj, df.Field | mm.abstract.Container):
            return NotImplemented
        state = dict(vars(obj)) if isinstance(obj, mm.abstract.Container) else {}
        for kind in type(obj).__mro__:
            for name in getattr(kind, "__slots__", ()):
                state[name] = getattr(obj, name)
        return _restored, (type(obj), state)


def _restored(kind, state):
    found = object.__new__(kind)
    for name, value in state.items():
        object.__setattr__(found, name, value)
    return found


def load(path: Path):
    """The driver, system, number, format and arguments that `schedule` wrote."""
    with open(path / FILE, "rb") as file:
        driver, (name, energy, dynamics, m, T), number, ovf_format, arguments = pickle.load(file)
    system = mm.System(name=name, m=m, T=T)
    for term in energy:
        system.energy += term
    for term in dynamics:
        system.dynamics += term
    return driver, system, number, ovf_format, arguments
