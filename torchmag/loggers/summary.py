"""Simulations and training loops to anything with the SummaryWriter protocol, TensorBoard above all."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from torchmag.loggers.pictures import card, map_picture, picture, with_wheel
from torchmag.loggers.values import columns
from torchmag.mesh import Mesh

METHODS = ("add_scalar", "add_image", "add_histogram")
# TensorBoard draws what is below 1e-16 as zero and prints four decimals.
TIME = {"t": (1e-9, "ns")}


class Summary:
    """A simulation's quantities as scalars and m as pictures, live.

        from torch.utils.tensorboard import SummaryWriter
        sim.log(tm.loggers.Summary(SummaryWriter("runs/sp4"), mesh, units={"E": (1e-18, "aJ")}), every=1e-12)

    The step of an entry is its number.  Scalars are "quantities/NAME", or "quantities/NAME_UNIT"; time is "quantities/t_ns".
    Pictures are "pictures/m".

    Args:
        writer: with add_scalar, add_image and add_histogram.
        mesh: that of m, for pictures of the first sample; None: no pictures.
        pictures: one at each so many entries.
        units: quantity -> (its size in SI units, its name), in which it is shown; TensorBoard shows numbers below 1e-16, such as
            an energy in J, as zero.

    Raises:
        TypeError: a writer without these methods.
        ValueError: pictures below 1, a unit that is no positive size and a name.
    """

    def __init__(
        self,
        writer,
        mesh: Mesh | None = None,
        *,
        pictures: int = 10,
        units: Mapping[str, tuple[float, str]] | None = None,
    ):
        _require_writer(writer)
        self.units = TIME | dict(units or {})
        for name, unit in self.units.items():
            if not (isinstance(unit, tuple) and len(unit) == 2 and isinstance(unit[1], str) and 0 < unit[0] < float("inf")):
                raise ValueError(
                    f'Summary: units[{name!r}] = {unit!r}, expected its size in SI units and its name, as (1e-18, "aJ")'
                )
        if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 1:
            raise ValueError(f"Summary: pictures = {pictures!r}, expected an integer, at least 1")
        self.writer, self.mesh, self.pictures, self._count = writer, mesh, pictures, 0

    def open(self, position: int | None) -> None:
        # TensorBoard shows the later of two entries of a step: what is made once more covers what was there.
        self._count = position or 0

    def log(self, t: float, m: Tensor, values: Mapping[str, Tensor]) -> None:
        for name, value in ({"t": t} | dict(values)).items():
            size, unit = self.units.get(name, (1, ""))
            for column, number in columns({name: value}).items():
                self.writer.add_scalar(f"quantities/{column}" + (f"_{unit}" if unit else ""), number / size, self._count)
        if self.mesh is not None and self.mesh.dim > 1 and self._count % self.pictures == 0:
            first = m.reshape(-1, 3, *self.mesh.nodes)[0]
            self.writer.add_image("pictures/m", _state(first, self.mesh), self._count)
        self._count += 1

    def position(self) -> int:
        flush = getattr(self.writer, "flush", None)
        if flush is not None:
            flush()
        return self._count

    def close(self) -> None:
        close = getattr(self.writer, "close", None)
        if close is not None:
            close()


def summarize(
    writer, step: int, module: nn.Module | None = None, *, m: Tensor | None = None, mesh: Mesh | None = None, **scalars
) -> None:
    """An iteration of a training loop: call it after backward().

    Args:
        writer: with add_scalar, add_image and add_histogram.
        step: number of the iteration.
        module: whose parameters are shown as "parameter/NAME", one number as a scalar, more as a histogram; likewise their
            gradients, "gradient/NAME", with their norms "gradient_norm/NAME"; maps also as "pictures/parameter/NAME" and
            "pictures/gradient/NAME", black the lowest value, white the highest.
        m: a state to show as "pictures/m", (*batch, 3, *nodes), of which the first sample.
        mesh: that of m and of the maps.
        scalars: such as loss=loss.

    Raises:
        TypeError: a writer without these methods, m without its mesh.
    """
    _require_writer(writer)
    for name, value in scalars.items():
        for column, number in columns({name: torch.as_tensor(value)}).items():
            writer.add_scalar(column, number, step)
    for name, parameter in () if module is None else module.named_parameters():
        _show(writer, f"parameter/{name}", parameter, mesh, step)
        if parameter.grad is not None:
            writer.add_scalar(f"gradient_norm/{name}", float(torch.linalg.vector_norm(parameter.grad)), step)
            _show(writer, f"gradient/{name}", parameter.grad, mesh, step)
    if m is not None:
        if mesh is None:
            raise TypeError("summarize: m is given without its mesh")
        writer.add_image("pictures/m", _state(m.reshape(-1, 3, *mesh.nodes)[0], mesh), step)


def _show(writer, tag, values, mesh, step):
    values = values.detach()
    if values.numel() == 1:
        writer.add_scalar(tag, values.item(), step)
        return
    writer.add_histogram(tag, values, step)
    grey = map_picture(values, mesh)
    if grey is not None:
        # A tag of its own: TensorBoard shows one kind of entry for each tag.
        writer.add_image(f"pictures/{tag}", card(grey, mesh), step)


def _state(m, mesh):
    return with_wheel(card(picture(m, mesh), mesh))


def _require_writer(writer):
    missing = [name for name in METHODS if not callable(getattr(writer, name, None))]
    if missing:
        raise TypeError(
            f"a {type(writer).__name__} has no {', '.join(missing)}; expected a SummaryWriter, or torchmag.loggers.ScalarTable(path)"
        )
