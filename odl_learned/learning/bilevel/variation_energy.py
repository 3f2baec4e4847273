r"""The energies of the published experiments in closed form, with all their derivatives.

.. math:: E(x, \theta, y) = \tfrac12 \sum_j w_j |(A x - y)_j|^2
          + \alpha \sum_g \phi_\nu(|(D x)_g|) + \tfrac{\xi}{2} |x|^2,
          \qquad (\alpha, \nu, \xi, w) = c(\theta) .
"""

import functools
import math
from typing import NamedTuple

import torch

from odl_learned.learning.bilevel.coefficients import Coefficients, evaluated
from odl_learned.learning.bilevel.energy import Linearization, ParametricEnergy
from odl_learned.learning.bilevel.fidelities import (
    largest,
    real_products,
    smallest,
    squared_norms,
    weighted,
)
from odl_learned.learning.bilevel.intervals import variation_of
from odl_learned.learning.bilevel.problem import require_method


class Point(NamedTuple):
    """Coefficients, ``x``, ``r = A x - y``, ``p = D x``, ``|p|^2``, ``w`` and ``k``."""

    c: Coefficients
    x: torch.Tensor
    r: torch.Tensor
    p: torch.Tensor
    squares: torch.Tensor
    weight: torch.Tensor
    curvature: torch.Tensor


class VariationEnergy(ParametricEnergy):
    r"""A quadratic fidelity, a potential of groups of coefficients, and a squared norm.

    With ``p = D x``, ``r = A x - y`` and ``w, k`` of the potential,

    .. math:: \nabla E = A^* (w_j r_j) + \alpha D^T w p + \xi x, \qquad
              \nabla^2 E \, v = A^* w_j A v + \alpha D^T (w D v + k p \langle p, D v \rangle)
              + \xi v .

    Parameters
    ----------
    fidelity : Denoising or FourierSampling
        ``A``.
    transform : Transform
        ``D``.
    potential : Potential
        ``phi_nu``.
    coefficients : callable
        ``params -> Coefficients``, differentiable by torch; see `coefficients`.

    References
    ----------
    M. J. Ehrhardt, L. Roberts, *Inexact derivative-free optimization for bilevel learning*, J.
    Math. Imaging Vis. 63 (2021); F. Sherry et al., *Learning the sampling pattern for MRI*, IEEE
    Trans. Med. Imaging 39 (2020).
    """

    follows_dual = True

    def __init__(self, fidelity, transform, potential, coefficients):
        require_method("coefficients", coefficients, "decimal_alpha(nu, xi)")
        self.fidelity, self.transform = fidelity, transform
        self.potential, self.coefficients = potential, coefficients

    def value(self, x, params, data):
        """Return ``E`` of every sample, of shape ``(B,)``."""
        c = self.constants(params, x)
        r, p = self._residual(x, data, c), self.transform.forward(x)
        lengths = self.potential.value(self.squares(p), c.nu)
        total = 0.5 * weighted(c.weights, real_products(r, r)).flatten(1).sum(1)
        total = total + c.alpha * lengths.flatten(1).sum(1)
        return total + 0.5 * c.xi * real_products(x, x).flatten(1).sum(1)

    def gradient(self, x, params, data):
        """Return ``d_x E``, of the shape of ``x``."""
        c = self.constants(params, x)
        p = self.transform.forward(x)
        weight = c.alpha * self.potential.weight(self.squares(p), c.nu)
        return self._slope(x, self._residual(x, data, c), _times(weight, p), c)

    def linearize(self, x, params, data):
        """Return the `Linearization` at ``x``."""
        at = self._point(x, params, data)
        p, bent = at.p, at.c.alpha * at.curvature

        def bend(q):
            return _times(_summed(real_products(p, q)).mul_(bent), p)

        return self._linearization(at, params, bend, lambda: real_products(p, p) * bent[:, None])

    def linearize_from(self, x, params, data, state):
        r"""Return a `Linearization` whose Hessian tracks the dual variable, and the next state.

        Newton's method for ``z = w p`` written as ``z / w = p`` has the Hessian

        .. math:: A^* w_j A + \alpha D^T \Big(w + \frac{k}{2 w} (z p^T + p z^T)\Big) D + \xi,
                  \qquad z \leftarrow w (p + q) + \frac{k}{w} z \langle p, q \rangle

        after a step with ``q = D d``. For ``|z| <= max phi'``, which is kept by projection, it is
        positive semidefinite, and for ``z = w p`` it is the Hessian itself. Where ``nu`` is small
        the iteration needs much fewer steps than Newton's method for ``x`` alone.

        References
        ----------
        T. F. Chan, G. H. Golub, P. Mulet, *A nonlinear primal-dual method for total variation-based
        image restoration*, SIAM J. Sci. Comput. 20 (1999).
        """
        at = self._point(x, params, data)
        p, ratio = at.p, at.curvature / at.weight
        z = _times(at.weight, p) if state is None else self._followed(state, x, at.c)
        bent = (0.5 * at.c.alpha) * ratio

        def bend(q):
            result = _times(_summed(real_products(p, q)).mul_(bent), z)
            return result.add_(_times(_summed(real_products(z, q)).mul_(bent), p))

        linear = self._linearization(
            at, params, bend, lambda: 2 * real_products(z, p) * bent[:, None])
        return linear, (x, p, at.weight, ratio, z)

    def lipschitz(self, params):
        """Return ``max w + alpha |D|^2 max phi'' + xi``."""
        c = evaluated(self.coefficients, params)
        if not isinstance(c, Coefficients):
            raise TypeError(
                f"the coefficients are {c!r}, expected Coefficients(alpha, nu, xi, weights); let "
                "the function of params return them."
            )
        if not (c.nu > 0 or torch.isnan(torch.as_tensor(c.nu))):
            raise ValueError(
                f"the coefficient nu is {float(c.nu):g}, expected a positive number; bound the "
                "parameters by `lower` of the problem, or learn its logarithm."
            )
        bound = self.potential.constants(float(c.nu)).curvature
        smooth = float(c.alpha) * self.transform.norm**2 * bound
        return largest(c.weights) + smooth + float(c.xi)

    def strong_convexity(self, params):
        """Return ``min w + xi``."""
        c = evaluated(self.coefficients, params)
        return smallest(c.weights) + float(c.xi)

    def curvature_constants(self, params):
        r"""Return ``(LA, LB, B)``; see `ParametricEnergy`.

        ``LA = alpha |D|^2 max|D_g| max|phi'''|``. A derivative in a coefficient, times the length
        of its gradient in ``params``, adds to ``LB`` and ``B``: ``|D|^2 max phi''`` and ``|D|
        sqrt(groups) max phi'`` for ``alpha``, the same of ``alpha d_nu phi`` for ``nu``. Those in
        ``xi`` and in the weights grow with ``x``, so that ``B``, and ``LB`` for weights, are
        infinite if they are learned.
        """
        c, slopes = evaluated(self.coefficients, params), self._slopes(params)
        bounds, squared = self.potential.constants(float(c.nu)), self.transform.norm**2
        length = self.transform.norm * math.sqrt(self.transform.groups)
        alpha = float(c.alpha)
        rates = {
            "alpha": (squared * bounds.curvature, length * bounds.slope),
            "nu": (alpha * squared * bounds.curvature_in_nu, alpha * length * bounds.slope_in_nu),
            "xi": (1.0, math.inf),
            "weights": (math.inf, math.inf),
        }
        mixed = sum(rates[name][0] * slope for name, slope in slopes.items())
        jacobian = sum(rates[name][1] * slope for name, slope in slopes.items())
        return alpha * squared * self.transform.group_norm * bounds.third, mixed, jacobian

    def variation_bound(self, x, params, data, radius, q):
        """Return the `bounds.Variation` on the ball around ``x``; see `intervals.variation_of`."""
        return variation_of(self, x, params, data, radius, q)

    def rounding(self, x, params, data):
        r"""Bound the rounding error of the gradient, in the norm, for every sample.

        Every term of the gradient is computed with a relative error of some units of rounding:
        ``eps (c_A max w (|x| + |y|) + c_D alpha |D| |w p| + xi |x|)``, with a factor ``c_A`` of the
        fidelity (logarithmic in the size for the FFT), and ``c_D = 8`` for difference, length,
        weight, product and transpose.
        """
        c = evaluated(self.coefficients, params)
        x_norm, data_norm = squared_norms(x).sqrt(), squared_norms(data).sqrt()
        p = self.transform.forward(x)
        constants = self.potential.constants(float(c.nu))
        slopes = torch.clamp(constants.curvature * squared_norms(p).sqrt(),
                             max=constants.slope * math.sqrt(self.transform.groups))  # fmt: skip
        terms = self.fidelity.rounding * largest(c.weights) * (x_norm + data_norm)
        terms = terms + 8 * float(c.alpha) * self.transform.norm * slopes + float(c.xi) * x_norm
        return torch.finfo(x.dtype).eps * terms

    def _point(self, x, params, data):
        """What all derivatives at a point need."""
        c = self.constants(params, x)
        p = self.transform.forward(x)
        squares = self.squares(p)
        weight, curvature = self.potential.weight_and_curvature(squares, c.nu)
        return Point(c, x, self._residual(x, data, c), p, squares, weight, curvature)

    def _linearization(self, at, params, bend, bent_squares):
        """The `Linearization` with ``alpha D^T (w + bend) D`` as Hessian of the potential."""
        c, scaled = at.c, at.c.alpha * at.weight

        def hessian(v):
            q = self.transform.forward(v)
            along = bend(q)
            return self.transform.adjoint(q.mul_(scaled[:, None]).add_(along)).add_(
                self._quadratic(v, c))  # fmt: skip

        def mixed_adjoint(q):
            inner = _summed(real_products(at.p, self.transform.forward(q)))
            return self._pull_back(params, {
                "alpha": lambda: (at.weight * inner).sum(),
                "nu": lambda: c.alpha * (self.potential.weight_slope(at.squares, c.nu)
                                         * inner).sum(),
                "xi": lambda: real_products(at.x, q).sum(),
                "weights": lambda: real_products(at.r, self.fidelity.forward(q)).sum(0),
            })  # fmt: skip

        @functools.cache
        def preconditioner():
            fields = 2 if at.x.is_complex() else 1
            curvatures = (bent_squares() / fields).add_(scaled[:, None])
            return self.fidelity.preconditioner(c.weights, self.transform, curvatures, c.xi)

        return Linearization(self._slope(at.x, at.r, _times(scaled, at.p), c), hessian,
                             mixed_adjoint, lambda v: preconditioner()(v))  # fmt: skip

    def _followed(self, state, x, c):
        """The dual variable after the step to ``x``; the same, bit by bit, for samples at rest."""
        before, p, weight, ratio, z = state
        step = x - before
        q = self.transform.forward(step)
        moved = _times(weight, p + q).add_(
            _times(_summed(real_products(p, q)).mul_(ratio), z))  # fmt: skip
        largest_slope = self.potential.constants(c.nu).slope
        if math.isfinite(largest_slope):
            length = torch.sqrt(self.squares(moved)) / largest_slope
            moved = _times(1 / length.clamp_min(1.0), moved)
        at_rest = (step == 0).flatten(1).all(1)
        return torch.where(at_rest.reshape(-1, *[1] * (z.ndim - 1)), z, moved)

    @staticmethod
    def squares(p):
        """Return ``|p_g|^2`` of the groups, ``(B, *shape)``."""
        return _summed(real_products(p, p))

    def _residual(self, x, data, c):
        """``A x - y``."""
        image = self.fidelity.forward(x)
        if data.shape != image.shape:
            raise ValueError(
                f"data has shape {tuple(data.shape)}, expected {tuple(image.shape)} as A x; pass "
                "the same number of samples, and reshape it where it needs it."
            )
        shape = image.shape[1:] if c.weights is None else c.weights.shape
        if len(shape) < x.ndim - 1 or shape != image.shape[-len(shape) :]:
            raise ValueError(
                f"the weights have shape {tuple(shape)}, expected {tuple(image.shape[1:])}, that "
                "of the data of one sample; reshape or expand them in the coefficients."
            )
        return image - data

    def _quadratic(self, v, c):
        """``A^* w A v + xi v``."""
        if c.weights is None:  # A is unitary
            return (1 + c.xi) * v
        normal = self.fidelity.adjoint(c.weights * self.fidelity.forward(v), v)
        return normal.add_(c.xi * v) if c.xi else normal

    def _slope(self, x, r, wp, c):
        slope = self.transform.adjoint(wp)
        slope = slope.add_(c.xi * x) if c.xi else slope
        return slope.add_(self.fidelity.adjoint(weighted(c.weights, r), x))

    def constants(self, params, x):
        """Return coefficients with weights in the precision of ``x``, the others as floats."""
        c = evaluated(self.coefficients, params)
        real = x.real.dtype if x.is_complex() else x.dtype
        weights = None if c.weights is None else c.weights.to(x.device, real)
        c = c._replace(alpha=float(c.alpha), nu=float(c.nu), xi=float(c.xi), weights=weights)
        if c.alpha < 0 or c.nu < 0 or c.xi < 0:
            raise ValueError(
                f"the coefficients are alpha = {c.alpha:g}, nu = {c.nu:g} and xi = {c.xi:g}, "
                "expected none below zero; bound the parameters by `lower` of the problem, or "
                "learn logarithms."
            )
        return c

    def _learned(self, params):
        """The parameters, and the coefficients that depend on them, with a graph."""
        with torch.enable_grad():
            inner = params.detach().requires_grad_()
            c = self.coefficients(inner)
        return inner, {name: value for name, value in c._asdict().items()
                          if isinstance(value, torch.Tensor) and value.requires_grad}

    def _pull_back(self, params, derivatives):
        """The derivatives in the coefficients as those in the parameters, by the chain rule."""
        inner, learned = self._learned(params)
        slopes = [derivatives[name]().to(value) for name, value in learned.items()]
        (result,) = torch.autograd.grad(list(learned.values()), inner, slopes)
        return result

    def _slopes(self, params):
        """Lengths of the gradients of coefficients in the parameters; infinite for arrays."""
        inner, learned = self._learned(params)
        slopes = {}
        for name, value in learned.items():
            if value.ndim:
                slopes[name] = math.inf
            else:
                (slope,) = torch.autograd.grad(value, inner, retain_graph=True)
                slopes[name] = float(slope.norm())
        return slopes


def _summed(products):
    """Sum over the members of the groups, faster than ``sum(1)`` for few of them."""
    result = products[:, 0]
    for i in range(1, products.shape[1]):
        result = result + products[:, i]
    return result


def _times(weights, p):
    """One real number per group times its vector."""
    return weights[:, None] * p
