"""Energies of ODL expressions against ODL itself, against differences, and with wrong nodes."""

import numpy as np
import odl
import pytest
import torch
from expression_energies import EXPRESSIONS, blocks, draw, plane, variation

from odl_learned import functionals, operators
from odl_learned.bridge.layouts.layout import layout_of
from odl_learned.energies import check_energy, energy_of
from odl_learned.functionals import smoothed_length
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.hypergradients import Implicit, check_hypergradient

F = odl.functionals


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_values_and_gradients_are_those_of_odl(name, rng):
    functional = EXPRESSIONS[name]()
    energy = energy_of(functional)
    x, params, data = draw(functional, rng)
    blocks_ = [layout_of(space) for space in functional.domain]
    layout = blocks_[0]
    eps = float(np.finfo(functional.domain[0].dtype).eps)
    values, slopes = energy.value(x, params, data), energy.gradient(x, params, data)
    for k in range(len(x)):
        parts = [x[k], params, data[k]][: len(blocks_)]
        point = functional.domain.element([
            part.to_element(t.to(part.dtype)) for part, t in zip(blocks_, parts, strict=True)])
        assert values[k] == pytest.approx(float(np.real(functional(point))), rel=200 * eps)
        riesz = layout.to_tensor(functional.gradient(point)[0])
        expected = layout.weigh(riesz.to(slopes.dtype))
        assert (slopes[k] - expected).abs().max() <= 200 * eps * expected.abs().max()


def some(*often):
    """All expressions, of which a few belong to the ordinary run."""
    return [pytest.param(name, marks=() if name in often else pytest.mark.slow)
            for name in EXPRESSIONS]


@pytest.mark.parametrize("name", some(
    "several coils", "points on the boundary", "fixed data", "emission", "experts and Huber",
    "learned ridge", "ridge of splines", "affine parts"))
def test_energies_of_expressions_pass_the_check(name, rng):
    functional = EXPRESSIONS[name]()
    check_energy(energy_of(functional), *draw(functional, rng), rng)


@pytest.mark.parametrize("name", some("parallel beam", "large cells"))
def test_hypergradients_agree_with_differences(name, rng):
    functional = EXPRESSIONS[name]()
    truth, params, data = draw(functional, rng, 2)
    problem = BilevelProblem(energy_of(functional), data, SquaredError(truth), truth)
    check_hypergradient(problem, params, Implicit(), rng, 1e-6)


def test_images_alone_and_images_in_single_precision(rng):
    space = plane(dtype="float32")
    energy = energy_of(functionals.SmoothedTV(space, 0.3, 0.1, 0.2))
    x = torch.as_tensor(rng.standard_normal((2, 6, 7)))
    nothing = torch.zeros(0, dtype=torch.float64)
    check_energy(energy, x, nothing, x, rng)
    single = energy.gradient(x.float(), nothing, x)
    assert single.dtype == torch.float32
    error = (single - energy.gradient(x, nothing, x)).flatten(1).norm(dim=1)
    assert (error <= 4 * energy.rounding(x.float(), nothing, x) + 1e-6 * x.flatten(1).norm()).all()


def test_wrong_arguments_are_named(rng):
    functional = variation(odl.IdentityOperator(plane()))
    energy = energy_of(functional)
    x, params, data = draw(functional, rng)
    with pytest.raises(ValueError, match=r"x has shape \(3, 5, 7\), expected \(\*batch, 6, 7\)"):
        energy.gradient(x[:, 1:], params, data)
    with pytest.raises(ValueError, match="params has 1 entries, expected 2"):
        energy.value(x, params[:1], data)
    with pytest.raises(ValueError, match=r"data has the leading axes \(2,\), expected \(3,\)"):
        energy.value(x, params, data[:2])
    with pytest.raises(TypeError, match="x is torch.complex128, expected torch.float64"):
        energy.value(x + 0j, params, data)


def nodes():
    """Expressions without a rule, each with what its error names."""
    space = plane()
    x, y, (alpha, nu) = blocks(space, 2, space)
    square = F.L2NormSquared(space)
    return {
        "L1Norm": F.L1Norm(space) @ x,
        "PowerOperator": square @ odl.PowerOperator(space, 2.0) @ x,
        "FunctionalProduct": F.FunctionalProduct(square @ y, square @ x),
        "FunctionalMultiple": square @ operators.FunctionalMultiple(square @ x, y),
        "a translation of a multiple": square.translated(space.one()) @ (
            operators.FunctionalMultiple(alpha, x)),
        "a part that depends on the images": square @ y,
    }  # fmt: skip


@pytest.mark.parametrize("name", list(nodes()))
def test_nodes_without_a_rule_are_named(name):
    with pytest.raises(NotImplementedError, match=f"{name}.*Register a rule"):
        energy_of(nodes()[name])


def test_smoothed_lengths_are_what_they_say(rng):
    space = plane((4, 5))
    x, _, (alpha, nu) = blocks(space, 2, space)
    point = operators.random_element(x.domain, rng)
    gradient, (first, second) = operators.gradient(space), point[1].data
    found = smoothed_length(gradient @ x, alpha, nu)
    known = functionals.SmoothedTV(space, float(np.exp(first)), float(np.exp(second)), 0.0)
    assert found(point) == pytest.approx(known(point[0]), rel=1e-14)
    with pytest.raises(ValueError, match="alpha is defined on"):
        smoothed_length(gradient, alpha, 0.1)
    with pytest.raises(ValueError, match="nu is 0"):
        smoothed_length(gradient, 1.0, 0)


def test_images_of_several_arrays_are_refused():
    space = odl.ProductSpace(plane((3, 4)), odl.rn(5), odl.rn(6), odl.rn(7))
    with pytest.raises(NotImplementedError, match="expected spaces of one array"):
        energy_of(F.SeparableSum(*(F.L2NormSquared(part) for part in space)))
