"""Objectives of autoencoders: how well they give images back, and how likely images are."""

from typing import final

import torch

from odl_learned.learning.batch import Batch
from odl_learned.learning.objective import Objective
from odl_learned.networks.generative import Autoencoder, VariationalAutoencoder
from odl_learned.networks.generative.autoencoders import channels_of
from odl_learned.regularizers.generative.heads import precision_at
from odl_learned.validation import require_nonnegative, shown


@final
class Autoencoding(Objective):
    r"""How well an autoencoder gives images back, and how far its latent vectors are from zero.

    .. math:: \frac1n |G(E(u)) - u|^2 + \frac{\mu}{n} |E(u)|^2

    with n entries of the image, complex ones counted once. Without the second term latent vectors
    have no scale, and a penalty ``|z|^2`` in a reconstruction has no meaning.

    Parameters
    ----------
    latent_weight : float, optional
        mu, nonnegative, in the unit of the images squared.

    The model of `learning.train` is a `networks.generative.Autoencoder`; the data are images.

    Raises
    ------
    ValueError
        If the weight is negative.
    TypeError
        On call, if the model is none.

    Examples
    --------
    >>> import torch
    >>> from odl_learned import learning
    >>> from odl_learned.learning import objectives
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> model = generative.Autoencoder(
    ...     generative.FullyConnectedEncoder(1, (4, 4), (8,), 2, generator=seed),
    ...     generative.FullyConnectedDecoder(2, (8,), 1, (4, 4), generator=seed))
    >>> batch = learning.Batch(torch.rand(3, 4, 4, generator=seed), None, seed, "in step 1")
    >>> error = (batch.data - model(batch.data)).square()
    >>> print(objectives.Autoencoding(latent_weight=0.0)(model, batch) / error.mean())
    tensor(1., grad_fn=<DivBackward0>)
    """

    def __init__(self, latent_weight: float = 0.0) -> None:
        require_nonnegative("latent_weight", latent_weight)
        self.latent_weight = float(latent_weight)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        if not isinstance(model, Autoencoder):
            raise TypeError(f"the model is of type {type(model).__name__}, expected a "
                            "networks.generative.Autoencoder.")
        u = batch.data
        mean, _ = model.encode(u)
        error = model.decoder(mean) - channels_of(u, model.dimension)
        squares = error.square().flatten(1).sum(1) + self.latent_weight * mean.square().sum(1)
        return (squares / u[0].numel()).mean()


@final
class EvidenceLowerBound(Objective):
    r"""The negative evidence lower bound of a variational autoencoder, in nats per number.

    .. math:: \frac1n \Big( - \log p(\tilde u | z) + \beta \, D( q(z | \tilde u), N(0, I) ) \Big),
              \qquad z \sim q(z | \tilde u), \qquad \tilde u = u + s n,

    with the Kullback-Leibler divergence ``D = 1/2 sum(m^2 + e^v - 1 - v)``, one z for each image,
    standard normal n, and n real numbers in an image. For beta = 1 its expectation is an upper
    bound of ``-log p(u) / n``. Images without noise, such as phantoms, have no density; noise gives
    them one.

    Parameters
    ----------
    divergence_weight : float, optional
        beta, nonnegative; less than one trusts the encoder more than the prior.
    noise_level : float, optional
        s, nonnegative, in the unit of the images; complex images get it in both parts.

    The model of `learning.train` is a `networks.generative.VariationalAutoencoder`; the data are
    images.

    Raises
    ------
    ValueError
        If a number is negative.
    TypeError
        On call, if the model is none.

    Source: Kingma, Welling, Auto-encoding variational Bayes (2014), equation (10); for beta,
    Higgins et al., beta-VAE (2017).
    """

    def __init__(self, divergence_weight: float = 1.0, noise_level: float = 0.0) -> None:
        require_nonnegative("divergence_weight", divergence_weight)
        require_nonnegative("noise_level", noise_level)
        self.divergence_weight, self.noise_level = float(divergence_weight), float(noise_level)

    def __call__(self, model: torch.nn.Module, batch: Batch) -> torch.Tensor:
        if not isinstance(model, VariationalAutoencoder):
            raise TypeError(f"the model is {shown(model)}, expected a "
                            "networks.generative.VariationalAutoencoder.")
        u = batch.data
        if self.noise_level:
            u = u + self.noise_level * batch.normal(u)
        mean, log_variance = model.encode(u)
        z = mean + (0.5 * log_variance).exp() * batch.normal(mean)
        deviations = channels_of(u, model.dimension) - model.decoder(z)
        density = precision_at(model.head, z).log_density(deviations)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
        return (self.divergence_weight * divergence - density).mean() / deviations[0].numel()
