r"""Hypergradients: the derivative of the upper level in the parameters, by a method of choice.

.. math:: f(\theta) = \sum_i \ell_i(\hat x_i(\theta)) + p(\theta), \qquad
          \nabla f = - \sum_i J_i^T q_i + \nabla p, \quad H_i q_i = \nabla \ell_i(\hat x_i),

with ``H = d_x^2 E`` and ``J = d_theta d_x E`` at the reconstruction. How it is computed is a value
with one signature,

    mode(lower, params, accuracy, adjoint_accuracy) -> Hypergradient

where ``lower`` is a `LowerLevel`, ``accuracy`` bounds ``|x_i - xhat_i|`` and ``adjoint_accuracy``
the residual ``|H q_i - grad l_i|``; both are floats or have one number per sample. `Implicit` is
the one to begin with, `Direct` the reference for small problems, `JacobianFree` the cheapest;
`Unrolled` and `Piggyback` are in `unrolled`, the result of all in `certificates`.
"""

import dataclasses

import torch

from odl_learned.energies.samples import sample_norms
from odl_learned.learning.bilevel.hypergradients.adjoint import (
    AdjointPreconditioner,
    adjoint_accuracies,
)
from odl_learned.learning.bilevel.hypergradients.certificates import (
    Accuracy,
    Hypergradient,
    Reconstruction,
    certified,
)
from odl_learned.learning.bilevel.lower.lower_level import Lower
from odl_learned.solvers.conjugate_gradient import conjugate_gradient
from odl_learned.validation import require_count, require_positive


@dataclasses.dataclass(frozen=True)
class Implicit:
    r"""The implicit function theorem with preconditioned conjugate gradients.

    The adjoint starts from the last one of this lower level where that has the smaller residual.

    Parameters
    ----------
    maxiter : int, optional
        Largest number of iterations of conjugate gradients; with few unknowns at most 100 and ten
        times as many as unknowns, which only rounding errors exceed.

    References
    ----------
    F. Pedregosa, *Hyperparameter optimization with approximate gradient*, ICML 2016, Algorithm 1.
    M. J. Ehrhardt, L. Roberts, *Analyzing inexact hypergradients for bilevel learning*, IMA J.
    Appl. Math. 89 (2024).
    """

    maxiter: int = 10000

    def __post_init__(self):
        require_count("maxiter", self.maxiter)

    def __call__(
        self,
        lower: Lower,
        params: torch.Tensor,
        accuracy: Accuracy,
        adjoint_accuracy: Accuracy,
    ) -> Hypergradient:
        """Return the `Hypergradient`."""
        at = Reconstruction.solved(lower, params, accuracy)
        start = _warm_start(lower, at)
        asked = adjoint_accuracies(adjoint_accuracy, len(at.x))
        maxiter = min(self.maxiter, 100 + 10 * _as_real(at.slope).shape[1])
        q = conjugate_gradient(at.operator, at.slope, start, asked, maxiter,
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

    def __call__(
        self,
        lower: Lower,
        params: torch.Tensor,
        accuracy: Accuracy,
        adjoint_accuracy: Accuracy,
    ) -> Hypergradient:
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

    Examples
    --------
    >>> import torch
    >>> from odl_learned import energies
    >>> from odl_learned.energies import coefficients, potentials, transforms
    >>> from odl_learned.learning import bilevel
    >>> from odl_learned.learning.bilevel import first_order, hypergradients
    >>> truth, seed = torch.zeros(2, 16, dtype=torch.float64), torch.Generator().manual_seed(0)
    >>> truth[:, 5:11] = 1
    >>> y = truth + 0.1 * torch.randn(truth.shape, generator=seed, dtype=torch.float64)
    >>> energy = energies.VariationEnergy(
    ...     energies.Denoising(), transforms.BackwardDifferences(16), potentials.Charbonnier(),
    ...     coefficients.decimal_alpha(nu=0.1, xi=1e-3))
    >>> loss = bilevel.SquaredError(truth)
    >>> problem = bilevel.BilevelProblem(energy, y, loss, y, lower=-4.0, upper=2.0)
    >>> alpha = torch.zeros(1, dtype=torch.float64)  # log10 of it
    >>> cheap = hypergradients.JacobianFree()  # no limit, only a direction
    >>> learned = first_order.isgd(problem, alpha, cheap, batch_size=2, epochs=5, generator=seed)
    >>> print(bool(learned.params[0] < 0))
    True
    """

    step: float | None = None

    def __post_init__(self):
        if self.step is not None:
            require_positive("step", self.step)

    def __call__(
        self,
        lower: Lower,
        params: torch.Tensor,
        accuracy: Accuracy,
        adjoint_accuracy: Accuracy,
    ) -> Hypergradient:
        """Return the `Hypergradient`; the accuracy of the adjoint does not matter."""
        at = Reconstruction.solved(lower, params, accuracy)
        step = 1 / lower.problem.energy.lipschitz(params) if self.step is None else self.step
        return certified(at, step * at.slope)


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
