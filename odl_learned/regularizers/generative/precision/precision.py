"""`Precision`: a batch of Gaussians on images, each with a sparse factor of its precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import odl
import torch

from odl_learned.bridge.triangular.layouts import packed, unpacked
from odl_learned.bridge.triangular.shifts import gathered, scattered
from odl_learned.bridge.triangular.solves import solved, solved_transposed
from odl_learned.operators import Whitening
from odl_learned.operators.triangular import Neighborhood
from odl_learned.regularizers.generative.precision.samples import Samples, numbers_of_samples
from odl_learned.validation import shown


class Precision:
    r"""A Gaussian on images with precision ``P = L L^T`` and sparse ``L``, one for each sample.

    .. math:: (L^T u)_i = e^{l_i} \Big( u_i + \sum_{k \in N_d} b_{k,i} \, u_{i+k} \Big), \qquad
              \log p(u) = \sum_i l_i - \tfrac12 |L^T (u - m)|^2 - \tfrac n2 \log 2 \pi,

    with the later neighbors ``N_d`` of `operators.triangular.Neighborhood`. Nothing is ever
    factorized. All methods take and give tensors ``(*lead, N, *image)``, with ``image`` either
    ``(H, W)`` or, with channels, ``(C, H, W)``; ``N = 1`` serves any number of images
    ``(*lead, *image)``. They are differentiable to every order in images and coefficients. Images
    may be complex: real and imaginary parts are then independent, with the same precision; to
    correlate them, make them two channels.

    Parameters
    ----------
    log_diagonal : real tensor ``(N, H, W)``, or ``(N, C, H, W)`` with channels
        ``l``. Bound it where it is learned, see `NoiseFloor`.
    neighbors : tensor ``(N, K, H, W)``
        ``b``, with ``K = len(Neighborhood(radius, C))``, in the order of its ``terms``: minus the
        coefficients of a regression on the later neighbors. Of the same dtype and device.
    radius : int
        ``d``: 0 for a diagonal, 1 for windows 3 x 3, 2 for 5 x 5, 4 for 9 x 9.
    mask : tensor or array of bool ``(H, W)``, optional
        Pixels that depend on each other; all others are independent of them, and of each other.

    Attributes
    ----------
    hood : operators.triangular.Neighborhood
    image : tuple of int
        ``(H, W)`` or ``(C, H, W)``.

    Raises
    ------
    TypeError
        If an argument is no tensor of real numbers, or dtypes and devices differ.
    ValueError
        If shapes do not fit.

    Source: Dorta et al., Structured uncertainty prediction networks (2018), section 3; Duff,
    Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to compressed sensing
    MRI (2023), section 2.
    """

    def __init__(
        self,
        log_diagonal: torch.Tensor,
        neighbors: torch.Tensor,
        radius: int,
        mask: torch.Tensor | np.ndarray | None = None,
    ) -> None:
        for name, value in (("log_diagonal", log_diagonal), ("neighbors", neighbors)):
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                raise TypeError(f"{name} is {_kind(value)}, expected a tensor of real numbers.")
        if log_diagonal.ndim not in (3, 4) or 0 in log_diagonal.shape:
            raise ValueError(f"log_diagonal has shape {tuple(log_diagonal.shape)}, expected "
                             "(N, H, W), or (N, C, H, W) with channels; use log_diagonal[None] for "
                             "one sample.")
        if log_diagonal.dtype != neighbors.dtype or log_diagonal.device != neighbors.device:
            raise TypeError(f"neighbors are {_kind(neighbors)}, expected {_kind(log_diagonal)} as "
                            "log_diagonal; convert one of them with .to(...).")
        count, *image = log_diagonal.shape
        channels = image[0] if len(image) == 3 else 1
        self.hood, self.image = Neighborhood(radius, channels), tuple(image)
        expected = (count, len(self.hood), *image[-2:])
        if tuple(neighbors.shape) != expected:
            raise ValueError(f"neighbors have shape {tuple(neighbors.shape)}, expected {expected}: "
                             f"{len(self.hood)} later neighbors of radius {radius} with {channels} "
                             "channels; see operators.triangular.Neighborhood.")
        self.log_diagonal, self.neighbors = log_diagonal, neighbors
        self.mask: np.ndarray | None = None
        if mask is not None:
            if isinstance(mask, torch.Tensor) and mask.device.type != "meta":
                mask = mask.numpy(force=True)
            self.mask = cast(np.ndarray, mask)  # `inside` looks at it
            # The border of the image needs no zeros: what is beyond it is read as zero.
            inside = torch.from_numpy(self.hood.inside((image[-2], image[-1]), self.mask))
            self.neighbors = neighbors * inside.to(neighbors.device)
        self.scale = log_diagonal.exp()

    def __repr__(self):
        return (f"<Precision of {len(self)} x {self.image}, radius {self.hood.radius}, "
                f"{_kind(self.log_diagonal)}>")

    def __len__(self) -> int:
        return len(self.log_diagonal)

    @property
    def size(self) -> int:
        """Number of entries of an image, ``n``."""
        return math.prod(self.image)

    def take(self, index: Samples) -> Precision:
        """Return the precisions of some of the samples; with one for all of them, itself."""
        if len(self) == 1:
            return self
        index = numbers_of_samples(index, len(self), self.log_diagonal.device)
        return Precision(self.log_diagonal[index], self.neighbors[index], self.hood.radius,
                         self.mask)

    def detach(self) -> Precision:
        """Return the same without derivatives in its coefficients."""
        return Precision(self.log_diagonal.detach(), self.neighbors.detach(), self.hood.radius,
                         self.mask)

    def whiten(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``L^T u``, white noise of standard deviation one where ``u`` is a sample."""
        return self.scale * (u + self._through(gathered, u))

    def whiten_transposed(self, v: torch.Tensor) -> torch.Tensor:
        """Return ``L v``."""
        v = self.scale * v
        return v + self._through(scattered, v)

    def unwhiten(self, w: torch.Tensor) -> torch.Tensor:
        """Return ``L^-T w``, a sample where ``w`` is white noise; on the CPU."""
        return self._through(solved, (-self.log_diagonal).exp() * w)

    def unwhiten_transposed(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``L^-1 u``, on the CPU."""
        return (-self.log_diagonal).exp() * self._through(solved_transposed, u)

    def times(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``P u = L L^T u``."""
        return self.whiten_transposed(self.whiten(u))

    def covariance_times(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``P^-1 u``, by two triangular solves on the CPU."""
        return self.unwhiten(self.unwhiten_transposed(u))

    def diagonal(self) -> torch.Tensor:
        """Return the diagonal of ``P``, of shape ``(N, *image)``.

        Its inverse is the variance of a pixel, given all others.
        """
        weights = self._packed(self.scale) ** 2
        squares = unpacked(scattered(weights, self.neighbors**2, self.hood), self.scale)
        return self.scale**2 + squares

    def log_determinant(self) -> torch.Tensor:
        """Return ``log det P = 2 sum l``, of shape ``(N,)``."""
        return 2 * self.log_diagonal.flatten(1).sum(1)

    def square(self, u: torch.Tensor) -> torch.Tensor:
        """Return ``1/2 |L^T u|^2``, of shape ``(*lead, N)``."""
        w = self.whiten(u)
        w = torch.view_as_real(w).flatten(-2) if w.is_complex() else w
        return 0.5 * w.square().flatten(-len(self.image)).sum(-1)

    def log_density(self, u: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """Return ``log p(u)``, of shape ``(*lead, N)``; of complex images, that of both parts.

        Parameters
        ----------
        u, mean : tensor ``(*lead, N, *image)``
            Without a mean it is zero.
        """
        parts = 2 if u.is_complex() else 1
        constant = 0.5 * parts * (self.log_determinant() - self.size * math.log(2 * math.pi))
        return constant - self.square(u if mean is None else u - mean)

    def sample(self, generator: torch.Generator, lead: Sequence[int] = (),
               mean: torch.Tensor | None = None) -> torch.Tensor:  # fmt: skip
        """Return independent samples ``(*lead, N, *image)``, ``m + L^-T`` of white noise.

        Differentiable in the coefficients and in the mean (reparametrization).

        Parameters
        ----------
        generator : torch.Generator
            On the device of the coefficients.
        lead : sequence of int, optional
            How many, for each of the N.
        mean : tensor ``(*lead, N, *image)``, optional
        """
        if not isinstance(generator, torch.Generator):
            raise TypeError(f"generator is {shown(generator)}, expected a torch.Generator; build "
                            "one with torch.Generator().manual_seed(seed).")
        noise = torch.randn((*lead, *self.log_diagonal.shape), generator=generator,
                            dtype=self.scale.dtype, device=self.scale.device)  # fmt: skip
        samples = self.unwhiten(noise)
        return samples if mean is None else mean + samples

    def dense(self) -> torch.Tensor:
        """Return the matrices of ``L^T``, ``(N, n, n)``, for small images and for tests."""
        unit = torch.eye(self.size, dtype=self.scale.dtype, device=self.scale.device)
        columns = self.whiten(unit.reshape(-1, 1, *self.image).expand(-1, len(self), *self.image))
        return columns.flatten(2).permute(1, 2, 0)

    def whitening(self, space: odl.LinearSpace, index: int = 0) -> Whitening:
        """Return ``L^T`` of one sample as an ODL operator, with a copy of its coefficients.

        Parameters
        ----------
        space : ODL space of shape ``(H, W)``, with channels its power
        index : int, optional
        """
        diagonal, neighbors = (part[index].detach().cpu().numpy()
                               for part in (self.log_diagonal, self.neighbors))  # fmt: skip
        return Whitening(space, diagonal, neighbors, self.hood.radius, self.mask)

    def _packed(self, u):
        if not isinstance(u, torch.Tensor) or u.shape[u.ndim - len(self.image) :] != self.image:
            raise ValueError(f"images are {_kind(u)}, expected a tensor (*lead, N, *image) with "
                             f"the image {self.image}.")
        lead = u.shape[: u.ndim - len(self.image)]
        if len(self) > 1 and (not lead or lead[-1] != len(self)):
            raise ValueError(f"images are {_kind(u)}, expected {(len(self), *self.image)} at the "
                             "end, one for each precision; use u.expand, or take(index) some.")
        return packed(u, len(self), len(self.image))

    def _through(self, function, u):
        return unpacked(function(self._packed(u), self.neighbors, self.hood), u)


def _kind(value):
    if not isinstance(value, torch.Tensor):
        return shown(value)
    return f"a tensor {tuple(value.shape)} of {value.dtype} on {value.device}"
