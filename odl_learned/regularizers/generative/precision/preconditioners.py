r"""What preconditions ``N + s P``, with a normal operator N and a sparse precision P: by value.

Each is a symmetric positive definite map of residuals with ``take(index)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from odl_learned.regularizers.generative.precision.precision import Precision
from odl_learned.solvers.samples import restricted
from odl_learned.validation import require_count, require_method, require_positive, shown


class Jacobi:
    r"""The diagonal, ``r -> r / (share + s diag P)``: cheapest, and best where the data dominate.

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
    """

    def __init__(self, precision: Precision, scale: float, share: float):
        require_precision(precision)
        require_positive("scale", scale)
        require_positive("share", share)
        self.factors = 1 / (share + scale * precision.diagonal().detach())

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        return self.factors * residual

    def take(self, index: Any) -> Jacobi:
        """Return that of some of the samples."""
        part = Jacobi.__new__(Jacobi)
        part.factors = _rows(self.factors, index)
        return part


class Whitened:
    r"""The covariance, ``r -> P^-1 r / s``: two triangular solves, best where the prior dominates.

    Parameters
    ----------
    precision : Precision
    scale : float
        ``s``.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be.
    """

    def __init__(self, precision: Precision, scale: float):
        require_precision(precision)
        require_positive("scale", scale)
        self.precision, self.scale = precision.detach(), float(scale)

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        return self.precision.covariance_times(residual) / self.scale

    def take(self, index: Any) -> Whitened:
        """Return that of some of the samples."""
        return Whitened(self.precision.take(index), self.scale)


class Projected:
    r"""For normal operators that are projections: ``N`` and its complement are treated apart.

    .. math:: r \mapsto \frac{1}{1 + s \bar p} N r
              + \frac1s (I - N) D^{-1/2} F^* \hat p^{-1} F D^{-1/2} (I - N) r

    with the diagonal ``D`` of P and its mean ``p``, the Fourier transform F, and as ``p^`` the
    expected squares of frequencies of ``D^{-1/2} L w`` for white noise w: the inverse of ``s P``
    where correlations are stationary and variances are not.

    Parameters
    ----------
    precision : Precision
    scale : float
        ``s``.
    normal : callable
        ``N = N^T = N^2``, as for masks and for unitary Fourier transforms with samples left out.
    generator : torch.Generator
        For the noise, on the device of the precision.
    probes : int, optional
        How many of them.

    Raises
    ------
    TypeError, ValueError
        If an argument is not what it should be, or ``normal`` is no projection.
    """

    def __init__(self, precision: Precision, scale: float, normal: Callable,
                 generator: torch.Generator, probes: int = 16):  # fmt: skip
        require_precision(precision)
        require_positive("scale", scale)
        require_method("normal", normal, "bridge.as_module(A.adjoint @ A)", 1)
        require_count("probes", probes)
        if not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator.")
        precision = precision.detach()
        self.normal, diagonal = normal, precision.diagonal()
        noise = torch.randn((probes, *diagonal.shape), generator=generator, dtype=diagonal.dtype,
                            device=diagonal.device)  # fmt: skip
        once = normal(noise[0])
        require_images("normal(x)", once, precision, noise[0])
        twice = normal(once)
        # A projection, up to the rounding of transforms.
        if (twice - once).norm() > 1e-4 * once.norm():
            raise ValueError("normal is no projection: applied twice it is not what it is once. "
                             "Use Jacobi or Whitened.")
        self.root = diagonal.rsqrt()
        spectrum = torch.fft.fft2(self.root * precision.whiten_transposed(noise), norm="ortho")
        self.inverse_symbol = 1 / (scale * _smoothed(spectrum.abs().square().mean(0)))
        self.share = 1 / (1 + scale * diagonal.flatten(1).mean(1))
        self.share = self.share.reshape(-1, *[1] * (diagonal.ndim - 1))

    def __call__(self, residual: torch.Tensor) -> torch.Tensor:
        inside = self.normal(residual)
        v = torch.fft.fft2(self.root * (residual - inside)) * self.inverse_symbol
        v = torch.fft.ifft2(v)
        v = self.root * (v if residual.is_complex() else v.real)
        return self.share * inside + v - self.normal(v)

    def take(self, index: Any) -> Projected:
        """Return that of some of the samples."""
        part = Projected.__new__(Projected)
        part.normal = restricted(self.normal, index)
        part.root, part.share = _rows(self.root, index), _rows(self.share, index)
        part.inverse_symbol = _rows(self.inverse_symbol, index)
        return part


def _rows(x, index):
    return x if len(x) == 1 else x[torch.as_tensor(index, device=x.device)]


def _smoothed(symbol):
    """The mean over neighboring frequencies, of which the noise is independent."""
    for axis in (-1, -2):
        symbol = (symbol + symbol.roll(1, axis) + symbol.roll(-1, axis)) / 3
    return symbol


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
