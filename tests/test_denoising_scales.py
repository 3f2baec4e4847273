"""Denoising of data and parameters of any scale, and of plain arrays that say what they are."""

import numpy as np
import odl
import pytest
import torch

from odl_learned.operators import gradient
from odl_learned.solvers import rof, tgv_denoising, tgv_gradient, tgv_value
from odl_learned.solvers.variation.denoising_units import LIMITS

SIDES = (1, 1)
TINY = {"float32": 1e-45, "float64": 5e-324}
SOLVERS = [
    lambda y, alpha, accuracy=1e-4, maxiter=3000: rof(y, alpha, accuracy, maxiter,
                                                      cell_sides=SIDES),
    lambda y, alpha, accuracy=1e-3, maxiter=3000: tgv_denoising(y, alpha, 1.5, accuracy, maxiter,
                                                                cell_sides=SIDES),
]  # fmt: skip


def noisy(dtype="float64", shape=(6, 5)):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def affine_part(y):
    grid = np.indices(y.shape).reshape(2, -1)
    design = np.concatenate([np.ones((1, y.size)), grid]).T
    return (design @ np.linalg.lstsq(design, y.ravel(), rcond=None)[0]).reshape(y.shape)


def kernels(y):
    """What total variation and total generalized variation leave of the image in the limit."""
    return np.full(y.shape, y.mean()), affine_part(y)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("solve", SOLVERS)
def test_the_smallest_parameter_gives_back_the_data(solve, dtype):
    y = noisy(dtype)
    for alpha in (TINY[dtype], TINY["float64"], 1e-120):
        s = solve(y, alpha)
        # no pixel moves by more than alpha |div p| <= 4 alpha
        assert np.array_equal(s.x, y) and s.reason == "accuracy"
        assert 0 < s.error_bound <= 5 * np.sqrt(30) * alpha and 0 < s.gap <= 1e-80
        assert np.isfinite(s.dual).all()
    assert solve(y, 1e-110, 1e-200).reason == "rounding"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("alpha", [1e3, 1e10, 1e30, 1e200, 1.7e308])
def test_a_large_parameter_leaves_the_kernel(alpha, dtype):
    y = noisy(dtype)
    eps = np.finfo(dtype).eps
    for solve, kernel in zip(SOLVERS, kernels(y.astype(float)), strict=True):
        s = solve(y, alpha)
        error = np.linalg.norm(s.x - kernel)
        assert s.reason == "accuracy" and error <= s.error_bound + 30 * eps
        assert s.error_bound <= 2e-2 * np.linalg.norm(y)
        assert s.gap <= 1e-3 * np.sum((y - kernel) ** 2)


@pytest.mark.parametrize("solve", SOLVERS)
@pytest.mark.parametrize(("dtype", "scales"), [
    ("float32", [1e-38, 1e-30, 1e-10, 1e10, 1e30, 1e37]),
    ("float64", [1e-300, 1e-150, 1e-30, 1e30, 1e150]),
])
def test_data_and_parameter_scale_together(solve, dtype, scales):
    y = noisy(dtype)
    reference = solve(y, 0.3)
    for scale in scales:
        s = solve((scale * y.astype(float)).astype(dtype), scale * 0.3)
        assert s.reason == "accuracy" and np.isfinite(s.x).all() and np.isfinite(s.dual).all()
        error = np.linalg.norm(s.x.astype(float) / scale - reference.x)
        assert error <= reference.error_bound + s.error_bound / scale
        assert s.error_bound / scale == pytest.approx(reference.error_bound, rel=0.5)
        assert s.gap > 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_near_the_limits_are_certified(dtype):
    y = noisy(dtype)
    limit = LIMITS["single" if dtype == "float32" else "double"]
    for solve, kernel in zip(SOLVERS, kernels(y.astype(float)), strict=True):
        for factor in (0.1, 0.9, 1.1, 10):
            low, high = solve(y, factor / limit), solve(y, factor * limit)
            assert (low.reason, high.reason) == ("accuracy", "accuracy")
            assert np.abs(low.x - y).max() <= 4 * factor / limit + np.finfo(dtype).eps * 8
            assert np.linalg.norm(high.x - kernel) <= high.error_bound + 30 * np.finfo(dtype).eps


@pytest.mark.parametrize("solve", SOLVERS)
def test_samples_of_all_scales_do_not_know_of_each_other(solve):
    y = np.stack([1e-30 * noisy(), noisy(), 1e20 * noisy(), np.full((6, 5), 3.0)] * 2)
    alpha = np.array([1e-31, 1e-300, 1e19, 1.0, 1e200, 0.2, 1e300, 1e-320])
    together = solve(y, alpha)
    for n in range(8):
        alone = solve(y[n : n + 1], alpha[n])
        for part, whole in zip(alone[:6], together[:6], strict=True):
            assert np.array_equal(np.asarray(part)[0], np.asarray(whole)[n])


def test_values_of_any_scale():
    y = noisy()
    expected = tgv_value(y, 1.5, 1e-6, cell_sides=SIDES)
    for scale in (1e-300, 1e-150, 1e100):
        value = tgv_value(scale * y, 1.5, 1e-6, cell_sides=SIDES)
        assert value / scale == pytest.approx(expected, rel=1e-5)
    single = tgv_value(1e-30 * y.astype("float32"), 1.5, cell_sides=SIDES)
    assert single / 1e-30 == pytest.approx(expected, rel=1e-2)
    X = odl.uniform_discr([0, 0], y.shape, y.shape)
    slope = tgv_gradient(X.element(y), 1.5, 1e-6)
    tiny = tgv_gradient(X.element(1e-200 * y), 1.5, 1e-6)
    assert (slope - tiny).norm() <= 1e-6 * slope.norm()


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("solve", [rof, lambda y, alpha, **kw: tgv_denoising(y, alpha, 1.5, **kw)])
def test_one_image_a_batch_of_one_and_an_element_are_the_same(solve, convert):
    y = noisy()
    X = odl.uniform_discr([0, 0], y.shape, y.shape)
    one, batch = (solve(convert(z), 0.3, cell_sides=(1, 1)) for z in (y, y[None]))
    element = solve(X.element(y), 0.3)
    assert one.x.shape == (6, 5) and one.dual.shape == (2, 6, 5) and type(one.gap) is float
    assert np.array_equal(one.x, batch.x[0]) and np.array_equal(one.x, element.x.data)
    assert (one.niter, one.reason, one.gap) == (batch.niter[0], batch.reason[0], batch.gap[0])
    assert one.error_bound == element.error_bound == batch.error_bound[0]
    # the rows of the image are signals if its axes are said to be one
    rows = solve(convert(y), 0.3, cell_sides=(1,))
    alone = solve(convert(y[2]), 0.3, cell_sides=(1,))
    assert rows.dual.shape == (6, 1, 5) and rows.reason.shape == (6,)
    assert np.array_equal(rows.x[2], alone.x) and not np.allclose(rows.x, one.x)


def test_gaps_in_single_precision_hold(rng):
    """At an accuracy near that of single precision, gaps allow for the rounding of their terms."""
    X = odl.uniform_discr([0, 0], [12, 12], (12, 12))
    D = gradient(X)
    for _ in range(20):
        y = rng.standard_normal((12, 12)) + rng.uniform(-3, 3)
        alpha = rng.uniform(0.05, 3)
        exact = rof(y, alpha, 1e-11, cell_sides=SIDES)
        s = rof(y.astype("float32"), alpha, 1e-9, 3000, cell_sides=SIDES)
        assert np.linalg.norm(s.x - exact.x) <= s.error_bound + exact.error_bound
        x = X.element(s.x.astype(float))
        value = 0.5 * np.sum((s.x - y) ** 2) + alpha * np.sqrt(
            sum(p.data**2 for p in D(x))).sum()
        least = 0.5 * np.sum((exact.x - y) ** 2) + alpha * np.sqrt(
            sum(p.data**2 for p in D(X.element(exact.x)))).sum() - exact.gap
        assert value - least <= s.gap + 1e-6 * value
