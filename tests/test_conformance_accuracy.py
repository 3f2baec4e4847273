"""Proximals that are iterations are judged by the accuracy that they declare, and no worse."""

import numpy as np
import odl
import pytest
from instances.spaces import X, element

from odl_learned import functionals
from odl_learned.conformance import ConformanceError
from odl_learned.conformance.accuracy import gradient_gap, proximal_error, proximal_gap
from odl_learned.conformance.functionals import check_gradient
from odl_learned.conformance.proximals import (
    check_firmly_nonexpansive,
    check_moreau,
    check_proximal,
)

F = odl.functionals
PIXELS = odl.uniform_discr([0, 0], [12, 10], (12, 10))


class Approximate(F.Functional):
    """``|x|^2`` with a proximal that is off by one percent, and says so with a factor."""

    def __init__(self, space, honesty):
        super().__init__(space)
        self.honesty = honesty

    def _call(self, x):
        return x.inner(x).real

    @property
    def proximal(self):
        return lambda sigma=1.0: ApproximateProximal(self, sigma)


class ApproximateProximal(odl.Operator):
    """``1.01 x / (1 + 2 sigma)``, with a gap of ``(1/2 + sigma) |u / 100|^2``."""

    def __init__(self, f, sigma):
        super().__init__(f.domain, f.domain)
        self.honesty, self.sigma = f.honesty, sigma

    def _call(self, x):
        return 1.01 / (1 + 2 * self.sigma) * x

    def gap(self, x):
        exact = 1 / (1 + 2 * self.sigma) * x
        return self.honesty * (0.5 + self.sigma) * (0.01 * exact.norm()) ** 2


def test_the_declared_gap_is_allowed_and_no_more(rng):
    check_proximal(Approximate(X, 1.0), rng)
    for honesty in (0.0, 0.5):
        with pytest.raises(ConformanceError, match="less at another u"):
            check_proximal(Approximate(X, honesty), rng)
    with pytest.raises(ConformanceError, match="declares the gap nan, expected a finite"):
        check_proximal(Approximate(X, np.nan), rng)


@pytest.mark.parametrize("build", [
    lambda f: f, lambda f: 2.0 * f, lambda f: f * 3.0, lambda f: f.translated(f.domain.one()),
    lambda f: f.convex_conj,
])  # fmt: skip
def test_errors_of_expressions_follow_from_those_of_their_parts(build, rng):
    """The bound holds, against a proximal to 1e-8, and is not zero."""
    f, exact = (build(functionals.TotalVariation(PIXELS, accuracy=a)) for a in (1e-2, 1e-8))
    for seed in range(2):
        x = 3 * element(PIXELS, seed)
        error = (f.proximal(0.7)(x) - exact.proximal(0.7)(x)).norm()
        assert 0 < error <= proximal_error(f, 0.7, x) + proximal_error(exact, 0.7, x)


def test_gaps_of_sums_add_up():
    f = functionals.TotalVariation(PIXELS, accuracy=1e-2)
    both = F.SeparableSum(f, F.L1Norm(X), f)
    x = both.domain.element([element(PIXELS), element(X), 2 * element(PIXELS)])
    assert proximal_gap(both, 0.3, x) == pytest.approx(
        proximal_gap(f, 0.3, x[0]) + proximal_gap(f, 0.3, x[2]), rel=1e-12)


@pytest.mark.parametrize("accuracy", [1e-5, 1e-2])
@pytest.mark.parametrize("exponent", [2, 1])
def test_total_variation_passes_at_any_accuracy(accuracy, exponent):
    f = functionals.TotalVariation(PIXELS, exponent, accuracy)
    for seed in range(2):
        for check in (check_proximal, check_firmly_nonexpansive, check_moreau):
            check(f, np.random.default_rng(seed))


class Sloped(F.Functional):
    """``|x|`` with a gradient that is too large by a factor, and a gap that is declared."""

    def __init__(self, space, factor, declared):
        super().__init__(space)
        self.factor, self.declared = factor, declared

    def _call(self, x):
        return x.norm()

    @property
    def gradient(self):
        return SlopedGradient(self)


class SlopedGradient(odl.Operator):
    def __init__(self, f):
        super().__init__(f.domain, f.domain)
        self.f = f

    def _call(self, x):
        return (self.f.factor / x.norm()) * x

    def gap(self, x):
        return self.f.declared * x.norm()


def test_a_subgradient_up_to_the_declared_gap_is_allowed_and_no_more(rng):
    # <p, x> is off by one percent of |x|, on the rays through x and -x.
    for factor, declared in ((0.99, 0.01), (1.0, 1e-3)):
        check_gradient(Sloped(X, factor, declared), rng)
        check_gradient(2.0 * Sloped(X, factor, declared).translated(element(X)), rng)
    for factor, declared in ((0.99, 0.009), (1.01, 0.009)):
        with pytest.raises(ConformanceError, match="the gap that the gradient declares"):
            check_gradient(Sloped(X, factor, declared), rng)
    with pytest.raises(ConformanceError, match="declares the gap nan, expected a finite"):
        check_gradient(Sloped(X, 1.0, np.nan), rng)


def test_gaps_of_expressions_are_those_of_their_parts(rng):
    f, x = Sloped(X, 0.99, 0.01), element(X)
    assert gradient_gap(f, x) == 0.01 * x.norm()
    assert gradient_gap(3.0 * f * 2.0, x) == pytest.approx(0.06 * x.norm())
    assert gradient_gap(f + F.L2NormSquared(X), x) == 0.01 * x.norm()
    twice = odl.ScalingOperator(X, 2.0)
    assert gradient_gap(f @ twice, x) == pytest.approx(0.02 * x.norm())
    assert gradient_gap(F.SeparableSum(f, f), (X**2).element([x, 3 * x])) == pytest.approx(
        0.04 * x.norm())
