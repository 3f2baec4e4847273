"""Which functionals of ODL, and of ours, are convex by construction."""


import numpy as np
import odl

from odl_learned import functionals
from odl_learned.dispatch import rules_by_class
from odl_learned.odl_validation import require_functional
from odl_learned.regularizers import RidgeRegularizer

F = odl.functionals


@rules_by_class(odl.Operator, "_call")
def _rule(f) -> bool:
    return False


def is_convex(f: F.Functional) -> bool:
    """Return whether a functional is convex by construction, from its class and its parts.

    ``False`` says that it is not known.

    Parameters
    ----------
    f : odl.functionals.Functional

    Raises
    ------
    TypeError
        If it is none.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> from odl_learned.reconstruction import plug_and_play
    >>> X = odl.rn(2)
    >>> f = functionals.l2_fidelity(X.one())
    >>> print(plug_and_play.is_convex(f), plug_and_play.is_convex(-1.0 * f))
    True False
    """
    require_functional("f", f)
    return _rule(f)


for _kind in (
    F.ZeroFunctional, F.ConstantFunctional, F.L1Norm, F.L2Norm, F.L2NormSquared, F.GroupL1Norm,
    F.Huber, F.KullbackLeibler, F.KullbackLeiblerCrossEntropy, F.NuclearNorm, F.IndicatorBox,
    F.IndicatorNonnegativity, F.IndicatorLpUnitBall, F.IndicatorGroupL1UnitBall, F.IndicatorZero,
    F.IndicatorSimplex, F.IndicatorSumConstraint, F.IndicatorNuclearNormUnitBall,
    functionals.BoxConstraint, functionals.BoxSupport, functionals.MagnitudeBound,
    functionals.MagnitudeSupport, functionals.KullbackLeiblerFidelity,
    functionals.KullbackLeiblerConjugate, functionals.H1Seminorm, functionals.H1SeminormConjugate,
    functionals.SmoothedGroupL1, functionals.SmoothedTV, functionals.FieldsOfExperts,
    functionals.TotalVariation, functionals.TotalGeneralizedVariation, functionals.WaveletL1,
    functionals.WaveletDetailL1, functionals.WaveletBound, functionals.LeastSquares,
):  # fmt: skip
    _rule.register(_kind, lambda f: True)


@_rule.register
def _(f: RidgeRegularizer):
    return f.weak_convexity == 0


@_rule.register
def _(f: F.LpNorm):
    return f.exponent >= 1


@_rule.register
def _(f: F.FunctionalLeftScalarMult):
    return np.imag(f.scalar) == 0 and np.real(f.scalar) >= 0 and _rule(f.functional)


@_rule.register
def _(f: F.FunctionalRightScalarMult):
    return _rule(f.functional)


@_rule.register
def _(f: F.FunctionalComp):
    return bool(f.right.is_linear) and isinstance(f.left, F.Functional) and _rule(f.left)


@_rule.register
def _(f: F.FunctionalTranslation):
    return _rule(f.functional)


@_rule.register
def _(f: F.FunctionalScalarSum):
    return _rule(f.left)


@_rule.register
def _(f: F.FunctionalSum):
    return _rule(f.left) and _rule(f.right)


@_rule.register
def _(f: F.FunctionalQuadraticPerturb):
    return np.real(f.quadratic_coeff) >= 0 and _rule(f.functional)


@_rule.register
def _(f: F.SeparableSum):
    return all(map(_rule, f.functionals))
