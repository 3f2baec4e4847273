"""Energies through autograd: bounds of rounding, and constants that users give."""

import math

import pytest
from bilevel_energies import build, formula, norm

from odl_learned.energies import AutogradEnergy, check_energy
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit
from odl_learned.learning.bilevel.lower import LowerLevel


def test_autograd_energy_bounds_rounding():
    energy, x, params, data = build("signal, three parameters")
    reference = AutogradEnergy(formula("signal, three parameters")._function,
                               energy.lipschitz, energy.strong_convexity)
    error = norm(reference.gradient(x.float(), params, data.float()).double()
                 - reference.gradient(x.float().double(), params, data.float().double()))
    assert (error <= reference.rounding(x.float(), params, data.float())).all()


def test_autograd_energies_with_constants_have_bounds_of_hypergradients(rng):
    closed, truth, params, data = build("images, directions apart")
    function = formula("images, directions apart")._function
    energy = AutogradEnergy(function, closed.lipschitz, closed.strong_convexity,
                            curvature_constants=closed.curvature_constants)
    check_energy(energy, truth, params, data, rng)
    problem = BilevelProblem(energy, data, SquaredError(truth), data)
    exact = Direct()(LowerLevel(problem), params, 1e-12, 1e-12)
    for accuracy in (1e-2, 1e-4):
        found = Implicit()(LowerLevel(problem), params, accuracy, accuracy)
        error = float((found.gradient - exact.gradient).norm())
        assert error <= found.gradient_bound + exact.gradient_bound
        assert found.gradient_bound < 1e3 * accuracy * float(exact.gradient.norm())


@pytest.mark.parametrize(("place", "name"), [(0, "LA"), (1, "LB"), (2, "B")])
def test_wrong_constants_of_autograd_energies_are_found(place, name, rng):
    closed, x, params, data = build("images, directions apart")

    def wrong(params):
        constants = list(closed.curvature_constants(params))
        constants[place] *= 1e-3
        return constants

    energy = AutogradEnergy(formula("images, directions apart")._function, closed.lipschitz,
                            closed.strong_convexity, curvature_constants=wrong)
    with pytest.raises(AssertionError, match=f"{name} of curvature_constants"):
        check_energy(energy, x, params, data, rng)


def test_constants_of_autograd_energies_are_three_numbers():
    energy = AutogradEnergy(abs, abs, abs, curvature_constants=lambda params: (1.0, -2.0, 3.0))
    with pytest.raises(ValueError, match=r"is \(1.0, -2.0, 3.0\), expected \(LA, LB, B\)"):
        energy.curvature_constants(None)
    with pytest.raises(TypeError, match="curvature_constants is 1.0, expected a function"):
        AutogradEnergy(abs, abs, abs, curvature_constants=1.0)
    assert AutogradEnergy(abs, abs, abs).curvature_constants(None) == (math.inf,) * 3
