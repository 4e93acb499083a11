"""What all drivers have in common: the folder, the table, the system's new m."""

import abc
import contextlib

import micromagneticmodel as mm
import torch
import ubermagutil as uu

from torchmag.ubermag.folder import Folder, require_format
from torchmag.ubermag.model import Model
from torchmag.ubermag.schedule import schedule

# Keywords of drive that scripts pass on: files are written whatever they say.
IGNORED = ("save", "overwrite")


class Driver(mm.Driver):
    """A driver of a system.

    Args (by keyword; `drive` takes those of the system):
        evolver: see `torchmag.ubermag.evolvers`.
        order: of accuracy in space, 6, 4 or 2.  Default: 6; 2 where m is not smooth on the cells, without exchange or where a DMI turns
            it by more than they resolve.
        device: "cpu" (default), "cuda" ...
        dtype: "float64" (default) or "float32".
        compile: as in `tm.solve`.
    """

    _allowed_attributes = ["evolver", "order", "device", "dtype", "compile"]
    # Keywords of `drive` beside those of all drivers.
    keywords: tuple[str, ...] = ()

    def drive(
        self, system: mm.System, /, dirname=".", append: bool = True, runner=None, ovf_format: str = "bin8", verbose: int = 1,
        n_threads: int | None = None, fixed_subregions=None, compute=None, **kwargs,
    ) -> None:  # fmt: skip
        """Drive the system: its m and table are new afterwards; dirname/system.name/drive-NUMBER holds every stage.

        Args:
            system: with energy, m, and for a TimeDriver dynamics.  Its m goes to the nodes, unless the last drive left it as it is.
            dirname: where the system's folder is.
            append: False: that folder must not exist.
            runner: None; torchmag runs in this process.
            ovf_format: of the files, "bin8", "bin4" or "txt".
            verbose: 0: nothing; 1: a line; 2: also a bar.
            n_threads: of torch during this drive.
            fixed_subregions: names of subregions whose m stays.
            compute: None; lines for OOMMF cannot be run.

        Raises:
            ValueError, TypeError, RuntimeError: arguments, or a system, that cannot be driven, with the name of the term.
        """
        kwargs = {key: value for key, value in kwargs.items() if key not in IGNORED}
        unknown = set(kwargs) - set(self.keywords)
        if unknown:
            raise TypeError(
                f"{type(self).__name__}.drive: unknown keywords {', '.join(sorted(unknown))}; it takes {', '.join(self.keywords) or 'none of its own'}"
            )
        if runner is not None:
            raise TypeError(
                f"{type(self).__name__}.drive: runner is a {type(runner).__name__}; torchmag runs in this process, leave it out"
            )
        if compute is not None:
            raise ValueError(
                f"{type(self).__name__}.drive: compute={compute!r} is a line for OOMMF; use torchmag.ubermag.compute"
            )
        require_format(ovf_format)
        checked = self.check(dict(kwargs))
        self.check_system(system)
        self.run(
            system, Folder(system, dirname, "drive", append, ovf_format), kwargs, checked, fixed_subregions, n_threads, verbose
        )

    def run(self, system, folder: Folder, kwargs, checked, fixed_subregions, n_threads, verbose) -> None:
        """Drive in a folder that is there."""
        name = type(self).__name__
        folder.describe(f"{name} {dict(self)!r}", kwargs | {"fixed_subregions": fixed_subregions})
        with folder.record(name, kwargs), _threads(n_threads), self._told(verbose), torch.no_grad():
            options = {key: getattr(self, key) for key in ("order", "device", "dtype") if hasattr(self, key)}
            model = Model(system, duration=checked.get("t"), **options)
            m, table = self._run(model, folder, model.frozen(fixed_subregions), verbose >= 2, **checked)
            model.keep(m)
            system.table = table.read(folder.path / f"{system.name}.odt", self._x)
        system.drive_number += 1

    def schedule(
        self, system: mm.System, cmd: str, header: str, script_name: str = "job.sh", dirname=".", append: bool = True, runner=None,
        ovf_format: str = "bin8", verbose: int = 1, fixed_subregions=None, **kwargs,
    ) -> None:  # fmt: skip
        """Write the drive into its folder, and hand `script_name` there to a queue; micromagneticdata reads the results.

        Args:
            cmd: the queue's program, such as "sbatch".
            header: lines for the head of the script, or the name of a file with them.

        Raises:
            RuntimeError: the program is missing, or fails.
        """
        require_format(ovf_format)
        checked = self.check(dict(kwargs))
        self.check_system(system)
        folder = Folder(system, dirname, "drive", append, ovf_format)
        schedule(self, system, folder, cmd, header, script_name, kwargs, checked, fixed_subregions, verbose)
        system.drive_number += 1

    @abc.abstractmethod
    def check(self, kwargs):
        """The keywords of `drive` as `_run` takes them; raises unless they are right."""

    @abc.abstractmethod
    def check_system(self, system):
        """Raise unless the system has what the driver needs."""

    @abc.abstractmethod
    def _run(self, model: Model, folder: Folder, frozen, bar: bool, **checked):
        """The new m, and the table."""

    def require_evolver(self, kinds):
        """The evolver, None by default; raises a TypeError for one of another kind."""
        evolver = getattr(self, "evolver", None)
        if evolver is not None and not isinstance(evolver, kinds):
            raise TypeError(f"{type(self).__name__}: evolver is a {type(evolver).__name__}, which this driver cannot use")
        return evolver

    def _told(self, verbose):
        return uu.progress.summary("torchmag", getattr(self, "device", "cpu")) if verbose >= 1 else uu.progress.quiet()


def require_energy(system) -> None:
    """Raise unless the system has an energy and m."""
    if len(system.energy) == 0:
        raise RuntimeError("System's energy is not defined")
    if system.m is None:
        raise RuntimeError("System's magnetisation is not defined: set system.m")


@contextlib.contextmanager
def _threads(count):
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(int(count))
    try:
        yield
    finally:
        torch.set_num_threads(before)
