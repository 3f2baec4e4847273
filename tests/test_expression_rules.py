"""A rule of one's own for `energy_of`, as the docstring of the room tells how to write it."""

import math

import numpy as np
import odl
import torch
from expression_energies import blocks, draw, plane

from odl_learned import operators
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
