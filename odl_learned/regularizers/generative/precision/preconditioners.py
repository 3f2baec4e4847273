r"""What preconditions ``N + s P``, with a normal operator N and a sparse precision P: by value.

Each is a symmetric positive definite map of residuals with ``take(index)``.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.regularizers.generative.precision.samples import Samples, TensorMap
from odl_learned.solvers.arithmetic.samples import restricted
from odl_learned.validation import (
    require_method,
    require_nonnegative,
    require_positive,
    shown,
)


class Jacobi:
    r"""The diagonal, ``r -> r / (share + s diag P)``: cheap, on every device.

    Parameters
    ----------
    precision : Precision
    scale : float
        ``s = sigma^2``, or the step of a proximal.
    share : float
        The diagonal of ``A^T A`` or its mean, such as the share of sampled frequencies.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.regularizers.generative import precision
    >>> P = precision.Precision(torch.zeros(1, 8, 8), torch.full((1, 4, 8, 8), -0.3), radius=1)
    >>> x, s = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)), 100.0
    >>> diagonal, factor = precision.Jacobi(P, s, 1.0), precision.Shifted(P, s, 1.0)
    >>> slow = precision.proximal(P, x, step=s, accuracy=1e-3, precondition=diagonal)
    >>> fast = precision.proximal(P, x, step=s, accuracy=1e-3, precondition=factor)
    >>> print(fast.reason, fast.niter < slow.niter)
    ['accuracy'] [ True]
    """

    def __init__(self, precision: Precision, scale: float, share: float) -> None:
        require_precision(precision)
        require_positive("scale", scale)
        require_positive("share", share)
        self.factors = 1 / (share + scale * precision.diagonal().detach())

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        return self.factors * residual

    def take(self, index: Samples) -> Jacobi:
        """Return that of some of the samples."""
        part = Jacobi.__new__(Jacobi)
        part.factors = _rows(self.factors, index)
        return part


class Shifted:
    r"""A sparse factor for the sum, ``r -> (G G^T)^-1 r``: two triangular solves, on the CPU.

    .. math:: G = \sqrt{\text{share}} \, I + \sqrt s L, \qquad
              G G^T = \text{share} \, I + s P + \sqrt{\text{share} \, s} \, (L + L^T) .

    It has the neighbors of L. Were L symmetric, ``(a + b)^2 / (a^2 + b^2)`` would be between 1 and
    2 and the condition number with ``N = share I`` at most two, whatever the precision; as it is, a
    proximal takes about ten iterations. With share 0 it is the covariance, ``P^-1 / s``.

    Parameters
    ----------
    precision : Precision
    scale : float
        ``s = sigma^2``, or the step of a proximal.
    share : float
        The diagonal of ``A^T A`` or its mean, such as the share of sampled frequencies; 0 or more.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    """

    def __init__(self, precision: Precision, scale: float, share: float) -> None:
        require_precision(precision)
        require_positive("scale", scale)
        require_nonnegative("share", share)
        scaled = math.sqrt(scale) * precision.scale.detach()
        diagonal = math.sqrt(share) + scaled
        ratio = (scaled / diagonal).reshape(len(precision), -1, *precision.image[-2:])
        rows = [c for c, _, _, _ in precision.hood.terms]
        self.factor = Precision(diagonal.log(), ratio[:, rows] * precision.neighbors.detach(),
                                precision.hood.radius, precision.mask)

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        return self.factor.covariance_times(residual)

    def take(self, index: Samples) -> Shifted:
        """Return that of some of the samples."""
        part = Shifted.__new__(Shifted)
        part.factor = self.factor.take(index)
        return part


class Split:
    r"""For normal operators that are nearly projections: what is measured, and what is not, apart.

    .. math:: r \mapsto \frac{1}{1 + s \bar p} N r + (I - N) (G G^T)^{-1} (I - N) r

    with the mean ``p`` of the diagonal of P and the factor G of `Shifted`, which here has to know
    of the little that measurements tell of the rest: a share of a fifth of the sampled one will do.
    Best where data are precise, ``s diag P`` below one.

    Parameters
    ----------
    precision : Precision
    scale : float
        ``s``.
    share : float
        Of `Shifted`.
    normal : callable
        ``0 <= N = N^T <= I``, as of masks and of unitary Fourier transforms with samples left out,
        for complex images or real ones.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    """

    def __init__(self, precision: Precision, scale: float, share: float, normal: TensorMap) -> None:
        require_method("normal", normal, "bridge.as_module(A.adjoint @ A)", 1)
        self.rest, self.normal = Shifted(precision, scale, share), normal
        mean = precision.diagonal().detach().flatten(1).mean(1)
        self.factors = 1 / (1 + scale * mean).reshape(-1, *[1] * len(precision.image))

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        measured = self.normal(residual)
        if not isinstance(measured, torch.Tensor) or measured.shape != residual.shape:
            raise ValueError(f"normal(x) is {shown(measured)}, expected a tensor of the shape of x,"
                             f" {tuple(residual.shape)}.")
        rest = self.rest(residual - measured)
        return self.factors * measured + rest - self.normal(rest)

    def take(self, index: Samples) -> Split:
        """Return that of some of the samples."""
        part = Split.__new__(Split)
        part.rest, part.normal = self.rest.take(index), restricted(self.normal, index)
        part.factors = _rows(self.factors, index)
        return part


def _rows(x, index):
    return x if len(x) == 1 else x[torch.as_tensor(index, device=x.device)]


def require_precision(precision: Any) -> None:
    """Raise TypeError unless this is a `Precision`."""
    if not isinstance(precision, Precision):
        raise TypeError(f"precision is {shown(precision)}, expected a Precision.")


def require_images(name: str, x: Any, precision: Any, like: torch.Tensor | None = None) -> None:
    """Raise TypeError unless these are images for a precision, and as many as others."""
    require_precision(precision)
    shape = (len(precision), *precision.image)
    if not isinstance(x, torch.Tensor) or x.device != precision.scale.device:
        raise TypeError(f"{name} is {shown(x)}, expected a tensor {shape} on "
                        f"{precision.scale.device}.")
    fits = x.ndim == len(shape) and x.shape[1:] == shape[1:] and len(precision) in (1, len(x))
    if not fits or (like is not None and x.shape != like.shape):
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected "
                         f"{shape if like is None else tuple(like.shape)}; one precision serves "
                         "any number of images.")
