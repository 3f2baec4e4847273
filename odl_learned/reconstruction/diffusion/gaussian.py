r"""Gaussian priors: denoisers and posteriors are known in closed form, and judge samplers.

Covariances are those of entries; of complex images of the real and of the imaginary part each,
``E (x - m) (x - m)^H = 2 C`` and ``E (x - m) (x - m)^T = 0``, as noise of level t has ``2 t^2``.
"""

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

from odl_learned.reconstruction.diffusion.likelihood import GaussianLikelihood
from odl_learned.reconstruction.tensor_maps import require_tensor
from odl_learned.validation import require_count, shown

#: Beyond so many entries, matrices are not made.
MOST_ENTRIES = 2**13


class GaussianDenoiser(nn.Module, abc.ABC):
    r"""Abstract: the exact denoiser of ``N(m, C)``, `GaussianPrior` or `StationaryPrior`.

    .. math:: D(x, t) = E[x_0 | x_0 + t e = x] = m + C (C + t^2)^{-1} (x - m)
    """

    axes: int
    mean: torch.Tensor

    def __init__(self, mean: torch.Tensor) -> None:
        super().__init__()
        require_tensor("mean", mean)
        if not (mean.is_floating_point() or mean.is_complex()) or not mean.numel():
            raise TypeError(f"mean is {shown(mean)}, expected a tensor of floats, an image.")
        if not torch.isfinite(mean).all():
            raise ValueError("mean is not finite; expected an image of finite numbers.")
        self.register_buffer("mean", mean.detach().clone())

    @abc.abstractmethod
    def filtered(
        self, x: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        """``f(C) x`` for images ``(N, *shape)`` and a function f of eigenvalues."""

    def forward(self, x: torch.Tensor, noise_level: float | torch.Tensor) -> torch.Tensor:
        """Images ``(*batch, *shape)`` of the dtype of the mean, levels a number or ``batch``."""
        shape = self.mean.shape
        if x.shape[x.ndim - len(shape) :] != shape or x.dtype != self.mean.dtype:
            raise ValueError(
                f"x is {x.dtype} of shape {tuple(x.shape)}, expected {self.mean.dtype} of shape "
                f"(*batch, {', '.join(map(str, shape))}).")
        difference = x.reshape(-1, *shape) - self.mean
        level = torch.as_tensor(noise_level, dtype=x.real.dtype, device=x.device)
        variance = level.square().reshape(-1, *[1] * self.axes)
        denoised = self.mean + self.filtered(difference, lambda v: v / (v + variance))
        return denoised.reshape(x.shape)

    def draw(self, count: int, generator: torch.Generator) -> torch.Tensor:
        """Return images of the prior, ``(count, *shape)``."""
        require_count("count", count)
        parts = (2,) if self.mean.is_complex() else ()
        e = torch.randn((count, *self.mean.shape, *parts), generator=generator,
                        dtype=self.mean.real.dtype).to(self.mean.device)
        e = torch.view_as_complex(e) if parts else e
        return self.mean + self.filtered(e, lambda v: v.sqrt())


class GaussianPrior(GaussianDenoiser):
    """The exact denoiser of a Gaussian prior with any covariance, a matrix.

    Parameters
    ----------
    mean : torch.Tensor, shape ``shape``
        Real or complex.
    covariance : torch.Tensor, shape (n, n)
        C for the n entries of an image in order, symmetric or Hermitian, without negative
        eigenvalues; see `gaussian` for complex images.

    Raises
    ------
    TypeError, ValueError
        If they are no such tensors.
    """

    axes = 1
    values: torch.Tensor
    vectors: torch.Tensor

    def __init__(self, mean: torch.Tensor, covariance: torch.Tensor) -> None:
        super().__init__(mean)
        require_tensor("covariance", covariance)
        n = mean.numel()
        if covariance.shape != (n, n) or (
                covariance.dtype not in (mean.dtype, mean.real.dtype)):  # fmt: skip
            raise ValueError(f"covariance is {shown(covariance)}, expected a tensor of shape "
                             f"{(n, n)} and dtype {mean.dtype}, for the entries of the mean.")
        size = covariance.abs().max()
        if not (torch.isfinite(covariance).all()
                and (covariance - covariance.mH).abs().max() <= 1e-5 * size):  # fmt: skip
            raise ValueError("covariance is not finite or not Hermitian; take (C + C.mH) / 2.")
        values, vectors = torch.linalg.eigh(covariance)
        if values.min() < -1e-5 * size:
            raise ValueError(f"covariance has the eigenvalue {values.min():.3g}, expected none "
                             "below zero.")
        self.register_buffer("values", values.clamp_min(0))
        self.register_buffer("vectors", vectors.to(mean.dtype))

    def filtered(
        self, x: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        coefficients = x.flatten(1) @ self.vectors.conj()
        return ((function(self.values) * coefficients) @ self.vectors.mT).reshape(x.shape)


class StationaryPrior(GaussianDenoiser):
    """The exact denoiser of a Gaussian prior that is the same everywhere, by Fourier transforms.

    Parameters
    ----------
    mean : torch.Tensor, shape ``shape``
        Real or complex.
    spectrum : torch.Tensor, shape ``shape``
        Eigenvalues of C, nonnegative, in the order of ``torch.fft.fftn``; for real images equal at
        opposite frequencies, so that C is real.

    Raises
    ------
    TypeError, ValueError
        If they are no such tensors.
    """

    spectrum: torch.Tensor

    def __init__(self, mean: torch.Tensor, spectrum: torch.Tensor) -> None:
        super().__init__(mean)
        require_tensor("spectrum", spectrum)
        if spectrum.shape != mean.shape or (
                spectrum.dtype != mean.real.dtype):  # fmt: skip
            raise ValueError(f"spectrum is {shown(spectrum)}, expected a tensor of dtype "
                             f"{mean.real.dtype} and shape {tuple(mean.shape)}, as the mean.")
        opposite = spectrum
        for axis in range(spectrum.ndim):
            opposite = opposite.flip(axis).roll(1, axis)
        if not (torch.isfinite(spectrum).all() and (spectrum >= 0).all()):
            raise ValueError("spectrum has negative or infinite entries; expected variances.")
        if not mean.is_complex() and (spectrum - opposite).abs().max() > 1e-5 * spectrum.max():
            raise ValueError("spectrum differs at opposite frequencies; expected equal values, so "
                             "that the covariance of real images is real.")
        self.axes = mean.ndim
        self.register_buffer("spectrum", spectrum.detach().clone())

    def filtered(
        self, x: torch.Tensor, function: Callable[[torch.Tensor], torch.Tensor]
    ) -> torch.Tensor:
        axes = tuple(range(1, x.ndim))
        x_hat = function(self.spectrum) * torch.fft.fftn(x, dim=axes)
        result = torch.fft.ifftn(x_hat, dim=axes)
        return result if self.mean.is_complex() else result.real


class GaussianPosterior(NamedTuple):
    """What is known of a Gaussian prior and linear data with Gaussian noise.

    Parameters
    ----------
    mean : torch.Tensor, shape (N, *X.shape)
        One for each of the data.
    covariance : torch.Tensor, shape (n, n)
        Of the entries, the same for all data; of complex images of each part.
    trace : float
        Sum of the variances of all real entries.
    """

    mean: torch.Tensor
    covariance: torch.Tensor
    trace: float


def gaussian_posterior(
    prior: GaussianDenoiser, likelihood: GaussianLikelihood
) -> GaussianPosterior:
    r"""Return the exact posterior, by matrices.

    .. math:: \Sigma = C^{1/2} \Big( I + \frac{1}{s^2} C^{1/2} A^T A C^{1/2} \Big)^{-1} C^{1/2},
              \qquad E[x | y] = m + \frac{1}{s^2} \Sigma A^T (y - A m)

    Parameters
    ----------
    prior : GaussianPrior or StationaryPrior
    likelihood : GaussianLikelihood
        Of images of the shape and dtype of the prior.

    Raises
    ------
    TypeError
        If an argument is of another class.
    ValueError
        If shapes or dtypes differ, or images have more than `MOST_ENTRIES` entries.

    Examples
    --------
    >>> import odl
    >>> import torch
    >>> from odl_learned.reconstruction import diffusion
    >>> X = odl.rn(2)
    >>> prior = diffusion.GaussianPrior(torch.zeros(2).double(), torch.eye(2).double())
    >>> y = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    >>> likelihood = diffusion.GaussianLikelihood(odl.IdentityOperator(X), y, noise_level=1.0)
    >>> posterior = diffusion.gaussian_posterior(prior, likelihood)
    >>> print(posterior.mean, posterior.covariance.diagonal())
    tensor([[1., 0.]], dtype=torch.float64) tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    if not isinstance(prior, GaussianDenoiser) or not isinstance(likelihood, GaussianLikelihood):
        raise TypeError(f"prior is {shown(prior)} and likelihood {shown(likelihood)}, expected a "
                        "diffusion.GaussianPrior or StationaryPrior and a GaussianLikelihood.")
    mean, layout = prior.mean, likelihood.layout
    if tuple(mean.shape) != tuple(layout.shape) or mean.dtype != layout.dtype:
        raise ValueError(
            f"the prior is for {mean.dtype} of shape {tuple(mean.shape)}, the operator for "
            f"{layout.dtype} of shape {tuple(layout.shape)}; expected the same.")
    n = math.prod(mean.shape)
    if n > MOST_ENTRIES:
        raise ValueError(f"images have {n} entries, expected at most {MOST_ENTRIES}: there would "
                         "be a matrix of all of them.")
    with torch.no_grad():
        eye = torch.eye(n, dtype=mean.dtype, device=mean.device).reshape(n, *mean.shape)
        root = prior.filtered(eye, lambda v: v.sqrt())  # row i is C^{1/2} e_i
        pulled = likelihood.transpose(likelihood.forward(root)).flatten(1)
        root = root.flatten(1).mT
        inner = root.mH @ pulled.mT / likelihood.noise_level**2
        inner = (inner + inner.mH) / 2 + torch.eye(n, dtype=mean.dtype, device=mean.device)
        covariance = root @ torch.linalg.solve(inner, root.mH)
        slope = -likelihood.gradient(mean.expand(len(likelihood), *mean.shape)).flatten(1)
        shift = slope @ covariance.mT / likelihood.noise_level**2
    trace = float(covariance.diagonal().real.sum()) * (2 if mean.is_complex() else 1)
    return GaussianPosterior(mean + shift.reshape(-1, *mean.shape), covariance, trace)
