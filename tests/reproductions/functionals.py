"""Reproductions for the repairs of functionals, by the name of the repair."""

import numpy as np
import odl
from scipy.optimize import minimize

from reproductions.elements import close, draw, image_space

F = odl.functionals


def soft(x, t):
    return np.sign(x) * np.maximum(np.abs(x) - t, 0)


def separable_sum_linear():
    space = odl.rn(2)
    f = F.SeparableSum(F.L1Norm(space), 0.5 * F.L2NormSquared(space))
    x = (space**2).element([[1, -2], [3, 4]])
    assert not f.is_linear
    close((f * 2)(x), 2 * 3 + 0.5 * 4 * 25)
    g = 3.0 * f
    moreau = g.proximal(0.7)(x) + 0.7 * g.convex_conj.proximal(1 / 0.7)(x / 0.7)
    close((moreau - x).norm(), 0)
    assert F.SeparableSum(F.ZeroFunctional(space), 2).is_linear


def complex_values():
    for impl in ("numpy", "pytorch"):
        space = odl.cn(2, impl=impl)
        x = space.element([3 + 4j, 1j])
        squared = F.L2NormSquared(space)
        shifted = F.FunctionalQuadraticPerturb(squared, linear_term=space.element([1j, 1]))
        for f, value in (
            (squared, 26.0),
            (2.0 * squared.translated(space.element([3, 0])), 34.0),
            (squared + F.GroupL1Norm(space**1) @ odl.BroadcastOperator(odl.IdentityOperator(space)),
             32.0),
            (shifted, 26 + 4.0),
        ):
            assert type(f(x)) is float
            close(f(x), value)
    assert type(F.IdentityFunctional(odl.ComplexNumbers())(2j)) is complex


def lp_norm():
    for impl in ("numpy", "pytorch"):
        weighted = odl.uniform_discr(0, 1, 2, dtype="complex128", impl=impl)
        for space, weight in ((odl.cn(2, impl=impl), 1.0), (weighted, 0.5)):
            x = space.element([3 + 4j, 0])
            for p, value in ((0, 1), (1, 5), (2, 25), (3, 125)):
                close(F.LpNorm(space, p)(x), (weight * value) ** (1 / max(p, 1)))
        # The weights of a product space must survive the absolute value.
        product = odl.ProductSpace(weighted, 2, weighting=[1, 3])
        close(F.L1Norm(product)(product.element([x, 2 * x])), 0.5 * (5 + 3 * 10))


def grad_lipschitz():
    space = odl.rn(2)
    f, u = 0.5 * F.L2NormSquared(space), odl.rn(2).element([30.0, 40.0])
    perturbed = F.FunctionalQuadraticPerturb(f, quadratic_coeff=3.0, linear_term=u)
    bregman = F.BregmanDistance(f, u, f.gradient(u))
    for g, lipschitz in ((f * 3.0, 9.0), (perturbed, 7.0), (bregman, 1.0)):
        assert g.grad_lipschitz == lipschitz
        x, y = draw(space), u
        close((g.gradient(x) - g.gradient(y)).norm(), lipschitz * (x - y).norm())


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


def sum_constraint():
    for impl in ("numpy", "pytorch"):
        space = odl.rn(3, impl=impl)
        f = F.IndicatorSumConstraint(space, sum_value=7)
        y = f.proximal(1.0)(space.element([1, 2, 1]))
        close(y.asarray(), [2, 3, 2])
        assert f(y) == 0


def huber_proximal():
    for impl in ("numpy", "pytorch"):
        for space in (image_space(impl), image_space(impl) ** 2):
            x, sigma = draw(space), 0.3
            f = F.Huber(space, 0.5)
            y = f.proximal(sigma)(x)
            # Optimality: (x - y) / sigma is the gradient of f at y.
            close(((x - y) / sigma - f.gradient(y)).norm(), 0)
            moreau = y + sigma * f.convex_conj.proximal(1 / sigma)(x / sigma)
            close((moreau - x).norm(), 0, rtol=0)
