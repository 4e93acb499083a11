"""What is measured: meshes, precisions, modes, batches, and how much of them a machine is given by default."""

from dataclasses import asdict, dataclass

FILMS = ((100, 25), (256, 256), (512, 512), (1024, 1024), (2048, 2048))
BODIES = ((32, 32, 32), (64, 64, 64), (128, 128, 128), (256, 256, 256))
BATCHES = (256, 4096, 16384)
SMALL = (32, 8)  # cells of each sample of a batch
DTYPES = ("float32", "float64")
# Whole steps: llg.compile(mode="reduce-overhead").
MODES = ("eager", "compiled", "whole steps")
# A CPU, with a compiler that takes ten seconds for each graph, gets what is done in about a minute.
ON_CPU = {"meshes": ((100, 25), (256, 256), (32, 32, 32)), "batches": (256,)}


@dataclass(frozen=True)
class Case:
    """One mesh in one precision.

    Attributes:
        cells: of the mesh; cells of 5 x 5 x 3 nm^3.
        batch: samples; each has an applied field of its own where there are several.
        seconds: how long to time each quantity.
        limit: seconds that setting up a mode, or measuring it, may take.
    """

    cells: tuple[int, ...]
    batch: int
    dtype: str
    device: str
    order: int | None = None
    modes: tuple[str, ...] = MODES
    seconds: float = 0.5
    limit: float = 120.0
    threads: int | None = None

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def of(cls, given: dict) -> "Case":
        return cls(**given | {"cells": tuple(given["cells"]), "modes": tuple(given["modes"])})

    @property
    def title(self) -> str:
        cells = "x".join(map(str, self.cells))
        return cells if self.batch == 1 else f"{self.batch} of {cells}"

    @property
    def bytes(self) -> int:
        """About what the equation and a step hold: the kernel, two spectra of the padded mesh, a dozen states of each sample."""
        padded, nodes = 1, 1
        for n in self.cells:
            padded, nodes = padded * (2 * n if n > 1 else 1), nodes * (n + 1)
        return (3 * padded + self.batch * (6 * padded + 36 * nodes)) * (4 if self.dtype == "float32" else 8)


def cases(meshes, batches, dtypes, **options) -> list[Case]:
    """Small ones first, so that a budget leaves out the large ones."""
    found = [Case(tuple(cells), 1, dtype, **options) for cells in meshes for dtype in dtypes]
    return found + [Case(SMALL, batch, dtype, **options) for batch in batches for dtype in dtypes]
