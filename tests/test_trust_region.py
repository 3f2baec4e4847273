"""Steps in ball and box, against brute force; models of interpolation, against their definition."""

import numpy as np
import pytest
from scipy.optimize import minimize

from odl_learned.learning.bilevel.derivative_free.interpolation import InterpolationSet, axis_points
from odl_learned.learning.bilevel.derivative_free.residuals import Point
from odl_learned.learning.bilevel.derivative_free.trust_region import (
    ball_box_step,
    convex_box_step,
    criticality,
    model_step,
)


def quadratic(g, H, s):
    return g @ s + s @ H @ s / 2


def random_problem(n, rng, least):
    """Gradient, Hessian with eigenvalues from ``least``, radius, and a box around zero."""
    Q = np.linalg.qr(rng.normal(size=(n, n)))[0]
    H = Q @ np.diag(rng.uniform(least, 3, size=n)) @ Q.T
    lower, upper = -rng.uniform(0, 1, size=n), rng.uniform(0, 1, size=n)
    lower[rng.random(n) < 0.2] = 0
    return rng.normal(size=n), (H + H.T) / 2, rng.uniform(0.1, 1.5), lower, upper


def brute_force(g, H, radius, lower, upper, starts):
    """The least value that SLSQP finds from many starts, made admissible."""
    ball = {"type": "ineq", "fun": lambda s: radius**2 - s @ s, "jac": lambda s: -2 * s}
    best = 0.0
    for s in starts:
        r = minimize(lambda s: quadratic(g, H, s), s, jac=lambda s: g + H @ s, method="SLSQP",
                     bounds=list(zip(lower, upper, strict=True)), constraints=[ball],
                     options={"ftol": 1e-15, "maxiter": 300})  # fmt: skip
        s = np.clip(r.x, lower, upper)
        s *= min(1, radius / max(np.linalg.norm(s), 1e-300))
        best = min(best, quadratic(g, H, s))
    return best


def assert_admissible(s, radius, lower, upper):
    assert np.linalg.norm(s) <= radius * (1 + 1e-12)
    assert np.all(s >= lower) and np.all(s <= upper)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 40])
def test_convex_steps_are_global_minimizers(n):
    rng = np.random.default_rng(n)
    for _ in range(10):
        g, H, radius, lower, upper = random_problem(n, rng, 0.0)
        s = ball_box_step(g, H, radius, lower, upper)
        assert_admissible(s, radius, lower, upper)
        reference = brute_force(g, H, radius, lower, upper, [np.zeros(n), 0.5 * s])
        assert quadratic(g, H, s) <= reference + 1e-8 * abs(reference)


@pytest.mark.parametrize("n", [1, 2])
def test_indefinite_steps_against_a_fine_grid(n):
    rng = np.random.default_rng(10 + n)
    worse = 0
    for _ in range(30):
        g, H, radius, lower, upper = random_problem(n, rng, -3.0)
        s = ball_box_step(g, H, radius, lower, upper)
        assert_admissible(s, radius, lower, upper)
        axes = [np.linspace(a, b, 801) for a, b in zip(lower, upper, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, n)
        grid = grid[np.linalg.norm(grid, axis=1) <= radius]
        values = grid @ g + np.einsum("ki,ij,kj->k", grid, H, grid) / 2
        worse += quadratic(g, H, s) > values.min() + 1e-3 * abs(values.min())
        # never worse than the best point along the projected gradients
        path = np.clip(-np.linspace(0, 5, 400)[:, None] * g, lower, upper)
        path = path[np.linalg.norm(path, axis=1) <= radius]
        cauchy = path @ g + np.einsum("ki,ij,kj->k", path, H, path) / 2
        assert quadratic(g, H, s) <= cauchy.min() + 1e-9
    assert worse <= 3  # NP-hard in general: local minimizers are allowed, but rare


def test_steps_of_few_residuals_and_many_parameters_are_global_minimizers():
    """Their matrices are singular: most directions are linear and end at a bound."""
    rng = np.random.default_rng(20)
    n, m = 64, 10
    for _ in range(12):
        J, r = rng.normal(size=(m, n)) * 10 ** rng.uniform(-2, 0), rng.normal(size=m)
        lower, upper = -rng.uniform(0, 1, n), rng.uniform(0, 1, n)
        lower[rng.random(n) < 0.3] = 0
        g, H, radius = 2 * J.T @ r + 0.1, 2 * J.T @ J, 10 ** rng.uniform(-1, 1)
        s = ball_box_step(g, H, radius, lower, upper)
        assert_admissible(s, radius, lower, upper)
        reference = brute_force(g, H, radius, lower, upper, [np.zeros(n)])
        assert quadratic(g, H, s) <= reference + 1e-6 * abs(reference)


def test_a_linear_function_goes_to_the_boundary():
    g = np.array([3.0, -4.0])
    wide = np.full(2, 10.0)
    s = ball_box_step(g, np.zeros((2, 2)), 0.5, -wide, wide)
    np.testing.assert_allclose(s, [-0.3, 0.4], atol=1e-8)
    s = ball_box_step(g, np.zeros((2, 2)), 0.5, np.array([-0.1, -1]), wide)
    np.testing.assert_allclose(s, [-0.1, np.sqrt(0.24)], atol=1e-8)


def test_box_quadratics_satisfy_the_optimality_conditions():
    rng = np.random.default_rng(3)
    for n in (1, 5, 64):
        A = rng.normal(size=(n, n))
        H, g = A @ A.T + 0.01 * np.eye(n), 5 * rng.normal(size=n)
        lower, upper = -rng.uniform(0, 1, n), rng.uniform(0, 1, n)
        s = convex_box_step(g, H, lower, upper, np.zeros(n))
        slope = g + H @ s
        np.testing.assert_allclose(np.clip(s - slope, lower, upper), s, atol=1e-9)


def test_model_steps_use_the_penalty_itself():
    """Against SLSQP on ``|r + J s|^2 + exp(c^T s)``, whose expansion at zero misleads."""
    rng = np.random.default_rng(4)
    for _ in range(10):
        n = 3
        r, J, c = rng.normal(size=6), rng.normal(size=(6, n)), 4 * rng.normal(size=n)
        lower, upper, radius = -np.ones(n), np.ones(n), 1.2

        def penalty(s, c=c):
            return np.exp(c @ s)

        def expansion(s, c=c):
            return np.exp(c @ s) * c, np.exp(c @ s) * np.outer(c, c)

        def model(s, r=r, J=J, penalty=penalty):
            return np.sum((r + J @ s) ** 2) + penalty(s)

        s, decrease = model_step(r, J, radius, lower, upper, penalty, expansion)
        assert_admissible(s, radius, lower, upper)
        assert decrease == pytest.approx(model(0 * s) - model(s), rel=1e-9, abs=1e-12)
        ball = {"type": "ineq", "fun": lambda s: radius**2 - s @ s}
        reference = minimize(model, 0 * s, method="SLSQP", constraints=[ball],
                             bounds=[(-1, 1)] * n, options={"ftol": 1e-14})  # fmt: skip
        assert model(s) <= reference.fun * (1 + 1e-6)


def test_model_steps_with_a_concave_penalty_decrease_it():
    def expansion(s):
        return -2 * s, -2 * np.eye(2)

    s, decrease = model_step(np.array([0.1]), np.array([[0.1, 0.0]]), 1.0, -np.ones(2),
                             np.ones(2), lambda s: -s @ s, expansion)  # fmt: skip
    assert_admissible(s, 1.0, -np.ones(2), np.ones(2))
    assert decrease > 0.9  # about |s|^2 = 1 at the boundary


def test_criticality_is_zero_where_the_box_holds_the_step():
    assert criticality(np.array([1.0, -2.0]), np.array([0.0, -1]), np.array([1.0, 0])) == 0
    assert criticality(np.array([-0.5]), np.array([-1.0]), np.array([1.0])) == 0.5


def point(z, residuals):
    return Point(np.asarray(z, float), np.asarray(residuals, float), np.zeros(1), 0.0, 0.0)


def test_interpolation_reproduces_affine_residuals():
    rng = np.random.default_rng(5)
    J, r = rng.normal(size=(7, 3)), rng.normal(size=7)
    z = [rng.random(3) for _ in range(4)]
    points = InterpolationSet(point(z[0], r), [point(x, r + J @ (x - z[0])) for x in z[1:]])
    np.testing.assert_allclose(points.jacobian(), J, atol=1e-10)


def test_geometry_is_improved_until_it_is_poised():
    z = np.array([0.5, 0.02])
    # nearly on a line, and one far away
    others = [point(z + [0.1, 0], [0]), point(z + [0.4, 1e-4], [0])]
    points = InterpolationSet(point(z, [0]), others)
    assert not points.poised(0.1)
    for _ in range(4):
        if points.poised(0.1):
            break
        t, _ = points.to_improve(0.1)
        candidates = points.better_points(t, 0.1)
        for x in candidates:
            assert np.all(x >= 0) and np.all(x <= 1)
            assert np.linalg.norm(x - z) <= 0.1 * (1 + 1e-9)
        points.replace(t, point(candidates[0], [0]))
    assert points.poised(0.1)


def test_better_points_maximize_the_lagrange_polynomial():
    rng = np.random.default_rng(6)
    z = np.array([0.95, 0.5])
    others = [z + [-0.05, 0.01], z + [0.02, 0.03]]
    points = InterpolationSet(point(z, [0]), [point(x, [0]) for x in others])
    slopes = np.linalg.inv(np.stack(others) - z).T
    random = z + 0.1 * rng.uniform(-1, 1, size=(20000, 2))
    random = random[(np.linalg.norm(random - z, axis=1) <= 0.1) & (random.max(axis=1) <= 1)]
    for t in (0, 1):
        largest = max(abs(slopes[t] @ (x - z)) for x in points.better_points(t, 0.1))
        assert largest >= np.abs((random - z) @ slopes[t]).max()


def test_a_new_point_replaces_one_far_from_the_next_center():
    z, step = np.array([0.5, 0.5]), np.array([0.1, 0.1])
    others = [point(z + [0.2, 0], [0]), point(z + [0, -0.2], [0])]
    points = InterpolationSet(point(z, [0]), others)
    assert points.worst(0.1, step, 0 * step)[1] == pytest.approx(0.5 * 2**4)
    t, size = points.worst(0.1, step, step)
    assert t == 1 and size == pytest.approx(0.5 * 10**2)  # |(0, -0.2) - (0.1, 0.1)|^2 = 0.1


def test_axis_points_stay_in_the_box():
    pairs = axis_points(np.array([0.0, 0.98, 0.5]), 0.1)
    assert [len(pair) for pair in pairs] == [1, 1, 2]
    assert all(np.all(x >= 0) and np.all(x <= 1) for pair in pairs for x in pair)
    np.testing.assert_allclose(pairs[1][0], [0, 0.88, 0.5])
