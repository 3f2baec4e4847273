"""White noise in the space of the data: how large it is, and how it looks."""

import math

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_array_spaces, require_element, shown
from odl_learned.validation import require_nonnegative
from odl_learned.weights import component_weights, entry_weights


def white_noise_norm(space: odl.LinearSpace, noise_level: float | LinearSpaceElement) -> float:
    r"""Return the root of the mean squared norm of white noise in a space.

    .. math:: \sqrt{\mathbb{E} |\eta|_Y^2} = \sqrt{c \sum_j w_j \sigma_j^2}, \qquad
              |\eta|_Y^2 = \sum_j w_j |\eta_j|^2,

    with ``c = 1`` for real entries and ``c = 2`` for complex ones, whose real and imaginary parts
    have the standard deviation ``sigma`` each, as of `data.add_white_noise`. Whatever the weights,
    ``|A x - y|`` of the true image is this number up to about ``1 / sqrt(2 n)`` of it.

    Parameters
    ----------
    space : odl tensor space, odl.DiscretizedSpace or odl.ProductSpace
        Of the data, such as ``forward_op.range``; exponent 2.
    noise_level : float or element of the space
        Standard deviation ``sigma`` in the unit of the data, nonnegative; an element has one for
        each entry, zero where nothing is measured.

    Returns
    -------
    norm : float

    Raises
    ------
    TypeError
        If the inner product of the space is no weighted sum, or the noise level neither a number
        nor an element of the space.
    ValueError
        If a noise level is negative or not finite.
    """
    require_array_spaces("space", space)
    levels = noise_levels(space, noise_level)
    return math.sqrt(_mean_square(space, levels))


def noise_levels(space, noise_level):
    """Return standard deviations as an element of the space, from one number or an element."""
    if hasattr(noise_level, "space"):
        require_element("noise_level", noise_level, space)
        _require_levels(noise_level)
        return noise_level
    require_nonnegative("noise_level", noise_level)
    return float(noise_level) * space.one()


def _require_levels(levels):
    if isinstance(levels.space, odl.ProductSpace):
        for part in levels:
            _require_levels(part)
        return
    array = np.asarray(levels.data)
    if not (np.isfinite(array).all() and (array.imag == 0).all() and (array.real >= 0).all()):
        raise ValueError(
            f"noise_level is {shown(levels)}; expected finite standard deviations of at least "
            "zero, one for each entry of the data."
        )


def _mean_square(space, levels):
    """``E |eta|^2`` of noise with these standard deviations."""
    if isinstance(space, odl.ProductSpace):
        return sum(weight * _mean_square(part, level) for weight, part, level in zip(
            component_weights(space), space, levels, strict=True))  # fmt: skip
    squares = np.abs(np.asarray(levels.data)).astype(np.float64) ** 2
    return (1 if space.is_real else 2) * float(np.sum(entry_weights(space) * squares))


# The norm of a probe is exactly the mean one of the noise: less variance than with normal noise
# (Hutchinson, M. F. A stochastic estimator of the trace of the influence matrix. Commun. Stat.
# Simul. Comput. 19 (1990)).
def probe(space, levels, rng):
    """Return noise of random signs, ``sigma`` or ``-sigma`` in every real entry.

    Parameters
    ----------
    space : odl space
    levels : element of the space
        ``sigma``.
    rng : numpy.random.Generator
    """
    if isinstance(space, odl.ProductSpace):
        return space.element([probe(part, level, rng)
                              for part, level in zip(space, levels, strict=True)])
    signs = rng.choice([-1.0, 1.0], space.shape)
    if not space.is_real:
        signs = signs + 1j * rng.choice([-1.0, 1.0], space.shape)
    return space.element((np.asarray(levels.data).real * signs).astype(levels.data.dtype))
