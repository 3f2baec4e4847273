"""Functionals with a proximal, on spaces of all kinds, by name."""

import numpy as np
import odl
from instances.spaces import PAIR, RA, RW, XC, F, R, V, X, element, plane

from odl_learned import functionals
from odl_learned.conformance.sampling import precision
from odl_learned.conformance.tensors import as_tensor, stack

X32, XC64, V32 = plane(dtype="float32"), plane(dtype="complex64"), plane(dtype="float32") ** 2
RA32 = odl.rn(4, dtype="float32", weighting=[1.0, 2.0, 3.0, 4.0])
CA = odl.cn(4, weighting=[1.0, 2.0, 3.0, 4.0])
W, WC, W32 = (plane((4, 8), dtype) for dtype in ("float64", "complex128", "float32"))


def positive_element(space):
    """An element with entries in [1/2, 3/2]."""
    return space.element(0.5 + 1 / (1 + np.exp(-element(space).data)))


def on_all(build, *spaces):
    """The functionals that a function builds on spaces, by the name of the space."""
    names = {id(X): "X", id(XC): "complex", id(V): "V", id(RA): "array", id(RW): "const",
             id(X32): "float32", id(XC64): "complex64", id(V32): "V float32", id(R): "R",
             id(CA): "complex array", id(RA32): "array float32", id(PAIR): "pair",
             id(W): "W", id(WC): "W complex", id(W32): "W float32"}
    return {names[id(space)]: lambda space=space: build(space) for space in spaces}


TABLES = {
    # leaves
    "L1": on_all(F.L1Norm, X, XC, V, RA, CA, X32, XC64, PAIR),
    "L2": on_all(F.L2Norm, X, XC, V, RA, CA, X32, RW, PAIR),
    "L2 squared": on_all(F.L2NormSquared, X, XC, V, RA, X32, XC64, PAIR),
    "Linf": on_all(lambda s: F.LpNorm(s, np.inf), X, V, R, RA, X32, RW),
    "GroupL1": on_all(F.GroupL1Norm, V, V32),
    "GroupL1 complex": {"V": lambda: F.GroupL1Norm(XC**2)},
    "GroupL1 anisotropic": on_all(lambda s: F.GroupL1Norm(s, exponent=1), V, V32),
    "GroupL1 ball": on_all(F.IndicatorGroupL1UnitBall, V, V32),
    "GroupL1 ball complex": {"V": lambda: F.IndicatorGroupL1UnitBall(XC**2)},
    "GroupL1 ball inf": on_all(lambda s: F.IndicatorGroupL1UnitBall(s, exponent=np.inf), V, V32),
    "L1 ball": on_all(lambda s: F.IndicatorLpUnitBall(s, 1), X, V, R, RA, RW, X32, RA32),
    "L2 ball": on_all(lambda s: F.IndicatorLpUnitBall(s, 2), X, XC, RA, X32, RW, PAIR),
    "Linf ball": on_all(lambda s: F.IndicatorLpUnitBall(s, np.inf), X, RA, X32, PAIR),
    "box": on_all(lambda s: F.IndicatorBox(s, -0.3, 0.5), X, V, RA, X32),
    "box of elements": on_all(lambda s: F.IndicatorBox(s, -positive_element(s), 0.5), X, RA),
    "box, one side": on_all(lambda s: F.IndicatorBox(s, upper=0.1), X),
    "nonnegativity": on_all(F.IndicatorNonnegativity, X, V, X32),
    "zero indicator": on_all(F.IndicatorZero, X, XC, PAIR),
    "zero": on_all(F.ZeroFunctional, X, XC, PAIR),
    "constant": on_all(lambda s: F.ConstantFunctional(s, 2.0), X),
    "Huber": on_all(lambda s: F.Huber(s, 0.3), X, XC, V, RA, X32, V32),
    "Huber, sharp": on_all(lambda s: F.Huber(s, 0.0), X),
    "KL": on_all(lambda s: F.KullbackLeibler(s, positive_element(s)), X, RA, X32),
    "KL without prior": on_all(F.KullbackLeibler, X),
    "KL with a prior that vanishes": on_all(lambda s: F.KullbackLeibler(s, s.zero()), X),
    "KL conjugate": on_all(
        lambda s: F.KullbackLeibler(s, positive_element(s)).convex_conj, X, RA, X32),
    "KL conjugate without prior": on_all(lambda s: F.KullbackLeibler(s).convex_conj, X),
    "cross entropy": on_all(
        lambda s: F.KullbackLeiblerCrossEntropy(s, positive_element(s)), X, RA, X32),
    "cross entropy without prior": on_all(F.KullbackLeiblerCrossEntropy, X),
    "cross entropy conjugate": on_all(
        lambda s: F.KullbackLeiblerCrossEntropy(s, positive_element(s)).convex_conj, X, RA, X32),
    "simplex": on_all(lambda s: F.IndicatorSimplex(s, 1.5), X, R, RW, RA, X32, RA32),
    "sum constraint": on_all(lambda s: F.IndicatorSumConstraint(s, 1.5), X, R, RW, RA, X32, RA32),
    "BoxConstraint": on_all(lambda s: functionals.BoxConstraint(s, -0.3, 0.5), X, RW, X32),
    "BoxSupport": on_all(lambda s: functionals.BoxConstraint(s, -0.3, 0.5).convex_conj, X, X32),
    "MagnitudeBound": on_all(lambda s: functionals.MagnitudeBound(s, 0.8), X, XC, X32, XC64),
    "OnRealParts": on_all(lambda s: functionals.OnRealParts(0.5 * F.L1Norm(s)), XC, XC64),
    "MagnitudeSupport": on_all(
        lambda s: functionals.MagnitudeBound(s, 0.8).convex_conj, X, XC, X32),
    "Kullback-Leibler fidelity": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(positive_element(s)), X, RW, X32),
    "Kullback-Leibler fidelity, background": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(s.zero(), positive_element(s)), X, RW),
    "Kullback-Leibler conjugate": on_all(
        lambda s: functionals.KullbackLeiblerFidelity(
            positive_element(s), 0.5 * s.one()).convex_conj, X, RW, X32),
    "WaveletL1": on_all(lambda s: functionals.WaveletL1(s, "db2", 2), W, WC, W32),
    "WaveletDetailL1": on_all(
        lambda s: functionals.WaveletDetailL1(s, "haar", 1), W, WC, W32),
    "bounded wavelets": on_all(
        lambda s: functionals.WaveletL1(s, "db2", 2).convex_conj, W, WC, W32),
    "bounded wavelet details": on_all(
        lambda s: functionals.WaveletDetailL1(s, "db2", 1).convex_conj, W, WC, W32),
    "H1 seminorm": on_all(functionals.H1Seminorm, X, XC, X32, XC64),
    "H1 seminorm conjugate": on_all(
        lambda s: functionals.H1Seminorm(s).convex_conj, X, XC, X32),
    "least squares": on_all(lambda s: functionals.LeastSquares(
        odl.MultiplyOperator(element(s)), element(s, 1), accuracy=1e-15), X, XC, RA, CA, X32),
    "weighted L1": on_all(lambda s: functionals.weighted_l1(s, [0.5, 2.0]), V, V32),
    # structure
    "left scalar": on_all(lambda s: 0.3 * F.L1Norm(s), X, XC),
    "right scalar": on_all(lambda s: F.L1Norm(s) * (-2.0), X, RA),
    "right scalar L2": on_all(lambda s: F.L2Norm(s) * 3.0, X),
    "translation": on_all(lambda s: F.L1Norm(s).translated(element(s)), X, XC, V, PAIR),
    "l2_fidelity": on_all(lambda s: functionals.l2_fidelity(element(s)), X, XC, X32),
    "perturbation": on_all(
        lambda s: F.FunctionalQuadraticPerturb(F.L1Norm(s), 0.4, element(s), 1.5), X, XC, V, X32),
    "linear perturbation": on_all(
        lambda s: F.FunctionalQuadraticPerturb(F.L2Norm(s), linear_term=element(s)), X, RA, PAIR),
    "Bregman": on_all(lambda s: F.L1Norm(s).bregman(element(s), 0.5 * s.one()), X),
    "plus a constant": on_all(lambda s: F.L1Norm(s) + 2.0, X),
    "separable sum": {"pair": lambda: F.SeparableSum(3.0 * F.L1Norm(R), 0.5 * F.L2NormSquared(X))},
    "separable sum, power": {"V": lambda: F.SeparableSum(F.L1Norm(X), 2.0 * F.L2Norm(X))},
    "separable sum, nested": {"nested": lambda: F.SeparableSum(
        F.L1Norm(R), F.SeparableSum(F.GroupL1Norm(V), F.L2NormSquared(R)))},
    "multiple of a sum": {"pair": lambda: 0.7 * F.SeparableSum(F.L1Norm(R), F.L2Norm(X))},
    # conjugates
    "conjugate of a multiple": on_all(lambda s: (0.3 * F.L2Norm(s)).convex_conj, X, RA),
    "conjugate of a translation": on_all(
        lambda s: (0.3 * F.L1Norm(s).translated(element(s))).convex_conj, X, RA),
    "conjugate of a fidelity": on_all(
        lambda s: functionals.l2_fidelity(element(s)).convex_conj, X, XC),
    "conjugate of a box": on_all(lambda s: F.IndicatorBox(s, -0.3, 0.5).convex_conj, X, X32),
    "conjugate of Huber": on_all(lambda s: F.Huber(s, 0.3).convex_conj, X, V),
    "conjugate of Huber, twice": on_all(lambda s: F.Huber(s, 0.3).convex_conj.convex_conj, X, V),
    "conjugate of a separable sum": {
        "pair": lambda: F.SeparableSum(0.4 * F.L1Norm(R), F.Huber(X, 0.1)).convex_conj},
    "conjugate of KL": on_all(
        lambda s: (2.0 * F.KullbackLeibler(s, positive_element(s))).convex_conj, X),
}
CASES = {f"{name}, {space}": build for name, table in TABLES.items()
         for space, build in table.items()}
DOUBLE = [name for name, build in CASES.items() if precision(build()) < 1e-9]


def batch(f, n=3, seed=0, scale=2.0):
    """``n`` random elements of the domain, as a list and as a batch."""
    samples = [scale * element(f.domain, seed + i) for i in range(n)]
    return samples, stack(*[as_tensor(f, x) for x in samples])


def leaves(x):
    return [leaf for part in x for leaf in leaves(part)] if isinstance(x, tuple) else [x]
