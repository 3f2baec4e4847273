"""Hypergradients with certificates, from approximate reconstructions and any adjoints of them."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.energies.hessian_variation import variation
from odl_learned.energies.samples import sample_inner, sample_norms
from odl_learned.learning.bilevel.hypergradients.adjoint import AdjointOperator
from odl_learned.learning.bilevel.hypergradients.bounds import corrected_value_bound, gradient_bound
from odl_learned.learning.bilevel.hypergradients.curvature_trial import try_curvature
from odl_learned.learning.bilevel.hypergradients.loss_trial import try_loss
from odl_learned.learning.bilevel.hypergradients.metric_bounds import metric_gradient_bound
from odl_learned.learning.bilevel.lower.lower_level import Accuracy, Lower
from odl_learned.learning.bilevel.problem import require_lower
from odl_learned.learning.bilevel.work import Work, work_since
from odl_learned.validation import shown


class Hypergradient(NamedTuple):
    r"""Value and gradient of the upper level, with bounds of their errors.

    Parameters
    ----------
    value : float
        ``f`` at the computed reconstructions, penalty included.
    gradient : tensor ``(P,)``
        The computed gradient.
    x : tensor ``(B, *shape)``
        The computed reconstructions.
    value_bound, gradient_bound : float
        Bounds of the distances to the exact value and gradient, summed over the samples; infinite
        where the mode or the energy has none.
    corrected_value, corrected_value_bound : float
        The value minus ``sum_i <q_i, d_x E(x_i)>``, whose error is of second order, and its bound;
        value and value_bound where these are better.
    adjoint : tensor ``(B, *shape)`` or None
        ``q``, if the mode computes it.
    work : Work
        What was spent on it, lower level included; the same was added to ``lower.work``.
    """

    value: float
    gradient: torch.Tensor
    x: torch.Tensor
    value_bound: float
    gradient_bound: float
    corrected_value: float
    corrected_value_bound: float
    adjoint: torch.Tensor | None
    work: Work


#: How a hypergradient is computed: ``(lower, params, accuracy, adjoint_accuracy)``.
Mode = Callable[[Lower, torch.Tensor, Accuracy, Accuracy], Hypergradient]


def require_hypergradient(found):
    """Raise TypeError unless a mode has returned value and gradient with their bounds."""
    if not isinstance(found, Hypergradient):
        raise TypeError(f"the mode returned {shown(found)}, expected a Hypergradient; use "
                        "hypergradients.Implicit(), or return what it returns.")


class Reconstruction:
    r"""Approximate reconstructions and what is needed for the hypergradient there.

    Parameters
    ----------
    lower : LowerLevel
    params : tensor ``(P,)``
    x : tensor ``(B, *shape)``
    error_bound : array ``(B,)``
        ``>= |x_i - xhat_i|``.
    before : dict
        ``dataclasses.asdict(lower.work)`` when the work on them began.

    Attributes
    ----------
    f : CountedEnergy
    operator : AdjointOperator
        The Hessian.
    slope : tensor ``(B, *shape)``
        Gradient of the loss.
    """

    def __init__(self, lower, params, x, error_bound, before):
        self.lower, self.params, self.x, self._before = lower, params.detach(), x, before
        self._began = time.process_time()
        self.problem = lower.problem
        self.error_bound = torch.as_tensor(
            np.asarray(error_bound), dtype=torch.float64, device=x.device)
        self.f = lower.fixed(self.params)
        self.operator = AdjointOperator(self.f, x)
        self.slope = self.problem.loss.gradient(x)

    @staticmethod
    def solved(lower, params, accuracy):
        """Return the reconstruction with this accuracy."""
        require_lower(lower)
        before = dataclasses.asdict(lower.work)
        solution = lower.solve(params, accuracy)
        return Reconstruction(lower, params, solution.x, solution.error_bound, before)

    def work(self):
        """Return the `Work` since it began, and count the time since the lower level was solved."""
        self.lower.work.seconds += time.process_time() - self._began
        return work_since(self.lower, self._before)


def certified(at, q):
    r"""Return the `Hypergradient` of a reconstruction and an adjoint, with all its bounds.

    Parameters
    ----------
    at : Reconstruction
    q : tensor ``(B, *shape)``
        Any adjoint; the bounds hold for every one.

    Returns
    -------
    hypergradient : Hypergradient

    Source: ``docs/hypergradient_bound.md``. To the residual and the value, rounding errors are
    added, estimated as 16 units of what the sums are made of.
    """
    problem, params, x, e = at.problem, at.params, at.x, at.error_bound
    energy, loss, linear = problem.energy, problem.loss, at.operator.linearization
    rounding = 16 * torch.finfo(x.dtype).eps
    scale = sample_norms(at.slope) + energy.lipschitz(params) * sample_norms(q)
    image = at.operator(q)
    r = image - at.slope
    residual = sample_norms(r) + rounding * scale
    at.f.claims.products(at.operator, q, image)
    if at.f.is_trial_due:
        try_curvature(at.f, x, q, at.f.work.solves)
    try_loss(at.f.claims, loss, x, problem.x0)

    penalty, penalty_slope = problem.penalty_value_and_gradient(params)
    values = loss.value(x).to(e)
    value = float(values.sum()) + penalty
    gradient = penalty_slope - linear.mixed_adjoint(q).to(penalty_slope)

    change = variation(energy, x, params, problem.data, e, q)
    mu, doubt = energy.strong_convexity(params), energy.rounding(x, params, problem.data).to(e)
    distance = (sample_norms(linear.gradient) + doubt) / mu**0.5
    bounds = torch.minimum(gradient_bound(change, residual, e, loss.lipschitz, mu, distance),
                           metric_gradient_bound(energy, at, q, r, rounding * scale))  # fmt: skip
    seconds = corrected_value_bound(change, residual, e, loss.lipschitz, distance)
    firsts = loss.value_bound(x, e).to(e)
    stands = at.f.claims.stands
    firsts, seconds, bounds = (
        torch.where(part.isnan() | ~torch.tensor(stands("constants", "loss", *names)),
                    math.inf, part)
        for part, names in ((firsts, ()), (seconds, ("curvature",)), (bounds, ("curvature",))))
    corrections = sample_inner(q, linear.gradient)
    correction, second = float(corrections.sum()), float(seconds.sum())
    each = torch.minimum(firsts, corrections.abs() + seconds)
    slopes = doubt @ sample_norms(q)
    small = rounding * float(values.abs().sum() + abs(penalty)) + float(slopes)
    value_bound = small + min(float(each.sum()), abs(correction) + second)
    corrected, corrected_bound = value - correction, small + second
    if not corrected_bound < value_bound:
        corrected, corrected_bound = value, value_bound
    return Hypergradient(value, gradient, x, value_bound, float(bounds.sum()), corrected,
                         corrected_bound, q, at.work())  # fmt: skip
