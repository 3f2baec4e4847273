r"""Energies of filter responses in closed form: fields of experts, convex ridge regularizers.

.. math:: E(x, \theta, y) = \tfrac12 |x - y|^2 + \sum_k \sum_j w_{kj} \sum_i
          \big( \phi_{\nu_j}(|(f_k * x)_i|) - \phi_{\nu_j}(0) \big) + \tfrac{\xi}{2} |x|^2,
          \qquad (f, w) = c(\theta) .

The boundary is reflecting, as of `operators.FilterBank`.
"""

import functools
import math
from collections.abc import Callable
from typing import cast

import torch

from odl_learned.energies.doors import (
    require_function,
    require_images,
    require_kind,
)
from odl_learned.energies.energy import Data, Linearization, ParametricEnergy, State
from odl_learned.energies.filters.reflecting_filters import ReflectingFilters
from odl_learned.energies.filters.ridge_variation import ridge_variation
from odl_learned.energies.hessian_variation import Radius, Variation
from odl_learned.energies.potentials.potential import Potential
from odl_learned.energies.potentials.scaled_potentials import ScaledPotentials
from odl_learned.validation import require_image_shape, require_nonnegative, shown

#: ``params -> (filters, weights)``, see `ExpertsEnergy`.
Experts = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


class ExpertsEnergy(ParametricEnergy):
    r"""Denoising with sums of potentials of filter responses.

    With ``r = F_k x``, ``A = sum_j w_kj phi_j'(r) / r`` and ``B = sum_j w_kj (phi_j'' - phi_j' / r)
    / r^2``,

    .. math:: \nabla E = x - y + \xi x + \sum_k F_k^T A_k r_k, \qquad
              \nabla^2 E \, v = (1 + \xi) v + \sum_k F_k^T (A_k + B_k r_k^2) F_k v .

    Parameters
    ----------
    shape : tuple of two int
        Of images.
    potential : Potential
        ``phi``.
    scales : tuple of float
        ``nu_j``, positive.
    experts : callable
        ``params -> (filters, weights)``, differentiable by torch: tensors ``(K, s_1, s_2)`` and
        ``(K, J)``, weights nonnegative. See `fixed_filters`.
    xi : float
        Nonnegative.

    References
    ----------
    K. Kunisch, T. Pock, *A bilevel optimization approach for parameter learning in variational
    models*, SIAM J. Imaging Sci. 6 (2013); Y. Chen, R. Ranftl, T. Pock, *Insights into analysis
    operator learning*, IEEE Trans. Image Process. 23 (2014).
    """

    follows_dual = True
    has_formulas = True

    def __init__(
        self,
        shape: tuple[int, ...],
        potential: Potential,
        scales: tuple[float, ...] | list[float],
        experts: Experts,
        xi: float,
    ) -> None:
        shape = require_image_shape(shape, 2)
        require_kind("potential", potential, Potential, "such as Charbonnier()")
        if not isinstance(scales, tuple | list) or not scales:
            raise TypeError(f"scales is {shown(scales)}, expected a tuple of positive numbers.")
        require_function("experts", experts, "fixed_filters(dct_filters(5))")
        require_nonnegative("xi", xi)
        self.potentials = ScaledPotentials(potential, scales)
        self.shape, self.potential, self.experts = tuple(shape), potential, experts
        self.scales, self.xi = tuple(float(nu) for nu in scales), float(xi)

    def value(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``E`` of every sample, of shape ``(B,)``."""
        y = self._required_images(x, data)
        filters, weights = self.evaluated(params, x)
        squares = filters.forward(x).square_()
        total = 0.5 * (x - y).square().flatten(1).sum(1)
        total = total + 0.5 * self.xi * x.square().flatten(1).sum(1)
        return sum(self.potentials.values(squares, weights), total)

    def gradient(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> torch.Tensor:
        """Return ``d_x E``, of the shape of ``x``."""
        y = self._required_images(x, data)
        filters, weights = self.evaluated(params, x)
        responses = filters.forward(x)
        slopes = self.potentials.weight(responses.square(), weights).mul_(responses)
        return filters.adjoint(slopes).add_(x - y).add_(x, alpha=self.xi)

    def linearize(self, x: torch.Tensor, params: torch.Tensor, data: Data | None) -> Linearization:
        """Return the `Linearization` at ``x``."""
        y = self._required_images(x, data)
        filters, weights = self.evaluated(params, x)
        r = filters.forward(x)
        weight, bend = self.potentials.weight_and_curvature(r.square(), weights)
        return self._linearization(x, params, y, filters, weights, r, weight,
                                   torch.addcmul(weight, bend, r * r))  # fmt: skip

    def linearize_from(
        self, x: torch.Tensor, params: torch.Tensor, data: Data | None, state: State | None
    ) -> tuple[Linearization, State]:
        r"""Return a `Linearization` whose Hessian tracks the dual variable, and the next state.

        As `VariationEnergy.linearize_from`, for responses: the dual variable ``z`` near ``A r``
        stands for one factor ``A r`` of ``A + B r^2 = A + (B / A) r (A r)``. It is projected onto
        ``|z| <= sum_j w_kj max phi_j'``, and the sum, the curvature, is kept nonnegative.
        """
        y = self._required_images(x, data)
        filters, weights = self.evaluated(params, x)
        r = filters.forward(x)
        weight, bend = self.potentials.weight_and_curvature(r.square(), weights)
        ratio = torch.where(weight > 0, bend / weight, 0.0)
        if state is None:
            z = weight * r
        else:
            before, r_before, weight_before, ratio_before, z_before = cast(
                tuple[torch.Tensor, ...], state)
            step = r - r_before
            z = torch.addcmul(weight_before * r, ratio_before * z_before, r_before * step)
            largest = self.potentials.largest_slopes(weights)[:, None, None]
            z = torch.minimum(torch.maximum(z, -largest), largest)
            at_rest = (x == before).flatten(1).all(1)
            z = torch.where(at_rest[:, None, None, None], z_before, z)
        curvature = torch.addcmul(weight, ratio, r * z).clamp_(min=0)
        linear = self._linearization(x, params, y, filters, weights, r, weight, curvature)
        return linear, (x, r, weight, ratio, z)

    def lipschitz(self, params: torch.Tensor) -> float:
        """Return ``1 + xi`` plus a bound of ``|sum_k c_k F_k^T F_k|``, ``c`` largest curvatures."""
        filters, weights = self._in_double(params)
        if bool((weights < 0).any()):
            raise ValueError(
                f"the weights have the smallest entry {float(weights.min()):g}, expected none "
                "below zero, where the energy is not convex; bound the parameters by `lower` of "
                "the problem."
            )
        curvatures = weights @ self.potentials.constants("curvature", weights)
        return 1 + self.xi + filters.largest_square(curvatures)

    def strong_convexity(self, params: torch.Tensor) -> float:
        """Return ``1 + xi``."""
        return 1 + self.xi

    def curvature_constants(self, params: torch.Tensor) -> tuple[float, float, float]:
        r"""Return ``(LA, LB, B)``; see `ParametricEnergy`.

        ``LA = sum_k |F_k|^2 |f_k|_1 sum_j w_kj max|phi_j'''|``, since one response of an image is
        at most ``|f_k|_1`` times its norm. A derivative in ``w_kj`` has the Lipschitz constant
        ``|F_k|^2 max phi_j''`` and the bound ``|F_k| sqrt(N) max phi_j'``; sums of squares times
        the norm of the derivative of the weights bound those of all. Those of derivatives in
        filters grow with ``x``, so that ``LB`` and ``B`` are infinite if filters are learned.
        """
        filters, weights = self._in_double(params)
        norms, ones = filters.norms(), filters.filters.abs().sum((1, 2))
        third = float((norms**2 * ones) @ (weights @ self.potentials.constants("third", weights)))
        if self.learned(params)[1][0].requires_grad:
            return third, math.inf, math.inf
        _, jacobian = self.slopes(params)
        size = float(torch.linalg.matrix_norm(jacobian.flatten(0, 1), 2))
        mixed = (norms[:, None] ** 2 * self.potentials.constants("curvature", weights)).norm()
        bound = (norms[:, None] * self.potentials.constants("slope", weights)).norm()
        return third, size * float(mixed), size * float(bound) * math.sqrt(math.prod(self.shape))

    def variation_bound(
        self,
        x: torch.Tensor,
        params: torch.Tensor,
        data: Data | None,
        radius: Radius,
        q: torch.Tensor,
    ) -> Variation:
        """Return the `bounds.Variation` on the ball around ``x``; see `ridge_variation`."""
        return ridge_variation(self, x, params, radius, q)

    def slopes(self, params: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return derivatives of filters and weights, ``(K, s_1, s_2, P)`` and ``(K, J, P)``.

        In double precision; of what is not learned they are zero.
        """
        with torch.enable_grad():
            return torch.autograd.functional.jacobian(self.experts, params.detach().double())

    def evaluated(
        self, params: torch.Tensor, x: torch.Tensor
    ) -> tuple[ReflectingFilters, torch.Tensor]:
        """Return `ReflectingFilters` and weights as the tensor ``x``, without graph."""
        require_images("x", x)
        return self._as(params, x)

    def _required_images(self, x, data):
        """The data, after checks."""
        require_images("x", x)
        for name, images in (("x", x), ("data", data)):
            if not isinstance(images, torch.Tensor) or images.is_complex():
                given = images.dtype if isinstance(images, torch.Tensor) else type(images).__name__
                raise TypeError(f"{name} is {given}, expected a real tensor (B, *{self.shape}).")
            if tuple(images.shape) != (len(x), *self.shape):
                raise ValueError(f"{name} has shape {tuple(images.shape)}, expected "
                                 f"{(len(x), *self.shape)}, images of the shape of the energy.")
        return data

    def _in_double(self, params):
        if not isinstance(params, torch.Tensor):
            raise TypeError(f"params is {type(params).__name__}, expected a tensor of real floats.")
        return self._as(params, params.double())

    def _as(self, params, x):
        if not isinstance(params, torch.Tensor):
            raise TypeError(f"params is {type(params).__name__}, expected a tensor of real floats.")
        with torch.no_grad():
            filters, weights = (part.to(x) for part in self.experts(params.detach()))
        return ReflectingFilters(self.shape, filters), weights

    def _linearization(self, x, params, y, filters, weights, r, weight, curvature):
        @functools.cache
        def preconditioner():
            return filters.shifted_inverse(1 + self.xi, curvature.mean((2, 3)))

        def hessian(v):
            return filters.normal(v, curvature).add_(v, alpha=1 + self.xi)

        def mixed_adjoint(q):
            inner, (learned, learned_weights) = self.learned(params)
            along, squares = filters.forward(q), r.square()
            outputs, slopes = [], []
            if learned_weights.requires_grad:
                products = along * r
                rows = [(self.potential.weight(squares, nu) * products).sum((0, 2, 3))
                        for nu in self.scales]  # fmt: skip
                outputs.append(learned_weights)
                slopes.append(torch.stack(rows, 1).to(learned_weights))
            if learned.requires_grad:
                exact, bend = self.potentials.weight_and_curvature(squares, weights)
                second = torch.addcmul(exact, bend, squares).mul_(along)
                outputs.append(learned)
                slopes.append(filters.filter_slope([q, x], [exact.mul_(r), second]).to(learned))
            (result,) = torch.autograd.grad(outputs, inner, slopes)
            return result

        slope = filters.adjoint(weight * r).add_(x - y).add_(x, alpha=self.xi)
        return Linearization(slope, hessian, mixed_adjoint, lambda v: preconditioner()(v))

    def learned(
        self, params: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        """Return the parameters, and filters and weights with a graph."""
        with torch.enable_grad():
            inner = params.detach().requires_grad_()
            return inner, self.experts(inner)
