r"""Hypergradients: the derivative of the upper level in the parameters, by a method of choice.

.. math:: f(\theta) = \sum_i \ell_i(\hat x_i(\theta)) + p(\theta), \qquad
          \nabla f = - \sum_i J_i^T q_i + \nabla p, \quad H_i q_i = \nabla \ell_i(\hat x_i),

with ``H = d_x^2 E`` and ``J = d_theta d_x E`` at the reconstruction. How it is computed is a value
with one signature,

    mode(lower, params, accuracy, adjoint_accuracy) -> Hypergradient

where ``lower`` is a `LowerLevel`, ``accuracy`` bounds ``|x_i - xhat_i|`` and ``adjoint_accuracy``
the residual ``|H q_i - grad l_i|``; both are floats or have one number per sample. `Implicit` is
the one to begin with, `Direct` the reference for small problems, `JacobianFree` the cheapest;
`Unrolled` and `Piggyback` are in `unrolled`.
"""

import dataclasses
import time
from typing import NamedTuple

import numpy as np
import torch

from odl_learned.learning.bilevel.adjoint import (
    AdjointOperator,
    AdjointPreconditioner,
    adjoint_accuracies,
)
from odl_learned.learning.bilevel.bounds import (
    corrected_value_bound,
    gradient_bound,
    sample_inner,
    sample_norms,
    variation,
)
from odl_learned.learning.bilevel.lower_level import Work
from odl_learned.learning.bilevel.metric_bounds import metric_gradient_bound
from odl_learned.solvers.conjugate_gradient import conjugate_gradient
from odl_learned.validation import require_count, require_positive


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


@dataclasses.dataclass(frozen=True)
class Implicit:
    r"""The implicit function theorem with preconditioned conjugate gradients.

    The adjoint starts from the last one of this lower level where that has the smaller residual.

    Parameters
    ----------
    maxiter : int, optional
        Largest number of iterations of conjugate gradients.

    References
    ----------
    F. Pedregosa, *Hyperparameter optimization with approximate gradient*, ICML 2016, Algorithm 1.
    M. J. Ehrhardt, L. Roberts, *Analyzing inexact hypergradients for bilevel learning*, IMA J.
    Appl. Math. 89 (2024).
    """

    maxiter: int = 10000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, lower, params, accuracy, adjoint_accuracy):
        """Return the `Hypergradient`."""
        at = Reconstruction.solved(lower, params, accuracy)
        start = _warm_start(lower, at)
        asked = adjoint_accuracies(adjoint_accuracy, len(at.x))
        q = conjugate_gradient(at.operator, at.slope, start, asked, self.maxiter,
                               precondition=AdjointPreconditioner(at.operator)).x  # fmt: skip
        lower.adjoint = q
        return certified(at, q)


@dataclasses.dataclass(frozen=True)
class Direct:
    r"""The implicit function theorem with dense Hessians, for small problems and as a reference.

    The Hessian of every sample is assembled from products with all unit vectors, those with the
    imaginary unit included for complex ``x``, and factorized by Cholesky.

    Parameters
    ----------
    largest : int, optional
        Largest number of real unknowns of one sample.
    """

    largest: int = 4096

    def __post_init__(self):
        require_count("largest", self.largest)

    def __call__(self, lower, params, accuracy, adjoint_accuracy):
        """Return the `Hypergradient`; the adjoint is exact up to rounding."""
        at = Reconstruction.solved(lower, params, accuracy)
        right = _as_real(at.slope)
        size = right.shape[1]
        if size > self.largest:
            raise ValueError(
                f"one sample has {size} real unknowns, expected at most {self.largest} for a dense "
                "Hessian; use Implicit(), or Direct(largest=...) if the memory is there."
            )
        dense = right.new_empty((len(right), size, size))
        for k, unit in enumerate(torch.eye(size, dtype=right.dtype, device=right.device)):
            dense[:, :, k] = _as_real(at.operator(_as_samples(unit.expand(len(right), size), at.x)))
        factor = torch.linalg.cholesky((dense + dense.mT) / 2)
        return certified(at, _as_samples(torch.cholesky_solve(right[..., None], factor), at.x))


@dataclasses.dataclass(frozen=True)
class JacobianFree:
    r"""Backpropagation through one gradient step only: ``q = tau grad l``.

    ``xhat`` is the fixed point of ``T(x) = x - tau d_x E``; in ``grad f = (d_theta T)^T (1 - d_x
    T^T)^-1 grad l`` the inverse is replaced by the identity. The result is a descent direction
    under conditions, not an approximation that converges; its bound says how far it is.

    Parameters
    ----------
    step : float, optional
        ``tau``. Default: ``1 / lipschitz``.

    References
    ----------
    S. Wu Fung et al., *JFB: Jacobian-free backpropagation for implicit networks*, AAAI 2022.
    """

    step: float | None = None

    def __post_init__(self):
        if self.step is not None:
            require_positive("step", self.step)

    def __call__(self, lower, params, accuracy, adjoint_accuracy):
        """Return the `Hypergradient`; the accuracy of the adjoint does not matter."""
        at = Reconstruction.solved(lower, params, accuracy)
        step = 1 / lower.problem.energy.lipschitz(params) if self.step is None else self.step
        return certified(at, step * at.slope)


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
        self.operator = AdjointOperator(lower.fixed(self.params), x)
        self.slope = self.problem.loss.gradient(x)

    @staticmethod
    def solved(lower, params, accuracy):
        """Return the reconstruction with this accuracy."""
        before = dataclasses.asdict(lower.work)
        solution = lower.solve(params, accuracy)
        return Reconstruction(lower, params, solution.x, solution.error_bound, before)

    def work(self):
        """Return the `Work` since it began, and count the time since the lower level was solved."""
        self.lower.work.seconds += time.process_time() - self._began
        return work_since(self.lower, self._before)


def work_since(lower, before):
    """Return the `Work` since ``before = dataclasses.asdict(lower.work)``."""
    now = dataclasses.asdict(lower.work)
    return Work(**{name: now[name] - before[name] for name in now})


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
    r = at.operator(q) - at.slope
    residual = sample_norms(r) + rounding * scale

    penalty, penalty_slope = problem.penalty_value_and_gradient(params)
    values = loss.value(x).to(e)
    value = float(values.sum()) + penalty
    gradient = penalty_slope - linear.mixed_adjoint(q).to(penalty_slope)

    change = variation(energy, x, params, problem.data, e, q)
    mu = energy.strong_convexity(params)
    bounds = torch.minimum(gradient_bound(change, residual, e, loss.lipschitz, mu),
                           metric_gradient_bound(energy, at, q, r, rounding * scale))  # fmt: skip
    seconds = corrected_value_bound(change, residual, e, loss.lipschitz)
    corrections = sample_inner(q, linear.gradient)
    correction, second = float(corrections.sum()), float(seconds.sum())
    each = torch.minimum(loss.value_bound(x, e).to(e), corrections.abs() + seconds)
    slopes = energy.rounding(x, params, problem.data).to(e) @ sample_norms(q)
    small = rounding * float(values.abs().sum() + abs(penalty)) + float(slopes)
    value_bound = small + min(float(each.sum()), abs(correction) + second)
    corrected, corrected_bound = value - correction, small + second
    if not corrected_bound < value_bound:
        corrected, corrected_bound = value, value_bound
    return Hypergradient(value, gradient, x, value_bound, float(bounds.sum()), corrected,
                         corrected_bound, q, at.work())  # fmt: skip


def _warm_start(lower, at):
    """The last adjoint for the samples where it helps, zero for the others."""
    last, slope = getattr(lower, "adjoint", None), at.slope
    if last is None or last.shape != slope.shape or last.dtype != slope.dtype:
        return torch.zeros_like(slope)
    helps = sample_norms(at.operator(last) - slope) < sample_norms(slope)
    return torch.where(helps.reshape(-1, *[1] * (slope.ndim - 1)), last, 0)


def _as_real(x):
    """``(B, number of real unknowns)``."""
    return (torch.view_as_real(x.contiguous()) if x.is_complex() else x).flatten(1)


def _as_samples(v, x):
    """The inverse of `_as_real`."""
    if x.is_complex():
        return torch.view_as_complex(v.reshape(*x.shape, 2).contiguous())
    return v.reshape(x.shape).contiguous()
