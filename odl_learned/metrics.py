"""Measures of image quality against a ground truth."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import gaussian_filter

from odl_learned.validation import (
    require_finite,
    require_positive,
    require_shape,
    require_unmasked,
)


def as_array(x: ArrayLike, name: str = "the image") -> np.ndarray:
    """The numpy array of an ODL element, a tensor on any device, or anything array-like.

    Masked entries are a ValueError: what is behind a mask is no part of an image.
    """
    if hasattr(x, "asarray"):
        x = x.asarray()
    if hasattr(x, "detach"):
        x = x.detach().cpu().resolve_conj().resolve_neg()
        x = (x.float() if x.is_floating_point() and x.element_size() < 4 else x).numpy()
    require_unmasked(name, x)
    return np.asarray(x)


def _checked(x, truth):
    x, truth = as_array(x, "x"), as_array(truth, "truth")
    if truth.size == 0:
        raise ValueError(f"truth has shape {truth.shape}, expected at least one value.")
    require_shape("x", x, truth.shape, "This is the shape of truth; crop or resample one of them.")
    require_finite("x", x)
    require_finite("truth", truth)
    return _double(x), _double(truth)


def _double(array):
    return array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)


def _magnitudes(x, truth):
    if np.iscomplexobj(x) or np.iscomplexobj(truth):
        return np.abs(x), np.abs(truth)
    return x, truth


def _range(data_range, truth):
    if data_range is None:
        data_range = float(np.max(truth) - np.min(truth))
        if data_range == 0:
            raise ValueError(
                f"truth is constant, {truth.flat[0]:g} everywhere, so that its range is zero; "
                "pass data_range, the largest minus the smallest possible value."
            )
    require_positive("data_range", data_range)
    return float(data_range)


def psnr(x: ArrayLike, truth: ArrayLike, data_range: float | None = None) -> float:
    """Peak signal-to-noise ratio in decibels.

    ``10 log10(data_range^2 / mean (x - truth)^2)``

    Parameters
    ----------
    x, truth : ODL element, array or tensor, equal shapes
        Reconstruction and ground truth; if one of them is complex, magnitudes are compared.
    data_range : float, optional
        Largest minus smallest possible value; maximum minus minimum of ``truth`` if left away.

    Returns
    -------
    psnr : float
        Infinite if the images are equal.

    Raises
    ------
    ValueError
        If shapes differ, values are masked or not finite, or ``truth`` is constant without
        ``data_range``.
    """
    x, truth = _magnitudes(*_checked(x, truth))
    data_range = _range(data_range, truth)
    error = float(np.mean((x - truth) ** 2))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(x: ArrayLike, truth: ArrayLike, data_range: float | None = None) -> float:
    """Mean structural similarity of two images, or of two volumes.

    ``mean (2 m_x m_t + C1) (2 c_xt + C2) / ((m_x^2 + m_t^2 + C1) (v_x + v_t + C2))`` with local
    means m, variances v and covariance c in a Gaussian window of standard deviation 1.5 on 11 x 11
    pixels, of volumes 11 x 11 x 11, ``C1 = (0.01 data_range)^2``, ``C2 = (0.03 data_range)^2``. The
    mean leaves out 5 pixels at each border, whose windows would stick out.

    Parameters
    ----------
    x, truth : ODL element, array or tensor, equal shapes of two or three axes of at least 11
        Reconstruction and ground truth; if one of them is complex, magnitudes are compared. Three
        axes are a volume, and no stack of images: of those, call it for each.
    data_range : float, optional
        Largest minus smallest possible value; maximum minus minimum of ``truth`` if left away.

    Returns
    -------
    ssim : float
        At most 1, for equal images.

    Raises
    ------
    ValueError
        If shapes differ, have neither two nor three axes or too short ones, values are masked or
        not finite, or ``truth`` is constant without ``data_range``.

    Notes
    -----
    Wang, Bovik, Sheikh, Simoncelli (2004), IEEE Trans. Image Process. 13, equation (13).
    """
    x, truth = _magnitudes(*_checked(x, truth))
    if truth.ndim not in (2, 3) or min(truth.shape) < 11:
        raise ValueError(
            f"truth has shape {truth.shape}, expected two axes, or three of a volume, with at "
            "least 11 pixels each; pass one image at a time, of a thin volume slice by slice."
        )
    data_range = _range(data_range, truth)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    def local_mean(image):
        return gaussian_filter(image, 1.5, radius=5)[(slice(5, -5),) * image.ndim]

    mean_x, mean_t = local_mean(x), local_mean(truth)
    var_x = local_mean(x * x) - mean_x**2
    var_t = local_mean(truth * truth) - mean_t**2
    covariance = local_mean(x * truth) - mean_x * mean_t
    luminance = (2 * mean_x * mean_t + c1) / (mean_x**2 + mean_t**2 + c1)
    structure = (2 * covariance + c2) / (var_x + var_t + c2)
    return float(np.mean(luminance * structure))


def relative_error(x: ArrayLike, truth: ArrayLike) -> float:
    """Relative error in the Euclidean norm.

    ``||x - truth|| / ||truth||``; complex values are compared as such, phases included.

    Parameters
    ----------
    x, truth : ODL element, array or tensor, equal shapes
        Reconstruction and ground truth.

    Returns
    -------
    error : float

    Raises
    ------
    ValueError
        If shapes differ, values are masked or not finite, or ``truth`` is zero.
    """
    x, truth = _checked(x, truth)
    norm = float(np.linalg.norm(truth))
    if norm == 0:
        raise ValueError("truth is zero, expected a nonzero image; compare the norm of x instead.")
    return float(np.linalg.norm(x - truth)) / norm
