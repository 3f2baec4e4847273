"""Solvers of lower levels as values: how a smooth, strongly convex energy is minimized.

A solver is a function ``(f, x0, accuracy) -> Solution`` for a `FixedEnergy` ``f`` and one accuracy
per sample.
"""

import abc
import dataclasses
from collections.abc import Callable

import numpy as np
import torch

from odl_learned.energies.doors import require_function
from odl_learned.energies.fixed_energy import FixedEnergy
from odl_learned.learning.bilevel.lower.dual_newton import dual_newton
from odl_learned.solvers.smooth.gradient_descent import (
    accelerated_gradient,
    gradient_descent,
    restarted_gradient,
)
from odl_learned.solvers.smooth.newton import newton_krylov
from odl_learned.solvers.solution import Solution
from odl_learned.validation import require_count

#: How `LowerLevel` minimizes an energy: ``(f, x0, accuracy) -> Solution``.
LowerSolver = Callable[[FixedEnergy, torch.Tensor, np.ndarray], Solution]


def certifies(solver):
    """Whether a solver is one of this package, whose bound is ``|grad E| / mu`` at its ``x``."""
    method = getattr(solver, "method", accelerated_gradient)
    return isinstance(solver, OwnSolver) and method in (
        accelerated_gradient, restarted_gradient, gradient_descent)  # fmt: skip


class OwnSolver(abc.ABC):
    """A solver whose ``error_bound`` is ``|grad E| / mu`` where its ``x`` is, as computed.

    Bounds of others are not believed: `LowerLevel` computes the gradient once more.
    """

    @abc.abstractmethod
    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        """Return the `Solution`."""


@dataclasses.dataclass(frozen=True)
class Newton(OwnSolver):
    """Newton's method with preconditioned conjugate gradients, up to ``maxiter`` steps.

    Energies that follow a dual variable, see `ParametricEnergy.linearize_from`, are minimized by
    `dual_newton`; others, and samples where it fails, by `solvers.newton_krylov`.
    """

    maxiter: int = 200

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        if not f.energy.follows_dual:
            return newton_krylov(f, x0, accuracy, self.maxiter)
        first = dual_newton(f, x0, accuracy, self.maxiter)
        rest = np.flatnonzero(first.reason != "accuracy")
        if not rest.size:
            return first
        # The last point of a sample may be worse than its start, from which Newton's method
        # converges for sure.
        better = torch.from_numpy(first.error_bound[rest] < np.inf).to(x0.device)
        start = torch.where(better.reshape(-1, *[1] * (x0.ndim - 1)), first.x[rest], x0[rest])
        second = newton_krylov(f.take(rest), start, accuracy[rest], self.maxiter)
        x, bound, niter, reason = first.x.clone(), *(np.array(v) for v in first[1:4])
        x[rest], bound[rest], reason[rest] = second.x, second.error_bound, second.reason
        niter[rest] += second.niter
        return Solution(x, bound, niter, reason)


@dataclasses.dataclass(frozen=True)
class Accelerated(OwnSolver):
    """Accelerated gradient descent for strongly convex functions, up to ``maxiter`` steps."""

    maxiter: int = 1_000_000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        return accelerated_gradient(f, x0, accuracy, self.maxiter)


@dataclasses.dataclass(frozen=True)
class Restarted(OwnSolver):
    """Accelerated gradient descent with restarts, up to ``maxiter`` steps.

    Faster than `Accelerated` where the energy is more convex around its minimizer than its constant
    says, as if few data are measured and total variation sees the rest; elsewhere the same.
    """

    maxiter: int = 1_000_000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        return restarted_gradient(f, x0, accuracy, self.maxiter)


@dataclasses.dataclass(frozen=True)
class GradientDescent(OwnSolver):
    """Gradient descent, up to ``maxiter`` steps."""

    maxiter: int = 10_000_000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        return gradient_descent(f, x0, accuracy, self.maxiter)


@dataclasses.dataclass(frozen=True)
class FixedIterations(OwnSolver):
    """Exactly ``niter`` steps of another first-order solver, whatever accuracy is asked for.

    Parameters
    ----------
    niter : int
    method : callable, optional
        ``accelerated_gradient`` (default), ``restarted_gradient`` or ``gradient_descent`` of
        `solvers`.
    """

    niter: int
    method: Callable[..., Solution] = accelerated_gradient

    def __post_init__(self):
        require_count("niter", self.niter)
        require_function("method", self.method, "accelerated_gradient")

    def __call__(self, f: FixedEnergy, x0: torch.Tensor, accuracy: np.ndarray) -> Solution:
        never = 0 * accuracy + 1e-300
        return self.method(f, x0, never, self.niter)
