"""Instances of functionals, of the package and of ODL, by name."""

import numpy as np
import odl

from instances.operators import whitening
from instances.spaces import (
    GRAD,
    MATRICES,
    RA,
    RW,
    XC,
    F,
    R,
    V,
    X,
    blocks,
    box,
    element,
    filters,
    plane,
)
from odl_learned import functionals, networks, operators, regularizers
from odl_learned.bridge import as_functional, as_module


def counts(space):
    """Counts, some of them zero."""
    return space.element(np.random.default_rng(4).poisson(1.5, space.shape))


def parametric_energy(space):
    """``|u - y|^2 / 2 + exp(theta_0) TV_nu(u) + |theta_1 u|^2``."""
    domain, u, theta = blocks(space)
    alpha = functionals.Exponential(functionals.Coordinate(domain[1], 0)) @ theta
    scaled = operators.FunctionalMultiple(functionals.Coordinate(domain[1], 1) @ theta, u)
    return (functionals.l2_fidelity(element(space)) @ u
            + F.FunctionalProduct(alpha, functionals.SmoothedTV(space, 1, 0.1, 0.01) @ u)
            + F.L2NormSquared(space) @ scaled)


def ridge(space, potential, subtracted=None, boundary=None):
    """A small learned ridge on a space."""
    boundary = networks.Reflecting() if boundary is None else boundary
    filters = regularizers.ComposedFilters((1, 2, 5), 3, boundary, dimension=space.ndim)
    return regularizers.RidgeRegularizer(
        regularizers.Ridge(filters, potential, subtracted, sharpness=0.5), space, 0.7)


def least_squares(space, accuracy):
    """Least squares through differences, which are no isometry."""
    op = operators.gradient(space)
    return functionals.LeastSquares(op, element(op.range), accuracy=accuracy)


def gaussian(space, border=False):
    """The negative log density of a Gaussian with a sparse factor."""
    return functionals.gaussian_energy(
        whitening(space, 1, border), element(space), accuracy=1e-13)


FUNCTIONALS = {
    # regularizers room
    "RidgeRegularizer": lambda: ridge(X, regularizers.LogCosh(), regularizers.LogCosh()),
    "RidgeRegularizer complex": lambda: ridge(XC, regularizers.LogCosh(), regularizers.LogCosh()),
    "RidgeRegularizer, Huber": lambda: ridge(X, regularizers.Huber(), boundary=networks.Inside()),
    "RidgeRegularizer, splines, float32": lambda: ridge(
        plane(dtype="float32"), networks.ConvexSpline(5, 3, 1.5), networks.ConvexSpline(5, 2, 1.0)),
    "RidgeRegularizer 3D": lambda: ridge(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), regularizers.LogCosh()),
    # functionals room
    "Coordinate": lambda: functionals.Coordinate(RA, 2),
    "Coordinate complex": lambda: functionals.Coordinate(XC, (2, -1)),
    "Exponential": lambda: functionals.Exponential(functionals.Coordinate(RA, 2)),
    "Exponential complex": lambda: functionals.Exponential(F.L2Norm(XC)),
    "energy with parameters": lambda: parametric_energy(X),
    "energy with parameters, complex": lambda: parametric_energy(XC),
    "energy with fixed parameters": lambda: functionals.fix_block(
        parametric_energy(X), 1, odl.rn(2).element([-0.5, 0.3])),
    "SmoothedGroupL1": lambda: functionals.SmoothedGroupL1(V, 0.1),
    "SmoothedGroupL1 complex": lambda: functionals.SmoothedGroupL1(XC**2, 0.1),
    "PoissonLikelihood": lambda: functionals.PoissonLikelihood(0.3 * X.one(), 5),
    "smoothed_length": lambda: functionals.smoothed_length(GRAD, 0.7, 0.1),
    "smoothed_length of entries": lambda: functionals.smoothed_length(
        odl.IdentityOperator(X), functionals.Exponential(functionals.Coordinate(X, (2, -1))), 0.1),
    "SmoothedTV": lambda: functionals.SmoothedTV(X, 0.7, 0.1, 0.01),
    "SmoothedTV complex": lambda: functionals.SmoothedTV(XC, 0.7, 0.1, 0.01),
    "SmoothedTV 3D": lambda: functionals.SmoothedTV(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2)), 0.7, 0.1, 0.01),
    "SmoothedGroupL1 of the gradient": lambda: 0.7 * functionals.SmoothedGroupL1(V, 0.1) @ GRAD,
    "TotalVariation": lambda: functionals.TotalVariation(X, accuracy=1e-12),
    "TotalVariation, default accuracy": lambda: functionals.TotalVariation(
        odl.uniform_discr([0, 0], [9, 7], (9, 7))),
    "TotalVariation, multiple of a translation": lambda: 3.0 * functionals.TotalVariation(
        X, accuracy=1e-2).translated(element(X)),
    "TotalVariation, scaled": lambda: functionals.TotalVariation(X, accuracy=1e-2) * 0.2,
    "TotalVariation complex": lambda: functionals.TotalVariation(XC, accuracy=1e-12),
    "TotalVariation anisotropic, float32": lambda: functionals.TotalVariation(
        plane(dtype="float32"), 1, accuracy=1e-7),
    "TotalGeneralizedVariation": lambda: functionals.TotalGeneralizedVariation(
        plane((3, 2)), 0.1, accuracy=1e-12, maxiter=3000),
    "TotalGeneralizedVariation, default accuracy": lambda: 0.7 * functionals
    .TotalGeneralizedVariation(plane((6, 5)), 0.1).translated(element(plane((6, 5)))),
    "l2_fidelity": lambda: functionals.l2_fidelity(element(X)),
    "l2_fidelity complex": lambda: functionals.l2_fidelity(element(XC)),
    "LeastSquares": lambda: least_squares(X, 1e-13),
    "LeastSquares complex": lambda: least_squares(XC, 1e-13),
    "LeastSquares float32": lambda: least_squares(plane(dtype="float32"), 1e-6),
    "BoxConstraint": lambda: functionals.BoxConstraint(X, -0.5, 1.0),
    "BoxConstraint, nonnegative": lambda: functionals.BoxConstraint(X, 0, np.inf),
    "BoxSupport, nonnegative": lambda: functionals.BoxConstraint(X, 0, np.inf).convex_conj,
    "BoxSupport": lambda: functionals.BoxConstraint(X, -0.5, 1.0).convex_conj,
    "MagnitudeBound": lambda: functionals.MagnitudeBound(XC, 0.8),
    "MagnitudeSupport": lambda: functionals.MagnitudeBound(X, 0.8).convex_conj,
    "WaveletL1": lambda: functionals.WaveletL1(plane((4, 12)), "db2", 2),
    "WaveletL1 complex": lambda: functionals.WaveletL1(plane((4, 6), "complex128"), "haar", 1),
    "WaveletL1 float32": lambda: functionals.WaveletL1(plane((4, 8), "float32"), "db2", 2),
    "WaveletDetailL1": lambda: functionals.WaveletDetailL1(plane((4, 12)), "db2", 2),
    "WaveletDetailL1 complex": lambda: functionals.WaveletDetailL1(
        plane((4, 6), "complex128"), "db2", 1),
    "WaveletBound": lambda: functionals.WaveletL1(plane((4, 12)), "db2", 2).convex_conj,
    "WaveletBound of details": lambda: functionals.WaveletDetailL1(
        plane((4, 12)), "db2", 2).convex_conj,
    "KullbackLeiblerFidelity": lambda: functionals.KullbackLeiblerFidelity(counts(X)),
    "KullbackLeiblerFidelity, background": lambda: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()),
    "KullbackLeiblerFidelity float32": lambda: functionals.KullbackLeiblerFidelity(
        counts(plane(dtype="float32")), 0.5 * plane(dtype="float32").one()),
    "KullbackLeiblerConjugate": lambda: functionals.KullbackLeiblerFidelity(
        counts(X)).convex_conj,
    "KullbackLeiblerConjugate, background": lambda: functionals.KullbackLeiblerFidelity(
        counts(RW), 0.3 * RW.one()).convex_conj,
    "FieldsOfExperts": lambda: functionals.FieldsOfExperts(X, filters(2, (3, 2)), [0.5, 2.0], 0.1),
    "FieldsOfExperts complex": lambda: functionals.FieldsOfExperts(
        XC, filters(2, (2, 3)), [0.5, 0.0], 0.1),
    "FieldsOfExperts float32": lambda: functionals.FieldsOfExperts(
        plane(dtype="float32"), filters(3, (3, 3)), [0.5, 1.0, 2.0], 0.5),
    "H1Seminorm": lambda: functionals.H1Seminorm(X),
    "H1Seminorm complex": lambda: functionals.H1Seminorm(XC),
    "H1Seminorm float32, 3D": lambda: functionals.H1Seminorm(
        odl.uniform_discr([0] * 3, [1, 2, 3], (3, 4, 2), dtype="float32")),
    "H1SeminormConjugate": lambda: functionals.H1Seminorm(X).convex_conj,
    "H1SeminormConjugate complex": lambda: functionals.H1Seminorm(XC).convex_conj,
    "gaussian_energy": lambda: gaussian(X),
    "gaussian_energy complex, with a border": lambda: gaussian(XC, border=True),
    "weighted_l1": lambda: functionals.weighted_l1(V, [0.5, 2.0]),
    "weighted_l1 complex, one weight zero": lambda: functionals.weighted_l1(
        XC**3, [0.5, 0.0, 1.0]),
    "weighted_l1 conjugate": lambda: functionals.weighted_l1(V, [0.5, 2.0]).convex_conj,
    "nonsmooth field of experts": lambda: functionals.weighted_l1(X**2, [0.5, 2.0])
    @ operators.FilterBank(X, filters(2, (3, 2))),
    # expression nodes
    "sum": lambda: F.L2NormSquared(X) + F.L1Norm(X),
    "left scalar": lambda: 0.3 * F.L2NormSquared(X),
    "right scalar": lambda: F.L1Norm(X) * 2.0,
    "composition": lambda: F.Huber(V, 0.1) @ GRAD,
    "translation": lambda: F.L1Norm(XC).translated(element(XC)),
    "separable sum": lambda: F.SeparableSum(3.0 * F.L1Norm(R), 0.5 * F.L2NormSquared(X)),
    "separable sum, power": lambda: F.SeparableSum(F.L1Norm(X), 2.0 * F.L1Norm(X)),
    "quadratic perturbation": lambda: F.FunctionalQuadraticPerturb(
        F.L1Norm(X), 0.4, element(X), 1.5),
    "Bregman distance": lambda: F.L2NormSquared(X).bregman(
        element(X), F.L2NormSquared(X).gradient(element(X))),
    "energy": lambda: (functionals.l2_fidelity(element(V)) @ GRAD
                       + functionals.SmoothedTV(X, 0.7, 0.1, 0.01)),
    # leaves
    "L2NormSquared": lambda: F.L2NormSquared(X),
    "L2NormSquared complex": lambda: F.L2NormSquared(XC),
    "L2NormSquared array weights": lambda: F.L2NormSquared(RA),
    "L2NormSquared float32": lambda: F.L2NormSquared(plane(dtype="float32")),
    "L2Norm": lambda: F.L2Norm(X),
    "L1Norm": lambda: F.L1Norm(X),
    "L1Norm array weights": lambda: F.L1Norm(RA),
    "GroupL1Norm": lambda: F.GroupL1Norm(V),
    "GroupL1Norm complex": lambda: F.GroupL1Norm(XC**2),
    "GroupL1Norm anisotropic": lambda: F.GroupL1Norm(V, exponent=1),
    "Huber": lambda: F.Huber(X, 0.3),
    "KullbackLeibler": lambda: F.KullbackLeibler(X, prior=X.one()),
    "IndicatorBox": lambda: F.IndicatorBox(X, -0.5, 1.0),
    "ZeroFunctional": lambda: F.ZeroFunctional(X),
    "QuadraticForm": lambda: F.QuadraticForm(operator=GRAD.adjoint @ GRAD, vector=element(X)),
    "QuadraticForm, multiplication": lambda: F.QuadraticForm(
        operator=odl.MultiplyOperator(X.element(1 + odl.abs(element(X)))), vector=element(X)),
    "QuadraticForm complex": lambda: F.QuadraticForm(
        operator=odl.IdentityOperator(XC), vector=element(XC), constant=2),
    "OnRealParts": lambda: functionals.OnRealParts(
        F.L2NormSquared(XC).translated(element(XC))),
    "OnRealParts of several": lambda: functionals.OnRealParts(
        functionals.l2_fidelity(element(XC**2))),
    "L2Norm complex": lambda: F.L2Norm(XC),
    "LpNorm, p = 1.5": lambda: F.LpNorm(X, 1.5),
    "LpNorm, p = inf": lambda: F.LpNorm(X, np.inf),
    "Huber, vectors": lambda: F.Huber(V, 0.3),
    "KullbackLeibler conjugate": lambda: F.KullbackLeibler(X, prior=X.one()).convex_conj,
    "cross entropy": lambda: F.KullbackLeiblerCrossEntropy(X, prior=2 * X.one()),
    "cross entropy conjugate": lambda: F.KullbackLeiblerCrossEntropy(X).convex_conj,
    "IndicatorNonnegativity": lambda: F.IndicatorNonnegativity(X),
    "IndicatorZero": lambda: F.IndicatorZero(X, 1.5),
    "IndicatorSimplex": lambda: F.IndicatorSimplex(R, 2.0),
    "IndicatorSumConstraint": lambda: F.IndicatorSumConstraint(X, 2.0),
    "IndicatorLpUnitBall, p = 1": lambda: F.IndicatorLpUnitBall(X, 1),
    "IndicatorLpUnitBall, p = 2": lambda: F.IndicatorLpUnitBall(X, 2),
    "IndicatorLpUnitBall, p = inf": lambda: F.IndicatorLpUnitBall(X, np.inf),
    "IndicatorGroupL1UnitBall": lambda: F.IndicatorGroupL1UnitBall(V),
    "NuclearNorm": lambda: F.NuclearNorm(MATRICES),
    "NuclearNorm, p = 1": lambda: F.NuclearNorm(MATRICES, singular_vector_exp=1),
    "NuclearNorm, p = inf": lambda: F.NuclearNorm(MATRICES, singular_vector_exp=np.inf),
    "IndicatorNuclearNormUnitBall": lambda: F.IndicatorNuclearNormUnitBall(
        MATRICES, np.inf, 2),
    "MoreauEnvelope": lambda: F.MoreauEnvelope(F.L1Norm(X), 0.7),
    "MoreauEnvelope complex": lambda: F.MoreauEnvelope(F.L2Norm(XC), 0.7),
    "MoreauEnvelope of total variation": lambda: F.MoreauEnvelope(
        functionals.TotalVariation(X, accuracy=1e-12), 0.1),
    "right vector": lambda: F.L2NormSquared(X) * element(X),
    "scalar sum": lambda: F.L2NormSquared(X) + 2.5,
    "product": lambda: F.FunctionalProduct(F.L2NormSquared(X), F.Huber(X, 0.3)),
    "quotient": lambda: F.FunctionalQuotient(F.L2NormSquared(X), F.L2NormSquared(X) + 1.0),
    "TotalVariation 3D": lambda: functionals.TotalVariation(box(), accuracy=1e-12),
    "TotalGeneralizedVariation 3D": lambda: functionals.TotalGeneralizedVariation(
        box((2, 2, 2)), 0.1, accuracy=1e-12, maxiter=3000),
    "FieldsOfExperts 3D": lambda: functionals.FieldsOfExperts(
        box(), filters(2, (2, 3, 1)), [0.5, 2.0], 0.1),
    "WaveletL1 3D": lambda: functionals.WaveletL1(box((4, 2, 6)), "db2", 1),
    "LeastSquares 3D": lambda: least_squares(box(), 1e-13),
    "energy with parameters, 3D": lambda: parametric_energy(box()),
    "as_functional": lambda: as_functional(as_module(F.L2NormSquared(RA)), RA),
}
