r"""Hypergradients from iterations: unrolled, with checkpoints, and piggyback.

Both run ``x_{k+1} = y_k - tau d_x E(y_k)``, ``y_k = x_k + beta (x_k - x_{k-1})`` on all samples.
"""

import dataclasses
import math
from collections.abc import Callable

import torch

from odl_learned.energies.doors import require_samples
from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel.hypergradients.adjoint import asked_accuracies
from odl_learned.learning.bilevel.hypergradients.certificates import (
    Accuracy,
    Hypergradient,
    Reconstruction,
    certified,
)
from odl_learned.learning.bilevel.lower.claim_trial import certified_bounds
from odl_learned.learning.bilevel.lower.lower_level import Lower
from odl_learned.learning.bilevel.problem import require_lower
from odl_learned.learning.bilevel.work import work_since
from odl_learned.solvers.solution import DivergenceError
from odl_learned.validation import require_count, require_method, require_shape


def accelerated(lipschitz: float, strong_convexity: float) -> tuple[float, float]:
    """Return step and momentum of Nesterov's method, ``1/L`` and ``(1 - s)/(1 + s)``.

    ``s = sqrt(mu / L)``; Nesterov, *Lectures on convex optimization*, 2018, (2.2.22).
    """
    root = math.sqrt(strong_convexity / lipschitz)
    return 1 / lipschitz, (1 - root) / (1 + root)


def plain(lipschitz: float, strong_convexity: float) -> tuple[float, float]:
    """Return step and momentum of gradient descent, ``2/(L + mu)`` and zero."""
    return 2 / (lipschitz + strong_convexity), 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Unrolled:
    r"""The exact gradient of the upper level at the last of a fixed number of iterates.

    The sweep back through the iterates, with ``a = d f / d x_{k+1}``, is

    .. math:: h = a - \tau H(y_k) a, \quad \nabla f \mathrel{-}= \tau J(y_k)^T a, \quad
              \tfrac{df}{dx_k} \mathrel{+}= (1 + \beta) h, \quad
              \tfrac{df}{dx_{k-1}} = - \beta h .

    Of the forward sweep only every so many iterates are kept; the ones between are computed again.
    ``tau`` and ``beta`` count as constants.

    Parameters
    ----------
    niter : int
        Number of iterations.
    every : int, optional
        Distance of the iterates that are kept. Default: ``sqrt(niter)``, for a memory of
        ``2 sqrt(niter)`` iterates at one more gradient per iteration.
    scheme : callable, optional
        ``(lipschitz, strong_convexity) -> (tau, beta)``: `accelerated` or `plain`.
    start : tensor ``(B, *shape)``, optional
        Where to start. Default: ``problem.x0``.

    References
    ----------
    P. Ochs et al., *Bilevel optimization with nonsmooth lower level problems*, SSVM 2015.
    A. Griewank, A. Walther, *Evaluating derivatives*, 2008, chapter 12.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import hypergradients
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> found = hypergradients.check_hypergradient(
    ...     problem, alpha, hypergradients.Unrolled(500), np.random.default_rng(0), directions=1)
    >>> print(found.errors.max() < 1e-6)
    True
    """

    niter: int
    every: int | None = None
    scheme: Callable[[float, float], tuple[float, float]] = accelerated
    start: torch.Tensor | None = None

    def __post_init__(self):
        require_count("niter", self.niter)
        if self.every is not None:
            require_count("every", self.every)
        require_method("scheme", self.scheme, "accelerated")

    def __call__(
        self,
        lower: Lower,
        params: torch.Tensor,
        accuracy: Accuracy,
        adjoint_accuracy: Accuracy,
    ) -> Hypergradient:
        """Return the `Hypergradient` of ``f(x_niter)``; the accuracies are not used.

        Values have bounds as approximations of the exact ones; the gradient has none.
        """
        require_lower(lower)
        problem, before = lower.problem, dataclasses.asdict(lower.work)
        problem.require_params(params, "params")
        f = lower.fixed(params.detach())
        tau, beta = self.scheme(f.grad_lipschitz, f.strong_convexity)
        x = _start(self.start, problem)
        every = math.isqrt(self.niter - 1) + 1 if self.every is None else self.every
        pair, kept = (x, x), []
        for k in range(self.niter):
            if k % every == 0:
                kept.append(pair)
            pair = _advance(f, pair, tau, beta)[1]
        x = pair[0]
        _require_convergence(f, x)
        here = problem.loss.gradient(x)
        gradient, previous = 0, torch.zeros_like(here)
        for first in reversed(range(0, self.niter, every)):
            pair, points = kept.pop(), []
            for _ in range(first, min(first + every, self.niter)):
                y, pair = _advance(f, pair, tau, beta)
                points.append(y)
            while points:
                linear = f.linearize(points.pop())
                h = here - tau * linear.hessian(here)
                gradient = gradient - tau * linear.mixed_adjoint(here)
                here, previous = previous + (1 + beta) * h, -beta * h
        penalty, penalty_slope = problem.penalty_value_and_gradient(params)
        value = float(problem.loss.value(x).sum()) + penalty
        bounds = certified_bounds(f, x, error_bounds(f, x).cpu().numpy())
        bound = float(problem.loss.value_bound(x, bounds).sum())
        return Hypergradient(value, penalty_slope + gradient, x, bound, math.inf, value, bound,
                             None, work_since(lower, before))  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Piggyback:
    r"""Reconstruction and adjoint iterated together, each sample until both are accurate.

    .. math:: q_{k+1} = p_k - \tau (H(y_k) p_k - \nabla \ell(y_k)), \qquad
              p_k = q_k + \beta (q_k - q_{k-1}) .

    Parameters
    ----------
    maxiter : int
        Largest number of iterations.
    every : int, optional
        Distance of the iterations in which the certificates are computed.
    scheme : callable, optional
        ``(lipschitz, strong_convexity) -> (tau, beta)``: `accelerated` or `plain`.
    start : tensor ``(B, *shape)``, optional
        Where to start. Default: ``problem.x0``.

    References
    ----------
    A. Griewank, C. Faure, *Reduced functions, gradients and Hessians from fixed-point iterations
    for state equations*, Numer. Algorithms 30 (2002).
    L. Bogensperger, A. Chambolle, T. Pock, *Convergence of a piggyback-style method for the
    differentiation of solutions of standard saddle-point problems*, SIAM J. Math. Data Sci. 4
    (2022).

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import hypergradients
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> found = hypergradients.check_hypergradient(
    ...     problem, alpha, hypergradients.Piggyback(5000), np.random.default_rng(0), directions=1)
    >>> print(found.errors.max() < 1e-6)
    True
    """

    maxiter: int
    every: int = 10
    scheme: Callable[[float, float], tuple[float, float]] = accelerated
    start: torch.Tensor | None = None

    def __post_init__(self):
        require_count("maxiter", self.maxiter)
        require_count("every", self.every)
        require_method("scheme", self.scheme, "accelerated")

    def __call__(
        self,
        lower: Lower,
        params: torch.Tensor,
        accuracy: Accuracy,
        adjoint_accuracy: Accuracy,
    ) -> Hypergradient:
        """Return the `Hypergradient`, with all bounds, also if the iterations ran out."""
        require_lower(lower)
        problem, before = lower.problem, dataclasses.asdict(lower.work)
        problem.require_params(params, "params")
        f, loss = lower.fixed(params.detach()), problem.loss
        tau, beta = self.scheme(f.grad_lipschitz, f.strong_convexity)
        x = _start(self.start, problem)
        result, adjoint = x.clone(), torch.zeros_like(x)
        index = torch.arange(len(x), device=x.device)
        distances, residuals = (
            torch.from_numpy(asked_accuracies(name, a, len(x))).to(x.device)
            for name, a in (("accuracy", accuracy), ("adjoint_accuracy", adjoint_accuracy)))
        pair, other = (x, x), (adjoint, adjoint)
        for k in range(1, self.maxiter + 1):
            y, p = _extrapolated(pair, beta), _extrapolated(other, beta)
            linear = f.linearize(y)
            pair = y - tau * linear.gradient, pair[0]
            other = p - tau * (linear.hessian(p) - loss.gradient(y)), other[0]
            if k % self.every and k < self.maxiter:
                continue
            x, q = pair[0], other[0]
            residual = sample_norms(f.linearize(x).hessian(q) - loss.gradient(x))
            done = error_bounds(f, x) <= distances[index]
            done = done & (residual <= residuals[index]) | (k == self.maxiter)
            result[index[done]], adjoint[index[done]] = x[done], q[done]
            if done.all():
                break
            if done.any():
                rest = torch.nonzero(~done)[:, 0]
                index, f, loss = index[rest], f.take(rest), loss.take(rest)
                pair, other = ((a[rest], b[rest]) for a, b in (pair, other))
        f = lower.fixed(params.detach())
        _require_convergence(f, result)
        bounds = certified_bounds(f, result, error_bounds(f, result).cpu().numpy())
        return certified(Reconstruction(lower, params, result, bounds, before), adjoint)


def error_bounds(f, x):
    """Return ``|d_x E| / mu >= |x_i - xhat_i|``, ``(B,)``, rounding of the gradient included."""
    rounding = f.energy.rounding(x, f.params, f.data)
    return (sample_norms(f.gradient(x)) + rounding) / f.strong_convexity


def _require_convergence(f, x):
    if not bool(torch.isfinite(x).all()):
        raise DivergenceError(
            f"the iterates are not finite with the steps for lipschitz(params) = "
            f"{f.grad_lipschitz:.6g} and strong_convexity(params) = {f.strong_convexity:.6g} of "
            f"{type(f.energy).__name__}; expected true constants, see check_energy, and parameters "
            "for which the energy is well conditioned."
        )


def _advance(f, pair, tau, beta):
    """``y_k`` and ``(x_{k+1}, x_k)``."""
    y = _extrapolated(pair, beta)
    return y, (y - tau * f.gradient(y), pair[0])


def _extrapolated(pair, beta):
    here, before = pair
    return here + beta * (here - before) if beta else here


def _start(start, problem):
    if start is None:
        return problem.x0
    require_samples("start", start)
    require_shape("start", start, problem.x0.shape, "that of problem.x0.")
    return start
