"""Noise: first and second moments, exact formulas, and refusals."""

import numpy as np
import odl
import pytest

from odl_learned.data import add_white_noise, log_linearize, noise_level_for, transmission_counts

N = 200


@pytest.fixture
def space():
    return odl.uniform_discr([0, 0], [1, 1], (N, N), dtype="float32")


def test_real_noise_has_the_standard_deviation(space, rng):
    noise = (add_white_noise(3 * space.one(), 0.5, rng) - 3 * space.one()).asarray()
    # Standard errors: 0.5 / N of the mean, 0.5 / (sqrt(2) N) of the standard deviation.
    assert abs(noise.mean()) < 5 * 0.5 / N
    assert abs(noise.std() - 0.5) < 5 * 0.5 / (np.sqrt(2) * N)


def test_complex_noise_has_it_in_each_part(space, rng):
    noise = add_white_noise(space.complex_space.zero(), 0.5, rng).asarray()
    assert noise.dtype == np.complex64
    for part in (noise.real, noise.imag):
        assert abs(part.std() - 0.5) < 5 * 0.5 / (np.sqrt(2) * N)
    correlation = np.mean(noise.real * noise.imag) / 0.25
    assert abs(correlation) < 5 / N


def test_products_get_independent_noise_per_part(space, rng):
    noisy = add_white_noise((space**2).zero(), 1.0, rng)
    assert noisy in space**2
    first, second = noisy[0].asarray(), noisy[1].asarray()
    assert abs(np.mean(first * second)) < 5 / N
    mixed = odl.ProductSpace(space, odl.rn(3))
    assert add_white_noise(mixed.zero(), 1.0, rng) in mixed


def test_noise_depends_on_the_generator_only(space):
    def draw(seed):
        return add_white_noise(space.zero(), 1.0, np.random.default_rng(seed)).asarray()

    assert np.array_equal(draw(3), draw(3))
    assert not np.array_equal(draw(3), draw(4))


def test_zero_noise_returns_an_equal_copy(space, rng):
    x = space.one()
    copy = add_white_noise(x, 0, rng)
    assert copy is not x and np.array_equal(copy.asarray(), x.asarray())


def test_noise_level_is_relative_to_the_mean_magnitude():
    x = odl.cn(2).element([3 + 4j, -1])
    assert noise_level_for(x, 0.1) == pytest.approx(0.1 * (5 + 1) / 2, rel=1e-12)
    y = odl.ProductSpace(odl.rn(1), odl.rn(3)).element([[4], [0, 0, 0]])
    assert noise_level_for(y, 1) == pytest.approx(1.0)
    assert type(noise_level_for(x, 0.1)) is float


def test_counts_are_poisson(space, rng):
    counts = transmission_counts(space.one(), 1000.0, rng).asarray()
    mean = 1000 * np.exp(-1)
    assert np.array_equal(counts, np.round(counts))
    assert abs(counts.mean() - mean) < 5 * np.sqrt(mean) / N
    # The variance of a Poisson sample has the standard error mean sqrt(2 + 1 / mean) / N.
    assert abs(counts.var() - mean) < 5 * mean * np.sqrt(2 + 1 / mean) / N


def test_linearization_inverts_expected_counts():
    space = odl.rn(4)
    line_integrals = np.array([0.0, 0.5, 2.0, 5.0])
    counts = space.element(1e4 * np.exp(-line_integrals))
    assert np.allclose(log_linearize(counts, 1e4).asarray(), line_integrals, rtol=0, atol=1e-12)


def test_linearization_counts_half_a_photon_for_none():
    sinogram = log_linearize(odl.rn(2).element([0.0, 1.0]), 100.0).asarray()
    assert np.allclose(sinogram, [np.log(200), np.log(100)], rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, r: add_white_noise(x, -1.0, r), ValueError, "noise_level is -1.0"),
        (lambda x, r: add_white_noise(x, np.nan, r), ValueError, "noise_level is nan"),
        (lambda x, r: add_white_noise(x, 1.0, 0), TypeError, "numpy.random.default_rng"),
        (lambda x, r: add_white_noise(x.asarray(), 1.0, r), TypeError, "element of an ODL space"),
        (lambda x, r: add_white_noise(np.nan * x, 1.0, r), ValueError, "x contains 3 NaN"),
        (lambda x, r: noise_level_for(x, -0.1), ValueError, "relative is -0.1"),
        (lambda x, r: transmission_counts(x, 0.0, r), ValueError, "photons is 0.0"),
        (lambda x, r: transmission_counts(-99 * x, 10.0, r), ValueError, "exceeds 1e18"),
        (lambda x, r: transmission_counts(np.inf * x, 10.0, r), ValueError, "sinogram contains 3"),
        (lambda x, r: transmission_counts(odl.cn(2).one(), 1.0, r), TypeError, "is complex"),
        (lambda x, r: log_linearize(-1 * x, 10.0), ValueError, "minimum -1, expected nonnegative"),
        (lambda x, r: log_linearize(x, -10.0), ValueError, "photons is -10.0"),
        (lambda x, r: log_linearize(odl.cn(2).one(), 1.0), TypeError, "is complex"),
    ],
)
def test_refusals(call, error, message, rng):
    with pytest.raises(error, match=message):
        call(odl.rn(3).one(), rng)
