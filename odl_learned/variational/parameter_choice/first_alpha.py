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
from typing import Any, NamedTuple

import numpy as np
import odl
import scipy.fft

from odl_learned.odl_validation import require_element
from odl_learned.operators import gradient
from odl_learned.solvers import neumann_laplacian
from odl_learned.solvers.checks import require_forward_operator
from odl_learned.validation import require_finite, require_rng
from odl_learned.variational.parameter_choice.noise import noise_levels, probe
from odl_learned.weights import constant_weight

#: Of tomography, magnetic resonance, deblurring and denoising of real images, see
#: docs/choosing_alpha.md: the best ones were between 0.13 and 1.
KAPPA = 0.5


def first_alpha(forward_op: odl.Operator, noise_level: Any,
                rng: np.random.Generator | None = None) -> float:  # fmt: skip
    r"""Return a parameter of total variation to start from, for white noise in the data.

    .. math:: \alpha = \kappa \, h \, \frac{|A^* \eta|_X}{|1|_X}, \qquad \kappa = 0.5,

    with the geometric mean ``h`` of the sides of a pixel and noise ``eta`` of random signs. It is
    usually within a factor of three of the best one for total variation, and of the one for its
    generalization, and changes with units, cell volumes, weights and the norm of ``A`` as the
    parameter has to.

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
    _require_pixels(X)
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


class AlphaBounds(NamedTuple):
    """Bounds of the smallest parameter whose minimizer is constant."""

    lower: float
    upper: float


# A constant c is a minimizer iff A*(A c - y) = div q for some |q| <= alpha, div = -grad*. With the
# best constant, v = A*(y - A c) has the mean zero, and the smallest alpha is
#     min { |q|_oo : grad* q = v } = max { <v, u> : int |grad u| <= 1 } .
# On the left, q = grad (grad* grad)^+ v is feasible, an upper bound; on the right any u is a lower
# one: v, the potential of q, and level sets of the potential.
def constant_alpha(forward_op: odl.Operator, data: Any) -> AlphaBounds:
    r"""Bound the smallest parameter for which total variation makes the image constant.

    .. math:: \alpha_{\max} = \min \{ |q|_\infty : \nabla^* q = A^* (y - A c) \}
              = \max_u \frac{\langle A^* (y - A c), u \rangle}{\int |\nabla u|},

    with the constant ``c`` that fits best. The upper bound is the field of least squares, the lower
    one the best of a few images. Larger parameters all give the constant image.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A``, from a ``uniform_discr`` space with a constant weight.
    data : element of ``forward_op.range``
        ``y``.

    Returns
    -------
    bounds : AlphaBounds
        ``lower <= alpha_max <= upper``; both zero for data of a constant image.

    Raises
    ------
    TypeError
        If the operator is not linear or without adjoint, acts on no such space, or the data do not
        belong to its range.
    """
    require_forward_operator(forward_op)
    X = forward_op.domain
    _require_pixels(X)
    constant_weight("forward_op.domain", X)
    require_element("data", data, forward_op.range)
    one = forward_op(X.one())
    size = float(one.norm()) ** 2
    residual = data
    if size > 0:
        c = data.inner(one) / size if not X.is_real else float(np.real(data.inner(one))) / size
        residual = data - c * one
    v = forward_op.adjoint(residual)
    require_finite("forward_op.adjoint(data)", v.data)
    v = v - X.element(np.full(X.shape, np.mean(v.data), X.dtype))
    potential = _inverse_laplacian(v)
    grad = gradient(X)
    upper = float(np.sqrt(_squares(grad(potential)).max(initial=0.0)))
    lower = 0.0
    for u in (v, potential, *_level_sets(potential)):
        variation = float(X.one().norm()) ** 2 / X.size * float(np.sqrt(_squares(grad(u))).sum())
        if variation > 0:
            lower = max(lower, float(np.real(v.inner(u))) / variation)
    return AlphaBounds(min(lower, upper), upper)


def _level_sets(u):
    """Images of two values, zero and one: by the formula of the coarea, some of them are best."""
    real = np.asarray(u.data).real
    for level in np.quantile(real, (0.05, 0.2, 0.5, 0.8, 0.95)):
        yield u.space.element((real > level).astype(u.space.dtype))


def _squares(field):
    return sum(np.abs(part.data).astype(np.float64) ** 2 for part in field)


def _inverse_laplacian(v):
    """``(grad* grad)^+ v``, in cosines."""
    symbol = neumann_laplacian(v.space.shape, tuple(map(float, v.space.cell_sides)))
    inverse = np.divide(1.0, symbol, out=np.zeros(v.space.shape), where=symbol > 0)

    def solved(array):
        return scipy.fft.idctn(inverse * scipy.fft.dctn(array, norm="ortho"), norm="ortho")

    array = np.asarray(v.data)
    if np.iscomplexobj(array):
        result = solved(array.real.astype(float)) + 1j * solved(array.imag.astype(float))
    else:
        result = solved(array.astype(float))
    return v.space.element(result.astype(array.dtype))


def _pixel(space):
    """The geometric mean of the sides of a pixel along axes with more than one."""
    sides = [h for h, n in zip(space.cell_sides, space.shape) if n > 1]
    return float(np.prod(sides) ** (1 / len(sides))) if sides else 1.0


def _require_pixels(space):
    if not isinstance(space, odl.DiscretizedSpace):
        raise TypeError(f"forward_op.domain is {space!r}; expected a uniform_discr space, where "
                        "images have a gradient and total variation.")
