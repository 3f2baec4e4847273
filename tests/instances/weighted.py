"""Instances on spaces whose entries have different weights, by name.

``SPACES`` makes such spaces, of a shape and a dtype. An operator or functional that does not work
with them is in ``REFUSED``, by the class or function that says so when it is called.
"""

import numpy as np
import odl

from instances.functionals import counts
from instances.operators import KERNEL, whitening
from instances.spaces import F, cut_cells, element, filters, many_weights, mask
from odl_learned import functionals, operators
from odl_learned.bridge import as_functional, as_module, as_operator

SPACES = {"cut cells": cut_cells, "many weights": many_weights}


def line(space):
    """A space of five points in one dimension, with the weights of a column of a plane."""
    if np.shape(getattr(space.weighting, "array", None)):
        return odl.uniform_discr(0, 1, 5, weighting=[0.5, 2.0, 1.0, 3.0, 1.5])
    return odl.uniform_discr(0, 1, 5, nodes_on_bdry=True)


def blocks(space):
    """Images and two parameters."""
    return odl.ProductSpace(space, functionals.parameter_space(space, 2), weighting=[3.0, 2.0])


def matrix(rows, columns=5):
    """A random matrix."""
    return np.random.default_rng(0).standard_normal((rows, columns))


POINTS = [[0, 4, 0, 2], [1, 6, 1, 3]]

# The image space X is real; C is complex with the same weights.
OPERATORS = {
    "gradient": lambda X, C: operators.gradient(X),
    "gradient complex": lambda X, C: operators.gradient(C),
    "gradient 1D": lambda X, C: operators.gradient(line(X)),
    "gradient adjoint": lambda X, C: operators.gradient(X).adjoint,
    "SymmetrizedGradient": lambda X, C: operators.SymmetrizedGradient(X**2),
    "SymmetrizedGradientAdjoint": lambda X, C: operators.SymmetrizedGradient(C**2).adjoint,
    "FilterBank": lambda X, C: operators.FilterBank(X, filters(2, (3, 4))),
    "FilterBankAdjoint": lambda X, C: operators.FilterBank(C, filters(2, (2, 3))).adjoint,
    "mask": lambda X, C: operators.mask_operator(C, mask(C.shape)),
    "Whitening": lambda X, C: whitening(X),
    "WhiteningAdjoint": lambda X, C: whitening(C, 1, True).adjoint,
    "WhiteningAdjoint of channels": lambda X, C: whitening(X**2).adjoint,
    "Unwhitening": lambda X, C: whitening(C).inverse,
    "UnwhiteningAdjoint": lambda X, C: whitening(X).inverse.adjoint,
    "PrecisionOperator": lambda X, C: operators.PrecisionOperator(whitening(C)),
    "CovarianceOperator": lambda X, C: operators.PrecisionOperator(whitening(X)).inverse,
    "BlockProduct": lambda X, C: operators.BlockProduct(odl.ProductSpace(X, X)),
    "BlockProduct to another weight": lambda X, C: operators.BlockProduct(
        odl.ProductSpace(C, C, weighting=[0.5, 2.0]), odl.cn(C.shape, weighting=3.0)),
    "BlockInsertion": lambda X, C: operators.BlockInsertion(blocks(X), 0, element(X)),
    "BlockInsertion of parameters": lambda X, C: operators.BlockInsertion(
        blocks(X), 1, odl.rn(2).one()),
    "RootSumOfSquares": lambda X, C: operators.RootSumOfSquares(C**2),
    "PointwiseExponential": lambda X, C: operators.PointwiseExponential(C),
    "FunctionalMultiple": lambda X, C: operators.FunctionalMultiple(
        F.L2NormSquared(X), operators.gradient(X)),
    "partial derivative": lambda X, C: odl.PartialDerivative(X, 1, method="central"),
    "divergence": lambda X, C: odl.Divergence(X**2, method="backward"),
    "matrix complex": lambda X, C: odl.MatrixOperator(
        matrix(3) * (1 - 2j), line(X).complex_space, odl.cn(3, weighting=[1.0, 2.0, 5.0])),
    "matrix along an axis": lambda X, C: odl.MatrixOperator(
        matrix(3, 7), X, odl.rn((5, 3), weighting=0.5), axis=1),
    "sampling": lambda X, C: odl.SamplingOperator(X, POINTS),
    "flattening adjoint": lambda X, C: odl.FlatteningOperator(X).adjoint,
    "wavelet": lambda X, C: odl.trafos.WaveletTransform(X, "haar", nlevels=1),
    "pointwise inner adjoint": lambda X, C: odl.PointwiseInner(X**2, element(X**2)).adjoint,
    "pointwise norm": lambda X, C: odl.PointwiseNorm(X**2),
    "multiplication": lambda X, C: odl.MultiplyOperator(element(C)),
    "real part": lambda X, C: odl.RealPart(C),
    "broadcast": lambda X, C: odl.BroadcastOperator(odl.IdentityOperator(X),
                                                    operators.gradient(X)),
    "as_operator": lambda X, C: as_operator(
        as_module(odl.PowerOperator(X, 2.0)), X, odl.rn(X.shape, weighting=3.0)),
    "as_operator linear": lambda X, C: as_operator(as_module(operators.gradient(X)), X, X**2),
}

FUNCTIONALS = {
    "Coordinate": lambda X, C: functionals.Coordinate(X, (0, -1)),
    "Exponential": lambda X, C: functionals.Exponential(functionals.Coordinate(C, (2, 0))),
    "SmoothedGroupL1": lambda X, C: functionals.SmoothedGroupL1(C**2, 0.1),
    "SmoothedTV": lambda X, C: functionals.SmoothedTV(X, 0.7, 0.1, 0.01),
    "l2_fidelity": lambda X, C: functionals.l2_fidelity(element(C)),
    "LeastSquares": lambda X, C: functionals.LeastSquares(
        operators.gradient(C), element(C**2), accuracy=1e-13),
    "BoxConstraint": lambda X, C: functionals.BoxConstraint(X, -0.5, 1.0),
    "BoxSupport": lambda X, C: functionals.BoxConstraint(X, -0.5, 1.0).convex_conj,
    "MagnitudeBound": lambda X, C: functionals.MagnitudeBound(X, 0.8),
    "MagnitudeSupport": lambda X, C: functionals.MagnitudeBound(C, 0.8).convex_conj,
    "KullbackLeiblerFidelity": lambda X, C: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()),
    "KullbackLeiblerConjugate": lambda X, C: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()).convex_conj,
    "PoissonLikelihood": lambda X, C: functionals.PoissonLikelihood(0.3 * X.one(), 5),
    "FieldsOfExperts": lambda X, C: functionals.FieldsOfExperts(
        X, filters(2, (3, 2)), [0.5, 2.0], 0.1),
    "weighted_l1": lambda X, C: functionals.weighted_l1(X**2, [0.5, 2.0]),
    "composition": lambda X, C: F.Huber(X**2, 0.1) @ operators.gradient(X),
    "separable sum": lambda X, C: F.SeparableSum(F.L1Norm(X), 0.5 * F.L2NormSquared(X**2)),
    "quadratic perturbation": lambda X, C: F.FunctionalQuadraticPerturb(
        F.L1Norm(X), 0.4, element(X), 1.5),
    "L2NormSquared": lambda X, C: F.L2NormSquared(C),
    "L2Norm": lambda X, C: F.L2Norm(X),
    "L1Norm complex": lambda X, C: F.L1Norm(C),
    "LpNorm, p = 1.5": lambda X, C: F.LpNorm(X, 1.5),
    "LpNorm, p = inf": lambda X, C: F.LpNorm(X, np.inf),
    "GroupL1Norm": lambda X, C: F.GroupL1Norm(X**2),
    "GroupL1Norm anisotropic": lambda X, C: F.GroupL1Norm(C**2, exponent=1),
    "Huber": lambda X, C: F.Huber(X, 0.3),
    "Huber, vectors": lambda X, C: F.Huber(X**2, 0.3),
    "KullbackLeibler conjugate": lambda X, C: F.KullbackLeibler(X, prior=X.one()).convex_conj,
    "IndicatorSimplex": lambda X, C: F.IndicatorSimplex(line(X), 2.0),
    "IndicatorSumConstraint": lambda X, C: F.IndicatorSumConstraint(X, 2.0),
    "IndicatorLpUnitBall, p = 2": lambda X, C: F.IndicatorLpUnitBall(X, 2),
    "IndicatorGroupL1UnitBall": lambda X, C: F.IndicatorGroupL1UnitBall(X**2),
    "NuclearNorm": lambda X, C: F.NuclearNorm(odl.ProductSpace(X**2, 3)),
    "QuadraticForm": lambda X, C: F.QuadraticForm(
        operator=operators.gradient(X).adjoint @ operators.gradient(X), vector=element(X)),
    "as_functional": lambda X, C: as_functional(as_module(F.L2NormSquared(X)), X),
    "OnRealParts": lambda X, C: functionals.OnRealParts(functionals.l2_fidelity(element(C))),
}

# By class, or function: what it says of such a space. Classes that are made by others, such as
# adjoints, are refused with them.
REFUSED = {
    "operators.SampledFourier": lambda space: operators.SampledFourier(
        space((5, 7), "complex128"), mask((5, 7))),
    "operators.MultiCoilFourier": lambda space: operators.MultiCoilFourier(
        space((5, 7), "complex128"), mask((5, 7)), np.ones((2, 5, 7))),
    "operators.PeriodicConvolution": lambda space: operators.PeriodicConvolution(space(), KERNEL),
    "operators.ZeroConvolution": lambda space: operators.ZeroConvolution(space(), KERNEL),
    "operators.ReflectingConvolution": lambda space: operators.ReflectingConvolution(
        space(), KERNEL),
    "operators.ReflectedExtension": lambda space: operators.ReflectedExtension(space(), (1, 2)),
    "operators.gaussian_kernel": lambda space: operators.gaussian_kernel(space(), 0.1),
    "operators.QuarterTurn": lambda space: operators.QuarterTurn(space((6, 6)), 1),
    "operators.Reflection": lambda space: operators.Reflection(space(), 0),
    "operators.Translation": lambda space: operators.Translation(space(), [0.1, 0.2]),
    "operators.Shear": lambda space: operators.Shear(space(), 0, 0.3),
    "operators.Rotation": lambda space: operators.Rotation(space((6, 6)), 2.0),
    "operators.RotoTranslation": lambda space: operators.RotoTranslation(
        space((6, 6)), 2.0, [0.1, 0.2]),
    "operators.OrthogonalWavelet": lambda space: operators.OrthogonalWavelet(
        space((4, 8)), "haar", 1),
    "operators.parallel_ray_transform": lambda space: operators.parallel_ray_transform(
        space((6, 6), "float32"), 5),
    "operators.scanned_parallel_beam": lambda space: operators.scanned_parallel_beam(
        space((6, 6), "float32"), [0.1, 0.9], 9, 0.3),
    "operators.scanned_fan_beam": lambda space: operators.scanned_fan_beam(
        space((6, 6), "float32"), [0.1, 0.9], 4.0, 6.0, 9, 0.5),
    "operators.fan_beam_ray_transform": lambda space: operators.fan_beam_ray_transform(
        space((6, 6), "float32"), 5, 4.0, 2.0),
    "operators.SymmetrizedRayTransform": lambda space: operators.SymmetrizedRayTransform(
        operators.parallel_ray_transform(space((6, 6), "float32"), 4)),
    "operators.SinogramTurn": lambda space: operators.SinogramTurn(
        operators.parallel_ray_transform(space((6, 6), "float32"), 4), 1),
    "functionals.TotalVariation": lambda space: functionals.TotalVariation(space()),
    "functionals.TotalGeneralizedVariation": lambda space: functionals.TotalGeneralizedVariation(
        space(), 0.1),
    "functionals.H1Seminorm": lambda space: functionals.H1Seminorm(space()),
    "functionals.WaveletL1": lambda space: functionals.WaveletL1(space((4, 8)), "haar", 1),
    "functionals.WaveletDetailL1": lambda space: functionals.WaveletDetailL1(
        space((4, 8)), "haar", 1),
}
REFUSED["functionals.gaussian_energy"] = lambda space: functionals.gaussian_energy(
    whitening(space()), space().zero())
MADE_BY_OTHERS = {
    "operators.SampledFourierAdjoint", "operators.MultiCoilFourierAdjoint",
    "operators.ReflectedExtensionAdjoint", "operators.OrthogonalWaveletAdjoint",
    "operators.SymmetrizedRayTransformAdjoint",
    "functionals.H1SeminormConjugate", "functionals.WaveletBound",
}  # fmt: skip


ON_BOTH = {
    "gradient", "SymmetrizedGradient", "FilterBank", "BlockInsertion", "pointwise norm",
    "Coordinate", "KullbackLeiblerFidelity", "L2NormSquared", "GroupL1Norm", "LpNorm, p = inf",
}  # fmt: skip


def table(builders):
    """One instance for each builder, on the two kinds of spaces in turn or on both of them."""
    instances = {}
    for number, (name, build) in enumerate(builders.items()):
        for turn, (kind, space) in enumerate(SPACES.items()):
            if turn == number % 2 or name in ON_BOTH:
                instances[f"{name}, {kind}"] = (
                    lambda build=build, space=space: build(space(), space(dtype="complex128")))
    return instances
