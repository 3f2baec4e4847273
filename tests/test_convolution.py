"""Convolutions against scipy, with the three boundaries, and the Gaussian kernel."""

import numpy as np
import odl
import pytest
import scipy.ndimage

from odl_learned import operators as ops

X = odl.uniform_discr([0, 0], [1, 2], (9, 12))
XC = X.complex_space
KERNEL = np.random.default_rng(5).standard_normal((5, 3))
BOUNDARIES = [(ops.PeriodicConvolution, "wrap"), (ops.ZeroConvolution, "constant"),
              (ops.ReflectingConvolution, "reflect")]  # fmt: skip


@pytest.mark.parametrize(("convolution", "mode"), BOUNDARIES)
def test_against_scipy(rng, convolution, mode):
    x = ops.random_element(X, rng)
    expected = scipy.ndimage.convolve(x.data, KERNEL, mode=mode)
    assert np.abs(convolution(X, KERNEL)(x).data - expected).max() < 1e-13
    z = ops.random_element(XC, rng)
    expected = scipy.ndimage.convolve(z.data, KERNEL * (1 - 2j), mode=mode)
    assert np.abs(convolution(XC, KERNEL * (1 - 2j))(z).data - expected).max() < 1e-12


@pytest.mark.parametrize("convolution", [entry[0] for entry in BOUNDARIES])
def test_one_pixel_is_the_identity(rng, convolution):
    x = ops.random_element(X, rng)
    assert (convolution(X, np.ones((1, 1)))(x) - x).norm() < 1e-14


@pytest.mark.parametrize("convolution", [entry[0] for entry in BOUNDARIES])
def test_symmetric_kernels_are_selfadjoint(rng, convolution):
    x = ops.random_element(X, rng)
    op = convolution(X, ops.gaussian_kernel(X, [0.1, 0.15]))
    assert (op(x) - op.adjoint(x)).norm() < 1e-14


def test_periodic_norm_is_attained():
    op = ops.PeriodicConvolution(XC, KERNEL)
    k = np.unravel_index(np.abs(op.multiplier).argmax(), X.shape)
    j = np.indices(X.shape)
    phase = k[0] * j[0] / X.shape[0] + k[1] * j[1] / X.shape[1]
    wave = XC.element(np.exp(2j * np.pi * phase))
    assert abs(op(wave).norm() / wave.norm() - ops.operator_norm(op)) < 1e-12


def test_reflection_keeps_constants_and_means(rng):
    op = ops.ReflectingConvolution(X, ops.gaussian_kernel(X, 0.2))
    x = ops.random_element(X, rng)
    assert (op(X.one()) - X.one()).norm() < 1e-14
    assert abs(op(x).inner(X.one()) - x.inner(X.one())) < 1e-13


def test_kernel_as_wide_as_the_image(rng):
    x, kernel = ops.random_element(X, rng), rng.standard_normal((19, 25))
    expected = scipy.ndimage.convolve(x.data, kernel, mode="reflect")
    assert np.abs(ops.ReflectingConvolution(X, kernel)(x).data - expected).max() < 1e-11


def test_gaussian_kernel_is_the_one_of_scipy():
    sigma = (0.3, 0.41)
    kernel = ops.gaussian_kernel(X, sigma)
    delta = np.zeros((41, 41))
    delta[20, 20] = 1
    pixels = sigma / X.cell_sides
    radius = [int(4 * s) for s in pixels]
    expected = scipy.ndimage.gaussian_filter(delta, pixels, radius=radius)
    rows, columns = (slice(20 - r, 21 + r) for r in radius)
    assert kernel.shape == expected[rows, columns].shape
    assert np.abs(kernel - expected[rows, columns]).max() < 1e-15
    assert np.array_equal(ops.gaussian_kernel(X, 1e-3), [[1.0]])
