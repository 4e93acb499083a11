"""Simulations and training loops to anything with the SummaryWriter protocol, TensorBoard above all."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from torchmag.loggers.pictures import map_picture, picture
from torchmag.loggers.values import columns
from torchmag.mesh import Mesh

METHODS = ("add_scalar", "add_image", "add_histogram")


class Summary:
    """A simulation's quantities as scalars and m as pictures, live.

        from torch.utils.tensorboard import SummaryWriter
        sim.log(tm.loggers.Summary(SummaryWriter("runs/sp4"), mesh), every=1e-12)

    The step of an entry is its number; time is the scalar "t".

    Args:
        writer: with add_scalar, add_image and add_histogram.
        mesh: that of m, for pictures of the first sample; None: no pictures.
        pictures: one at each so many entries.
    """

    def __init__(self, writer, mesh: Mesh | None = None, *, pictures: int = 10):
        _require_writer(writer)
        if isinstance(pictures, bool) or not isinstance(pictures, int) or pictures < 1:
            raise ValueError(f"Summary: pictures = {pictures!r}, expected an integer, at least 1")
        self.writer, self.mesh, self.pictures, self._count = writer, mesh, pictures, 0

    def open(self, position: int | None) -> None:
        # TensorBoard shows the later of two entries of a step: what is made once more covers what was there.
        self._count = position or 0

    def log(self, t: float, m: Tensor, values: Mapping[str, Tensor]) -> None:
        for name, number in ({"t": t} | columns(values)).items():
            self.writer.add_scalar(name, number, self._count)
        if self.mesh is not None and self.mesh.dim > 1 and self._count % self.pictures == 0:
            first = m.reshape(-1, 3, *self.mesh.nodes)[0]
            self.writer.add_image("m", picture(first, self.mesh), self._count)
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
        module: whose parameters are shown: one number as a scalar, more as a histogram, a map also as a picture; likewise their
            gradients, whose norm is a scalar "gradient/NAME".
        m, mesh: a state to show, (*batch, 3, *nodes), of which the first sample.
        scalars: such as loss=loss.
    """  # fmt: skip
    _require_writer(writer)
    for name, value in scalars.items():
        for column, number in columns({name: torch.as_tensor(value)}).items():
            writer.add_scalar(column, number, step)
    for name, parameter in () if module is None else module.named_parameters():
        _show(writer, f"parameter/{name}", parameter, step)
        if parameter.grad is not None:
            writer.add_scalar(f"gradient/{name}", float(torch.linalg.vector_norm(parameter.grad)), step)
            if parameter.numel() > 1:
                _show(writer, f"gradients/{name}", parameter.grad, step)
    if m is not None:
        if mesh is None:
            raise TypeError("summarize: m is given without its mesh")
        writer.add_image("m", picture(m.detach().reshape(-1, 3, *mesh.nodes)[0], mesh), step)


def _show(writer, tag, values, step):
    values = values.detach()
    if values.numel() == 1:
        writer.add_scalar(tag, values.item(), step)
        return
    writer.add_histogram(tag, values, step)
    grey = map_picture(values)
    if grey is not None:
        writer.add_image(tag, grey, step)


def _require_writer(writer):
    missing = [name for name in METHODS if not callable(getattr(writer, name, None))]
    if missing:
        raise TypeError(
            f"a {type(writer).__name__} has no {', '.join(missing)}; expected a SummaryWriter, or torchmag.loggers.ScalarTable(path)"
        )
