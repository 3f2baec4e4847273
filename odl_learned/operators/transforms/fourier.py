"""Subsampled Fourier transform, the forward operator of magnetic resonance imaging."""

import numpy as np
import odl
import scipy.fft
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import require_operator
from odl_learned.validation import require_finite, require_real, require_shape
from odl_learned.weights import constant_weight


def _complex_weight(name, space):
    """Return the constant weight of the inner product of a complex numpy space."""
    if not isinstance(space, (odl.DiscretizedSpace, odl.core.space.base_tensors.TensorSpace)):
        raise TypeError(
            f"{name} is {space!r}; expected a complex uniform_discr or cn space, "
            "not a product space or a field."
        )
    if not np.issubdtype(space.dtype, np.complexfloating) or space.impl != "numpy":
        raise TypeError(
            f"{name} has dtype {space.dtype} and impl {space.impl!r}, expected a complex numpy "
            "space; build it with odl.uniform_discr(..., dtype='complex64')."
        )
    return constant_weight(name, space)


class SampledFourier(odl.Operator):
    r"""Centered unitary Fourier transform, multiplied by sampling weights.

    .. math:: A = S F, \qquad F = \text{fftshift} \circ \text{fftn} \circ \text{ifftshift},

    where ``S`` is the pointwise multiplication by ``weights`` and ``fftn`` runs over all axes with
    the orthonormal scaling. The zero frequency is at index ``n // 2`` of each axis. With the
    default range, ``F`` is unitary. For any constant weights of the inner products,

    .. math:: A^* = \frac{w_Y}{w_X} F^{-1} S .

    Parameters
    ----------
    domain : complex ``uniform_discr`` or ``cn`` space
        Images, of shape ``(n_1, ..., n_d)`` and dtype complex64 or complex128.
    weights : array of bool or real numbers, shape ``domain.shape``
        Sampling mask, or weight of each frequency.
    range : complex space of shape ``domain.shape``, optional
        Measurements. Default: ``odl.cn(domain.shape, domain.dtype, weighting=w_X)``.

    Raises
    ------
    TypeError
        If a space is not complex, on numpy and constantly weighted, or the weights are complex.
    ValueError
        If the weights are not finite or a shape or dtype does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import operators
    >>> X = odl.uniform_discr([0, 0], [4, 4], (4, 4), dtype=complex)
    >>> mask = np.zeros((4, 4))
    >>> mask[2, 2] = 1  # frequency zero is in the middle
    >>> A = operators.SampledFourier(X, mask)
    >>> print(A(X.one()).data[2, 2].real)
    4.0
    >>> isinstance(A.adjoint, operators.SampledFourierAdjoint)
    True
    >>> print(A.adjoint(A(X.one())).data[0, 0].real)  # the mean of the image
    1.0
    """

    def __init__(
        self, domain: TensorSpace, weights: ArrayLike, range: TensorSpace | None = None
    ) -> None:
        weight_x = _complex_weight("domain", domain)
        if range is None:
            range = odl.cn(domain.shape, dtype=domain.dtype_identifier, weighting=weight_x)
        weight_y = _complex_weight("range", range)
        require_shape("range", range, domain.shape, "Leave `range` out to get the natural one.")
        if range.dtype != domain.dtype:
            raise ValueError(
                f"range has dtype {range.dtype}, expected {domain.dtype}, the dtype of `domain`; "
                "leave `range` out to get the natural one."
            )
        weights = np.asarray(weights)
        require_shape(
            "weights",
            weights,
            domain.shape,
            "Build them with data.cartesian_mask(domain.shape, ...), one per frequency.",
        )
        require_real("weights", weights)
        require_finite("weights", weights)
        super().__init__(domain, range, linear=True)
        real_dtype = np.zeros(0, domain.dtype).real.dtype
        self.weights = weights.astype(real_dtype)
        self.weights.flags.writeable = False
        self.weight_ratio = weight_y / weight_x

    def _call(self, x, out=None):
        values = scipy.fft.fftn(scipy.fft.ifftshift(x.data), norm="ortho", overwrite_x=True)
        values = scipy.fft.fftshift(values)
        if out is None:
            values *= self.weights
            return self.range.element(values)
        np.multiply(values, self.weights, out=out.data)

    @property
    def adjoint(self) -> "SampledFourierAdjoint":
        """The adjoint in the weighted inner products of domain and range."""
        return SampledFourierAdjoint(self)


class SampledFourierAdjoint(odl.Operator):
    r"""Adjoint of `SampledFourier`: weigh, then transform back.

    .. math:: A^* y = \frac{w_Y}{w_X} F^{-1} (S y).

    Parameters
    ----------
    forward_op : SampledFourier
        The operator ``A = S F``; it is the adjoint of this one.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, forward_op: SampledFourier) -> None:
        require_operator("forward_op", forward_op, SampledFourier,
                         "take the property adjoint of one.")
        super().__init__(forward_op.range, forward_op.domain, linear=True)
        self.forward_op = forward_op

    def _call(self, y, out=None):
        values = scipy.fft.ifftshift(y.data * self.forward_op.weights)
        values = scipy.fft.ifftn(values, norm="ortho", overwrite_x=True)
        values = scipy.fft.fftshift(values)
        ratio = values.real.dtype.type(self.forward_op.weight_ratio)
        if out is None:
            if ratio != 1:
                values *= ratio
            return self.range.element(values)
        np.multiply(values, ratio, out=out.data)

    @property
    def adjoint(self) -> SampledFourier:
        """The operator of which this is the adjoint."""
        return self.forward_op
