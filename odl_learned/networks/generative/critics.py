"""Critics: how far images are from those of a decoder, as a function of one image."""

from typing import final

import torch
from torch import nn

from odl_learned.networks.generative.autoencoders import channels_of
from odl_learned.networks.generative.encoders import Encoder
from odl_learned.validation import shown


@final
class Critic(nn.Module):
    """A function of images, by an encoder with one latent number, which is its value.

    Parameters
    ----------
    encoder : Encoder
        With ``latent`` 1, ``(N, C, *shape)`` to ``(N, 1)``; its variance is not used.

    Maps images ``(N, *shape)`` or ``(N, components, *shape)``, real or complex, to ``(N,)``.

    Raises
    ------
    TypeError
        If the encoder is none.
    ValueError
        If it has more latent numbers, or images have another shape.

    Source: Arjovsky, Chintala, Bottou, Wasserstein GAN (2017).

    Examples
    --------
    >>> import torch
    >>> from odl_learned.networks import generative
    >>> seed = torch.Generator().manual_seed(0)
    >>> encoder = generative.FullyConnectedEncoder(1, (4, 4), (5,), 1, generator=seed)
    >>> critic = generative.Critic(encoder)
    >>> print(tuple(critic(torch.rand(3, 4, 4, generator=seed)).shape))
    (3,)
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        if not isinstance(encoder, Encoder):
            raise TypeError(f"encoder is {shown(encoder)}, expected one of networks.generative, "
                            "such as ConvolutionalEncoder.")
        if encoder.latent != 1:
            raise ValueError(f"the encoder has {encoder.latent} latent numbers, expected 1, the "
                             "value of the critic; build it with latent=1.")
        self.encoder = encoder

    def forward(self, images: torch.Tensor) -> torch.Tensor:  # (N, *shape) -> (N,)
        value, _ = self.encoder(channels_of(images, self.encoder.dimension))
        return value[:, 0]
