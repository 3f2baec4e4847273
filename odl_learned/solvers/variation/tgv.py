"""Total generalized variation: denoising, value and gradient up to a certified duality gap."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from array_api_compat import array_namespace
from odl.core.set.space import LinearSpaceElement

from odl_learned.solvers.solution import Solution
from odl_learned.solvers.types import Image, Numbers, Point
from odl_learned.solvers.variation.denoising import SAFE, denoise, joined, split
from odl_learned.solvers.variation.denoising_input import images_of
from odl_learned.solvers.variation.denoising_units import affine, unit_of
from odl_learned.solvers.variation.denoising_weights import parameters, radii
from odl_learned.solvers.variation.tgv_iteration import FixedImage, PrimalDual
from odl_learned.validation import require_positive
from odl_learned.weights import constant_weight


def tgv_denoising(
    data: Image,
    alpha: Numbers | LinearSpaceElement,
    beta: Numbers | LinearSpaceElement,
    accuracy: float = 1e-3,
    maxiter: int = 20000,
    cell_sides: Sequence[float] | np.ndarray | None = None,
    callback: Callable[[], object] | None = None,
) -> Solution[Image]:
    r"""Denoise images by total generalized variation of second order.

    .. math:: \hat u = \text{argmin}_u \min_v \; \tfrac12 |u - y|^2
              + \alpha \int |\nabla u - v|_2 + \alpha \beta \int |E v|_2

    with the differences of `operators.gradient` and `operators.SymmetrizedGradient`; parameters of
    pixels are inside of the integrals. Stops, runs and returns as `rof` does. The dual variable ``q
    = E* r`` is feasible by construction: ``r`` is scaled down until ``|q| <= alpha``.

    Parameters
    ----------
    data, alpha, accuracy, maxiter, cell_sides, callback
        As of `rof`.
    beta : float, or array or element with a number per pixel
        Ratio of the two weights, positive, in units of length; usually one to a few pixels.

    Returns
    -------
    solution : Solution
        As of `rof`; ``dual`` is ``q`` with ``|q| <= alpha`` and ``u ~ y - grad* q``, and ``field``
        is ``v``, for which ``gap`` bounds the joint objective. Where ``alpha`` is too small to
        change the data by more than rounding, ``field`` is zero and ``gap`` that of ``u`` alone.

    Raises
    ------
    TypeError, ValueError
        As `rof` does.

    References
    ----------
    Bredies, K., Kunisch, K. and Pock, T. Total Generalized Variation. SIAM J. Imaging Sci. 3
    (2010). Chambolle, A. and Pock, T. A first-order primal-dual algorithm for convex problems with
    applications to imaging. J. Math. Imaging Vis. 40 (2011), Algorithm 1.
    """
    images = images_of(data, alpha, accuracy, maxiter, cell_sides)
    shape = tuple(images.batch.shape)
    ratio, ratios = parameters("beta", beta, shape, one_per_sample=False)
    side = min(images.sides)
    weights, own, bends = [side / h for h in images.sides], images.weights, None
    if own is not None or ratios is not None:
        own, ratios = (np.ones(shape) if w is None else w for w in (own, ratios))
        bends = own * ratios * (ratio / side).reshape(-1, *[1] * (len(shape) - 1))

    def start(y, stability, where):
        xp = array_namespace(y)
        return PrimalDual(y, weights, (ratio / side).max(initial=0), stability,
                          radii(xp, own, where, y), radii(xp, bends, where, y))  # fmt: skip

    found = denoise(start, images.batch, images.alpha / side, affine, 2 * sum(weights), accuracy,
                    maxiter, callback)  # fmt: skip
    field = 0 * found.dual if found.field is None else found.field / side
    return images.solution(found._replace(dual=side * found.dual, field=field))


def tgv_value(
    u: Point,
    beta: float,
    accuracy: float = 1e-3,
    maxiter: int = 20000,
    cell_sides: Sequence[float] | np.ndarray | None = None,
) -> float | np.ndarray:
    r"""Return the total generalized variation of images.

    .. math:: \min_v \int |\nabla u - v|_2 + \beta \int |E v|_2

    from above, at most ``accuracy`` times the total variation too large: by the iterations of
    `tgv_denoising` with a fixed image, until their duality gap proves it, or to ``maxiter``.

    Parameters
    ----------
    u : element of a ``uniform_discr`` space, or array of shape ``shape`` or ``(size, *shape)``
    beta, accuracy, maxiter, cell_sides
        As of `tgv_denoising`.

    Returns
    -------
    value : float, or numpy.ndarray of shape ``(size,)``
        Integrals of arrays are sums over pixels times the volume of a pixel.

    Raises
    ------
    TypeError, ValueError
        As `tgv_denoising` does.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import solvers
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> u = X.zero()
    >>> u.data[3:5, 3:5] = 1
    >>> value = solvers.tgv_value(u, beta=1.0, accuracy=1e-3)
    >>> p = solvers.tgv_gradient(u, beta=1.0, accuracy=1e-3)
    >>> print(f"{value:.2f} {u.inner(p):.2f}")  # the same, of degree one
    7.41 7.41
    """
    require_positive("beta", beta)
    images = images_of(u, 1.0, accuracy, maxiter, cell_sides)
    side = min(images.sides)
    weights = [side / h for h in images.sides]
    values = [_minimal(image, weights, beta / side, accuracy, maxiter)[0]
              for image in split(images.batch)]  # fmt: skip
    volume = math.prod(images.sides)
    if hasattr(u, "space"):
        volume = constant_weight("the space of u", u.space)
    return images.numbers(volume / side * np.array(values, dtype=float))


def tgv_gradient(
    u: LinearSpaceElement, beta: float, accuracy: float = 1e-3, maxiter: int = 20000
) -> LinearSpaceElement:
    r"""Return the gradient of `tgv_value` at an element, ``grad* q`` with the dual solution ``q``.

    By Danskin's theorem it is the gradient wherever there is one, as accurate as ``q``.

    Parameters
    ----------
    u : element of a ``uniform_discr`` space
    beta, accuracy, maxiter
        As of `tgv_value`.

    Returns
    -------
    slope : element of the same space
    """
    require_positive("beta", beta)
    if not hasattr(u, "space"):
        raise TypeError(f"u is a {type(u).__name__}, expected an element of a uniform_discr space.")
    images = images_of(u, 1.0, accuracy, maxiter, None)
    side = min(images.sides)
    weights = [side / h for h in images.sides]
    (image,) = split(images.batch)
    slope = _minimal(image, weights, beta / side, accuracy, maxiter)[1]
    return u.space.element(joined(np, slope / side, images.batch)[0])


# R(c u) = c R(u): divided by the mean length of its gradient, every image needs the same steps. To
# find this length without underflow, the image is divided by a power of two near its largest value.
def _minimal(image, weights, beta, accuracy, maxiter):
    """The least value for one image of shape ``(1, channels, *shape)``, and its slope."""
    unit = unit_of(array_namespace(image), image).item()
    image = image / unit
    state = FixedImage(image, weights, beta, SAFE)
    variation = state.measure()[1].item()
    if variation == 0:
        return 0.0, 0 * image
    scale = variation / math.prod(image.shape[2:])
    state, best, check = FixedImage(image / scale, weights, beta, SAFE), variation / scale, 10
    goal, k = accuracy * variation / scale, 0
    while True:
        ahead = min(check, maxiter) - k
        state.advance(ahead)
        k += ahead
        gap, value, _ = (number.item() for number in state.measure())
        best, check = min(best, value), k + max(10, k // 5)
        if gap <= goal or k == maxiter:
            break
    return unit * scale * best, state.slope()
