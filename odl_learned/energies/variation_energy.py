r"""The energies of the published experiments in closed form, with all their derivatives.

.. math:: E(x, \theta, y) = \tfrac12 \sum_j w_j |(A x - y)_j|^2
          + \alpha \sum_g \phi_\nu(|(D x)_g|) + \tfrac{\xi}{2} |x|^2,
          \qquad (\alpha, \nu, \xi, w) = c(\theta) .
"""

import math
from collections.abc import Callable

import torch

from odl_learned.energies.coefficients.functions import (
    Coefficients,
    evaluated,
    evaluated_like,
    require_coefficients,
)
from odl_learned.energies.coefficients.slopes import slope_lengths
from odl_learned.energies.doors import require_kind
from odl_learned.energies.energy import Data, Linearization, ParametricEnergy, State
from odl_learned.energies.fidelities import (
    Fidelity,
    largest,
    real_products,
    residual,
    smallest,
    weighted,
)
from odl_learned.energies.hessian_variation import Radius, Variation
from odl_learned.energies.intervals import variation_of
from odl_learned.energies.potentials.potential import Potential
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms.transform import Transform, group_squares
from odl_learned.energies.variation_point import VariationPoint, assembled_gradient
from odl_learned.validation import require_method, shown


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
    has_formulas = True

    def __init__(
        self,
        fidelity: Fidelity,
        transform: Transform,
        potential: Potential,
        coefficients: Callable[[torch.Tensor], Coefficients],
    ) -> None:
        if isinstance(fidelity, type) or not all(
            hasattr(fidelity, name) for name in ("forward", "adjoint", "preconditioner", "rounding")
        ):
            raise TypeError(f"fidelity is {shown(fidelity)}, expected Denoising(), "
                            "FourierSampling(), or an object with their methods.")
        require_kind("transform", transform, Transform, "such as ForwardDifferences(shape)")
        require_kind("potential", potential, Potential, "such as Charbonnier()")
        require_method("coefficients", coefficients, "decimal_alpha(nu, xi)")
        self.fidelity, self.transform = fidelity, transform
        self.potential, self.coefficients = potential, coefficients

    def value(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``E`` of every sample, of shape ``(B,)``."""
        c = evaluated_like(self.coefficients, params, x)
        r, p = residual(self.fidelity, x, data, c), self.transform.forward(x)
        lengths = self.potential.value(group_squares(p), c.nu)
        total = 0.5 * weighted(c.weights, real_products(r, r)).flatten(1).sum(1)
        total = total + c.alpha * lengths.flatten(1).sum(1)
        return total + 0.5 * c.xi * real_products(x, x).flatten(1).sum(1)

    def gradient(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``d_x E``, of the shape of ``x``."""
        c = evaluated_like(self.coefficients, params, x)
        p = self.transform.forward(x)
        weight = c.alpha * self.potential.weight(group_squares(p), c.nu)
        r = residual(self.fidelity, x, data, c)
        return assembled_gradient(self, x, r, self.transform.scaled_adjoint(weight, p), c)

    def linearize(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> Linearization:
        """Return the `Linearization` at ``x``."""
        return VariationPoint(self, x, params, data).linearization()

    def linearize_from(
        self, x: torch.Tensor, params: torch.Tensor, data: Data | None, state: State | None
    ) -> tuple[Linearization, State]:
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
        return VariationPoint(self, x, params, data).linearization_from(state)

    def lipschitz(self, params: torch.Tensor) -> float:
        """Return ``max w + alpha |D|^2 max phi'' + xi``."""
        c = evaluated(self.coefficients, params)
        alpha, nu, xi = require_coefficients(c)
        curvature = self.potential.constants(nu).curvature
        return largest(c.weights) + alpha * self.transform.norm**2 * curvature + xi

    def strong_convexity(self, params: torch.Tensor) -> float:
        """Return ``min w + xi``."""
        c = evaluated(self.coefficients, params)
        _, _, xi = require_coefficients(c)
        return smallest(c.weights) + xi

    def curvature_constants(self, params: torch.Tensor) -> tuple[float, float, float]:
        r"""Return ``(LA, LB, B)``; see `ParametricEnergy`.

        ``LA = alpha |D|^2 max|D_g| max|phi'''|``. A derivative in a coefficient, times the length
        of its gradient in ``params``, adds to ``LB`` and ``B``: ``|D|^2 max phi''`` and ``|D|
        sqrt(groups) max phi'`` for ``alpha``, the same of ``alpha d_nu phi`` for ``nu``. Those in
        ``xi`` and in the weights grow with ``x``, so that ``B``, and ``LB`` for weights, are
        infinite if they are learned.
        """
        c, slopes = evaluated(self.coefficients, params), slope_lengths(self.coefficients, params)
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

    def variation_bound(
        self,
        x: torch.Tensor,
        params: torch.Tensor,
        data: Data | None,
        radius: Radius,
        q: torch.Tensor,
    ) -> Variation:
        """Return the `bounds.Variation` on the ball around ``x``; see `intervals.variation_of`."""
        return variation_of(self, x, params, data, radius, q)

    def rounding(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        r"""Bound the rounding error of the gradient, in the norm, for every sample.

        Every term of the gradient is computed with a relative error of some units of rounding:
        ``eps (c_A max w (|x| + |y|) + c_D alpha |D| |w p| + xi |x|)``, with a factor ``c_A`` of the
        fidelity (logarithmic in the size for the FFT), and ``c_D = 8`` for difference, length,
        weight, product and transpose.
        """
        c = evaluated(self.coefficients, params)
        x_norm, data_norm = sample_norms(x), sample_norms(data)
        p = self.transform.forward(x)
        constants = self.potential.constants(float(c.nu))
        slopes = torch.clamp(constants.curvature * sample_norms(p),
                             max=constants.slope * math.sqrt(self.transform.groups))  # fmt: skip
        terms = self.fidelity.rounding * largest(c.weights) * (x_norm + data_norm)
        terms = terms + 8 * float(c.alpha) * self.transform.norm * slopes + float(c.xi) * x_norm
        return torch.finfo(x.dtype).eps * terms
