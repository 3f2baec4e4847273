"""Total variation denoising up to a certified duality gap."""

from collections.abc import Callable, Sequence

import numpy as np
from array_api_compat import array_namespace
from odl.core.set.space import LinearSpaceElement

from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import Image, Numbers
from odl_learned.solvers.variation.denoising import denoise
from odl_learned.solvers.variation.denoising_input import images_of
from odl_learned.solvers.variation.denoising_units import mean
from odl_learned.solvers.variation.denoising_weights import radii
from odl_learned.solvers.variation.rof_sweeps import iteration
from odl_learned.validation import is_finite_number


def rof(
    data: Image,
    alpha: Numbers | LinearSpaceElement,
    accuracy: float = 1e-4,
    maxiter: int = 10000,
    exponent: int = 2,
    cell_sides: Sequence[float] | np.ndarray | None = None,
    callback: Callable[[], object] | None = None,
) -> Solution[Image]:
    r"""Denoise images by total variation, after Rudin, Osher and Fatemi.

    .. math:: \hat x = \text{argmin}_x \; \tfrac12 |x - y|^2 + \alpha \int |\nabla x|_p

    with forward differences and Neumann's boundary, as of `operators.gradient`. The iterations stop
    when the duality gap proves that the objective is at most ``1 + accuracy`` times its minimum.
    ODL elements and batches of arrays (numpy or torch, on any device) run through the same
    operations; every sample of a batch stops by itself and, on the CPU, has the bits it has alone.

    Parameters
    ----------
    data : element of a ``uniform_discr`` space, or array of shape ``shape`` or ``(size, *shape)``
        Noisy images ``y``, real or complex, in single or double precision. Of plain arrays,
        ``cell_sides`` says how many axes are those of an image; an axis before them counts the
        samples of a batch.
    alpha : float, array of shape ``(size,)``, or array or element with a number per pixel
        Regularization parameters, positive; those of pixels multiply the length of the gradient
        there, ``int alpha |grad x|_p``, and differ by a factor of at most ``1e6``.
    accuracy : float, optional
        Relative accuracy of the objective, positive; below about ``1e-6`` only in double precision.
        Where the minimum is tiny, ``accuracy ** 2`` times the objective of the constant image is
        enough, which makes ``error_bound`` at most ``accuracy`` times the norm of ``y``.
    maxiter : int, optional
        Largest number of iterations.
    exponent : {2, 1}, optional
        Pointwise norm of the gradient: 2 is isotropic, 1 anisotropic.
    cell_sides : sequence of float
        Of arrays: lengths of the sides of a pixel, one for every axis of an image, such as ``(1,
        1)`` for images in the plane. ODL elements bring their own.
    callback : callable, optional
        Called without arguments after each sweep through a group of samples.

    Returns
    -------
    solution : Solution
        ``gap`` bounds the distance of the objective to its minimum and ``error_bound = sqrt(2
        gap)`` that of ``x`` to the minimizer, in the norm of the space (Euclidean for arrays), up
        to rounding. ``dual`` is the field ``p`` with ``|p| <= alpha`` in every pixel and ``x ~ y -
        grad* p``, in ``X ** d`` or of shape ``(size, d, *shape)``. ``reason`` is ``"accuracy"`` or
        ``"maxiter"``.

    Raises
    ------
    TypeError
        If the data is neither an element of a uniform discretization of constant weight nor an
        array of floats.
    ValueError
        If a parameter is out of bounds, the data not finite or too large to be squared, or an array
        comes without ``cell_sides``.

    References
    ----------
    Rudin, L., Osher, S. and Fatemi, E. Nonlinear total variation based noise removal algorithms.
    Physica D 60 (1992). Chambolle, A. and Pock, T. A first-order primal-dual algorithm for convex
    problems with applications to imaging. J. Math. Imaging Vis. 40 (2011), Algorithm 2.
    """
    if not is_finite_number(exponent) or exponent not in (1, 2):
        raise ValueError(f"exponent is {exponent!r}, expected 2 (isotropic) or 1 (anisotropic).")
    images = images_of(data, alpha, accuracy, maxiter, cell_sides)
    side = min(images.sides)
    weights = [side / h for h in images.sides]

    def start(y, stability, where):
        radius = radii(array_namespace(y), images.weights, where, y)
        return iteration(y, weights, exponent, stability, radius)

    found = denoise(start, images.batch, images.alpha / side, mean, 2 * sum(weights), accuracy,
                    maxiter, callback)  # fmt: skip
    return images.solution(found._replace(dual=side * found.dual))
