"""Reproductions for the repairs of indicators and projections, by the name of the repair."""

import numpy as np
import odl
from scipy.optimize import minimize

from reproductions.elements import close, draw, image_space

F = odl.functionals
NAN = odl.rn(2).element([0.0, np.nan])


def soft(x, t):
    return np.sign(x) * np.maximum(np.abs(x) - t, 0)


def l1_projections():
    for impl in ("numpy", "pytorch"):
        space = odl.uniform_discr(0, 1, 4, impl=impl)
        values = np.array([3, -1, 0.5, -0.25])
        x = space.element(values)
        # In this space |x|_1 is the sum over 4: the threshold 8 leaves |4 x| = 4 / 4, and the
        # threshold 1 leaves |x| = 2 / 4.
        close(F.IndicatorLpUnitBall(space, 1).proximal(1.0)(4 * x).asarray(), soft(4 * values, 8))
        close(F.LpNorm(space, np.inf).proximal(0.5)(x).asarray(), np.clip(values, -1, 1))
        simplex = F.IndicatorSimplex(space, diameter=2)
        close(simplex.proximal(1.0)(x).asarray(), [2, 0, 0, 0])
        small = 0.1 * x
        close(simplex.proximal(1.0)(small).asarray(), simplex_by_search(np.asarray(small.data), 2))
    # Brute force in an array-weighted space, where sorting without weights goes wrong.
    weights = np.array([1.0, 2.0, 5.0])
    space = odl.rn(3, weighting=weights)
    x, radius = np.array([2.0, -1.5, 0.7]), 0.8
    z = (space.element(x) - F.LpNorm(space, np.inf).proximal(radius)(space.element(x))).data
    split = minimize(
        lambda v: 0.5 * weights @ (v[:3] - v[3:] - x) ** 2,
        np.zeros(6), bounds=[(0, None)] * 6, method="SLSQP", options={"ftol": 1e-15},
        constraints={"type": "ineq", "fun": lambda v: radius - weights @ (v[:3] + v[3:])},
    ).x
    close(z, split[:3] - split[3:], rtol=1e-5)


def simplex_by_search(x, diameter):
    """(x - t)_+ with sum equal to the diameter, by bisection in t."""
    low, high = x.min() - diameter, x.max()
    for _ in range(100):
        t = (low + high) / 2
        low, high = (t, high) if np.maximum(x - t, 0).sum() > diameter else (low, t)
    return np.maximum(x - low, 0)


def simplex_value():
    for impl in ("numpy", "pytorch"):
        space = odl.rn((2, 2), impl=impl)
        f = F.IndicatorSimplex(space)
        assert f(space.element([[0.25, 0.25], [0, 0.5]])) == 0
        assert f(space.element([[0.5, 0.75], [0, -0.25]])) == f(space.one()) == np.inf
    # With a tolerance of zero the rounding of the sum is still allowed.
    space = odl.rn(7, dtype="float32", weighting=np.arange(1.0, 8))
    f = F.IndicatorSimplex(space, 0.3, sum_rtol=0)
    assert f(f.proximal(1.0)(1e3 * draw(space))) == 0


def lp_balls():
    for impl in ("numpy", "pytorch"):
        for dtype in ("float32", "float64"):
            space = odl.rn(50, dtype=dtype, impl=impl)
            for p in (1, 2, np.inf):
                f = F.IndicatorLpUnitBall(space, p)
                y = f.proximal(0.7)(1e6 * draw(space))
                assert f(y) == 0
                close((f.proximal(0.7)(y) - y).norm(), 0, rtol=0)
                assert f(1.001 * y) == np.inf
    x = odl.rn(2).element([3e9, 4e9])
    close(F.IndicatorLpUnitBall(x.space, 2).proximal(1.0)(x).asarray(), [0.6, 0.8])
    assert F.IndicatorLpUnitBall(NAN.space, 2)(NAN) == np.inf


def group_balls():
    for impl in ("numpy", "pytorch"):
        space = image_space(impl, "float32") ** 3
        for p in (2, np.inf):
            f = F.IndicatorGroupL1UnitBall(space, p)
            y = f.proximal(0.7)(1e6 * draw(space))
            assert f(y) == 0
            assert f(1.001 * y) == np.inf
    f = F.IndicatorGroupL1UnitBall(NAN.space**1)
    assert f(f.domain.element([NAN])) == np.inf
    x = (odl.rn(1) ** 2).element([[3.0], [4.0]])
    y = F.IndicatorGroupL1UnitBall(x.space).proximal(1.0)(x)
    close([y[0][0], y[1][0]], [0.6, 0.8])


def nuclear_norm():
    # In the basis of the singular vectors the maximum of (3, 1) shrinks to (2.3, 1).
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    for dtype, phase in (("float64", 1), ("complex128", 1j)):
        space = (odl.tensor_space(1, dtype=dtype) ** 2) ** 2
        x = space.element((phase * turn @ np.diag([3.0, 1.0]) @ turn)[..., None])
        for p, values in ((np.inf, [2.3, 1]), (1, [2.3, 0.3])):
            expected = phase * turn @ np.diag(values) @ turn
            y = F.NuclearNorm(space, singular_vector_exp=p).proximal(0.7)(x)
            close([[yij[0] for yij in yi] for yi in y], expected)


def nuclear_ball():
    space = (image_space() ** 2) ** 2
    for p in (1, 2, np.inf):
        f = F.IndicatorNuclearNormUnitBall(space, np.inf, p)
        y = f.proximal(0.7)(1e6 * draw(space))
        assert f(y) == 0
        assert f(1.001 * y) == np.inf
        close((f.proximal(0.7)(y) - y).norm(), 0, rtol=0)


def exact_indicators():
    f = F.IndicatorBox(NAN.space, -1, 1)
    assert f(NAN) == f(f.domain.element([0, 1 + 1e-15])) == np.inf
    assert F.IndicatorNonnegativity(NAN.space)(f.domain.element([0, -1e-200])) == np.inf
    assert F.IndicatorZero(NAN.space)(f.domain.element([0, 1e-200])) == np.inf


def divergences():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(2, impl=impl)
        g, zero = space.element([0, 2]), space.element([0, 1])
        outside = space.element([-1, 1])
        f = F.KullbackLeibler(space, g)
        close(f(zero), 2 * np.log(2) - 1)
        close(f.convex_conj(space.element([1, 0.5])), 2 * np.log(2))
        close(F.KullbackLeiblerCrossEntropy(space, g)(zero), 1 - np.log(2))
        assert f(outside) == F.KullbackLeiblerCrossEntropy(space)(outside) == np.inf
        assert f.convex_conj(space.element([1.5, 0])) == np.inf


def divergence_proximals():
    """For large arguments the root of the equation is almost sigma g / |x|."""
    for impl in ("numpy", "pytorch"):
        space = odl.rn(2, impl=impl)
        g, x = space.element([3, 1]), space.element([-1e10, 1e10])
        for f in (F.KullbackLeibler(space, g), F.KullbackLeiblerCrossEntropy(space, g)):
            y, z = f.proximal(0.5)(x), f.convex_conj.proximal(0.5)(x)
            assert np.isfinite(f(y)) and np.isfinite(f.convex_conj(z))
        y = F.KullbackLeibler(space, g).proximal(0.5)(x)
        close(y.asarray()[0], 1.5e-10)
        # z = x - w = log w - log(sigma g) with w = x - z, here for g = 1.
        close(z.asarray()[1], np.log(1e10) - np.log(0.5))


def sum_constraint():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(3, impl=impl)
        f = F.IndicatorSumConstraint(space, sum_value=7)
        y = f.proximal(1.0)(space.element([1, 2, 1]))
        close(y.asarray(), [2, 3, 2])
        assert f(y) == 0
