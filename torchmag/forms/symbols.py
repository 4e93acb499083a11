"""The words in which a density is written: kinds of parameters, and vector calculus on SymPy expressions."""

from dataclasses import dataclass

import sympy as sp

from torchmag.errors import FormError

COORDINATES = sp.symbols("x y z", real=True)


@dataclass(frozen=True)
class Kind:
    """What a parameter is: its component shape, whether it lives on nodes or cells, whether it is a direction.

    Args:
        shape: component axes, () for a scalar, (3,) for a vector.
        nodal: given per node and interpolated (Abert et al. 2024, Eq. 21) instead of constant in each cell.
        unit: a direction: normalised when it is evaluated; zero length is an error.
    """

    shape: tuple[int, ...] = ()
    nodal: bool = False
    unit: bool = False

    def __str__(self):
        what = {(): "scalar", (3,): "direction" if self.unit else "vector"}.get(self.shape, f"tensor {self.shape}")
        return f"{what} per {'node' if self.nodal else 'cell'}"


def Tensor(*shape: int) -> Kind:
    """A cell-wise tensor with the given component axes."""
    return Kind(shape)


Scalar = Kind()
Vector = Kind((3,))
Direction = Kind((3,), unit=True)
NodalScalar = Kind(nodal=True)
NodalVector = Kind((3,), nodal=True)


def grad(f):
    """Gradient: of a scalar the vector (d_x, d_y, d_z) f; of a vector the matrix G[i, a] = d_a f_i."""
    if isinstance(f, sp.MatrixBase):
        return sp.ImmutableMatrix(3, 3, lambda i, a: sp.diff(f[i], COORDINATES[a]))
    return sp.ImmutableMatrix([sp.diff(f, x) for x in COORDINATES])


def div(v):
    """Divergence of a vector."""
    return sum(sp.diff(v[a], COORDINATES[a]) for a in range(3))


def curl(v):
    """Curl of a vector."""
    d = grad(v)
    return sp.ImmutableMatrix([d[2, 1] - d[1, 2], d[0, 2] - d[2, 0], d[1, 0] - d[0, 1]])


def dot(a, b):
    """Scalar product of two vectors; the full contraction of two matrices."""
    if not (isinstance(a, sp.MatrixBase) and isinstance(b, sp.MatrixBase) and a.shape == b.shape):
        raise FormError(f"dot expects two vectors or two matrices of one shape, got {a} and {b}")
    return sum(u * v for u, v in zip(a, b))


def cross(a, b):
    """Vector product."""
    return sp.ImmutableMatrix([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])
