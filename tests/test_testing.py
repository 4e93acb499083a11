"""The contract itself: seeded mistakes must fail it."""

import pytest
import torch

import torchmag as tm
from torchmag.testing import EnergyContract, check_derivatives


class WrongSign(tm.Exchange):
    def _variation(self, m, values):
        return -super()._variation(m, values)


class WrongFactor(tm.Exchange):
    def _variation(self, m, values):
        return 1.01 * super()._variation(m, values)


class DetachedParameter(tm.Exchange):
    def _density_map(self, m, values):
        return super()._density_map(m, values | {"A": values["A"].detach()})


class FieldInVacuum(tm.Exchange):
    def _field(self, m, values):
        return super()._field(m, values) + 1.0


def contract(kind):
    class Contract(EnergyContract):
        def term(self, magnet):
            return kind(magnet, A=self.cells(magnet, 1.3e-11))

    return Contract()


@pytest.mark.parametrize("kind", [WrongSign, WrongFactor])
def test_a_wrong_field_fails(kind):
    for check in ("test_field_is_minus_the_derivative_of_the_energy", "test_gradcheck"):
        with pytest.raises(AssertionError):
            getattr(contract(kind), check)()


def test_a_lost_derivative_of_a_parameter_fails():
    with pytest.raises(AssertionError, match="gradcheck"):
        contract(DetachedParameter).test_gradcheck()


def test_a_field_in_vacuum_fails():
    with pytest.raises(AssertionError, match="outside the body"):
        contract(FieldInVacuum).test_vacuum()


def test_a_vanishing_term_is_no_proof():
    magnet = tm.Magnet(tm.Mesh((2,), (1e-9,) * 3), 8e5)
    with pytest.raises(AssertionError, match="vanishes"):
        check_derivatives(tm.Exchange(magnet, 1e-11), torch.ones(3, 3))
