"""Noise of measurements: white noise, and photon counts of transmission and emission."""

from typing import TypeVar

import numpy as np
from odl.core.set.space import LinearSpaceElement

from odl_learned.validation import (
    require_finite,
    require_nonnegative,
    require_positive,
    require_real,
    require_rng,
)

Element = TypeVar("Element", bound=LinearSpaceElement)


def _parts(x):
    """Numpy arrays of an element, one for each space of a product."""
    if not hasattr(x, "space"):
        raise TypeError(
            f"x is of type {type(x).__name__}, expected an element of an ODL space; "
            "wrap arrays with space.element(array)."
        )
    if hasattr(x.space, "spaces"):
        return [array for part in x for array in _parts(part)]
    return [np.asarray(x.asarray())]


def _require_floating(name, array):
    """Raise TypeError for whole numbers, to which results would be rounded."""
    if array.dtype.kind not in "fc":
        raise TypeError(
            f"{name} is of dtype {array.dtype}, whole numbers, expected floating point, since the "
            "result is of the same space; build the space with dtype='float32'."
        )


def add_white_noise(x: Element, noise_level: float, rng: np.random.Generator) -> Element:
    """Add independent Gaussian noise to every entry of an element.

    ``x + noise_level * n``, ``n`` standard normal. In complex spaces the real and the imaginary
    part have the standard deviation ``noise_level`` each, so that ``E |n|^2 = 2``.

    Parameters
    ----------
    x : element of an ODL space
        Noise-free data; product spaces, such as several coils, get independent noise per part.
    noise_level : float
        Standard deviation in the unit of ``x``; zero returns a copy.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    noisy : element of ``x.space``

    Raises
    ------
    ValueError
        If ``x`` is not finite, or the noise level is negative or too large for the dtype.
    TypeError
        If ``x`` is not an element, or of whole numbers, or ``rng`` is not a generator.
    """
    require_rng(rng)
    require_nonnegative("noise_level", noise_level)
    for array in _parts(x):
        require_finite("x", array)
        _require_floating("x", array)
    return _noisy(x, float(noise_level), rng)


def _noisy(x, noise_level, rng):
    if hasattr(x.space, "spaces"):
        return x.space.element([_noisy(part, noise_level, rng) for part in x])
    array = np.asarray(x.asarray())
    noise = rng.standard_normal(array.shape)
    if np.iscomplexobj(array):
        noise = noise + 1j * rng.standard_normal(array.shape)
    with np.errstate(over="ignore"):
        noisy = (array + noise_level * noise).astype(array.dtype)
    require_finite(f"x + {noise_level:g} n, of dtype {array.dtype},", noisy)
    return x.space.element(noisy)


def noise_level_for(x: LinearSpaceElement, relative: float) -> float:
    """Standard deviation of white noise relative to the mean magnitude of the data.

    ``noise_level = relative * mean |x|``, for example ``relative = 0.05`` in Adler and Oktem
    (2018), "Learned primal-dual reconstruction", IEEE Trans. Med. Imaging 37, section IV.

    Parameters
    ----------
    x : element of an ODL space
        Noise-free data; in product spaces the mean is over all entries.
    relative : float
        At least zero.

    Returns
    -------
    noise_level : float

    Raises
    ------
    ValueError
        If ``x`` is not finite or ``relative`` is negative.
    """
    require_nonnegative("relative", relative)
    magnitudes = np.concatenate([np.abs(array).ravel() for array in _parts(x)])
    require_finite("x", magnitudes)
    return float(relative) * float(np.mean(magnitudes, dtype=np.float64))


def transmission_counts(sinogram: Element, photons: float, rng: np.random.Generator) -> Element:
    """Draw photon counts behind an object after the law of Beer and Lambert.

    ``counts ~ Poisson(photons * exp(-sinogram))``

    Parameters
    ----------
    sinogram : element of a real ODL space
        Line integrals of the attenuation, without unit.
    photons : float
        Expected number of photons per detector bin without an object.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    counts : element of ``sinogram.space``
        Whole numbers; float32 spaces round counts above 2^24 to 24 significant bits.

    Raises
    ------
    ValueError
        If the sinogram is not finite, is so negative that the expected count exceeds 1e18, counts
        exceed the dtype of the space, or ``photons`` is not positive.
    TypeError
        If the sinogram is complex or no element, or ``rng`` is not a generator.
    """
    require_rng(rng)
    array = _real_array("sinogram", sinogram)
    require_positive("photons", photons)
    log_mean = np.log(photons) - array.astype(np.float64)
    if log_mean.max() > np.log(1e18):
        raise ValueError(
            f"sinogram has the minimum {array.min():g} and photons is {photons:g}, so that an "
            "expected count exceeds 1e18; expected line integrals of an attenuation, which are "
            "nonnegative. Check the sign and the unit of the image."
        )
    return sinogram.space.element(_counts(rng.poisson(np.exp(log_mean)), array.dtype))


def poisson_counts(expected: Element, rng: np.random.Generator) -> Element:
    """Draw independent Poisson counts, such as those of emission tomography.

    ``counts ~ Poisson(expected)``, for example ``expected = forward_op(x) + background``.

    Parameters
    ----------
    expected : element of a real ODL space
        Expected number of counts in every bin, nonnegative and at most 1e18.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    counts : element of ``expected.space``
        Whole numbers; float32 spaces round counts above 2^24 to 24 significant bits.

    Raises
    ------
    ValueError
        If an expected count is negative, not finite or exceeds 1e18, or counts exceed the dtype
        of the space.
    TypeError
        If ``expected`` is complex or no element, or ``rng`` is not a generator.
    """
    require_rng(rng)
    array = _real_array("expected", expected)
    if array.min() < 0 or array.max() > 1e18:
        raise ValueError(
            f"expected has values from {array.min():g} to {array.max():g}, expected counts from 0 "
            "to 1e18; pass the mean of the counts, background included, and check its scale."
        )
    return expected.space.element(_counts(rng.poisson(array.astype(np.float64)), array.dtype))


def _counts(counts, dtype):
    """Counts in the dtype of a space; raise ValueError if it does not hold them."""
    largest = np.iinfo(dtype).max if dtype.kind in "iu" else np.finfo(dtype).max
    if counts.size and counts.max() > largest:
        raise ValueError(
            f"counts reach {counts.max()}, more than {largest:g}, the largest {dtype}; expected a "
            "space that holds them. Build it with dtype='float64'."
        )
    return counts.astype(dtype)


def log_linearize(counts: Element, photons: float) -> Element:
    """Turn photon counts into line integrals.

    ``-log(max(counts, 1/2) / photons)``; half a photon stands for none, halfway between none and
    the first one, so that bins without a photon stay finite and above those with one.

    Parameters
    ----------
    counts : element of a real ODL space
        Nonnegative; not necessarily whole, for detectors that integrate energy.
    photons : float
        Expected number of photons per detector bin without an object.

    Returns
    -------
    sinogram : element of ``counts.space``

    Raises
    ------
    ValueError
        If counts are negative or not finite, or ``photons`` is not positive.
    TypeError
        If the counts are complex, no element, or of a space of whole numbers.
    """
    array = _real_array("counts", counts)
    _require_floating("counts", array)
    require_positive("photons", photons)
    if array.min() < 0:
        raise ValueError(
            f"counts has the minimum {array.min():g}, expected nonnegative photon counts; pass "
            "counts and not their logarithm, after the offset of the detector is corrected."
        )
    sinogram = np.log(photons) - np.log(np.maximum(array.astype(np.float64), 0.5))
    return counts.space.element(sinogram.astype(array.dtype))


def _real_array(name, x):
    if not hasattr(x, "space") or hasattr(x.space, "spaces"):
        raise TypeError(
            f"{name} is of type {type(x).__name__}, expected an element of one real ODL space; "
            "wrap arrays with space.element(array)."
        )
    array = np.asarray(x.asarray())
    require_real(name, array)
    require_finite(name, array)
    return array
