"""The folders of drives and computations, as ubermag's own readers expect them."""

import contextlib
import datetime
import json
import math
import shutil
from pathlib import Path

import discretisedfield as df
import micromagneticmodel as mm
import numpy as np

import torchmag as tm

FORMATS = ("bin8", "bin4", "txt")


def delete(system: mm.System, silent: bool = False) -> None:
    """Delete the folder of a system's drives.

    Raises:
        FileNotFoundError: there is none, and `silent` is False.
    """
    folder = Path(system.name)
    if folder.exists():
        shutil.rmtree(folder)
        system.drive_number = 0
    elif not silent:
        raise FileNotFoundError(f"Directory {system.name} does not exist.")


def require_format(ovf_format: str) -> None:
    """Raise unless it is one of ubermag's formats of OVF files."""
    if ovf_format not in FORMATS:
        raise ValueError(f"ovf_format = {ovf_format!r}, expected one of {', '.join(FORMATS)}")


class Folder:
    """dirname/system.name/MODE-NUMBER with m0.omf, info.json, a description and what is written later.

    Args:
        system: its number of drives or computations becomes that of this one.
        mode: "drive" or "compute".
        append: False: the system's folder must not exist.

    Raises:
        FileExistsError: it does.
    """

    def __init__(self, system: mm.System, dirname, mode: str, append: bool, ovf_format: str):
        whole = Path(dirname, system.name)
        if whole.exists() and not append:
            raise FileExistsError(
                f"{whole} exists; pass append=True to add to it, or delete it with torchmag.ubermag.delete(system)"
            )
        numbers = [int(path.name.split("-")[1]) for path in whole.glob(f"{mode}-*") if path.name.split("-")[1].isdigit()]
        self.number = max(numbers, default=-1) + 1
        setattr(system, f"{mode}_number", self.number)
        self.system, self.ovf_format, self.path = system, ovf_format, whole / f"{mode}-{self.number}"
        self.path.mkdir(parents=True)
        system.m.to_file(str(self.path / "m0.omf"), representation=ovf_format)

    @classmethod
    def opened(cls, system: mm.System, path: Path, number: int, ovf_format: str) -> "Folder":
        """One that is there."""
        found = object.__new__(cls)
        found.system, found.path, found.number, found.ovf_format = system, Path(path), number, ovf_format
        return found

    def describe(self, driver, arguments) -> None:
        """Write what is driven, in ubermag's words, where ubermag's readers look for the calculator's script."""
        lines = [
            f"torchmag {tm.__version__}, {driver}, {', '.join(f'{key}={value!r}' for key, value in arguments.items())}",
            "This is a description; OOMMF cannot run it.",
            f"mesh: {self.system.m.mesh!r}",
            f"energy: {self.system.energy!r}",
            f"dynamics: {self.system.dynamics!r}",
            f"T: {self.system.T!r}",
        ]
        text = "".join(f"# {line}\n" for line in "\n".join(lines).splitlines())
        (self.path / f"{self.system.name}.mif").write_text(text, encoding="utf-8")

    @contextlib.contextmanager
    def record(self, driver: str, arguments):
        """Keep info.json: when and how the drive began, ended, and whether it did.

        RelaxDriver stands as MinDriver, the name under which ubermag's readers know a drive to an equilibrium.
        """
        start = datetime.datetime.now()
        known = {"RelaxDriver": "MinDriver"}.get(driver, driver)
        info = {
            "drive_number": self.number,
            "date": start.strftime("%Y-%m-%d"),
            "time": start.strftime("%H:%M:%S"),
            "start_time": start.isoformat(timespec="seconds"),
            "adapter": "torchmag.ubermag",
            "adapter_version": tm.__version__,
            "driver": known,
            **({} if known == driver else {"torchmag_driver": driver}),
            **arguments,
        }
        self._write_info(info)
        success = False
        try:
            yield
            success = True
        finally:
            end = datetime.datetime.now()
            seconds = math.ceil((end - start).total_seconds())
            elapsed = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
            self._write_info(info | {"end_time": end.isoformat(timespec="seconds"), "elapsed_time": elapsed, "success": success})

    def _write_info(self, info):
        plain = lambda value: value.tolist() if isinstance(value, np.ndarray | np.generic) else repr(value)
        (self.path / "info.json").write_text(json.dumps(info, default=plain), encoding="utf-8")

    def write_stage(self, array: np.ndarray, driver: str, stage: int, stages: int, iteration: int) -> None:
        """m, A/m, of a stage, by OOMMF's name of the file."""
        field = df.Field(self.system.m.mesh, nvdim=3, value=array)
        digits = max(2, len(str(stages - 1)))
        name = f"{self.system.name}-Oxs_{driver}-Magnetization-{stage:0{digits}d}-{iteration:07d}.omf"
        field.to_file(str(self.path / name), representation=self.ovf_format, save_subregions=False)
