"""From which parameter on images are constant, or zero."""

from typing import NamedTuple

import numpy as np
import odl
import scipy.fft
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_element, require_operator
from odl_learned.operators import OrthogonalWavelet, gradient
from odl_learned.solvers import neumann_laplacian
from odl_learned.solvers.checks import require_forward_operator
from odl_learned.validation import require_finite
from odl_learned.variational.parameter_choice.first_alpha import require_pixels
from odl_learned.weights import constant_weight


class AlphaBounds(NamedTuple):
    """Bounds of the smallest parameter whose minimizer is constant."""

    lower: float
    upper: float


# A constant c is a minimizer iff A*(A c - y) = div q for some |q| <= alpha, div = -grad*. With the
# best constant, v = A*(y - A c) has the mean zero, and the smallest alpha is
#     min { |q|_oo : grad* q = v } = max { <v, u> : int |grad u| <= 1 } .
# On the left, q = grad (grad* grad)^+ v is feasible, an upper bound; on the right any u is a lower
# one: v, the potential of q, and level sets of the potential.
def constant_alpha(forward_op: odl.Operator, data: LinearSpaceElement) -> AlphaBounds:
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

    Examples
    --------
    >>> import odl
    >>> from odl_learned import solvers
    >>> from odl_learned.variational import parameter_choice
    >>> X = odl.uniform_discr([0, 0], [16, 16], (16, 16))
    >>> y = odl.phantom.shepp_logan(X, modified=True)
    >>> bounds = parameter_choice.constant_alpha(odl.IdentityOperator(X), y)
    >>> isinstance(bounds, parameter_choice.AlphaBounds)
    True
    >>> print(f"{bounds.lower:.2f} {bounds.upper:.2f}")
    0.32 0.70
    >>> for alpha in (0.5 * bounds.lower, bounds.upper):
    ...     print(f"{solvers.rof(y, alpha, 1e-6).x.data.std():.4f}")
    ...
    0.0886
    0.0000
    """
    require_forward_operator(forward_op)
    X = forward_op.domain
    require_pixels(X)
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


# Zero is a minimizer iff A* y = alpha W* c for some |c_j| <= 1, since the weights of images and of
# coefficients are the same.
def zero_alpha(
    forward_op: odl.Operator, data: LinearSpaceElement, transform: OrthogonalWavelet
) -> float:
    r"""Return the smallest parameter for which the penalty of wavelets makes the image zero.

    .. math:: \alpha_{\max} = \max_j |(W A^* y)_j|, \qquad
              0 \in \text{argmin}_u \tfrac12 |A u - y|^2 + \alpha |W u|_1
              \iff \alpha \ge \alpha_{\max},

    with `functionals.WaveletL1` as the penalty.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A``.
    data : element of ``forward_op.range``
        ``y``.
    transform : operators.OrthogonalWavelet
        ``W``, on the domain of ``A``.

    Returns
    -------
    alpha : float

    Raises
    ------
    TypeError
        If the operator is not linear or without adjoint, or spaces do not match.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals, operators
    >>> from odl_learned.variational import parameter_choice
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8))
    >>> y, W = odl.phantom.shepp_logan(X, modified=True), operators.OrthogonalWavelet(X, "haar", 2)
    >>> alpha = parameter_choice.zero_alpha(odl.IdentityOperator(X), y, W)
    >>> denoise = functionals.WaveletL1(X, "haar", 2).proximal
    >>> print(denoise(alpha)(y).norm() < 1e-12, denoise(0.99 * alpha)(y).norm() > 0)
    True True
    """
    require_forward_operator(forward_op)
    require_element("data", data, forward_op.range)
    require_operator("transform", transform, OrthogonalWavelet,
                     "build it with operators.OrthogonalWavelet(forward_op.domain, 'db4', 3).")
    back = forward_op.adjoint(data)
    require_finite("forward_op.adjoint(data)", back.data)
    require_element("forward_op.adjoint(data)", back, transform.domain)
    return float(np.abs(transform(back).data).max(initial=0.0))


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
