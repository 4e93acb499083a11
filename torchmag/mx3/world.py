"""The state of a running script."""

import contextlib
import re
from pathlib import Path

import torch

import torchmag as tm
from torchmag.mx3.dump import MAGIC, read_dump
from torchmag.mx3.grid import Geometry, Grid, Regions
from torchmag.mx3.magnetization import Magnetization
from torchmag.mx3.output import Folder, Schedule, Table
from torchmag.mx3.parameters import Excitation, Parameter
from torchmag.mx3.physics import Physics
from torchmag.mx3.program import Record
from torchmag.mx3.running import Runner
from torchmag.mx3.values import Slice
from torchmag.mx3.window import Window

# name, unit, components, default, what a change makes stale
PARAMETERS = (
    ("Msat", "A/m", 1, 0.0, "body"), ("Aex", "J/m", 1, 0.0, "terms"), ("alpha", "", 1, 0.01, "terms"), ("Ku1", "J/m3", 1, 0.0, "terms"),
    ("Ku2", "J/m3", 1, 0.0, "terms"), ("anisU", "", 3, 0.0, "terms"), ("Kc1", "J/m3", 1, 0.0, "terms"), ("Kc2", "J/m3", 1, 0.0, "terms"),
    ("Kc3", "J/m3", 1, 0.0, "terms"), ("anisC1", "", 3, 0.0, "terms"), ("anisC2", "", 3, 0.0, "terms"), ("Dind", "J/m2", 1, 0.0, "terms"),
    ("Dbulk", "J/m2", 1, 0.0, "terms"), ("B1", "J/m3", 1, 0.0, "terms"), ("B2", "J/m3", 1, 0.0, "terms"), ("xi", "", 1, 0.0, "terms"),
    ("Pol", "", 1, 1.0, "terms"), ("Lambda", "", 1, 1.0, "terms"), ("EpsilonPrime", "", 1, 0.0, "terms"), ("Temp", "K", 1, 0.0, "terms"),
    ("FreeLayerThickness", "m", 1, 0.0, "terms"), ("frozenspins", "", 1, 0.0, "terms"), ("NoDemagSpins", "", 1, 0.0, "terms"),
)  # fmt: skip
EXCITATIONS = (
    ("B_ext", "T", 3), ("J", "A/m2", 3), ("FixedLayer", "", 3), ("exx", "", 1), ("eyy", "", 1), ("ezz", "", 1), ("exy", "", 1),
    ("exz", "", 1), ("eyz", "", 1),
)  # fmt: skip
GAMMA = 1.7595e11


class World:
    """All that a script sets and changes.

    Args:
        script: its file.
        folder: of the output.
        device, dtype, order: of the body.
        check_time: raises once the time is over.
    """

    def __init__(self, script: Path, folder: Path, device, dtype, order: int, quiet: bool, check_time):
        self.reference = torch.empty((), dtype=dtype, device=device)
        self.order, self.check_time = order, check_time
        self.compile = "auto" if self.reference.device.type != "cpu" else False
        self.noise = torch.Generator().manual_seed(1)
        self.files, self.schedule, self.record = Folder(folder, script, quiet), Schedule(), Record(self)
        self.grid = Grid(self.reference)
        self.geometry, self.regions = Geometry(self), Regions(self)
        self.parameters = {name.lower(): Parameter(self, name, *rest) for name, *rest in PARAMETERS}
        self.parameters |= {name.lower(): Excitation(self, name, unit, count) for name, unit, count in EXCITATIONS}
        self.m, self.table, self.runner, self.window = Magnetization(self), Table(self), Runner(self), Window(self)
        self.t, self.step, self.dt, self.evaluations = 0.0, 0, 0.0, 0
        self.gamma, self.precess, self.enable_demag, self.open_bc = GAMMA, True, True, False
        self.no_zhang_li = self.no_slonczewski = False
        self.fixed_layer_side, self.thermal_seed, self.thermal_steps = 1, 0, 0
        self.exchange_pairs, self.dmi_pairs = {}, {}
        self.custom_fields, self.custom_energies = [], []
        self.after_step, self.post_steps, self.when_shifted = [], [], []
        self._physics, self._stale, self._whole = Physics(self), {"body", "terms"}, None

    def changed(self, what: str) -> None:
        """Note that "body" or "terms" have to be made anew."""
        self._stale.add(what)

    def physics(self) -> Physics:
        """torchmag's body and terms, up to date."""
        if self._stale:
            stale, self._stale = self._stale, set()
            try:
                self._physics.make(stale)
            except Exception:
                self._stale = stale
                raise
        return self._physics

    def set_mesh(self, n=None, size=None, pbc=None) -> None:
        """Change the mesh; what is on it is made anew, m stretched."""
        old = self.grid.n
        if self.grid.ready:
            self.m.before_renewal()
        self.grid.set(n, size, pbc)
        if self.grid.ready:
            self.geometry.renew()
            self.regions.renew()
            if old is not None:
                self.m.renew(old)
        self._whole = None
        self.changed("body")

    def close_thin_axes(self, closed: bool) -> None:
        """See `Grid.thin_is_closed`."""
        if self.grid.ready:
            self.m.before_renewal()
        self.grid.thin_is_closed = closed
        if self.grid.ready:
            self.m.renew(self.grid.n)
            self.changed("body")

    def set_geometry(self, shape) -> None:
        """Cut the body out."""
        self.m.before_renewal()
        self.geometry.set(shape)
        self.record.body = shape
        self.changed("body")

    @contextlib.contextmanager
    def at_time(self, t: float):
        """Evaluate functions of time at another time."""
        now, self.t = self.t, t
        try:
            yield
        finally:
            self.t = now

    def read(self, name: str) -> Slice:
        """The data of a file: beside the script, or of the output folder; in single precision, as mumax3's arrays."""
        path = self.files.source(name)
        self.files.flush()
        if not path.is_file():
            raise ValueError(f"{name}: no such file beside the script")
        with path.open("rb") as file:
            start = file.read(8)
        if start == MAGIC:
            return Slice(read_dump(path))
        if not start.startswith(b"# OOMMF"):
            raise ValueError(f"{name} is neither an OVF file nor a dump of mumax3")
        found = tm.io.read_ovf(path, dim=3, strict=False)
        return Slice((found.data.double() / _multiplier(path)).float().double().contiguous())

    def whole_body(self) -> tm.Magnet:
        """The body, or, while nothing is magnetic, the geometry as if it were."""
        magnet = self.physics().magnet
        if magnet is not None:
            return magnet
        if self._whole is None:
            self._whole = tm.Magnet(
                self.grid.mesh, 1.0, dtype=self.reference.dtype, device=self.reference.device, order=self.order
            )
        return self._whole

    def nodal_m(self) -> torch.Tensor:
        """m as torchmag takes it: (3, *nodes)."""
        return self.m.at_nodes().reshape(3, *self.grid.mesh.nodes).contiguous()


def _multiplier(path):
    """That of an OVF 1.0 file, which mumax3 leaves out."""
    with path.open("rb") as file:
        found = re.search(rb"(?i)^# *valuemultiplier: *(\S+)", file.read(4096), re.MULTILINE)
    return float(found[1]) if found else 1.0
