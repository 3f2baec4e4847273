"""Variational problems against dense solutions, weak duality and long runs."""

import math

import numpy as np
import odl
import pytest

from odl_learned import variational as va
from odl_learned.functionals import BoxConstraint, MagnitudeBound, l2_fidelity
from odl_learned.operators import (
    SampledFourier,
    SymmetrizedGradient,
    gradient,
    mask_operator,
    normalized,
    operator_norm,
    parallel_ray_transform,
    random_element,
)


def flat(x):
    return np.asarray(x.data).ravel()


def matrix(op):
    """Dense twin of an operator between spaces that are not products."""
    columns = []
    for index in np.ndindex(op.domain.shape):
        unit = op.domain.zero()
        unit.data[index] = 1
        columns.append(flat(op(unit)))
    return np.array(columns).T


def solve(problem, niter, ratio=1.0, x=None, y=None):
    x = problem.L.domain.zero() if x is None else x
    y = problem.L.range.zero() if y is None else y
    tau, sigma = problem.step_sizes(ratio)
    odl.solvers.pdhg(x, *problem, niter=niter, tau=tau, sigma=sigma, y=y)
    return x, y


def image_space(dtype="float64", shape=(6, 5), side=1.0):
    return odl.uniform_discr([0, 0], [side * n for n in shape], shape, dtype=dtype)


def small_case(kind, rng, side=1.0):
    """A forward operator, its data and a constraint that does not cut off the solution."""
    if kind == "complex":
        X = image_space("complex128", side=side)
        A = SampledFourier(X, rng.random(X.shape) < 0.7, odl.cn(X.shape, weighting=0.3))
        constraint = MagnitudeBound(X, 5.0)
    else:
        X = image_space(side=side)
        A = 3.0 * mask_operator(X, rng.random(X.shape) < 0.7)
        constraint = BoxConstraint(X, -5.0, 5.0)
    data = A(random_element(X, rng)) + 0.1 * random_element(A.range, rng)
    return A, data, constraint


BUILDERS = {
    "tikhonov": lambda A, D, C: va.tikhonov_problem(A, D, 0.1, C),
    "h1": lambda A, D, C: va.h1_problem(A, D, 0.1, C),
    "tv": lambda A, D, C: va.tv_problem(A, D, 0.1, C),
    "tgv": lambda A, D, C: va.tgv_problem(A, D, 0.1, 2.0, C),
}


# Closed forms


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("constrained", [False, True])
def test_tikhonov_agrees_with_normal_equations(kind, constrained, rng):
    A, data, constraint = small_case(kind, rng)
    problem = va.tikhonov_problem(A, l2_fidelity(data), 0.1, constraint if constrained else None)
    x, y = solve(problem, 300)
    normal = matrix(A.adjoint) @ matrix(A) + 0.1 * np.eye(A.domain.size)
    expected = np.linalg.solve(normal, flat(A.adjoint(data)))
    np.testing.assert_allclose(flat(x), expected, atol=1e-8)
    assert -1e-12 <= problem.gap(x, y) <= 1e-8 * problem.value(x)


@pytest.mark.parametrize("kind", ["real", "complex"])
def test_h1_agrees_with_normal_equations(kind, rng):
    A, data, constraint = small_case(kind, rng)
    alpha = 0.2
    problem = va.h1_problem(A, l2_fidelity(data), alpha, constraint)
    x, y = solve(problem, 1000)
    D = gradient(A.domain)
    normal = matrix(A.adjoint) @ matrix(A) + alpha * matrix(D.adjoint @ D)
    expected = np.linalg.solve(normal, flat(A.adjoint(data)))
    # value(x) - min = <e, (A*A + alpha D*D) e> / 2 for the error e, and the gap is no less
    error = flat(x) - expected
    excess = float(A.domain.weighting.const) / 2 * np.real(error.conj() @ normal @ error)
    gap = problem.gap(x, y)
    assert excess - 1e-12 <= gap <= 1e-4 * problem.value(x)
    np.testing.assert_allclose(flat(x), expected, atol=1e-5)


def test_tv_denoising_of_two_pixels():
    """Two pixels of width h move towards each other by alpha / h until they meet."""
    X = odl.uniform_discr(0, 1, 2)
    data = X.element([0.0, 1.0])
    for alpha, expected in ((0.1, [0.2, 0.8]), (0.3, [0.5, 0.5])):
        problem = va.tv_problem(
            odl.IdentityOperator(X), l2_fidelity(data), alpha, BoxConstraint(X, -5, 5)
        )
        x, y = solve(problem, 300)
        np.testing.assert_allclose(x.data, expected, atol=1e-8)
        assert abs(problem.gap(x, y)) < 1e-8


def test_tgv_leaves_affine_images_alone():
    X = image_space(shape=(8, 6), side=0.1)
    data = X.element(lambda x: 1 + 2 * x[0] - x[1])
    problem = va.tgv_problem(
        odl.IdentityOperator(X), l2_fidelity(data), 0.5, 0.2, BoxConstraint(X, -5, 5)
    )
    x, y = solve(problem, 600)
    assert problem.value(x) < 1e-3 * va.tv_problem(
        odl.IdentityOperator(X), l2_fidelity(data), 0.5
    ).value(data)
    assert (x[0] - data).norm() < 1e-2 * data.norm()


# Values


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("side", [1.0, 0.01])
def test_values_are_those_of_the_formulas(kind, side, rng):
    A, data, constraint = small_case(kind, rng, side)
    X = A.domain
    h = float(X.weighting.const)
    u = random_element(X, rng)
    D, E = gradient(X), SymmetrizedGradient(X**2)
    fidelity = 0.5 * (A(u) - data).norm() ** 2

    def length(p):
        return h * np.sqrt(sum(np.abs(part.data) ** 2 for part in p)).sum()

    F = l2_fidelity(data)
    assert va.tikhonov_problem(A, F, 0.7).value(u) == pytest.approx(
        fidelity + 0.35 * u.norm() ** 2, rel=1e-12
    )
    assert va.tikhonov_problem(A, F, 0.7, constraint).value(u) == pytest.approx(
        fidelity + 0.35 * u.norm() ** 2, rel=1e-12
    )
    assert va.h1_problem(A, F, 0.7).value(u) == pytest.approx(
        fidelity + 0.35 * D(u).norm() ** 2, rel=1e-12
    )
    assert va.tv_problem(A, F, 0.7).value(u) == pytest.approx(
        fidelity + 0.7 * length(D(u)), rel=1e-12
    )
    problem = va.tgv_problem(A, F, 0.7, 0.3)
    w = random_element(X**2, rng)
    v = (operator_norm(D) / 6) * w
    assert problem.value(problem.L.domain.element([u, w])) == pytest.approx(
        fidelity + 0.7 * length(D(u) - v) + 0.21 * length(E(v)), rel=1e-12
    )


def test_constraint_makes_values_infinite(rng):
    A, data, _ = small_case("real", rng)
    problem = va.tv_problem(A, l2_fidelity(data), 0.1, BoxConstraint(A.domain, 0, 1))
    assert problem.value(2 * A.domain.one()) == math.inf
    assert problem.gap(2 * A.domain.one(), problem.L.range.zero()) == math.inf


# Duality


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("name", BUILDERS)
def test_weak_duality_for_any_dual_variable(name, kind, rng):
    """No dual variable, however infeasible, gives more than the value of any image."""
    A, data, constraint = small_case(kind, rng)
    problem = BUILDERS[name](A, l2_fidelity(data), constraint)
    least = problem.value(solve(problem, 300)[0])
    for _ in range(50):
        y = 10.0 ** rng.uniform(-3, 1) * random_element(problem.L.range, rng)
        assert problem.dual_value(y) <= least + 1e-12


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("name", BUILDERS)
def test_gap_bounds_suboptimality_and_vanishes(name, kind, rng):
    A, data, constraint = small_case(kind, rng)
    problem = BUILDERS[name](A, l2_fidelity(data), constraint)
    least = problem.value(solve(problem, 500)[0])
    x = y = None
    gaps = []
    for niter in (5, 20, 75, 300):
        x, y = solve(problem, niter, x=x, y=y)
        gap = problem.gap(x, y)
        assert gap >= problem.value(x) - least - 1e-12 * least
        gaps.append(gap / least)
    assert gaps[-1] < (1e-1 if name == "tgv" else 1e-2) and gaps[0] > 20 * gaps[-1]


def test_gap_with_active_constraint(rng):
    A, data, _ = small_case("real", rng)
    for name, build in BUILDERS.items():
        problem = build(A, l2_fidelity(data), BoxConstraint(A.domain, -0.1, 0.3))
        x, y = solve(problem, 400)
        image = x[0] if name == "tgv" else x
        assert image.data.max() == pytest.approx(0.3)
        assert -1e-12 <= problem.gap(x, y) <= 1e-2 * problem.value(x)


def test_without_constraint_the_minimizer_is_the_same(rng):
    A, data, constraint = small_case("real", rng)
    A, D = odl.IdentityOperator(A.domain), l2_fidelity((1 / 3) * data)
    for name, build in BUILDERS.items():
        free, bound = build(A, D, None), build(A, D, constraint)
        x, y = solve(free, 200)
        limit = 1e-1 if name == "tgv" else 1e-2
        assert 0 <= free.gap(x, y) <= limit * free.value(x)
        assert bound.value(x) == pytest.approx(bound.value(solve(bound, 200)[0]), rel=1e-2)


def test_without_constraint_the_gap_needs_an_invertible_operator(rng):
    """Elsewhere the lower bound of the minimum is that of the dual variable zero, which is zero."""
    A, data, _ = small_case("real", rng)
    for name, build in BUILDERS.items():
        free = build(A, l2_fidelity(data), None)
        x, y = free.L.domain.one(), 0.1 * free.L.range.one()
        assert (abs(free.dual_value(y)) < 1e-12) == (name != "tikhonov")
        assert free.gap(x, y) == pytest.approx(free.value(x) - free.dual_value(y), rel=1e-12)


# Step sizes


@pytest.mark.parametrize("name", BUILDERS)
def test_step_sizes(name, rng):
    A, data, constraint = small_case("real", rng)
    problem = BUILDERS[name](A, l2_fidelity(data), constraint)
    norm = operator_norm(problem.L, rtol=1e-6)
    for ratio in (0.1, 1.0, 10.0):
        tau, sigma = problem.step_sizes(ratio)
        assert type(tau) is float and type(sigma) is float
        assert 0.95 <= tau * sigma * norm**2 <= 1
        assert tau / sigma == pytest.approx((ratio * problem.balance) ** 2, rel=1e-12)
    with pytest.raises(ValueError, match="ratio"):
        problem.step_sizes(0)


@pytest.mark.parametrize("name", ["tikhonov", "tv", "tgv"])
def test_iterates_do_not_depend_on_units(name, rng):
    """Images in other units, an operator with another gain and another unit of length."""
    shape, gain, unit, pixel = (6, 5), 1e-2, 1e3, 0.05
    mask, values = rng.random(shape) < 0.7, rng.standard_normal(shape)
    images = []
    for scale_x, scale_a, side in ((1.0, 1.0, 1.0), (unit, gain, pixel)):
        X = image_space(shape=shape, side=side)
        A = scale_a * mask_operator(X, mask)
        D = l2_fidelity(A(scale_x * X.element(values)))
        C = BoxConstraint(X, -scale_x, scale_x)
        problem = {
            "tikhonov": lambda: va.tikhonov_problem(A, D, 0.1 * scale_a**2, C),
            "tv": lambda: va.tv_problem(A, D, 0.1 * scale_a**2 * scale_x * side, C),
            "tgv": lambda: va.tgv_problem(A, D, 0.1 * scale_a**2 * scale_x * side, 2 * side, C),
        }[name]()
        x, _ = solve(problem, 20)
        images.append((x[0] if name == "tgv" else x).data / scale_x)
    np.testing.assert_allclose(images[0], images[1], rtol=1e-9, atol=1e-12)


# Imaging


def imaging_case(kind):
    rng = np.random.default_rng(0)
    dtype = "complex64" if kind == "mri" else "float32"
    X = image_space(dtype, (64, 64), 1.0)
    if kind == "ct":
        X = odl.uniform_discr([-1, -1], [1, 1], (64, 64), dtype="float32")
    truth = odl.phantom.shepp_logan(X, modified=True)
    pixel = float(X.cell_sides[0])
    if kind == "denoising":
        A, alpha, noise = odl.IdentityOperator(X), 0.1, 0.1
    elif kind == "ct":
        A, noise = normalized(parallel_ray_transform(X, 30)), 2e-3
        alpha = 2e-4 * A.range.weighting.const / X.weighting.const
    else:
        central = np.abs(np.indices((64, 64)) - 32).max(axis=0) < 6
        truth = X.element(truth.data * np.exp(1j * np.linspace(0, 2, 64)))
        A, alpha = SampledFourier(X, central | (rng.random((64, 64)) < 0.4)), 0.005
        noise = 0.02
    data = A(truth) + noise * random_element(A.range, rng)
    constraint = MagnitudeBound(X, 1.0) if kind == "mri" else BoxConstraint(X, 0, 1)
    return truth, A, l2_fidelity(data), alpha * pixel, 2 * pixel, constraint


@pytest.mark.parametrize("kind", ["denoising", "ct", "mri"])
def test_single_precision_gap_falls_below_one_per_mille(kind):
    truth, A, fidelity, alpha, _, constraint = imaging_case(kind)
    problem = va.tv_problem(A, fidelity, alpha, constraint)
    x, y = solve(problem, 600)
    assert -1e-6 <= problem.gap(x, y) / problem.value(x) < 1e-3
    assert (x - truth).norm() < 0.4 * truth.norm()


def test_tgv_gap_in_single_precision():
    _, A, fidelity, alpha, beta, constraint = imaging_case("mri")
    problem = va.tgv_problem(A, fidelity, alpha, beta, constraint)
    x, y = solve(problem, 200)
    first = problem.gap(x, y) / problem.value(x)
    x, y = solve(problem, 400, x=x, y=y)
    assert -1e-6 <= problem.gap(x, y) / problem.value(x) < min(2e-2, 0.5 * first)


# Errors


@pytest.mark.parametrize("name", BUILDERS)
def test_builders_check_their_arguments(name, rng):
    A, data, constraint = small_case("real", rng)
    build = BUILDERS[name]
    with pytest.raises(TypeError, match="linear"):
        build(odl.functionals.L2NormSquared(A.domain), l2_fidelity(data), None)
    with pytest.raises(TypeError, match="fidelity"):
        build(A, data, None)
    with pytest.raises(ValueError, match="fidelity lives on"):
        build(A, l2_fidelity(odl.rn(3).one()), None)
    with pytest.raises(ValueError, match="constraint lives on"):
        build(A, l2_fidelity(data), BoxConstraint(odl.rn(3), 0, 1))
    with pytest.raises(ValueError, match="zero operator"):
        build(odl.ZeroOperator(A.domain), l2_fidelity(A.domain.one()), constraint)


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf])
def test_parameters_must_be_positive(wrong, rng):
    A, data, _ = small_case("real", rng)
    for build in (va.tikhonov_problem, va.h1_problem, va.tv_problem):
        with pytest.raises(ValueError, match="alpha"):
            build(A, l2_fidelity(data), wrong)
    with pytest.raises(ValueError, match="alpha"):
        va.tgv_problem(A, l2_fidelity(data), wrong, 1.0)
    with pytest.raises(ValueError, match="beta"):
        va.tgv_problem(A, l2_fidelity(data), 1.0, wrong)
