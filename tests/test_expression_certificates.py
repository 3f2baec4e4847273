"""Certificates of expressions: wrong rules are found, bounds hold for solved problems."""

import math

import numpy as np
import pytest
import torch
from expression_energies import EXPRESSIONS, draw

from odl_learned import regularizers
from odl_learned.energies import check_energy, energy_of
from odl_learned.energies.expressions import maps
from odl_learned.energies.expressions.counts import Counts
from odl_learned.energies.expressions.densities import Lengths, Products, Squares
from odl_learned.energies.potentials.potential import PotentialConstants
from odl_learned.learning.bilevel import BilevelProblem, SquaredError
from odl_learned.learning.bilevel.first_order import lbfgsb
from odl_learned.learning.bilevel.hypergradients import Direct, Implicit
from odl_learned.learning.bilevel.lower import LowerLevel
from odl_learned.regularizers.ridges import energies as ridge_energies
from odl_learned.regularizers.ridges.bends import bends_between
from odl_learned.regularizers.ridges.energies import RidgeDensity


def constants(kind, **factors):
    """A method ``constants`` with some of the numbers multiplied."""
    right = kind.constants

    def wrong(self, nu):
        found = vars(right(self, nu))
        return PotentialConstants(**{name: value * factors.get(name, 1.0)
                                     for name, value in found.items()})  # fmt: skip

    return kind, "constants", wrong


def interval(self, p, nu, rho):
    """Lengths whose third derivative is a thousand times smaller than it is."""
    found = RIGHT_INTERVAL(self, p, nu, rho)
    return found._replace(third=1e-3 * found.third)


def bends(potential, a, b):
    """Second derivatives of ridges that change a thousandth of what they do, and never jump."""
    low, high, _ = bends_between(potential, a, a)
    return low, high, 1e-3 * torch.ones_like(low)


def convex(self, p, nu, rho):
    """Lengths whose second derivative is nowhere less than a thousand."""
    found = RIGHT_INTERVAL(self, p, nu, rho)
    return found._replace(convexity=1e3 + found.convexity)


RIGHT_INTERVAL = Lengths.interval
#: The expression, what is replaced by what, and what the check finds.
WRONG = {
    "curvature of lengths": (
        "convolution", constants(Lengths, curvature=0.2), r"lipschitz\(params\)"),
    "curvature of counts": ("emission", constants(Counts, curvature=0.02), r"lipschitz\(params\)"),
    "third derivative of lengths": ("denoising", constants(Lengths, third=1e-3), "LA of curvature"),
    "slope of lengths": (
        "denoising", constants(Lengths, slope=1e-3, slope_in_nu=0.0), "B of curvature"),
    "interval of lengths": (
        "denoising", (Lengths, "interval", interval), "hessian of the variation"),
    "convexity of lengths": ("denoising", (Lengths, "interval", convex), "pencil"),
    "convexity of squares": (
        "denoising", (Squares, "convexity", lambda self, nu: 1.1), "strong_convexity"),
    "lengths under a mask": ("mask", (maps, "least_gain", lambda op: 1.0), "strong_convexity"),
    "bend of a ridge": (
        "learned ridge", (regularizers.Ridge, "largest_bend", lambda self, sharp: 1e-2 * sharp),
        r"lipschitz\(params\)|hessian of the variation"),
    "concavity of a ridge": (
        "learned ridge", (RidgeDensity, "convexity", lambda self, nu: 5.0), "strong_convexity"),
    "third derivative of a ridge": (
        "learned ridge", (ridge_energies, "third", lambda potential: 1e-4), "LA of curvature"),
    "interval of a ridge": (
        "learned ridge", (ridge_energies, "bends_between", bends), "hessian of the variation"),
    "interval of splines": (
        "ridge of splines", (ridge_energies, "bends_between", bends), "hessian of the variation"),
    "norm of filters": (
        "learned ridge", (maps, "operator_norm", lambda op: 0.1), r"lipschitz\(params\)"),
    "rows of wavelets and of a convolution": (
        "wavelets and convolution", (maps, "row_norm", lambda op: 1e-3),
        "LA of curvature|hessian of the variation"),
    "rows of experts": (
        "experts and Huber", (maps, "row_norm", lambda op: 1e-5), "hessian of the variation"),
    "size of a linear functional": (
        "linear functional", constants(Products, slope=1e-3), "B of curvature"),
    "curvature of squares": (
        "affine parts", constants(Squares, curvature=0.3), r"lipschitz\(params\)"),
    "norm of a projection": (
        "parallel beam", (maps, "operator_norm", lambda op: 1.0), r"lipschitz\(params\)"),
}  # fmt: skip


@pytest.mark.parametrize("rule", WRONG)
def test_wrong_rules_are_found(rule, rng, monkeypatch):
    name, replaced, message = WRONG[rule]
    functional = EXPRESSIONS[name]()
    arguments = draw(functional, rng)
    monkeypatch.setattr(*replaced)
    with pytest.raises((AssertionError, ValueError), match=message):
        check_energy(energy_of(functional), *arguments, rng)


#: Where second derivatives jump, so that bounds may be infinite.
JUMPS = {"experts and Huber", "ridge of splines", "affine parts"}


def violations(names, cases, rng):
    """Names of bounds that do not hold in random cases, solved badly and then exactly."""
    found = []
    for case in range(cases):
        name = names[case % len(names)]
        functional = EXPRESSIONS[name]()
        truth, _, data = draw(functional, rng, 2)
        params = torch.as_tensor(rng.uniform(-3.0, 0.5, functional.domain[1].size))
        problem = BilevelProblem(energy_of(functional), data, SquaredError(truth), truth)
        exact = Direct()(LowerLevel(problem), params, 1e-11, 1e-11)
        accuracy = float(10 ** rng.uniform(-5, -1))
        lower = LowerLevel(problem)
        rough = lower.solve(params, accuracy)
        distance = (rough.x - exact.x).abs().square().flatten(1).sum(1).sqrt().numpy()
        if (distance > rough.error_bound + 1e-9).any():
            found.append((case, name, "reconstruction"))
        at = Implicit()(lower, params, accuracy, accuracy)
        for what, error, bound in (
            ("value", abs(at.value - exact.value), at.value_bound + exact.value_bound),
            ("corrected value", abs(at.corrected_value - exact.value),
             at.corrected_value_bound + exact.value_bound),
            ("gradient", float((at.gradient - exact.gradient).norm()),
             at.gradient_bound + exact.gradient_bound),
        ):  # fmt: skip
            if not error <= bound:
                found.append((case, name, what, error, bound))
            if name not in JUMPS and not math.isfinite(bound):
                found.append((case, name, what, "is not finite"))
    return found


def test_bounds_hold_in_some_random_cases():
    names = ["parallel beam", "several coils", "emission", "points on the boundary"]
    assert violations(names, 4, np.random.default_rng(0)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_bounds_hold_in_random_cases(seed):
    assert violations(list(EXPRESSIONS), 25, np.random.default_rng(seed)) == []


def dense(product, x):
    """The matrix of a linear map of images of the shape of ``x``, ``(1, *shape)``, real."""
    units = torch.eye(x.numel(), dtype=torch.float64).reshape(-1, *x.shape[1:])
    return torch.stack([product(unit[None]).flatten() for unit in units], 1)


@pytest.mark.parametrize("name", ["denoising", "small, anisotropic cells", "wavelet scales"])
def test_pencils_hold_in_the_metric_they_are_of(name, rng):
    """``|(H(x) - H(x~)) q|`` in the dual norm of ``M``, which is below all Hessians of the ball."""
    functional = EXPRESSIONS[name]()
    energy, (x, params, data) = energy_of(functional), draw(functional, rng, 1)
    q, mu, gains = draw(functional, rng, 1)[0], energy.strong_convexity(params), []
    for e in (1e-3, 0.03):
        found = energy.variation_bound(x, params, data, torch.tensor([e]), q)
        M = mu * torch.eye(x.numel(), dtype=torch.float64)
        for term in energy.terms:
            at = term.at(x, params, data)
            rho = term.map.row_norm * torch.tensor([e])
            least = at.density.interval(at.p, at.nu, rho).convexity
            if not isinstance(term.density, Squares):
                M += at.alpha * dense(lambda v, at=at, least=least: at.map.transpose(
                    at.map.spread(least * at.map.linear(v))), x)  # fmt: skip
        here = dense(energy.linearize(x, params, data).hessian, x)
        for _ in range(3):
            d = draw(functional, rng, 1)[0]
            d = e * d / d.norm()
            there = dense(energy.linearize(x + d, params, data).hessian, x)
            slack = torch.linalg.eigvalsh(there - M)[0]
            assert slack >= -1e-10 * torch.linalg.matrix_norm(there, 2)
            change = (there - here) @ q.flatten()
            dual = float(change @ torch.linalg.solve(M, change)) ** 0.5
            reach = float(found.pencil[0]) * float(d.flatten() @ M @ d.flatten()) ** 0.5
            assert dual <= reach * (1 + 1e-9)
            gains.append(float(found.hessian[0]) / mu**0.5 / reach)
    assert max(gains) > 1  # as a bound of the same it is better somewhere


@pytest.mark.parametrize("name", ["denoising", "parallel beam"])
def test_learning_without_a_setting_ends_at_a_certified_minimum(name, rng):
    functional = EXPRESSIONS[name]()
    truth, params, data = draw(functional, rng, 2)
    problem = BilevelProblem(energy_of(functional), data, SquaredError(truth), 0 * truth,
                             lower=-4.0, upper=2.0)  # fmt: skip
    learned = lbfgsb(problem, params)
    assert learned.value_bound <= 1e-8 * learned.value
    for step in ((0.05, 0.0), (-0.05, 0.0), (0.0, 0.05), (0.0, -0.05)):
        there = problem.clip(learned.params + torch.tensor(step, dtype=torch.float64))
        found = Direct()(LowerLevel(problem), there, 1e-11, 1e-11)
        assert found.value + found.value_bound >= learned.value - learned.value_bound
