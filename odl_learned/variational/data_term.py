"""The term of the data in a problem, ``x -> D(A x)`` with ``|A| = 1``, and its scales."""

import math
from typing import NamedTuple

import numpy as np
import odl
from odl.functionals import Functional, L2NormSquared

from odl_learned.functionals import OnRealParts
from odl_learned.odl_validation import require_array_spaces
from odl_learned.operators import operator_norm, real_parts
from odl_learned.operators.norms.least_stretch import least_stretch
from odl_learned.solvers.checks import knows
from odl_learned.validation import shown


class DataTerm(NamedTuple):
    """``x -> D(A x)`` with ``|A| = 1``, and constants of it; see `data_term`.

    Attributes
    ----------
    curvature : float
        Scale of its second derivative.
    strong_convexity : float
        Constant of strong convexity in ``x``, that of ``D`` times `least_stretch` of ``A`` squared:
        zero where none is known.
    """

    operator: odl.Operator
    fidelity: Functional
    curvature: float
    strong_convexity: float

    @property
    def is_denoising(self):
        """Whether ``A`` is the identity and ``D`` has a proximal, so that it can be ``f``.

        Then iterates stay where ``D`` is finite, and the dual problem has no equation.
        """
        return _is_identity(self.operator) and knows(self.fidelity, "proximal")

    # The bound of pdhg after k steps, (|x* - x_0|^2 / tau + |y* - y_0|^2 / sigma) / 2k, is least
    # for tau / sigma = (|x* - x_0| / |y* - y_0|)^2. From zero, |x*| is about that of the first step
    # of gradient descent, |A* grad D(0)| / curvature, and |y*| is a fraction of its largest value
    # radius * sqrt(volume). The fraction 1 / 0.15 fitted denoising, tomography and magnetic
    # resonance, weakly and strongly regularized, within a factor of two.
    def balance(self, radius):
        """Return the ratio of primal and dual steps for a regularizer with dual ball of a radius.

        Parameters
        ----------
        radius : float

        Returns
        -------
        balance : float
        """
        A, D, curvature, _ = self
        if not math.isfinite(D.grad_lipschitz):
            return 1 / curvature
        size = float(A.adjoint(D.gradient(A.range.zero())).norm()) / curvature
        size /= radius * float(A.domain.one().norm())
        return 0.15 * size if math.isfinite(size) and size > 0 else 1 / curvature


def data_term(forward_op, fidelity, constraint):
    r"""Return the term of the data, with an operator of norm one.

    .. math:: D(A x) = (D \circ |A|)\left(\tfrac{A}{|A|} x\right) .

    For real images and complex data, the range of ``A`` is that of real and imaginary parts.

    Parameters
    ----------
    forward_op : linear odl.Operator
        ``A`` from X to Y.
    fidelity : odl.functionals.Functional
        ``D`` on Y.
    constraint : odl.functionals.Functional or None
        On X; only its domain is checked.

    Returns
    -------
    term : DataTerm

    Raises
    ------
    TypeError, ValueError
        If spaces do not match, or the operator is not linear or zero.
    """
    if not isinstance(forward_op, odl.Operator) or not forward_op.is_linear:
        raise TypeError(
            f"forward_op is {forward_op!r}; expected a linear odl.Operator. A nonlinear one "
            "is linearized by forward_op.derivative(x); a torch module becomes one by "
            "bridge.as_operator."
        )
    require_array_spaces("forward_op.domain", forward_op.domain)
    for name, functional, space, where in (
        ("fidelity", fidelity, forward_op.range, "range"),
        ("constraint", constraint, forward_op.domain, "domain"),
    ):
        if functional is None and name == "constraint":
            continue
        if not isinstance(functional, Functional):
            raise TypeError(
                f"{name} is {shown(functional)}; expected a functional on forward_op.{where}, such "
                "as l2_fidelity(data) or BoxConstraint(space, 0, 1)."
            )
        if functional.domain != space:
            raise ValueError(
                f"{name} lives on {functional.domain!r}, expected {space!r}, the {where} of "
                f"forward_op; build it on forward_op.{where}."
            )
    if forward_op.domain.field == odl.ComplexNumbers() != forward_op.range.field:
        raise TypeError(
            f"forward_op maps complex images to real data, {forward_op.range!r}; expected real "
            "images, or complex data. Take real and imaginary part of the image as two images, "
            "forward_op @ operators.real_parts(forward_op.domain).adjoint."
        )
    norm = operator_norm(forward_op)
    if norm == 0:
        raise ValueError("forward_op is the zero operator; expected one that measures something.")
    curvature = fidelity.grad_lipschitz * norm**2
    if not (math.isfinite(curvature) and curvature > 0):
        curvature = norm**2
    if norm != 1:
        forward_op, fidelity = (1 / norm) * forward_op, fidelity * norm
    convexity = _convexity(fidelity)
    convexity = convexity * least_stretch(forward_op) ** 2 if convexity else 0.0
    # Real and complex dual variables have no product space in ODL, but real pairs do.
    if forward_op.domain.field != forward_op.range.field:
        forward_op = real_parts(forward_op.range) @ forward_op
        fidelity = OnRealParts(fidelity)
    return DataTerm(forward_op, fidelity, curvature, convexity)


def _is_identity(A):
    """Whether an operator, already divided by its norm, is the identity."""
    if isinstance(A, odl.ScalingOperator):
        return A.domain == A.range and A.scalar == 1
    if isinstance(A, odl.OperatorLeftScalarMult):
        return isinstance(A.operator, odl.ScalingOperator) and (
            abs(A.scalar * A.operator.scalar - 1) <= 1e-15
        )
    return False


def _convexity(functional):
    """Return the constant of strong convexity of a functional, zero where none is known."""
    if isinstance(functional, L2NormSquared):
        return 2.0
    if isinstance(functional, odl.functionals.FunctionalLeftScalarMult):
        return float(np.real(functional.scalar)) * _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalRightScalarMult):
        return abs(functional.scalar) ** 2 * _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalTranslation):
        return _convexity(functional.functional)
    if isinstance(functional, odl.functionals.FunctionalQuadraticPerturb):
        return _convexity(functional.functional) + 2 * float(functional.quadratic_coeff)
    declared = float(getattr(functional, "strong_convexity", 0.0))
    return declared if math.isfinite(declared) else 0.0
