"""Total generalized variation: denoising, value and gradient up to a certified duality gap."""

import math

import numpy as np

from odl_learned.solvers.denoising import (
    SAFE,
    checked,
    denoise,
    joined,
    of_element,
    require_grid,
    split,
)
from odl_learned.solvers.tgv_iteration import FixedImage, PrimalDual
from odl_learned.validation import require_positive
from odl_learned.weights import constant_weight


def tgv_denoising(data, alpha, beta, accuracy=1e-3, maxiter=20000, cell_sides=None, callback=None):
    r"""Denoise images by total generalized variation of second order.

    .. math:: \hat u = \text{argmin}_u \min_v \; \tfrac12 |u - y|^2
              + \alpha \int |\nabla u - v|_2 + \alpha \beta \int |E v|_2

    with the differences of `operators.gradient` and `operators.SymmetrizedGradient`. Stops, runs
    and returns as `rof` does. The dual variable ``q = E* r`` is feasible by construction: ``r`` is
    scaled down until ``|q| <= alpha``.

    Parameters
    ----------
    data, alpha, accuracy, maxiter, cell_sides, callback
        As of `rof`.
    beta : float
        Ratio of the two weights, positive, in units of length; usually one to a few pixels.

    Returns
    -------
    solution : Solution
        As of `rof`; ``dual`` is ``q`` with ``|q| <= alpha`` and ``u ~ y - grad* q``.

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
    require_positive("beta", beta)
    if hasattr(data, "space"):
        require_grid(data.space)
        sides, values = data.space.cell_sides, data.data[None, ...]
        found = tgv_denoising(values, alpha, beta, accuracy, maxiter, sides, callback)
        return of_element(found, data.space)
    alpha, sides = checked(data, alpha, accuracy, maxiter, cell_sides)
    side = min(sides)
    weights = [side / h for h in sides]

    def start(y, stability):
        return PrimalDual(y, weights, beta / side, stability)

    found = denoise(start, data, alpha / side, accuracy, maxiter, callback)
    return found._replace(dual=side * found.dual)


def tgv_value(u, beta, accuracy=1e-3, maxiter=20000, cell_sides=None):
    r"""Return the total generalized variation of images.

    .. math:: \min_v \int |\nabla u - v|_2 + \beta \int |E v|_2

    from above, at most ``accuracy`` times the total variation too large: by the iterations of
    `tgv_denoising` with a fixed image, until their duality gap proves it, or to ``maxiter``.

    Parameters
    ----------
    u : element of a ``uniform_discr`` space, or array of shape ``(size, *shape)``
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
    """
    require_positive("beta", beta)
    if hasattr(u, "space"):
        require_grid(u.space)
        sides = u.space.cell_sides
        value = tgv_value(u.data[None, ...], beta, accuracy, maxiter, sides).item()
        return constant_weight("the space of u", u.space) / math.prod(sides) * value
    _, sides = checked(u, 1.0, accuracy, maxiter, cell_sides)
    side = min(sides)
    weights = [side / h for h in sides]
    values = [_minimal(image, weights, beta / side, accuracy, maxiter)[0] for image in split(u)]
    return math.prod(sides) / side * np.array(values, dtype=float)


def tgv_gradient(u, beta, accuracy=1e-3, maxiter=20000):
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
    require_grid(u.space)
    _, sides = checked(u.data[None, ...], 1.0, accuracy, maxiter, u.space.cell_sides)
    side = min(sides)
    weights = [side / h for h in sides]
    (image,) = split(u.data[None, ...])
    slope = _minimal(image, weights, beta / side, accuracy, maxiter)[1]
    return u.space.element(joined(np, slope / side, u.data[None, ...])[0])


# R(c u) = c R(u): divided by the mean length of its gradient, every image needs the same steps.
def _minimal(image, weights, beta, accuracy, maxiter):
    """The least value for one image of shape ``(1, channels, *shape)``, and its slope."""
    state = FixedImage(image, weights, beta, SAFE)
    variation = state.measure()[1].item()
    if variation == 0:
        return 0.0, 0 * image
    scale = variation / math.prod(image.shape[2:])
    state, best, check = FixedImage(image / scale, weights, beta, SAFE), variation / scale, 10
    goal = accuracy * variation / scale
    for k in range(maxiter + 1):
        if k == check or k == maxiter:
            gap, value = (number.item() for number in state.measure())
            best, check = min(best, value), k + max(10, k // 5)
            if gap <= goal:
                break
        state.step()
    return scale * best, state.slope()
