"""How images may deviate from the range of a decoder: the kinds of soft range constraints."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import final

import torch

from odl_learned.networks.generative import ConstantHead, WindowHead
from odl_learned.networks.generative.autoencoders import channels_of, images_of
from odl_learned.regularizers.generative.heads import precision_at
from odl_learned.regularizers.generative.image_steps import least_squares, sparse_least_squares
from odl_learned.regularizers.generative.measurements import Measurements
from odl_learned.regularizers.generative.precision import Precision
from odl_learned.validation import require_positive, shown


class Deviations(ABC):
    """Abstract: a penalty ``d(w, z)`` of deviations ``w = u - G(z)``, convex in w."""

    @abstractmethod
    def value(self, deviations: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return d of images ``(N, *shape)`` at ``(N, latent)``, ``(N,)`` in double precision."""

    @abstractmethod
    def minimizer(self, measurements: Measurements, center: torch.Tensor, z: torch.Tensor,
                  start: torch.Tensor, accuracy: float) -> torch.Tensor:  # fmt: skip
        """Return the image that minimizes ``D(u) + d(u - center, z)``.

        Parameters
        ----------
        measurements : Measurements
            D.
        center, start : torch.Tensor, shape (N, *shape)
        z : torch.Tensor, shape (N, latent)
        accuracy : float
            Of the gradient relative to that at zero.
        """


class GaussianDeviations(Deviations):
    """Abstract: deviations with a precision, ``d(w, z) = 1/2 |w|^2_{P(z)}``."""

    @abstractmethod
    def precision(self, z: torch.Tensor, like: torch.Tensor) -> Precision:
        """Return P at latent vectors, on the channels of images like these."""

    def value(self, deviations: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return d of images ``(N, *shape)`` at ``(N, latent)``, ``(N,)`` in double precision."""
        return half_square(self.precision(z, deviations), deviations)

    def minimizer(self, measurements: Measurements, center: torch.Tensor, z: torch.Tensor,
                  start: torch.Tensor, accuracy: float) -> torch.Tensor:  # fmt: skip
        """Return the image that minimizes ``D(u) + d(u - center, z)``, by conjugate gradients."""
        precision = self.precision(z, center).detach()
        return least_squares(measurements, precision, center, start, accuracy)


@final
class WhiteDeviations(GaussianDeviations):
    """Deviations of the same size everywhere, ``d(w) = 1/2 |w|^2 / sigma^2``.

    Parameters
    ----------
    deviation : float
        sigma, positive, in the unit of the images.

    Raises
    ------
    ValueError
        If it is not positive.

    Source: Duff, Campbell, Ehrhardt, Regularising inverse problems with generative machine learning
    models (2024), section 3.2.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import regularizers
    >>> u, z = torch.full((1, 2, 2), 0.1), torch.zeros(1, 3)
    >>> white = regularizers.generative.WhiteDeviations(deviation=0.1)
    >>> print(white.value(u, z))  # four pixels, 1/2 each
    tensor([2.], dtype=torch.float64)
    """

    def __init__(self, deviation: float) -> None:
        require_positive("deviation", deviation)
        self.deviation = float(deviation)

    def precision(self, z: torch.Tensor, like: torch.Tensor) -> Precision:
        """Return P at latent vectors, on the channels of images like these."""
        head = ConstantHead(channels_of(like[:1], 2).shape[1], tuple(like.shape[-2:]),
                            deviation=self.deviation)  # fmt: skip
        return precision_at(head.to(like.real), z).detach()


@final
class LearnedDeviations(GaussianDeviations):
    r"""Deviations with the precision of a network, ``d(w, z) = lambda/2 |w|_{P(z)}^2``.

    Parameters
    ----------
    head : ConstantHead or WindowHead
        P, such as that of a trained `networks.generative.VariationalAutoencoder`.
    weight : float, optional
        lambda, positive; 1 is what was learned.

    Raises
    ------
    TypeError
        If the head is none.
    ValueError
        If the weight is not positive.

    Source: Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image covariance applied to
    compressed sensing MRI (2023), equation (6).

    Examples
    --------
    >>> import torch
    >>> from odl_learned import regularizers
    >>> from odl_learned.networks import generative
    >>> head = generative.ConstantHead(1, (2, 2), deviation=0.1)
    >>> learned = regularizers.generative.LearnedDeviations(head, weight=1.0)
    >>> u, z = torch.full((1, 2, 2), 0.1), torch.zeros(1, 3)
    >>> print(learned.value(u, z).detach())
    tensor([2.], dtype=torch.float64)
    """

    def __init__(self, head: ConstantHead | WindowHead, weight: float = 1.0) -> None:
        if not isinstance(head, ConstantHead | WindowHead):
            raise TypeError(f"head is {shown(head)}, expected networks.generative.ConstantHead or "
                            "WindowHead, such as that of a VariationalAutoencoder.")
        require_positive("weight", weight)
        self.head, self.weight = head, float(weight)

    def precision(self, z: torch.Tensor, like: torch.Tensor) -> Precision:
        """Return P at latent vectors, on the channels of images like these."""
        found = precision_at(self.head, z)
        if self.weight == 1:
            return found
        shifted = found.log_diagonal + 0.5 * math.log(self.weight)
        return Precision(shifted, found.neighbors, self.head.radius)


@final
class SparseDeviations(Deviations):
    """Deviations in few pixels, ``d(w) = kappa |w|_1``, with the moduli of complex images.

    Parameters
    ----------
    weight : float
        kappa, positive, in nats per unit of the images.

    Raises
    ------
    ValueError
        If it is not positive.

    Source: Dhar, Grover, Ermon, Modeling sparse deviations for compressed sensing using generative
    models (2018).
    """

    def __init__(self, weight: float) -> None:
        require_positive("weight", weight)
        self.weight = float(weight)

    def value(self, deviations: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return d of images ``(N, *shape)`` at ``(N, latent)``, ``(N,)`` in double precision."""
        return self.weight * deviations.abs().double().flatten(1).sum(1)

    def minimizer(self, measurements: Measurements, center: torch.Tensor, z: torch.Tensor,
                  start: torch.Tensor, accuracy: float) -> torch.Tensor:  # fmt: skip
        """Return the image that minimizes ``D(u) + d(u - center, z)``, by proximal gradients."""
        return sparse_least_squares(measurements, self.weight, center, start, accuracy)


def half_square(precision: Precision, deviations: torch.Tensor) -> torch.Tensor:
    """Return ``1/2 |w|_P^2`` of deviations ``(N, *shape)``, ``(N,)`` in double precision."""
    white = precision.whiten(channels_of(deviations, 2))
    return 0.5 * white.double().square().flatten(1).sum(1)


def images_at(decoder: torch.nn.Module, z: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return ``G(z)`` as images like these, ``(N, *shape)``, real or complex."""
    weights = next(decoder.parameters())
    return images_of(decoder(z.to(weights.dtype)), like[:1].expand(len(z), *like.shape[1:]), 2)
