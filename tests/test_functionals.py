"""Functionals against closed forms, difference quotients and brute force."""

import math

import numpy as np
import odl
import pytest
import scipy.optimize
import torch
from scipy.optimize import minimize_scalar

from odl_learned import functionals as fn
from odl_learned import solvers, variational
from odl_learned.bridge import as_module
from odl_learned.operators import gradient, operator_norm, random_element

REAL = odl.uniform_discr([0, 0], [1, 3], (5, 7))
COMPLEX = odl.uniform_discr([0, 0], [1, 3], (5, 7), dtype="complex128")
WEIGHT = 3 / 35


def difference_quotient(f, x, direction, step=1e-6):
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


# Fidelity


@pytest.mark.parametrize("space", [REAL, COMPLEX, odl.cn(4), odl.rn(3) ** 2], ids=repr)
def test_l2_fidelity(space, rng):
    data, y, p = (random_element(space, rng) for _ in range(3))
    D = fn.l2_fidelity(data)
    assert isinstance(D(y), float)
    assert D(y) == pytest.approx(0.5 * (y - data).norm() ** 2, rel=1e-12)
    assert (D.gradient(y) - (y - data)).norm() < 1e-12
    conj = 0.5 * p.norm() ** 2 + np.real(p.inner(data))
    assert np.real(D.convex_conj(p)) == pytest.approx(conj, rel=1e-12)
    prox = D.proximal(0.7)(y)
    assert (prox - (1 / 1.7) * (y + 0.7 * data)).norm() < 1e-12
    assert D.grad_lipschitz == 1


def test_l2_fidelity_errors():
    with pytest.raises(TypeError, match="ndarray"):
        fn.l2_fidelity(np.ones(3))
    with pytest.raises(ValueError, match="NaN"):
        fn.l2_fidelity(odl.rn(2).element([1.0, np.nan]))


# Smoothed total variation


@pytest.mark.parametrize("space", [REAL, COMPLEX], ids=["real", "complex"])
def test_smoothed_group_l1(space, rng):
    V = space**2
    p, direction, other = (random_element(V, rng) for _ in range(3))
    f = fn.SmoothedGroupL1(V, 0.3)
    lengths = np.sqrt(sum(np.abs(part.data) ** 2 for part in p) + 0.09)
    assert type(f(p)) is float
    assert f(p) == pytest.approx(WEIGHT * lengths.sum(), rel=1e-13)
    slope = np.real(f.gradient(p).inner(direction))
    assert slope == pytest.approx(difference_quotient(f, p, direction), rel=1e-7)
    change = (f.gradient(p) - f.gradient(other)).norm()
    assert change <= f.grad_lipschitz * (p - other).norm()
    out = V.element()
    f.gradient(p, out=out)
    assert (out - f.gradient(p)).norm() == 0


def test_smoothed_group_l1_lipschitz_is_attained():
    V = odl.rn(1) ** 2
    f = fn.SmoothedGroupL1(V, 0.3)
    x = V.element([[1e-6], [0.0]])
    assert f.gradient(x).norm() / x.norm() == pytest.approx(f.grad_lipschitz, rel=1e-9)


@pytest.mark.parametrize("space", [REAL, COMPLEX], ids=["real", "complex"])
def test_smoothed_tv(space, rng):
    alpha, nu, xi = 0.2, 0.1, 0.05
    R = fn.SmoothedTV(space, alpha, nu, xi)
    u, v = random_element(space, rng), random_element(space, rng)
    D = gradient(space)
    lengths = np.sqrt(sum(np.abs(part.data) ** 2 for part in D(u)) + nu**2)
    value = alpha * WEIGHT * lengths.sum() + xi / 2 * u.norm() ** 2
    assert type(R(u)) is float
    assert R(u) == pytest.approx(value, rel=1e-12)
    assert np.real(R.expression(u)) == pytest.approx(R(u), rel=1e-13)
    slope = np.real(R.gradient(u).inner(v))
    assert slope == pytest.approx(difference_quotient(R, u, v), rel=1e-7)
    assert R.grad_lipschitz == pytest.approx(alpha * operator_norm(D) ** 2 / nu + xi, rel=1e-13)
    assert R.strong_convexity == xi
    inner = np.real((R.gradient(u) - R.gradient(v)).inner(u - v))
    distance = (u - v).norm()
    assert xi * distance**2 <= inner
    assert (R.gradient(u) - R.gradient(v)).norm() <= R.grad_lipschitz * distance


def test_smoothed_tv_constants_are_those_of_the_hessian():
    """At a constant image the Hessian is alpha D*D / nu + xi: both constants are attained."""
    R = fn.SmoothedTV(REAL, 0.2, 0.1, 0.05)
    hessian = []
    for index in range(REAL.size):
        e = np.zeros(REAL.size)
        e[index] = 1e-6
        hessian.append(R.gradient(REAL.element(e.reshape(REAL.shape))).data.ravel() / 1e-6)
    eigenvalues = np.linalg.eigvalsh(np.array(hessian))
    assert eigenvalues[0] == pytest.approx(R.strong_convexity, rel=1e-4)
    assert eigenvalues[-1] == pytest.approx(R.grad_lipschitz, rel=1e-4)


def test_smoothed_tv_errors():
    for wrong in ((0, 1, 1), (1, 0, 1), (1, 1, -1), (math.nan, 1, 1), (1, 1, math.inf)):
        with pytest.raises(ValueError, match="alpha|nu|xi"):
            fn.SmoothedTV(REAL, *wrong)
    assert fn.SmoothedTV(REAL, 1, 1, 0).strong_convexity == 0
    with pytest.raises(TypeError, match="cell sides"):
        fn.SmoothedTV(odl.rn((4, 4)), 1, 1, 1)
    with pytest.raises(TypeError, match="power space"):
        fn.SmoothedGroupL1(REAL, 1)
    with pytest.raises(ValueError, match="nu"):
        fn.SmoothedGroupL1(REAL**2, 0)


# Constraints


def instances():
    yield fn.BoxConstraint(REAL, -0.5, 1.5)
    yield fn.BoxConstraint(REAL, 0.2, 0.4)
    yield fn.MagnitudeBound(REAL, 0.8)
    yield fn.MagnitudeBound(COMPLEX, 0.8)


@pytest.mark.parametrize("f", list(instances()), ids=repr)
def test_constraint_projection_and_values(f, rng):
    x = 2 * random_element(f.domain, rng)
    assert f(x) == math.inf
    for sigma in (0.1, 5.0):
        projected = f.proximal(sigma)(x)
        assert f(projected) == 0
        in_place = x.copy()
        f.proximal(sigma)(in_place, out=in_place)
        assert (in_place - projected).norm() == 0
    for _ in range(20):  # the projection is characterized by obtuse angles
        other = f.proximal(1.0)(random_element(f.domain, rng))
        assert np.real((x - projected).inner(other - projected)) <= 1e-12


@pytest.mark.parametrize("f", list(instances()), ids=repr)
def test_constraint_conjugates(f, rng):
    z = random_element(f.domain, rng)
    support = f.convex_conj
    assert support.convex_conj.domain == f.domain and type(support(z)) is float
    if isinstance(f, fn.BoxConstraint):
        expected = np.where(z.data > 0, f.upper * z.data, f.lower * z.data)
    else:
        expected = f.bound * np.abs(z.data)
    assert support(z) == pytest.approx(WEIGHT * expected.sum(), rel=1e-13)
    best = -math.inf  # the supremum over feasible points, attained in the limit along z
    for scale in (1.0, 1e3, 1e6):
        x = f.proximal(1.0)(scale * z)
        best = max(best, np.real(x.inner(z)))
        assert best <= support(z) + 1e-12
    assert best == pytest.approx(support(z), rel=1e-4)


@pytest.mark.parametrize("f", list(instances()), ids=repr)
def test_conjugate_proximal(f, rng):
    support = f.convex_conj
    z = random_element(f.domain, rng)
    for sigma in (0.3, 4.0):
        prox = support.proximal(sigma)(z)
        moreau = sigma * f.proximal(1 / sigma)((1 / sigma) * z)
        assert (prox + moreau - z).norm() < 1e-12
        in_place = z.copy()
        support.proximal(sigma)(in_place, out=in_place)
        assert (in_place - prox).norm() == 0
        least = support(prox) + (prox - z).norm() ** 2 / (2 * sigma)
        for _ in range(50):
            other = prox + 10.0 ** rng.uniform(-6, 0) * random_element(f.domain, rng)
            assert least <= support(other) + (other - z).norm() ** 2 / (2 * sigma) + 1e-13


@pytest.mark.parametrize("support", [f.convex_conj for f in instances()][:3], ids=repr)
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_conjugate_proximal_by_brute_force(support, sigma, rng):
    """Real pixels decouple: minimize each in one dimension."""
    z = random_element(support.domain, rng)
    prox = support.proximal(sigma)(z).data
    pixel = odl.rn(1)
    if isinstance(support, fn.BoxSupport):
        one = fn.BoxSupport(pixel, support.lower, support.upper)
    else:
        one = fn.MagnitudeSupport(pixel, support.bound)
    for index in np.ndindex(2, 3):
        found = minimize_scalar(
            lambda t, at=z.data[index]: one(pixel.element([t])) + (t - at) ** 2 / (2 * sigma),
            bounds=(-6, 6),
            method="bounded",
            options={"xatol": 1e-9},
        )
        assert prox[index] == pytest.approx(found.x, abs=1e-6)


def test_constraint_rounding_tolerance():
    X = odl.rn(3, dtype="float32")
    box = fn.BoxConstraint(X, 0.1, 0.7)
    assert box(box.proximal(1.0)(X.element([5, -5, 0.7]))) == 0
    assert box(X.element([0.7 * (1 + 1e-5), 0.2, 0.2])) == math.inf
    disc = fn.MagnitudeBound(odl.cn(200, dtype="complex64"), 0.7)
    x = 3 * random_element(disc.domain, np.random.default_rng(0))
    assert disc(disc.proximal(1.0)(x)) == 0
    assert box(X.element([math.nan, 0.2, 0.2])) == math.inf


def test_constraint_errors():
    with pytest.raises(TypeError, match="MagnitudeBound"):
        fn.BoxConstraint(COMPLEX, 0, 1)
    with pytest.raises(ValueError, match="lower <= upper"):
        fn.BoxConstraint(REAL, 1, 0)
    for lower, upper in ((0, math.nan), (math.nan, 1), (0, -math.inf), (math.inf, math.inf)):
        with pytest.raises(ValueError, match="expected numbers, lower <= upper"):
            fn.BoxConstraint(REAL, lower, upper)
    with pytest.raises(ValueError, match="-inf and inf; expected a finite one.*ZeroFunctional"):
        fn.BoxConstraint(REAL, -math.inf, math.inf)
    with pytest.raises(ValueError, match="bound"):
        fn.MagnitudeBound(REAL, 0)
    with pytest.raises(TypeError, match="space of arrays"):
        fn.MagnitudeBound(REAL**2, 1)
    with pytest.raises(TypeError, match="exponent 1.0, expected 2"):
        fn.BoxConstraint(odl.rn(2, exponent=1.0), 0, 1)


@pytest.mark.parametrize("lower, upper", [(0, math.inf), (-math.inf, 0.3), (-0.5, math.inf)])
def test_one_bound_may_be_infinite(lower, upper, rng):
    f = fn.BoxConstraint(REAL, lower, upper)
    x = 2 * random_element(REAL, rng)
    projected = f.proximal(1.0)(x)
    np.testing.assert_array_equal(projected.data, np.clip(x.data, lower, upper))
    assert f(x) == math.inf and f(projected) == 0 and f(1e300 * projected) in (0, math.inf)
    support, module = f.convex_conj, as_module(f.convex_conj)
    for z in (x, -1 * x, support.proximal(0.7)(x), REAL.zero()):
        infinite = (z.data > 0) & math.isinf(upper) | (z.data < 0) & math.isinf(lower)
        bound = lower if math.isinf(upper) else upper
        expected = math.inf if infinite.any() else WEIGHT * bound * z.data.sum()
        assert support(z) == pytest.approx(expected, rel=1e-13, abs=1e-15)
        assert float(module(torch.as_tensor(z.data))) == pytest.approx(support(z), rel=1e-13)
    assert support(support.proximal(0.7)(x)) < math.inf
    moreau = support.proximal(0.7)(x) + 0.7 * f.proximal(1 / 0.7)((1 / 0.7) * x)
    assert (moreau - x).norm() < 1e-12


def test_nonnegative_images_in_a_variational_problem(rng):
    """Least squares with x >= 0 against SciPy, by a solver that sees the constraint."""
    matrix, data = rng.standard_normal((9, 6)), rng.standard_normal(9)
    A = odl.MatrixOperator(matrix)
    exact, _ = scipy.optimize.nnls(matrix, data)
    problem = variational.tikhonov_problem(A, fn.l2_fidelity(A.range.element(data)), 1e-12,
                                           fn.BoxConstraint(A.domain, 0, math.inf))
    solution = solvers.primal_dual(problem, maxiter=3000, accuracy=1e-6)
    np.testing.assert_allclose(solution.x.data, exact, atol=1e-4)
    assert (exact == 0).any() and solution.x.data.min() >= 0


# Values in double precision


def test_precise_value_equals_value_in_double_precision(rng):
    F = odl.functionals
    for space in (REAL, COMPLEX):
        data, x = random_element(space, rng), random_element(space, rng)
        D = fn.l2_fidelity(data)
        for f in (D, D * 2.5, D.convex_conj, (D * 2.5).convex_conj, D + 3.0, 2.0 * D + D):
            assert fn.precise_value(f, x) == pytest.approx(float(np.real(f(x))), rel=1e-12)
        V = space**2
        p = random_element(V, rng)
        for f in (0.3 * F.GroupL1Norm(V), F.L2NormSquared(V), fn.SmoothedGroupL1(V, 0.1)):
            assert fn.precise_value(f, p) == pytest.approx(float(np.real(f(p))), rel=1e-12)
        both = F.SeparableSum(D, 0.3 * F.GroupL1Norm(V))
        pair = both.domain.element([x, p])
        expected = float(np.real(D(x))) + 0.3 * float(np.real(F.GroupL1Norm(V)(p)))
        assert fn.precise_value(both, pair) == pytest.approx(expected, rel=1e-12)
    W = odl.rn(3, weighting=[1.0, 2.0, 3.0])
    x = random_element(W, rng)
    assert fn.precise_inner(x, x) == pytest.approx(x.norm() ** 2, rel=1e-12)


def test_precise_value_does_not_accumulate_in_single_precision(rng):
    X = odl.rn(10**6, dtype="float32")
    x = X.element(1 + rng.random(10**6).astype("float32"))
    exact = math.fsum((x.data.astype(float) ** 2).tolist())
    # In double precision 10^6 numbers of one sign are added up to 10^6 u, in whatever order.
    value = fn.precise_value(odl.functionals.L2NormSquared(X), x)
    assert value == pytest.approx(exact, rel=10**6 * 2**-53)
