"""Phantoms: the published distribution by brute force, ranges, and independence of the grid."""

import numpy as np
import odl
import pytest

from odl_learned.data import (
    dival_ellipses,
    downsample,
    random_body,
    random_ellipses,
    smooth_phase,
)


def make_space(n, dtype="float32"):
    return odl.uniform_discr([-64, -32], [64, 32], (n, n + 2), dtype=dtype)


def test_ellipses_are_the_sum_of_the_drawn_ellipses():
    space = make_space(40, "float64")
    phantom = random_ellipses(space, np.random.default_rng(7)).asarray()
    rng = np.random.default_rng(7)
    n = rng.poisson(50)
    value = (rng.random(n) - 0.5) * rng.exponential(0.4, n)
    axes, center = 0.2 * rng.exponential(1.0, (n, 2)), rng.uniform(-1, 1, (n, 2))
    angle = rng.uniform(0, 2 * np.pi, n)
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 42), indexing="ij")
    expected = np.zeros_like(x)
    for v, (a, b), (p, q), t in zip(value, axes, center, angle):
        turned = np.exp(-1j * t) * ((x - p) + 1j * (y - q))
        expected += v * ((turned.real / a) ** 2 + (turned.imag / b) ** 2 <= 1)
    assert np.allclose(phantom, expected, rtol=0, atol=1e-12)
    assert phantom.min() < 0 < phantom.max()


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_dival_ellipses_are_the_drawn_ones_from_zero_to_one(dtype):
    phantom = dival_ellipses(make_space(40, dtype), np.random.default_rng(7)).asarray()
    rng = np.random.default_rng(7)
    value, center = rng.uniform(-0.4, 1, 70), rng.uniform(-0.9, 0.9, (70, 2))
    axes, angle = 0.2 * rng.exponential(1.0, (70, 2)), rng.uniform(0, 2 * np.pi, 70)
    x, y = np.meshgrid(np.linspace(-1, 1, 40), np.linspace(-1, 1, 42), indexing="ij")
    expected = np.zeros_like(x)
    for v, (a, b), (p, q), t, _ in zip(value, axes, center, angle, range(min(rng.poisson(40), 70))):
        turned = np.exp(-1j * t) * ((x - p) + 1j * (y - q))
        expected += v * ((turned.real / a) ** 2 + (turned.imag / b) ** 2 <= 1)
    expected = np.where(expected == 0, 0, expected - expected.min())
    assert np.allclose(phantom, expected / expected.max(), rtol=0, atol=1e-12)


def test_ellipses_have_the_moments_of_the_distribution():
    # The value at the center of the square is a compound Poisson variable: its mean is zero, its
    # variance 50 P(hit) E v^2, with E v^2 = (1/12) 2 0.4^2 and P(hit) = E area / 4, area = pi a b,
    # up to ellipses that reach beyond the square and miss: hence an upper bound.
    space = make_space(9)
    rng = np.random.default_rng(0)
    center = np.array([random_ellipses(space, rng).asarray()[4, 5] for _ in range(600)])
    bound = 50 * (2 * 0.16 / 12) * np.pi * 0.04 / 4
    assert abs(center.mean()) < 5 * np.sqrt(bound / 600)
    assert 0.3 * bound < center.var() < 2 * bound


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_body_values(dtype):
    space = make_space(96, dtype)
    for seed in range(6):
        body = random_body(space, np.random.default_rng(seed))
        assert body in space
        array = body.asarray()
        assert np.all(array.imag == 0)
        array = array.real
        assert 0 <= array.min() and array.max() <= 1 and array.max() > 0.75
        border = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]])
        assert np.all(border == 0)
        assert 0.35 < np.mean(array > 0) < 0.75


def test_body_has_its_spine_at_the_bottom():
    space = make_space(128)
    for seed in range(5):
        bright = random_body(space, np.random.default_rng(seed)).asarray() > 0.7
        middle = bright[54:74]  # the spine and some ribs below, some ribs above
        assert middle[:, :65].sum() > 2 * middle[:, 65:].sum()


def test_body_is_the_same_on_every_grid():
    coarse = random_body(make_space_even(64), np.random.default_rng(2)).asarray()
    fine = random_body(make_space_even(256), np.random.default_rng(2)).asarray()
    error = np.abs(downsample(fine, 4) - coarse)
    # Equal up to what a cell center knows of its cell: texture, and edges within a pixel.
    assert error.mean() < 0.01 and np.quantile(error, 0.9) < 0.02


def make_space_even(n):
    return odl.uniform_discr([-1, -1], [1, 1], (n, n), dtype="float64")


def test_draws_are_reproducible_and_different():
    space = make_space(32)
    for draw in (random_ellipses, random_body, smooth_phase):
        first, again, other = (draw(space, np.random.default_rng(s)).asarray() for s in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
def test_phase_has_modulus_one_and_is_smooth(dtype):
    space = make_space(64, dtype)
    phase = smooth_phase(space, np.random.default_rng(0))
    assert phase in space.complex_space
    array = phase.asarray()
    assert np.allclose(np.abs(array), 1, rtol=0, atol=1e-6)
    # |d phi| <= sum |a_k| pi k / 2 h <= pi * pi * 2 / n between neighbors along an axis.
    for axis in (0, 1):
        step = np.abs(np.diff(array, axis=axis)).max()
        assert 0 < step <= np.pi * np.pi * 2 / 64 * 1.001
        assert np.abs(np.diff(np.angle(array), axis=axis)).max() < 1  # does not wrap


@pytest.mark.parametrize("draw", [random_ellipses, dival_ellipses, random_body, smooth_phase])
def test_refusals(draw, rng):
    with pytest.raises(TypeError, match="two-dimensional uniformly discretized"):
        draw(odl.rn((4, 4)), rng)
    with pytest.raises(TypeError, match="two-dimensional uniformly discretized"):
        draw(odl.uniform_discr(0, 1, 8), rng)
    with pytest.raises(TypeError, match="rng is 0"):
        draw(make_space(8), 0)
