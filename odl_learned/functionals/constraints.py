"""Bounds on the values of images, with conjugates that can be evaluated."""

import functools
import math
import numbers

import numpy as np
import odl
from odl.core.space.base_tensors import TensorSpace

from odl_learned.functionals.types import ProximalFactory
from odl_learned.odl_fixes.sums import pointwise_rounding
from odl_learned.odl_validation import require_array_space
from odl_learned.validation import is_finite_number, require_positive, shown
from odl_learned.weights import entry_weights, integral


# In the inner product sum w_j x_j conj(z_j) the conjugate of sum w_j f(x_j) is sum w_j f*(z_j), and
# their proximals are those of f and f* in every entry: the weights cancel.
def _require_weighted(space):
    require_array_space("space", space)
    entry_weights(space)


def _rounding(space):
    """Return the relative excess that a projection in the precision of the space may leave."""
    return 4 * float(np.finfo(space.dtype).eps)


class _Pointwise(odl.Operator):
    """Nonlinear operator given by a function of an array and the array to write to."""

    def __init__(self, space, function):
        super().__init__(space, space, linear=False)
        self.function = function

    def _call(self, x, out=None):
        if out is None:
            out = self.range.element()
        self.function(x.data, out.data)
        return out


def _is_bound(value, none):
    return is_finite_number(value) or (isinstance(value, numbers.Real) and value == none)


class BoxConstraint(odl.functionals.Functional):
    r"""Indicator of images with values between two bounds.

    .. math:: f(x) = \begin{cases} 0 & \text{if } l \le x_j \le u \text{ for all } j, \\
              \infty & \text{otherwise,} \end{cases} \qquad
              f^*(z) = \int \max(l z, u z) .

    Finite bounds may be exceeded by four units of rounding, ``4 eps max(|l|, |u|)``, since a
    projection is only as exact as the space. The proximal is the projection, for every step. With
    ``l = 0`` and ``u = inf`` it keeps images nonnegative; its conjugate is then infinite wherever
    ``z > 0``, so that a duality gap needs dual points that are feasible exactly.

    Parameters
    ----------
    space : real ``uniform_discr`` or ``rn`` space
        Images.
    lower, upper : float
        Bounds, ``lower <= upper``; one of them may be infinite, ``-inf`` or ``inf``.

    Raises
    ------
    TypeError
        If the space is complex or its inner product no weighted sum.
    ValueError
        If there is no finite bound, or they are in the wrong order.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> box = functionals.BoxConstraint(odl.rn(3), 0, 1)
    >>> print(box.proximal(1.0)([-1, 0.5, 2]), box([-1, 0.5, 2]))
    [0. , 0.5, 1. ] inf
    """

    def __init__(self, space: TensorSpace, lower: float, upper: float) -> None:
        _require_weighted(space)
        if not np.issubdtype(space.dtype, np.floating):
            raise TypeError(
                f"space has dtype {space.dtype}, expected a real one; complex images are bounded "
                "by MagnitudeBound(space, bound)."
            )
        if not (_is_bound(lower, -math.inf) and _is_bound(upper, math.inf) and lower <= upper):
            raise ValueError(
                f"the bounds are {shown(lower)} and {shown(upper)}; expected numbers, lower <= "
                "upper, or -inf and inf for none."
            )
        if math.isinf(lower) and math.isinf(upper):
            raise ValueError(
                "the bounds are -inf and inf; expected a finite one. Without bounds there is "
                "odl.functionals.ZeroFunctional(space)."
            )
        super().__init__(space, linear=False)
        self.lower, self.upper = float(lower), float(upper)
        finite = [abs(bound) for bound in (self.lower, self.upper) if math.isfinite(bound)]
        self.slack = _rounding(space) * max(finite)

    def _call(self, x):
        low, high = self.lower - self.slack, self.upper + self.slack
        inside = np.all((x.data >= low) & (x.data <= high))
        return 0.0 if inside else math.inf

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the projection onto the box, whatever the step."""
        project = functools.partial(_project_box, self.lower, self.upper)
        return lambda sigma=1.0: _Pointwise(self.domain, project)

    @property
    def convex_conj(self) -> "BoxSupport":
        """The support function of the box."""
        return BoxSupport(self.domain, self.lower, self.upper)


class BoxSupport(odl.functionals.Functional):
    r"""Support function of a box, the convex conjugate of `BoxConstraint`.

    .. math:: f^*(z) = \int \max(l z, u z), \qquad
              \text{prox}_{\sigma f^*}(z) = z - \text{clip}(z, \sigma l, \sigma u) .

    Parameters
    ----------
    space, lower, upper
        As for `BoxConstraint`, which is its convex conjugate.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> support = functionals.BoxConstraint(odl.rn(2), 0, 3).convex_conj
    >>> isinstance(support, functionals.BoxSupport)
    True
    >>> print(support([2, -1]))  # max <x, y> for 0 <= x <= 3
    6.0
    """

    def __init__(self, space: TensorSpace, lower: float, upper: float) -> None:
        self._constraint = BoxConstraint(space, lower, upper)
        super().__init__(space, linear=False)
        self.lower, self.upper = self._constraint.lower, self._constraint.upper

    def _call(self, z):
        values = z.data.astype(np.float64)
        bounds = np.where(values > 0, self.upper, self.lower)
        # Zero times an infinite bound is zero.
        largest = np.multiply(bounds, values, where=values != 0, out=np.zeros_like(values))
        return integral(self.domain, largest)

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the proximal, by Moreau's identity."""
        return lambda sigma=1.0: _Pointwise(self.domain, functools.partial(
            _shrink_by_box, sigma * self.lower, sigma * self.upper))

    @property
    def convex_conj(self) -> BoxConstraint:
        """The indicator of the box."""
        return self._constraint


class MagnitudeBound(odl.functionals.Functional):
    r"""Indicator of images whose values are at most a bound in magnitude.

    .. math:: f(x) = \begin{cases} 0 & \text{if } |x_j| \le b \text{ for all } j, \\
              \infty & \text{otherwise,} \end{cases} \qquad
              f^*(z) = b \int |z| .

    The bound may be exceeded by ten units of rounding, ``10 eps b``; the proximal, the projection
    for every step, leaves values alone that exceed it by half of that (`odl_fixes.sums`).

    Parameters
    ----------
    space : ``uniform_discr``, ``rn`` or ``cn`` space
        Images, real or complex.
    bound : float
        Largest magnitude, positive.

    Raises
    ------
    TypeError
        If this is no space of arrays, or its inner product no weighted sum.
    ValueError
        If the bound is not positive.

    Examples
    --------
    >>> import odl
    >>> from odl_learned import functionals
    >>> X = odl.cn(2)
    >>> f = functionals.MagnitudeBound(X, 1.0)
    >>> print(f.proximal(1.0)([3 + 4j, 0.5]))
    [0.6+0.8j, 0.5+0.j ]
    >>> isinstance(f.convex_conj, functionals.MagnitudeSupport)
    True
    >>> print(f.convex_conj([3 + 4j, 0.5]))
    5.5
    """

    def __init__(self, space: TensorSpace, bound: float) -> None:
        _require_weighted(space)
        require_positive("bound", bound)
        super().__init__(space, linear=False)
        self.bound = float(bound)
        self.slack = 2 * pointwise_rounding(space) * self.bound

    def _call(self, x):
        largest = float(np.abs(x.data).max())
        return 0.0 if largest <= self.bound + self.slack else math.inf

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of the projection onto the discs, whatever the step."""
        project = functools.partial(_project_discs, self.domain, self.bound)
        return lambda sigma=1.0: _Pointwise(self.domain, project)

    @property
    def convex_conj(self) -> "MagnitudeSupport":
        """The bound times the integral of the magnitude."""
        return MagnitudeSupport(self.domain, self.bound)


class MagnitudeSupport(odl.functionals.Functional):
    r"""Multiple of the integral of the magnitude, the convex conjugate of `MagnitudeBound`.

    .. math:: f^*(z) = b \int |z|, \qquad
              \text{prox}_{\sigma f^*}(z) = z - \frac{z \, \sigma b}{\max(|z|, \sigma b)} .

    Parameters
    ----------
    space, bound
        As for `MagnitudeBound`, which is its convex conjugate.
    """

    def __init__(self, space: TensorSpace, bound: float) -> None:
        self._constraint = MagnitudeBound(space, bound)
        super().__init__(space, linear=False)
        self.bound = self._constraint.bound

    def _call(self, z):
        return self.bound * integral(self.domain, np.abs(z.data))

    @property
    def proximal(self) -> ProximalFactory:
        """Factory of soft thresholding, by Moreau's identity."""
        return lambda sigma=1.0: _Pointwise(self.domain, functools.partial(
            _shrink_by_discs, self.domain, sigma * self.bound))

    @property
    def convex_conj(self) -> MagnitudeBound:
        """The indicator of the bound."""
        return self._constraint


# Functions of modules, not of methods, so that proximals can be pickled.
def _project_box(lower, upper, values, out):
    np.clip(values, lower, upper, out=out)


def _shrink_by_box(lower, upper, values, out):
    np.subtract(values, np.clip(values, lower, upper), out=out)


def _project_discs(space, radius, values, out):
    """Write the projections of all values onto the disc of the given radius."""
    magnitudes = np.abs(values)
    outside = magnitudes > radius * (1 + pointwise_rounding(space))
    factors = np.divide(radius, magnitudes, out=np.ones_like(magnitudes), where=outside)
    np.multiply(values, factors, out=out)


def _shrink_by_discs(space, radius, values, out):
    inside = np.empty_like(values)
    _project_discs(space, radius, values, inside)
    np.subtract(values, inside, out=out)
