"""Torques: what acts on the magnetisation without being the gradient of an energy."""

from torch import Tensor

from torchmag.parameters import Values
from torchmag.term import Term, match_batch


class Torque(Term):
    """A torque written as the field H that causes it in the LLG equation, -gamma / (1 + alpha^2) [m x H + alpha m x (m x H)].

    A subclass gives `_field(m, values)` in A/m at the nodes; `values` holds its own parameters, under "magnet" those of the
    body, and inside an LLG its "alpha" and "gamma" at the nodes.

    Shape: m (*batch, 3, *nodes); t in s.
    """

    def forward(self, m: Tensor, t=0.0) -> Tensor:
        return self.field(m, t)

    def field(self, m: Tensor, t=0.0, values: Values | None = None) -> Tensor:
        """The equivalent field, A/m: (*batch, 3, *nodes)."""
        return match_batch(m, self._field(m, self.complete(m, t, values)))

    def _field(self, m: Tensor, values: Values) -> Tensor:
        raise TypeError(f"{type(self).__name__} defines no _field(m, values)")
