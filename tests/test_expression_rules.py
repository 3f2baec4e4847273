"""A rule of one's own for `energy_of`, as the docstring of the room tells how to write it."""

import math

import numpy as np
import odl
import pytest
import torch
from expression_energies import blocks, draw, plane

from odl_learned import functionals, operators
from odl_learned.bridge import as_module
from odl_learned.energies import check_energy, energy_of
from odl_learned.energies.expressions import AffineMap, Density, Scalar, Term, term_of
from odl_learned.energies.expressions.densities import DensityPoint
from odl_learned.energies.potentials.potential import PotentialConstants

F = odl.functionals


class LogCosh(F.Functional):
    """``x -> sum_j log cosh x_j``."""

    def __init__(self, space):
        super().__init__(space)

    def _call(self, x):
        return float(np.sum(np.log(np.cosh(x.data))))


class LogCoshDensity(Density):
    def value(self, p, nu):
        return torch.log(torch.cosh(p))[:, 0]

    def at(self, p, nu):
        return LogCoshPoint(p)

    def constants(self, nu):
        return PotentialConstants(1.0, 1.0, 4 / (3 * math.sqrt(3)), 0.0, 0.0)


class LogCoshPoint(DensityPoint):
    def __init__(self, p):
        self._tanh = torch.tanh(p)

    @property
    def gradient(self):
        return self._tanh

    def hessian(self, q):
        return (1 - self._tanh.square()) * q

    def blocks(self):
        return (1 - self._tanh.square())[:, None]


@term_of.register
def _(functional: LogCosh, summand, blocks):
    alpha = Scalar(summand.factors, summand.factor, blocks)
    return Term(AffineMap(summand.argument, 1.0, 1), LogCoshDensity(), alpha)


def test_a_rule_of_ones_own_has_certificates_that_solvers_try(rng):
    space = plane()
    x, y, (alpha,) = blocks(space, 1, space)
    partial = odl.PartialDerivative(space, 0, pad_mode="symmetric")
    functional = (0.5 * F.L2NormSquared(space) @ (x - y)
                  + F.FunctionalProduct(alpha, LogCosh(space) @ (partial @ x)))  # fmt: skip
    energy = energy_of(functional)
    drawn = draw(functional, rng)
    check_energy(energy, *drawn, rng)
    assert not energy.has_formulas
    assert energy_of(0.5 * F.L2NormSquared(space) @ (x - y)).has_formulas
    point = functional.domain.element([drawn[0][0].numpy(), drawn[1].numpy(), drawn[2][0].numpy()])
    assert abs(float(energy.value(*drawn)[0]) - functional(point)) < 1e-10
    largest = operators.operator_norm(partial) ** 2 * float(drawn[1].exp()) + 1
    assert abs(energy.lipschitz(drawn[1]) - largest) < 1e-12 * largest


def test_functionals_that_are_expressions_are_opened(rng):
    X = odl.uniform_discr([0, 0], [1, 2], (5, 4))
    A = odl.MatrixOperator(rng.standard_normal((3, 5)), domain=X, range=odl.rn((3, 4)), axis=0)
    y = A.range.element(rng.standard_normal((3, 4)))
    for f, written in (
        (functionals.LeastSquares(A, y), 0.5 * F.L2NormSquared(A.range) @ (A - y)),
        (functionals.SmoothedTV(X, 0.3, 0.1, 0.2),
         0.3 * functionals.SmoothedGroupL1(operators.gradient(X).range, 0.1)
         @ operators.gradient(X) + 0.1 * F.L2NormSquared(X)),
    ):  # fmt: skip
        x, nothing = torch.as_tensor(rng.standard_normal((2, 5, 4))), torch.zeros(0).double()
        found = energy_of(f).value(x, nothing, None)
        expected = [f(X.element(u.numpy())) for u in x]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
        np.testing.assert_allclose(energy_of(written).value(x, nothing, None), expected, rtol=1e-12)


def test_the_envelope_of_a_length_is_the_functional_of_huber(rng):
    for space, length in ((plane(), F.L1Norm(plane())), (plane()**2, F.GroupL1Norm(plane()**2))):
        f = F.MoreauEnvelope(length, 0.7)
        x = torch.as_tensor(rng.standard_normal((2, *space.shape)))
        nothing = torch.zeros(0, dtype=torch.float64)
        found = energy_of(f + 0.1 * F.L2NormSquared(space)).value(x, nothing, None)
        expected = as_module(f)(x) + 0.1 * x.square().flatten(1).sum(1)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_quadratic_forms_have_bounds_from_above_and_below(rng):
    space, nothing = plane(), torch.zeros(0).double()
    gradient, u = operators.gradient(space), plane().element(rng.standard_normal((6, 7)))
    norm = operators.operator_norm(gradient) ** 2
    form = F.QuadraticForm(operator=gradient.adjoint @ gradient, vector=u, constant=3.0)
    functional = form + (norm + 0.1) * F.L2NormSquared(space)
    energy, x = energy_of(functional), torch.as_tensor(rng.standard_normal((2, 6, 7)))
    check_energy(energy, x, nothing, x, rng)
    np.testing.assert_allclose(energy.value(x, nothing, x),
                               [functional(space.element(z.numpy())) for z in x], rtol=1e-12)
    # all that is known of A + A* without looking inside is its norm
    assert energy.strong_convexity(nothing) <= 0.2 * (1 + 1e-12)


def test_an_energy_that_curves_alike_in_all_directions_passes(rng):
    energy, nothing = energy_of(F.L2NormSquared(plane())), torch.zeros(0).double()
    x = torch.as_tensor(rng.standard_normal((2, 6, 7)))
    check_energy(energy, x, nothing, x, rng)


def test_factors_that_are_negative_whatever_the_parameters_are_named(rng):
    space = plane((4, 4))
    u, (alpha, beta), y = functionals.arguments(space, 2, space)
    fidelity = 0.5 * F.L2NormSquared(space) @ (u - y)
    length = functionals.smoothed_length(operators.gradient(space) @ u, alpha, 0.1)
    product = F.FunctionalProduct(beta, length)
    for wrong in (fidelity - length, -1 * fidelity + length, fidelity + -2.0 * product):
        with pytest.raises(ValueError, match=r"has the factor -\d.* whatever the parameters are"):
            energy_of(wrong)
    energy_of(fidelity + -1.0 * (-1.0 * length))
