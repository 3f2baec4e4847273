"""A generator with a kind of deviation, as a regularizer of images and latent vectors."""

from typing import final

import torch

from odl_learned.networks.generative import Decoder, VariationalAutoencoder
from odl_learned.regularizers.generative.determinants import Determinant
from odl_learned.regularizers.generative.deviations import (
    Deviations,
    GaussianDeviations,
    LearnedDeviations,
    half_square,
    images_at,
)
from odl_learned.regularizers.generative.image_steps import on_channels
from odl_learned.validation import require_nonnegative, shown


@final
class GenerativePrior:
    r"""A regularizer of images and latent vectors, from a decoder and a kind of deviation.

    .. math:: R(u, z) = d(u - G(z), z) + \tfrac{\mu}{2} |z|^2

    In nats, with Euclidean norms of the entries: for `LearnedDeviations` with all weights one and
    `Joint`, the term of the determinant, minus the logarithm of the density that was learned, up to
    a constant. It is convex in u and not in z: a minimizer that is found may be a local one.

    Parameters
    ----------
    decoder : Decoder
        G, ``(N, latent)`` to ``(N, C, H, W)``.
    deviations : Deviations
        d: `WhiteDeviations`, `SparseDeviations` or `LearnedDeviations`.
    latent_weight : float, optional
        mu, nonnegative.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If the weight is negative, or the images have other axes than two.

    Source: Duff, Campbell, Ehrhardt, Regularising inverse problems with generative machine learning
    models (2024); with covariance, Duff, Simpson, Ehrhardt, Campbell, VAEs with structured image
    covariance applied to compressed sensing MRI (2023).
    """

    def __init__(self, decoder: Decoder, deviations: Deviations,
                 latent_weight: float = 1.0) -> None:  # fmt: skip
        for name, value, kind in (("decoder", decoder, Decoder),
                                  ("deviations", deviations, Deviations)):
            if not isinstance(value, kind):
                raise TypeError(f"{name} is {shown(value)}, expected one of the "
                                f"{kind.__name__} classes, made with its arguments.")
        require_nonnegative("latent_weight", latent_weight)
        if len(decoder.shape) != 2:
            raise ValueError(f"the decoder makes images of shape {decoder.shape}, expected two "
                             "axes.")
        self.decoder, self.deviations = decoder, deviations
        self.latent, self.latent_weight = decoder.latent, float(latent_weight)

    def images(self, z: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return ``G(z)``, as images like these."""
        return images_at(self.decoder, z, like)

    def latent_term(self, z: torch.Tensor) -> torch.Tensor:
        """Return ``mu/2 |z|^2``, ``(N,)`` in double precision."""
        return 0.5 * self.latent_weight * z.double().square().sum(1)

    def value(self, u: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return ``R(u, z)`` without the determinant, ``(N,)`` in double precision."""
        deviations = u - self.images(z, u)
        return self.deviations.value(deviations, self._network_latent(z)) + self.latent_term(z)

    def objective(self, u: torch.Tensor, z: torch.Tensor, determinant: Determinant,
                  information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return ``R(u, z)`` with the determinant, `value` and `determinant`, of one precision."""
        if not isinstance(self.deviations, GaussianDeviations):
            return self.value(u, z)
        precision = self.deviations.precision(self._network_latent(z), u)
        square = half_square(precision, u - self.images(z, u))
        return square + self.latent_term(z) + _term(determinant, precision, information)

    def determinant(self, determinant: Determinant, z: torch.Tensor, like: torch.Tensor,
                    information: torch.Tensor | None) -> torch.Tensor:  # fmt: skip
        """Return a term of the determinant, zero where there is no Gaussian, ``(N,)``."""
        if not isinstance(self.deviations, GaussianDeviations):
            return torch.zeros(len(z), dtype=torch.float64)
        precision = self.deviations.precision(self._network_latent(z), like)
        return _term(determinant, precision, information)

    def _network_latent(self, z):
        return z.to(next(self.decoder.parameters()).dtype)


def _term(determinant, precision, information):
    return determinant.value(precision, None if information is None else on_channels(information))


def prior_of(network: VariationalAutoencoder) -> GenerativePrior:
    """Return the regularizer that a variational autoencoder has learned, with all weights one.

    Parameters
    ----------
    network : networks.generative.VariationalAutoencoder
        Trained; not copied.

    Raises
    ------
    TypeError
        If it is none.
    """
    if not isinstance(network, VariationalAutoencoder):
        raise TypeError(f"network is {shown(network)}, expected a "
                        "networks.generative.VariationalAutoencoder; for other decoders take "
                        "GenerativePrior with WhiteDeviations.")
    return GenerativePrior(network.decoder, LearnedDeviations(network.head))
