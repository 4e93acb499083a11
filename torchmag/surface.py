"""Energy terms on planes of the grid."""

from collections.abc import Sequence
from inspect import Parameter, signature
from numbers import Integral
from operator import index

import torch
from torch import Tensor

from torchmag import layout
from torchmag.energy import LocalEnergy
from torchmag.errors import FormError
from torchmag.magnet import Magnet
from torchmag.midpoints import links


class SurfaceEnergy(LocalEnergy):
    """A term from a density per area on one or several parallel planes of nodes.

    Subclass it with `density(m, parameters)` in J/m^2, or `density(m1, m2, parameters)` for two planes facing each other, and
    so on.  Derivatives exist within the plane only.  Parameters live on the cells with one entry along the normal.  The density
    is scaled by the magnetic fraction next to each plane, so that it vanishes where a plane has no magnet.

    Args:
        magnet: the body.
        parameters: in the order of the density or by keyword.
        axis: the normal of the planes, 0, 1 or 2; the mesh must have it.
        planes: node indices along the axis, one per magnetisation of the density; a number for one.

    Raises:
        ValueError: an axis that the mesh does not have, a plane outside the mesh, a wrong number of planes.
    """

    def __init__(self, magnet: Magnet, *args, axis: int, planes: int | Sequence[int], **kwargs):
        super(LocalEnergy, self).__init__(magnet)
        self.axis = self._as_axis(axis)
        self.planes = self._as_planes(planes)
        lateral = tuple(a for a in range(self.mesh.dim) if a != self.axis)
        self._compile(args, kwargs, lateral, fields=len(self.planes), normal=self.axis)
        if "Ms" in self.kernel.form.parameters:
            raise FormError(f"{type(self).__name__}: Ms is a property of the volume; a density on a plane cannot use it")

    def __setattr__(self, name, value):
        if name in ("axis", "planes") and name in self.__dict__:
            raise TypeError(f"{type(self).__name__}: {name} is compiled in; make a new term for other planes")
        super().__setattr__(name, value)

    def _as_axis(self, axis):
        if isinstance(axis, bool) or not isinstance(axis, Integral) or axis not in range(self.mesh.dim):
            raise ValueError(
                f"{type(self).__name__}: axis = {axis!r}, expected one of the mesh's axes {tuple(range(self.mesh.dim))}; along "
                f"an axis that the mesh does not have, divide the density by the thickness dx[axis] and use a LocalEnergy"
            )
        return int(axis)

    def _as_planes(self, planes):
        title, last = type(self).__name__, self.mesh.nodes[self.axis] - 1
        given = (planes,) if isinstance(planes, Integral) else planes
        try:
            planes = tuple(index(plane) for plane in given)
        except TypeError:
            raise TypeError(f"{title}: planes = {given!r}, expected integers: node indices along axis {self.axis}") from None
        # The magnetisations of a density are its arguments without a kind.
        function, weak = self._form()
        unannotated = [a for a in signature(function).parameters.values() if a.annotation is Parameter.empty]
        count = len(unannotated) // (1 + weak)
        if count and len(planes) != count:
            raise ValueError(f"{title}: planes = {planes}, expected {count} node indices along axis {self.axis}")
        if any(isinstance(p, bool) for p in given) or not all(0 <= plane <= last for plane in planes):
            raise ValueError(f"{title}: planes = {planes}, expected node indices from 0 to {last} along axis {self.axis}")
        if len(set(planes)) != len(planes):
            raise ValueError(f"{title}: planes = {planes} holds one plane twice")
        return planes

    def _density_map(self, m, values):
        arguments = self._arguments(values)
        per_area = self.kernel.density(self._on_planes(m), arguments, self._links(arguments["fraction"])).unsqueeze(
            self.axis - self.mesh.dim
        )
        # Each plane carries an equal part, shared between the cells on its two sides.
        body = layout.expand_to_cells(values["magnet"]["fraction"], self.mesh)
        share = per_area / (self.mesh.dx[self.axis] * len(self.planes))
        total = 0.0
        for plane in self.planes:
            below, above = self._sides(plane)
            weights = [self._slice(body, cell) if cell is not None else 0 * share for cell in (below, above)]
            whole = weights[0] + weights[1]
            for cell, weight in zip((below, above), weights):
                if cell is not None:
                    total = total + self._place(share * weight / (whole + (whole == 0)), cell, self.mesh.cells)
        return total

    def _variation(self, m, values):
        arguments = self._arguments(values)
        found = self.kernel.variation(self._on_planes(m), arguments, self._links(arguments["fraction"]))
        total = 0.0
        for name, plane in zip(self.kernel.form.fields, self.planes):
            part = found[name].unsqueeze(self.axis - self.mesh.dim) / self.mesh.dx[self.axis]
            total = total + self._place(part, plane, self.mesh.nodes)
        return total

    def _on_planes(self, m: Tensor) -> dict[str, Tensor]:
        """{name: (*batch, 3, *nodes of the plane)}."""
        where = self.axis - self.mesh.dim
        return {name: m.select(where, plane) for name, plane in zip(self.kernel.form.fields, self.planes)}

    def _arguments(self, values):
        where = self.axis - self.mesh.dim
        on_plane = {
            name: value.select(where, 0) if isinstance(value, Tensor) and value.ndim else value
            for name, value in values.items()
            if name != "magnet"
        }
        body = layout.expand_to_cells(values["magnet"]["fraction"], self.mesh)
        fraction = 1.0
        for plane in self.planes:
            sides = [self._slice(body, cell) for cell in self._sides(plane) if cell is not None]
            fraction = fraction * (torch.maximum(*sides) if len(sides) == 2 else sides[0])
        return on_plane | {"fraction": fraction.squeeze(where)}

    def _links(self, fraction):
        """Those of the fraction on the plane, to order 4 and 6."""
        if self.magnet.order == 2 or layout.is_uniform(fraction, self.mesh.dim - 1):
            return None
        return links(fraction, self.kernel.nodes, self.kernel.periodic)

    def _sides(self, plane):
        """The cells below and above a plane of nodes, None beyond an open end."""
        n = self.mesh.cells[self.axis]
        if self.mesh.periodic(self.axis):
            return (plane - 1) % n, plane
        return (plane - 1 if plane > 0 else None), (plane if plane < n else None)

    def _slice(self, x, index):
        return x.narrow(self.axis - self.mesh.dim, index, 1)

    def _place(self, x, index, grid):
        """Put a slab of thickness one at this index of a grid that is zero elsewhere."""
        edge = (0, 0) * (self.mesh.dim - 1 - self.axis)
        return torch.nn.functional.pad(x, (*edge, index, grid[self.axis] - 1 - index))
