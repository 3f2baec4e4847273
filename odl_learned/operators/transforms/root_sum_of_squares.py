"""Root sum of squares of coil images: the magnitude that several coils agree on without maps."""

import numpy as np
import odl
from odl.core.set.space import LinearSpaceElement

from odl_learned.odl_validation import require_operator, shown
from odl_learned.operators.transforms.multicoil import MultiCoilFourier
from odl_learned.validation import require_nonnegative
from odl_learned.weights import component_weights


class RootSumOfSquares(odl.Operator):
    r"""Magnitude of several images, smoothed at zero on request.

    .. math:: R(u) = \Big( \sum_c |u_c|^2 + \nu^2 \Big)^{1/2}, \qquad
              R'(u) h = \frac{\mathrm{Re} \sum_c \overline{u_c} h_c}{R(u)}, \qquad
              R'(u)^* z = \Big( \frac{u_c z}{w_c R(u)} \Big)_c,

    with the weights ``w`` of the components. Between complex and real spaces the derivative is
    linear over the real numbers and its adjoint belongs to the real inner product.

    Without smoothing R has no derivative where all ``u_c`` vanish; `derivative` refuses such
    points, and ``bridge.as_module`` takes zero there, the smallest subgradient. With it R is up to
    ``nu`` too large, most of all at zero.

    Parameters
    ----------
    domain : power space ``X**C`` of a real or complex ``uniform_discr``, ``rn`` or ``cn`` space
        One image for each coil.
    smoothing : float, optional
        The number ``nu``, in the units of the images.

    Raises
    ------
    TypeError
        If the domain is no power space of arrays.
    ValueError
        If the smoothing is negative.

    References
    ----------
    Roemer, P. B. et al. The NMR phased array. Magn. Reson. Med. 16 (1990).

    Examples
    --------
    >>> import odl
    >>> from odl_learned import operators
    >>> R = operators.RootSumOfSquares(odl.rn(2) ** 2)
    >>> print(R([[3, 5], [4, 12]]))
    [ 5., 13.]
    """

    def __init__(self, domain: odl.ProductSpace, smoothing: float = 0.0) -> None:
        if not (isinstance(domain, odl.ProductSpace) and domain.is_power_space and len(domain)
                and not isinstance(domain[0], odl.ProductSpace)):  # fmt: skip
            raise TypeError(f"domain is {shown(domain)}, expected a power space of images, one for "
                            "each coil; build it with odl.ProductSpace(X, coils).")
        require_nonnegative("smoothing", smoothing)
        super().__init__(domain, domain[0].real_space, linear=False)
        self.smoothing = float(smoothing)

    def _call(self, u):
        return self.range.element(self._root(u))

    def _root(self, u):
        total = sum(part.data.real**2 + part.data.imag**2 for part in u)
        return np.sqrt(total + total.dtype.type(self.smoothing) ** 2)

    def derivative(self, point: LinearSpaceElement) -> odl.Operator:
        """The derivative at a point; ValueError where the root is zero."""
        point = self.domain.element(point)
        root = self._root(point)
        zeros = np.count_nonzero(root == 0)
        if zeros:
            raise ValueError(
                f"the root sum of squares is zero in {zeros} of {root.size} pixels, where it has "
                "no derivative; build it with smoothing > 0."
            )
        return _Derivative(self, [part.data / root for part in point])


class _Derivative(odl.Operator):
    """``h -> Re sum_c conj(d_c) h_c`` with the directions ``d = u / R(u)``."""

    def __init__(self, op, directions):
        super().__init__(op.domain, op.range, linear=True)
        self.directions = directions

    def _call(self, h):
        pairs = zip(self.directions, h, strict=True)
        return self.range.element(sum((d.conj() * part.data).real for d, part in pairs))

    @property
    def adjoint(self):
        return _DerivativeAdjoint(self)


class _DerivativeAdjoint(odl.Operator):
    def __init__(self, derivative):
        super().__init__(derivative.range, derivative.domain, linear=True)
        self.derivative_op = derivative

    def _call(self, z):
        pairs = zip(self.derivative_op.directions, component_weights(self.range), strict=True)
        return self.range.element([d / d.real.dtype.type(w) * z.data for d, w in pairs])

    @property
    def adjoint(self):
        return self.derivative_op


def root_sum_of_squares(forward_op: MultiCoilFourier, smoothing: float = 0.0) -> odl.Operator:
    r"""Return the reconstruction by zero filling and the root sum of squares of all coils.

    .. math:: y \mapsto \Big( \sum_c |F^{-1} S y_c|^2 + \nu^2 \Big)^{1/2}

    It needs no sensitivities, and gives the magnitude of an image whose maps have squares that add
    up to one, as those of `data.estimate_sensitivities` and `data.simulated_sensitivities` do.

    Parameters
    ----------
    forward_op : MultiCoilFourier
        With the sampling weights ``S``; its sensitivities are not used.
    smoothing : float, optional
        The number ``nu`` of `RootSumOfSquares`.

    Returns
    -------
    reconstruction : odl.Operator
        From ``forward_op.range`` to the real space of ``forward_op.domain``.

    Raises
    ------
    TypeError
        If the operator is none of several coils.
    ValueError
        If the smoothing is negative.
    """
    require_operator("forward_op", forward_op, MultiCoilFourier,
                     "of one coil the baseline is its adjoint, zero filling.")
    coil_op, data_space = forward_op.coil_op, forward_op.range
    back = coil_op.adjoint
    if coil_op.weight_ratio != 1:  # of the spaces, which the adjoint has and F^-1 has not
        back = (1 / coil_op.weight_ratio) * back
    # A diagonal operator would refuse weighted products.
    coils = odl.BroadcastOperator(*(
        back @ odl.ComponentProjection(data_space, coil) for coil in range(len(data_space))))
    return RootSumOfSquares(coils.range, smoothing) @ coils
