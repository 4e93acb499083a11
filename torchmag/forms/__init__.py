"""Densities and weak forms: the words to write them in, and the compiler (SymPy in, expressions out; no tensors)."""

from torchmag.forms.compiler import Form, compile_form
from torchmag.forms.symbols import (
    Direction,
    Kind,
    NodalScalar,
    NodalVector,
    Scalar,
    Tensor,
    Vector,
    cross,
    curl,
    div,
    dot,
    grad,
)

__all__ = [
    "Direction", "Form", "Kind", "NodalScalar", "NodalVector", "Scalar", "Tensor", "Vector",
    "compile_form", "cross", "curl", "div", "dot", "grad",
]  # fmt: skip
