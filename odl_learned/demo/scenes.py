"""The two measurements of the demonstration: a CT and an MR slice, simulated honestly.

The data come from a grid twice as fine as the reconstruction (CT) or from the full resolution
spectrum (MRI), so that no method inverts its own discretization. The learned methods train at half
the resolution with half the views, or lines, where a step costs a quarter: with ``A^+`` in place of
``A*`` their iteration does not depend on the scale.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import odl
import scipy.fft
import scipy.ndimage
from odl.core.set.space import LinearSpaceElement

from odl_learned import data, operators
from odl_learned.demo import plausible
from odl_learned.functionals import BoxConstraint, MagnitudeBound

WATER = 0.2  # attenuation of water at 70 keV in 1/cm; images are relative to it
VIEWS_PER_PIXEL = 60 / 256
PHOTONS = 1e5
FRACTION, CENTER_FRACTION = 0.3, 0.08
MR_NOISE_LEVEL = 0.03
SOFT_TISSUE = (-160.0, 240.0)  # Hounsfield units
LARGEST_ATTENUATION, LARGEST_MAGNITUDE = 2.5, 1.5


@dataclasses.dataclass(frozen=True)
class Scene:
    """One simulated measurement and what the methods need to know about it.

    Parameters
    ----------
    name, title : str
        Short name for files, and what the figure says.
    truth : odl element of ``forward_op.domain``
    forward_op, inverse_op : odl.Operator
        ``A``, and an approximate inverse ``A^+`` that is the analytical method.
    analytical : str
        Name of the analytical method.
    data : odl element of ``forward_op.range``
    noise_norm : float
        Norm of the noise in the data, which the simulation knows.
    constraint : odl.functionals.Functional
        Bounds that every image obeys.
    alphas : dict
        Regularization parameters by method, set by hand to a discrepancy near one.
    window : (float, float)
        Gray values of the figure, in the unit of ``drawn``.
    zoom : pair of index ranges
    training : callable
        ``() -> Training`` at half the resolution.
    origin : str
        What was done to the slice before it was measured.
    unit : str
        Of the values of the figure.
    drawn : callable
        From an element to the values of the figure.
    body : array of bool, or None
        Where errors are drawn.
    notes : tuple of str
        What is assumed about the slice, and what went wrong with the measurement.
    """

    name: str
    title: str
    truth: LinearSpaceElement
    forward_op: odl.Operator
    inverse_op: odl.Operator
    analytical: str
    data: LinearSpaceElement
    noise_norm: float
    constraint: odl.functionals.Functional
    alphas: dict
    window: tuple
    zoom: tuple
    training: Callable
    origin: str = ""
    unit: str = ""
    drawn: Callable = np.asarray
    body: np.ndarray | None = None
    notes: tuple = ()


@dataclasses.dataclass(frozen=True)
class Training:
    """Phantoms, operators and measurements to train on."""

    forward_op: odl.Operator
    inverse_op: odl.Operator
    truth: Callable
    measure: Callable


def ct_operators(half_width, n, views):
    """The ray transform of images relative to water, and filtered backprojection."""
    corner = [half_width, half_width]
    space = odl.uniform_discr([-half_width] * 2, corner, (n, n), dtype="float32")
    forward_op = WATER * operators.parallel_ray_transform(space, views)
    return forward_op, operators.fbp(forward_op, "Hann", 0.8)


def ct_scene(hounsfield, pixel_mm, n, rng, photons=PHOTONS):
    """Measure a CT slice with few views and Poisson noise.

    Parameters
    ----------
    hounsfield : array, shape (2n, 2n)
        Hounsfield units in ODL's orientation.
    pixel_mm : float
        Side of a pixel of the slice.
    n : int
        Side of the reconstruction.
    rng : numpy.random.Generator
    photons : float, optional
        Expected number for each detector bin without an object.
    """
    relative = data.hounsfield_to_attenuation(hounsfield) / WATER
    half_width = 0.05 * pixel_mm * 2 * n
    views = _even(VIEWS_PER_PIXEL * n)
    forward_op, inverse_op = ct_operators(half_width, n, views)
    space, ray = forward_op.domain, forward_op.operator
    fine = odl.uniform_discr(space.min_pt, space.max_pt, (2 * n, 2 * n), dtype="float32")
    fine_op = odl.applications.tomo.RayTransform(fine, ray.geometry, impl="astra_cpu")
    exact = forward_op.range.element(WATER * fine_op(fine.element(relative)).data)
    sinogram = _transmission(exact, photons, rng)

    def training():
        coarse_op, coarse_inverse = ct_operators(half_width, n // 2, _even(views / 2))
        body = coarse_op.domain
        return Training(coarse_op, coarse_inverse,
                        lambda rng: 2.4 * data.random_body(body, rng),
                        lambda x, rng: _transmission(coarse_op(x), photons, rng))

    return Scene(
        "ct", f"CT, {views} views, {photons:.0e} photons per ray, {n} x {n} pixels, "
        "soft tissue window",
        space.element(data.downsample(relative, 2)), forward_op, inverse_op,
        "filtered backprojection", sinogram, float((sinogram - exact).norm()),
        BoxConstraint(space, 0.0, LARGEST_ATTENUATION),
        {"Tikhonov": 1.5e-2, "TV": 6e-4, "TGV": 6e-4},
        SOFT_TISSUE, ((int(0.42 * n), int(0.74 * n)), (int(0.18 * n), int(0.5 * n))), training,
        unit="Hounsfield units", drawn=lambda x: 1000 * (x.data - 1),
        body=body_of(data.downsample(relative, 2)),
        notes=tuple(plausible.starved(photons * np.exp(-exact.data), photons)),
    )


def body_of(relative):
    """Where the patient is: the largest connected part, without the thin table, and two pixels."""
    dense = scipy.ndimage.binary_opening(relative > 0.5, iterations=2)
    parts, count = scipy.ndimage.label(dense)
    if count == 0:
        return np.ones(relative.shape, bool)
    largest = 1 + np.argmax(np.bincount(parts.ravel())[1:])
    filled = scipy.ndimage.binary_fill_holes(parts == largest)
    return scipy.ndimage.binary_dilation(filled, iterations=4)


def _transmission(sinogram, photons, rng):
    return data.log_linearize(data.transmission_counts(sinogram, photons, rng), photons)


def mri_operators(n, rng):
    """A Fourier transform sampled along random lines, and zero filling."""
    space = odl.uniform_discr([-n / 2] * 2, [n / 2] * 2, (n, n), dtype="complex64")
    mask = data.cartesian_mask((n, n), FRACTION, CENTER_FRACTION, rng)
    forward_op = operators.SampledFourier(space, mask)
    return forward_op, forward_op.adjoint


def mri_scene(magnitude, n, rng):
    """Measure an MR slice along 30 % of the lines of its spectrum, with complex noise.

    Parameters
    ----------
    magnitude : array, shape (N, N), N >= 2n
        Nonnegative, about one at most, in ODL's orientation.
    n : int
        Side of the reconstruction: the central n x n frequencies are what the scanner sees.
    rng : numpy.random.Generator
    """
    forward_op, inverse_op = mri_operators(n, rng)
    space = forward_op.domain
    fine = odl.uniform_discr(space.min_pt, space.max_pt, magnitude.shape, dtype="complex64")
    image = magnitude * data.smooth_phase(fine, rng).data
    truth = space.element(_low_frequencies(image, n).astype("complex64"))
    exact = forward_op(truth)
    noisy = data.add_white_noise(exact, MR_NOISE_LEVEL, rng)
    measured = forward_op.range.element(forward_op.weights * noisy.data)

    coarse_op, coarse_inverse = mri_operators(n // 2, rng)
    coarse = coarse_op.domain

    def training():
        def truth(rng):
            phase = data.smooth_phase(coarse, rng)
            return coarse.element(data.random_body(coarse, rng).data * phase.data)

        def measure(x, rng):
            noisy = data.add_white_noise(coarse_op(x), MR_NOISE_LEVEL, rng)
            return coarse_op.range.element(coarse_op.weights * noisy.data)

        return Training(coarse_op, coarse_inverse, truth, measure)

    return Scene(
        "mri", f"MRI, {FRACTION:.0%} of the lines, {n} x {n} pixels, magnitude",
        truth, forward_op, inverse_op, "zero filling", measured,
        float((measured - exact).norm()), MagnitudeBound(space, LARGEST_MAGNITUDE),
        {"Tikhonov": 0.1, "TV": 3e-2, "TGV": 2.5e-2},
        (0.0, 0.9), ((int(0.25 * n), int(0.57 * n)), (int(0.42 * n), int(0.74 * n))), training,
        unit="magnitude", drawn=lambda x: x.data,
    )


def _low_frequencies(image, n):
    """The n x n lowest frequencies of an image, as an image on n x n pixels of its mean scale."""
    spectrum = scipy.fft.fftshift(scipy.fft.fft2(scipy.fft.ifftshift(image)))
    start = [side // 2 - n // 2 for side in image.shape]
    spectrum = spectrum[start[0] : start[0] + n, start[1] : start[1] + n]
    scale = n * n / math.prod(image.shape)
    return scale * scipy.fft.fftshift(scipy.fft.ifft2(scipy.fft.ifftshift(spectrum)))


def _even(number):
    return max(2, 2 * round(float(np.ceil(number)) / 2))
