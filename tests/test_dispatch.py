"""Rules by class: a subclass that computes something else does not take them."""

import numpy as np
import odl
import pytest
import torch

from odl_learned import bridge, functionals, operators
from odl_learned.bridge.lowering import generic, lower
from odl_learned.dispatch import rules_by_class
from odl_learned.energies import potentials
from odl_learned.energies.intervals import interval
from odl_learned.energies.potentials.potential import PotentialConstants
from odl_learned.reconstruction.plug_and_play import is_convex


class DoubledMatrix(odl.MatrixOperator):
    def _call(self, x):
        return 2 * self.range.element(self.matrix @ x.asarray())

    @property
    def adjoint(self):
        return 2 * odl.MatrixOperator(self.matrix.T, self.range, self.domain)


class NamedMatrix(odl.MatrixOperator):
    """Another name, the same map."""


class TripledL1(odl.functionals.L1Norm):
    def _call(self, x):
        return 3 * super()._call(x)

    def proximal_at(self, sigma):
        return odl.functionals.L1Norm(self.domain).proximal(3 * sigma)

    proximal = property(lambda self: self.proximal_at)


@pytest.fixture
def matrix(rng):
    return rng.standard_normal((4, 3))


def test_a_subclass_that_overrides_the_map_runs_as_it_is(matrix, rng):
    op = DoubledMatrix(matrix, odl.rn(3), odl.rn(4))
    x = rng.standard_normal((2, 3))
    y = bridge.as_module(op)(torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(y, 2 * x @ matrix.T, rtol=1e-14)
    assert operators.operator_norm(op, rng=rng) >= 2 * np.linalg.norm(matrix, 2) * (1 - 1e-9)


def test_a_subclass_with_the_same_map_keeps_the_rule(matrix):
    assert lower.dispatch(NamedMatrix) is lower.dispatch(odl.MatrixOperator)
    assert lower.dispatch(NamedMatrix) is not generic
    assert lower.dispatch(DoubledMatrix) is generic


def test_values_and_proximals_of_a_subclass_are_its_own(rng):
    f = TripledL1(odl.rn(5))
    x = rng.standard_normal((2, 5))
    expected = 3 * np.abs(x).sum(1)
    np.testing.assert_allclose(bridge.as_module(f)(torch.as_tensor(x)), expected, rtol=1e-14)
    assert functionals.precise_value(f, f.domain.element(x[0])) == pytest.approx(expected[0])
    y = bridge.as_proximal_module(f)(torch.as_tensor(x), 0.1).numpy()
    np.testing.assert_allclose(y, np.sign(x) * np.maximum(np.abs(x) - 0.3, 0), atol=1e-15)


def test_rules_of_abstract_classes_are_for_all_subclasses():
    class Root:
        call = None

    class Abstract(Root):
        pass

    class One(Abstract):
        def call(self):
            return 1

    class Two(One):
        def call(self):
            return 2

    @rules_by_class(Root, "call")
    def name(value):
        return "none"

    name.register(Abstract, lambda value: "abstract")
    assert [name(value) for value in (Two(), One(), Abstract(), Root(), 3)] == [
        "abstract", "abstract", "abstract", "none", "none"]
    name.register(One, lambda value: "one")
    assert [name(value) for value in (Two(), One())] == ["abstract", "one"]


def test_intervals_of_a_potential_that_differs_are_the_constants_for_all_lengths():
    class Doubled(potentials.Charbonnier):
        def value(self, squares, nu):
            return 2 * super().value(squares, nu)

        def constants(self, nu):
            return PotentialConstants(**{name: 2 * c for name, c in vars(
                super().constants(nu)).items()})

    a = torch.tensor([0.5], dtype=torch.float64)
    known = interval(potentials.Charbonnier(), 0.1, a, a + 0.1, True)
    found = interval(Doubled(), 0.1, a, a + 0.1, True)
    assert float(found.curvature) == 2 * potentials.Charbonnier().constants(0.1).curvature
    assert float(known.curvature) < 0.1 * float(found.curvature)


def test_convexity_is_not_inherited_by_what_is_computed_otherwise():
    class Negative(odl.functionals.L1Norm):
        def _call(self, x):
            return -super()._call(x)

    space = odl.rn(2)
    assert is_convex(odl.functionals.L1Norm(space)) and not is_convex(Negative(space))
