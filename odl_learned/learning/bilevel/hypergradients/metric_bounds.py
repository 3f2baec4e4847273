r"""Bounds of hypergradients in the metric of the Hessian, for energies in closed form.

With ``M <= H(x)`` on a ball that contains the minimizer, lengths of ``x`` are measured by ``M`` and
lengths of gradients by ``M^-1``. Then small weights of few frequencies do not count for all, and
where the potential has a large third derivative, its second one often makes up for it.

Source of all bounds: ``docs/hypergradient_bound.md``, section "In the metric of the Hessian".
"""

import functools

import torch

from odl_learned.energies.coefficients.functions import evaluated
from odl_learned.energies.coefficients.slopes import coefficient_slopes, joined_norms
from odl_learned.energies.fidelities import real_products
from odl_learned.energies.intervals import ball_interval, block_lengths
from odl_learned.energies.samples import sample_norms
from odl_learned.energies.transforms.pencil import pencil_bound
from odl_learned.energies.variation_energy import VariationEnergy


@functools.singledispatch
def metric_gradient_bound(energy, at, q, residual, rounding):
    r"""Bound ``|z - grad F|`` for ``z = -J(x~)^T q~`` in the metric of the energy.

    .. math:: |z - \nabla F| \le \beta \Big(|r|_* + \frac{L_f e}{\sqrt \mu}
        + \alpha \lambda \gamma\Big) + \sup |(J - \tilde J)^T \tilde q| .

    Parameters
    ----------
    energy : ParametricEnergy
        Other classes than `VariationEnergy` get a rule with ``metric_gradient_bound.register``.
    at : Reconstruction
        ``x~`` with a bound of ``|x~ - x^|``.
    q, residual : tensor ``(B, *shape)``
        ``q~``, and ``r = grad l(x~) - H(x~) q~`` as computed, up to a sign.
    rounding : tensor ``(B,)``
        A bound of the error of ``r``.

    Returns
    -------
    bound : tensor ``(B,)``, infinite where nothing is known

    Source: ``docs/hypergradient_bound.md``, Theorem 3.
    """
    return torch.full_like(at.error_bound, torch.inf)


@metric_gradient_bound.register
def _(energy: VariationEnergy, at, q, residual, rounding):
    mu = energy.strong_convexity(at.params)
    metric, x, data, root = FidelityMetric(energy, at.params), at.x, at.problem.data, mu**0.5
    if not (mu > 0 and metric.root.min() > 0):
        return torch.full_like(at.error_bound, torch.inf)
    gamma = metric.dual_norms(at.operator.linearization.gradient)
    gamma = gamma + energy.rounding(x, at.params, data).to(gamma) / root
    e = torch.minimum(at.error_bound, gamma / root)
    ball = EnergyBall(energy, metric, x, at.params, data, e, q)
    inside = metric.dual_norms(residual) + (rounding + at.problem.loss.lipschitz * e) / root
    adjoint = inside + ball.alpha * ball.pencil * gamma
    return ball.jacobian() * adjoint + ball.mixed(gamma)


class FidelityMetric:
    """``M_0 = A^* w A + xi``, the quadratic part of a `VariationEnergy`, for ``A^* A <= 1``.

    A fidelity with the attribute ``least`` has ``A^* A >= least``, others have ``A^* A = 1``.

    Parameters
    ----------
    energy : VariationEnergy
    params : tensor ``(P,)``

    Attributes
    ----------
    mu : float
        ``mu <= M_0``.
    root : tensor
        ``(w + xi)^1/2``, for all data or for each.
    """

    def __init__(self, energy, params):
        c = evaluated(energy.coefficients, params)
        ones = params.new_ones(()) if c.weights is None else c.weights
        self._fidelity, self.root = energy.fidelity, (ones + float(c.xi)).sqrt()
        self.mu = energy.strong_convexity(params)

    def dual_norms(self, v):
        """Bound ``<v, M_0^-1 v>^1/2``, ``(B,)``; equal to it for unitary ``A``."""
        size, least = sample_norms(v), getattr(self._fidelity, "least", 1.0)
        seen = sample_norms(self._fidelity.forward(v) / self.root)
        if 0 < least < 1:
            seen = seen + (1 / least - 1) / float(self.root.min()) * size
        plain = size / self.mu**0.5
        return torch.minimum(seen, plain) if least > 0 else plain


class EnergyBall:
    r"""Bounds for a `VariationEnergy` on the ball ``|x - x~| <= e``, in its metric.

    Parameters
    ----------
    energy : VariationEnergy
    metric : FidelityMetric
    x, q : tensor ``(B, *shape)``
        ``x~`` and ``q~``.
    params : tensor ``(P,)``
    data : tensor
    e : tensor ``(B,)``

    Attributes
    ----------
    pencil : tensor ``(B,)``
        ``t`` with ``|(H_R(x) - H_R(x~)) q|_M^-1 <= t |x - x~|_M`` for the Hessians ``H_R`` of the
        potential part and ``M = M_0 + alpha D^T diag(k) D <= H``.
    """

    def __init__(self, energy, metric, x, params, data, e, q):
        c = evaluated(energy.coefficients, params)
        self.alpha, self._nu, self._metric, self._e = float(c.alpha), float(c.nu), metric, e
        self._potential, self._transform = energy.potential, energy.transform
        self._slopes = coefficient_slopes(energy.coefficients, params)
        self._x, self._q = x, q
        self._p, self._w = energy.transform.forward(x), energy.transform.forward(q)
        self._squares = real_products(self._p, self._p).sum(1)
        self._rates = ball_interval(
            energy.potential, self._nu, self._p, energy.transform.group_norm, e)
        self._misfit = (energy.fidelity.forward(x) - data).abs().to(e)
        self._seen = energy.fidelity.forward(q).abs().to(e)
        self.pencil = pencil_bound(energy.transform, self._rates.third * block_lengths(self._w),
                                   self.alpha * self._rates.convexity, metric.mu)  # fmt: skip

    def jacobian(self):
        """Bound ``|J(x)^T p|`` for ``<p, M_0 p> <= 1`` and all ``x`` of the ball, ``(B,)``."""
        norms, rates = self._metric.dual_norms, self._rates
        weight = self._potential.weight(self._squares, self._nu)
        slope = self._potential.weight_slope(self._squares, self._nu)
        far = self._e / self._metric.mu**0.5
        steepest = self._transform.norm**2 * rates.mixed.flatten(1).amax(1)
        sizes = torch.stack([
            norms(self._transposed(weight, self._p))
            + far * self._transform.product_norm(rates.curvature),
            self.alpha * (norms(self._transposed(slope, self._p)) + far * steepest),
            norms(self._x) + far,
        ])  # fmt: skip
        reached = self._misfit + self._e.reshape(-1, *[1] * (self._misfit.ndim - 1))
        return joined_norms(*self._slopes, sizes, reached / self._metric.root)

    def mixed(self, gamma):
        """Bound ``|(J(x) - J(x~))^T q|`` for ``x`` of the ball, ``|x - x~|_M <= gamma (B,)``."""
        norms, p, w = self._metric.dual_norms, self._p, self._w
        weight, bend = self._potential.weight_and_curvature(self._squares, self._nu)
        hessian = (self._transposed(weight, w)
                   + self._transposed(bend * real_products(p, w).sum(1), p))  # fmt: skip
        moved = self._transform.norm * sample_norms(self._rates.mixed * block_lengths(w))
        changes = torch.stack([
            gamma * (norms(hessian) + self.pencil * gamma / 2),
            self.alpha * moved * self._e,
            gamma * norms(self._q),
        ])  # fmt: skip
        wide = gamma.reshape(-1, *[1] * (self._seen.ndim - 1))
        return joined_norms(*self._slopes, changes, wide * self._seen / self._metric.root)

    def _transposed(self, factors, p):
        return self._transform.adjoint(factors[:, None] * p)
