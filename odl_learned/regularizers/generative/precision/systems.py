r"""Linear equations with a sparse precision: proximals and posterior means, by conjugate gradients.

Around the mean, ``u = m + v``, all of them are ``(N + s P) v = b`` with a normal operator ``N = A^T
A`` and a number ``s > 0``. What preconditions them best depends on which of both is larger, and is
a choice by value: `Shifted` where the prior dominates and for diagonal ``N``, `Split` where the
data are precise, ``s diag P`` below one, `Jacobi` where triangular solves cost too much.
"""


import torch

from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.preconditioners import Shifted, require_images
from odl_learned.regularizers.generative.precision.samples import TensorMap
from odl_learned.solvers import Solution, conjugate_gradient
from odl_learned.solvers.arithmetic.samples import restricted
from odl_learned.validation import require_method, require_positive


def proximal(precision: Precision, x: torch.Tensor, step: float,
             mean: torch.Tensor | None = None, accuracy: float = 1e-6, maxiter: int = 200,
             precondition: TensorMap | None = None) -> Solution:  # fmt: skip
    r"""Return the proximal of the weighted square, with its distance to the exact one.

    .. math:: \min_u \tfrac12 |u - x|^2 + \tfrac{\text{step}}2 |L^T (u - m)|^2,
              \qquad (I + \text{step} \, P) (u - m) = x - m .

    Parameters
    ----------
    precision : Precision
    x : tensor ``(N, *image)``, real or complex
    step : float
        Positive.
    mean : tensor ``(N, *image)``, optional
        ``m``; default: zero.
    accuracy : float, optional
        Bound of the distance, relative to ``|x - m|``.
    maxiter : int, optional
    precondition : callable, optional
        Default: `Shifted` with the share 1; `Jacobi` on devices where triangular solves are slow.

    Returns
    -------
    solution : solvers.Solution
        Without derivatives; numbers are arrays of shape ``(N,)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    """
    require_positive("step", step)
    require_images("x", x, precision)
    if mean is not None:
        require_images("mean", mean, precision, x)
    b = (x if mean is None else x - mean).detach()
    precondition = precondition or Shifted(precision, step, 1.0)
    return _solved(precision, _same, b, mean, step, accuracy, maxiter, precondition, 1.0)


def posterior_mean(precision: Precision, normal: TensorMap, back: torch.Tensor, noise: float,
                   mean: torch.Tensor | None = None, accuracy: float = 1e-6, maxiter: int = 500,
                   precondition: TensorMap | None = None) -> Solution:  # fmt: skip
    r"""Return the mean of images given data with white noise, for a Gaussian prior.

    .. math:: \min_u \tfrac{1}{2 \sigma^2} |A u - y|^2 + \tfrac12 |L^T (u - m)|^2,
              \qquad (A^T A + \sigma^2 P) (u - m) = A^T y - A^T A m .

    Parameters
    ----------
    precision : Precision
        For a weight ``lambda`` of the prior, pass ``sigma sqrt(lambda)`` as noise.
    normal : callable
        ``u -> A^T A u`` on tensors ``(N, *image)``, symmetric and positive semidefinite, such as
        ``bridge.as_module(A.adjoint @ A)``; with ``take(index)``, unless the same for all samples.
    back : tensor ``(N, *image)``
        ``A^T y``.
    noise : float
        ``sigma``, of the entries of the data; positive.
    mean : tensor ``(N, *image)``, optional
        ``m``; default: zero.
    accuracy : float, optional
        Size of the residual of the equation, relative to its right-hand side.
    maxiter : int, optional
    precondition : callable, optional
        `Shifted`, `Split` or `Jacobi`; default: `Shifted` with the share 1.

    Returns
    -------
    solution : solvers.Solution
        Without derivatives; numbers are arrays of shape ``(N,)``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> white = precision.Precision(torch.zeros(1, 4, 4), torch.zeros(1, 4, 4, 4), radius=1)
    >>> mask = (torch.arange(4) % 2 == 0).float()
    >>> y = mask * torch.ones(1, 4, 4)
    >>> split = precision.Split(white, scale=1.0, share=0.2, normal=lambda u: mask * u)
    >>> mean = precision.posterior_mean(white, lambda u: mask * u, y, noise=1.0, precondition=split)
    >>> print(mean.x[0, 0])  # half of what is measured
    tensor([0.5000, 0.0000, 0.5000, 0.0000])
    """
    require_positive("noise", noise)
    require_method("normal", normal, "bridge.as_module(A.adjoint @ A)", 1)
    require_images("back", back, precision)
    b = back.detach()
    if mean is not None:
        require_images("mean", mean, precision, back)
        with torch.no_grad():
            image = normal(mean)
        require_images("normal(mean)", image, precision, back)
        b = b - image
    precondition = precondition or Shifted(precision, noise**2, 1.0)
    return _solved(precision, normal, b, mean, noise**2, accuracy, maxiter, precondition, None)


class _System:
    """``v -> N v + s P v``."""

    def __init__(self, precision, normal, scale):
        self.precision, self.normal, self.scale = precision, normal, scale

    def __call__(self, v):
        return self.normal(v) + self.scale * self.precision.times(v)

    def take(self, index):
        return _System(self.precision.take(index), restricted(self.normal, index), self.scale)


@torch.no_grad()
def _solved(precision, normal, b, mean, scale, accuracy, maxiter, precondition, lower_bound):
    require_positive("accuracy", accuracy)
    size = torch.linalg.vector_norm(b.flatten(1), dim=1).double()
    target = accuracy * size.clamp_min(torch.finfo(b.dtype).tiny).cpu().numpy()
    answer = conjugate_gradient(_System(precision.detach(), normal, float(scale)), b,
                                torch.zeros_like(b), target, maxiter, precondition, lower_bound)
    return answer if mean is None else answer._replace(x=mean + answer.x)


def _same(v):
    return v
