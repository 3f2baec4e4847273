"""Every proximal of ours and of ODL minimizes its definition, by brute force on 2 x 2 images."""

import instances
import numpy as np
import odl
import pytest
import scipy.optimize
from instances.spaces import F

from odl_learned import functionals
from odl_learned.conformance.sampling import flat, has_proximal

X = odl.uniform_discr([0, 0], [1, 3], (2, 2))  # cells of volume 3/4
LINE = odl.uniform_discr(0, 1.5, 2)
XC = odl.uniform_discr(0, 1.5, 2, dtype="complex128")  # two by two real numbers, too
V, W, MATRICES = LINE**2, odl.rn((2, 2), weighting=0.5), odl.ProductSpace(odl.rn(1) ** 2, 2)


def counts(space):
    """Counts, one of them zero."""
    return space.element([[2, 0], [1, 3]])


CASES = {
    "l2_fidelity": lambda: functionals.l2_fidelity(X.element([[0.1, 2], [-1, 0.4]])),
    "BoxConstraint": lambda: functionals.BoxConstraint(X, -0.3, 0.5),
    "BoxSupport": lambda: functionals.BoxConstraint(X, -0.3, 0.5).convex_conj,
    "MagnitudeBound": lambda: functionals.MagnitudeBound(XC, 0.8),
    "MagnitudeSupport": lambda: functionals.MagnitudeBound(XC, 0.8).convex_conj,
    "OnRealParts": lambda: functionals.OnRealParts(0.5 * F.L1Norm(XC)),
    "WaveletL1": lambda: functionals.WaveletL1(X, "haar", 1),
    "WaveletL1 complex": lambda: functionals.WaveletL1(XC, "haar", 1),
    "WaveletDetailL1": lambda: functionals.WaveletDetailL1(X, "haar", 1),
    "WaveletBound": lambda: functionals.WaveletL1(X, "haar", 1).convex_conj,
    "KullbackLeiblerFidelity": lambda: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()),
    "KullbackLeiblerConjugate": lambda: functionals.KullbackLeiblerFidelity(
        counts(X), 0.3 * X.one()).convex_conj,
    "H1Seminorm": lambda: functionals.H1Seminorm(X),
    "H1Seminorm complex": lambda: functionals.H1Seminorm(XC),
    "weighted_l1": lambda: functionals.weighted_l1(V, [0.5, 1.5]),
    "LeastSquares": lambda: functionals.LeastSquares(
        odl.MultiplyOperator(X.element([[1.5, 0], [-1, 0.2]])), X.element([[0.1, 2], [-1, 0.4]]),
        accuracy=1e-14),
    "TotalVariation": lambda: functionals.TotalVariation(X, accuracy=1e-12),
    "TotalVariation anisotropic": lambda: functionals.TotalVariation(X, 1, accuracy=1e-12),
    "left scalar": lambda: 0.3 * F.L2NormSquared(W),
    "right scalar": lambda: F.L1Norm(X) * 2.0,
    "translation": lambda: F.L1Norm(XC).translated(XC.one()),
    "separable sum": lambda: F.SeparableSum(0.5 * F.L1Norm(LINE), F.L2NormSquared(LINE)),
    "quadratic perturbation": lambda: F.FunctionalQuadraticPerturb(F.L1Norm(X), 0.4, X.one(), 1.5),
    "scalar sum": lambda: F.L2NormSquared(X) + 2.5,
    "L2NormSquared": lambda: F.L2NormSquared(X),
    "L2NormSquared complex": lambda: F.L2NormSquared(XC),
    "L2Norm": lambda: F.L2Norm(X),
    "L2Norm complex": lambda: F.L2Norm(XC),
    "L1Norm": lambda: F.L1Norm(X),
    "L1Norm complex": lambda: F.L1Norm(XC),
    "LpNorm": lambda: F.LpNorm(W, np.inf),
    "GroupL1Norm": lambda: F.GroupL1Norm(V),
    "GroupL1Norm anisotropic": lambda: F.GroupL1Norm(V, exponent=1),
    "Huber": lambda: F.Huber(X, 0.2),
    "Huber, vectors": lambda: F.Huber(V, 0.2),
    "Kullback-Leibler": lambda: F.KullbackLeibler(X, 2 * X.one()),
    "Kullback-Leibler conjugate": lambda: F.KullbackLeibler(X, 2 * X.one()).convex_conj,
    "cross entropy": lambda: F.KullbackLeiblerCrossEntropy(X, 2 * X.one()),
    "cross entropy conjugate": lambda: F.KullbackLeiblerCrossEntropy(X, 2 * X.one()).convex_conj,
    "box": lambda: F.IndicatorBox(X, -0.3, 0.5),
    "nonnegative": lambda: F.IndicatorNonnegativity(X),
    "L2 ball": lambda: F.IndicatorLpUnitBall(X, 2),
    "Linf ball": lambda: F.IndicatorLpUnitBall(X, np.inf),
    "group ball": lambda: F.IndicatorGroupL1UnitBall(V),
    "zero": lambda: F.ZeroFunctional(X),
    "nuclear norm": lambda: F.NuclearNorm(MATRICES),
    "nuclear norm, max": lambda: F.NuclearNorm(MATRICES, singular_vector_exp=np.inf),
    "nuclear ball": lambda: F.IndicatorNuclearNormUnitBall(MATRICES, np.inf, 2),
    "nuclear ball, p = 1": lambda: F.IndicatorNuclearNormUnitBall(MATRICES, np.inf, 1),
}
# Sets without interior, where brute force needs a penalty, and functionals solved to an accuracy.
ELSEWHERE = {
    "IndicatorZero": "a point", "IndicatorSimplex": "tests/test_proximals_minimize.py",
    "IndicatorSumConstraint": "tests/test_proximals_minimize.py",
    "H1SeminormConjugate": "tests/test_h1_and_weighted_l1.py: finite on a subspace only",
    "TotalGeneralizedVariation": "tests/test_tgv.py",
    "BregmanDistance": "a quadratic perturbation, in tests/test_proximals_minimize.py",
}  # fmt: skip


def assemble(space, entries):
    """The element with these real entries, for complex spaces real before imaginary parts."""
    if isinstance(space, odl.ProductSpace):
        parts = np.split(entries, len(space))
        return space.element([assemble(s, e) for s, e in zip(space, parts)])
    if np.iscomplexobj(space.zero().data):
        real, imaginary = np.split(entries, 2)
        entries = real + 1j * imaginary
    return space.element(np.reshape(entries, space.shape))


def real_entries(x):
    """The real numbers that make up an element."""
    if isinstance(x.space, odl.ProductSpace):
        return np.concatenate([real_entries(part) for part in x])
    data = flat(x)
    return np.concatenate([data.real, data.imag]) if np.iscomplexobj(data) else data


POINT = np.array([0.9, -0.4, 1.3, 0.25])
SETS = {name for name in CASES if name in (
    "BoxConstraint", "MagnitudeBound", "WaveletBound", "box", "nonnegative", "L2 ball", "Linf ball",
    "group ball", "nuclear ball", "nuclear ball, p = 1")}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(CASES) - SETS))
def test_minimizes_its_definition(name, sigma=0.7):
    f = CASES[name]()
    space = f.domain
    x = assemble(space, POINT)
    got = real_entries(f.proximal(sigma)(x))

    def energy(entries):
        u = assemble(space, entries)
        return f(u) + (u - x).norm() ** 2 / (2 * sigma)

    options = {"xatol": 1e-9, "fatol": 1e-14, "maxfev": 1500, "adaptive": True}
    best = np.array([0.11, 0.07, 0.13, 0.05])
    for _ in range(4):  # each time from a new simplex, since the old one may have collapsed
        simplex = best + np.vstack([np.zeros(4), 0.05 * np.eye(4) - 0.02])
        best = scipy.optimize.minimize(
            energy, best, method="Nelder-Mead", options=options | {"initial_simplex": simplex}).x
    # The energy is 1 / sigma strongly convex, and weights are at least a half.
    assert energy(got) <= energy(best) + 1e-10
    assert np.linalg.norm(got - best) <= 1e-3


@pytest.mark.parametrize("name", sorted(SETS))
def test_projections(name, rng):
    """``Re <x - p, u - p> <= 0`` for all points ``u`` of the set, and no other ``p`` has that."""
    f = CASES[name]()
    x = assemble(f.domain, POINT)
    p = f.proximal(0.7)(x)
    assert f(p) == 0
    points = [assemble(f.domain, u) for u in rng.uniform(-1.5, 1.5, (3000, 4)) * rng.choice(
        [1.0, 0.5], (3000, 1))]  # fmt: skip
    inside = [u for u in points if f(u) == 0]
    assert len(inside) > 100
    products = [np.real((x - p).inner(u - p)) for u in inside]
    assert max(products) <= 1e-12
    nearest = min((u - x).norm() for u in inside)
    assert (p - x).norm() <= nearest and x.norm() > 0.1


def test_every_functional_with_a_proximal_is_here():
    built = {name: build() for name, build in instances.FUNCTIONALS.items()}
    needed = {type(f) for f in built.values() if has_proximal(f)}
    assert len(needed) > 25
    seen = {type(build()) for build in CASES.values()}
    assert {cls.__name__ for cls in needed - seen} <= set(ELSEWHERE)
