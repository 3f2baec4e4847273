"""Random phantoms: bodies that look like slices of tomography, and smooth phases.

Draws never depend on the resolution: generators in the same state give the same object on every
grid over the same rectangle, so that measurements can be simulated on a finer grid.
"""

import numpy as np
import odl
from scipy.ndimage import gaussian_filter, map_coordinates

from odl_learned.data.ellipses import require_image_space
from odl_learned.validation import require_rng


def _coordinates(space):
    """Cell centers relative to the rectangle [-1, 1]^2 of the domain, and the larger cell side."""
    low, high = space.min_pt, space.max_pt
    points = [np.asarray(p, dtype=float) for p in space.meshgrid]
    x, y = np.broadcast_arrays(*(2 * (p - a) / (b - a) - 1 for p, a, b in zip(points, low, high)))
    return x, y, float(max(2 * space.cell_sides / (high - low)))


def _coverage(x, y, cell, center, axes, angle, bumps=()):
    """Share of each cell inside an ellipse whose radius is modulated by cosines.

    The level ``rho = 1`` of ``rho = |(s / a, t / b)| / (1 + sum_k c_k cos(k phi + p_k))`` has the
    distance ``(1 - rho) / |grad rho|``, up to terms of second order; bumps ``(k, c_k, p_k)``.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    s = cos * (x - center[0]) + sin * (y - center[1])
    t = -sin * (x - center[0]) + cos * (y - center[1])
    rho = np.maximum(np.hypot(s / axes[0], t / axes[1]), 1e-6)
    slope = np.hypot(s / axes[0] ** 2, t / axes[1] ** 2) / rho
    if bumps:
        phi = np.arctan2(t / axes[1], s / axes[0])
        rho = rho / (1 + sum(c * np.cos(k * phi + p) for k, c, p in bumps))
    return np.clip(0.5 + (1 - rho) / np.maximum(slope * cell, 1e-12), 0, 1)


def _texture(x, y, rng, sigma):
    """Gaussian-filtered white noise of standard deviation one, drawn on a fixed 128 x 128 grid."""
    noise = gaussian_filter(rng.standard_normal((128, 128)), sigma, mode="wrap")
    noise = (noise - noise.mean()) / noise.std()
    at = [63.5 * (x + 1), 63.5 * (y + 1)]
    return map_coordinates(noise, at, order=3, mode="grid-wrap")


def random_body(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    """Draw a phantom that looks like a slice of computed tomography or magnetic resonance.

    Opaque layers: skin and fat, muscle, organs of random soft contrasts, pockets of gas, ribs, a
    spine at the bottom, small bright vessels; times smooth texture at two scales. Edges carry the
    share of the cell that they cover.

    Parameters
    ----------
    space : odl.DiscretizedSpace, two-dimensional
        Real or complex; the body fills its rectangle. In complex spaces the values are real.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    phantom : element of ``space``
        Values in [0, 1], zero outside the body.

    Raises
    ------
    TypeError
        If the space is not a uniform space of images or ``rng`` is not a generator.
    """
    require_rng(rng)
    require_image_space(space)
    x, y, cell = _coordinates(space)

    def region(center, axes, angle=0.0, wobble=0.0):
        bumps = [(k, rng.normal(0, wobble) / k, rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)]
        return _coverage(x, y, cell, center, axes, angle, bumps if wobble else ())

    def inside(reach):
        """A random point of the body, and its direction from the center."""
        radius, phi = reach * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
        return center + radius * half * (np.cos(phi), np.sin(phi)), phi

    def paint(share, value):
        image[...] += share * (value - image)

    half = np.array([rng.uniform(0.78, 0.92), rng.uniform(0.6, 0.8)])
    center = rng.uniform(-0.04, 0.04, 2)
    bumps = [(k, rng.normal(0, 0.03) / k, rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4, 5)]
    body = _coverage(x, y, cell, center, half, 0.0, bumps)
    muscle = _coverage(x, y, cell, center, rng.uniform(0.84, 0.92) * half, 0.0, bumps)
    cavity = _coverage(x, y, cell, center, 0.76 * half, 0.0, bumps)
    image = np.zeros(space.shape)
    flesh = rng.uniform(0.38, 0.5)
    paint(body, rng.uniform(0.15, 0.26))
    paint(muscle, flesh)
    paint(cavity, flesh - rng.uniform(0.08, 0.16))

    for _ in range(rng.integers(6, 11)):
        contrast = rng.choice([-1, 1]) * rng.uniform(0.04, 0.2)
        share = region(inside(0.6)[0], rng.uniform(0.08, 0.32, 2), rng.uniform(0, np.pi), 0.12)
        paint(share * cavity, flesh + contrast)
    for _ in range(rng.integers(0, 3)):
        share = region(inside(0.5)[0], rng.uniform(0.04, 0.12, 2), rng.uniform(0, np.pi), 0.15)
        paint(share * cavity, rng.uniform(0.02, 0.1))
    ribs = rng.integers(7, 12)
    for phi in 2 * np.pi * (np.arange(ribs) + rng.random()) / ribs:
        spot = center + 0.8 * half * (np.cos(phi), np.sin(phi))
        share = region(spot, (rng.uniform(0.04, 0.08), rng.uniform(0.015, 0.025)), phi + np.pi / 2)
        paint(share * muscle, rng.uniform(0.75, 0.95))
    spine = center + half * (rng.uniform(-0.04, 0.04), -0.58)
    width = rng.uniform(0.1, 0.14)
    paint(region(spine, (width, 0.8 * width), 0.0, 0.05), rng.uniform(0.8, 0.92))
    paint(region(spine, (0.8 * width, 0.62 * width)), rng.uniform(0.6, 0.72))
    process = spine - (0, 1.25 * width)
    paint(region(process, (0.8 * width, 0.5 * width), 0.0, 0.2), rng.uniform(0.8, 0.92))
    paint(region(process + (0, 0.1 * width), (0.35 * width, 0.3 * width)), flesh)
    for _ in range(rng.integers(8, 16)):
        spot, _ = inside(0.7)
        axes = rng.uniform(0.008, 0.035) * np.array([1.0, rng.uniform(1, 1.8)])
        paint(region(spot, axes, rng.uniform(0, np.pi)) * cavity, rng.uniform(0.62, 0.8))

    fine, coarse = _texture(x, y, rng, 1.2), _texture(x, y, rng, 12.0)
    image *= 1 + 0.04 * fine + 0.05 * coarse
    image = np.clip(np.where(body > 0, image, 0), 0, 1)
    return space.element(image.astype(space.dtype_identifier))


def smooth_phase(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    """Draw a complex field of modulus one with a smooth phase, as of receiver coils.

    ``exp(i phi)``, ``phi = sum_k a_k cos(pi k_1 (x + 1) / 2) cos(pi k_2 (y + 1) / 2)`` over k in
    {0, 1, 2}^2, with normal ``a_k`` of standard deviation ``1 / (1 + |k|^2)``, scaled to ``sum_k
    |a_k| = pi``, so that ``|phi| <= pi`` and the phase does not wrap.

    Parameters
    ----------
    space : odl.DiscretizedSpace, two-dimensional
        Real or complex.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    phase : element of ``space.complex_space``

    Raises
    ------
    TypeError
        If the space is not a uniform space of images or ``rng`` is not a generator.
    """
    require_rng(rng)
    require_image_space(space)
    x, y, _ = _coordinates(space)
    k = np.arange(3)
    weight = rng.standard_normal((3, 3)) / (1 + k[:, None] ** 2 + k**2)
    weight *= np.pi / np.abs(weight).sum()
    along_x = np.cos(np.pi * k[:, None] * (x[:, 0] + 1) / 2)
    along_y = np.cos(np.pi * k[:, None] * (y[0] + 1) / 2)
    phase = np.exp(1j * (along_x.T @ weight @ along_y))
    target = space.complex_space
    return target.element(phase.astype(target.dtype_identifier))
