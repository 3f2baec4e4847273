"""Modules of indicators, gradients and Moreau envelopes against ODL and closed forms."""

import numpy as np
import pytest
import torch
from bridge_comparison import compare, fallbacks
from instances.spaces import GRAD, MATRICES, PAIR, RA, XC, F, R, V, X, element
from odl.functionals.functional import FunctionalDefaultConvexConjugate

from odl_learned.bridge import as_module
from odl_learned.conformance.sampling import sample
from odl_learned.conformance.tensors import as_tensor, stack
from odl_learned.operators import random_element


def test_indicators_of_points_inside_and_outside():
    cases = [
        (F.IndicatorZero(X, 1.5), X.zero()),
        (F.IndicatorZero(PAIR), PAIR.zero()),
        (F.IndicatorSimplex(R, 2.0), R.element([0.5, 1.0, 0.0, 0.5])),
        (F.IndicatorSimplex(R, 2.0), R.element([-0.5, 2.0, 0.0, 0.5])),
        (F.IndicatorSumConstraint(X, 2.0), 2 / 35 * X.one()),
        (F.IndicatorLpUnitBall(X, 1), 0.4 * X.one()),
        (F.IndicatorLpUnitBall(X, 2), 0.6 * X.one()),
        (F.IndicatorLpUnitBall(X, np.inf), 0.9 * X.one()),
        (F.IndicatorGroupL1UnitBall(V), 0.6 * V.one()),
        (F.IndicatorBox(X, -0.5, 1.0), 0.9 * X.one()),
        (F.IndicatorNonnegativity(X), X.one()),
        (F.IndicatorNuclearNormUnitBall(MATRICES, np.inf, 2), 0.3 * MATRICES.one()),
    ]
    for f, x in cases:
        compare(f, x)
    assert sum(np.isfinite(f(x)) for f, x in cases) == len(cases) - 1


GRADIENTS = {
    "L1": lambda: F.L1Norm(X).gradient,
    "L2": lambda: F.L2Norm(X).gradient,
    "group L1": lambda: F.GroupL1Norm(V).gradient,
    "Huber": lambda: F.Huber(X, 0.3).gradient,
    "Kullback-Leibler": lambda: F.KullbackLeibler(X, prior=2 * X.one()).gradient,
    "Kullback-Leibler conjugate": lambda: F.KullbackLeibler(X).convex_conj.gradient,
    "cross entropy": lambda: F.KullbackLeiblerCrossEntropy(X, prior=2 * X.one()).gradient,
    "cross entropy conjugate": lambda: F.KullbackLeiblerCrossEntropy(X).convex_conj.gradient,
    "composition": lambda: (F.Huber(V, 0.1) @ GRAD).gradient,
    "composition on one space": lambda: (
        F.Huber(X, 0.1) @ (GRAD.adjoint @ GRAD)).gradient,
    "product": lambda: F.FunctionalProduct(F.L2NormSquared(X), F.Huber(X, 0.3)).gradient,
    "quotient": lambda: F.FunctionalQuotient(F.Huber(X, 0.3), F.L2NormSquared(X)).gradient,
    "array weights": lambda: F.L2Norm(RA).gradient,
    "sum": lambda: (F.L2NormSquared(X) + 0.3 * F.L1Norm(X)).gradient,
    "in an expression": lambda: GRAD @ F.Huber(X, 0.3).gradient,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_operators_are_native(name):
    op = GRADIENTS[name]()
    x = sample(F.KullbackLeibler(X), np.random.default_rng(0)) if op.domain == X \
        else random_element(op.domain, np.random.default_rng(0))
    compare(op, 0.3 * x, 1e-11)


def test_gradient_operators_have_derivatives():
    """Second derivatives of the energy, through the operator that ODL calls its gradient."""
    op = (F.Huber(V, 1000.0) @ GRAD).gradient
    module, x = as_module(op), as_tensor(op, element(X))
    _, got = torch.func.jvp(module, (x,), (x,))
    expected = (GRAD.adjoint @ GRAD)(element(X)) / 1000.0
    np.testing.assert_allclose(got, expected.data, atol=1e-12 * np.abs(expected.data).max())


def test_moreau_envelopes_have_values():
    """The envelope of the L1 norm is the Huber function, that of ``c |x|^2`` is a square again."""
    x = stack(as_tensor(F.L1Norm(X), element(X)))
    cases = [
        (F.MoreauEnvelope(F.L1Norm(X), 0.4), F.Huber(X, 0.4)),
        (F.MoreauEnvelope(3.0 * F.L2NormSquared(X), 0.4), 3 / (1 + 2.4) * F.L2NormSquared(X)),
        (F.InfimalConvolution(F.L1Norm(X), 1.25 * F.L2NormSquared(X)), F.Huber(X, 0.4)),
        (F.InfimalConvolution(1.25 * F.L2NormSquared(X), F.L1Norm(X)), F.Huber(X, 0.4)),
    ]
    for f, expected in cases:
        torch.testing.assert_close(as_module(f)(x), as_module(expected)(x), rtol=1e-12, atol=0)
        grads = [torch.func.grad(lambda x, g=g: as_module(g)(x).sum())(x) for g in (f, expected)]
        torch.testing.assert_close(*grads, rtol=0, atol=1e-12)
        assert not fallbacks(as_module(f))
    y = as_tensor(F.L1Norm(XC), element(XC))
    value = as_module(F.MoreauEnvelope(F.L1Norm(XC), 0.4))(y)
    r = y.abs()
    expected = torch.where(r < 0.4, r**2 / 0.8, r - 0.2).sum() * float(XC.weighting.const)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)


def test_what_has_no_value_says_so():
    with pytest.raises(NotImplementedError, match="L1Norm and L1Norm.*expected one side"):
        as_module(F.InfimalConvolution(F.L1Norm(X), F.L1Norm(X)))
    with pytest.raises(NotImplementedError, match="conjugate of NuclearNorm.*as_proximal_module"):
        as_module(FunctionalDefaultConvexConjugate(F.NuclearNorm(MATRICES)))
