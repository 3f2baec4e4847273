r"""A first parameter of total variation, from the noise and the operator alone.

Near a minimizer of ``1/2 |A u - y|^2 + alpha int |grad u|`` the equation

    A* (A u - y) = div q,   |q| <= alpha,

says which noise is removed: what of ``A* eta`` is a divergence of fields no longer than ``alpha``.
At the scale of a pixel of side ``h``, divergences of such fields are about ``alpha / h``. So

    alpha = kappa h rms(A* eta),   rms(v) = |v|_X / |1|_X,

which has the unit of ``alpha``: it is multiplied by what ``alpha`` has to be multiplied by when
lengths, weights of the data, the operator or the unit of the image change, so that the minimizer
stays the same.
"""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.solvers.checks import require_forward_operator
from odl_learned.validation import require_rng
from odl_learned.variational.parameter_choice.noise import noise_levels, probe

#: The best ones for fifteen measurements of real images were between 0.04 and 1, most of them
#: between 0.15 and 0.7, see docs/choosing_alpha.md.
KAPPA = 0.5


def first_alpha(
    forward_op: odl.Operator,
    noise_level: float | LinearSpaceElement,
    rng: np.random.Generator | None = None,
) -> float:
    r"""Return a parameter of total variation to start from, for white noise in the data.

    .. math:: \alpha = \kappa \, h \, \frac{|A^* \eta|_X}{|1|_X}, \qquad \kappa = 0.5,

    with the geometric mean ``h`` of the sides of a pixel and noise ``eta`` of random signs. It was
    within a factor of three of the best one for total variation in eleven of fifteen problems, and
    changes with units, cell volumes, weights and the norm of ``A`` as the parameter has to.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A``, from a ``uniform_discr`` space.
    noise_level : float or element of ``forward_op.range``
        Standard deviation of the noise, positive, as for `white_noise_norm`.
    rng : numpy.random.Generator, optional
        Source of the signs. By default they are fixed.

    Returns
    -------
    alpha : float

    Raises
    ------
    TypeError
        If the operator is not linear or without adjoint, or acts on no discretization.
    ValueError
        If the noise level is not positive, or the adjoint removes all noise.
    """
    require_forward_operator(forward_op)
    X, Y = forward_op.domain, forward_op.range
    require_pixels(X)
    rng = np.random.default_rng(0) if rng is None else rng
    require_rng(rng)
    noise = probe(Y, noise_levels(Y, noise_level), rng)
    size = float(forward_op.adjoint(noise).norm()) / float(X.one().norm())
    alpha = KAPPA * _pixel(X) * size
    if not (math.isfinite(alpha) and alpha > 0):
        raise ValueError(
            f"noise_level is {noise_level!r} and the adjoint of forward_op makes noise of the size "
            f"{size} of it; expected both to be positive and finite. Without noise there is nothing"
            " to choose a parameter by; take the noise that you expect."
        )
    return alpha


def _pixel(space):
    """The geometric mean of the sides of a pixel along axes with more than one."""
    sides = [h for h, n in zip(space.cell_sides, space.shape) if n > 1]
    return float(np.prod(sides) ** (1 / len(sides))) if sides else 1.0


def require_pixels(space):
    """Raise TypeError unless images of the space have a gradient."""
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(f"forward_op.domain is {space!r}; expected a uniform_discr space, where "
                        "images have a gradient and total variation.")
