"""The LLG equation as the stepper sees it."""

from numbers import Integral

import torch
from torch import Tensor

from torchmag import layout
from torchmag.llg import LLG
from torchmag.parameters import Values
from torchmag.solvers.stepper import System
from torchmag.term import check_field


def normalize(m: Tensor, dim: int) -> Tensor:
    """m scaled to unit length along the component axis; zero vectors (vacuum) stay zero."""
    square = (m * m).sum(dim, keepdim=True)
    return m * torch.rsqrt(square + (square == 0).to(m.dtype))


def llg_system(llg: LLG, values: Values, m: Tensor, rtol: float, atol: float) -> System:
    """Right-hand side, projection to unit length, and error norm of an LLG with resolved values.

    The error of a step is the root mean square, over the magnetic nodes, of the length of its error vector, in units of
    atol + rtol (|m| = 1); one for each sample.
    """
    mesh, dim = llg.mesh, layout.component_dim(llg.mesh)
    weight = (magnetic_mass(llg, values, m) > 0).to(m.dtype)
    weight = weight / (layout.total(weight, mesh).reshape(*weight.shape[: -mesh.dim], *(1,) * mesh.dim) * (atol + rtol) ** 2)

    def error(e, m0, m1):
        return layout.total(weight * layout.dot(e, e, mesh), mesh).sqrt()

    def diagnose(t, m):
        for name, field in llg.fields(m, t, values).items():
            if not bool(torch.isfinite(field).all()):
                return name
        return None

    return System(
        function=lambda t, m, values: llg(torch.as_tensor(t, dtype=torch.float64), m, values),
        project=lambda m: normalize(m, dim),
        error=error,
        diagnose=diagnose,
        values=values,
    )


def magnetic_mass(llg: LLG, values: Values, m: Tensor) -> Tensor:
    """The lumped moment at the nodes, A/m: positive where m matters."""
    with torch.no_grad():
        return llg.energy.magnet.at(values["energy"]["magnet"], torch.zeros((), dtype=torch.float64), m, {})["mass"].detach()


def require_llg(llg: LLG, m0: Tensor, title: str) -> None:
    """Raise unless llg is an equation and m0 a field on its nodes."""
    if not isinstance(llg, LLG):
        raise TypeError(f"{title}: llg is a {type(llg).__name__}, expected a torchmag.LLG (compile it with llg.compile())")
    check_field(m0, llg.magnet, title)


def require_count(title: str, count: int) -> None:
    """Raise unless count is a positive integer."""
    if isinstance(count, bool) or not isinstance(count, Integral):
        raise TypeError(f"{title} = {count!r}, expected an integer, at least 1")
    if count < 1:
        raise ValueError(f"{title} = {count}, expected an integer, at least 1")


def require_unit_length(llg: LLG, values: Values, m: Tensor, title: str) -> None:
    """Raise unless m is finite and of unit length at every magnetic node."""
    require_unit_vectors(magnetic_mass(llg, values, m), m, layout.component_dim(llg.mesh), title)


def require_unit_vectors(mass: Tensor, m: Tensor, dim: int, title: str) -> None:
    """Raise unless m is finite and of unit length along `dim` where the lumped moment is positive."""
    inside = mass > 0
    length = torch.linalg.vector_norm(m.detach(), dim=dim)
    wrong = inside & ~((length - 1).abs() < 1e-3)
    if bool(wrong.any()):
        shown = length.expand(wrong.shape)[wrong]
        raise ValueError(
            f"{title}: m0 has |m| = {shown[0].item():g} at {int(wrong.sum())} magnetic node(s), expected 1 to within 1e-3; "
            f"normalise it, for instance with torch.nn.functional.normalize(m, dim={dim})"
        )
