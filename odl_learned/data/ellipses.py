"""Random ellipses after two published protocols, and the spaces that phantoms are drawn in."""

import numpy as np
import odl

from odl_learned.validation import require_rng


def require_image_space(space):
    """Raise TypeError unless this is a uniform space of images with floating-point values."""
    if not (isinstance(space, odl.DiscretizedSpace) and space.ndim == 2 and space.is_uniform):
        raise TypeError(
            f"space is {space!r}, expected a two-dimensional uniformly discretized space; "
            "build it with odl.uniform_discr([-1, -1], [1, 1], (256, 256), dtype='float32'); "
            "random_ellipsoids and random_trunk draw volumes."
        )
    if space.dtype.kind not in "fc":
        raise TypeError(
            f"space has dtype {space.dtype}, whole numbers, to which gray values would be rounded; "
            "expected floating point, such as dtype='float32'."
        )


def random_ellipses(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    """Draw the random ellipses of Adler and Oktem.

    A sum of Poisson(50) ellipses on the square [-1, 1]^2: value ``(U - 1/2) Exp(0.4)``, semi-axes
    ``0.2 Exp(1)``, center ``U[-1, 1]^2``, angle ``U[0, 2 pi]``. As in the original, nothing is
    clipped: about half of the ellipses are negative, and so are many values of the sum.

    Parameters
    ----------
    space : odl.DiscretizedSpace, two-dimensional
        Real or complex; the centers of its outermost cells are at -1 and 1 of the square. In
        complex spaces the values are real.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    phantom : element of ``space``

    Raises
    ------
    TypeError
        If the space is not a uniform space of images or ``rng`` is not a generator.

    Notes
    -----
    Adler and Oktem (2018), "Learned primal-dual reconstruction", IEEE Trans. Med. Imaging 37,
    section IV-A; the distribution is that of their published code.
    """
    require_rng(rng)
    require_image_space(space)
    n = rng.poisson(50)
    value = (rng.random(n) - 0.5) * rng.exponential(0.4, n)
    axes = 0.2 * rng.exponential(1.0, (n, 2))
    center = rng.uniform(-1, 1, (n, 2))
    angle = rng.uniform(0, 2 * np.pi, n)
    ellipses = np.column_stack([value, axes, center, angle])
    return odl.phantom.ellipsoid_phantom(space, ellipses.tolist())


def dival_ellipses(
    space: odl.DiscretizedSpace, rng: np.random.Generator
) -> odl.DiscretizedSpaceElement:
    """Draw the random ellipses of the library dival, scaled to [0, 1].

    A sum of min(70, Poisson(40)) ellipses on the square [-1, 1]^2: value ``U[-0.4, 1]``, center
    ``U[-0.9, 0.9]^2``, semi-axes ``0.2 Exp(1)``, angle ``U[0, 2 pi]``. Then the smallest value of
    the image is taken off all pixels that are not zero, and the image is divided by its largest.

    Parameters
    ----------
    space : odl.DiscretizedSpace, two-dimensional
        Real or complex; the centers of its outermost cells are at -1 and 1 of the square. In
        complex spaces the values are real.
    rng : numpy.random.Generator
        Source of randomness. On other grids the same ellipses are drawn; extremes that a grid
        misses change the scale a little.

    Returns
    -------
    phantom : element of ``space``

    Raises
    ------
    TypeError
        If the space is not a uniform space of images or ``rng`` is not a generator.

    Notes
    -----
    Leuschner, Schmidt, Baguer, Maass (2021), LoDoPaB-CT, and the library dival; used by Baguer,
    Leuschner, Schmidt (2020), "Computed tomography reconstruction using deep image prior and
    learned reconstruction methods", Inverse Problems 36, section 5.1.
    """
    require_rng(rng)
    require_image_space(space)
    value, center = rng.uniform(-0.4, 1, 70), rng.uniform(-0.9, 0.9, (70, 2))
    axes, angle = 0.2 * rng.exponential(1, (70, 2)), rng.uniform(0, 2 * np.pi, 70)
    number = max(1, min(rng.poisson(40), 70))
    ellipses = np.column_stack([value, axes, center, angle])[:number].tolist()
    image = np.array(odl.phantom.ellipsoid_phantom(space, ellipses).asarray())
    image[image != 0] -= image.real.min()
    largest = image.real.max()
    return space.element(image / largest if largest > 0 else image)
