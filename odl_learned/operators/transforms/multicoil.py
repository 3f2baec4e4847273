"""Subsampled Fourier transform seen by several receiver coils: parallel imaging."""

import numpy as np
import odl
from numpy.typing import ArrayLike
from odl.core.space.base_tensors import TensorSpace

from odl_learned.odl_validation import require_operator
from odl_learned.operators.transforms.fourier import SampledFourier
from odl_learned.validation import require_finite, require_shape
from odl_learned.weights import component_weights


class MultiCoilFourier(odl.Operator):
    r"""Sampled Fourier transform of an image times the sensitivity of each coil.

    .. math:: (A u)_c = S F (s_c u), \qquad c = 1, \dots, C,

    with ``S F`` the centered unitary transform and the sampling weights of `SampledFourier`. For
    constant weights of the inner products,

    .. math:: A^* y = \frac{w_Y}{w_X} \sum_c \bar s_c \, F^{-1} S y_c .

    Parameters
    ----------
    domain : complex ``uniform_discr`` or ``cn`` space
        Images, of shape ``(n_1, ..., n_d)`` and dtype complex64 or complex128.
    weights : array of bool or real numbers, shape ``domain.shape``
        Sampling mask, or weight of each frequency, the same for all coils.
    sensitivities : array of complex or real numbers, shape ``(C, *domain.shape)``
        Sensitivity of each coil, for instance of `data.simulated_sensitivities`.
    range : power space ``Y**C`` of a complex space of shape ``domain.shape``, optional
        Measurements. Default: ``odl.cn(domain.shape, domain.dtype, weighting=w_X) ** C``.

    Raises
    ------
    TypeError
        If a space is not complex, on numpy and constantly weighted, the range is not a power
        space, or the weights are complex.
    ValueError
        If weights or sensitivities are not finite or a shape or dtype does not fit.

    References
    ----------
    Pruessmann, K. P. et al. SENSE: sensitivity encoding for fast MRI. Magn. Reson. Med. 42 (1999),
    equation 1, on a Cartesian grid.

    Examples
    --------
    >>> import numpy as np
    >>> import odl
    >>> from odl_learned import data, operators
    >>> X = odl.uniform_discr([0, 0], [8, 8], (8, 8), dtype=complex)
    >>> maps = data.simulated_sensitivities(X, coils=3)
    >>> A = operators.MultiCoilFourier(X, np.ones((8, 8)), maps)
    >>> print(A(X.one()).shape, f"{A.adjoint(A(X.one())).data.real.mean():.3f}")
    (3, 8, 8) 1.000
    >>> isinstance(A.adjoint, operators.MultiCoilFourierAdjoint)
    True
    """

    def __init__(
        self,
        domain: TensorSpace,
        weights: ArrayLike,
        sensitivities: ArrayLike,
        range: odl.ProductSpace | None = None,
    ) -> None:
        coils, ratio = _coils(sensitivities), 1.0
        if range is not None:
            ratio = _power_weight(range, coils)
        self.coil_op = SampledFourier(domain, weights, None if range is None else range[0])
        sensitivities = np.asarray(sensitivities)
        require_shape("sensitivities", sensitivities, (coils, *domain.shape),
                      "It needs one map per coil, of the shape of `domain`.")
        require_finite("sensitivities", sensitivities)
        if range is None:
            range = odl.ProductSpace(self.coil_op.range, coils)
        super().__init__(domain, range, linear=True)
        self.weights = self.coil_op.weights
        self.sensitivities = sensitivities.astype(domain.dtype)
        self.sensitivities.flags.writeable = False
        self.weight_ratio = ratio * self.coil_op.weight_ratio

    def _call(self, x, out=None):
        if out is None:
            out = self.range.element()
        for sensitivity, part in zip(self.sensitivities, out, strict=True):
            self.coil_op(self.domain.element(sensitivity * x.data), out=part)
        return out

    @property
    def adjoint(self) -> "MultiCoilFourierAdjoint":
        """The adjoint in the weighted inner products of domain and range."""
        return MultiCoilFourierAdjoint(self)

    @property
    def normal(self) -> odl.Operator:
        r"""The expression ``A* A``; as a torch module it needs one pair of transforms per coil.

        .. math:: A^* A u = \frac{w_Y}{w_X} \sum_c \bar s_c \, F^{-1} S^2 F (s_c u).
        """
        return self.adjoint @ self


class MultiCoilFourierAdjoint(odl.Operator):
    r"""Adjoint of `MultiCoilFourier`: transform back, weigh with the sensitivities, add.

    .. math:: A^* y = \frac{w_Y}{w_X} \sum_c \bar s_c \, F^{-1} S y_c .

    Parameters
    ----------
    forward_op : MultiCoilFourier
        The operator ``A``; it is the adjoint of this one.

    Raises
    ------
    TypeError
        If it is none.
    """

    def __init__(self, forward_op: MultiCoilFourier) -> None:
        require_operator("forward_op", forward_op, MultiCoilFourier,
                         "take the property adjoint of one.")
        super().__init__(forward_op.range, forward_op.domain, linear=True)
        self.forward_op = forward_op

    def _call(self, y, out=None):
        if out is None:
            out = self.range.element()
        forward_op, total = self.forward_op, np.zeros(self.range.shape, self.range.dtype)
        back = forward_op.coil_op.adjoint
        for sensitivity, part in zip(forward_op.sensitivities, y, strict=True):
            total += sensitivity.conj() * back(part).data
        ratio = forward_op.weight_ratio / forward_op.coil_op.weight_ratio
        np.multiply(total, total.real.dtype.type(ratio), out=out.data)
        return out

    @property
    def adjoint(self) -> MultiCoilFourier:
        """The operator of which this is the adjoint."""
        return self.forward_op


def _coils(sensitivities):
    shape = np.shape(sensitivities)
    if len(shape) < 2 or shape[0] == 0:
        raise ValueError(
            f"sensitivities has shape {shape}, expected (C, *domain.shape) with at least one coil; "
            "build them with data.simulated_sensitivities(domain, coils)."
        )
    return shape[0]


def _power_weight(space, coils):
    """Return the weight of a power space for its components, after checks."""
    hint = "leave `range` out to get the natural one."
    if not (isinstance(space, odl.ProductSpace) and space.is_power_space):
        raise TypeError(f"range is {space!r}, expected a power space of {coils} factors; {hint}")
    if len(space) != coils:
        raise ValueError(
            f"range has {len(space)} factors, expected {coils}, one per coil; {hint}"
        )
    weights = component_weights(space)
    if len(set(weights)) > 1:
        raise TypeError(f"range has the weights {weights} of its factors, expected a constant one; "
                        f"{hint}")
    return weights[0]
