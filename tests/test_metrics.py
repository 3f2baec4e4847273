"""Metrics against scikit-image, loops over windows, and closed forms."""

import math

import numpy as np
import odl
import pytest
import torch

from odl_learned.metrics import psnr, relative_error, ssim


@pytest.fixture
def images(rng):
    x = np.linspace(0, 3, 40)
    truth = np.sin(x)[:, None] * np.cos(2 * np.linspace(0, 3, 33)) + 0.3 * (x > 1)[:, None]
    return truth + 0.1 * rng.standard_normal(truth.shape), truth


def test_psnr_in_closed_form():
    truth = np.array([[0.0, 2.0], [1.0, 1.0]])
    assert psnr(truth + 0.1, truth) == pytest.approx(10 * math.log10(4 / 0.01), rel=1e-12)
    assert psnr(truth + 0.1, truth, data_range=1) == pytest.approx(20.0, rel=1e-12)
    assert psnr(truth, truth) == math.inf


def test_psnr_and_ssim_of_scikit_image(images):
    skimage = pytest.importorskip("skimage.metrics")
    x, truth = images
    for data_range in (None, 1.7):
        r = data_range or truth.max() - truth.min()
        expected = skimage.peak_signal_noise_ratio(truth, x, data_range=r)
        assert psnr(x, truth, data_range) == pytest.approx(expected, abs=1e-10)
        expected = skimage.structural_similarity(
            truth, x, data_range=r, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        assert ssim(x, truth, data_range) == pytest.approx(expected, abs=1e-10)


def test_volumes_as_scikit_image_measures_them(rng):
    skimage = pytest.importorskip("skimage.metrics")
    space = odl.uniform_discr([0] * 3, [1, 2, 3], (14, 17, 12), dtype="float32")
    truth = space.element(lambda x: np.sin(3 * x[0]) * np.cos(x[1]) + (x[2] > 1))
    x = truth + space.element(0.1 * rng.standard_normal(space.shape))
    a, b = truth.asarray().astype(float), x.asarray().astype(float)
    expected = skimage.structural_similarity(
        a, b, data_range=1.7, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert ssim(x, truth, 1.7) == pytest.approx(expected, abs=1e-12)
    expected = skimage.peak_signal_noise_ratio(a, b, data_range=1.7)
    assert psnr(x, truth, 1.7) == pytest.approx(expected, abs=1e-10)
    error = (x - truth).norm() / truth.norm()
    assert relative_error(x, truth) == pytest.approx(error, rel=1e-6)  # in single precision


def test_ssim_by_loops_over_windows(images):
    x, truth = images[0][:16, :14], images[1][:16, :14]
    g = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    w = np.outer(g, g) / g.sum() ** 2
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    values = []
    for i in range(6):
        for j in range(4):
            a, b = x[i : i + 11, j : j + 11], truth[i : i + 11, j : j + 11]
            ma, mb = (w * a).sum(), (w * b).sum()
            va, vb = (w * (a - ma) ** 2).sum(), (w * (b - mb) ** 2).sum()
            cov = (w * (a - ma) * (b - mb)).sum()
            top = (2 * ma * mb + c1) * (2 * cov + c2)
            values.append(top / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    assert ssim(x, truth, data_range=2) == pytest.approx(np.mean(values), abs=1e-12)


def test_ssim_of_equal_images_is_one(images):
    assert ssim(images[1], images[1]) == pytest.approx(1.0, abs=1e-12)


def test_complex_images_are_compared_by_magnitude(images):
    x, truth = (np.abs(image) for image in images)
    phase = np.exp(1j * np.linspace(0, 3, truth.size).reshape(truth.shape))
    for metric in (psnr, ssim):
        assert metric(x * phase, truth) == pytest.approx(metric(x, truth), rel=1e-10)
    assert relative_error(truth * phase, truth) > 0.5


def test_relative_error_in_closed_form():
    assert relative_error([3.0, 4j], [3.0, 0.0]) == pytest.approx(4 / 3, rel=1e-14)


@pytest.mark.parametrize("metric", [psnr, ssim, relative_error])
def test_elements_tensors_and_arrays_give_the_same(metric, images):
    x, truth = images
    expected = metric(x, truth)
    space = odl.uniform_discr([0, 0], [1, 1], truth.shape)
    assert metric(space.element(x), space.element(truth)) == pytest.approx(expected, rel=1e-13)
    assert metric(torch.tensor(x, requires_grad=True), truth) == pytest.approx(expected, rel=1e-13)
    assert type(expected) is float


def test_single_precision_is_computed_in_double(images):
    x, truth = (image.astype(np.float32) + 1000 for image in images)
    assert psnr(x, truth) == psnr(x.astype(np.float64), truth.astype(np.float64))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psnr(np.zeros((3, 4)), np.eye(4)), r"x has shape \(3, 4\), expected \(4, 4\)"),
        (lambda: psnr(np.full((4, 4), np.nan), np.eye(4)), "x contains 16 NaN"),
        (lambda: psnr(np.eye(4), np.full((4, 4), np.inf)), "truth contains 16 NaN or inf"),
        (lambda: psnr(np.eye(4), np.ones((4, 4))), "truth is constant, 1 everywhere"),
        (lambda: psnr(np.eye(4), np.eye(4), data_range=0), "data_range is 0"),
        (lambda: psnr(np.zeros(0), np.zeros(0)), "at least one value"),
        (lambda: ssim(np.eye(10), np.eye(10)), "at least 11 pixels"),
        (lambda: ssim(np.ones((2, 12, 12)), np.ones((2, 12, 12))), "two axes"),
        (lambda: ssim(np.eye(12), np.ones((12, 12))), "truth is constant"),
        (lambda: relative_error(np.eye(4), np.zeros((4, 4))), "truth is zero"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
