"""Autoencoders: an encoder and a decoder, and what the decoder is uncertain about."""

from typing import final

import torch
from torch import nn

from odl_learned.networks.generative.decoders import Decoder
from odl_learned.networks.generative.encoders import Encoder
from odl_learned.networks.generative.heads import ConstantHead, WindowHead
from odl_learned.networks.images import from_channels, to_channels
from odl_learned.validation import shown


@final
class Autoencoder(nn.Module):
    """An encoder and a decoder: ``u -> G(E(u))``, with E the mean of the encoder.

    Parameters
    ----------
    encoder : Encoder
        ``(N, C, *shape)`` to ``(N, latent)``.
    decoder : Decoder
        G, ``(N, latent)`` to ``(N, C, *shape)``.

    Maps images to images of the same shape and dtype: real ones ``(N, *shape)`` with C = 1, complex
    ones with C = 2, and those with an axis of components, ``(N, components, *shape)``.

    Raises
    ------
    TypeError
        If they are no encoder and decoder.
    ValueError
        If channels, shapes or latent vectors differ, or images have another shape.

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> encoder = generative.ConvolutionalEncoder(1, (8, 8), (4, 8), latent=3, generator=seed)
    >>> decoder = generative.ConvolutionalDecoder(3, (8, 4), 1, (8, 8), generator=seed)
    >>> isinstance(encoder, generative.Encoder), isinstance(decoder, generative.Decoder)
    (True, True)
    >>> model = generative.Autoencoder(encoder, decoder)
    >>> print(tuple(model(torch.rand(2, 8, 8, generator=seed)).shape))
    (2, 8, 8)
    """

    def __init__(self, encoder: Encoder, decoder: Decoder) -> None:
        super().__init__()
        _require_pair(encoder, decoder)
        self.encoder, self.decoder = encoder, decoder
        self.latent, self.dimension = decoder.latent, len(decoder.shape)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance ``(N, latent)`` of images."""
        return self.encoder(channels_of(images, self.dimension))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean, _ = self.encode(images)
        return images_of(self.decoder(mean), images, self.dimension)


@final
class VariationalAutoencoder(nn.Module):
    r"""A latent variable model of images, with an encoder that guesses the latent vector.

    .. math:: z \sim N(0, I), \qquad u \,|\, z \sim N\big( G(z), P(z)^{-1} \big), \qquad
              q(z | u) = N\big( m(u), \mathrm{diag}\, e^{v(u)} \big)

    Parameters
    ----------
    encoder : Encoder
        m and v.
    decoder : Decoder
        G.
    head : ConstantHead or WindowHead
        P, by a factor of it.

    Maps images to ``G(m(u))``, of the same shape and dtype, as `Autoencoder` does.

    Raises
    ------
    TypeError
        If they are no encoder, decoder and head.
    ValueError
        If channels, shapes or latent vectors differ, or images have another shape.

    Source: Kingma, Welling, Auto-encoding variational Bayes (2014); for P, Dorta et al., Structured
    uncertainty prediction networks (2018).
    """

    def __init__(self, encoder: Encoder, decoder: Decoder,
                 head: ConstantHead | WindowHead) -> None:  # fmt: skip
        super().__init__()
        _require_pair(encoder, decoder)
        if not isinstance(head, ConstantHead | WindowHead):
            raise TypeError(f"head is {shown(head)}, expected networks.generative.ConstantHead or "
                            "WindowHead.")
        if (head.channels, head.shape) != (decoder.channels, decoder.shape):
            raise ValueError(f"the head has {head.channels} channels of shape {head.shape}, "
                             f"expected {decoder.channels} of {decoder.shape}, as the decoder.")
        if isinstance(head, WindowHead) and head.decoder.latent != decoder.latent:
            raise ValueError(f"the head takes {head.decoder.latent} latent numbers, expected "
                             f"{decoder.latent}, as the decoder.")
        self.encoder, self.decoder, self.head = encoder, decoder, head
        self.latent, self.dimension = decoder.latent, len(decoder.shape)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance ``(N, latent)`` of images."""
        return self.encoder(channels_of(images, self.dimension))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean, _ = self.encode(images)
        return images_of(self.decoder(mean), images, self.dimension)


def channels_of(images: torch.Tensor, dimension: int) -> torch.Tensor:
    """Channels ``(N, C, *shape)`` of images ``(N, *shape)`` or ``(N, components, *shape)``."""
    return to_channels(images, dimension, _components(images, dimension))


def images_of(channels: torch.Tensor, like: torch.Tensor, dimension: int) -> torch.Tensor:
    """Images of the shape and kind of others, of their channels."""
    return from_channels(channels, like, dimension, _components(like, dimension))


def _components(images, dimension):
    if not isinstance(images, torch.Tensor) or images.ndim - dimension not in (1, 2):
        given = tuple(images.shape) if isinstance(images, torch.Tensor) else shown(images)
        raise ValueError(f"the images are {given}, expected a tensor (N, *shape) or (N, "
                         f"components, *shape) with {dimension} axes in shape; give a single "
                         "image a batch axis, u[None].")
    return images.ndim - dimension - 1


def _require_pair(encoder, decoder):
    for name, value, kind in (("encoder", encoder, Encoder), ("decoder", decoder, Decoder)):
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {shown(value)}, expected one of networks.generative, such "
                            f"as FullyConnected{kind.__name__}.")
    there = (encoder.channels, encoder.shape, encoder.latent)
    if there != (decoder.channels, decoder.shape, decoder.latent):
        raise ValueError(f"the encoder has {there[0]} channels of shape {there[1]} and {there[2]} "
                         f"latent numbers, the decoder {decoder.channels} of {decoder.shape} and "
                         f"{decoder.latent}, expected the same; build both with equal numbers.")
